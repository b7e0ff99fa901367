-- A process tells what a line of reads is once in a minute, and from then on its number and how often it was read
-- since: many keys are read more than once in a minute, and few twice in half a second.

ALTER TABLE read_counts ADD COLUMN origin TEXT NOT NULL DEFAULT '';   -- the process, whose lines have numbers
ALTER TABLE read_counts ADD COLUMN base BIGINT NOT NULL DEFAULT 0;    -- what numbers count from in this row
ALTER TABLE read_counts ADD COLUMN again TEXT NOT NULL DEFAULT '[]';  -- JSON: numbers of lines told before, and counts

-- The first minute that nobody has begun to seal: what was told before is known no longer. It is set before anything is
-- sealed, and read in the transaction that tells.
ALTER TABLE read_writers ADD COLUMN sealed BIGINT NOT NULL DEFAULT 0;
