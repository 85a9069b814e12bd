//! Background work. Each kind is a reconciler: no input, idempotent, woken by a signal and by a timer, its last result visible.

mod events;
mod garbage;
mod lifecycle;
pub(crate) mod orphans;
mod purge;
mod scrub;
mod snapshots;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::clock::micros;
use crate::{Engine, Error, Inner, Result, Settings, metadata};

/// How often the worker looks whether something is due.
const TICK: Duration = Duration::from_secs(5);
/// About how many rows a transaction of the background changes; others' writes go between two of them.
pub(crate) const ROWS_MAX: u32 = 1000;

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
    Lifecycle,
    Uploads,
    Garbage,
    Logins,
    Events,
    AccessLogs,
    Orphans,
    Snapshots,
    Scrub,
}

/// Work that may take long has a task of its own, so that the rest goes on meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Common,
    AccessLogs,
    Lifecycle,
    Snapshots,
    Scrub,
}

impl Lane {
    const ALL: [Self; 5] = [Self::Common, Self::AccessLogs, Self::Lifecycle, Self::Snapshots, Self::Scrub];
}

impl Work {
    /// In the order in which one makes work for the next.
    const ALL: [Self; 11] = [
        Self::Purge,
        Self::Lifecycle,
        Self::Uploads,
        Self::Usage,
        Self::Garbage,
        Self::Logins,
        Self::Events,
        Self::AccessLogs,
        Self::Orphans,
        Self::Snapshots,
        Self::Scrub,
    ];

    fn lane(self) -> Lane {
        match self {
            Self::Usage | Self::Purge | Self::Uploads | Self::Garbage | Self::Logins | Self::Events | Self::Orphans => {
                Lane::Common
            }
            Self::AccessLogs => Lane::AccessLogs,
            Self::Lifecycle => Lane::Lifecycle,
            Self::Snapshots => Lane::Snapshots,
            Self::Scrub => Lane::Scrub,
        }
    }

    /// When it first runs after a start.
    fn first(self, settings: &Settings) -> Duration {
        match self {
            Self::Usage
            | Self::Purge
            | Self::Uploads
            | Self::Garbage
            | Self::Logins
            | Self::Events
            | Self::AccessLogs => Duration::ZERO,
            // A start has enough to do.
            Self::Lifecycle => self.period(settings).min(Duration::from_secs(60)),
            Self::Snapshots | Self::Scrub => Duration::from_secs(60),
            // So that somebody who started on the wrong database can still turn back.
            Self::Orphans => Duration::from_secs(600),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage counters",
            Self::Purge => "trash",
            Self::Lifecycle => "lifecycle",
            Self::Uploads => "abandoned uploads",
            Self::Garbage => "garbage collection",
            Self::Events => "events",
            Self::AccessLogs => "access logs",
            Self::Logins => "ended sessions and links",
            Self::Orphans => "orphan sweep",
            Self::Snapshots => "metadata snapshots",
            Self::Scrub => "scrubber",
        }
    }

    fn period(self, settings: &Settings) -> Duration {
        match self {
            Self::AccessLogs => settings.access_log_period,
            Self::Lifecycle => settings.lifecycle_day / 24,
            Self::Usage => Duration::from_secs(10),
            Self::Garbage | Self::Events => Duration::from_secs(30),
            Self::Purge | Self::Snapshots | Self::Scrub => Duration::from_secs(60),
            Self::Logins => Duration::from_secs(600),
            Self::Uploads => Duration::from_secs(3600),
            Self::Orphans => Duration::from_secs(24 * 3600),
        }
    }

    /// Does it; says in a few words what was done.
    async fn run(self, inner: &Arc<Inner>) -> Result<String> {
        match self {
            Self::Usage => fold_usage(inner).await,
            Self::Purge => purge::run(inner).await,
            Self::Lifecycle => lifecycle::run(inner).await,
            Self::Uploads => abandoned_uploads(inner).await,
            Self::Garbage => garbage::run(inner).await,
            Self::Logins => {
                let engine = Engine { inner: inner.clone() };
                let count = engine.forget_expired_logins().await? + engine.forget_ended_sessions().await?;
                Ok(format!("{count} forgotten"))
            }
            Self::Events => events::run(inner).await,
            Self::AccessLogs => Engine { inner: inner.clone() }.deliver_access_logs().await,
            Self::Orphans => orphans::run(inner).await,
            Self::Snapshots => snapshots::run(inner).await,
            Self::Scrub => scrub::run(inner).await,
        }
    }
}

/// Runs the work and keeps what it did last.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    wake: Arc<Notify>,
    status: Mutex<BTreeMap<Work, WorkerStatus>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// One run at a time in each lane, whether the timer or a caller began it.
    turns: [tokio::sync::Mutex<()>; Lane::ALL.len()],
}

impl Workers {
    /// Begins to run the work beside everything else. The worker does not keep the engine alive.
    pub(crate) fn start(&self, inner: &Arc<Inner>) {
        let wake = |lane| match lane {
            Lane::Common => Some(self.wake.clone()),
            Lane::AccessLogs => Some(inner.access_logs.many.clone()),
            Lane::Lifecycle | Lane::Snapshots | Lane::Scrub => None,
        };
        let due = Work::ALL.map(|work| (work, Instant::now() + work.first(&inner.settings)));
        let task = |lane| {
            let due = due.into_iter().filter(|(work, _)| work.lane() == lane).collect();
            tokio::spawn(work_until_gone(Arc::downgrade(inner), wake(lane), lane, due))
        };
        *self.tasks.lock().unwrap_or_else(PoisonError::into_inner) = Lane::ALL.into_iter().map(task).collect();
    }

    /// Something is due before its time.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(crate) async fn stop(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // Every step is a transaction, the removal of a blob that no row knows, or a file aside, so it may be cut anywhere.
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

async fn work_until_gone(inner: Weak<Inner>, wake: Option<Arc<Notify>>, lane: Lane, mut due: BTreeMap<Work, Instant>) {
    let work = || Work::ALL.into_iter().filter(|work| work.lane() == lane);
    loop {
        let woken = match &wake {
            Some(wake) => tokio::time::timeout(TICK, wake.notified()).await.is_ok(),
            None => {
                tokio::time::sleep(TICK).await;
                false
            }
        };
        let Some(inner) = inner.upgrade() else { return };
        for work in work() {
            // Being woken means that somebody deleted something for good, or that many lines wait.
            let wanted = woken && matches!(work, Work::Purge | Work::Garbage | Work::AccessLogs);
            if wanted || due.get(&work).is_none_or(|at| *at <= Instant::now()) {
                // The worker goes on with the rest, and tries this again in its time.
                let _ = run_one(&inner, work).await;
                due.insert(work, Instant::now() + work.period(&inner.settings));
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
    let _turn = inner.workers.turns[work.lane() as usize].lock().await;
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

async fn fold_usage(inner: &Arc<Inner>) -> Result<String> {
    let mut count = 0;
    loop {
        match inner.db.write("fold_usage", |tx| metadata::usage::fold_some(tx, ROWS_MAX).boxed()).await? {
            0 => return Ok(format!("{count} changes folded")),
            some => count += some,
        }
    }
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
