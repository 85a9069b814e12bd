-- A removal is counted before the target is asked for it, so that a run cut short cannot make it uncounted.
ALTER TABLE removal ADD COLUMN group_id TEXT NOT NULL DEFAULT '';
-- Empty for a group itself.
ALTER TABLE removal ADD COLUMN user_id TEXT NOT NULL DEFAULT '';
-- 1 for a deletion, 0 for a deactivation.
ALTER TABLE removal ADD COLUMN deletes BIGINT NOT NULL DEFAULT 0;
-- 1 while it is not known whether the target did it.
ALTER TABLE removal ADD COLUMN open BIGINT NOT NULL DEFAULT 0;
CREATE INDEX removal_open ON removal (cloud_id, group_id, user_id) WHERE open = 1;
