//! Answers that say yes: JSON with its content type, text, an empty 200, and 204 for what is not there.

use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::Serialize;

use crate::error::Refusal;

fn with_body(content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut answer = Response::new(body.into());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// 200 with an object. The content type is never left out: clients decode by it.
pub(crate) fn json<T: Serialize>(object: &T) -> Result<Response, Refusal> {
    match serde_json::to_vec(object) {
        Ok(body) => Ok(with_body("application/json", body)),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be rendered");
            Err(Refusal::internal())
        }
    }
}

/// 200 with one line of text.
pub(crate) fn text(line: &str) -> Response {
    with_body("text/plain;charset=UTF-8", line.to_owned())
}

/// 200 without a body: done.
pub(crate) fn done() -> Response {
    Response::new(Body::empty())
}

/// 204: what was asked for is not there.
pub(crate) fn absent() -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}
