//! Answers: the result in the name space of its service, or the error.

use axum::body::Body;
use axum::response::Response;
use engine::{IamAction, IamListing, IamService};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;
use time::macros::format_description;

use super::XML;
use super::error::Failure;
pub(super) use crate::answer::escape;
use crate::answer::shown;

const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

fn name_space(service: IamService) -> &'static str {
    match service {
        IamService::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
        IamService::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
    }
}

/// A new random id of a request, in the form of a UUID.
pub(super) fn new_request_id() -> String {
    let id = hex::encode(rand::random::<[u8; 16]>());
    [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")
}

/// The answer of an operation; `result` is what stands in its result, `None` for one that has none.
pub(super) fn of_result(asked: Option<IamAction>, result: Option<String>, request_id: &str) -> Response {
    let (name, service) = asked.map_or(("", IamService::Iam), |action| (action.name(), action.service()));
    let result = result.map(|result| wrap(&format!("{name}Result"), &result)).unwrap_or_default();
    let metadata = wrap("ResponseMetadata", &text("RequestId", request_id));
    let xml = format!("<{name}Response xmlns=\"{}\">{result}{metadata}</{name}Response>", name_space(service));
    respond(StatusCode::OK, xml, request_id)
}

/// The answer of a request that was refused.
pub(super) fn of_failure(asked: Option<IamAction>, failure: &Failure, request_id: &str) -> Response {
    let kind = if failure.status.is_server_error() { "Receiver" } else { "Sender" };
    let error = text("Type", kind) + &text("Code", failure.code) + &text("Message", &shown(&failure.message));
    let service = asked.map_or(IamService::Iam, IamAction::service);
    let xml = format!(
        "<ErrorResponse xmlns=\"{}\">{}{}</ErrorResponse>",
        name_space(service),
        wrap("Error", &error),
        text("RequestId", request_id),
    );
    let mut response = respond(failure.status, xml, request_id);
    if failure.passes {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn respond(status: StatusCode, xml: String, request_id: &str) -> Response {
    let mut response = Response::new(Body::from(xml));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, XML);
    if let Ok(id) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

/// An element with a text.
pub(super) fn text(name: &str, value: &str) -> String {
    wrap(name, &escape(value))
}

/// An element with others in it.
pub(super) fn wrap(name: &str, inner: &str) -> String {
    format!("<{name}>{inner}</{name}>")
}

/// A list.
pub(super) fn list<T>(name: &str, items: &[T], shown: impl Fn(&T) -> String) -> String {
    let members: String = items.iter().map(|item| wrap("member", &shown(item))).collect();
    wrap(name, &members)
}

/// A page of a list, with what tells where the next one begins.
pub(super) fn page<T>(name: &str, listing: &IamListing<T>, shown: impl Fn(&T) -> String) -> String {
    list(name, &listing.items, shown) + &goes_on(listing)
}

/// Whether a page is the last one, and where the next one begins.
pub(super) fn goes_on<T>(listing: &IamListing<T>) -> String {
    let marker = listing.marker.as_ref().map(|marker| text("Marker", marker)).unwrap_or_default();
    text("IsTruncated", if listing.marker.is_some() { "true" } else { "false" }) + &marker
}

/// A time, in whole seconds.
pub(super) fn time(name: &str, us: i64) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let at = OffsetDateTime::from_unix_timestamp(us / 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    text(name, &at.format(format).unwrap_or_default())
}

/// The text of a policy, which is encoded as in a URL.
pub(super) fn document(name: &str, policy: &str) -> String {
    wrap(name, &utf8_percent_encode(policy, &UNRESERVED).to_string())
}

#[cfg(test)]
mod tests {
    use engine::Error;

    use super::*;

    #[tokio::test]
    async fn an_error_is_xml_whatever_it_repeats() {
        let failure = Failure::action("a\u{0}\u{1}<\u{fffe}\u{1f4a9}");
        let body = axum::body::to_bytes(of_failure(None, &failure, "id").into_body(), 1 << 10).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("operation a\u{fffd}\u{fffd}&lt;\u{fffd}\u{1f4a9} for"), "{text}");
    }

    #[test]
    fn it_is_said_whether_to_ask_again() {
        for (error, code, words, retry_after) in [
            (Error::Busy, "Throttling", "Rate exceeded", Some("1")),
            (Error::ReadOnly("a secret of the disk".to_owned()), "ServiceUnavailable", "read-only until", None),
            (Error::DiskFull, "ServiceUnavailable", "no space left", None),
        ] {
            let failure = Failure::of(error);
            let response = of_failure(None, &failure, "id");
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap()), retry_after, "{code}");
            assert_eq!(failure.code, code);
            assert!(failure.message.contains(words) && !failure.message.contains("secret"), "{}", failure.message);
        }
    }
}
