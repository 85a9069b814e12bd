//! Transactions that wait, and how each is answered.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use crate::metadata::changes::{Changes, Group, Outcomes};
use crate::metadata::quota;
use crate::metadata::tx::Tx;
use crate::{Durability, Error, Result};

/// A transaction that waits, with whoever waits for it.
pub(super) trait Job: Send {
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
pub(super) enum Ran {
    /// Its changes stay.
    Stays,
    /// It was refused: its changes are undone, the others of the batch go on.
    Undone,
    /// The database failed under it, and may have given up the whole batch.
    Broken(CommitFailure),
}

#[derive(Clone, Debug)]
pub(super) enum CommitFailure {
    DiskFull,
    ReadOnly(String),
    Failed,
}

/// What waits for the answer of a transaction.
pub(super) struct Answer<T> {
    pub(super) kept: Option<Result<T>>,
    pub(super) waiting: oneshot::Sender<Result<T>>,
}

/// A transaction of any statements.
pub(super) struct Call<T, F> {
    pub(super) name: &'static str,
    pub(super) body: F,
    pub(super) answer: Answer<T>,
}

/// A transaction of changes.
pub(super) struct ChangeCall<T> {
    pub(super) changes: Changes<T>,
    pub(super) answer: Answer<T>,
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
pub(in crate::metadata) async fn caught<T>(body: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(body).catch_unwind().await.unwrap_or(Err(Error::Internal("a transaction panicked")))
}

/// Refuses a transaction that is done, but would let a bucket hold too much.
async fn settled<T>(done: Result<T>, tx: &mut Tx) -> Result<T> {
    let answer = done?;
    quota::refuse_excess(tx).await.map(|()| answer)
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
            let result = caught(async { settled(body(tx).await, tx).await }).await;
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
            let result = caught(async { settled(self.changes.make(tx).await, tx).await }).await;
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

impl CommitFailure {
    /// What a failure of the database means for everybody in the batch; `None` for a refusal, which concerns only the one.
    pub(super) fn of(error: &Error) -> Option<Self> {
        match error {
            Error::DiskFull => Some(Self::DiskFull),
            Error::Metadata { source: sqlx::Error::Database(database), .. } => {
                Self::of_code(database.code().and_then(|code| code.parse().ok()).unwrap_or_default())
            }
            // Nobody answers on the one connection that writes any more, and only a start makes another one.
            Error::Metadata { source: sqlx::Error::WorkerCrashed, .. } => {
                Some(Self::ReadOnly("the connection that writes to the database broke off".to_owned()))
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

    pub(super) fn logged(error: &Error) -> Self {
        tracing::error!(%error, source = ?std::error::Error::source(error), "a commit failed");
        Self::of(error).unwrap_or(Self::Failed)
    }
}
