-- Organizations that keep their keys in a function of their own. Its URL and token are in the store, as the
-- secret _vault, and not here.

CREATE TABLE vaults (
    org        TEXT   NOT NULL PRIMARY KEY,
    enabled    BIGINT NOT NULL,
    access     TEXT,            -- the version of the secret _vault that counts; null before the first
    last_test  TEXT,            -- JSON
    revision   BIGINT NOT NULL, -- counts changes: a change that lost its lock finds another number here
    busy_until BIGINT           -- while a change is under way
);
