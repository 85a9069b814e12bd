//! One request and its answer: Basic authentication, time and size limits, and the reason a server gives.

use bytes::BytesMut;
use hyper::ext::ReasonPhrase;
use reqwest::{Method, StatusCode, header::CONTENT_TYPE};
use secrecy::ExposeSecret;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use url::Url;

use super::{
    AdminClient,
    error::{Error, Result},
};

/// More than any listing of an honest server; less than what would hurt this process.
const ANSWER_SIZE_BYTES_MAX: usize = 256 << 20;
/// A reason is one line for people.
const REASON_CHARS_MAX: usize = 200;

/// A request before it is sent.
pub(super) struct Call<'a> {
    method: Method,
    path: &'static str,
    query: Vec<(&'static str, &'a str)>,
    body: Option<Vec<u8>>,
}

impl<'a> Call<'a> {
    pub(super) fn new(method: Method, path: &'static str) -> Self {
        Self { method, path, query: Vec::new(), body: None }
    }

    pub(super) fn get(path: &'static str) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn put(path: &'static str) -> Self {
        Self::new(Method::PUT, path)
    }

    pub(super) fn post(path: &'static str) -> Self {
        Self::new(Method::POST, path)
    }

    pub(super) fn delete(path: &'static str) -> Self {
        Self::new(Method::DELETE, path)
    }

    pub(super) fn query(mut self, name: &'static str, value: &'a str) -> Self {
        self.query.push((name, value));
        self
    }

    pub(super) fn query_if(self, name: &'static str, value: Option<&'a str>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Sets the body to what is set in `object`: nulls are left out, so that a server which does not merge on null
    /// keeps what it has.
    pub(super) fn json<T: Serialize>(mut self, object: &T) -> Result<Self> {
        let mut value = serde_json::to_value(object).map_err(|error| Error::Protocol(error.to_string()))?;
        if let Value::Object(fields) = &mut value {
            fields.retain(|_, field| !field.is_null());
        }
        self.body = Some(value.to_string().into_bytes());
        Ok(self)
    }

    fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        url.set_path(&format!("{}{}", base.path().trim_end_matches('/'), self.path));
        url.set_query(None);
        url.set_fragment(None);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }
}

/// An answer that is not 401.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    reason: Option<String>,
    body: bytes::Bytes,
}

impl Answer {
    pub(super) fn is_empty(&self) -> bool {
        self.body.iter().all(u8::is_ascii_whitespace)
    }

    /// The body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }

    /// The body as an object.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        // The parser's words name a line and a column and may quote a value, so only its kind is told.
        serde_json::from_slice(&self.body).map_err(|error| {
            Error::Protocol(format!(
                "the body is not the JSON expected ({:?}, column {})",
                error.classify(),
                error.column()
            ))
        })
    }

    /// A list: real servers answer an empty one with an empty body or with 204.
    pub(super) fn list<T: DeserializeOwned>(&self) -> Result<Vec<T>> {
        if self.is_empty() { Ok(Vec::new()) } else { self.json() }
    }

    /// The error of a status that the call does not know better.
    pub(super) fn refused(&self) -> Error {
        if self.status.is_redirection() || self.status.is_informational() {
            return Error::Protocol(format!("status {}", self.status.as_u16()));
        }
        let said = self.reason.clone().or_else(|| title(&self.text()));
        let canonical = || self.status.canonical_reason().unwrap_or("no reason given").to_owned();
        Error::Refused { status: self.status.as_u16(), reason: shorten(&said.unwrap_or_else(canonical)) }
    }

    /// Success is 200 and nothing else.
    pub(super) fn done(&self) -> Result<()> {
        if self.status == StatusCode::OK { Ok(()) } else { Err(self.refused()) }
    }
}

/// The title of an HTML error page: where such servers put their message.
fn title(html: &str) -> Option<String> {
    let start = html.find("<title>")? + "<title>".len();
    let length = html[start..].find("</title>")?;
    Some(html[start..start + length].to_owned())
}

fn shorten(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_CHARS_MAX).collect()
}

impl AdminClient {
    /// Sends `call`; any answer but 401 comes back for the caller to read.
    pub(super) async fn send(&self, call: Call<'_>) -> Result<Answer> {
        let config = &self.config;
        let mut request = self
            .http
            .request(call.method.clone(), call.url(&config.base_url))
            .basic_auth(&config.user, Some(config.password.expose_secret()));
        if let Some(body) = call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let mut response = request.send().await.map_err(Error::unreachable)?;
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED {
            return Err(Error::Unauthorized);
        }
        let reason = response
            .extensions()
            .get::<ReasonPhrase>()
            .map(|phrase| String::from_utf8_lossy(phrase.as_bytes()).into_owned())
            .filter(|phrase| !phrase.is_empty());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(Error::unreachable)? {
            if body.len() + chunk.len() > ANSWER_SIZE_BYTES_MAX {
                return Err(Error::Protocol("the answer is too large".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, reason, body: body.freeze() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded_and_a_base_path_is_kept() {
        let base = Url::parse("https://store.example:19443/admin/?x=1").unwrap();
        let url = Call::get("/user").query("userId", "a b&c=d/é+").url(&base);
        assert_eq!(url.as_str(), "https://store.example:19443/admin/user?userId=a+b%26c%3Dd%2F%C3%A9%2B");
    }

    #[test]
    fn the_reason_comes_from_the_phrase_then_from_the_page_then_from_the_status() {
        let answer = |reason: Option<&str>, body: &'static str| Answer {
            status: StatusCode::BAD_REQUEST,
            reason: reason.map(str::to_owned),
            body: bytes::Bytes::from_static(body.as_bytes()),
        };
        let said = |answer: Answer| match answer.refused() {
            Error::Refused { status: 400, reason } => reason,
            other => panic!("{other:?}"),
        };
        let page = "<html><head><title>no such\ngroup</title></head></html>";
        assert_eq!(said(answer(Some("Weak password"), page)), "Weak password");
        assert_eq!(said(answer(None, page)), "no such group");
        assert_eq!(said(answer(None, "")), "Bad Request");
    }
}
