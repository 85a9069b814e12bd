//! The three things the connector does: plan, full pass, look at events. Each holds the work lock and the lease.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::Instant;

use super::{Inner, SETTINGS_FRESH, retry::Retry};
use crate::{
    config::TargetKind,
    consent::Consent,
    error::Error,
    events::{self, Hints, Poll, ReadAgain},
    pass::{PassEnd, Reader, confirm_root},
    plan::Policy,
    report::{Plan, ProgressFn, RunReport},
    run::{Ran, Runner},
    scope::Scope,
    state::CloudRow,
    verify,
};

/// How long it is taken for granted that the right CloudStack answers, while nothing is concluded from its answers.
const ROOT_FRESH_US: i64 = 60_000_000;

/// What started a full pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The timer, or the start.
    Timer,
    /// An operator.
    Asked,
    /// An operator who wants everything compared with the target.
    Verify,
    /// Events, too many to read one by one.
    Events,
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Self::Timer => "full pass by timer",
            Self::Asked => "full pass on demand",
            Self::Verify => "full comparison on demand",
            Self::Events => "full pass after many events",
        }
    }
}

/// Changes to be made.
struct Job<'a> {
    cause: &'a str,
    consent: Consent,
    scope: Scope,
}

/// One's turn to work. When it is dropped, however that comes, nobody works any more.
struct Turn<'a> {
    inner: &'a Inner,
    _lock: tokio::sync::MutexGuard<'a, ()>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.inner.show_doing(None);
    }
}

impl Inner {
    /// Reads everything and plans.
    pub(super) async fn plan_now(&self, progress: &ProgressFn) -> Result<Plan, Error> {
        let _turn = self.begin("planning").await?;
        let result = self.read_and_plan(progress).await;
        self.end(result.as_ref().err()).await;
        result
    }

    async fn read_and_plan(&self, progress: &ProgressFn) -> Result<Plan, Error> {
        let (row, _) = self.read_all(false, progress).await?;
        let plan = self.runner(&row.cloud_id, progress).plan().await?;
        self.show_plan(&plan);
        Ok(plan)
    }

    /// Reads everything and applies. `confirmed` names the removals that an operator saw held back and means.
    pub(super) async fn sync_now(
        &self,
        cause: Cause,
        confirmed: Option<&str>,
        progress: &ProgressFn,
    ) -> Result<RunReport, Error> {
        let _turn = self.begin(cause.as_str()).await?;
        let result = self.read_and_apply(cause, confirmed, progress).await;
        self.end(result.as_ref().err()).await;
        result
    }

    async fn read_and_apply(
        &self,
        cause: Cause,
        confirmed: Option<&str>,
        progress: &ProgressFn,
    ) -> Result<RunReport, Error> {
        let (row, end) = self.read_all(cause == Cause::Verify, progress).await?;
        self.confirm_root(&row.cloud_id).await?;
        let job = Job { cause: cause.as_str(), consent: Consent::to(confirmed), scope: Scope::All };
        let mut report = self.apply(&row.cloud_id, job, Hints::default(), progress).await?;
        if let Some(why) = end.distrust {
            report.outcome.push_str(&format!("; nothing is concluded from what was not seen: {why}"));
        }
        Ok(report)
    }

    /// Looks at the events and at what they name. `asked` is true when somebody waits for it: then what was left undone
    /// is tried again at once.
    pub(super) async fn poll_now(&self, asked: bool) -> Result<RunReport, Error> {
        let turn = self.begin("looking at events").await?;
        let result = self.read_events(asked).await;
        self.end(result.as_ref().err()).await;
        drop(turn);
        match result? {
            Some(report) => Ok(report),
            None => self.sync_now(Cause::Events, None, &|_| ()).await,
        }
    }

    /// What was done about the events; `None` when they ask for a full pass, which takes them in, too.
    async fn read_events(&self, asked: bool) -> Result<Option<RunReport>, Error> {
        let Some(row) = self.state.cloud().await?.filter(|row| row.trusted_pass_us.is_some()) else {
            let outcome = "events wait for a full pass that can be trusted".to_owned();
            return Ok(Some(RunReport { outcome, ..RunReport::default() }));
        };
        if self.stopped().is_some() || self.is_root_stale() {
            self.confirm_root(&row.cloud_id).await?;
        }
        let poll = events::poll(&self.cloud, &self.state, &row).await.inspect_err(|_| self.doubt_root())?;
        if poll.everything {
            return Ok(None);
        }
        self.show_poll();
        let again = self.retry(|retry| retry.is_due(Instant::now(), asked).then(|| retry.hints()));
        if poll.hints.is_empty() && again.is_none() {
            poll.commit(&self.state, &row.cloud_id).await?;
            return Ok(Some(RunReport { outcome: "nothing to do".to_owned(), ..RunReport::default() }));
        }
        let result = self.follow(&row, &poll, again.clone()).await;
        if result.is_err() && again.is_some() {
            self.retry(|retry| retry.stuck(Hints::default(), Instant::now()));
        }
        let Some(ReadAgain { scope, left, odd }) = result? else { return Ok(None) };
        let job = Job { cause: "events", consent: Consent::default(), scope };
        let report = self.apply(&row.cloud_id, job, left, &|_| ()).await?;
        odd.map_or(Ok(Some(report)), Err)
    }

    /// Reads what the events name, and what is to be tried again. `None` when that is too much to read one by one.
    async fn follow(&self, row: &CloudRow, poll: &Poll, again: Option<Hints>) -> Result<Option<ReadAgain>, Error> {
        self.confirm_root(&row.cloud_id).await?;
        if again.is_some() {
            // Whether the target is there is asked before a run is begun that could only fail.
            self.target.group(&row.cloud_id).await?;
        }
        let mut hints = poll.hints.clone();
        let waiting = if again.is_some() { Hints::default() } else { self.retry(|retry| retry.hints()) };
        hints.extend(again.unwrap_or_default());
        // What a read touched that is cut short is not known, so everything is to be planned after it.
        let read = events::read_again(&self.reader(&|_| ()), &row.cloud_id, &hints).await;
        let read = read.inspect_err(|_| self.retry(|retry| retry.changes_begin(Scope::All)))?;
        let Some(mut read) = read else { return Ok(None) };
        read.scope.extend(self.retry(|retry| retry.changes()));
        self.retry(|retry| retry.changes_begin(read.scope.clone()));
        poll.commit(&self.state, &row.cloud_id).await?;
        read.left.extend(waiting);
        Ok(Some(read))
    }

    fn retry<T>(&self, change: impl FnOnce(&mut Retry) -> T) -> T {
        change(&mut self.retry.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Makes sure that the CloudStack that the state belongs to is the one that answers; a new state belongs to none.
    pub(crate) async fn confirm_cloud(&self) -> Result<(), Error> {
        match self.state.cloud().await? {
            Some(row) => self.confirm_root(&row.cloud_id).await,
            None => Ok(()),
        }
    }

    async fn confirm_root(&self, cloud_id: &str) -> Result<(), Error> {
        let result = confirm_root(&self.cloud, cloud_id).await;
        match &result {
            Ok(()) => self.root_seen_us.store(self.clock.now_us(), Ordering::Relaxed),
            Err(error) => {
                self.doubt_root();
                if matches!(error, Error::AnotherCloud { .. }) {
                    self.show_stopped(Some(error.to_string()));
                }
            }
        }
        result
    }

    fn is_root_stale(&self) -> bool {
        let seen_us = self.root_seen_us.load(Ordering::Relaxed);
        self.clock.now_us().saturating_sub(seen_us) > ROOT_FRESH_US
    }

    /// After a failure somebody else may answer next.
    fn doubt_root(&self) {
        self.root_seen_us.store(i64::MIN, Ordering::Relaxed);
    }

    /// Waits for its turn, and takes the lease.
    async fn begin(&self, doing: &str) -> Result<Turn<'_>, Error> {
        let lock = self.work.lock().await;
        if self.stop.is_cancelled() {
            return Err(Error::Stopped);
        }
        if !self.state.take_lease(&self.owner).await? {
            return Err(Error::NotTheOwner);
        }
        self.show_doing(Some(doing));
        Ok(Turn { inner: self, _lock: lock })
    }

    /// Shows how it ended, and lets another node have the lease when we are idle.
    async fn end(&self, error: Option<&Error>) {
        self.show_doing(None);
        self.show_error(error.map(Error::to_string));
        match error {
            Some(error @ Error::AnotherCloud { .. }) => self.show_stopped(Some(error.to_string())),
            None => self.show_stopped(None),
            Some(
                Error::Config(_)
                | Error::CloudStack(_)
                | Error::Target(_)
                | Error::State(_)
                | Error::Disagreement(_)
                | Error::NotTheOwner
                | Error::Stopped,
            ) => {}
        }
        if let Err(error) = self.state.release_lease(&self.owner).await {
            tracing::warn!(%error, "the connector's lease is not released");
        }
    }

    /// A full pass over CloudStack, and over the target when that is due.
    async fn read_all(&self, verify: bool, progress: &ProgressFn) -> Result<(CloudRow, PassEnd), Error> {
        self.settings(SETTINGS_FRESH).await;
        let started_us = self.clock.now_us();
        let reader = self.reader(progress);
        let row = reader.recognise().await?;
        // Taken before the pass and remembered after it: what happens meanwhile is looked at again.
        let events: Result<Poll, Error> = events::poll(&self.cloud, &self.state, &row).await;
        let end = reader.full_pass(&row.cloud_id).await?;
        match events {
            Ok(events) => events.commit(&self.state, &row.cloud_id).await?,
            // They are hints only, and everything was read without them.
            Err(error) => tracing::warn!(%error, "CloudStack's events cannot be read"),
        }
        self.show_pass(started_us, &end);
        let interval_us = i64::try_from(self.config.connector.verify_interval_s).unwrap_or(i64::MAX) * 1_000_000;
        let due = row.verified_us.is_none_or(|last_us| started_us.saturating_sub(last_us) >= interval_us);
        if verify || due {
            verify::everything(&self.state, &self.target, &row.cloud_id, progress).await?;
        }
        verify::open_changes(&self.state, &self.target, &row.cloud_id).await?;
        Ok((row, end))
    }

    /// Applies what differs, and notes what is left to be tried again: changes not made, and `left`.
    async fn apply(
        &self,
        cloud_id: &str,
        job: Job<'_>,
        left: Hints,
        progress: &ProgressFn,
    ) -> Result<RunReport, Error> {
        let cause = job.cause;
        self.retry(|retry| retry.changes_begin(job.scope.clone()));
        let result = self.run(cloud_id, job, progress).await;
        match &result {
            Ok(ran) => {
                let changes = if ran.unfinished { ran.scope.clone() } else { Scope::default() };
                self.retry(|retry| retry.left(left, changes, Instant::now()));
            }
            Err(_) => self.retry(|retry| retry.stuck(left, Instant::now())),
        }
        let Ran { report, scope, plan, .. } = result?;
        self.show_rest(cloud_id, &scope, &plan).await?;
        if report.applied + report.failed > 0 || !report.held.is_empty() {
            tracing::info!(cause, outcome = report.outcome, "the connector ran");
        }
        Ok(report)
    }

    async fn run(&self, cloud_id: &str, job: Job<'_>, progress: &ProgressFn) -> Result<Ran, Error> {
        verify::open_changes(&self.state, &self.target, cloud_id).await?;
        self.runner(cloud_id, progress).apply(job.cause, job.consent, job.scope).await
    }

    /// Shows what is left after a run. One over a part of it tells nothing of the rest, which is planned again when anything
    /// is left anywhere.
    async fn show_rest(&self, cloud_id: &str, scope: &Scope, left: &Plan) -> Result<(), Error> {
        match scope {
            Scope::All => self.show_plan(left),
            Scope::Of(_) if left.is_empty() && !self.shows_pending() => {}
            Scope::Of(_) => self.show_plan(&self.runner(cloud_id, &|_| ()).plan().await?),
        }
        Ok(())
    }

    fn reader<'a>(&'a self, progress: &'a ProgressFn) -> Reader<'a> {
        Reader {
            cloud: &self.cloud,
            state: &self.state,
            clock: &self.clock,
            page_pause: Duration::from_millis(self.config.cloudstack.page_pause_ms),
            progress,
            owner: &self.owner,
        }
    }

    fn runner<'a>(&'a self, cloud_id: &'a str, progress: &'a ProgressFn) -> Runner<'a> {
        let grace_days = match self.config.connector.target.kind {
            TargetKind::Own => None,
            TargetKind::Hyperstore => Some(self.config.connector.grace_days),
        };
        Runner {
            cloud: &self.cloud,
            state: &self.state,
            target: &self.target,
            cloud_id,
            policy: Policy { grace_days, now_us: self.clock.now_us() },
            config: &self.config.cloudstack,
            owner: &self.owner,
            progress,
        }
    }
}
