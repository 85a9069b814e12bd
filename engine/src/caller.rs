//! Who asks. Every door turns its own proof (a signature, a link, a password, a session) into a [`Caller`], and the engine
//! alone decides from it what is allowed.

use std::sync::Arc;

use crate::fair::Share;
use crate::iam::Principal;
use crate::names::{CanonicalId, GroupId, UserId};
use crate::{Error, Result};

/// What a user may do beside its own buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Owns buckets, manages its own keys.
    User,
    /// Besides, sees the users of its group. Reads no tenant's objects.
    GroupAdmin,
    /// Manages groups and users. Reads no tenant's objects.
    SystemAdmin,
}

impl Role {
    /// The word of the Admin API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::GroupAdmin => "GroupAdmin",
            Self::SystemAdmin => "SystemAdmin",
        }
    }

    /// Reads the word of the Admin API.
    pub fn parse(text: &str) -> Result<Self> {
        [Self::User, Self::GroupAdmin, Self::SystemAdmin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| Error::invalid("userType", "must be User, GroupAdmin or SystemAdmin"))
    }
}

/// A user as the rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The immutable id; also the owner id of S3.
    pub canonical_id: CanonicalId,
    /// The group's id.
    pub group_id: GroupId,
    /// The user's id in the group.
    pub user_id: UserId,
    /// The name that S3 shows beside the owner id.
    pub display_name: String,
    /// What the user may do.
    pub role: Role,
}

/// What a request tells of itself beside who asks, for the conditions of policies: a door that has any implements this.
pub trait RequestFacts: std::fmt::Debug + Send + Sync {
    /// The values of a fact by its name in lower case, such as `aws:sourceip` or `s3:prefix`; `None` when the request has no such fact.
    fn values(&self, name: &str) -> Option<Vec<String>>;
}

/// The facts of a request; none by default.
#[derive(Clone, Debug, Default)]
pub struct Facts(Option<Arc<dyn RequestFacts>>);

impl Facts {
    /// Facts that a door knows.
    pub fn new(facts: Arc<dyn RequestFacts>) -> Self {
        Self(Some(facts))
    }

    pub(crate) fn values(&self, name: &str) -> Option<Vec<String>> {
        self.0.as_ref()?.values(name)
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Nobody proved anything.
    Anonymous(Facts),
    /// A user, proven by a root key, a password, a link or a session: the root of an account.
    User(Arc<Identity>, Facts),
    /// Somebody who acts in a user's account with rights of its own, which are not the account's: a user of the account's own, or a
    /// session. It never passes for the account's root, whatever its policies say.
    Iam(Arc<Principal>, Facts),
    /// The store's own delivery of access logs: writes where a bucket lets it, and nothing else.
    LogDelivery(Facts),
    /// The service account of the Admin API: manages groups, users and keys, reads no objects.
    AdminService,
    /// Whoever owns the machine, through the control socket or an offline command. May do everything; is audited.
    LocalOperator,
}

impl Caller {
    /// Nobody, whose request tells nothing else.
    pub fn anonymous() -> Self {
        Self::Anonymous(Facts::default())
    }

    /// A user, whose request tells nothing else.
    pub fn user(identity: Arc<Identity>) -> Self {
        Self::User(identity, Facts::default())
    }

    /// The account that the caller acts in: its own, when it is the root of one. What belongs to the account is not its own for that.
    pub fn account(&self) -> Option<&Arc<Identity>> {
        match self {
            Self::User(identity, _) => Some(identity),
            Self::Iam(principal, _) => Some(principal.account()),
            Self::Anonymous(_) | Self::LogDelivery(_) | Self::AdminService | Self::LocalOperator => None,
        }
    }

    /// Who acts in an account with rights of its own.
    pub(crate) fn principal(&self) -> Option<&Principal> {
        match self {
            Self::Iam(principal, _) => Some(principal),
            Self::User(..) | Self::Anonymous(_) | Self::LogDelivery(_) | Self::AdminService | Self::LocalOperator => {
                None
            }
        }
    }

    /// Whether policies that name the caller's account name the caller: it is the account's root, or a session of it.
    pub(crate) fn has_root_rights(&self) -> bool {
        match self {
            Self::User(..) => true,
            Self::Iam(principal, _) => principal.is_root(),
            Self::Anonymous(_) | Self::LogDelivery(_) | Self::AdminService | Self::LocalOperator => false,
        }
    }

    /// Whether the caller acts in the account of this user.
    pub(crate) fn acts_in(&self, user: &CanonicalId) -> bool {
        self.account().is_some_and(|account| account.canonical_id == *user)
    }

    /// What its request told of itself.
    pub(crate) fn facts(&self) -> &Facts {
        const NONE: &Facts = &Facts(None);
        match self {
            Self::Anonymous(facts) | Self::User(_, facts) | Self::Iam(_, facts) | Self::LogDelivery(facts) => facts,
            Self::AdminService | Self::LocalOperator => NONE,
        }
    }

    /// On whose account this caller's work is done.
    pub(crate) fn share(&self) -> Share {
        match (self, self.account()) {
            (_, Some(account)) => Share::Tenant(account.canonical_id.clone()),
            (Self::Anonymous(_), None) => Share::Anonymous,
            (_, None) => Share::Store,
        }
    }

    /// Groups, users, keys and usage of everybody.
    pub(crate) fn must_administer(&self) -> Result<()> {
        match self {
            Self::AdminService | Self::LocalOperator => Ok(()),
            Self::User(identity, _) if identity.role == Role::SystemAdmin => Ok(()),
            Self::User(..) | Self::Iam(..) | Self::Anonymous(_) | Self::LogDelivery(_) => Err(Error::AccessDenied),
        }
    }

    /// What concerns the machine and everybody's data at once (integrity, back-up): only who owns the machine.
    pub(crate) fn must_operate(&self) -> Result<()> {
        match self {
            Self::LocalOperator => Ok(()),
            Self::User(..) | Self::Iam(..) | Self::Anonymous(_) | Self::LogDelivery(_) | Self::AdminService => {
                Err(Error::AccessDenied)
            }
        }
    }

    /// What concerns one group: its administrator may look, beside the system's.
    pub(crate) fn must_see_group(&self, group_id: &GroupId) -> Result<()> {
        match self {
            Self::User(identity, _) if identity.role == Role::GroupAdmin && identity.group_id == *group_id => Ok(()),
            Self::User(..)
            | Self::Iam(..)
            | Self::Anonymous(_)
            | Self::LogDelivery(_)
            | Self::AdminService
            | Self::LocalOperator => self.must_administer(),
        }
    }

    /// What concerns one user: the user itself may, beside the system's administrators.
    pub(crate) fn must_act_for(&self, user: &CanonicalId) -> Result<()> {
        match self {
            Self::User(identity, _) if identity.canonical_id == *user => Ok(()),
            Self::User(..)
            | Self::Iam(..)
            | Self::Anonymous(_)
            | Self::LogDelivery(_)
            | Self::AdminService
            | Self::LocalOperator => self.must_administer(),
        }
    }

    /// The account that the caller acts in. [`Error::AccessDenied`] where there is none. What a principal may do in it is asked apart.
    pub(crate) fn must_act_in_account(&self) -> Result<&Arc<Identity>> {
        self.account().ok_or(Error::AccessDenied)
    }
}
