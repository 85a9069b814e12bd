//! Walking over all differences in the order in which they may be applied: groups before the users in them, and removals
//! in the opposite order.

use crate::{
    error::Error,
    plan::{self, Action, Policy},
    scope::Scope,
    state::State,
};

/// A part of the differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    LivingGroups,
    LivingUsers,
    GoneUsers,
    GoneGroups,
}

/// All parts, in order.
pub(crate) const STAGES: [Stage; 4] = [Stage::LivingGroups, Stage::LivingUsers, Stage::GoneUsers, Stage::GoneGroups];

/// The parts that may take something away, in order.
pub(crate) const REMOVING_STAGES: [Stage; 3] = [Stage::LivingUsers, Stage::GoneUsers, Stage::GoneGroups];

/// A walk over one part. It goes on by key, so that a row which cannot be changed is passed once and not for ever.
pub(crate) struct Walk<'a> {
    pub(crate) state: &'a State,
    pub(crate) cloud_id: &'a str,
    pub(crate) policy: Policy,
    pub(crate) stage: Stage,
    pub(crate) scope: &'a Scope,
    after: (String, String),
}

impl<'a> Walk<'a> {
    pub(crate) fn new(state: &'a State, cloud_id: &'a str, policy: Policy, stage: Stage, scope: &'a Scope) -> Self {
        Self { state, cloud_id, policy, stage, scope, after: (String::new(), String::new()) }
    }

    /// The actions of the next batch; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Action>>, Error> {
        let (state, cloud_id, scope) = (self.state, self.cloud_id, self.scope);
        match self.stage {
            Stage::LivingGroups => {
                let rows = state.differing_groups(cloud_id, scope, &self.after.0).await?;
                let Some(last) = rows.last() else { return Ok(None) };
                self.after.0.clone_from(&last.group_id);
                Ok(Some(rows.into_iter().filter_map(plan::living_group).collect()))
            }
            Stage::LivingUsers => {
                let rows = state.differing_users(cloud_id, scope, &self.after.0).await?;
                let Some(last) = rows.last() else { return Ok(None) };
                self.after.0.clone_from(&last.user_id);
                Ok(Some(rows.into_iter().flat_map(plan::living_user).collect()))
            }
            Stage::GoneUsers => {
                let rows = state.gone_users(cloud_id, scope, (&self.after.0, &self.after.1)).await?;
                let Some(last) = rows.last() else { return Ok(None) };
                self.after = (last.known.user_id.clone(), last.known.group_id.clone());
                Ok(Some(rows.into_iter().filter_map(|row| plan::gone_user(row, self.policy)).collect()))
            }
            Stage::GoneGroups => {
                let due_us = self.policy.grace_days.map(|_| self.policy.now_us);
                let rows = state.gone_groups(cloud_id, scope, &self.after.0, due_us).await?;
                let Some(last) = rows.last() else { return Ok(None) };
                self.after.0.clone_from(&last.known.group_id);
                Ok(Some(rows.into_iter().filter_map(plan::gone_group).collect()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Clock,
        cloudstack::{Account, Domain},
        scope::Touched,
        state::{Fact, Fold, KnownGroup, KnownUser, Origin},
    };

    const OWN: Policy = Policy { grace_days: None, now_us: 0 };

    fn domain(id: &str, level: u32) -> Domain {
        let path = if level == 0 { "ROOT".to_owned() } else { format!("ROOT/{id}") };
        Domain { id: id.into(), level, parent_id: (level > 0).then(|| "root".into()), path }
    }

    fn account(id: &str, domain_id: &str) -> Account {
        Account {
            id: id.into(),
            name: id.into(),
            account_type: 0,
            role_type: Some("User".into()),
            role_name: Some("User".into()),
            domain_id: domain_id.into(),
            domain_path: None,
            state: "enabled".into(),
            users: Vec::new(),
        }
    }

    fn known(user_id: &str, group_id: &str) -> Fact {
        Fact::User(KnownUser {
            user_id: user_id.into(),
            group_id: group_id.into(),
            full_name: user_id.into(),
            email: String::new(),
            active: true,
            origin: Origin::Made,
            deactivated_by_us: false,
            delete_after_us: None,
        })
    }

    fn group(id: &str) -> Fact {
        Fact::Group(KnownGroup { group_id: id.into(), group_name: format!("/{id}/"), origin: Origin::Made })
    }

    /// A cloud with the domains a and b, and the account x in a, all of it at the target.
    async fn settled(folder: &tempfile::TempDir) -> State {
        let state = State::open(&folder.path().join("connector.db"), Clock::system()).await.unwrap();
        state.bind("root").await.unwrap();
        let domains = [domain("root", 0), domain("a", 1), domain("b", 1)];
        state.fold_domains("root", &domains, Fold::Alone).await.unwrap();
        state.fold_accounts("root", &[account("x", "a")], Fold::Alone).await.unwrap();
        state.record("root", &[group("a"), group("b"), known("x", "a")]).await.unwrap();
        state
    }

    async fn actions(state: &State) -> Vec<Action> {
        actions_in(state, &Scope::All).await
    }

    async fn actions_in(state: &State, scope: &Scope) -> Vec<Action> {
        let mut all = Vec::new();
        for stage in STAGES {
            let mut walk = Walk::new(state, "root", OWN, stage, scope);
            while let Some(batch) = walk.next().await.unwrap() {
                all.extend(batch);
            }
        }
        all
    }

    #[tokio::test]
    async fn an_account_that_moved_gets_a_new_user_and_its_old_one_is_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let state = settled(&folder).await;
        assert_eq!(actions(&state).await, vec![]);
        state.fold_accounts("root", &[account("x", "b")], Fold::Alone).await.unwrap();
        let found = actions(&state).await;
        assert!(
            matches!(found.as_slice(), [Action::CreateUser { group_id, .. }, Action::Deactivate { known, .. }]
                if group_id == "b" && known.group_id == "a"),
            "{found:?}"
        );
        // Gone altogether, it goes from both.
        state.record("root", &[known("x", "b")]).await.unwrap();
        state.miss_account("root", "x").await.unwrap();
        let found = actions(&state).await;
        assert!(matches!(found.as_slice(), [Action::DeleteUser { .. }, Action::DeleteUser { .. }]), "{found:?}");
    }

    #[tokio::test]
    async fn an_account_of_a_missing_domain_waits_until_it_is_missing_itself() {
        let folder = tempfile::tempdir().unwrap();
        let state = settled(&folder).await;
        state.miss_domains("root", i64::MAX).await.unwrap();
        // Nothing was seen since, so a and b are missing; x is thought to be there, so only b can go.
        let found = actions(&state).await;
        assert!(matches!(found.as_slice(), [Action::DeleteGroup { known }] if known.group_id == "b"), "{found:?}");
        state.miss_account("root", "x").await.unwrap();
        assert_eq!(actions(&state).await.len(), 3);
    }

    #[tokio::test]
    async fn what_is_missing_and_has_nothing_at_the_target_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let state = settled(&folder).await;
        state.miss_account("root", "x").await.unwrap();
        state.prune("root").await.unwrap();
        assert_eq!(actions(&state).await.len(), 1, "its user is still there");
        state.record("root", &[Fact::NoUser { group_id: "a".into(), user_id: "x".into() }]).await.unwrap();
        state.prune("root").await.unwrap();
        assert_eq!(state.accounts_in_subtree("root", "a").await.unwrap(), Vec::<String>::new());
        assert_eq!(actions(&state).await, vec![]);
    }

    /// A cloud of ten accounts in each domain, all of it at the target but for one account's new name and one that is gone.
    async fn large(folder: &tempfile::TempDir, accounts: usize) -> State {
        let state = State::open(&folder.path().join("connector.db"), Clock::system()).await.unwrap();
        state.bind("root").await.unwrap();
        let group_of = |number: usize| format!("g{:06}", number / 10);
        let (mut domains, mut all, mut facts) = (vec![domain("root", 0)], Vec::new(), Vec::new());
        for number in 0..accounts {
            let (id, group_id) = (format!("a{number:06}"), group_of(number));
            if number % 10 == 0 {
                domains.push(domain(&group_id, 1));
                facts.push(group(&group_id));
            }
            all.push(account(&id, &group_id));
            facts.push(known(&id, &group_id));
        }
        state.fold_domains("root", &domains, Fold::Alone).await.unwrap();
        state.fold_accounts("root", &all, Fold::Alone).await.unwrap();
        state.record("root", &facts).await.unwrap();
        let renamed = Account { name: "renamed".into(), ..account("a000105", "g000010") };
        state.fold_accounts("root", &[renamed], Fold::Alone).await.unwrap();
        state.miss_account("root", "a000042").await.unwrap();
        state
    }

    /// The steps of all that a run over a scope does in the state besides writing down what it did.
    async fn steps(state: &State, mut scope: Scope) -> u64 {
        let steps = state.count_steps().await;
        state.widen("root", &mut scope).await.unwrap();
        let found = actions_in(state, &scope).await;
        assert!(
            matches!(found.as_slice(), [Action::UpdateUser { .. }, Action::DeleteUser { .. }]),
            "both were touched, and nothing else differs: {found:?}"
        );
        assert_eq!(state.open_removals("root").await.unwrap().len(), 0);
        assert_eq!(state.dirty_groups("root").await.unwrap().len(), 0);
        assert_eq!(state.dirty_users("root").await.unwrap().len(), 0);
        assert_eq!(state.removals_since("root", 0).await.unwrap(), 0);
        state.prune("root").await.unwrap();
        steps.take()
    }

    #[tokio::test]
    async fn a_run_over_what_an_event_named_costs_the_same_in_any_cloud() {
        let touched = || {
            let users = ["a000042", "a000105"].map(str::to_owned).into();
            Scope::from(Touched { users, ..Touched::default() })
        };
        let mut costs = Vec::new();
        for accounts in [200, 4000] {
            let folder = tempfile::tempdir().unwrap();
            let state = large(&folder, accounts).await;
            costs.push((steps(&state, touched()).await, steps(&state, Scope::All).await));
        }
        let [(few, few_all), (many, many_all)] = costs.as_slice() else { panic!("two clouds") };
        assert!(many_all > &(few_all * 10), "a run over everything meets every row: {costs:?}");
        assert!(*many < few + few / 10, "a run over a scope does not: {costs:?}");
        assert!(many * 20 < *many_all, "{costs:?}");
    }

    #[tokio::test]
    async fn a_scope_is_widened_by_the_group_that_its_last_user_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let state = settled(&folder).await;
        state.miss_domains("root", i64::MAX).await.unwrap();
        state.miss_account("root", "x").await.unwrap();
        let mut scope = Scope::from(Touched { users: ["x".to_owned()].into(), ..Touched::default() });
        assert!(matches!(actions_in(&state, &scope).await.as_slice(), [Action::DeleteUser { .. }]));
        state.widen("root", &mut scope).await.unwrap();
        let found = actions_in(&state, &scope).await;
        assert!(
            matches!(found.as_slice(), [Action::DeleteUser { .. }, Action::DeleteGroup { known }] if known.group_id == "a"),
            "{found:?}"
        );
        // From the group's side likewise: it goes with all of its users. The other group is nobody's business here.
        let mut scope = Scope::from(Touched { groups: ["a".to_owned()].into(), ..Touched::default() });
        state.widen("root", &mut scope).await.unwrap();
        assert_eq!(actions_in(&state, &scope).await, found);
        assert_eq!(actions(&state).await.len(), 3);
    }
}
