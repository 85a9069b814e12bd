//! Somebody who acts in an account with rights of its own, as it is remembered with its key.

use std::sync::Arc;

use super::action::IamAction;
use super::entity::IamEntity;
use crate::access::caller_fact;
use crate::access::policy::{Policy, Question, Verdict};
use crate::{Caller, Error, Identity, Result};

/// A user of an account's own, or a session, with its policies read.
#[derive(Clone, Debug)]
pub struct Principal {
    account: Arc<Identity>,
    who: Who,
    /// What its policies give it; for nothing of the account's root.
    policies: Vec<Policy>,
    /// What a session was limited to when it was made.
    session: Option<Policy>,
}

/// Who it is.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// A user, by one of its keys.
    User(IamEntity),
    /// A user, by a temporary key.
    UserSession(IamEntity),
    /// A role that was taken on, and the temporary key of that.
    RoleSession { role: IamEntity, session_name: String, access_key: String },
    /// The account's root, by a temporary key.
    RootSession,
}

/// What a principal's policies say of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rights {
    own: Verdict,
    session: Verdict,
}

impl Rights {
    /// Whether something denies it.
    pub(crate) fn deny(self) -> bool {
        self.own == Verdict::Denied || self.session == Verdict::Denied
    }

    /// Whether it is allowed, within what the session is limited to.
    pub(crate) fn allow(self) -> bool {
        self.own == Verdict::Allowed && self.are_within_session()
    }

    /// Whether the session is not limited to other things.
    pub(crate) fn are_within_session(self) -> bool {
        self.session == Verdict::Allowed
    }
}

impl Principal {
    pub(crate) fn new(account: Arc<Identity>, who: Who, policies: Vec<Policy>, session: Option<Policy>) -> Self {
        Self { account, who, policies, session }
    }

    /// The account that it acts in.
    pub fn account(&self) -> &Arc<Identity> {
        &self.account
    }

    pub(crate) fn who(&self) -> &Who {
        &self.who
    }

    /// Whether it acts for the account's root.
    pub(crate) fn is_root(&self) -> bool {
        matches!(self.who, Who::RootSession)
    }

    /// What its policies say.
    pub(crate) fn rights(&self, question: &Question<'_>) -> Rights {
        let own = if self.is_root() { Verdict::Allowed } else { ask_all(&self.policies, question) };
        let session = self.session.as_ref().map_or(Verdict::Allowed, |policy| policy.ask(question));
        Rights { own, session }
    }

    /// The names by which policies may mean it.
    pub(crate) fn arns(&self) -> Vec<String> {
        match &self.who {
            Who::User(user) | Who::UserSession(user) => vec![user.arn()],
            Who::RoleSession { role, .. } => vec![role.arn(), self.arn()],
            Who::RootSession => vec![root_arn(&self.account)],
        }
    }

    /// Its ARN; of a session of a role, the session's.
    pub(crate) fn arn(&self) -> String {
        match &self.who {
            Who::User(user) | Who::UserSession(user) => user.arn(),
            Who::RoleSession { role, session_name, .. } => assumed_role_arn(role, session_name),
            Who::RootSession => root_arn(&self.account),
        }
    }

    /// Its id, which no other has.
    pub(crate) fn user_id(&self) -> String {
        match &self.who {
            Who::User(user) | Who::UserSession(user) => user.id.clone(),
            Who::RoleSession { role, session_name, .. } => format!("{}:{session_name}", role.id),
            Who::RootSession => self.account.canonical_id.to_string(),
        }
    }

    /// The user of the account's own that it is.
    pub(crate) fn user(&self) -> Option<&IamEntity> {
        match &self.who {
            Who::User(user) | Who::UserSession(user) => Some(user),
            Who::RoleSession { .. } | Who::RootSession => None,
        }
    }
}

fn ask_all(policies: &[Policy], question: &Question<'_>) -> Verdict {
    let mut verdict = Verdict::Silent;
    for policy in policies {
        match policy.ask(question) {
            Verdict::Denied => return Verdict::Denied,
            Verdict::Allowed | Verdict::Delegated => verdict = Verdict::Allowed,
            Verdict::Silent => {}
        }
    }
    verdict
}

/// The ARN of an account's root.
pub(crate) fn root_arn(account: &Identity) -> String {
    format!("arn:aws:iam::{}:root", account.canonical_id)
}

/// The ARN of a session of a role.
pub(crate) fn assumed_role_arn(role: &IamEntity, session_name: &str) -> String {
    format!("arn:aws:sts::{}:assumed-role/{}/{session_name}", role.account, role.name)
}

impl Caller {
    /// The ARN of who asks.
    pub(crate) fn arn(&self) -> Option<String> {
        match self {
            Self::User(identity, _) => Some(root_arn(identity)),
            Self::Iam(principal, _) => Some(principal.arn()),
            Self::Anonymous(_) | Self::LogDelivery(_) | Self::AdminService | Self::LocalOperator => None,
        }
    }

    /// What policies call who asks: a fact of the names `aws:userid`, `aws:username` and `aws:principal...`.
    pub(crate) fn named(&self, fact: &str) -> Option<String> {
        let (id, name, arn, kind) = match self {
            Self::User(identity, _) => {
                (identity.canonical_id.to_string(), Some(identity.user_id.to_string()), root_arn(identity), "Account")
            }
            Self::Iam(principal, _) => {
                let user = principal.user().map(|user| user.name.clone());
                let (arn, kind) = match principal.who() {
                    Who::User(_) | Who::UserSession(_) => (principal.arn(), "User"),
                    Who::RoleSession { role, .. } => (role.arn(), "AssumedRole"),
                    Who::RootSession => (principal.arn(), "Account"),
                };
                (principal.user_id(), user, arn, kind)
            }
            Self::LogDelivery(_) => return (fact == "aws:principaltype").then(|| "Service".to_owned()),
            Self::Anonymous(_) | Self::AdminService | Self::LocalOperator => {
                return (fact == "aws:principaltype").then(|| "Anonymous".to_owned());
            }
        };
        match fact {
            "aws:userid" => Some(id),
            "aws:username" => name,
            "aws:principalaccount" => self.account().map(|account| account.canonical_id.to_string()),
            "aws:principalarn" => Some(arn),
            "aws:principaltype" => Some(kind.to_owned()),
            _ => None,
        }
    }

    /// The account in which the caller may ask for identities: its root, and its users and roles. [`Error::AccessDenied`], also for a
    /// session of somebody's own keys, which was made for less.
    pub(crate) fn must_ask_for_identities(&self) -> Result<&Arc<Identity>> {
        match self.principal().map(Principal::who) {
            None | Some(Who::User(_) | Who::RoleSession { .. }) => self.must_act_in_account(),
            Some(Who::UserSession(_) | Who::RootSession) => Err(Error::AccessDenied),
        }
    }

    /// Lets the caller do something with an identity of its account. `told` are facts of the request by their names in lower case.
    pub(crate) fn must_manage(&self, action: IamAction, resource: &str, told: &[(&str, &str)]) -> Result<()> {
        self.must_ask_for_identities()?;
        if self.rights_for(action, resource, told).is_none_or(Rights::allow) {
            Ok(())
        } else {
            Err(Error::AccessDenied)
        }
    }

    /// What the caller's own policies say; `None` for the account's root, whom none binds.
    pub(crate) fn rights_for(&self, action: IamAction, resource: &str, told: &[(&str, &str)]) -> Option<Rights> {
        let principal = self.principal()?;
        let facts = |name: &str| iam_fact(self, told, name);
        let action = action.qualified();
        Some(principal.rights(&Question { caller: self, action: &action, resource, facts: &facts }))
    }
}

/// The values of a fact of a request about identities.
pub(crate) fn iam_fact(caller: &Caller, told: &[(&str, &str)], name: &str) -> Option<Vec<String>> {
    let given = told.iter().find(|(given, _)| *given == name);
    given.map(|(_, value)| vec![(*value).to_owned()]).or_else(|| caller_fact(caller, name))
}
