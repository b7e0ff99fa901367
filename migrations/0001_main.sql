-- One dialect for SQLite and PostgreSQL: TEXT and BIGINT only, times in milliseconds since 1970 (UTC).
-- No secret value is in any table but local_secrets, which holds ciphertext.

CREATE TABLE connections (
    org              TEXT   NOT NULL,
    name             TEXT   NOT NULL,
    provider         TEXT   NOT NULL,
    label            TEXT,
    status           TEXT   NOT NULL,
    source           TEXT   NOT NULL,
    version          TEXT   NOT NULL,
    generation       BIGINT NOT NULL,
    previous_version TEXT,
    fields           TEXT   NOT NULL, -- JSON: public values, and hints of secret ones
    verified_at      BIGINT,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL,
    PRIMARY KEY (org, name)
);

-- A write under way. The primary key makes its writer the only one.
CREATE TABLE write_intents (
    org         TEXT   NOT NULL,
    connection  TEXT   NOT NULL,
    version     TEXT   NOT NULL,
    plan        TEXT   NOT NULL, -- JSON
    actor       TEXT   NOT NULL, -- JSON
    request_id  TEXT,
    idempotency TEXT,            -- JSON
    lease_until BIGINT NOT NULL,
    uncertain   BIGINT NOT NULL,
    PRIMARY KEY (org, connection)
);

CREATE TABLE idempotency_keys (
    org         TEXT   NOT NULL,
    lookup      TEXT   NOT NULL,
    fingerprint TEXT   NOT NULL,
    answer      TEXT   NOT NULL, -- JSON
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (org, lookup)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

CREATE TABLE tokens (
    id         TEXT   NOT NULL PRIMARY KEY,
    hash       TEXT   NOT NULL UNIQUE, -- SHA-256, hexadecimal
    name       TEXT   NOT NULL,
    scopes     TEXT   NOT NULL, -- JSON
    orgs       TEXT   NOT NULL, -- JSON: a list, or null for all
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);

-- The audit log. Numbers are given in the order of commits and without gaps, by the one row of
-- event_counter: a reader that has seen number n misses nothing by asking for what is above n.
CREATE TABLE events (
    number     BIGINT NOT NULL PRIMARY KEY,
    id         TEXT   NOT NULL UNIQUE,
    org        TEXT   NOT NULL, -- empty for what concerns every organization
    type       TEXT   NOT NULL,
    at         BIGINT NOT NULL,
    actor      TEXT   NOT NULL, -- JSON
    connection TEXT,
    version    TEXT,
    token      TEXT,
    request_id TEXT,
    origin     TEXT   NOT NULL  -- the process that appended it
);
CREATE INDEX events_by_org ON events (org, number);

CREATE TABLE event_counter (
    only_row BIGINT NOT NULL PRIMARY KEY,
    newest   BIGINT NOT NULL
);
INSERT INTO event_counter (only_row, newest) VALUES (1, 0);

-- The embedded store.
CREATE TABLE local_secrets (
    name       TEXT   NOT NULL,
    version    TEXT   NOT NULL,
    stage      TEXT   NOT NULL, -- current or previous
    key_id     TEXT   NOT NULL, -- which master key sealed it
    sealed     TEXT   NOT NULL, -- base64 of nonce, ciphertext and tag
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name, version)
);
CREATE UNIQUE INDEX local_secrets_by_stage ON local_secrets (name, stage);
