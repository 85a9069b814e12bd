//! What a run looks at: everything, or only what events named and was read again.
//!
//! There is one planner for both. A scope only narrows down which rows it meets; what a difference means, whether it may be
//! made, and how many removals are too many does not depend on it.

use std::collections::BTreeSet;

/// More ids than this, and going over everything is no dearer.
const IDS_MAX: usize = 5_000;

/// What a run looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    All,
    Of(Touched),
}

/// Ids whose rows may differ now: groups by their domains' ids, users by their accounts'.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    pub(crate) groups: BTreeSet<String>,
    /// A user stands for all of the same id, whichever groups they are in.
    pub(crate) users: BTreeSet<String>,
}

impl Default for Scope {
    /// Nothing.
    fn default() -> Self {
        Self::Of(Touched::default())
    }
}

impl From<Touched> for Scope {
    fn from(touched: Touched) -> Self {
        if touched.groups.len() + touched.users.len() > IDS_MAX { Self::All } else { Self::Of(touched) }
    }
}

impl Scope {
    /// True when there is nothing to look at.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Looks at what another scope has, too.
    pub(crate) fn extend(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::All, _) => {}
            (Self::Of(_), Self::All) => *self = Self::All,
            (Self::Of(touched), Self::Of(more)) => {
                touched.groups.extend(more.groups);
                touched.users.extend(more.users);
            }
        }
    }

    /// The groups to look at, as [`ids`] writes them; `None` for all.
    pub(crate) fn group_ids(&self) -> Option<String> {
        match self {
            Self::All => None,
            Self::Of(touched) => Some(ids(&touched.groups)),
        }
    }

    /// The users to look at, likewise.
    pub(crate) fn user_ids(&self) -> Option<String> {
        match self {
            Self::All => None,
            Self::Of(touched) => Some(ids(&touched.users)),
        }
    }
}

/// Ids as one value that a statement takes apart with `json_each`, so that its text does not depend on their number.
pub(crate) fn ids(set: &BTreeSet<String>) -> String {
    serde_json::json!(set).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(groups: &[&str], users: &[&str]) -> Scope {
        let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        Scope::Of(Touched { groups: set(groups), users: set(users) })
    }

    #[test]
    fn scopes_add_up_and_everything_stays_everything() {
        let mut scope = Scope::default();
        assert!(scope.is_empty());
        scope.extend(of(&["g"], &[]));
        scope.extend(of(&["g"], &["u"]));
        assert_eq!(scope, of(&["g"], &["u"]));
        scope.extend(Scope::All);
        scope.extend(of(&["h"], &[]));
        assert_eq!(scope, Scope::All);
        assert!(!scope.is_empty());
    }

    #[test]
    fn very_many_ids_are_everything() {
        let users = |count: usize| (0..count).map(|number| number.to_string()).collect();
        let touched = |count| Touched { users: users(count), ..Touched::default() };
        assert!(matches!(Scope::from(touched(IDS_MAX)), Scope::Of(_)));
        assert_eq!(Scope::from(touched(IDS_MAX + 1)), Scope::All);
    }
}
