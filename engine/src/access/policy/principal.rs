//! Whom a statement is for.

use serde_json::Value;

use super::Malformed;
use super::document::texts;
use super::pattern::is_pattern;
use crate::access_log::LOG_SERVICE;
use crate::{Caller, CanonicalId};

const ARN_PREFIXES: [&str; 2] = ["arn:aws:iam::", "arn:aws:sts::"];

/// Those whom a statement names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Principals(Vec<Principal>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Principal {
    /// Everybody, also without a name.
    Anybody,
    /// An account and whoever acts for it, by its canonical id.
    Account(String),
    /// A user or a role of an account's own, or a session of a role, by its ARN.
    Arn(String),
    /// The store's own delivery of access logs.
    LogDelivery,
    /// Somebody who never asks here: another service, another provider's.
    Nobody,
}

/// Whom of a caller and its account a statement names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The caller, by its name or as one of everybody.
    Itself,
    /// The account that the caller acts in, which is not the caller itself.
    Account,
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

    /// Whether the caller is among them, or its account.
    pub(super) fn reach(&self, caller: &Caller) -> Option<Reach> {
        let reaches = || self.0.iter().filter_map(|principal| principal.reach(caller));
        reaches().find(|reach| *reach == Reach::Itself).or_else(|| reaches().next())
    }

    /// Whether one of them is the caller by its own name.
    pub(super) fn name(&self, caller: &Caller) -> bool {
        self.0.iter().any(|principal| matches!(principal, Principal::Arn(_)) && principal.reach(caller).is_some())
    }

    /// Whether a name has wildcards, which is the name of nobody.
    pub(super) fn have_patterns(&self) -> bool {
        self.0.iter().any(|principal| matches!(principal, Principal::Arn(arn) if is_pattern(arn)))
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
            "Service" if name == LOG_SERVICE => Some(Self::LogDelivery),
            "Service" | "Federated" => (!is_pattern(name)).then_some(Self::Nobody),
            _ => None,
        }
    }

    /// `arn:aws:iam::<account>:root`, `...:user/<name>`, `...:role/<name>`, or an account's id alone.
    fn of_aws(name: &str) -> Option<Self> {
        let Some(rest) = ARN_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) else {
            return CanonicalId::new(name).ok().map(|id| Self::Account(id.to_string()));
        };
        let (account, who) = rest.split_once(':')?;
        if account.is_empty() || is_pattern(account) {
            return None;
        }
        match who.split_once('/') {
            None if who == "root" => Some(Self::Account(account.to_owned())),
            Some(("user" | "role" | "assumed-role", named)) if !named.is_empty() => Some(Self::Arn(name.to_owned())),
            None | Some(_) => None,
        }
    }

    fn reach(&self, caller: &Caller) -> Option<Reach> {
        match self {
            Self::Anybody => Some(Reach::Itself),
            Self::LogDelivery => matches!(caller, Caller::LogDelivery(_)).then_some(Reach::Itself),
            Self::Account(id) => {
                let is_account = caller.account().is_some_and(|account| account.canonical_id.as_str() == id);
                is_account.then(|| if caller.has_root_rights() { Reach::Itself } else { Reach::Account })
            }
            Self::Arn(arn) => {
                let principal = caller.principal()?;
                principal.arns().iter().any(|own| own == arn).then_some(Reach::Itself)
            }
            Self::Nobody => None,
        }
    }
}
