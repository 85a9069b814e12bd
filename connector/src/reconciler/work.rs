//! The three things the connector does: plan, full pass, look at events. Each holds the work lock and the lease.

use std::time::Duration;

use super::{Inner, SETTINGS_FRESH};
use crate::{
    config::TargetKind,
    error::Error,
    events::{self, Poll},
    pass::{PassEnd, Reader},
    plan::Policy,
    report::{Plan, ProgressFn, RunReport},
    run::Runner,
    state::CloudRow,
    verify,
};

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

impl Inner {
    /// Reads everything and plans.
    pub(super) async fn plan_now(&self, progress: &ProgressFn) -> Result<Plan, Error> {
        let _lock = self.begin("planning").await?;
        let result = self.read_and_plan(progress).await;
        self.end(result.as_ref().err()).await;
        result
    }

    async fn read_and_plan(&self, progress: &ProgressFn) -> Result<Plan, Error> {
        let (row, _) = self.read_all(false, progress).await?;
        let plan = self.runner(&row.cloud_id, progress).plan(false).await?;
        self.show_plan(&plan);
        Ok(plan)
    }

    /// Reads everything and applies.
    pub(super) async fn sync_now(
        &self,
        cause: Cause,
        confirm: bool,
        progress: &ProgressFn,
    ) -> Result<RunReport, Error> {
        let _lock = self.begin(cause.as_str()).await?;
        let result = self.read_and_apply(cause, confirm, progress).await;
        self.end(result.as_ref().err()).await;
        result
    }

    async fn read_and_apply(&self, cause: Cause, confirm: bool, progress: &ProgressFn) -> Result<RunReport, Error> {
        let (row, end) = self.read_all(cause == Cause::Verify, progress).await?;
        self.reader(progress).confirm_root(&row.cloud_id).await?;
        let mut report = self.apply(&row.cloud_id, cause.as_str(), confirm, progress).await?;
        if let Some(why) = end.distrust {
            report.outcome.push_str(&format!("; nothing is concluded from what was not seen: {why}"));
        }
        Ok(report)
    }

    /// Looks at the events and at what they name.
    pub(super) async fn poll_now(&self) -> Result<RunReport, Error> {
        let lock = self.begin("looking at events").await?;
        let result = self.read_events().await;
        self.end(result.as_ref().err()).await;
        drop(lock);
        match result? {
            Some(report) => Ok(report),
            None => self.sync_now(Cause::Events, false, &|_| ()).await,
        }
    }

    /// What was done about the events; `None` when they ask for a full pass, which takes them in, too.
    async fn read_events(&self) -> Result<Option<RunReport>, Error> {
        let Some(row) = self.state.cloud().await?.filter(|row| row.trusted_pass_us.is_some()) else {
            let outcome = "events wait for a full pass that can be trusted".to_owned();
            return Ok(Some(RunReport { outcome, ..RunReport::default() }));
        };
        if self.stopped().is_some() {
            self.reader(&|_| ()).confirm_root(&row.cloud_id).await?;
        }
        let poll = events::poll(&self.cloud, &self.state, &row).await?;
        if poll.everything {
            return Ok(None);
        }
        self.show_poll();
        if poll.hints.is_empty() {
            poll.commit(&self.state, &row.cloud_id).await?;
            return Ok(Some(RunReport { outcome: "nothing to do".to_owned(), ..RunReport::default() }));
        }
        let reader = self.reader(&|_| ());
        reader.confirm_root(&row.cloud_id).await?;
        events::read_again(&reader, &row.cloud_id, &poll.hints).await?;
        poll.commit(&self.state, &row.cloud_id).await?;
        self.apply(&row.cloud_id, "events", false, &|_| ()).await.map(Some)
    }

    /// Waits for its turn, and takes the lease.
    async fn begin(&self, doing: &str) -> Result<tokio::sync::MutexGuard<'_, ()>, Error> {
        let lock = self.work.lock().await;
        if self.stop.is_cancelled() {
            return Err(Error::Stopped);
        }
        if !self.state.take_lease(&self.owner).await? {
            return Err(Error::NotTheOwner);
        }
        self.show_doing(Some(doing));
        Ok(lock)
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

    async fn apply(
        &self,
        cloud_id: &str,
        cause: &str,
        confirm: bool,
        progress: &ProgressFn,
    ) -> Result<RunReport, Error> {
        verify::open_changes(&self.state, &self.target, cloud_id).await?;
        let (report, plan) = self.runner(cloud_id, progress).apply(cause, confirm).await?;
        self.show_plan(&plan);
        if report.applied + report.failed > 0 || !report.held.is_empty() {
            tracing::info!(cause, outcome = report.outcome, "the connector ran");
        }
        Ok(report)
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
