//! Changes of those who wait at the same time, made in one transaction.
//!
//! Alone, each would pay every way to the server and wait for the disk by itself, and where many write to one bucket they get in each
//! other's way: a serializable transaction that wrote between the rows of another is run again. So one such transaction runs at a time, and
//! whoever comes meanwhile is in the next. Nobody waits when nobody else writes.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::Shared;
use crate::fair::{FairQueue, Share};
use crate::metadata::changes::{self, Changes, Group, Outcomes};
use crate::metadata::writer::caught;
use crate::{Durability, Error, Result};

/// Most transactions of changes in one of the database: no more than a statement has rows.
const BATCH_MAX: usize = 64;
/// Most changes of one that is made together with others: who brings many is made beside, and nobody waits for it.
const CHANGES_MAX: usize = 8;
/// Most that may wait; beyond it the newest of who has the most is refused as [`Error::Busy`].
const WAITING_MAX: usize = 4096;

/// Where changes wait, and who makes them.
#[derive(Debug)]
pub(super) struct Together {
    shared: Shared,
    /// What goes on when nobody waits for it any more.
    tasks: TaskTracker,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    waiting: FairQueue<Box<dyn Waiting>>,
    is_running: bool,
}

/// Changes that wait, with whoever waits for them.
trait Waiting: Send + Sync {
    fn durability(&self) -> Durability;
    fn group(&self) -> Group<'_>;
    /// Answers with what became of them.
    fn finish(self: Box<Self>, outcomes: Outcomes);
    /// Answers that they were not made, or that nobody knows.
    fn fail(self: Box<Self>, error: Error);
    /// Makes them in a transaction of their own and answers.
    fn make_alone(self: Box<Self>, shared: Shared) -> BoxFuture<'static, ()>;
}

struct ChangeCall<T> {
    share: Share,
    changes: Changes<T>,
    answer: oneshot::Sender<Result<T>>,
}

/// Nobody listens to an answer any more when the client went away; what was made stands all the same.
impl<T: Send + 'static> Waiting for ChangeCall<T> {
    fn durability(&self) -> Durability {
        self.changes.durability
    }

    fn group(&self) -> Group<'_> {
        self.changes.group()
    }

    fn finish(self: Box<Self>, outcomes: Outcomes) {
        let _ = self.answer.send(outcomes.and_then(self.changes.finish));
    }

    fn fail(self: Box<Self>, error: Error) {
        let _ = self.answer.send(Err(error));
    }

    fn make_alone(self: Box<Self>, shared: Shared) -> BoxFuture<'static, ()> {
        let Self { share, changes, answer } = *self;
        async move {
            let _ = answer.send(shared.make(&share, changes).await);
        }
        .boxed()
    }
}

impl Together {
    pub(super) fn new(shared: Shared, tasks: TaskTracker) -> Arc<Self> {
        let state = Mutex::new(State { waiting: FairQueue::new(WAITING_MAX), is_running: false });
        Arc::new(Self { shared, tasks, state })
    }

    /// A poisoned lock only means that a thread panicked between whole changes.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes changes with the next transaction.
    pub(super) async fn make<T: Send + 'static>(self: &Arc<Self>, share: Share, changes: Changes<T>) -> Result<T> {
        let (answer, made) = oneshot::channel();
        self.add(share.clone(), Box::new(ChangeCall { share, changes, answer }));
        made.await.map_err(|_| Error::Internal("a transaction panicked"))?
    }

    fn add(self: &Arc<Self>, share: Share, call: Box<dyn Waiting>) {
        if call.group().changes_count() > CHANGES_MAX {
            return self.make_apart(call);
        }
        let (refused, count, is_first) = {
            let mut state = self.lock();
            let refused = state.waiting.push(share, call);
            (refused, state.waiting.len(), !std::mem::replace(&mut state.is_running, true))
        };
        metrics::gauge!("cloudhold_metadata_waiting").set(count as f64);
        if let Some(refused) = refused {
            metrics::counter!("cloudhold_metadata_refused_total").increment(1);
            refused.fail(Error::Busy);
        }
        if is_first {
            self.tasks.spawn(self.clone().run());
        }
    }

    /// Makes what waits until nothing does. Each batch is a task of its own: a panic in one is nobody else's.
    async fn run(self: Arc<Self>) {
        while let Some(batch) = self.next() {
            let _ = self.tasks.spawn(self.clone().commit(batch)).await;
        }
    }

    /// Those who wait, in turn; none when there are none, and whoever comes then begins anew.
    fn next(&self) -> Option<Vec<Box<dyn Waiting>>> {
        let mut batch = Vec::new();
        let mut state = self.lock();
        state.waiting.take(&mut batch, BATCH_MAX);
        metrics::gauge!("cloudhold_metadata_waiting").set(state.waiting.len() as f64);
        state.is_running = !batch.is_empty();
        state.is_running.then_some(batch)
    }

    /// Makes the changes of a batch and answers all.
    async fn commit(self: Arc<Self>, mut batch: Vec<Box<dyn Waiting>>) {
        // By themselves they are made whole, also what does not go together with others.
        if batch.len() == 1 {
            if let Some(only) = batch.pop() {
                only.make_alone(self.shared.clone()).await;
            }
            return;
        }
        // Two nodes that change the same rows do so in the same order, so that neither has what the other waits for.
        batch.sort_by(|one, other| one.group().place().cmp(&other.group().place()));
        let batch = Arc::new(batch);
        let made = self.make_all(batch.clone()).await;
        // The transaction that shared them has ended.
        let Some(batch) = Arc::into_inner(batch) else { return };
        match made {
            Ok(outcomes) => batch.into_iter().zip(outcomes).for_each(|(call, outcomes)| match outcomes {
                Some(outcomes) => call.finish(outcomes),
                None => self.make_apart(call),
            }),
            Err(error) => batch.into_iter().for_each(|call| match everybodys(&error) {
                Some(error) => call.fail(error),
                // One of them may be to blame, or what it conflicts with: the others are made without it.
                None => self.make_apart(call),
            }),
        }
    }

    /// What became of the changes of each; nothing of those that are to be made by themselves.
    async fn make_all(&self, batch: Arc<Vec<Box<dyn Waiting>>>) -> Result<Vec<Option<Outcomes>>> {
        let is_relaxed = batch.iter().all(|call| call.durability() == Durability::Relaxed);
        let durability = if is_relaxed { Durability::Relaxed } else { Durability::Strict };
        let (_turn, count) = (self.shared.turns.take(&Share::Together).await?, batch.len());
        let make = self.shared.write("changes", durability, count, move |tx| {
            let batch = batch.clone();
            async move {
                let groups: Vec<Group<'_>> = batch.iter().map(|call| call.group()).collect();
                caught(changes::make_together(tx, &groups)).await
            }
            .boxed()
        });
        make.await
    }

    fn make_apart(&self, call: Box<dyn Waiting>) {
        self.tasks.spawn(call.make_alone(self.shared.clone()));
    }
}

/// An error of a whole batch, as each of it is told; none when it may be about one of them. When the connection broke nobody knows whether
/// the changes were made, so that they must not be made again.
fn everybodys(error: &Error) -> Option<Error> {
    match error {
        Error::Busy => Some(Error::Busy),
        Error::DiskFull => Some(Error::DiskFull),
        Error::ReadOnly(why) => Some(Error::ReadOnly(why.clone())),
        Error::DatabaseUnreachable { transaction, source } => {
            let source = sqlx::Error::Io(io::Error::other(source.to_string()));
            Some(Error::DatabaseUnreachable { transaction, source })
        }
        _ => None,
    }
}
