//! Group commit: one task owns the writing connection, takes every transaction that waits, runs each in a savepoint of one database
//! transaction, commits once, and answers all.
//!
//! There is no timer: a batch is what arrived while the previous commit was being made durable. So conditions that a transaction
//! checks hold until it is visible, and many small writes share one fsync.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::tx::{Tx, UsageChanges, add_usage};
use super::values;
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
    read_only: Arc<Mutex<Option<String>>>,
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
    F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, Ran> {
        async move {
            let result = AssertUnwindSafe((self.body)(tx)).catch_unwind().await;
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
            // A refusal holds whether or not the others of the batch were committed.
            (_, Some(Err(error))) => Err(error),
            (Ok(()), Some(Ok(answer))) => Ok(answer),
            (Ok(()), None) => Err(Error::Internal("a transaction was not run")),
            (Err(CommitFailure::DiskFull), _) => Err(Error::DiskFull),
            (Err(CommitFailure::ReadOnly(why)), _) => Err(Error::ReadOnly(why)),
            (Err(CommitFailure::Failed), _) => Err(Error::Internal("the commit failed")),
        };
        // Nobody waits any more when the client went away; the commit stands all the same.
        let _ = self.waiting.send(result);
    }
}

impl Writer {
    pub(super) fn start(tx: Tx, faults: Faults) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let read_only = Arc::new(Mutex::new(None));
        let task = tokio::spawn(commit_batches(tx, waiting, faults, read_only.clone()));
        Self { queue: Mutex::new(Some(queue)), read_only, task: tokio::sync::Mutex::new(Some(task)) }
    }

    pub(super) async fn run<T, F>(&self, name: &'static str, body: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        if let Some(why) = self.read_only() {
            return Err(Error::ReadOnly(why));
        }
        let (waiting, answer) = oneshot::channel();
        let queue = lock(&self.queue).clone().ok_or(Error::Internal("the store is closed"))?;
        let call = Box::new(Call { name, body, kept: None, waiting });
        queue.try_send(call).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy,
            mpsc::error::TrySendError::Closed(_) => Error::Internal("the store is closed"),
        })?;
        answer.await.map_err(|_| Error::Internal("the writer stopped"))?
    }

    pub(super) fn read_only(&self) -> Option<String> {
        lock(&self.read_only).clone()
    }

    pub(super) fn stop_writes(&self, why: &str) {
        stop_writes(&self.read_only, why);
    }

    pub(super) async fn close(&self) {
        lock(&self.queue).take();
        if let Some(task) = self.task.lock().await.take() {
            let _ = task.await;
        }
    }
}

fn stop_writes(read_only: &Mutex<Option<String>>, why: &str) {
    let mut state = lock(read_only);
    if state.is_none() {
        tracing::error!(why, "the store is read-only until it is restarted");
        *state = Some(why.to_owned());
    }
}

/// A poisoned lock only means that a thread panicked between two plain assignments; the value is whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn commit_batches(
    mut tx: Tx,
    mut waiting: mpsc::Receiver<Box<dyn Job>>,
    faults: Faults,
    read_only: Arc<Mutex<Option<String>>>,
) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let stopped = lock(&read_only).clone();
        let commit = match stopped {
            Some(why) => Err(CommitFailure::ReadOnly(why)),
            None => commit_batch(&mut tx, &mut batch, &faults).await,
        };
        if let Err(CommitFailure::ReadOnly(why)) = &commit {
            stop_writes(&read_only, why);
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
            tx.execute("COMMIT", Vec::new()).await.map(|_| ()).map_err(|error| CommitFailure::logged(&error))
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
    let first_seq = tx.next_seq;
    let mut usage = UsageChanges::new();
    tx.execute("BEGIN IMMEDIATE", Vec::new()).await.map_err(logged)?;
    for job in batch.iter_mut() {
        tx.name = job.name();
        tx.usage.clear();
        tx.execute("SAVEPOINT one", Vec::new()).await.map_err(logged)?;
        match job.run(tx).await {
            Ran::Stays => {
                for (bucket_id, delta) in std::mem::take(&mut tx.usage) {
                    add_usage(&mut usage, bucket_id, delta);
                }
            }
            Ran::Undone => {
                tx.execute("ROLLBACK TO one", Vec::new()).await.map_err(logged)?;
            }
            Ran::Broken(failure) => return Err(failure),
        }
        tx.execute("RELEASE one", Vec::new()).await.map_err(logged)?;
    }
    super::usage::add_deltas(tx, &usage).await.map_err(logged)?;
    if tx.next_seq != first_seq {
        let next = tx.next_seq;
        tx.execute("UPDATE sequence SET next = $1 WHERE id = 1", values![next]).await.map_err(logged)?;
    }
    Ok(())
}

impl CommitFailure {
    /// What a failure of the database means for everybody in the batch; `None` for a refusal, which concerns only the one.
    fn of(error: &Error) -> Option<Self> {
        /// SQLITE_IOERR, whose upper bits say which operation failed.
        const IO_ERROR: i64 = 10;
        match error {
            Error::DiskFull => Some(Self::DiskFull),
            Error::Metadata { source: sqlx::Error::Database(database), .. } => {
                let code: i64 = database.code().and_then(|code| code.parse().ok()).unwrap_or_default();
                let broken = code & 0xff == IO_ERROR;
                // What could not be written or synced is not to be trusted until the database is opened again.
                broken.then(|| Self::ReadOnly("the database could not be written".to_owned()))
            }
            Error::Metadata { .. } => Some(Self::Failed),
            _ => None,
        }
    }

    fn logged(error: &Error) -> Self {
        tracing::error!(%error, source = ?std::error::Error::source(error), "a commit failed");
        Self::of(error).unwrap_or(Self::Failed)
    }
}
