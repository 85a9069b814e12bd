//! One run over the differences in a scope: plan them, apply what may be applied, remember what was done.

use std::{collections::HashSet, time::Duration};

use futures::{StreamExt, stream};

use crate::{
    apply::{Applied, Applier, Outcome},
    cloudstack::Cloud,
    config::CloudStackConfig,
    consent::{self, Consent},
    error::Error,
    pass::confirm_root,
    plan::{self, Action, Policy},
    report::{Change, Counts, Held, Plan, Progress, ProgressFn, RunReport},
    scope::Scope,
    state::{Fact, LEASE_FOR, Removed, RunEnd, State},
    target::Target,
    walk::{REMOVING_STAGES, STAGES, Stage, Walk},
};

/// Calls to the target at the same time; the store commits what arrives together in one go.
const CALLS_AT_ONCE: usize = 16;
/// Removals at the same time: each asks CloudStack, too, which is to be treated gently.
const REMOVALS_AT_ONCE: usize = 4;
/// Changes that a plan lists; it counts the rest.
const LISTED_MAX: usize = 10_000;
/// Failures that a report lists.
const FAILURES_MAX: usize = 20;
/// Rounds of one run: making a user that is there already adopts it, and the next round sees how it differs.
const ROUNDS_MAX: u32 = 3;
/// Removals within this time count together.
const ROLLING_DAY_US: i64 = 86_400_000_000;

/// One who runs over the differences.
pub(crate) struct Runner<'a> {
    pub(crate) cloud: &'a Cloud,
    pub(crate) state: &'a State,
    pub(crate) target: &'a Target,
    pub(crate) cloud_id: &'a str,
    pub(crate) policy: Policy,
    pub(crate) config: &'a CloudStackConfig,
    pub(crate) owner: &'a str,
    pub(crate) progress: &'a ProgressFn,
}

/// What a run has done so far.
#[derive(Default)]
struct Tally {
    run_id: Option<i64>,
    seq: u64,
    done: u64,
    report: RunReport,
    /// An error that makes going on pointless.
    fatal: Option<Error>,
    /// True when the last round could not make a change that may well be made later.
    unfinished: bool,
}

/// What a run came to.
pub(crate) struct Ran {
    pub(crate) report: RunReport,
    /// What was looked at.
    pub(crate) scope: Scope,
    /// What is left to be changed of it.
    pub(crate) plan: Plan,
    /// True when it is worth while to try again soon.
    pub(crate) unfinished: bool,
}

/// A round of a run.
struct Round<'a> {
    scope: &'a Scope,
    consent: &'a Consent,
    /// Changes that are to be made by its end.
    total: u64,
}

impl Runner<'_> {
    /// Computes the whole difference without doing anything.
    pub(crate) async fn plan(&self) -> Result<Plan, Error> {
        let owned = self.state.owned(self.cloud_id).await?;
        let waiting = self.state.waiting_deletions(self.cloud_id, self.policy.now_us).await?;
        let plan = self.plan_in(&Scope::All, &mut Consent::default()).await?;
        Ok(Plan { owned, waiting, ..plan })
    }

    /// Computes the difference in a scope.
    async fn plan_in(&self, scope: &Scope, consent: &mut Consent) -> Result<Plan, Error> {
        let (mut plan, mut removals) = (Plan::default(), Vec::new());
        for stage in STAGES {
            let mut walk = self.walk(stage, scope);
            while let Some(actions) = walk.next().await? {
                removals.extend(actions.iter().filter_map(Action::removed));
                list(&mut plan, &actions);
            }
        }
        // Whether they are too many depends on all that are due, not on which of them an event named.
        if *scope != Scope::All && !removals.is_empty() {
            removals = self.all_removals().await?;
        }
        if let Some(why) = self.limit(&removals, consent).await? {
            plan.held.push(Held { count: plan.counts.remove, token: consent::token(&removals), why });
            for change in &mut plan.changes {
                let mut counts = Counts::default();
                counts.add(change.kind);
                change.held = counts.remove > 0;
            }
        }
        Ok(plan)
    }

    fn walk<'a>(&'a self, stage: Stage, scope: &'a Scope) -> Walk<'a> {
        Walk::new(self.state, self.cloud_id, self.policy, stage, scope)
    }

    /// Everything that would be removed now.
    async fn all_removals(&self) -> Result<Vec<Removed>, Error> {
        let mut removals = Vec::new();
        for stage in REMOVING_STAGES {
            let mut walk = self.walk(stage, &Scope::All);
            while let Some(actions) = walk.next().await? {
                removals.extend(actions.iter().filter_map(Action::removed));
            }
        }
        Ok(removals)
    }

    /// Why removals are held back, when there are too many of them.
    async fn limit(&self, removals: &[Removed], consent: &mut Consent) -> Result<Option<String>, Error> {
        if removals.is_empty() {
            return Ok(None);
        }
        let before = self.removed_before(removals).await?;
        let owned = self.state.owned(self.cloud_id).await?;
        let (owned, count) = (owned.groups + owned.users, u64::try_from(removals.len()).unwrap_or(u64::MAX));
        let (max, percent) = (self.config.max_removals, self.config.max_removals_percent);
        if !plan::too_many(count.saturating_add(before), owned, max, percent) || consent.covers(removals) {
            return Ok(None);
        }
        if consent.is_given() {
            return Ok(Some(format!(
                "what was confirmed is not what would be made now, which is {count} deletions and deactivations; look \
                 at the plan again and confirm that"
            )));
        }
        Ok(Some(format!(
            "{count} deletions and deactivations, and {before} made within the last day, are more than {max} and more \
             than {percent} % of the {owned} groups and users owned; look at the plan and run sync with --confirm"
        )))
    }

    /// Removals of the last day. One that may have been made and is planned again counts once.
    async fn removed_before(&self, removals: &[Removed]) -> Result<u64, Error> {
        let since_us = self.policy.now_us.saturating_sub(ROLLING_DAY_US);
        let settled = self.state.removals_since(self.cloud_id, since_us).await?;
        let mut open = self.state.open_removals(self.cloud_id).await?;
        if !open.is_empty() {
            let planned: HashSet<_> = removals.iter().map(|removed| (&removed.group_id, &removed.user_id)).collect();
            open.retain(|removed| !planned.contains(&(&removed.group_id, &removed.user_id)));
        }
        Ok(settled + u64::try_from(open.len()).unwrap_or(u64::MAX))
    }

    /// Applies the difference in a scope. A run that finds nothing to do leaves no trace.
    pub(crate) async fn apply(&self, cause: &str, mut consent: Consent, mut scope: Scope) -> Result<Ran, Error> {
        let mut tally = Tally::default();
        let mut plan = self.plan_wider(&mut scope, &mut consent).await?;
        for _ in 0..ROUNDS_MAX {
            let (done_before, planned) = (tally.report.applied, plan.counts.total() - plan.held_count());
            if planned == 0 {
                break;
            }
            if tally.run_id.is_none() {
                tally.run_id = Some(self.state.begin_run(self.cloud_id, cause).await?);
            }
            tally.unfinished = false;
            let total = plan.counts.total() + tally.done - plan.held_count();
            let round = Round { scope: &scope, consent: &consent, total };
            self.round(&round, &plan, &mut tally).await?;
            plan = self.plan_wider(&mut scope, &mut consent).await?;
            if tally.fatal.is_some() || tally.report.applied == done_before {
                break;
            }
        }
        self.state.prune(self.cloud_id).await?;
        self.finish(tally, plan, scope).await
    }

    /// Plans after widening the scope by what hangs together with it, which may be more than before the last round.
    async fn plan_wider(&self, scope: &mut Scope, consent: &mut Consent) -> Result<Plan, Error> {
        self.state.widen(self.cloud_id, scope).await?;
        self.plan_in(scope, consent).await
    }

    async fn finish(&self, tally: Tally, plan: Plan, scope: Scope) -> Result<Ran, Error> {
        let Tally { run_id, mut report, fatal, unfinished, .. } = tally;
        report.held.clone_from(&plan.held);
        report.outcome = outcome(&report, fatal.as_ref());
        if let Some(run_id) = run_id {
            let (applied, failed, held) = (report.applied, report.failed, plan.held_count());
            let end = RunEnd { outcome: report.outcome.clone(), applied, failed, held };
            self.state.end_run(run_id, &end).await?;
        }
        match fatal {
            Some(error) => Err(error),
            None => Ok(Ran { report, scope, plan, unfinished }),
        }
    }

    /// One round: first what adds and changes, then, unless they are held back, the removals.
    async fn round(&self, round: &Round<'_>, plan: &Plan, tally: &mut Tally) -> Result<(), Error> {
        for stage in [Stage::LivingGroups, Stage::LivingUsers] {
            self.stage(stage, false, round, tally).await?;
        }
        if plan.held.is_empty() && plan.counts.remove > 0 {
            for stage in REMOVING_STAGES {
                self.stage(stage, true, round, tally).await?;
            }
        }
        Ok(())
    }

    async fn stage(&self, stage: Stage, removals: bool, round: &Round<'_>, tally: &mut Tally) -> Result<(), Error> {
        let &Round { scope, consent, total } = round;
        let mut walk = self.walk(stage, scope);
        while tally.fatal.is_none() {
            let Some(mut actions) = walk.next().await? else { break };
            actions.retain(|action| match action.removed() {
                Some(removed) => removals && consent.allows(&removed),
                None => !removals,
            });
            if !actions.is_empty() {
                self.batch(&actions, consent.is_granted(), tally).await?;
            }
            let step = if removals { "removing" } else { "applying" };
            (self.progress)(Progress { step: step.to_owned(), done: tally.done.min(total), total });
        }
        Ok(())
    }

    /// Applies a batch: what is about to be done is written down before, facts and the log after, each in one commit.
    async fn batch(&self, actions: &[Action], confirmed: bool, tally: &mut Tally) -> Result<(), Error> {
        if !self.state.take_lease(self.owner).await? {
            return Err(Error::NotTheOwner);
        }
        let removes = actions.iter().any(Action::is_removal);
        if removes && let Err(error) = confirm_root(self.cloud, self.cloud_id).await {
            tally.fatal = Some(error);
            return Ok(());
        }
        let applier = Applier {
            cloud: self.cloud,
            state: self.state,
            target: self.target,
            cloud_id: self.cloud_id,
            policy: self.policy,
            confirmed,
        };
        let applier = &applier;
        applier.begin(actions).await?;
        let (mut facts, mut log) = (Vec::new(), Vec::new());
        let limit = LEASE_FOR.saturating_sub(Duration::from_secs(5));
        let mut renew = tokio::time::interval_at(tokio::time::Instant::now() + limit / 2, limit / 2);
        let calls: Vec<_> = actions.iter().map(|action| async move { (action, applier.apply(action).await) }).collect();
        let at_once = if removes { REMOVALS_AT_ONCE } else { CALLS_AT_ONCE };
        let mut running = stream::iter(calls).buffer_unordered(at_once);
        loop {
            tokio::select! {
                next = running.next() => match next {
                    Some((action, applied)) => tally.take(action, applied, &mut facts, &mut log),
                    None => break,
                },
                _ = renew.tick() => if !self.state.take_lease(self.owner).await? {
                    return Err(Error::NotTheOwner);
                },
            }
        }
        drop(running);
        self.state.record(self.cloud_id, &facts).await?;
        if let Some(run_id) = tally.run_id {
            self.state.add_run_changes(run_id, tally.seq, &log).await?;
            tally.seq += u64::try_from(log.len()).unwrap_or(0);
        }
        Ok(())
    }
}

impl Tally {
    /// Takes in what became of one change.
    fn take(&mut self, action: &Action, applied: Applied, facts: &mut Vec<Fact>, log: &mut Vec<(String, String)>) {
        let change = Change::from(action);
        self.done += 1;
        // What turned out to be gone is made again by the next round or run.
        self.unfinished |= applied.facts.iter().any(|fact| matches!(fact, Fact::NoGroup { .. } | Fact::NoUser { .. }))
            && matches!(applied.outcome, Outcome::Skipped(_));
        facts.extend(applied.facts);
        let (word, text) = match applied.outcome {
            Outcome::Done => {
                self.report.applied += 1;
                ("done", "done".to_owned())
            }
            Outcome::Skipped(why) => {
                self.fail(&change, &why);
                ("skipped", why)
            }
            Outcome::Failed(error) => {
                self.unfinished = true;
                let text = error.to_string();
                self.fail(&change, &text);
                if is_fatal(&error) {
                    self.fatal.get_or_insert(error);
                }
                ("failed", text)
            }
        };
        metrics::counter!("cloudhold_connector_changes_total", "outcome" => word).increment(1);
        log.push((change.to_string(), text));
    }

    fn fail(&mut self, change: &Change, why: &str) {
        self.report.failed += 1;
        if self.report.failures.len() < FAILURES_MAX {
            self.report.failures.push(format!("{change}: {why}"));
        }
    }
}

/// True when the next change would fail the same way: nobody is there, or nobody lets us in.
fn is_fatal(error: &Error) -> bool {
    match error {
        Error::Target(error) => error.is_transient() || matches!(error, admin_api::client::Error::Unauthorized),
        Error::CloudStack(error) => !error.is_about_one_thing(),
        Error::State(_) | Error::AnotherCloud { .. } | Error::NotTheOwner | Error::Stopped => true,
        Error::Config(_) | Error::Disagreement(_) => false,
    }
}

fn list(plan: &mut Plan, actions: &[Action]) {
    for action in actions {
        let change = Change::from(action);
        plan.counts.add(change.kind);
        if plan.changes.len() < LISTED_MAX {
            plan.changes.push(change);
        }
    }
}

fn outcome(report: &RunReport, fatal: Option<&Error>) -> String {
    let mut text = match (report.applied, report.failed) {
        (0, 0) => "nothing to do".to_owned(),
        (applied, 0) => format!("{applied} changes made"),
        (applied, failed) => format!("{applied} changes made, {failed} not made"),
    };
    let held: u64 = report.held.iter().map(|held| held.count).sum();
    if held > 0 {
        text.push_str(&format!(", {held} held back"));
    }
    if let Some(error) = fatal {
        text.push_str(&format!("; cut short: {error}"));
    }
    text
}
