-- Users, groups, roles and policies of an account's own (IAM). Names are compared by name_key, the name in lower case; details is JSON.
CREATE TABLE iam_entities (
    id          TEXT PRIMARY KEY,
    account_ref TEXT NOT NULL,
    kind        TEXT NOT NULL,
    name        TEXT NOT NULL,
    name_key    TEXT NOT NULL,
    path        TEXT NOT NULL,
    details     TEXT NOT NULL,
    created_us  BIGINT NOT NULL,
    UNIQUE (account_ref, kind, name_key)
) WITHOUT ROWID;

-- Policies that belong to one user, group or role, as they were given.
CREATE TABLE iam_inline_policies (
    entity_ref TEXT NOT NULL,
    name       TEXT NOT NULL,
    document   TEXT NOT NULL,
    PRIMARY KEY (entity_ref, name)
) WITHOUT ROWID;

-- The versions of policies that stand for themselves; which one counts is among the details of the policy.
CREATE TABLE iam_policy_versions (
    policy_ref TEXT NOT NULL,
    version    BIGINT NOT NULL,
    document   TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (policy_ref, version)
) WITHOUT ROWID;

-- Which policies a user, group or role has beside its own, by their ARNs.
CREATE TABLE iam_attachments (
    entity_ref TEXT NOT NULL,
    policy_arn TEXT NOT NULL,
    PRIMARY KEY (entity_ref, policy_arn)
) WITHOUT ROWID;
CREATE INDEX iam_attachments_by_policy ON iam_attachments (policy_arn);

-- Who is in which group.
CREATE TABLE iam_members (
    group_ref TEXT NOT NULL,
    user_ref  TEXT NOT NULL,
    PRIMARY KEY (group_ref, user_ref)
) WITHOUT ROWID;
CREATE INDEX iam_members_by_user ON iam_members (user_ref);

-- Temporary keys (STS): the secret sealed, of the token a keyed hash. entity_ref is the user or role, empty for the account's root;
-- caller_ref is the account of who asked for the key, which is another one where a role was taken on from there.
CREATE TABLE iam_sessions (
    access_key   TEXT PRIMARY KEY,
    account_ref  TEXT NOT NULL,
    caller_ref   TEXT NOT NULL,
    entity_ref   TEXT NOT NULL,
    session_name TEXT NOT NULL,
    policy       TEXT,
    secret       BLOB NOT NULL,
    token_hash   BLOB NOT NULL,
    created_us   BIGINT NOT NULL,
    expires_us   BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX iam_sessions_by_account ON iam_sessions (account_ref);
CREATE INDEX iam_sessions_by_caller ON iam_sessions (caller_ref);
CREATE INDEX iam_sessions_by_end ON iam_sessions (expires_us);

-- Whose a key is: a user's of the account's own, or, empty, the account's root.
ALTER TABLE credentials ADD COLUMN entity_ref TEXT NOT NULL DEFAULT '';
