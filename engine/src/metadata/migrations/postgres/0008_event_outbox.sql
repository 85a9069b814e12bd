-- What happened to objects and is still to be told to a target: written with the change itself, removed once it is delivered or too old.
-- seq is a number of the commit sequence; event is JSON.
CREATE TABLE event_outbox (
    target     TEXT NOT NULL,
    seq        BIGINT NOT NULL,
    bucket_id  BIGINT NOT NULL,
    key        BYTEA NOT NULL,
    event      TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    attempts   BIGINT NOT NULL,
    due_us     BIGINT NOT NULL,
    PRIMARY KEY (target, seq)
);
CREATE INDEX event_outbox_by_object ON event_outbox (target, bucket_id, key, seq);
