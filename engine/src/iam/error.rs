//! Why something is not done with identities.

use super::entity::IamKind;

/// Why a request about identities does not go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IamError {
    /// There is no such user, group, role or policy in the account.
    #[error("there is no {} of the name {name}", kind.noun())]
    NoSuchEntity {
        /// What was looked for.
        kind: IamKind,
        /// The name or ARN that was given.
        name: String,
    },
    /// There is no such part of a user, group, role or policy: a policy of its own, a key, a member, a version.
    #[error("there is no {what} {name}")]
    NoSuchPart {
        /// What was looked for.
        what: &'static str,
        /// The name that was given.
        name: String,
    },
    /// The name is taken.
    #[error("a {} of the name {name} exists already", kind.noun())]
    EntityExists {
        /// What was to be made.
        kind: IamKind,
        /// The name that was given.
        name: String,
    },
    /// Something hangs on it that must be taken away before.
    #[error("{0} must be taken away first")]
    DeleteConflict(&'static str),
    /// The account, or what is in it, has the most that it may have.
    #[error("there are {count_max} {what} already, which is the limit")]
    LimitExceeded {
        /// Of what.
        what: &'static str,
        /// The limit.
        count_max: usize,
    },
    /// A policy cannot be read.
    #[error("the policy is malformed: {0}")]
    MalformedPolicy(&'static str),
    /// It belongs to the store and stays as it is.
    #[error("{0} belongs to the store and cannot be changed")]
    Unmodifiable(&'static str),
    /// The token of the session is not the one of the key, or stands beside a key that has none.
    #[error("the token of the session is not valid")]
    InvalidToken,
    /// The session has ended.
    #[error("the session has ended")]
    ExpiredToken,
}
