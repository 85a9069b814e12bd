//! Why a question about identities is not answered, in the codes of AWS.

use std::error::Error as StdError;

use engine::{Error, IamAction, IamError, IamService};
use http::StatusCode;

const READ_ONLY: &str = "The store is read-only until it is restarted: something could not be made durable.";

/// An answer that is none.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: &'static str,
    pub(super) status: StatusCode,
    pub(super) message: String,
    /// Whether it passes by itself, so that the same may be asked again soon.
    pub(super) passes: bool,
}

fn failure(code: &'static str, status: StatusCode, message: impl Into<String>) -> Failure {
    Failure { code, status, message: message.into(), passes: false }
}

impl Failure {
    pub(super) fn method() -> Self {
        failure("MethodNotAllowed", StatusCode::METHOD_NOT_ALLOWED, "Only GET and POST of / are answered here.")
    }

    pub(super) fn busy() -> Self {
        Self { passes: true, ..failure("Throttling", StatusCode::SERVICE_UNAVAILABLE, "Rate exceeded") }
    }

    fn unavailable(passes: bool, message: &str) -> Self {
        Self { passes, ..failure("ServiceUnavailable", StatusCode::SERVICE_UNAVAILABLE, message) }
    }

    pub(super) fn body() -> Self {
        failure(
            "ValidationError",
            StatusCode::BAD_REQUEST,
            "The body of the request is too large, or could not be read.",
        )
    }

    pub(super) fn missing_token() -> Self {
        failure("MissingAuthenticationToken", StatusCode::FORBIDDEN, "Request is missing Authentication Token")
    }

    pub(super) fn incomplete_signature() -> Self {
        failure(
            "IncompleteSignature",
            StatusCode::BAD_REQUEST,
            "The request needs a signature of version 4 for iam or sts, in its Authorization header or, of a GET, in its query, and the time of it.",
        )
    }

    pub(super) fn unknown_key() -> Self {
        failure("InvalidClientTokenId", StatusCode::FORBIDDEN, "The security token included in the request is invalid.")
    }

    pub(super) fn signature() -> Self {
        failure(
            "SignatureDoesNotMatch",
            StatusCode::FORBIDDEN,
            "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
        )
    }

    pub(super) fn scope(service: IamService) -> Self {
        let message = format!("Credential should be scoped to correct service: '{}'.", service.name());
        failure("SignatureDoesNotMatch", StatusCode::FORBIDDEN, message)
    }

    pub(super) fn skewed() -> Self {
        failure("RequestExpired", StatusCode::BAD_REQUEST, "The time of the request is too far from the current time.")
    }

    pub(super) fn action(name: &str) -> Self {
        failure("InvalidAction", StatusCode::BAD_REQUEST, format!("Could not find operation {name} for this version"))
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        failure("ValidationError", StatusCode::BAD_REQUEST, message)
    }

    /// Says to whoever may not do something what that is: no more than it asked for.
    pub(super) fn named(mut self, action: IamAction) -> Self {
        if self.code == "AccessDenied" {
            self.message = format!("You are not authorized to perform: {}", action.qualified());
        }
        self
    }

    pub(super) fn of(error: Error) -> Self {
        match error {
            Error::Iam(error) => of_iam(&error),
            Error::AccessDenied => failure("AccessDenied", StatusCode::FORBIDDEN, "Access Denied"),
            Error::Invalid { what, why } => Self::validation(format!("The {what} {why}.")),
            Error::TooManyCredentials { count_max } => limit(count_max as usize, "access keys"),
            Error::CredentialExists => failure("EntityAlreadyExists", StatusCode::CONFLICT, "Please try again."),
            // The account went away while it was asked in.
            Error::NoSuchUser => Self::unknown_key(),
            Error::Busy => Self::busy(),
            state @ (Error::ReadOnly(_) | Error::DiskFull | Error::DatabaseUnreachable { .. }) => {
                tracing::warn!(error = &state as &dyn StdError, "a request about identities was refused");
                match state {
                    Error::ReadOnly(_) => Self::unavailable(false, READ_ONLY),
                    Error::DiskFull => {
                        Self::unavailable(false, "The store has no space left; try again when some was freed.")
                    }
                    _ => Self::unavailable(true, "Please try again."),
                }
            }
            internal @ (Error::NoSuchGroup
            | Error::NoSuchCredential
            | Error::NoSuchBucket
            | Error::NoSuchKey { .. }
            | Error::NoSuchVersion
            | Error::IsDeleteMarker { .. }
            | Error::NoSuchUpload
            | Error::NotInTrash
            | Error::GroupExists
            | Error::GroupNotEmpty
            | Error::UserExists
            | Error::BucketExists { .. }
            | Error::BucketNotEmpty
            | Error::Protected(_)
            | Error::TooManyBuckets { .. }
            | Error::QuotaExceeded(_)
            | Error::Rule(_)
            | Error::ObjectLocked
            | Error::WeakPassword(_)
            | Error::KeyTooLong
            | Error::MetadataTooLarge { .. }
            | Error::BadDigest { .. }
            | Error::IncompleteBody { .. }
            | Error::Body(_)
            | Error::TooLarge { .. }
            | Error::PartTooSmall { .. }
            | Error::InvalidPart { .. }
            | Error::InvalidPartOrder
            | Error::InvalidRange { .. }
            | Error::InvalidPartNumber
            | Error::PreconditionFailed { .. }
            | Error::NotModified { .. }
            | Error::LoginRefused
            | Error::LinkUsed
            | Error::Locked(_)
            | Error::Unusable(_)
            | Error::Corrupt(_)
            | Error::Metadata { .. }
            | Error::Io { .. }
            | Error::Internal(_)) => hidden(&internal),
        }
    }
}

fn of_iam(error: &IamError) -> Failure {
    match error {
        IamError::NoSuchEntity { kind, name } => failure(
            "NoSuchEntity",
            StatusCode::NOT_FOUND,
            format!("The {} with name {name} cannot be found.", kind.noun()),
        ),
        IamError::NoSuchPart { what, name } => {
            failure("NoSuchEntity", StatusCode::NOT_FOUND, format!("The {what} {name} cannot be found."))
        }
        IamError::EntityExists { kind, name } => failure(
            "EntityAlreadyExists",
            StatusCode::CONFLICT,
            format!("A {} with name {name} already exists.", kind.noun()),
        ),
        IamError::DeleteConflict(what) => {
            failure("DeleteConflict", StatusCode::CONFLICT, format!("Cannot delete entity, must remove {what} first."))
        }
        IamError::LimitExceeded { what, count_max } => limit(*count_max, what),
        IamError::MalformedPolicy(why) => failure("MalformedPolicyDocument", StatusCode::BAD_REQUEST, *why),
        IamError::Unmodifiable(what) => {
            failure("UnmodifiableEntity", StatusCode::BAD_REQUEST, format!("Cannot change {what}."))
        }
        IamError::InvalidToken => Failure::unknown_key(),
        IamError::ExpiredToken => {
            failure("ExpiredToken", StatusCode::FORBIDDEN, "The security token included in the request is expired")
        }
    }
}

fn limit(count_max: usize, what: &str) -> Failure {
    failure("LimitExceeded", StatusCode::CONFLICT, format!("There may be {count_max} {what} at most."))
}

fn hidden(error: &Error) -> Failure {
    tracing::error!(error = error as &dyn StdError, "a request about identities failed");
    failure("ServiceFailure", StatusCode::INTERNAL_SERVER_ERROR, "The request failed; please try again.")
}
