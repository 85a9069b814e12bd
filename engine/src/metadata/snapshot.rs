//! Snapshots of the metadata: each is an SQLite file with this program's own schema, whatever database the store uses.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::SystemTime;

use futures::FutureExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Row as _};

use super::copy::copy_to_sqlite;
use super::db::database_error;
use super::link;
use super::{Db, FILE, load_into_postgres};
use crate::names::BlobId;
use crate::settings::Database;
use crate::{Error, PostgresSettings, Result, Settings};

/// Rows of a page.
const ROWS: i64 = 1000;

/// Tells whether the database changed since it was looked at. Another mark may be of the same state; the same mark never is of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChangeMark {
    /// The lengths and times of SQLite's files.
    Files(Vec<Option<(SystemTime, u64)>>),
    /// Which transactions PostgreSQL shows and which are still under way. Only those count that wrote something, on the whole server: what
    /// somebody writes into another database looks like a change, too. Its counters of rows would tell databases apart, but the server
    /// hears of a change only some time after it; the commit sequence counts versions of objects, and no users or keys.
    Transactions(String),
}

/// The files of the database, as they are named beneath a directory.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    ["", "-wal", "-shm"].map(|end| directory.join(format!("{FILE}{end}"))).into()
}

pub(crate) async fn change_mark(db: &Db, settings: &Settings) -> Result<ChangeMark> {
    match &settings.database {
        Database::Embedded => Ok(ChangeMark::Files(file_marks(settings))),
        Database::Postgres(_) => {
            let mark = "SELECT CAST(pg_current_snapshot() AS TEXT) AS mark";
            let mark = db.read_statement("change_mark", move |tx| {
                async move { tx.fetch_one(mark, Vec::new()).await?.text("mark") }.boxed()
            });
            Ok(ChangeMark::Transactions(mark.await?))
        }
    }
}

fn file_marks(settings: &Settings) -> Vec<Option<(SystemTime, u64)>> {
    let mark = |path: &PathBuf| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    // The shared index is rebuilt without any change.
    files(&settings.data_dir)[..2].iter().map(mark).collect()
}

/// How many bytes a snapshot may have, roughly: those of the database.
pub(crate) async fn size_bytes(db: &Db, settings: &Settings) -> Result<u64> {
    match &settings.database {
        Database::Embedded => Ok(file_marks(settings).into_iter().flatten().map(|(_, size)| size).sum()),
        Database::Postgres(_) => {
            // Not of the whole database: what was put aside in other schemas is in no snapshot.
            let size = "SELECT CAST(COALESCE(SUM(pg_total_relation_size(oid)), 0) AS BIGINT) AS size_bytes
                        FROM pg_class
                        WHERE relkind = 'r'
                          AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())";
            let size = db.read_statement("database_size", move |tx| {
                async move { tx.fetch_one(size, Vec::new()).await?.size("size_bytes") }.boxed()
            });
            size.await
        }
    }
}

fn options(settings: &Settings, file: &Path) -> Result<SqliteConnectOptions> {
    let options = SqliteConnectOptions::from_str("sqlite:").map_err(|e| database_error("snapshot", e))?;
    let options = options.filename(file).read_only(true).disable_statement_logging();
    Ok(match settings.disk.sqlite_vfs() {
        Some(vfs) => options.vfs(vfs.to_owned()),
        None => options,
    })
}

/// Writes a consistent snapshot of the running store's database into a new file and makes its bytes durable. It is one long read: writers
/// go on beside it.
pub(crate) async fn make(settings: &Settings, into: &Path) -> Result<()> {
    let failed = |e| Error::io("making a snapshot's file", e);
    // SQLite takes an empty file for none, and so the file has a mode of our choice.
    drop(settings.disk.create_new(into).map_err(failed)?);
    match &settings.database {
        Database::Embedded => vacuum_into(settings, into).await?,
        Database::Postgres(postgres) => copy_to_sqlite(postgres, options(settings, into)?).await?,
    }
    settings.disk.open(into).map_err(failed)?.sync_data().map_err(|e| Error::io("syncing a snapshot", e))
}

async fn vacuum_into(settings: &Settings, into: &Path) -> Result<()> {
    let mut connection =
        options(settings, &settings.data_dir.join(FILE))?.connect().await.map_err(|e| database_error("snapshot", e))?;
    let path = into.to_str().ok_or_else(|| Error::invalid("path", "must be UTF-8"))?;
    let made = sqlx::query("VACUUM INTO $1").bind(path).execute(&mut connection).await;
    // The answer is that of the snapshot; a connection that only read has nothing to lose.
    let _ = connection.close().await;
    made.map(|_| ()).map_err(|e| database_error("snapshot", e))
}

/// Loads a copy of a snapshot, which is used up by it, into a PostgreSQL database: all of it in one transaction, or nothing. What the
/// database holds is moved into the schema `aside`, or refused when there is none. Returns whether something was moved.
pub(crate) async fn load(
    settings: &Settings,
    copy: &Path,
    postgres: &PostgresSettings,
    aside: Option<&str>,
) -> Result<bool> {
    load_into_postgres(options(settings, copy)?, postgres, aside).await
}

/// A blob that a snapshot refers to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlobRow {
    pub(crate) id: BlobId,
    pub(crate) size_bytes: u64,
    pub(crate) crc64nvme: Option<u64>,
}

/// A snapshot that is read.
#[derive(Debug)]
pub(crate) struct Snapshot(SqliteConnection);

impl Snapshot {
    pub(crate) async fn open(settings: &Settings, file: &Path) -> Result<Self> {
        // A snapshot never changes, and its directory may be read-only: no lock, no log.
        let options = options(settings, file)?.immutable(true);
        Ok(Self(link::connect("open_snapshot", &options).await?))
    }

    /// Opens a database that nobody has open, which may need its log to be read. To read only: one that may write would, when it is
    /// closed, write the log into a file that is maybe damaged.
    pub(crate) async fn open_database(settings: &Settings) -> Result<Self> {
        let options = options(settings, &settings.data_dir.join(FILE))?;
        Ok(Self(link::connect("open_database", &options).await?))
    }

    pub(crate) async fn close(self) {
        // Nothing was written.
        let _ = self.0.close().await;
    }

    /// What the database says of its own structure; nothing when it is whole.
    pub(crate) async fn integrity(&mut self) -> Result<Vec<String>> {
        let rows = sqlx::query("PRAGMA integrity_check(100)").fetch_all(&mut self.0).await;
        let rows = rows.map_err(|e| database_error("integrity", e))?;
        let lines = rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<std::result::Result<Vec<_>, _>>();
        let lines = lines.map_err(|e| database_error("integrity", e))?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }

    /// A fact of the store.
    pub(crate) async fn info(&mut self, name: &str) -> Result<Option<String>> {
        let row =
            sqlx::query("SELECT value FROM store_info WHERE name = $1").bind(name).fetch_optional(&mut self.0).await;
        let row = row.map_err(|e| database_error("snapshot_info", e))?;
        row.map(|row| row.try_get(0)).transpose().map_err(|e| database_error("snapshot_info", e))
    }

    /// How many blobs it refers to, and their bytes.
    pub(crate) async fn blob_totals(&mut self) -> Result<(u64, u64)> {
        let row = sqlx::query(
            "SELECT COUNT(*), COALESCE(SUM(size_bytes), 0) FROM (
                 SELECT size_bytes FROM contents WHERE blob_id IS NOT NULL
                 UNION ALL SELECT size_bytes FROM pieces WHERE blob_id IS NOT NULL
                 UNION ALL SELECT size_bytes FROM upload_parts WHERE blob_id IS NOT NULL)",
        );
        let row = row.fetch_one(&mut self.0).await.map_err(|e| database_error("snapshot_blobs", e))?;
        let number = |column: usize| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
        match (number(0), number(1)) {
            (Ok(count), Ok(size_bytes)) => Ok((count, size_bytes)),
            (Err(error), _) | (_, Err(error)) => Err(database_error("snapshot_blobs", error)),
        }
    }

    /// The blobs that it refers to after an id, which is empty before the first; in the order of their ids.
    pub(crate) async fn blobs(&mut self, after: &[u8]) -> Result<Vec<BlobRow>> {
        let rows = sqlx::query(
            "SELECT blob_id, size_bytes, crc64nvme FROM contents WHERE blob_id > $1
             UNION ALL SELECT blob_id, size_bytes, crc64nvme FROM pieces WHERE blob_id > $1
             UNION ALL SELECT blob_id, size_bytes, crc64nvme FROM upload_parts WHERE blob_id > $1
             ORDER BY 1 LIMIT $2",
        );
        let rows = rows.bind(after.to_vec()).bind(ROWS).fetch_all(&mut self.0).await;
        let rows = rows.map_err(|e| database_error("snapshot_blobs", e))?;
        rows.iter().map(blob_row).collect()
    }
}

fn blob_row(row: &sqlx::sqlite::SqliteRow) -> Result<BlobRow> {
    let failed = |e| database_error("snapshot_blobs", e);
    let id: Vec<u8> = row.try_get(0).map_err(failed)?;
    let size_bytes: i64 = row.try_get(1).map_err(failed)?;
    let crc64nvme: Option<i64> = row.try_get(2).map_err(failed)?;
    let size_bytes = u64::try_from(size_bytes).map_err(|_| Error::corrupt("a size in a snapshot is negative"))?;
    Ok(BlobRow { id: BlobId::stored(&id)?, size_bytes, crc64nvme: crc64nvme.map(i64::cast_unsigned) })
}
