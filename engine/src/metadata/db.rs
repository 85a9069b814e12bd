//! The database: one writing connection with group commit, a pool of reading ones.

use std::io;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlitePool};

use super::tx::{Connection, Tx};
use super::writer::Writer;
use crate::disk::Disk;
use crate::read_only::ReadOnly;
use crate::{Error, Result, Settings};

/// The file of the database in the data directory.
pub(crate) const FILE: &str = "metadata.sqlite";

/// How long a read waits for a connection before it is refused as too much.
const QUEUE_WAIT: Duration = Duration::from_secs(10);

/// How long a connection waits for a lock; only a checkpoint or an outside reader can hold one.
const LOCK_WAIT: Duration = Duration::from_secs(20);

/// The metadata database.
#[derive(Debug)]
pub(crate) struct Db {
    writer: Writer,
    readers: SqlitePool,
    settings: Settings,
    read_only: ReadOnly,
}

impl Db {
    /// Opens the database, brings its schema up to date, and refuses one of a newer program.
    pub(crate) async fn open(settings: &Settings, read_only: ReadOnly) -> Result<Self> {
        let file = settings.data_dir.join(FILE);
        make_private(&*settings.disk, &file)?;
        let options = match settings.disk.sqlite_vfs() {
            Some(vfs) => options(&file)?.vfs(vfs.to_owned()),
            None => options(&file)?,
        };
        let mut connection = options.clone().connect().await.map_err(|e| database_error("open", e))?;
        empty_log(&mut connection).await?;
        migrate(&mut connection).await?;
        let mut tx = Tx::new(Connection::Writer(connection), "open", settings.clock.clone());
        tx.next_seq = tx.fetch_one("SELECT next FROM sequence WHERE id = 1", Vec::new()).await?.int("next")?;
        let readers = SqlitePoolOptions::new()
            .max_connections(settings.readers)
            .min_connections(1)
            .acquire_timeout(QUEUE_WAIT)
            // A local file does not go away between two reads, and a ping costs as much as a lookup.
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.read_only(true).pragma("query_only", "ON"))
            .await
            .map_err(|e| database_error("open", e))?;
        let writer = Writer::start(tx, settings.faults.clone(), read_only.clone());
        Ok(Self { writer, readers, settings: settings.clone(), read_only })
    }

    /// Runs a named transaction in the group commit and answers once it is durable. It may be run again, so `body` clones what it
    /// takes.
    pub(crate) async fn write<T, F>(&self, name: &'static str, body: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        self.writer.run(name, body).await
    }

    /// Runs a named transaction that only reads, on one consistent state.
    pub(crate) async fn read<T, F>(&self, name: &'static str, body: F) -> Result<T>
    where
        T: Send,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send,
    {
        let connection = self.readers.acquire().await.map_err(|e| database_error(name, e))?;
        let tx = Tx::new(Connection::Reader(connection), name, self.settings.clock.clone());
        // The guard is there before BEGIN and until after COMMIT: a caller may be dropped at any await in between.
        let mut reading = Reading { tx, ended: false };
        reading.tx.execute("BEGIN", Vec::new()).await?;
        let answer = body(&mut reading.tx).await;
        reading.tx.execute("COMMIT", Vec::new()).await?;
        reading.ended = true;
        answer
    }

    /// Why no writes are taken, when none are.
    pub(crate) fn read_only(&self) -> Option<String> {
        self.read_only.reason()
    }

    /// Waits for what runs and closes the connections.
    pub(crate) async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }
}

/// A read's transaction. One that did not end leaves its connection in an unknown state, so that connection is closed instead of
/// going back to the pool.
struct Reading {
    tx: Tx,
    ended: bool,
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let (false, Connection::Reader(connection)) = (self.ended, &mut self.tx.connection) {
            connection.close_on_drop();
        }
    }
}

/// Makes the file before the database does, with mode 0600: small objects lie in it. SQLite gives its other files the same mode.
fn make_private(disk: &dyn Disk, file: &Path) -> Result<()> {
    match disk.create_new(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(|_| ()).map_err(|e| Error::io("making the file of the database", e)),
    }
}

fn options(file: &Path) -> Result<SqliteConnectOptions> {
    let options = SqliteConnectOptions::from_str("sqlite:").map_err(|e| database_error("open", e))?;
    Ok(options
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(LOCK_WAIT)
        .statement_cache_capacity(256)
        // A checkpoint syncs the whole database: rarer ones cost less in sum.
        .pragma("wal_autocheckpoint", "8000")
        .pragma("journal_size_limit", "67108864")
        .pragma("cache_size", "-32000")
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging())
}

/// Writes what an earlier process left in the log into the database, where it is synced, before anything is added to the log.
///
/// When a sync of the log fails, its pages stay readable in memory, count as clean, and never reach the disk. A process that starts then
/// reads them as commits, and would write its own behind a gap: everything after the gap would be gone after a power cut.
async fn empty_log(connection: &mut sqlx::SqliteConnection) -> Result<()> {
    let emptied = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(connection).await;
    match emptied.map_err(|e| database_error("empty_log", e)) {
        // There is no room to write it out. Reads must go on, and the log is no worse than it was.
        Err(Error::DiskFull) => {
            tracing::warn!("the disk is full: the log of the database stays as it is");
            Ok(())
        }
        emptied => emptied.map(|_| ()),
    }
}

async fn migrate(connection: &mut sqlx::SqliteConnection) -> Result<()> {
    use sqlx::migrate::MigrateError;
    match sqlx::migrate!("src/metadata/migrations/sqlite").run_direct(None, connection, false).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(version)) => Err(Error::Unusable(format!(
            "the database has schema version {version}, which a newer Cloudhold wrote; start that one"
        ))),
        Err(error) => Err(Error::Unusable(format!("the database's schema could not be brought up to date: {error}"))),
    }
}

/// Names the transaction in which the database failed; a full disk has its own error.
pub(super) fn database_error(transaction: &'static str, source: sqlx::Error) -> Error {
    /// SQLITE_FULL.
    const FULL: &str = "13";
    match &source {
        sqlx::Error::PoolTimedOut => Error::Busy,
        sqlx::Error::Database(error) if error.code().as_deref() == Some(FULL) => Error::DiskFull,
        _ => Error::Metadata { transaction, source },
    }
}
