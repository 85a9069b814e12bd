//! What people see of the connector while and after it works.

use time::format_description::well_known::Rfc3339;

use super::Inner;
use crate::{
    clock::from_us,
    pass::PassEnd,
    report::{Change, Counts, Held, Owned, PassSummary, Plan, RunSummary, Status},
    state::RunRow,
};

/// Runs that a status shows.
const RUNS_SHOWN: u32 = 20;

/// Pending changes that a status shows.
const CHANGES_SHOWN: usize = 100;

/// What was last seen and done.
#[derive(Default)]
pub(super) struct View {
    doing: Option<String>,
    stopped: Option<String>,
    last_pass: Option<PassSummary>,
    last_poll: Option<String>,
    last_error: Option<String>,
    pending: Counts,
    pending_changes: Vec<Change>,
    held: Vec<Held>,
}

impl Inner {
    fn view<T>(&self, change: impl FnOnce(&mut View) -> T) -> T {
        change(&mut self.view.write().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub(super) fn show_doing(&self, doing: Option<&str>) {
        self.view(|view| view.doing = doing.map(str::to_owned));
    }

    /// Shows that everything stands still; `None` when it does not any more.
    pub(super) fn show_stopped(&self, why: Option<String>) {
        metrics::gauge!("cloudhold_connector_stopped").set(if why.is_some() { 1.0 } else { 0.0 });
        self.view(|view| view.stopped = why);
    }

    /// Why everything stands still, when it does.
    pub(crate) fn stopped(&self) -> Option<String> {
        self.view(|view| view.stopped.clone())
    }

    pub(super) fn show_error(&self, error: Option<String>) {
        self.view(|view| view.last_error = error);
    }

    pub(super) fn show_poll(&self) {
        let now = self.now_text();
        self.view(|view| view.last_poll = Some(now));
    }

    pub(super) fn show_pass(&self, started_us: i64, end: &PassEnd) {
        metrics::gauge!("cloudhold_connector_domains").set(gauge(end.domains));
        metrics::gauge!("cloudhold_connector_accounts").set(gauge(end.accounts));
        metrics::gauge!("cloudhold_connector_last_pass_timestamp_seconds").set(gauge(self.now_s()));
        let outcome = match &end.distrust {
            None => "every domain and account was seen".to_owned(),
            Some(why) => format!("nothing is concluded from what was not seen: {why}"),
        };
        let pass = PassSummary {
            started: text(started_us),
            ended: self.now_text(),
            domains: end.domains,
            accounts: end.accounts,
            trusted: end.distrust.is_none(),
            outcome,
        };
        self.view(|view| view.last_pass = Some(pass));
    }

    pub(super) fn show_plan(&self, plan: &Plan) {
        metrics::gauge!("cloudhold_connector_pending_changes").set(gauge(plan.counts.total()));
        metrics::gauge!("cloudhold_connector_held_changes").set(gauge(plan.held_count()));
        self.view(|view| {
            view.pending = plan.counts;
            // What waits for a word comes first: nobody confirms what is not shown.
            let (held, free): (Vec<&Change>, Vec<&Change>) = plan.changes.iter().partition(|change| change.held);
            view.pending_changes = held.into_iter().chain(free).take(CHANGES_SHOWN).cloned().collect();
            view.held.clone_from(&plan.held);
        });
    }

    /// True when the last look left something to be changed.
    pub(super) fn shows_pending(&self) -> bool {
        self.view(|view| view.pending.total() > 0)
    }

    /// How it is, as one object.
    pub(super) async fn status(&self) -> Status {
        let cloud_id = self.state.cloud().await.ok().flatten().map(|row| row.cloud_id);
        let owned = match &cloud_id {
            Some(cloud_id) => self.state.owned(cloud_id).await.unwrap_or_default(),
            None => Owned::default(),
        };
        let settings = self.settings_at_hand();
        let runs = self.state.last_runs(RUNS_SHOWN).await.unwrap_or_default().into_iter().map(summary).collect();
        self.view(|view| Status {
            doing: view.doing.clone().unwrap_or_else(|| "waiting".to_owned()),
            stopped: view.stopped.clone(),
            cloudstack_url: self.config.cloudstack.url.clone(),
            cloud_id,
            enabled: settings.enabled,
            target_url: self.target.address(),
            owned,
            last_pass: view.last_pass.clone(),
            last_poll: view.last_poll.clone(),
            last_error: view.last_error.clone(),
            pending: view.pending,
            pending_changes: view.pending_changes.clone(),
            held: view.held.clone(),
            runs,
            settings: settings.shown.clone(),
        })
    }

    fn now_text(&self) -> String {
        text(self.clock.now_us())
    }

    fn now_s(&self) -> u64 {
        u64::try_from(self.clock.now().unix_timestamp()).unwrap_or(0)
    }
}

fn summary(row: RunRow) -> RunSummary {
    RunSummary {
        run_id: row.run_id,
        cause: row.cause,
        started: text(row.started_us),
        ended: row.ended_us.map(text),
        outcome: row.outcome,
        applied: row.applied,
        failed: row.failed,
        held: row.held,
    }
}

fn text(us: i64) -> String {
    let time = from_us(us).replace_nanosecond(0).unwrap_or_else(|_| from_us(us));
    time.format(&Rfc3339).unwrap_or_else(|_| "unknown".to_owned())
}

/// A gauge's number; these stay far below where a float loses units.
fn gauge(value: u64) -> f64 {
    u32::try_from(value).map_or(f64::MAX, f64::from)
}
