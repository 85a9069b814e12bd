//! What the connector tells people: plans, runs and status. These are the shapes that the console, the control socket
//! and the metrics show; they hold no secret.

use std::fmt;

use serde::Serialize;

use crate::{
    plan::{Action, Why},
    settings::Setting,
    state::KnownUser,
};

/// What is done to a group or user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// A group is made.
    CreateGroup,
    /// A group gets another name.
    RenameGroup,
    /// A user is made.
    CreateUser,
    /// A user gets another name or address.
    UpdateUser,
    /// A user that the connector deactivated may enter again.
    Reactivate,
    /// A user whose account is back is not deleted.
    CancelDeletion,
    /// A user may not enter any more; its data stays.
    Deactivate,
    /// A user may not enter any more and is deleted after the grace period.
    ScheduleDeletion,
    /// A user is deleted.
    DeleteUser,
    /// A group is deleted.
    DeleteGroup,
}

/// One planned change, in words for people and in ids for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What is done.
    pub kind: ChangeKind,
    /// The group: the domain's UUID.
    pub group_id: String,
    /// The user: the account's UUID; absent for a change of a group.
    pub user_id: Option<String>,
    /// What it is done to, by name.
    pub name: String,
    /// Why, or from what to what.
    pub reason: String,
    /// True when it waits for an operator's word.
    pub held: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, noun) = match self.kind {
            ChangeKind::CreateGroup => ('+', "group"),
            ChangeKind::RenameGroup => ('~', "group"),
            ChangeKind::CreateUser => ('+', "user"),
            ChangeKind::UpdateUser
            | ChangeKind::Reactivate
            | ChangeKind::CancelDeletion
            | ChangeKind::Deactivate
            | ChangeKind::ScheduleDeletion => ('~', "user"),
            ChangeKind::DeleteUser => ('-', "user"),
            ChangeKind::DeleteGroup => ('-', "group"),
        };
        let id = self.user_id.as_ref().unwrap_or(&self.group_id);
        write!(formatter, "{sign} {noun} {} [{id}]: {}", self.name, self.reason)?;
        if self.held { formatter.write_str(" (held back)") } else { Ok(()) }
    }
}

impl From<&Action> for Change {
    fn from(action: &Action) -> Self {
        let of = |kind, user: &KnownUser, reason: String| {
            change(kind, &user.group_id, Some(&user.user_id), &user.full_name, reason)
        };
        match action {
            Action::CreateGroup { group_id, name } => {
                change(ChangeKind::CreateGroup, group_id, None, name, "make it for a new domain".to_owned())
            }
            Action::RenameGroup { known, name } => {
                let reason = format!("rename it to {name}");
                change(ChangeKind::RenameGroup, &known.group_id, None, &known.group_name, reason)
            }
            Action::CreateUser { user_id, group_id, full_name, active, .. } => {
                let reason =
                    if *active { "make it for a new account" } else { "make it inactive for a disabled account" };
                change(ChangeKind::CreateUser, group_id, Some(user_id), full_name, reason.to_owned())
            }
            Action::UpdateUser { known, full_name, email } => {
                of(ChangeKind::UpdateUser, known, updated(known, full_name, email))
            }
            Action::Reactivate { known } => {
                of(ChangeKind::Reactivate, known, "let it enter again, its account is enabled".to_owned())
            }
            Action::CancelDeletion { known } => {
                of(ChangeKind::CancelDeletion, known, "keep it, its account is back".to_owned())
            }
            Action::Deactivate { known, why } => {
                of(ChangeKind::Deactivate, known, format!("deactivate it, {}", because(why)))
            }
            Action::ScheduleDeletion { known, why } => {
                let reason = format!("deactivate it now and delete it later, {}", because(why));
                of(ChangeKind::ScheduleDeletion, known, reason)
            }
            Action::DeleteUser { known, why } => {
                of(ChangeKind::DeleteUser, known, format!("delete it, {}", because(why)))
            }
            Action::DeleteGroup { known } => {
                let reason = "delete it, its domain and users are gone".to_owned();
                change(ChangeKind::DeleteGroup, &known.group_id, None, &known.group_name, reason)
            }
        }
    }
}

fn change(kind: ChangeKind, group_id: &str, user_id: Option<&String>, name: &str, reason: String) -> Change {
    Change {
        kind,
        group_id: group_id.to_owned(),
        user_id: user_id.cloned(),
        name: name.to_owned(),
        reason,
        held: false,
    }
}

fn updated(known: &KnownUser, full_name: &str, email: &str) -> String {
    let mut parts = Vec::new();
    if known.full_name != full_name {
        parts.push(format!("rename it to {full_name}"));
    }
    if known.email != email {
        parts.push(format!("change its address from {:?} to {email:?}", known.email));
    }
    parts.join(", ")
}

fn because(why: &Why) -> String {
    match why {
        Why::State(state) => format!("its account is {state}"),
        Why::AccountGone => "its account is gone".to_owned(),
        Why::DomainGone { to } => format!("its account moved to domain {to} and the old domain is gone"),
        Why::Moved { to } => format!("its account moved to domain {to}; the old buckets stay"),
    }
}

/// How many changes of each sort.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Groups and users made.
    pub add: u64,
    /// Groups and users changed, without those that lose their access.
    pub change: u64,
    /// Users that lose their access, and users and groups deleted.
    pub remove: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, kind: ChangeKind) {
        match kind {
            ChangeKind::CreateGroup | ChangeKind::CreateUser => self.add += 1,
            ChangeKind::RenameGroup | ChangeKind::UpdateUser | ChangeKind::Reactivate | ChangeKind::CancelDeletion => {
                self.change += 1;
            }
            ChangeKind::Deactivate
            | ChangeKind::ScheduleDeletion
            | ChangeKind::DeleteUser
            | ChangeKind::DeleteGroup => self.remove += 1,
        }
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.add + self.change + self.remove
    }
}

/// How much at the target is ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Owned {
    /// Groups that the connector made or adopted.
    pub groups: u64,
    /// Users that it made or adopted.
    pub users: u64,
}

/// Something that is not done, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// How many changes wait.
    pub count: u64,
    /// Names exactly these changes, for a confirmation.
    pub token: String,
    /// Why, and what to do about it.
    pub why: String,
}

/// The difference between CloudStack and the target.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Plan {
    /// The changes in the order in which they would be made; of a very long plan only the first ones.
    pub changes: Vec<Change>,
    /// How many there are, listed or not.
    pub counts: Counts,
    /// What would not be done now.
    pub held: Vec<Held>,
    /// How much is owned, the base of the limit on removals.
    pub owned: Owned,
    /// Users that were deactivated and wait for the day of their deletion, where the target has no trash.
    pub waiting: u64,
}

impl Plan {
    /// True when CloudStack and the target agree.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.total() == 0
    }

    /// How many changes wait for an operator's word.
    #[must_use]
    pub fn held_count(&self) -> u64 {
        self.held.iter().map(|held| held.count).sum()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            writeln!(formatter, "{change}")?;
        }
        let listed = u64::try_from(self.changes.len()).unwrap_or(u64::MAX);
        if listed < self.counts.total() {
            writeln!(formatter, "... and {} more", self.counts.total() - listed)?;
        }
        for held in &self.held {
            writeln!(formatter, "! {} held back: {}", held.count, held.why)?;
        }
        if self.waiting > 0 {
            writeln!(formatter, "{} deactivated users wait for the day of their deletion.", self.waiting)?;
        }
        if self.is_empty() {
            return write!(formatter, "Nothing to do: CloudStack and the store agree.");
        }
        let Counts { add, change, remove } = self.counts;
        write!(formatter, "Plan: {add} to add, {change} to change, {remove} to remove.")
    }
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What is being done, in a word or two.
    pub step: String,
    /// How many are done.
    pub done: u64,
    /// How many there are, as far as is known.
    pub total: u64,
}

/// Told how far a run is; must not block.
pub type ProgressFn = dyn Fn(Progress) + Send + Sync;

/// What a run did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RunReport {
    /// What came of it, in a sentence.
    pub outcome: String,
    /// Changes made.
    pub applied: u64,
    /// Changes that could not be made, or turned out to be wrong when looked at closely; the next run tries again.
    pub failed: u64,
    /// What was held back, and why.
    pub held: Vec<Held>,
    /// What became of each failed change; the first ones only.
    pub failures: Vec<String>,
}

/// A run in the list of runs.
#[derive(Debug, Clone, Serialize)]
pub struct RunSummary {
    /// Its number.
    pub run_id: i64,
    /// What started it.
    pub cause: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// When it ended, RFC 3339.
    pub ended: Option<String>,
    /// What came of it.
    pub outcome: String,
    /// Changes made.
    pub applied: u64,
    /// Changes that could not be made.
    pub failed: u64,
    /// Changes held back.
    pub held: u64,
}

/// A full pass over CloudStack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassSummary {
    /// When it began, RFC 3339.
    pub started: String,
    /// When it ended, RFC 3339.
    pub ended: String,
    /// Domains seen.
    pub domains: u64,
    /// Accounts seen.
    pub accounts: u64,
    /// True when counts agreed and ROOT was seen, so that absence means something.
    pub trusted: bool,
    /// What came of it, in a sentence.
    pub outcome: String,
}

/// How the connector is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    /// What it does now, in a word or two.
    pub doing: String,
    /// Why everything stands still, when it does.
    pub stopped: Option<String>,
    /// CloudStack's address.
    pub cloudstack_url: String,
    /// The UUID of CloudStack's ROOT domain, once seen.
    pub cloud_id: Option<String>,
    /// False when the settings say that it is to do nothing by itself.
    pub enabled: bool,
    /// The target's address.
    pub target_url: String,
    /// How much is owned at the target.
    pub owned: Owned,
    /// The last full pass since the start.
    pub last_pass: Option<PassSummary>,
    /// When the events were last read with success, RFC 3339.
    pub last_poll: Option<String>,
    /// Why the last look at CloudStack failed, when it did.
    pub last_error: Option<String>,
    /// How much waits to be changed, after the last run.
    pub pending: Counts,
    /// What waits to be changed, first what is held back; a hundred at most.
    pub pending_changes: Vec<Change>,
    /// What is held back, and why.
    pub held: Vec<Held>,
    /// The last runs, newest first.
    pub runs: Vec<RunSummary>,
    /// The settings in use and where each comes from.
    pub settings: Vec<Setting>,
}

/// Whether a line of a check is good news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but somebody should look at it.
    Warning,
    /// It does not work.
    Wrong,
}

/// One line of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckLine {
    /// How it is.
    pub verdict: Verdict,
    /// What was looked at and what is wrong with it.
    pub text: String,
}

impl fmt::Display for CheckLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.verdict {
            Verdict::Ok => "ok     ",
            Verdict::Warning => "warning",
            Verdict::Wrong => "WRONG  ",
        };
        write!(formatter, "{word} {}", self.text)
    }
}
