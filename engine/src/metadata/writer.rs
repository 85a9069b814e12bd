//! Group commit: one thread owns the writing connection, takes every transaction that waits, runs each in a savepoint of one database
//! transaction, commits once, and answers all.
//!
//! The thread is its own, beside those of the runtime: each answer of the database would wait there for its turn among all requests, many
//! times a commit, while everybody waits for the commit. Only in a runtime of one thread it is a task of that.
//!
//! There is no timer: a batch is what arrived while the previous commit was being made durable. So conditions that a transaction
//! checks hold until it is visible, and many small writes share one fsync. When more wait than a batch takes, tenants take turns.
//!
//! A batch of relaxed transactions only is committed without an fsync. The log is sequential: whatever fsync comes next makes it durable,
//! with that of a strict one as with the one that is due a second later at the latest.

mod checkpoint;
mod commit;
mod job;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Notify, oneshot};

use self::checkpoint::Checkpoints;
use self::commit::commit_batches;
pub(super) use self::job::caught;
use self::job::{Answer, Call, ChangeCall, Job};
use super::changes::Changes;
use super::tx::Tx;
use crate::fair::{FairQueue, Share};
use crate::journal::Journal;
use crate::read_only::ReadOnly;
use crate::settings::Faults;
use crate::{Error, Result};

/// Most transactions in one commit.
const BATCH_MAX: usize = 256;
/// Most transactions that may wait; beyond it the newest of who has the most is refused as [`Error::Busy`].
const QUEUE_MAX: usize = 4096;

/// Hands transactions to the thread that owns the writing connection.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Arc<Queue>,
    /// Closed once the thread has ended.
    ended: tokio::sync::Mutex<Option<oneshot::Receiver<()>>>,
}

/// Where transactions wait.
#[derive(Debug)]
struct Queue {
    state: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Debug)]
struct Waiting {
    jobs: FairQueue<Box<dyn Job>>,
    is_closed: bool,
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

impl Writer {
    /// The log of commits is written out when it has so many pages. Timers and the journal's syncs are those of the runtime it is called in.
    pub(super) fn start(
        tx: Tx,
        faults: Faults,
        journal: Journal,
        log_pages_max: u32,
        read_only: ReadOnly,
    ) -> Result<Self> {
        let queue = Arc::new(Queue::new());
        let checkpoints = Checkpoints::new(log_pages_max);
        let commits = commit_batches(tx, queue.clone(), faults, journal, checkpoints, read_only);
        let (serving, ended) = oneshot::channel();
        let commits = async move {
            let _serving: oneshot::Sender<()> = serving;
            commits.await;
        };
        let runtime = Handle::current();
        match runtime.runtime_flavor() {
            // Its one thread is also what keeps time.
            RuntimeFlavor::CurrentThread => drop(runtime.spawn(commits)),
            _ => {
                let thread = std::thread::Builder::new().name("commits".to_owned());
                let begun = thread.spawn(move || runtime.block_on(commits));
                begun.map_err(|error| Error::io("starting the thread that commits", error))?;
            }
        }
        Ok(Self { queue, ended: tokio::sync::Mutex::new(Some(ended)) })
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
        if let Some(ended) = self.ended.lock().await.take() {
            // Nothing is ever sent: the channel closes with the thread.
            let _ = ended.await;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use sqlx::ConnectOptions;

    use super::*;
    use crate::metadata::link::Link;
    use crate::metadata::link::tests::damaged;
    use crate::metadata::tx::{Connection, Sequence};
    use crate::{Clock, Settings};

    #[tokio::test]
    async fn a_connection_that_broke_off_makes_the_store_read_only() {
        is_read_only_once_it_broke_off().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_connection_that_broke_off_under_the_thread_makes_the_store_read_only() {
        is_read_only_once_it_broke_off().await;
    }

    async fn is_read_only_once_it_broke_off() {
        let directory = tempfile::tempdir().unwrap();
        let link = Link::new(damaged(directory.path()).await.connect().await.unwrap());
        let sequence = Sequence::Counted { next: 1 };
        let tx = Tx::new(Connection::Writer(link), "test", Clock::system(), sequence);
        let read_only = ReadOnly::default();
        let journal = Journal::new(&Settings::new(directory.path()));
        let writer = Writer::start(tx, Faults::default(), journal, 1000, read_only.clone()).unwrap();
        let ask = || writer.run(Share::Store, "test", |tx| tx.fetch_all("SELECT a FROM t", Vec::new()).boxed());
        for _ in 0..2 {
            let refused = ask().await.map(|rows| rows.len());
            assert!(matches!(&refused, Err(Error::ReadOnly(why)) if why.contains("broke off")), "{refused:?}");
        }
        assert!(read_only.reason().is_some(), "and everybody learns of it");
        tokio::join!(writer.close(), writer.close());
        assert!(matches!(ask().await.map(|rows| rows.len()), Err(Error::Internal("the store is closed"))));
    }
}
