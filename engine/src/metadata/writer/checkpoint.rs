//! Checkpoints, which write the log of commits into the file of the database.
//!
//! The writer asks for them itself: SQLite makes some of its own, but keeps to itself when one of those fails, and a disk that did not take
//! what it was given must be known.

use std::time::Instant;

use super::job::CommitFailure;
use crate::Result;
use crate::metadata::tx::Tx;

/// Writes the log out as far as readers of older states let it.
const PASSIVE: &str = "PRAGMA wal_checkpoint(PASSIVE)";
/// The same, and waits for readers, so that the next commit begins the log anew.
const RESTART: &str = "PRAGMA wal_checkpoint(RESTART)";
/// How many times as long as it should be the log may become before readers are waited for: a long read, as a back-up is one, would keep
/// all writes waiting again and again.
const LENGTHS_MAX: i64 = 64;
/// After how many more lengths it is tried again then.
const LENGTHS_MORE: i64 = 8;
/// How long is waited for readers, in milliseconds, and how long for locks otherwise.
const WAIT_SHORT: &str = "PRAGMA busy_timeout = 200";
const WAIT_LONG: &str = "PRAGMA busy_timeout = 20000";

/// When the log is to be written out.
#[derive(Debug)]
pub(super) struct Checkpoints {
    /// Pages from which on it is.
    pages_max: i64,
    /// Pages from which on it is tried again when it was not all, or the log did not begin anew.
    retry_at_pages: i64,
}

/// How far the log is written out.
struct Log {
    pages: i64,
    written_pages: i64,
}

impl Checkpoints {
    pub(super) fn new(pages_max: u32) -> Self {
        Self { pages_max: pages_max.into(), retry_at_pages: 0 }
    }

    /// Writes the log out if it has become long.
    ///
    /// # Errors
    /// What commits must be refused for from now on.
    pub(super) async fn keep_log_short(&mut self, tx: &mut Tx) -> std::result::Result<(), CommitFailure> {
        tx.name = "checkpoint";
        let done = self.write_long_log(tx).await;
        // What a commit takes is told of commits.
        tx.statements = 0;
        let Err(error) = done else { return Ok(()) };
        tracing::error!(%error, source = ?std::error::Error::source(&error), "the log of the database could not be written out");
        metrics::counter!("cloudhold_metadata_checkpoints_failed_total").increment(1);
        match CommitFailure::of(&error) {
            Some(failure @ CommitFailure::ReadOnly(_)) => Err(failure),
            // The log stays as it is, and whole. The next commit asks again.
            Some(CommitFailure::DiskFull | CommitFailure::Failed) | None => Ok(()),
        }
    }

    async fn write_long_log(&mut self, tx: &mut Tx) -> Result<()> {
        let Log { pages, .. } = ask(tx, "PRAGMA wal_checkpoint(NOOP)").await?;
        metrics::gauge!("cloudhold_metadata_log_pages").set(pages as f64);
        if pages < self.pages_max {
            self.retry_at_pages = 0;
            return Ok(());
        }
        if pages < self.retry_at_pages {
            return Ok(());
        }
        let began = Instant::now();
        let log = ask(tx, PASSIVE).await?;
        metrics::histogram!("cloudhold_metadata_checkpoint_seconds").record(began.elapsed());
        if pages > self.pages_max.saturating_mul(LENGTHS_MAX) {
            return self.begin_anew(tx, pages).await;
        }
        let is_whole = log.written_pages >= log.pages;
        // The next commit begins a log anew that is written out, unless somebody is just reading: then one of the following does.
        self.retry_at_pages = pages + if is_whole { self.pages_max / 8 } else { self.pages_max };
        Ok(())
    }

    /// Waits a moment for those who read, as they would keep the log growing for ever. Who reads an older state for long, as a back-up does,
    /// is not waited for, and the log grows meanwhile.
    async fn begin_anew(&mut self, tx: &mut Tx, pages: i64) -> Result<()> {
        tx.execute(WAIT_SHORT, Vec::new()).await?;
        let log = ask(tx, RESTART).await;
        tx.execute(WAIT_LONG, Vec::new()).await?;
        let log = log?;
        if log.written_pages < log.pages {
            tracing::warn!(
                log.pages,
                log.written_pages,
                "somebody reads an older state, and the log of the database is long"
            );
        }
        self.retry_at_pages = pages + LENGTHS_MORE * self.pages_max;
        Ok(())
    }
}

async fn ask(tx: &mut Tx, statement: &'static str) -> Result<Log> {
    let row = tx.fetch_one(statement, Vec::new()).await?;
    Ok(Log { pages: row.int("log")?, written_pages: row.int("checkpointed")? })
}
