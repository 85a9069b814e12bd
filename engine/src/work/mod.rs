//! Background work. Each kind is a reconciler: no input, idempotent, woken by a signal and by a timer, its last result visible.

mod garbage;
pub(crate) mod orphans;
mod purge;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::clock::micros;
use crate::{Engine, Error, Inner, Result, metadata};

/// When the orphan sweep first runs after a start.
const FIRST_SWEEP: Duration = Duration::from_secs(600);
/// How often the worker looks whether something is due.
const TICK: Duration = Duration::from_secs(5);

/// The state of a background worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerStatus {
    /// Its name.
    pub name: &'static str,
    /// When it last ran, in microseconds of the Unix epoch.
    pub last_run_us: Option<i64>,
    /// What it did then, in a few words.
    pub last_result: String,
}

/// The kinds of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Usage,
    Purge,
    Uploads,
    Garbage,
    Logins,
    Orphans,
}

impl Work {
    /// In the order in which one makes work for the next.
    const ALL: [Self; 6] = [Self::Purge, Self::Uploads, Self::Usage, Self::Garbage, Self::Logins, Self::Orphans];

    fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage counters",
            Self::Purge => "trash",
            Self::Uploads => "abandoned uploads",
            Self::Garbage => "garbage collection",
            Self::Logins => "ended sessions and links",
            Self::Orphans => "orphan sweep",
        }
    }

    fn period(self) -> Duration {
        match self {
            Self::Usage => Duration::from_secs(10),
            Self::Garbage => Duration::from_secs(30),
            Self::Purge => Duration::from_secs(60),
            Self::Logins => Duration::from_secs(600),
            Self::Uploads => Duration::from_secs(3600),
            Self::Orphans => Duration::from_secs(24 * 3600),
        }
    }

    /// Does it; says in a few words what was done.
    async fn run(self, inner: &Arc<Inner>) -> Result<String> {
        match self {
            Self::Usage => {
                let folded = inner.db.write("fold_usage", |tx| metadata::usage::fold(tx).boxed()).await?;
                Ok(format!("{folded} changes folded"))
            }
            Self::Purge => purge::run(inner).await,
            Self::Uploads => abandoned_uploads(inner).await,
            Self::Garbage => garbage::run(inner).await,
            Self::Logins => {
                let engine = Engine { inner: inner.clone() };
                Ok(format!("{} forgotten", engine.forget_expired_logins().await?))
            }
            Self::Orphans => orphans::run(inner).await,
        }
    }
}

/// Runs the work and keeps what it did last.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    wake: Arc<Notify>,
    status: Mutex<BTreeMap<Work, WorkerStatus>>,
    task: Mutex<Option<JoinHandle<()>>>,
    /// One run at a time, whether the timer or a caller began it.
    turn: tokio::sync::Mutex<()>,
}

impl Workers {
    /// Begins to run the work beside everything else. The worker does not keep the engine alive.
    pub(crate) fn start(&self, inner: &Arc<Inner>) {
        let task = tokio::spawn(work_until_gone(Arc::downgrade(inner), self.wake.clone()));
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Something is due before its time.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(crate) async fn stop(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // Every step is a transaction or the removal of a blob that no row knows, so it may be cut anywhere.
            task.abort();
            let _ = task.await;
        }
    }

    pub(crate) fn status(&self) -> Vec<WorkerStatus> {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let never = |work: Work| WorkerStatus { name: work.name(), last_run_us: None, last_result: String::new() };
        Work::ALL.into_iter().map(|work| status.get(&work).cloned().unwrap_or_else(|| never(work))).collect()
    }

    fn note(&self, work: Work, now_us: i64, last_result: String) {
        let status = WorkerStatus { name: work.name(), last_run_us: Some(now_us), last_result };
        self.status.lock().unwrap_or_else(PoisonError::into_inner).insert(work, status);
    }
}

async fn work_until_gone(inner: Weak<Inner>, wake: Arc<Notify>) {
    let mut due: BTreeMap<Work, Instant> = Work::ALL.into_iter().map(|work| (work, Instant::now())).collect();
    // The sweep waits, so that somebody who started on the wrong database can still turn back.
    due.insert(Work::Orphans, Instant::now() + FIRST_SWEEP);
    loop {
        let woken = tokio::time::timeout(TICK, wake.notified()).await.is_ok();
        let Some(inner) = inner.upgrade() else { return };
        for work in Work::ALL {
            // Being woken means that somebody deleted something for good.
            let wanted = woken && matches!(work, Work::Purge | Work::Garbage);
            if wanted || due.get(&work).is_none_or(|at| *at <= Instant::now()) {
                // The worker goes on with the rest, and tries this again in its time.
                let _ = run_one(&inner, work).await;
                due.insert(work, Instant::now() + work.period());
            }
        }
    }
}

/// Runs everything now.
pub(crate) async fn run_all(inner: &Arc<Inner>) -> Result<()> {
    for work in Work::ALL {
        run_one(inner, work).await?;
    }
    Ok(())
}

async fn run_one(inner: &Arc<Inner>, work: Work) -> Result<()> {
    let _turn = inner.workers.turn.lock().await;
    // Nothing is cleaned away while it is not certain what was committed: the next start may find more than this process knows.
    let done = match inner.db.read_only() {
        Some(why) => Err(Error::ReadOnly(why)),
        None => work.run(inner).await,
    };
    let text = match &done {
        Ok(text) => text.clone(),
        Err(error) => {
            tracing::warn!(work = work.name(), %error, "background work failed; it will be tried again");
            format!("failed: {error}")
        }
    };
    inner.workers.note(work, inner.settings.clock.now_us(), text);
    done.map(|_| ())
}

async fn abandoned_uploads(inner: &Arc<Inner>) -> Result<String> {
    if inner.settings.upload_age_max.is_zero() {
        return Ok("kept for ever".to_owned());
    }
    let before_us = inner.settings.clock.now_us() - micros(inner.settings.upload_age_max);
    let mut count = 0;
    loop {
        let aborted = inner
            .db
            .write("abort_old_uploads", move |tx| metadata::multipart::abort_older(tx, before_us).boxed())
            .await?;
        count += aborted;
        if aborted == 0 {
            return Ok(format!("{count} given up"));
        }
    }
}
