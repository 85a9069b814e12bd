-- What is set on buckets: access control lists, policies, tags and the like; value is JSON, of a policy the text that was given.
CREATE TABLE bucket_settings (
    bucket_id BIGINT NOT NULL,
    kind      TEXT NOT NULL,
    value     TEXT NOT NULL,
    PRIMARY KEY (bucket_id, kind)
) WITHOUT ROWID;
CREATE INDEX users_by_email ON users (email);
