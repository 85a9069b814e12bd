//! Checkpoints, which write the log of commits into the file of the database.
//!
//! The writer asks for them itself: SQLite makes some of its own, but keeps to itself when one of those fails, and a disk that did not take
//! what it was given must be known.

use std::time::Instant;

use super::job::CommitFailure;
use crate::Result;
use crate::metadata::tx::Tx;

/// When the log is to be written out.
#[derive(Debug)]
pub(super) struct Checkpoints {
    /// Pages from which on it is.
    pages_max: i64,
    /// Pages from which on it is tried again after a reader of an older state, a back-up say, was in the way.
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

    /// Writes the log out if it has become long; as far as readers of older states let it.
    ///
    /// # Errors
    /// What commits must be refused for from now on.
    pub(super) async fn keep_log_short(&mut self, tx: &mut Tx) -> std::result::Result<(), CommitFailure> {
        tx.name = "checkpoint";
        let done = self.write_long_log(tx).await;
        // What a commit takes is told of commits.
        tx.statements = 0;
        match done.map_err(|error| CommitFailure::logged(&error)) {
            Err(failure @ CommitFailure::ReadOnly(_)) => Err(failure),
            // The log stays as it is, and whole; the next commit asks again.
            Err(CommitFailure::DiskFull | CommitFailure::Failed) | Ok(()) => Ok(()),
        }
    }

    async fn write_long_log(&mut self, tx: &mut Tx) -> Result<()> {
        let Log { pages, .. } = ask(tx, "PRAGMA wal_checkpoint(NOOP)").await?;
        if pages < self.pages_max {
            self.retry_at_pages = 0;
        } else if pages >= self.retry_at_pages {
            self.retry_at_pages = pages + self.pages_max / 8;
            let began = Instant::now();
            let log = ask(tx, "PRAGMA wal_checkpoint(PASSIVE)").await?;
            metrics::histogram!("cloudhold_metadata_checkpoint_seconds").record(began.elapsed());
            if log.written_pages < log.pages {
                tracing::debug!(
                    log.pages,
                    log.written_pages,
                    "a reader of an older state keeps the log of the database long"
                );
            }
        }
        Ok(())
    }
}

async fn ask(tx: &mut Tx, statement: &'static str) -> Result<Log> {
    let row = tx.fetch_one(statement, Vec::new()).await?;
    Ok(Log { pages: row.int("log")?, written_pages: row.int("checkpointed")? })
}
