//! Identities of an account's own: users with keys, groups, roles, policies, and the sessions that are made of them.
//!
//! An account is a user of the store; its canonical id is the account's id in ARNs. Whoever calls acts in one account and sees nothing of
//! others. Every change forgets what is remembered of access keys before it is answered, so it holds for the next request.

mod action;
mod attached;
mod entities;
mod entity;
mod error;
mod groups;
mod inline;
mod keys;
mod managed;
mod policies;
mod principal;
mod roles;
mod sessions;
mod summary;
mod users;

pub use self::action::{IamAction, IamService};
pub use self::entity::{IamEntity, IamHolder, IamKind, IamListing, IamPage, NewIamEntity};
pub use self::error::IamError;
pub use self::keys::IamKey;
pub use self::policies::{IamPolicy, IamPolicyVersion, PolicyScope};
pub use self::principal::Principal;
pub use self::roles::RoleChange;
pub use self::sessions::{AssumeRole, CallerIdentity, SessionKey};
pub use self::summary::AccountSummary;
pub use self::users::IamUserShown;

pub(crate) use self::entity::Details;
pub(crate) use self::policies::documents_of;
pub(crate) use self::principal::Who;
