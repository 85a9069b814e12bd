//! An operator's word that removals held back for being many are meant: it is given for exactly those that were shown.

use std::collections::HashSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha1::{Digest, Sha1};

use crate::state::Removed;

/// A confirmation, and what it turned out to allow.
#[derive(Debug, Default)]
pub(crate) struct Consent {
    /// The token of what was shown.
    token: Option<String>,
    /// The removals shown, once they were found to be those that would be made.
    granted: Option<HashSet<Removed>>,
}

impl Consent {
    /// A confirmation of what has this token; `None` for no confirmation.
    pub(crate) fn to(token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned), granted: None }
    }

    /// True when somebody confirmed something.
    pub(crate) fn is_given(&self) -> bool {
        self.token.is_some()
    }

    /// True when what was confirmed is being done.
    pub(crate) fn is_granted(&self) -> bool {
        self.granted.is_some()
    }

    /// Whether these removals may all be made: they are those that were shown, or what is left of them.
    pub(crate) fn covers(&mut self, removals: &[Removed]) -> bool {
        if let Some(granted) = &self.granted {
            return removals.iter().all(|removed| granted.contains(removed));
        }
        let is_shown = self.token.as_deref() == Some(token(removals).as_str());
        if is_shown {
            self.granted = Some(removals.iter().cloned().collect());
        }
        is_shown
    }

    /// Whether one removal may be made. Without a confirmation only the limit decides.
    pub(crate) fn allows(&self, removed: &Removed) -> bool {
        self.granted.as_ref().is_none_or(|granted| granted.contains(removed))
    }
}

/// A name for exactly these removals, whatever their order. It tells plans apart and keeps nothing secret.
pub(crate) fn token(removals: &[Removed]) -> String {
    let mut removals: Vec<&Removed> = removals.iter().collect();
    removals.sort();
    let mut hash = Sha1::new();
    for Removed { group_id, user_id, deletes } in removals {
        hash.update(format!("{group_id}/{user_id}/{deletes}\n"));
    }
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removals(users: &[&str]) -> Vec<Removed> {
        let of = |user: &&str| Removed { group_id: "g".into(), user_id: (*user).into(), deletes: true };
        users.iter().map(of).collect()
    }

    #[test]
    fn a_confirmation_covers_what_was_shown_and_what_is_left_of_it() {
        let shown = token(&removals(&["a", "b"]));
        for (now, covered) in
            [(&["b", "a"][..], true), (&["a"], false), (&["a", "b", "c"], false), (&["a", "c"], false)]
        {
            let mut consent = Consent::to(Some(&shown));
            assert_eq!(consent.covers(&removals(now)), covered, "{now:?}");
            assert_eq!(consent.is_granted(), covered);
        }
        let mut consent = Consent::to(Some(&shown));
        assert!(consent.covers(&removals(&["a", "b"])));
        assert!(consent.covers(&removals(&["b"])) && !consent.covers(&removals(&["c"])));
        assert!(consent.allows(&removals(&["b"])[0]) && !consent.allows(&removals(&["c"])[0]));
        assert!(!Consent::default().covers(&removals(&["a"])));
        let mut deactivated = removals(&["a", "b"]);
        deactivated[0].deletes = false;
        assert!(!Consent::to(Some(&shown)).covers(&deactivated), "something else is done to them");
    }
}
