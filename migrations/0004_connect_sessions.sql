-- Connect sessions: a link, and after it was opened the visit that it led to. Neither the link's token nor
-- the visit's cookie is here, only their SHA-256.
CREATE TABLE connect_sessions (
    id          TEXT   NOT NULL PRIMARY KEY,
    org         TEXT   NOT NULL,
    actor       TEXT   NOT NULL, -- JSON
    providers   TEXT   NOT NULL, -- JSON: a list, or null for all
    return_url  TEXT,
    link_hash   TEXT   NOT NULL UNIQUE,
    link_until  BIGINT NOT NULL,
    cookie_hash TEXT   UNIQUE,   -- null until the link is opened
    visit_until BIGINT,          -- null until the link is opened; 0 once it was ended
    seen_at     BIGINT,
    attempts    BIGINT NOT NULL,
    notice      TEXT,            -- JSON: what the next page tells once
    created_at  BIGINT NOT NULL
);
CREATE INDEX connect_sessions_by_age ON connect_sessions (created_at);
