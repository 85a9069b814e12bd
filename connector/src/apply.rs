//! Doing one planned thing at the target, so that doing it twice or being cut short does no harm.
//!
//! What is told to the target and what is remembered can be torn apart by a crash at any moment. So a change is marked
//! as open before it is asked for, and making something that is there already adopts it.

use admin_api::client::Error as TargetError;

use crate::{
    cloudstack::{Cloud, CloudError},
    error::Error,
    plan::{Action, Policy, Why},
    state::{Fact, Fold, Intent, KnownGroup, KnownUser, Origin, Removed, State},
    target::{Target, found_group, found_user},
};

/// What became of one change.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done,
    /// Not done, because it turned out that it must not be, or that something else comes first.
    Skipped(String),
    Failed(Error),
}

/// What became of one change, and what is so now.
pub(crate) struct Applied {
    pub(crate) outcome: Outcome,
    pub(crate) facts: Vec<Fact>,
    /// True when somebody lost something by it.
    removed: bool,
}

impl Applied {
    fn of(outcome: Outcome, facts: Vec<Fact>) -> Self {
        Self { outcome, facts, removed: false }
    }

    fn done(facts: Vec<Fact>) -> Self {
        Self::of(Outcome::Done, facts)
    }

    fn removed(facts: Vec<Fact>) -> Self {
        Self { removed: true, ..Self::done(facts) }
    }

    fn skipped(why: &str, facts: Vec<Fact>) -> Self {
        Self::of(Outcome::Skipped(why.to_owned()), facts)
    }
}

/// One who applies changes.
pub(crate) struct Applier<'a> {
    pub(crate) cloud: &'a Cloud,
    pub(crate) state: &'a State,
    pub(crate) target: &'a Target,
    pub(crate) cloud_id: &'a str,
    pub(crate) policy: Policy,
    /// True when an operator confirmed the removals.
    pub(crate) confirmed: bool,
}

impl Applier<'_> {
    /// Writes down what a batch is about to do: changes are marked as open, and removals are counted.
    pub(crate) async fn begin(&self, actions: &[Action]) -> Result<(), Error> {
        let changed = |action: &Action| {
            let user = action.changed_user()?;
            Some((user.group_id.clone(), user.user_id.clone(), deactivates(action)))
        };
        let intent = Intent {
            users: actions.iter().filter_map(changed).collect(),
            groups: actions.iter().filter_map(Action::changed_group).map(|group| group.group_id.clone()).collect(),
            removals: actions.iter().filter_map(Action::removed).collect(),
            confirmed: self.confirmed,
        };
        Ok(self.state.begin_changes(self.cloud_id, &intent).await?)
    }

    /// Does one thing.
    pub(crate) async fn apply(&self, action: &Action) -> Applied {
        let result = match action {
            Action::CreateGroup { group_id, name } => self.create_group(group_id, name).await,
            Action::RenameGroup { known, name } => self.rename_group(known, name).await,
            Action::CreateUser { user_id, group_id, full_name, email, active } => {
                let user = KnownUser {
                    user_id: user_id.clone(),
                    group_id: group_id.clone(),
                    full_name: full_name.clone(),
                    email: email.clone(),
                    active: *active,
                    origin: Origin::Made,
                    deactivated_by_us: !*active,
                    delete_after_us: None,
                };
                self.create_user(user).await
            }
            Action::UpdateUser { known, full_name, email } => self.update_user(known, full_name, email).await,
            Action::Reactivate { known } => self.reactivate(known).await,
            Action::CancelDeletion { known } => {
                Ok(Applied::done(vec![Fact::User(KnownUser { delete_after_us: None, ..known.clone() })]))
            }
            Action::Deactivate { known, .. } => self.deactivate(known, known.delete_after_us).await,
            Action::ScheduleDeletion { known, why } => self.schedule_deletion(known, why).await,
            Action::DeleteUser { known, why } => self.delete_user(known, why).await,
            Action::DeleteGroup { known } => self.delete_group(known).await,
        };
        let mut applied = result.unwrap_or_else(|error| Applied::of(Outcome::Failed(error), Vec::new()));
        if let Some(removed) = action.removed() {
            applied.facts.extend(self.settled(removed, &applied));
        }
        applied
    }

    /// What is known of a removal that was counted before: `None` when the target may or may not have made it.
    fn settled(&self, removed: Removed, applied: &Applied) -> Option<Fact> {
        match &applied.outcome {
            Outcome::Done if applied.removed => Some(Fact::Removed { removed, confirmed: self.confirmed }),
            Outcome::Done | Outcome::Skipped(_) => Some(Fact::NotRemoved(removed)),
            Outcome::Failed(Error::Target(_)) => None,
            Outcome::Failed(_) => Some(Fact::NotRemoved(removed)),
        }
    }

    async fn create_group(&self, group_id: &str, name: &str) -> Result<Applied, Error> {
        if self.target.make_group(group_id, name).await? {
            let known = KnownGroup { group_id: group_id.to_owned(), group_name: name.to_owned(), origin: Origin::Made };
            return Ok(Applied::done(vec![Fact::Group(known)]));
        }
        match self.target.group(group_id).await? {
            Some(found) => Ok(Applied::done(vec![Fact::Group(found_group(&found))])),
            None => Ok(Applied::skipped("the target says that it exists and does not show it", Vec::new())),
        }
    }

    async fn rename_group(&self, known: &KnownGroup, name: &str) -> Result<Applied, Error> {
        match self.target.rename_group(&known.group_id, name).await {
            Ok(()) => Ok(Applied::done(vec![Fact::Group(KnownGroup { group_name: name.to_owned(), ..known.clone() })])),
            Err(error) if is_refusal(&error) && self.target.group(&known.group_id).await?.is_none() => {
                let fact = Fact::NoGroup { group_id: known.group_id.clone() };
                Ok(Applied::skipped("it was not there any more and is made again", vec![fact]))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn create_user(&self, user: KnownUser) -> Result<Applied, Error> {
        match self.target.make_user(&user).await {
            Ok(true) => Ok(Applied::done(vec![Fact::User(user)])),
            Ok(false) => match self.target.user(&user.group_id, &user.user_id).await? {
                Some(found) => Ok(Applied::done(vec![Fact::User(found_user(&found, None))])),
                None => Ok(Applied::skipped("the target says that it exists and does not show it", Vec::new())),
            },
            Err(error) if is_refusal(&error) && self.target.group(&user.group_id).await?.is_none() => {
                let fact = Fact::NoGroup { group_id: user.group_id };
                Ok(Applied::skipped("its group was not there any more and is made again", vec![fact]))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn update_user(&self, known: &KnownUser, full_name: &str, email: &str) -> Result<Applied, Error> {
        match self.target.update_user(known, full_name, email).await {
            Ok(()) => {
                let changed = KnownUser { full_name: full_name.to_owned(), email: email.to_owned(), ..known.clone() };
                Ok(Applied::done(vec![Fact::User(changed)]))
            }
            Err(error) => self.lost_user(known, error).await,
        }
    }

    async fn reactivate(&self, known: &KnownUser) -> Result<Applied, Error> {
        match self.target.set_active(known, true).await {
            Ok(()) => {
                let changed =
                    KnownUser { active: true, deactivated_by_us: false, delete_after_us: None, ..known.clone() };
                Ok(Applied::done(vec![Fact::User(changed)]))
            }
            Err(error) => self.lost_user(known, error).await,
        }
    }

    /// A user that somebody else deactivated before us is not ours to reactivate, so it is looked at first.
    async fn deactivate(&self, known: &KnownUser, delete_after_us: Option<i64>) -> Result<Applied, Error> {
        let Some(found) = self.target.user(&known.group_id, &known.user_id).await? else {
            return Ok(Applied::skipped("it was not there any more", vec![no_user(known)]));
        };
        let now = KnownUser { delete_after_us, active: false, ..found_user(&found, Some(known)) };
        if !found.active {
            return Ok(Applied::done(vec![Fact::User(now)]));
        }
        self.target.set_active(known, false).await?;
        Ok(Applied::removed(vec![Fact::User(KnownUser { deactivated_by_us: true, ..now })]))
    }

    async fn schedule_deletion(&self, known: &KnownUser, why: &Why) -> Result<Applied, Error> {
        if let Some(alive) = self.still_there(known, why).await? {
            return Ok(alive);
        }
        let grace_us = i64::from(self.policy.grace_days.unwrap_or(0)) * 86_400_000_000;
        self.deactivate(known, Some(self.policy.now_us.saturating_add(grace_us))).await
    }

    async fn delete_user(&self, known: &KnownUser, why: &Why) -> Result<Applied, Error> {
        if let Some(alive) = self.still_there(known, why).await? {
            return Ok(alive);
        }
        self.target.delete_user(&known.group_id, &known.user_id).await?;
        Ok(Applied::removed(vec![no_user(known)]))
    }

    async fn delete_group(&self, known: &KnownGroup) -> Result<Applied, Error> {
        if !self.domain_is_gone(&known.group_id).await? {
            return Ok(Applied::skipped("CloudStack still has the domain", vec![Fact::Group(known.clone())]));
        }
        let ours = self.state.known_users_in(self.cloud_id, &known.group_id).await?.len();
        let there = self.target.users(&known.group_id).await?.len();
        if ours > 0 || there > 0 {
            let why = format!("{there} users are still in it, {ours} of them ours");
            return Ok(Applied::skipped(&why, vec![Fact::Group(known.clone())]));
        }
        self.target.delete_group(&known.group_id).await?;
        Ok(Applied::removed(vec![Fact::NoGroup { group_id: known.group_id.clone() }]))
    }

    /// Asks CloudStack for the very id before anything is taken away for its absence.
    async fn still_there(&self, known: &KnownUser, why: &Why) -> Result<Option<Applied>, Error> {
        let gone = match why {
            Why::AccountGone => self.account_is_gone(&known.user_id).await?,
            Why::DomainGone { .. } => self.domain_is_gone(&known.group_id).await?,
            Why::State(_) | Why::Moved { .. } => true,
        };
        if gone {
            return Ok(None);
        }
        Ok(Some(Applied::skipped("CloudStack still has it", vec![Fact::User(known.clone())])))
    }

    async fn account_is_gone(&self, account_id: &str) -> Result<bool, Error> {
        match self.cloud.account(account_id).await {
            Err(CloudError::NotThere) => Ok(true),
            Ok(account) => {
                self.state.fold_accounts(self.cloud_id, &[account], Fold::Alone).await?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn domain_is_gone(&self, domain_id: &str) -> Result<bool, Error> {
        match self.cloud.domain(domain_id).await {
            Err(CloudError::NotThere) => Ok(true),
            Ok(domain) => {
                self.state.fold_domains(self.cloud_id, &[domain], Fold::Alone).await?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A change was refused: perhaps somebody deleted the user behind our back, so that it is made again.
    async fn lost_user(&self, known: &KnownUser, error: TargetError) -> Result<Applied, Error> {
        if is_refusal(&error) && self.target.user(&known.group_id, &known.user_id).await?.is_none() {
            return Ok(Applied::skipped("it was not there any more and is made again", vec![no_user(known)]));
        }
        Err(error.into())
    }
}

fn no_user(known: &KnownUser) -> Fact {
    Fact::NoUser { group_id: known.group_id.clone(), user_id: known.user_id.clone() }
}

fn deactivates(action: &Action) -> bool {
    matches!(action, Action::Deactivate { .. } | Action::ScheduleDeletion { .. })
}

/// True when the target said no, as it does for what is not there.
fn is_refusal(error: &TargetError) -> bool {
    matches!(error, TargetError::NotFound | TargetError::Refused { status: 400 | 404, .. })
}
