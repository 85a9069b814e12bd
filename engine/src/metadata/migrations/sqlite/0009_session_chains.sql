-- The temporary key with which a session of a role was asked for, where it was one: what ends that session ends this one.
ALTER TABLE iam_sessions ADD COLUMN parent_key TEXT;
CREATE INDEX iam_sessions_by_parent ON iam_sessions (parent_key);
