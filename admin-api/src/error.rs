//! Answers that say no, and the one map from the engine's errors to them.
//!
//! The reason goes into the reason phrase and into an HTML page, as a HyperStore does: clients show the phrase.

use axum::{body::Body, response::Response};
use engine::Error;
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use hyper::ext::ReasonPhrase;

/// The realm of a HyperStore; browsers and scripts know it.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"CloudianAdmin\"");
/// What a client should wait before it tries again, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");
/// Longest reason phrase: it has to be one line for people.
const PHRASE_BYTES_MAX: usize = 200;

/// Why a call is refused, as the client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized")
    }

    /// For what the client cannot help; the detail is in the log.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal error")
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn into_answer(self) -> Response {
        let shown = escape(&self.message);
        let code = self.status.as_u16();
        let page = format!(
            "<html><head><title>{shown}</title></head><body><h2>HTTP ERROR {code}</h2><p>{shown}</p></body></html>\n"
        );
        let mut answer = Response::new(Body::from(page));
        *answer.status_mut() = self.status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html;charset=UTF-8"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, CHALLENGE);
        }
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        if let Ok(phrase) = ReasonPhrase::try_from(phrase(&self.message)) {
            answer.extensions_mut().insert(phrase);
        }
        answer
    }
}

/// The message as a status line can carry it: one line of printable ASCII.
fn phrase(message: &str) -> Vec<u8> {
    let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    message.chars().map(printable).take(PHRASE_BYTES_MAX).collect::<String>().into_bytes()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = status(&error);
        if status.is_server_error() {
            tracing::error!(error = &error as &dyn std::error::Error, "an admin call failed");
        }
        match status {
            StatusCode::INTERNAL_SERVER_ERROR => Self::internal(),
            _ => Self::new(status, sentence(&error.to_string())),
        }
    }
}

/// The text with a capital first letter.
fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// The status of each error. What is not there is 400 by default; calls that answer 204 for it look themselves.
fn status(error: &Error) -> StatusCode {
    match error {
        Error::NoSuchGroup
        | Error::NoSuchUser
        | Error::NoSuchCredential
        | Error::NoSuchBucket
        | Error::NoSuchKey { .. }
        | Error::NoSuchVersion
        | Error::IsDeleteMarker { .. }
        | Error::NoSuchUpload
        | Error::NotInTrash
        | Error::Invalid { .. }
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
        | Error::Rule(_)
        | Error::Iam(_)
        | Error::LinkUsed => StatusCode::BAD_REQUEST,
        Error::GroupExists
        | Error::GroupNotEmpty
        | Error::UserExists
        | Error::CredentialExists
        | Error::BucketExists { .. }
        | Error::BucketNotEmpty => StatusCode::CONFLICT,
        Error::Protected(_)
        | Error::TooManyCredentials { .. }
        | Error::TooManyBuckets { .. }
        | Error::QuotaExceeded(_)
        | Error::AccessDenied
        | Error::ObjectLocked
        | Error::LoginRefused => StatusCode::FORBIDDEN,
        Error::ReadOnly(_) | Error::DiskFull | Error::Busy | Error::DatabaseUnreachable { .. } => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Error::Locked(_)
        | Error::Unusable(_)
        | Error::Corrupt(_)
        | Error::Metadata { .. }
        | Error::Io { .. }
        | Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_its_reason_in_the_phrase_and_escaped_in_the_page() {
        let answer = Refusal::bad_request("no <b> \r\nhere: é").into_answer();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        let phrase = answer.extensions().get::<ReasonPhrase>().unwrap();
        assert_eq!(phrase.as_bytes(), b"no <b> ??here: ?");
        assert!(!answer.headers().contains_key(WWW_AUTHENTICATE));
    }

    #[test]
    fn only_401_carries_the_challenge() {
        let answer = Refusal::unauthorized().into_answer();
        assert_eq!(answer.headers()[WWW_AUTHENTICATE], "Basic realm=\"CloudianAdmin\"");
    }

    #[test]
    fn internal_detail_is_not_sent() {
        let refusal = Refusal::from(Error::Corrupt("row 17 of table users".to_owned()));
        assert_eq!(refusal, Refusal::internal());
        let refusal = Refusal::from(Error::TooManyCredentials { count_max: 5 });
        assert_eq!(refusal.status, StatusCode::FORBIDDEN);
        assert_eq!(refusal.message(), "The user has 5 access keys, which is the limit");
    }
}
