-- What the connector remembers. It holds no secret. Every row of tenants carries the cloud it is of: the UUID of that
-- CloudStack's ROOT domain. Times are microseconds since 1970.

-- The one CloudStack that this state belongs to.
CREATE TABLE cloud (
    one              INTEGER PRIMARY KEY CHECK (one = 1),
    cloud_id         TEXT    NOT NULL,
    first_seen_us    BIGINT  NOT NULL,
    -- When a full pass last agreed with its counts and saw ROOT.
    trusted_pass_us  BIGINT,
    -- When the target was last compared with what is remembered of it.
    verified_us      BIGINT,
    -- The time of the newest event seen, as CloudStack wrote it.
    event_cursor     TEXT
);

-- The ids that the pass under way has seen. It is only ever appended to and emptied, because writing into every row of
-- the snapshot at each pass was most of what a pass cost.
CREATE TABLE seen (
    what             TEXT    NOT NULL CHECK (what IN ('domain', 'account')),
    id               TEXT    NOT NULL
);

-- The domains as CloudStack last showed them, folded in page by page.
CREATE TABLE domain (
    cloud_id         TEXT    NOT NULL,
    domain_id        TEXT    NOT NULL,
    parent_id        TEXT,
    level            BIGINT  NOT NULL,
    -- The name that the group must have.
    group_name       TEXT    NOT NULL,
    -- When the row last changed.
    touched_us       BIGINT  NOT NULL,
    -- Set when a trusted pass did not show it any more, or CloudStack denied the id.
    missing_since_us BIGINT,
    PRIMARY KEY (cloud_id, domain_id)
);
CREATE INDEX domain_missing ON domain (cloud_id, domain_id) WHERE missing_since_us IS NOT NULL;

-- The accounts, likewise.
CREATE TABLE account (
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
);
CREATE INDEX account_missing ON account (cloud_id, account_id) WHERE missing_since_us IS NOT NULL;
CREATE INDEX account_domain ON account (cloud_id, domain_id);
CREATE INDEX account_first_user ON account (cloud_id, first_user_id);

-- The groups at the target that are ours to change, and how they were when last seen.
CREATE TABLE known_group (
    cloud_id         TEXT    NOT NULL,
    group_id         TEXT    NOT NULL,
    group_name       TEXT    NOT NULL,
    -- made: by the connector. adopted: it was there, with the id of a domain that CloudStack showed.
    origin           TEXT    NOT NULL CHECK (origin IN ('made', 'adopted')),
    -- 1 while a change is on its way: after a crash the target is asked how it ended.
    dirty            BIGINT  NOT NULL DEFAULT 0,
    PRIMARY KEY (cloud_id, group_id)
);
CREATE INDEX known_group_dirty ON known_group (cloud_id, group_id) WHERE dirty = 1;

-- The users at the target that are ours to change. An account that moved has one in each group it was in.
CREATE TABLE known_user (
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
);
CREATE INDEX known_user_group ON known_user (cloud_id, group_id);
CREATE INDEX known_user_dirty ON known_user (cloud_id, user_id) WHERE dirty = 1;

-- Deletions and deactivations that were made, for the limit on a rolling day.
CREATE TABLE removal (
    cloud_id         TEXT    NOT NULL,
    at_us            BIGINT  NOT NULL,
    what             TEXT    NOT NULL,
    -- 1 when an operator confirmed it: those do not count against the next ones.
    confirmed        BIGINT  NOT NULL
);
CREATE INDEX removal_time ON removal (cloud_id, at_us);

-- Events already taken in, because polls overlap.
CREATE TABLE event_seen (
    cloud_id         TEXT    NOT NULL,
    event_id         TEXT    NOT NULL,
    at_us            BIGINT  NOT NULL,
    PRIMARY KEY (cloud_id, event_id)
);

-- Runs and what each did.
CREATE TABLE run (
    run_id           INTEGER PRIMARY KEY AUTOINCREMENT,
    cloud_id         TEXT    NOT NULL,
    cause            TEXT    NOT NULL,
    started_us       BIGINT  NOT NULL,
    ended_us         BIGINT,
    -- What came of it, in a sentence.
    outcome          TEXT    NOT NULL,
    applied          BIGINT  NOT NULL DEFAULT 0,
    failed           BIGINT  NOT NULL DEFAULT 0,
    held             BIGINT  NOT NULL DEFAULT 0
);
CREATE TABLE run_change (
    run_id           BIGINT  NOT NULL,
    seq              BIGINT  NOT NULL,
    change           TEXT    NOT NULL,
    outcome          TEXT    NOT NULL,
    PRIMARY KEY (run_id, seq)
);

-- Which node reconciles.
CREATE TABLE lease (
    name             TEXT    PRIMARY KEY,
    owner            TEXT    NOT NULL,
    until_us         BIGINT  NOT NULL
);
