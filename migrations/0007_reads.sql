-- Reads of keys come into the audit log in two steps: what each replica counted twice a second, as it comes; and, when
-- the minute is over, put together as one row or a few for each organization, of which each stands for many events.

-- What was counted, until its minute is sealed.
CREATE TABLE read_counts (
    shard  BIGINT NOT NULL, -- which organizations', by a hash of their names
    minute BIGINT NOT NULL, -- from 1970
    id     TEXT   NOT NULL,
    lines  BIGINT NOT NULL, -- how many there are
    actors TEXT   NOT NULL, -- JSON: who read
    reads  TEXT   NOT NULL, -- JSON: the lines
    PRIMARY KEY (shard, minute, id)
);
CREATE INDEX read_counts_by_minute ON read_counts (minute, shard, lines);

-- Which batch of counts each process recorded last, so that none is recorded twice.
CREATE TABLE read_writers (
    origin TEXT   NOT NULL PRIMARY KEY,
    newest BIGINT NOT NULL,
    at     BIGINT NOT NULL
);

-- A row of reads that were put together: `sequence` and `hash` are those of its last event, `at` is its minute, and
-- `actor` is the list of those who read.
ALTER TABLE events ADD COLUMN reads TEXT;    -- JSON: the lines
ALTER TABLE events ADD COLUMN previous TEXT; -- the hash before the first of them

-- The list goes by time, which is the same whether reads are sealed or not.
DROP INDEX events_by_org;
DROP INDEX events_by_type;
DROP INDEX events_by_connection;
DROP INDEX events_by_actor;
CREATE INDEX events_by_org ON events (org, at, number) WHERE reads IS NULL;
CREATE INDEX events_by_type ON events (org, type, at, number) WHERE reads IS NULL;
CREATE INDEX events_by_connection ON events (org, connection, at, number) WHERE reads IS NULL;
CREATE INDEX events_by_actor ON events (org, actor_id, at, number) WHERE reads IS NULL;
CREATE INDEX events_of_reads ON events (org, at, number) WHERE reads IS NOT NULL;
