-- When the provider last said whether a connection's keys work, and when it is next asked; null is at once.
ALTER TABLE connections ADD COLUMN checked_at BIGINT;
ALTER TABLE connections ADD COLUMN check_after BIGINT;
CREATE INDEX connections_by_check ON connections (COALESCE(check_after, 0)) WHERE status <> 'disconnected';

-- What one replica at a time does, and until when it is the one.
CREATE TABLE leases (
    name        TEXT   NOT NULL PRIMARY KEY,
    holder      TEXT   NOT NULL, -- the process
    lease_until BIGINT NOT NULL
);
