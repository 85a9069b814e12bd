//! The planner: what differs between CloudStack and the target, and what is to be done about it, without doing it.
//!
//! The decisions are pure functions of one joined row each; walking over the rows is separate, a batch at a time.

use crate::state::{GoneGroup, GoneUser, KnownGroup, KnownUser, LivingGroup, LivingUser, Removed};

/// Why something is taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// CloudStack shows the account as disabled or locked.
    State(String),
    /// CloudStack does not show the account any more.
    AccountGone,
    /// The account is in another domain now, and CloudStack does not show the old one any more.
    DomainGone { to: String },
    /// The account is in another domain now.
    Moved { to: String },
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    CreateGroup {
        group_id: String,
        name: String,
    },
    RenameGroup {
        known: KnownGroup,
        name: String,
    },
    CreateUser {
        user_id: String,
        group_id: String,
        full_name: String,
        email: String,
        active: bool,
    },
    UpdateUser {
        known: KnownUser,
        full_name: String,
        email: String,
    },
    Reactivate {
        known: KnownUser,
    },
    /// The account is back before its user was deleted.
    CancelDeletion {
        known: KnownUser,
    },
    Deactivate {
        known: KnownUser,
        why: Why,
    },
    /// Where the target has no trash: deactivate now, delete later.
    ScheduleDeletion {
        known: KnownUser,
        why: Why,
    },
    DeleteUser {
        known: KnownUser,
        why: Why,
    },
    DeleteGroup {
        known: KnownGroup,
    },
}

impl Action {
    /// True for what the limit on removals counts.
    pub(crate) fn is_removal(&self) -> bool {
        self.removed().is_some()
    }

    /// What the limit on removals counts of it.
    pub(crate) fn removed(&self) -> Option<Removed> {
        let of = |group_id: &str, user_id: &str, deletes| Removed {
            group_id: group_id.to_owned(),
            user_id: user_id.to_owned(),
            deletes,
        };
        match self {
            Self::CreateGroup { .. }
            | Self::RenameGroup { .. }
            | Self::CreateUser { .. }
            | Self::UpdateUser { .. }
            | Self::Reactivate { .. }
            | Self::CancelDeletion { .. } => None,
            Self::Deactivate { known, .. } | Self::ScheduleDeletion { known, .. } => {
                Some(of(&known.group_id, &known.user_id, false))
            }
            Self::DeleteUser { known, .. } => Some(of(&known.group_id, &known.user_id, true)),
            Self::DeleteGroup { known } => Some(of(&known.group_id, "", true)),
        }
    }

    /// The user that is changed, when it is one that is known.
    pub(crate) fn changed_user(&self) -> Option<&KnownUser> {
        match self {
            Self::CreateGroup { .. }
            | Self::RenameGroup { .. }
            | Self::CreateUser { .. }
            | Self::DeleteGroup { .. } => None,
            Self::UpdateUser { known, .. }
            | Self::Reactivate { known }
            | Self::CancelDeletion { known }
            | Self::Deactivate { known, .. }
            | Self::ScheduleDeletion { known, .. }
            | Self::DeleteUser { known, .. } => Some(known),
        }
    }

    /// The group that is changed, when it is one that is known.
    pub(crate) fn changed_group(&self) -> Option<&KnownGroup> {
        match self {
            Self::RenameGroup { known, .. } | Self::DeleteGroup { known } => Some(known),
            Self::CreateGroup { .. }
            | Self::CreateUser { .. }
            | Self::UpdateUser { .. }
            | Self::Reactivate { .. }
            | Self::CancelDeletion { .. }
            | Self::Deactivate { .. }
            | Self::ScheduleDeletion { .. }
            | Self::DeleteUser { .. } => None,
        }
    }
}

/// What the decisions depend on besides the row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// Days between deactivation and deletion; `None` where the target keeps a trash of its own.
    pub(crate) grace_days: Option<u32>,
    /// The time now.
    pub(crate) now_us: i64,
}

/// What a living domain's group needs.
pub(crate) fn living_group(row: LivingGroup) -> Option<Action> {
    match row.known {
        None => Some(Action::CreateGroup { group_id: row.group_id, name: row.group_name }),
        Some(known) if known.group_name != row.group_name => Some(Action::RenameGroup { known, name: row.group_name }),
        Some(_) => None,
    }
}

/// What a living account's user needs.
pub(crate) fn living_user(row: LivingUser) -> Vec<Action> {
    let wanted = wanted_active(&row.state);
    let Some(known) = row.known else {
        // A state that nobody recorded says nothing, so nothing is made of it.
        return wanted.map_or_else(Vec::new, |active| {
            let LivingUser { user_id, group_id, full_name, email, .. } = row;
            vec![Action::CreateUser { user_id, group_id, full_name, email, active }]
        });
    };
    let mut actions = Vec::new();
    if known.full_name != row.full_name || known.email != row.email {
        actions.push(Action::UpdateUser { known: known.clone(), full_name: row.full_name, email: row.email });
    }
    match wanted {
        Some(false) if known.active => actions.push(Action::Deactivate { known, why: Why::State(row.state) }),
        Some(true) if !known.active && known.deactivated_by_us => actions.push(Action::Reactivate { known }),
        Some(_) if known.delete_after_us.is_some() => actions.push(Action::CancelDeletion { known }),
        Some(_) | None => {}
    }
    actions
}

/// What the user of an account needs that is missing or elsewhere.
pub(crate) fn gone_user(row: GoneUser, policy: Policy) -> Option<Action> {
    let why = match (row.account_missing, row.domain_missing) {
        (true, _) => Why::AccountGone,
        (false, true) => Why::DomainGone { to: row.current_domain },
        (false, false) => {
            // The account lives on, and so do its old buckets; nobody may enter them by the old user.
            let why = Why::Moved { to: row.current_domain };
            return row.known.active.then_some(Action::Deactivate { known: row.known, why });
        }
    };
    match (policy.grace_days, row.known.delete_after_us) {
        (None, _) => Some(Action::DeleteUser { known: row.known, why }),
        (Some(_), Some(due_us)) if due_us <= policy.now_us => Some(Action::DeleteUser { known: row.known, why }),
        (Some(_), Some(_)) => None,
        (Some(_), None) => Some(Action::ScheduleDeletion { known: row.known, why }),
    }
}

/// What the group of a missing domain needs: nothing before the last of its users goes.
pub(crate) fn gone_group(row: GoneGroup) -> Option<Action> {
    (row.users_staying == 0).then_some(Action::DeleteGroup { known: row.known })
}

/// Whether an account in this state may use the store; `None` for a state that is not known.
fn wanted_active(state: &str) -> Option<bool> {
    match state {
        "enabled" => Some(true),
        "disabled" | "locked" => Some(false),
        _ => None,
    }
}

/// True when so many removals need an operator's word.
pub(crate) fn too_many(removals: u64, owned: u64, max: u64, max_percent: u64) -> bool {
    removals > max && u128::from(removals) * 100 > u128::from(owned) * u128::from(max_percent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Origin;

    fn known(active: bool, by_us: bool) -> KnownUser {
        KnownUser {
            user_id: "u".into(),
            group_id: "g".into(),
            full_name: "A B (c)".into(),
            email: "a@b".into(),
            active,
            origin: Origin::Made,
            deactivated_by_us: by_us,
            delete_after_us: None,
        }
    }

    fn living(state: &str, known: Option<KnownUser>) -> LivingUser {
        LivingUser {
            user_id: "u".into(),
            group_id: "g".into(),
            full_name: "A B (c)".into(),
            email: "a@b".into(),
            state: state.into(),
            known,
        }
    }

    const OWN: Policy = Policy { grace_days: None, now_us: 100 };
    const FOREIGN: Policy = Policy { grace_days: Some(7), now_us: 100 };

    #[test]
    fn an_account_without_a_user_gets_one_in_its_state() {
        for (state, active) in [("enabled", true), ("disabled", false), ("locked", false)] {
            let actions = living_user(living(state, None));
            assert!(matches!(actions.as_slice(), [Action::CreateUser { active: a, .. }] if *a == active), "{state}");
        }
        assert_eq!(living_user(living("removed", None)), vec![]);
    }

    #[test]
    fn what_is_as_it_should_be_is_left_alone() {
        assert_eq!(living_user(living("enabled", Some(known(true, false)))), vec![]);
        assert_eq!(living_user(living("disabled", Some(known(false, true)))), vec![]);
        assert_eq!(living_user(living("strange", Some(known(true, false)))), vec![]);
    }

    #[test]
    fn only_what_we_deactivated_is_reactivated() {
        assert_eq!(living_user(living("enabled", Some(known(false, false)))), vec![]);
        let ours = known(false, true);
        assert_eq!(living_user(living("enabled", Some(ours.clone()))), vec![Action::Reactivate { known: ours }]);
    }

    #[test]
    fn a_new_name_and_a_new_state_are_two_changes() {
        let mut row = living("locked", Some(known(true, false)));
        row.full_name = "A C (c)".into();
        let actions = living_user(row);
        assert!(matches!(actions.as_slice(), [Action::UpdateUser { .. }, Action::Deactivate { .. }]));
        assert_eq!(actions.iter().map(Action::is_removal).collect::<Vec<_>>(), [false, true]);
    }

    fn gone(account_missing: bool, domain_missing: bool, known: KnownUser) -> GoneUser {
        GoneUser { known, account_missing, domain_missing, current_domain: "h".into() }
    }

    #[test]
    fn a_deleted_account_is_deleted_at_once_where_there_is_a_trash() {
        let action = gone_user(gone(true, false, known(true, false)), OWN).unwrap();
        assert!(matches!(action, Action::DeleteUser { why: Why::AccountGone, .. }));
    }

    #[test]
    fn elsewhere_it_is_deactivated_first_and_deleted_when_its_day_has_come() {
        let action = gone_user(gone(true, false, known(true, false)), FOREIGN).unwrap();
        assert!(matches!(action, Action::ScheduleDeletion { .. }));
        for (due_us, deleted) in [(101, false), (100, true), (99, true)] {
            let mut user = known(false, true);
            user.delete_after_us = Some(due_us);
            let action = gone_user(gone(true, false, user), FOREIGN);
            assert_eq!(matches!(action, Some(Action::DeleteUser { .. })), deleted, "{due_us}");
            assert_eq!(action.is_some(), deleted);
        }
    }

    #[test]
    fn a_moved_account_keeps_its_old_user_deactivated() {
        let action = gone_user(gone(false, false, known(true, false)), OWN).unwrap();
        assert!(matches!(action, Action::Deactivate { why: Why::Moved { .. }, .. }));
        assert_eq!(gone_user(gone(false, false, known(false, true)), OWN), None);
        let action = gone_user(gone(false, true, known(false, true)), OWN).unwrap();
        assert!(matches!(action, Action::DeleteUser { why: Why::DomainGone { .. }, .. }));
    }

    #[test]
    fn an_account_that_is_back_keeps_its_user() {
        let mut user = known(false, true);
        user.delete_after_us = Some(500);
        assert!(matches!(living_user(living("enabled", Some(user.clone()))).as_slice(), [Action::Reactivate { .. }]));
        user.deactivated_by_us = false;
        let actions = living_user(living("enabled", Some(user)));
        assert!(matches!(actions.as_slice(), [Action::CancelDeletion { .. }]));
    }

    #[test]
    fn a_group_waits_for_its_users() {
        let known = KnownGroup { group_id: "g".into(), group_name: "/a/".into(), origin: Origin::Made };
        assert_eq!(gone_group(GoneGroup { known: known.clone(), users_staying: 1 }), None);
        assert!(matches!(gone_group(GoneGroup { known, users_staying: 0 }), Some(Action::DeleteGroup { .. })));
    }

    #[test]
    fn the_limit_needs_both_the_number_and_the_share() {
        for (removals, owned, held) in
            [(5, 5, false), (6, 60, false), (6, 59, true), (10, 100, false), (11, 100, true), (100, 2000, false)]
        {
            assert_eq!(too_many(removals, owned, 5, 10), held, "{removals} of {owned}");
        }
        assert!(!too_many(0, 0, 0, 0));
        assert!(too_many(1, 5, 0, 10));
    }
}
