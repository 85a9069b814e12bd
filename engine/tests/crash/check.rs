//! Compares the rows of a store with each other and with its files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use engine::{Caller, CheckOptions, Database, OnProgress};
use secrecy::ExposeSecret;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::blobs::{blobs, packs};
use crate::model::{Seen, View};
use crate::store::{Store, connect, data_dir};

/// What the engine puts before the bytes of a blob.
const HEAD_BYTES: usize = 4096;

/// What must not be, each with a statement that counts it.
const RULES: [(&str, &str); 15] = [
    (
        "contents that are counted wrongly",
        "SELECT COUNT(*) FROM contents c WHERE c.refs <> (SELECT COUNT(*) FROM versions v WHERE v.content_id = c.id)",
    ),
    (
        "versions without content",
        "SELECT COUNT(*) FROM versions v WHERE v.kind = 'object'
         AND NOT EXISTS (SELECT 1 FROM contents c WHERE c.id = v.content_id AND c.size_bytes = v.size_bytes)",
    ),
    (
        "contents that are not in exactly one place",
        "SELECT COUNT(*) FROM contents c WHERE 1 <> CAST(c.blob_id IS NOT NULL AS INTEGER) + CAST(c.data IS NOT NULL AS INTEGER)
            + CAST(EXISTS (SELECT 1 FROM pieces p WHERE p.content_id = c.id) AS INTEGER)",
    ),
    ("inline contents of another size", "SELECT COUNT(*) FROM contents WHERE LENGTH(data) <> size_bytes"),
    (
        "contents whose pieces have another size",
        "SELECT COUNT(*) FROM contents c WHERE c.size_bytes <>
            (SELECT SUM(p.size_bytes) FROM pieces p WHERE p.content_id = c.id)",
    ),
    (
        "pieces without content",
        "SELECT COUNT(*) FROM pieces p WHERE EXISTS (SELECT 1 FROM contents c WHERE c.id = p.content_id)
            = EXISTS (SELECT 1 FROM unused_contents n WHERE n.content_id = p.content_id)",
    ),
    ("pieces that are not in one place", "SELECT COUNT(*) FROM pieces WHERE (blob_id IS NULL) = (data IS NULL)"),
    ("parts that are not in one place", "SELECT COUNT(*) FROM upload_parts WHERE (blob_id IS NULL) = (data IS NULL)"),
    (
        "parts without an upload",
        "SELECT COUNT(*) FROM upload_parts p WHERE EXISTS (SELECT 1 FROM uploads u WHERE u.upload_id = p.upload_id)
            = EXISTS (SELECT 1 FROM aborted_uploads a WHERE a.upload_id = p.upload_id)",
    ),
    (
        "current objects without their version",
        "SELECT COUNT(*) FROM current c WHERE NOT EXISTS (SELECT 1 FROM versions v
            WHERE v.bucket_id = c.bucket_id AND v.key = c.key AND v.seq = c.seq AND v.kind = 'object'
              AND v.version_id = c.version_id AND v.size_bytes = c.size_bytes AND v.etag = c.etag)",
    ),
    (
        "latest versions that are not current",
        "SELECT COUNT(*) FROM versions v WHERE v.kind = 'object'
         AND v.seq = (SELECT MAX(o.seq) FROM versions o WHERE o.bucket_id = v.bucket_id AND o.key = v.key)
         AND NOT EXISTS (SELECT 1 FROM current c WHERE c.bucket_id = v.bucket_id AND c.key = v.key AND c.seq = v.seq)",
    ),
    (
        "rows of no bucket",
        "SELECT COUNT(*) FROM (SELECT bucket_id FROM versions UNION SELECT bucket_id FROM current
            UNION SELECT bucket_id FROM uploads UNION SELECT bucket_id FROM usage_totals) AS used
            WHERE bucket_id NOT IN (SELECT id FROM buckets)",
    ),
    (
        "blobs with two rows",
        "SELECT COUNT(*) FROM (SELECT blob_id FROM (SELECT blob_id FROM contents UNION ALL SELECT blob_id FROM pieces
            UNION ALL SELECT blob_id FROM upload_parts UNION ALL SELECT blob_id FROM garbage) AS used
            WHERE blob_id IS NOT NULL GROUP BY blob_id HAVING COUNT(*) > 1) AS doubled",
    ),
    (
        "buckets whose usage is not that of their objects",
        "SELECT COUNT(*) FROM buckets b WHERE
            (SELECT COUNT(*) FROM versions v WHERE v.bucket_id = b.id AND v.kind = 'object')
            <> COALESCE((SELECT SUM(object_count) FROM usage_totals t WHERE t.bucket_id = b.id), 0)
             + COALESCE((SELECT SUM(object_count) FROM usage_deltas d WHERE d.bucket_id = b.id), 0)
         OR COALESCE((SELECT SUM(v.size_bytes) FROM versions v WHERE v.bucket_id = b.id), 0)
            <> COALESCE((SELECT SUM(size_bytes) FROM usage_totals t WHERE t.bucket_id = b.id), 0)
             + COALESCE((SELECT SUM(size_bytes) FROM usage_deltas d WHERE d.bucket_id = b.id), 0)",
    ),
    (
        "buckets whose usage is not that of their uploads",
        "SELECT COUNT(*) FROM buckets b WHERE
            COALESCE((SELECT SUM(p.size_bytes) FROM upload_parts p JOIN uploads u ON u.upload_id = p.upload_id
                      WHERE u.bucket_id = b.id), 0)
            <> COALESCE((SELECT SUM(upload_size_bytes) FROM usage_totals t WHERE t.bucket_id = b.id), 0)
             + COALESCE((SELECT SUM(upload_size_bytes) FROM usage_deltas d WHERE d.bucket_id = b.id), 0)",
    ),
];

/// The same of the sequence, of each kind of database.
const SEQUENCE: &str = "sequence numbers that will be given twice";
const SQLITE_SEQUENCE: &str = "SELECT COUNT(*) FROM versions WHERE seq >= (SELECT next FROM sequence)";
const POSTGRES_SEQUENCE: &str = "SELECT COUNT(*) FROM versions WHERE seq > (SELECT last_value FROM commit_sequence)";

/// What of the blobs the rows say.
const BLOBS: &str = "
    SELECT blob_id AS id, size_bytes, CAST(NULL AS TEXT) AS etag FROM contents WHERE blob_id IS NOT NULL
    UNION ALL SELECT blob_id, size_bytes, NULL FROM pieces WHERE blob_id IS NOT NULL
    UNION ALL SELECT blob_id, size_bytes, CASE WHEN nonce IS NULL THEN etag END FROM upload_parts WHERE blob_id IS NOT NULL";

/// A row of a blob: its id, its size, and the ETag of a part that is not sealed.
type BlobRow = (Vec<u8>, i64, Option<String>);

/// A connection to the rows of a store.
pub(crate) enum Rows {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Rows {
    /// Of a store.
    pub(crate) async fn of(store: &Store) -> Self {
        match &store.database {
            Database::Embedded => Self::Sqlite(connect(&*store.disk, &store.root).await.unwrap()),
            Database::Postgres(settings) => {
                Self::Postgres(PgConnection::connect(settings.url.expose_secret()).await.unwrap())
            }
        }
    }

    /// What a statement counts.
    async fn count(&mut self, statement: &'static str) -> i64 {
        match self {
            Self::Sqlite(connection) => sqlx::query_scalar(statement).fetch_one(connection).await.unwrap(),
            Self::Postgres(connection) => sqlx::query_scalar(statement).fetch_one(connection).await.unwrap(),
        }
    }

    async fn blobs(&mut self) -> Vec<BlobRow> {
        match self {
            Self::Sqlite(connection) => sqlx::query_as(BLOBS).fetch_all(connection).await.unwrap(),
            Self::Postgres(connection) => sqlx::query_as(BLOBS).fetch_all(connection).await.unwrap(),
        }
    }

    /// Fails when the file is damaged, or rows contradict each other.
    async fn check(&mut self, of: &str) {
        let sequence = match self {
            Self::Sqlite(connection) => {
                let damage: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(connection).await.unwrap();
                assert_eq!(damage, "ok", "{of}");
                SQLITE_SEQUENCE
            }
            Self::Postgres(_) => POSTGRES_SEQUENCE,
        };
        for (what, statement) in RULES.into_iter().chain([(SEQUENCE, sequence)]) {
            let count = self.count(statement).await;
            assert_eq!(count, 0, "{count} {what} in {of}");
        }
    }

    async fn close(self) {
        match self {
            Self::Sqlite(connection) => connection.close().await.unwrap(),
            Self::Postgres(connection) => connection.close().await.unwrap(),
        }
    }
}

/// Fails when the rows contradict each other, or a row has no blob. With `cleaned`, also when a blob has no row.
pub(crate) async fn check(store: &Store, cleaned: bool) {
    check_rows(Rows::of(store).await, &store.root, cleaned).await;
}

async fn check_rows(mut rows: Rows, root: &Path, cleaned: bool) {
    rows.check("the database").await;
    let known = check_blobs(&rows.blobs().await, root);
    if cleaned {
        assert_eq!(rows.count("SELECT COUNT(*) FROM garbage").await, 0, "garbage stays");
        let there: BTreeSet<String> = blobs(&data_dir(root)).into_iter().map(|(id, ..)| id).collect();
        assert_eq!(there, known, "the blobs are not those that the rows know");
        let fragments: Vec<_> = packs(&data_dir(root)).into_iter().flat_map(|(_, fragments)| fragments).collect();
        assert!(fragments.is_empty(), "bytes that are no blob's stay: {fragments:?}");
    }
    rows.close().await;
    check_snapshots(root).await;
}

/// A snapshot that has its name is whole.
async fn check_snapshots(root: &Path) {
    let folder = data_dir(root).join("snapshots");
    if !folder.is_dir() {
        return;
    }
    for name in files(&folder).into_iter().filter(|name| name.ends_with(".sqlite")) {
        let options = SqliteConnectOptions::new().filename(folder.join(&name)).immutable(true).read_only(true);
        let mut snapshot = Rows::Sqlite(options.connect().await.unwrap());
        snapshot.check(&name).await;
        snapshot.close().await;
    }
}

/// Every row's blob is there and has the right size; those of open parts have the right bytes as well (objects are read elsewhere).
fn check_blobs(rows: &[BlobRow], root: &Path) -> BTreeSet<String> {
    let there: BTreeMap<_, _> = blobs(&data_dir(root)).into_iter().map(|(id, path, at)| (id, (path, at))).collect();
    let mut known = BTreeMap::new();
    for (id, size_bytes, etag) in rows {
        let (id, size) = (hex::encode(id), usize::try_from(*size_bytes).unwrap());
        let (path, at) = there.get(&id).unwrap_or_else(|| panic!("a row without its blob {id}"));
        let bytes = &std::fs::read(path).unwrap()[at.clone()];
        let whole = HEAD_BYTES + size + 4 * size.div_ceil(128 << 10) + 64;
        let is_packed = path.parent().unwrap().ends_with("packs");
        let length = if is_packed { whole.next_multiple_of(4096) } else { whole };
        assert_eq!(bytes.len(), length, "blob {id} has another size than its row says");
        if let Some(etag) = etag {
            assert_eq!(Seen::of(&bytes[HEAD_BYTES..HEAD_BYTES + size]).md5, *etag, "blob {id} of a part is damaged");
        }
        known.insert(id, size);
    }
    known.into_keys().collect()
}

/// Opens a store after a crash and compares it with what it may be: each bucket one of some views. Then everything that no row knows is
/// cleaned away, which must change nothing else. Returns what the buckets hold.
pub(crate) async fn check_reopened(store: &Store, expected: &[(String, Vec<View>)]) -> Vec<View> {
    let mut views = Vec::new();
    for (name, allowed) in expected {
        let view = store.client(name).view().await.unwrap();
        assert!(allowed.contains(&view), "{name} holds\n{view:#?}\nand not one of\n{allowed:#?}");
        views.push(view);
    }
    check(store, false).await;
    store.clean().await.unwrap();
    for ((name, _), before) in expected.iter().zip(&views) {
        let view = store.client(name).view().await.unwrap();
        assert_eq!(view, *before, "cleaning changed {name}");
    }
    check(store, true).await;
    let report =
        store.engine.check(&Caller::LocalOperator, CheckOptions::default(), &OnProgress::nobody()).await.unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);
    views
}

/// Says on stderr what was going on when a test fails.
pub(crate) struct Told(pub(crate) String);

impl Drop for Told {
    #[expect(clippy::print_stderr, reason = "it is the message of a test that fails")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

/// A crash leaves at most so many blobs without a row; all others are freed in their time.
pub(crate) fn check_quarantine(root: &Path, count_max: usize) {
    let quarantined = files(&data_dir(root).join("quarantine"));
    assert!(quarantined.len() <= count_max, "in quarantine: {quarantined:?}");
}

/// The names of all files beneath a directory.
pub(crate) fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries
        .flat_map(|entry| {
            let is_directory = entry.path().is_dir();
            if is_directory { files(&entry.path()) } else { vec![entry.file_name().into_string().unwrap()] }
        })
        .collect()
}
