//! SQLite in the data directory: one writing connection with group commit, a pool of reading ones.

use std::io;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};

use super::changes::Changes;
use super::db::database_error;
use super::link::{self, Link};
use super::migrate;
use super::readers::Readers;
use super::tx::{Connection, Sequence, Tx};
use super::writer::Writer;
use crate::bytes::blocking;
use crate::disk::Disk;
use crate::fair::Share;
use crate::journal::Journal;
use crate::read_only::ReadOnly;
use crate::{Clock, Error, Result, Settings};

/// The file of the database in the data directory.
pub(crate) const FILE: &str = "metadata.sqlite";

/// SQLite's log of commits beside it.
const LOG: &str = "metadata.sqlite-wal";

/// Bytes of the log that are renewed at once.
const RENEW_BYTES: u64 = 1 << 20;

/// How long a connection waits for a lock; only a checkpoint or an outside reader can hold one.
const LOCK_WAIT: Duration = Duration::from_secs(20);

/// Rows of an answer that may wait for the reader: a page of a listing, and the row that says that more follows.
const ROWS_BUFFERED: usize = 1024;

/// Pages that connections keep, as SQLite is told: KiB with a minus. Readers find what they do not keep in the system's cache, which all of
/// them share.
const WRITER_CACHE: &str = "-32000";
const READER_CACHE: &str = "-12000";

/// An open database file.
#[derive(Debug)]
pub(super) struct Sqlite {
    writer: Writer,
    readers: Readers,
    read_only: ReadOnly,
}

impl Sqlite {
    pub(super) async fn open(settings: &Settings, journal: Journal, read_only: ReadOnly) -> Result<Self> {
        let (connection, options) = connect(settings).await?;
        let writer = Connection::Writer(Link::new(connection));
        let mut tx = Tx::new(writer, "open", settings.clock.clone(), Sequence::Counted { next: 0 });
        let next = super::store_info::next_number(&mut tx).await?;
        tx.sequence = Sequence::Counted { next };
        let reading = options.read_only(true).pragma("query_only", "ON").pragma("cache_size", READER_CACHE);
        let readers = Readers::new(reading, settings.readers);
        let (faults, log_pages_max) = (settings.faults.clone(), settings.log_pages_max);
        let writer = Writer::start(tx, faults, journal, log_pages_max, read_only.clone())?;
        Ok(Self { writer, readers, read_only })
    }

    /// Runs a transaction in the group commit.
    pub(super) async fn write<T, F>(&self, share: Share, name: &'static str, body: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        self.writer.run(share, name, body).await
    }

    /// Makes changes in the group commit.
    pub(super) async fn change<T: Send + 'static>(&self, share: Share, changes: Changes<T>) -> Result<T> {
        self.writer.change(share, changes).await
    }

    /// A connection to read with, on which nothing is begun yet.
    pub(super) async fn reader(&self, share: &Share, name: &'static str, clock: &Clock) -> Result<Tx> {
        let connection = Connection::Reader(self.readers.take(share, name).await?);
        // A read takes no number of the commit sequence.
        Ok(Tx::new(connection, name, clock.clone(), Sequence::Counted { next: 0 }))
    }

    pub(super) async fn close(&self) {
        // Only a connection that may write empties the log when it is the last one. After a failed sync none may: what was lost is still in
        // memory, and would get into the file of the database from there, while the disk has no log of it. So somebody stays who only reads.
        let stays = match self.read_only.reason() {
            Some(_) => self.readers.take(&Share::Store, "close").await.ok(),
            None => None,
        };
        if stays.is_some() {
            self.writer.close().await;
        }
        drop(stays);
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Opens the file with a connection that may write, its log emptied and its schema up to date; and how to open it again.
pub(super) async fn connect(settings: &Settings) -> Result<(SqliteConnection, SqliteConnectOptions)> {
    let file = settings.data_dir.join(FILE);
    make_private(&*settings.disk, &file)?;
    let (disk, log) = (settings.disk.clone(), settings.data_dir.join(LOG));
    blocking(move || renew_log(&*disk, &log)).await?;
    let options = match settings.disk.sqlite_vfs() {
        Some(vfs) => options(&file)?.vfs(vfs.to_owned()),
        None => options(&file)?,
    };
    let mut connection = link::connect("open", &options).await?;
    empty_log(&mut connection).await?;
    migrate::sqlite(&mut connection).await?;
    empty_log(&mut connection).await?;
    Ok((connection, options))
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
        // A page of a listing goes to whoever asked in one go: after so many rows both threads wait for each other.
        .row_buffer_size(ROWS_BUFFERED)
        // Each checkpoint is asked for: of its own SQLite does not say that one failed.
        .pragma("wal_autocheckpoint", "0")
        .pragma("journal_size_limit", "67108864")
        .pragma("cache_size", WRITER_CACHE)
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging())
}

/// Writes the log that an earlier process left once more where it stands, and syncs it, before SQLite reads it.
///
/// When a sync of the log fails, its pages stay readable in memory, count as clean, and never reach the disk. SQLite takes them for commits
/// and writes them into the file of the database, and if the power fails then, the disk has a part of that and no log to make it whole.
fn renew_log(disk: &dyn Disk, log: &Path) -> Result<()> {
    let failed = |e| Error::io("renewing the log of the database", e);
    let file = match disk.open_to_change(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(failed)?,
    };
    let (mut at, length_bytes) = (0, file.length_bytes().map_err(failed)?);
    while at < length_bytes {
        let mut bytes = vec![0; usize::try_from(RENEW_BYTES.min(length_bytes - at)).unwrap_or_default()];
        // What cannot be read SQLite does not take for a commit, either.
        if let Err(error) = file.read_exact_at(&mut bytes, at) {
            tracing::warn!(at, %error, "the log of the database cannot be read from here on");
            break;
        }
        match file.write_at(&bytes, at).map_err(failed) {
            // Reads must go on.
            Err(Error::DiskFull) => {
                tracing::warn!("the disk is full: the log of the database could not be renewed");
                break;
            }
            written => written?,
        }
        at += bytes.len() as u64;
    }
    file.sync_data().map_err(failed)
}

/// Writes what an earlier process left in the log into the database, where it is synced, before anything is added to the log: behind
/// pages that never reached the disk, everything would be gone after a power cut.
async fn empty_log(connection: &mut SqliteConnection) -> Result<()> {
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
