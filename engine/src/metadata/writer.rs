//! Group commit: one task owns the writing connection, takes every transaction that waits, runs each in a savepoint of one database
//! transaction, commits once, and answers all.
//!
//! There is no timer: a batch is what arrived while the previous commit was being made durable. So conditions that a transaction
//! checks hold until it is visible, and many small writes share one fsync.

use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::tx::{Sequence, Tx, UsageChanges, add_usage};
use super::values;
use crate::read_only::ReadOnly;
use crate::settings::Faults;
use crate::{Error, Result};

/// Most transactions in one commit.
const BATCH_MAX: usize = 256;
/// Most transactions that may wait; more are refused as [`Error::Busy`].
const QUEUE_MAX: usize = 4096;

/// Hands transactions to the task that owns the writing connection.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    task: tokio::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
}

/// A transaction that waits, with whoever waits for it.
trait Job: Send {
    fn name(&self) -> &'static str;
    /// Runs it and keeps its answer.
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, Ran>;
    /// Answers: with what it kept, or with why the commit failed.
    fn answer(self: Box<Self>, commit: std::result::Result<(), CommitFailure>);
}

/// What running a transaction leaves behind.
enum Ran {
    /// Its changes stay.
    Stays,
    /// It was refused: its changes are undone, the others of the batch go on.
    Undone,
    /// The database failed under it, and may have given up the whole batch.
    Broken(CommitFailure),
}

#[derive(Clone, Debug)]
enum CommitFailure {
    DiskFull,
    ReadOnly(String),
    Failed,
}

struct Call<T, F> {
    name: &'static str,
    body: F,
    kept: Option<Result<T>>,
    waiting: oneshot::Sender<Result<T>>,
}

impl<T, F> Job for Call<T, F>
where
    T: Send + 'static,
    F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, Ran> {
        async move {
            let body = &self.body;
            let result = AssertUnwindSafe(async { body(tx).await }).catch_unwind().await;
            let result = result.unwrap_or(Err(Error::Internal("a transaction panicked")));
            let ran = match &result {
                Ok(_) => Ran::Stays,
                Err(error) => CommitFailure::of(error).map_or(Ran::Undone, Ran::Broken),
            };
            self.kept = Some(result);
            ran
        }
        .boxed()
    }

    fn answer(self: Box<Self>, commit: std::result::Result<(), CommitFailure>) {
        let result = match (commit, self.kept) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(Error::Internal("a transaction was not run")),
            // Even a refusal does not hold when the commit failed: it may rest on what another of the batch did, which is undone.
            (Err(CommitFailure::DiskFull), _) => Err(Error::DiskFull),
            (Err(CommitFailure::ReadOnly(why)), _) => Err(Error::ReadOnly(why)),
            (Err(CommitFailure::Failed), _) => Err(Error::Internal("the commit failed")),
        };
        // Nobody waits any more when the client went away; the commit stands all the same.
        let _ = self.waiting.send(result);
    }
}

impl Writer {
    pub(super) fn start(tx: Tx, faults: Faults, read_only: ReadOnly) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let task = tokio::spawn(commit_batches(tx, waiting, faults, read_only));
        Self { queue: Mutex::new(Some(queue)), task: tokio::sync::Mutex::new(Some(task)) }
    }

    pub(super) async fn run<T, F>(&self, name: &'static str, body: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        let (waiting, answer) = oneshot::channel();
        let queue = lock(&self.queue).clone().ok_or(Error::Internal("the store is closed"))?;
        let call = Box::new(Call { name, body, kept: None, waiting });
        queue.try_send(call).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy,
            mpsc::error::TrySendError::Closed(_) => Error::Internal("the store is closed"),
        })?;
        answer.await.map_err(|_| Error::Internal("the writer stopped"))?
    }

    pub(super) async fn close(&self) {
        lock(&self.queue).take();
        if let Some(task) = self.task.lock().await.take() {
            let _ = task.await;
        }
    }
}

/// A poisoned lock only means that a thread panicked between two plain assignments; the value is whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn commit_batches(mut tx: Tx, mut waiting: mpsc::Receiver<Box<dyn Job>>, faults: Faults, read_only: ReadOnly) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let commit = match read_only.reason() {
            Some(why) => Err(CommitFailure::ReadOnly(why)),
            None => commit_batch(&mut tx, &mut batch, &faults).await,
        };
        if let Err(CommitFailure::ReadOnly(why)) = &commit {
            read_only.begin(why);
        }
        for job in batch.drain(..) {
            job.answer(commit.clone());
        }
    }
    if let super::tx::Connection::Writer(connection) = tx.connection {
        let _ = sqlx::Connection::close(connection).await;
    }
}

async fn commit_batch(
    tx: &mut Tx,
    batch: &mut [Box<dyn Job>],
    faults: &Faults,
) -> std::result::Result<(), CommitFailure> {
    tx.name = "group_commit";
    let committed = match run_batch(tx, batch).await {
        Ok(()) => {
            if !faults.fsync_delay.is_zero() {
                tokio::time::sleep(faults.fsync_delay).await;
            }
            tx.name = "group_commit";
            let next = counted(tx);
            tx.execute("UPDATE sequence SET next = $1 WHERE id = 1 AND next <> $1;\nCOMMIT", values![next])
                .await
                .map(|_| ())
                .map_err(|error| CommitFailure::logged(&error))
        }
        Err(failure) => Err(failure),
    };
    if committed.is_err() {
        // The connection must not stay inside the failed transaction; whether ROLLBACK finds one does not matter.
        let _ = tx.execute("ROLLBACK", Vec::new()).await;
        return committed;
    }
    metrics::counter!("cloudhold_metadata_commits_total").increment(1);
    metrics::counter!("cloudhold_metadata_transactions_total").increment(batch.len() as u64);
    Ok(())
}

async fn run_batch(tx: &mut Tx, batch: &mut [Box<dyn Job>]) -> std::result::Result<(), CommitFailure> {
    let logged = |error: Error| CommitFailure::logged(&error);
    let mut usage = UsageChanges::new();
    tx.execute("BEGIN IMMEDIATE;\nSAVEPOINT one", Vec::new()).await.map_err(logged)?;
    for job in batch.iter_mut() {
        tx.name = job.name();
        tx.usage.clear();
        // Either way the next one finds a savepoint in which nothing was done yet. COMMIT releases the last.
        let next_savepoint = match job.run(tx).await {
            Ran::Stays => {
                for (bucket_id, delta) in std::mem::take(&mut tx.usage) {
                    add_usage(&mut usage, bucket_id, delta);
                }
                "RELEASE one;\nSAVEPOINT one"
            }
            Ran::Undone => "ROLLBACK TO one",
            Ran::Broken(failure) => return Err(failure),
        };
        tx.execute(next_savepoint, Vec::new()).await.map_err(logged)?;
    }
    super::usage::add_deltas(tx, &usage).await.map_err(logged)
}

/// The number that is taken next; the writer's transactions count by themselves.
fn counted(tx: &Tx) -> i64 {
    match tx.sequence {
        Sequence::Counted { next } => next,
        Sequence::Shared => 0,
    }
}

impl CommitFailure {
    /// What a failure of the database means for everybody in the batch; `None` for a refusal, which concerns only the one.
    fn of(error: &Error) -> Option<Self> {
        match error {
            Error::DiskFull => Some(Self::DiskFull),
            Error::Metadata { source: sqlx::Error::Database(database), .. } => {
                Self::of_code(database.code().and_then(|code| code.parse().ok()).unwrap_or_default())
            }
            Error::Metadata { .. } => Some(Self::Failed),
            _ => None,
        }
    }

    /// What an extended result code of SQLite means. A sync that failed, and a write of which nobody knows what arrived, are not to be
    /// trusted until the database is opened again; other failures of the disk pass.
    fn of_code(code: i64) -> Option<Self> {
        const IOERR: i64 = 10;
        const IOERR_WRITE: i64 = IOERR | (3 << 8);
        const IOERR_FSYNC: i64 = IOERR | (4 << 8);
        const IOERR_DIR_FSYNC: i64 = IOERR | (5 << 8);
        const IOERR_TRUNCATE: i64 = IOERR | (6 << 8);
        /// The shared index of the log cannot grow: the disk is full.
        const IOERR_SHMSIZE: i64 = IOERR | (19 << 8);
        match code {
            IOERR_WRITE | IOERR_FSYNC | IOERR_DIR_FSYNC | IOERR_TRUNCATE => {
                Some(Self::ReadOnly(format!("the database could not be made durable (SQLite error {code})")))
            }
            IOERR_SHMSIZE => Some(Self::DiskFull),
            code if code & 0xff == IOERR => Some(Self::Failed),
            _ => None,
        }
    }

    fn logged(error: &Error) -> Self {
        tracing::error!(%error, source = ?std::error::Error::source(error), "a commit failed");
        Self::of(error).unwrap_or(Self::Failed)
    }
}
