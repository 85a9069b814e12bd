//! Group commit: one task owns the writing connection, takes every transaction that waits, runs each in a savepoint of one database
//! transaction, commits once, and answers all.
//!
//! There is no timer: a batch is what arrived while the previous commit was being made durable. So conditions that a transaction
//! checks hold until it is visible, and many small writes share one fsync. When more wait than a batch takes, tenants take turns.
//!
//! A batch of relaxed transactions only is committed without an fsync. The log is sequential: whatever fsync comes next makes it durable,
//! with that of a strict one as with the one that is due a second later at the latest.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::changes::{self, Changes, Group, Outcomes};
use super::tx::{Sequence, Tx, UsageChanges, add_usage};
use super::values;
use crate::fair::{FairQueue, Share};
use crate::read_only::ReadOnly;
use crate::settings::Faults;
use crate::{Durability, Error, Result};

/// Most transactions in one commit.
const BATCH_MAX: usize = 256;
/// How long an answered transaction may stay without being durable.
const RELAXED_MAX: Duration = Duration::from_secs(1);
/// Most transactions that may wait; beyond it the newest of who has the most is refused as [`Error::Busy`].
const QUEUE_MAX: usize = 4096;

/// Hands transactions to the task that owns the writing connection.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Arc<Queue>,
    task: tokio::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
}

/// Where transactions wait.
#[derive(Debug)]
struct Queue {
    state: Mutex<Waiting>,
    filled: Notify,
}

struct Waiting {
    jobs: FairQueue<Box<dyn Job>>,
    is_closed: bool,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Waiting").field("count", &self.jobs.len()).finish_non_exhaustive()
    }
}

impl Queue {
    fn new() -> Self {
        let waiting = Waiting { jobs: FairQueue::new(QUEUE_MAX), is_closed: false };
        Self { state: Mutex::new(waiting), filled: Notify::new() }
    }

    /// A poisoned lock only means that a thread panicked between whole changes.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, share: Share, job: Box<dyn Job>) -> Result<()> {
        let (refused, count) = {
            let mut waiting = self.lock();
            if waiting.is_closed {
                return Err(Error::Internal("the store is closed"));
            }
            (waiting.jobs.push(share, job), waiting.jobs.len())
        };
        metrics::gauge!("cloudhold_metadata_waiting").set(count as f64);
        if let Some(refused) = refused {
            metrics::counter!("cloudhold_metadata_refused_total").increment(1);
            refused.refuse();
        }
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for transactions and moves some to a list; none once the queue is closed and empty.
    async fn take(&self, batch: &mut Vec<Box<dyn Job>>) {
        loop {
            let is_closed = {
                let mut waiting = self.lock();
                waiting.jobs.take(batch, BATCH_MAX);
                metrics::gauge!("cloudhold_metadata_waiting").set(waiting.jobs.len() as f64);
                waiting.is_closed
            };
            if is_closed || !batch.is_empty() {
                return;
            }
            self.filled.notified().await;
        }
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.filled.notify_one();
    }
}

/// Ends waiting when nobody serves the queue any more, whatever the reason.
struct Serving(Arc<Queue>);

impl Drop for Serving {
    fn drop(&mut self) {
        let mut left = Vec::new();
        let mut waiting = self.0.lock();
        waiting.is_closed = true;
        waiting.jobs.take(&mut left, usize::MAX);
        drop(waiting);
        // Whoever waits learns by the end of its channel that the writer stopped.
        drop(left);
    }
}

/// A transaction that waits, with whoever waits for it.
trait Job: Send {
    fn name(&self) -> &'static str;
    fn durability(&self) -> Durability;
    /// The changes that are all of it, when it is made of changes: they can be made together with those of others.
    fn changes(&self) -> Option<Group<'_>>;
    /// Keeps what became of its changes for the answer.
    fn keep(&mut self, outcomes: Outcomes);
    /// Runs it and keeps its answer.
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, Ran>;
    /// Answers: with what it kept, or with why the commit failed.
    fn answer(self: Box<Self>, commit: std::result::Result<(), CommitFailure>);
    /// Answers that there was no room to wait.
    fn refuse(self: Box<Self>);
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

/// What waits for the answer of a transaction.
struct Answer<T> {
    kept: Option<Result<T>>,
    waiting: oneshot::Sender<Result<T>>,
}

/// A transaction of any statements.
struct Call<T, F> {
    name: &'static str,
    body: F,
    answer: Answer<T>,
}

/// A transaction of changes.
struct ChangeCall<T> {
    changes: Changes<T>,
    answer: Answer<T>,
}

impl<T> Answer<T> {
    /// Keeps a result until the commit.
    fn keep(&mut self, result: Result<T>) -> Ran {
        let ran = match &result {
            Ok(_) => Ran::Stays,
            Err(error) => CommitFailure::of(error).map_or(Ran::Undone, Ran::Broken),
        };
        self.kept = Some(result);
        ran
    }

    fn send(self, commit: std::result::Result<(), CommitFailure>) {
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

    fn refuse(self) {
        let _ = self.waiting.send(Err(Error::Busy));
    }
}

/// Runs a transaction's body; a panic in it is its own.
async fn caught<T>(body: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(body).catch_unwind().await.unwrap_or(Err(Error::Internal("a transaction panicked")))
}

impl<T, F> Job for Call<T, F>
where
    T: Send + 'static,
    F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn durability(&self) -> Durability {
        Durability::Strict
    }

    fn changes(&self) -> Option<Group<'_>> {
        None
    }

    fn keep(&mut self, _: Outcomes) {}

    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, Ran> {
        async move {
            let body = &self.body;
            let result = caught(async { body(tx).await }).await;
            self.answer.keep(result)
        }
        .boxed()
    }

    fn answer(self: Box<Self>, commit: std::result::Result<(), CommitFailure>) {
        self.answer.send(commit);
    }

    fn refuse(self: Box<Self>) {
        self.answer.refuse();
    }
}

impl<T: Send + 'static> Job for ChangeCall<T> {
    fn name(&self) -> &'static str {
        self.changes.name
    }

    fn durability(&self) -> Durability {
        self.changes.durability
    }

    fn changes(&self) -> Option<Group<'_>> {
        Some(self.changes.group())
    }

    fn keep(&mut self, outcomes: Outcomes) {
        let result = outcomes.and_then(self.changes.finish);
        self.answer.keep(result);
    }

    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, Ran> {
        async move {
            let result = caught(self.changes.make(tx)).await;
            self.answer.keep(result)
        }
        .boxed()
    }

    fn answer(self: Box<Self>, commit: std::result::Result<(), CommitFailure>) {
        self.answer.send(commit);
    }

    fn refuse(self: Box<Self>) {
        self.answer.refuse();
    }
}

impl Writer {
    pub(super) fn start(tx: Tx, faults: Faults, read_only: ReadOnly) -> Self {
        let queue = Arc::new(Queue::new());
        let task = tokio::spawn(commit_batches(tx, queue.clone(), faults, read_only));
        Self { queue, task: tokio::sync::Mutex::new(Some(task)) }
    }

    pub(super) async fn run<T, F>(&self, share: Share, name: &'static str, body: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        let (waiting, answer) = oneshot::channel();
        self.queue.add(share, Box::new(Call { name, body, answer: Answer { kept: None, waiting } }))?;
        answer.await.map_err(|_| Error::Internal("the writer stopped"))?
    }

    /// Makes changes, together with those of others that wait.
    pub(super) async fn change<T: Send + 'static>(&self, share: Share, changes: Changes<T>) -> Result<T> {
        let (waiting, answer) = oneshot::channel();
        self.queue.add(share, Box::new(ChangeCall { changes, answer: Answer { kept: None, waiting } }))?;
        answer.await.map_err(|_| Error::Internal("the writer stopped"))?
    }

    pub(super) async fn close(&self) {
        self.queue.close();
        if let Some(task) = self.task.lock().await.take() {
            let _ = task.await;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
    }
}

async fn commit_batches(tx: Tx, queue: Arc<Queue>, faults: Faults, read_only: ReadOnly) {
    let serving = Serving(queue);
    let mut committer = Committer { tx, faults, durability: Durability::Strict, sync_due: None };
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        committer.wait_for(&serving.0, &mut batch).await;
        let is_closed = batch.is_empty() && serving.0.lock().is_closed;
        if is_closed && committer.sync_due.is_none() {
            break;
        }
        let commit = match read_only.reason() {
            Some(why) => Err(CommitFailure::ReadOnly(why)),
            None => committer.commit(&mut batch).await,
        };
        if let Err(CommitFailure::ReadOnly(why)) = &commit {
            read_only.begin(why);
        }
        for job in batch.drain(..) {
            job.answer(commit.clone());
        }
        // Whatever came of it, there is no later.
        if is_closed {
            break;
        }
        if read_only.reason().is_some() {
            committer.sync_due = None;
        }
    }
    if let super::tx::Connection::Writer(connection) = committer.tx.connection {
        let _ = sqlx::Connection::close(connection).await;
    }
}

/// Commits on the one connection that writes.
struct Committer {
    tx: Tx,
    faults: Faults,
    /// How the connection commits.
    durability: Durability,
    /// When commits that are not durable yet must be.
    sync_due: Option<Instant>,
}

impl Committer {
    /// Waits for transactions, or until what was committed before must be made durable, or until there will be none any more.
    async fn wait_for(&self, queue: &Queue, batch: &mut Vec<Box<dyn Job>>) {
        match self.sync_due {
            None => queue.take(batch).await,
            Some(due) => tokio::time::timeout_at(due, queue.take(batch)).await.unwrap_or_default(),
        }
    }

    /// Commits a batch, which may be empty when it is only about what was committed before.
    async fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> std::result::Result<(), CommitFailure> {
        let is_due = batch.is_empty() || self.sync_due.is_some_and(|due| Instant::now() >= due);
        let is_relaxed = batch.iter().all(|job| job.durability() == Durability::Relaxed);
        let durability = if is_relaxed && !is_due { Durability::Relaxed } else { Durability::Strict };
        let committed = self.commit_as(durability, batch).await;
        match (&committed, durability) {
            (Ok(()), Durability::Strict) => self.sync_due = None,
            (Ok(()), Durability::Relaxed) => {
                self.sync_due.get_or_insert_with(|| Instant::now() + RELAXED_MAX);
            }
            // What is due stays due, but not at once: a full disk would be asked without a pause.
            (Err(_), _) => self.sync_due = self.sync_due.map(|_| Instant::now() + RELAXED_MAX),
        }
        committed
    }

    async fn commit_as(
        &mut self,
        durability: Durability,
        batch: &mut [Box<dyn Job>],
    ) -> std::result::Result<(), CommitFailure> {
        self.tx.name = "group_commit";
        self.become_as(durability).await?;
        let committed = match run_batch(&mut self.tx, batch).await {
            Ok(()) => self.end(durability).await,
            Err(failure) => Err(failure),
        };
        if committed.is_err() {
            // The connection must not stay inside the failed transaction; whether ROLLBACK finds one does not matter.
            let _ = self.tx.execute("ROLLBACK", Vec::new()).await;
            return committed;
        }
        super::tx::count_commit(batch.len(), std::mem::take(&mut self.tx.statements));
        Ok(())
    }

    /// Lets the connection sync its commits, or leave that. It can be changed between transactions only.
    async fn become_as(&mut self, durability: Durability) -> std::result::Result<(), CommitFailure> {
        if self.durability == durability {
            return Ok(());
        }
        let statement = match durability {
            Durability::Strict => "PRAGMA synchronous = FULL",
            Durability::Relaxed => "PRAGMA synchronous = NORMAL",
        };
        self.tx.execute(statement, Vec::new()).await.map_err(|error| CommitFailure::logged(&error))?;
        self.durability = durability;
        Ok(())
    }

    async fn end(&mut self, durability: Durability) -> std::result::Result<(), CommitFailure> {
        if durability == Durability::Strict && !self.faults.fsync_delay.is_zero() {
            tokio::time::sleep(self.faults.fsync_delay).await;
        }
        self.tx.name = "group_commit";
        // A commit that changes nothing syncs nothing: one that is only about those before takes a number for itself.
        if self.sync_due.is_some() && durability == Durability::Strict {
            self.tx.skip_seq();
        }
        let next = counted(&self.tx);
        self.tx
            .execute("UPDATE sequence SET next = $1 WHERE id = 1 AND next <> $1;\nCOMMIT", values![next])
            .await
            .map(|_| ())
            .map_err(|error| CommitFailure::logged(&error))
    }
}

async fn run_batch(tx: &mut Tx, batch: &mut [Box<dyn Job>]) -> std::result::Result<(), CommitFailure> {
    let logged = |error: Error| CommitFailure::logged(&error);
    let mut usage = UsageChanges::new();
    tx.execute("BEGIN IMMEDIATE;\nSAVEPOINT one", Vec::new()).await.map_err(logged)?;
    let is_done = run_together(tx, batch, &mut usage).await?;
    for (job, is_done) in batch.iter_mut().zip(is_done) {
        if is_done {
            continue;
        }
        tx.name = job.name();
        tx.usage.clear();
        tx.rows = 0;
        let ran = job.run(tx).await;
        super::tx::count_rows(job.name(), tx.rows);
        end_step(tx, ran, &mut usage).await?;
    }
    super::usage::add_deltas(tx, &usage).await.map_err(logged)
}

/// Makes the changes of all that are made of changes, as far as that goes together; says which of the batch are done by that.
async fn run_together(
    tx: &mut Tx,
    batch: &mut [Box<dyn Job>],
    usage: &mut UsageChanges,
) -> std::result::Result<Vec<bool>, CommitFailure> {
    let (places, groups): (Vec<usize>, Vec<Group<'_>>) =
        batch.iter().enumerate().filter_map(|(place, job)| Some((place, job.changes()?))).unzip();
    let mut is_done = vec![false; batch.len()];
    if groups.is_empty() {
        return Ok(is_done);
    }
    tx.name = "changes";
    tx.usage.clear();
    tx.rows = 0;
    let made = caught(changes::make_together(tx, &groups)).await;
    super::tx::count_rows("changes", tx.rows);
    let ran = match &made {
        Ok(_) => Ran::Stays,
        // One of them may be to blame: each is tried by itself then.
        Err(error) => CommitFailure::of(error).map_or(Ran::Undone, Ran::Broken),
    };
    end_step(tx, ran, usage).await?;
    for (place, outcomes) in places.into_iter().zip(made.unwrap_or_default()) {
        if let Some(outcomes) = outcomes {
            batch[place].keep(outcomes);
            is_done[place] = true;
        }
    }
    Ok(is_done)
}

/// Ends a savepoint: either way the next one finds one in which nothing was done yet. COMMIT releases the last.
async fn end_step(tx: &mut Tx, ran: Ran, usage: &mut UsageChanges) -> std::result::Result<(), CommitFailure> {
    let next_savepoint = match ran {
        Ran::Stays => {
            for (bucket_id, delta) in std::mem::take(&mut tx.usage) {
                add_usage(usage, bucket_id, delta);
            }
            "RELEASE one;\nSAVEPOINT one"
        }
        Ran::Undone => "ROLLBACK TO one",
        Ran::Broken(failure) => return Err(failure),
    };
    tx.execute(next_savepoint, Vec::new()).await.map_err(|error| CommitFailure::logged(&error))?;
    Ok(())
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
