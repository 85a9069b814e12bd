-- Facts about the store itself: the check value of the key ring, when it was made.
CREATE TABLE store_info (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- The next commit sequence number. Versions and the change feed are ordered by it, never by the clock.
CREATE TABLE sequence (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    next BIGINT NOT NULL
);
INSERT INTO sequence (id, next) VALUES (1, 1);

-- Groups of users; group_id is a unique name, id the immutable reference.
CREATE TABLE groups (
    id         TEXT PRIMARY KEY,
    group_id   TEXT NOT NULL UNIQUE,
    group_name TEXT NOT NULL,
    active     INTEGER NOT NULL,
    profile    TEXT NOT NULL,
    created_us BIGINT NOT NULL
);

-- Users; id is the canonical user id, (group, user_id) a unique name.
CREATE TABLE users (
    id         TEXT PRIMARY KEY,
    group_ref  TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    role       TEXT NOT NULL,
    full_name  TEXT NOT NULL,
    email      TEXT NOT NULL,
    active     INTEGER NOT NULL,
    profile    TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    UNIQUE (group_ref, user_id)
);

-- Access keys; the secret is sealed under the key ring.
CREATE TABLE credentials (
    access_key TEXT PRIMARY KEY,
    owner_ref  TEXT NOT NULL,
    kind       TEXT NOT NULL,
    secret     BLOB NOT NULL,
    active     INTEGER NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT
);
CREATE INDEX credentials_by_owner ON credentials (owner_ref);

-- Console passwords that people set, as argon2 hashes.
CREATE TABLE passwords (
    user_ref   TEXT PRIMARY KEY,
    hash       TEXT NOT NULL,
    changed_us BIGINT NOT NULL
);

-- Accounts of the Admin API; generated passwords, kept as keyed hashes.
CREATE TABLE service_accounts (
    name       TEXT PRIMARY KEY,
    keyed_hash BLOB NOT NULL,
    created_us BIGINT NOT NULL
);

-- Console sessions, by the keyed hash of their token.
CREATE TABLE sessions (
    token_hash BLOB PRIMARY KEY,
    user_ref   TEXT NOT NULL,
    csrf_token TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_ref);

-- Signatures of sign-on links that were used, until they could not be used any more.
CREATE TABLE used_links (
    signature  BLOB PRIMARY KEY,
    expires_us BIGINT NOT NULL
);

-- Deleted users whose data still waits.
CREATE TABLE trash (
    id             TEXT PRIMARY KEY,
    group_id       TEXT NOT NULL,
    group_name     TEXT NOT NULL,
    user_id        TEXT NOT NULL,
    role           TEXT NOT NULL,
    full_name      TEXT NOT NULL,
    email          TEXT NOT NULL,
    active         INTEGER NOT NULL,
    profile        TEXT NOT NULL,
    created_us     BIGINT NOT NULL,
    trashed_us     BIGINT NOT NULL,
    purge_after_us BIGINT NOT NULL
);
CREATE INDEX trash_by_purge ON trash (purge_after_us);

-- Buckets. Namespace 0 is the global one of S3. A trashed bucket keeps its name reserved.
CREATE TABLE buckets (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace_id BIGINT NOT NULL,
    name         TEXT NOT NULL,
    owner_ref    TEXT NOT NULL,
    created_us   BIGINT NOT NULL,
    versioning   TEXT NOT NULL,
    trashed      INTEGER NOT NULL DEFAULT 0,
    UNIQUE (namespace_id, name)
);
CREATE INDEX buckets_by_owner ON buckets (owner_ref);

-- Stored bytes: in the row itself (data), in one blob (blob_id), or in pieces. Versions that are copies share a row. Tables with data are
-- ordinary ones: WITHOUT ROWID keeps whole rows in inner pages, and large rows would make those trees deep.
CREATE TABLE contents (
    id         BLOB PRIMARY KEY,
    refs       BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    crc64nvme  BIGINT,
    blob_id    BLOB,
    data       BLOB
);
CREATE INDEX contents_by_blob ON contents (blob_id) WHERE blob_id IS NOT NULL;

-- The pieces of multipart content, in order; start_bytes is where a piece begins in the whole.
CREATE TABLE pieces (
    content_id  BLOB NOT NULL,
    number      BIGINT NOT NULL,
    start_bytes BIGINT NOT NULL,
    size_bytes  BIGINT NOT NULL,
    crc64nvme   BIGINT NOT NULL,
    blob_id     BLOB,
    data        BLOB,
    PRIMARY KEY (content_id, number)
);
CREATE INDEX pieces_by_blob ON pieces (blob_id) WHERE blob_id IS NOT NULL;

-- Every version of every object; kind is 'object' or 'marker'. meta is JSON: headers, user metadata, checksums.
CREATE TABLE versions (
    bucket_id     BIGINT NOT NULL,
    key           BLOB NOT NULL,
    seq           BIGINT NOT NULL,
    version_id    TEXT NOT NULL,
    kind          TEXT NOT NULL,
    size_bytes    BIGINT NOT NULL,
    etag          TEXT NOT NULL,
    modified_us   BIGINT NOT NULL,
    storage_class TEXT NOT NULL,
    parts_count   BIGINT,
    content_id    BLOB,
    meta          TEXT NOT NULL,
    PRIMARY KEY (bucket_id, key, seq)
) WITHOUT ROWID;

-- The visible latest versions only, so that history and delete markers never slow a listing.
CREATE TABLE current (
    bucket_id     BIGINT NOT NULL,
    key           BLOB NOT NULL,
    seq           BIGINT NOT NULL,
    version_id    TEXT NOT NULL,
    size_bytes    BIGINT NOT NULL,
    etag          TEXT NOT NULL,
    modified_us   BIGINT NOT NULL,
    storage_class TEXT NOT NULL,
    PRIMARY KEY (bucket_id, key)
) WITHOUT ROWID;

-- Versions whose bytes are gone, put aside by a repair so that they can come back with their bytes. Their content keeps its share.
CREATE TABLE lost_versions (
    bucket_id     BIGINT NOT NULL,
    key           BLOB NOT NULL,
    seq           BIGINT NOT NULL,
    version_id    TEXT NOT NULL,
    kind          TEXT NOT NULL,
    size_bytes    BIGINT NOT NULL,
    etag          TEXT NOT NULL,
    modified_us   BIGINT NOT NULL,
    storage_class TEXT NOT NULL,
    parts_count   BIGINT,
    content_id    BLOB,
    meta          TEXT NOT NULL,
    lost_us       BIGINT NOT NULL,
    PRIMARY KEY (bucket_id, key, seq)
) WITHOUT ROWID;

-- What the scrubber found damaged and has not found whole again: 'blob ...', 'content ...', 'part ...' or 'database'.
CREATE TABLE damage (
    subject  TEXT PRIMARY KEY,
    detail   TEXT NOT NULL,
    objects  TEXT NOT NULL,
    found_us BIGINT NOT NULL,
    seen_us  BIGINT NOT NULL
);

-- Open multipart uploads. checksum is 'CRC32/COMPOSITE' and the like, or empty.
CREATE TABLE uploads (
    upload_id     TEXT PRIMARY KEY,
    bucket_id     BIGINT NOT NULL,
    key           BLOB NOT NULL,
    created_us    BIGINT NOT NULL,
    storage_class TEXT NOT NULL,
    checksum      TEXT NOT NULL,
    meta          TEXT NOT NULL
);
CREATE INDEX uploads_by_key ON uploads (bucket_id, key, upload_id);
CREATE INDEX uploads_by_age ON uploads (created_us);

-- Parts of open uploads.
CREATE TABLE upload_parts (
    upload_id   TEXT NOT NULL,
    number      BIGINT NOT NULL,
    size_bytes  BIGINT NOT NULL,
    etag        TEXT NOT NULL,
    crc64nvme   BIGINT NOT NULL,
    modified_us BIGINT NOT NULL,
    checksums   TEXT NOT NULL,
    blob_id     BLOB,
    data        BLOB,
    PRIMARY KEY (upload_id, number)
);
CREATE INDEX upload_parts_by_blob ON upload_parts (blob_id) WHERE blob_id IS NOT NULL;

-- Blobs that no row refers to any more; a worker frees them after a while, so that readers that began before can finish.
CREATE TABLE garbage (
    blob_id    BLOB PRIMARY KEY,
    content_id BLOB,
    added_us   BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX garbage_by_age ON garbage (added_us, blob_id);

-- Usage of buckets: folded totals, and the deltas of transactions that are not folded yet.
CREATE TABLE usage_totals (
    bucket_id         BIGINT PRIMARY KEY,
    object_count      BIGINT NOT NULL,
    size_bytes        BIGINT NOT NULL,
    upload_size_bytes BIGINT NOT NULL
);
CREATE TABLE usage_deltas (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    bucket_id         BIGINT NOT NULL,
    object_count      BIGINT NOT NULL,
    size_bytes        BIGINT NOT NULL,
    upload_size_bytes BIGINT NOT NULL
);
CREATE INDEX usage_deltas_by_bucket ON usage_deltas (bucket_id);
