-- Uploads that became objects, for as long as a client that lost the answer may ask again.
CREATE TABLE completed_uploads (
    upload_id    TEXT PRIMARY KEY,
    bucket_id    BIGINT NOT NULL,
    key          BYTEA NOT NULL,
    seq          BIGINT NOT NULL,
    completed_us BIGINT NOT NULL
);
CREATE INDEX completed_uploads_by_age ON completed_uploads (completed_us);
-- The checksums of parts, as JSON.
ALTER TABLE pieces ADD COLUMN checksums TEXT NOT NULL DEFAULT '{}';
