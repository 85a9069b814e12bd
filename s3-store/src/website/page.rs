//! What visitors see of errors: a page in HTML, as S3 shows them.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use s3s::{Body, S3Error};

use crate::answer::{escape, shown};
use crate::context::RequestContext;
use crate::error::default_message;

/// An error with what S3 tells beside it.
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) error: S3Error,
    /// The key that was asked for.
    pub(super) key: Option<String>,
}

impl Failure {
    pub(super) fn new(error: S3Error) -> Self {
        let status = error.status_code().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, error, key: None }
    }

    fn message(&self) -> &str {
        self.error.message().unwrap_or_else(|| default_message(self.error.code().as_str()))
    }

    /// The headers that tell programs what a page tells people.
    pub(super) fn decorate(&self, response: &mut Response<Body>) {
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        for (name, value) in self.error.headers().into_iter().flatten() {
            headers.insert(name, value.clone());
        }
        for (name, text) in [("x-amz-error-code", self.error.code().as_str()), ("x-amz-error-message", self.message())]
        {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }

    /// The page; `of_document` is why the website's own page for errors could not be shown instead.
    pub(super) fn page(&self, context: &RequestContext, of_document: Option<&Self>) -> Response<Body> {
        let title = self.title();
        let second = of_document.map_or_else(String::new, |failure| {
            let heading = "An Error Occurred While Attempting to Retrieve a Custom Error Document";
            format!("<h3>{heading}</h3>\n<ul>\n{}</ul>\n", failure.facts())
        });
        let ids = item("RequestId", context.request_id()) + &item("HostId", context.host_id());
        let html = format!(
            "<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<ul>\n{}{ids}</ul>\n{second}<hr/>\n</body>\n</html>\n",
            self.facts()
        );
        let mut response = Response::new(Body::from(Bytes::from(html)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        self.decorate(&mut response);
        response
    }

    fn title(&self) -> String {
        format!("{} {}", self.status.as_u16(), self.status.canonical_reason().unwrap_or_default())
    }

    fn facts(&self) -> String {
        let key = self.key.as_deref().map_or_else(String::new, |key| item("Key", key));
        item("Code", self.error.code().as_str()) + &item("Message", self.message()) + &key
    }
}

fn item(name: &str, value: &str) -> String {
    format!("<li>{name}: {}</li>\n", escape(&shown(value)))
}
