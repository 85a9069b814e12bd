-- Accounts and users lie in the order of their ids, which is the order in which a walk over the differences meets them: so
-- a pass over a large cloud reads each page of the file once, and needs neither a cache nor a map of the whole file.

CREATE TABLE account_by_id (
    cloud_id         TEXT    NOT NULL,
    account_id       TEXT    NOT NULL,
    domain_id        TEXT    NOT NULL,
    -- What the user must be called, and its address.
    full_name        TEXT    NOT NULL,
    email            TEXT    NOT NULL,
    state            TEXT    NOT NULL,
    -- 0 for CloudStack's own admin and for project accounts, which get no user.
    provisioned      BIGINT  NOT NULL,
    -- Events of users name the user only, and only the first one gives name and address.
    first_user_id    TEXT,
    -- When the row last changed.
    touched_us       BIGINT  NOT NULL,
    missing_since_us BIGINT,
    PRIMARY KEY (cloud_id, account_id)
) WITHOUT ROWID;
INSERT INTO account_by_id (cloud_id, account_id, domain_id, full_name, email, state, provisioned, first_user_id,
                           touched_us, missing_since_us)
SELECT cloud_id, account_id, domain_id, full_name, email, state, provisioned, first_user_id, touched_us,
       missing_since_us
FROM account
ORDER BY cloud_id, account_id;
DROP TABLE account;
ALTER TABLE account_by_id RENAME TO account;
CREATE INDEX account_missing ON account (cloud_id, account_id) WHERE missing_since_us IS NOT NULL;
CREATE INDEX account_domain ON account (cloud_id, domain_id);
CREATE INDEX account_first_user ON account (cloud_id, first_user_id);

CREATE TABLE known_user_by_id (
    cloud_id          TEXT    NOT NULL,
    user_id           TEXT    NOT NULL,
    group_id          TEXT    NOT NULL,
    full_name         TEXT    NOT NULL,
    email             TEXT    NOT NULL,
    active            BIGINT  NOT NULL,
    origin            TEXT    NOT NULL CHECK (origin IN ('made', 'adopted')),
    -- Only what we deactivated ourselves is ever reactivated.
    deactivated_by_us BIGINT  NOT NULL DEFAULT 0,
    -- Where the target has no trash: the day from which the user of a deleted account may be deleted.
    delete_after_us   BIGINT,
    dirty             BIGINT  NOT NULL DEFAULT 0,
    PRIMARY KEY (cloud_id, user_id, group_id)
) WITHOUT ROWID;
INSERT INTO known_user_by_id (cloud_id, user_id, group_id, full_name, email, active, origin, deactivated_by_us,
                              delete_after_us, dirty)
SELECT cloud_id, user_id, group_id, full_name, email, active, origin, deactivated_by_us, delete_after_us, dirty
FROM known_user
ORDER BY cloud_id, user_id, group_id;
DROP TABLE known_user;
ALTER TABLE known_user_by_id RENAME TO known_user;
CREATE INDEX known_user_group ON known_user (cloud_id, group_id);
CREATE INDEX known_user_dirty ON known_user (cloud_id, user_id) WHERE dirty = 1;

-- A domain's subtree is looked up when an event tells that it was deleted.
CREATE INDEX domain_parent ON domain (cloud_id, parent_id);

-- All rows are of one cloud, which SQLite does not guess: it would look a domain's accounts up by the cloud alone. So it is told
-- how the rows lie, once and for any size. ANALYZE of an empty table only makes the table of statistics.
ANALYZE lease;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('account', 'account', '100000 100000 1'),
    ('account', 'account_domain', '100000 100000 10'),
    ('account', 'account_first_user', '100000 100000 1'),
    ('account', 'account_missing', '10 10 1'),
    ('known_user', 'known_user', '100000 100000 1 1'),
    ('known_user', 'known_user_group', '100000 100000 10'),
    ('known_user', 'known_user_dirty', '10 10 1'),
    ('domain', 'sqlite_autoindex_domain_1', '10000 10000 1'),
    ('domain', 'domain_parent', '10000 10000 10'),
    ('domain', 'domain_missing', '10 10 1'),
    ('known_group', 'sqlite_autoindex_known_group_1', '10000 10000 1'),
    ('known_group', 'known_group_dirty', '10 10 1');
