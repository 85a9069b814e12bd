//! The last touch on every answer: the ids of the request, and errors in the whole form that clients of S3 read (the protocol layer
//! leaves out the resource, and the message of many codes).

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use s3s::{Body, S3Error, s3_error};

use crate::context::RequestContext;
use crate::error::default_message;

/// An error as an answer of the protocol layer.
pub(crate) fn of_error(error: S3Error) -> Response<Body> {
    error.to_http_response().unwrap_or_else(|error| {
        tracing::error!(%error, "an error could not be written");
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// A body that a handler wrote itself, in the extensions of its answer, instead of what the protocol layer would write.
#[derive(Clone, Debug)]
pub(crate) struct Document(pub(crate) Bytes);

/// Completes an answer. `resource` is the path of the request as it came.
pub(crate) fn finish(response: Response<Body>, context: &RequestContext, resource: &str) -> Response<Body> {
    let mut response = with_body_fault(response, context);
    if let Some(Document(bytes)) = response.extensions_mut().remove() {
        response.headers_mut().remove(CONTENT_LENGTH);
        *response.body_mut() = Body::from(bytes);
    }
    if response.status() == StatusCode::OK && context.operation() == Some("GetObjectAttributes") {
        bare_tag(&mut response);
    }
    if response.status() == StatusCode::OK && response.headers().contains_key(CONTENT_RANGE) {
        // The protocol layer forgets this for HEAD.
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    if response.status() == StatusCode::NOT_MODIFIED {
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(CONTENT_TYPE);
        response.headers_mut().remove(CONTENT_LENGTH);
    } else if response.status().as_u16() >= 400 {
        complete_error(&mut response, context, resource);
    }
    add_ids(response.headers_mut(), context);
    response
}

/// What was wrong with a body is known to its guard: the protocol layer wraps it so that only its words are left, or says no more than
/// that the body could not be read.
fn with_body_fault(mut response: Response<Body>, context: &RequestContext) -> Response<Body> {
    let Some(fault) = context.body_fault() else { return response };
    match code_of(&mut response).as_deref() {
        Some("InternalError" | "IncompleteBody") => of_error(fault.to_s3()),
        Some(_) | None => response,
    }
}

/// The code of an answer that is an error.
pub(crate) fn code_of(response: &mut Response<Body>) -> Option<String> {
    if response.status().as_u16() < 400 {
        return None;
    }
    let bytes = response.body_mut().bytes()?;
    Some(element(std::str::from_utf8(&bytes).ok()?, "Code")?.to_owned())
}

/// In this one document the entity tag has no quotes, which the protocol layer writes everywhere.
fn bare_tag(response: &mut Response<Body>) {
    let bytes = response.body_mut().bytes().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let bare = element(&text, "ETag").map(|tag| text.replace(tag, tag.replace("&quot;", "").trim_matches('"')));
    let bytes = bare.map_or(bytes.clone(), Bytes::from);
    response.headers_mut().remove(CONTENT_LENGTH);
    *response.body_mut() = Body::from(bytes);
}

fn complete_error(response: &mut Response<Body>, context: &RequestContext, resource: &str) {
    let bytes = response.body_mut().bytes().unwrap_or_default();
    let given = std::str::from_utf8(&bytes).unwrap_or_default();
    let code = element(given, "Code").unwrap_or("InternalError");
    context.set_error_code(code);
    let message =
        element(given, "Message").filter(|message| !message.is_empty()).unwrap_or_else(|| default_message(code));
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
         <Resource>{}</Resource><RequestId>{}</RequestId><HostId>{}</HostId></Error>",
        escape(resource),
        context.request_id(),
        context.host_id(),
    );
    let xml = shown(&xml);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response.headers_mut().remove(CONTENT_LENGTH);
    *response.body_mut() = Body::from(Bytes::from(xml));
}

/// A text that may repeat what was sent, with a sign for each character that stands in no XML, not even as a reference.
pub(crate) fn shown(text: &str) -> String {
    let may_stand = |character| matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    text.replace(|character| !may_stand(character), "\u{fffd}")
}

/// The text of the first element of that name, as it is escaped.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_escaped(&mut out, text);
    out
}

/// Appends a text as XML has it. Parsers make a line feed of a carriage return that is no reference: a key would be named as another.
pub(crate) fn push_escaped(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\'', '\r']) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\r' => "&#13;",
            _ => "&apos;",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

pub(crate) fn add_ids(headers: &mut HeaderMap, context: &RequestContext) {
    for (name, id) in [("x-amz-request-id", context.request_id()), ("x-amz-id-2", context.host_id())] {
        if let Ok(value) = HeaderValue::try_from(id) {
            headers.insert(name, value);
        }
    }
}

/// The answer when the protocol layer itself gave up.
pub(crate) fn of_failure(error: s3s::HttpError) -> Response<Body> {
    let source: Box<dyn std::error::Error + Send + Sync> = error.into();
    tracing::error!(error = %source, "the protocol layer failed");
    of_error(s3_error!(InternalError))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::BodyFault;

    fn text_of(mut response: Response<Body>) -> String {
        String::from_utf8(response.body_mut().bytes().expect("in memory").to_vec()).expect("text")
    }

    #[test]
    fn errors_name_resource_request_and_message() {
        let context = RequestContext::new();
        let response = finish(of_error(s3_error!(NoSuchKey)), &context, "/b/<k>&");
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()["x-amz-request-id"], context.request_id());
        assert!(response.headers().contains_key("x-amz-id-2"));
        let xml = text_of(response);
        assert!(xml.contains("<Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>"), "{xml}");
        assert!(xml.contains("<Resource>/b/&lt;k&gt;&amp;</Resource>"), "{xml}");
        assert!(xml.contains(&format!("<RequestId>{}</RequestId>", context.request_id())), "{xml}");
    }

    #[test]
    fn a_given_message_stays_escaped() {
        let response = finish(of_error(s3_error!(InvalidArgument, "a <b> & c")), &RequestContext::new(), "/");
        assert!(text_of(response).contains("<Message>a &lt;b&gt; &amp; c</Message>"));
    }

    #[test]
    fn an_error_is_xml_whatever_it_repeats() {
        let error = s3_error!(InvalidArgument, "invalid query: prefix: {}", "a\u{0}\u{16}\u{fffe}\u{1f4a9}\n");
        let text = text_of(finish(of_error(error), &RequestContext::new(), "/"));
        assert!(
            text.contains("<Message>invalid query: prefix: a\u{fffd}\u{fffd}\u{fffd}\u{1f4a9}\n</Message>"),
            "{text}"
        );
    }

    #[test]
    fn the_fault_of_a_body_replaces_what_hides_it_only() {
        let context = RequestContext::new();
        context.set_body_fault(BodyFault::Digest("Content-MD5"));
        let replaced = finish(of_error(s3_error!(InternalError)), &context, "/");
        assert_eq!(replaced.status(), 400);
        assert!(text_of(replaced).contains("<Code>BadDigest</Code>"));
        let kept = finish(of_error(s3_error!(NoSuchBucket)), &context, "/");
        assert_eq!(kept.status(), 404);
    }

    #[test]
    fn not_modified_has_no_body_but_its_headers() {
        let error = crate::error::from_engine(engine::Error::NotModified { etag: "e".to_owned(), modified_us: 0 });
        let response = finish(of_error(error), &RequestContext::new(), "/");
        assert_eq!(response.status(), 304);
        assert_eq!(response.headers()["etag"], "\"e\"");
        assert!(!response.headers().contains_key(CONTENT_TYPE));
        assert_eq!(text_of(response), "");
    }
}
