//! What a page says when something cannot be done. The engine's errors are put into words here, once and exhaustively;
//! internal detail goes to the log and never to the page.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use engine::{Error, Excess};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};

use crate::shell::Shell;

/// What a program should wait before it tries again, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// A refusal or a failure, in words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    /// A few words, without a full stop.
    pub(crate) title: &'static str,
    /// What happened and what to do about it, in whole sentences.
    pub(crate) text: String,
}

pub(crate) type PageResult = Result<Response, Failure>;

impl Failure {
    pub(crate) fn new(status: StatusCode, title: &'static str, text: impl Into<String>) -> Self {
        Self { status, title, text: text.into() }
    }

    /// A form without the token of its session: forged, or from a session that has ended since.
    pub(crate) fn forged_form() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "This form is out of date",
            "It was opened before you signed in, or in another sign-in. Go back, reload the page and try again.",
        )
    }

    pub(crate) fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "That did not work", text)
    }

    pub(crate) fn forbidden() -> Self {
        Self::from(Error::AccessDenied)
    }
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage<'a> {
    shell: Shell,
    failure: &'a Failure,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let page = FailurePage { shell: Shell::anonymous(self.title), failure: &self };
        let mut response = (self.status, render(&page)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        response
    }
}

/// Renders a template. It can only fail when a value's own rendering does, which none of ours does.
pub(crate) fn render(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (status, title) = heading(&error);
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = &error as &dyn std::error::Error, "the engine failed");
        }
        Self { status, title, text: explanation(&error) }
    }
}

fn heading(error: &Error) -> (StatusCode, &'static str) {
    match error {
        Error::NoSuchGroup
        | Error::NoSuchUser
        | Error::NoSuchCredential
        | Error::NoSuchBucket
        | Error::NoSuchKey { .. }
        | Error::NoSuchVersion
        | Error::IsDeleteMarker { .. }
        | Error::NoSuchUpload
        | Error::NotInTrash => (StatusCode::NOT_FOUND, "This is not here any more"),
        Error::GroupExists
        | Error::GroupNotEmpty
        | Error::UserExists
        | Error::CredentialExists
        | Error::BucketExists { .. }
        | Error::BucketNotEmpty
        | Error::Protected(_)
        | Error::TooManyCredentials { .. }
        | Error::TooManyBuckets { .. } => (StatusCode::CONFLICT, "That is not possible now"),
        Error::Invalid { .. }
        | Error::WeakPassword(_)
        | Error::KeyTooLong
        | Error::MetadataTooLarge { .. }
        | Error::PartTooSmall { .. }
        | Error::InvalidPart { .. }
        | Error::InvalidPartOrder
        | Error::InvalidPartNumber
        | Error::Rule(_)
        | Error::Iam(_) => (StatusCode::UNPROCESSABLE_ENTITY, "That cannot be used"),
        Error::BadDigest { .. } | Error::IncompleteBody { .. } | Error::Body(_) => {
            (StatusCode::BAD_REQUEST, "The upload did not arrive whole")
        }
        Error::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "This file is too large"),
        Error::InvalidRange { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "There is no such part of the file"),
        Error::PreconditionFailed { .. } => (StatusCode::PRECONDITION_FAILED, "This has changed meanwhile"),
        Error::NotModified { .. } => (StatusCode::NOT_MODIFIED, "This has not changed"),
        Error::AccessDenied => (StatusCode::FORBIDDEN, "You may not open this"),
        Error::ObjectLocked => (StatusCode::FORBIDDEN, "This is locked"),
        Error::LoginRefused => (StatusCode::UNAUTHORIZED, "You are not signed in"),
        Error::LinkUsed => (StatusCode::FORBIDDEN, "This link was used already"),
        Error::ReadOnly(_) | Error::Busy | Error::DatabaseUnreachable { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "Not just now")
        }
        Error::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, "The store is full"),
        Error::QuotaExceeded(_) => (StatusCode::FORBIDDEN, "The bucket is full"),
        Error::Locked(_)
        | Error::Unusable(_)
        | Error::Corrupt(_)
        | Error::Metadata { .. }
        | Error::Io { .. }
        | Error::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong here"),
    }
}

fn explanation(error: &Error) -> String {
    match error {
        Error::NoSuchGroup => "There is no such group.".to_owned(),
        Error::NoSuchUser | Error::NotInTrash => "There is no such user.".to_owned(),
        Error::NoSuchCredential => "There is no such access key. It may have been deleted meanwhile.".to_owned(),
        Error::NoSuchBucket => "There is no such bucket. It may have been deleted meanwhile.".to_owned(),
        Error::NoSuchKey { .. } | Error::NoSuchVersion | Error::IsDeleteMarker { .. } | Error::NoSuchUpload => {
            "There is no such object. It may have been deleted meanwhile.".to_owned()
        }
        Error::BucketExists { owned: true } => "You have a bucket of that name already.".to_owned(),
        Error::BucketExists { owned: false } => {
            "Somebody else has a bucket of that name. Names are shared by everybody here; try a longer one.".to_owned()
        }
        Error::BucketNotEmpty => "The bucket is not empty. Delete what is in it first.".to_owned(),
        Error::TooManyCredentials { count_max } => {
            format!("You have {count_max} access keys, which is the most. Delete one that you no longer use.")
        }
        Error::TooManyBuckets { count_max } => format!("You have {count_max} buckets, which is the most."),
        Error::KeyTooLong => "The name is too long: with its folders it may have 1024 bytes.".to_owned(),
        Error::TooLarge { size_bytes_max } => {
            format!("A file may have {} here. Use an S3 program for larger ones.", crate::format::size(*size_bytes_max))
        }
        Error::BadDigest { .. } | Error::IncompleteBody { .. } | Error::Body(_) => {
            "The connection broke before everything had arrived. Nothing of that file was kept; try again.".to_owned()
        }
        Error::AccessDenied => "It belongs to somebody else, or your account has no right to it.".to_owned(),
        Error::ObjectLocked => "It is locked against deletion, until a time or as long as it is held.".to_owned(),
        Error::LoginRefused => "Sign in again.".to_owned(),
        Error::LinkUsed => {
            "Each link signs you in once. Go back to CloudStack and open the storage from there.".to_owned()
        }
        Error::ReadOnly(_) => {
            "The store takes no changes at the moment. Your data can be read; tell your administrator.".to_owned()
        }
        Error::DatabaseUnreachable { .. } => "A part of the store does not answer. Try again in a minute.".to_owned(),
        Error::Busy => "Too much is going on at the moment. Try again in a minute.".to_owned(),
        Error::DiskFull => "There is no space left. Tell your administrator.".to_owned(),
        Error::QuotaExceeded(Excess::Bytes { size_bytes_max }) => {
            format!(
                "It may hold {}. Delete what is not needed, or ask your administrator.",
                crate::format::size(*size_bytes_max)
            )
        }
        Error::QuotaExceeded(Excess::Objects { count_max }) => {
            format!("It may hold {count_max} objects. Delete what is not needed, or ask your administrator.")
        }
        Error::Locked(_)
        | Error::Unusable(_)
        | Error::Corrupt(_)
        | Error::Metadata { .. }
        | Error::Io { .. }
        | Error::Internal(_) => {
            "It is not your fault, and what was stored before is safe. Try again; if it stays, tell your administrator."
                .to_owned()
        }
        Error::GroupExists
        | Error::GroupNotEmpty
        | Error::UserExists
        | Error::CredentialExists
        | Error::Protected(_)
        | Error::Invalid { .. }
        | Error::WeakPassword(_)
        | Error::MetadataTooLarge { .. }
        | Error::PartTooSmall { .. }
        | Error::InvalidPart { .. }
        | Error::InvalidPartOrder
        | Error::InvalidPartNumber
        | Error::InvalidRange { .. }
        | Error::PreconditionFailed { .. }
        | Error::Rule(_)
        | Error::Iam(_)
        | Error::NotModified { .. } => sentence(&error.to_string()),
    }
}

/// The engine's own words as a sentence.
fn sentence(words: &str) -> String {
    let mut rest = words.chars();
    match rest.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), rest.as_str()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_detail_stays_out_of_the_page() {
        let failure = Failure::from(Error::Corrupt("row 7 of table users".to_owned()));
        assert_eq!(failure.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!failure.text.contains("row 7"));
    }

    #[test]
    fn the_rule_that_was_broken_is_named() {
        let refused = engine::BucketName::new("A").unwrap_err();
        let failure = Failure::from(refused);
        assert_eq!(failure.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(failure.text, "Bucket name must have 3 to 63 characters.");
    }
}
