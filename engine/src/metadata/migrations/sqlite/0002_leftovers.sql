-- Content in pieces that no version refers to any more, and uploads that were given up. Their rows of pieces and parts go in small steps
-- afterwards, for there may be 10,000 of each. `added_us` is when the last reference went.
CREATE TABLE unused_contents (
    content_id BLOB PRIMARY KEY,
    added_us   BIGINT NOT NULL
) WITHOUT ROWID;
CREATE TABLE aborted_uploads (
    upload_id TEXT PRIMARY KEY,
    added_us  BIGINT NOT NULL
) WITHOUT ROWID;
