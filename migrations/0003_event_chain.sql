-- The audit log as a chain for each organization: what was sealed can't be altered or removed unnoticed.
-- A row without a hash is open: a count of reads that still grows, or a row from before this migration.
-- The sealing task gives it its place.

ALTER TABLE events ADD COLUMN count BIGINT;    -- how many reads, if it tells of reads
ALTER TABLE events ADD COLUMN sequence BIGINT; -- its place in its organization's chain, from 1
ALTER TABLE events ADD COLUMN hash TEXT;       -- SHA-256, hexadecimal
ALTER TABLE events ADD COLUMN actor_id TEXT;   -- out of the actor, for the filter
CREATE UNIQUE INDEX events_by_sequence ON events (org, sequence);
CREATE INDEX events_open ON events (org, number) WHERE hash IS NULL;
CREATE INDEX events_by_type ON events (org, type, number);
CREATE INDEX events_by_connection ON events (org, connection, number);
CREATE INDEX events_by_actor ON events (org, actor_id, number);

-- Where each chain ends, and where it begins since older events were removed: sequence 0 is the beginning.
CREATE TABLE event_chains (
    org             TEXT   NOT NULL PRIMARY KEY,
    newest_sequence BIGINT NOT NULL,
    newest_hash     TEXT   NOT NULL,
    pruned_sequence BIGINT NOT NULL,
    pruned_hash     TEXT   NOT NULL
);
