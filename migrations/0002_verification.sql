-- When a connection's keys are next tried with their provider; null is at once.
ALTER TABLE connections ADD COLUMN check_after BIGINT;
CREATE INDEX connections_by_check ON connections (check_after);

-- What one replica at a time does, and until when it is the one.
CREATE TABLE leases (
    name        TEXT   NOT NULL PRIMARY KEY,
    holder      TEXT   NOT NULL, -- the process
    lease_until BIGINT NOT NULL
);
