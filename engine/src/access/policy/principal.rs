//! Whom a statement is for.

use serde_json::Value;

use super::Malformed;
use super::document::texts;
use super::pattern::is_pattern;
use crate::{Caller, CanonicalId};

const ARN_PREFIX: &str = "arn:aws:iam::";

/// Those whom a statement names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Principals(Vec<Principal>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Principal {
    /// Everybody, also without a name.
    Anybody,
    /// An account and whoever acts for it, by its canonical id.
    Account(String),
    /// Somebody who never asks here: a service, a user of an account's own, a role, another provider's.
    Nobody,
}

impl Principals {
    pub(super) fn read(value: &Value) -> Result<Self, Malformed> {
        const INVALID: Malformed = Malformed("Invalid principal in policy");
        if value.as_str() == Some("*") {
            return Ok(Self(vec![Principal::Anybody]));
        }
        let kinds = value.as_object().filter(|kinds| !kinds.is_empty()).ok_or(INVALID)?;
        let mut principals = Vec::new();
        for (kind, named) in kinds {
            for name in texts(named).filter(|names| !names.is_empty()).ok_or(INVALID)? {
                principals.push(Principal::read(kind, &name).ok_or(INVALID)?);
            }
        }
        Ok(Self(principals))
    }

    /// Whether the caller is among them.
    pub(super) fn include(&self, caller: &Caller) -> bool {
        self.0.iter().any(|principal| principal.is(caller))
    }

    /// Whether they are everybody.
    pub(super) fn are_anybody(&self) -> bool {
        self.0.contains(&Principal::Anybody)
    }
}

impl Principal {
    fn read(kind: &str, name: &str) -> Option<Self> {
        match kind {
            "AWS" if name == "*" => Some(Self::Anybody),
            "AWS" => Self::of_aws(name),
            "CanonicalUser" => CanonicalId::new(name).ok().map(|id| Self::Account(id.to_string())),
            "Service" | "Federated" => (!is_pattern(name)).then_some(Self::Nobody),
            _ => None,
        }
    }

    /// `arn:aws:iam::<account>:root`, `...:user/<name>`, `...:role/<name>`, or an account's id alone.
    fn of_aws(name: &str) -> Option<Self> {
        let Some(rest) = name.strip_prefix(ARN_PREFIX) else {
            return CanonicalId::new(name).ok().map(|id| Self::Account(id.to_string()));
        };
        let (account, who) = rest.split_once(':')?;
        if account.is_empty() || is_pattern(account) {
            return None;
        }
        match who.split_once('/') {
            None if who == "root" => Some(Self::Account(account.to_owned())),
            Some(("user" | "role" | "assumed-role", named)) if !named.is_empty() => Some(Self::Nobody),
            None | Some(_) => None,
        }
    }

    fn is(&self, caller: &Caller) -> bool {
        match self {
            Self::Anybody => true,
            Self::Account(id) => caller.identity().is_some_and(|identity| identity.canonical_id.as_str() == id),
            Self::Nobody => false,
        }
    }
}
