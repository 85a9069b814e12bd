//! Answers and errors as they go over the wire.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, SET_COOKIE};
use serde_json::{Value, json};

const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html;charset=utf-8");
const DESCRIPTION: HeaderName = HeaderName::from_static("x-description");

/// What a command answers: the text of the JSON object inside the envelope.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) inner: String,
    pub(crate) cookies: Vec<String>,
}

impl Reply {
    pub(crate) fn text(inner: String) -> Self {
        Self { inner, cookies: Vec::new() }
    }

    pub(crate) fn object(value: &Value) -> Self {
        Self::text(value.to_string())
    }

    pub(crate) fn job(id: uuid::Uuid) -> Self {
        Self::object(&json!({ "jobid": id.to_string() }))
    }
}

/// A refusal or a failure.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: u16,
    cs_code: Option<u16>,
    pub(crate) text: String,
    /// Answered under `errorresponse` instead of the command's own name.
    general: bool,
    cookies: Vec<String>,
}

impl ApiError {
    fn new(status: u16, cs_code: Option<u16>, text: String) -> Self {
        Self { status, cs_code, text, general: false, cookies: Vec::new() }
    }

    /// 401: one text for a wrong signature, an unknown key, an expired request, and what is disabled.
    pub(crate) fn unauthorized() -> Self {
        Self::new(401, None, "unable to verify user credentials and/or request signature".to_owned())
    }

    /// 401 for a command that is not registered.
    pub(crate) fn unregistered() -> Self {
        Self { general: true, ..Self::unauthorized() }
    }

    /// 401 for a session without its right key.
    pub(crate) fn wrong_session_key() -> Self {
        Self::new(401, None, "unable to verify user credentials".to_owned())
    }

    /// 430: a request that cannot be read.
    pub(crate) fn malformed(text: &str) -> Self {
        Self { general: true, ..Self::new(430, Some(9999), text.to_owned()) }
    }

    /// 431: a parameter is missing.
    pub(crate) fn missing(command: &str, parameter: &str) -> Self {
        let command = command.to_lowercase();
        Self::parameter(format!("Unable to execute API command {command} due to missing parameter {parameter}"))
    }

    /// 431: an id that is none, or belongs to nothing.
    pub(crate) fn unknown_entity(command: &str, parameter: &str, value: &str) -> Self {
        Self::parameter(format!(
            "Unable to execute API command {} due to invalid value. Invalid parameter {parameter} value={value} due to \
             incorrect long value format, or entity does not exist or due to incorrect parameter annotation for the \
             field in api cmd class.",
            command.to_lowercase()
        ))
    }

    /// 431, found while the parameters were read.
    pub(crate) fn parameter(text: String) -> Self {
        Self::new(431, Some(9999), text)
    }

    /// 431, found by the service itself.
    pub(crate) fn invalid(text: String) -> Self {
        Self::new(431, Some(4350), text)
    }

    /// 432: the command exists, but not for this account.
    pub(crate) fn not_allowed(command: &str, account: &str) -> Self {
        let text = format!("The API [{command}] does not exist or is not available for the account {account}.");
        Self { general: true, ..Self::new(432, Some(9999), text) }
    }

    /// 531: a log-in that failed, or an object beyond the caller's reach.
    pub(crate) fn account(text: String) -> Self {
        Self::new(531, None, text)
    }

    /// 530: something inside went wrong.
    pub(crate) fn internal(text: String) -> Self {
        Self::new(530, Some(9999), text)
    }

    /// Any status, as a misbehaviour.
    pub(crate) fn forced(status: u16) -> Self {
        Self::new(status, None, "the stand-in was told to fail".to_owned())
    }

    /// Sets a cookie with the error, as a failed log-in does.
    pub(crate) fn with_cookie(mut self, cookie: &str) -> Self {
        self.cookies.push(cookie.to_owned());
        self
    }

    fn body(&self) -> Value {
        let mut body = json!({ "uuidList": [], "errorcode": self.status });
        if let Some(code) = self.cs_code {
            body["cserrorcode"] = code.into();
        }
        body["errortext"] = self.text.as_str().into();
        body
    }

    /// The whole answer, under the command's envelope or the general one.
    pub(crate) fn into_answer(self, command: &str) -> Answer {
        let envelope = if self.general { "errorresponse".to_owned() } else { envelope(command) };
        let body = json!({ envelope: self.body() }).to_string();
        let description = self.cs_code.map(|_| self.text);
        Answer { status: self.status, body, cookies: self.cookies, description, html: false }
    }
}

/// The name under which a command answers.
pub(crate) fn envelope(command: &str) -> String {
    format!("{}response", command.to_lowercase())
}

/// A finished answer, which a lie may still change.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) cookies: Vec<String>,
    /// The error's text, which real answers repeat in a header.
    pub(crate) description: Option<String>,
    pub(crate) html: bool,
}

impl Answer {
    /// The answer of a command that went well.
    pub(crate) fn of(command: &str, reply: Reply) -> Self {
        let body = format!("{{\"{}\":{}}}", envelope(command), reply.inner);
        Self { status: 200, body, cookies: reply.cookies, description: None, html: false }
    }

    pub(crate) fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Body::from(self.body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, if self.html { HTML } else { JSON });
        for cookie in &self.cookies {
            if let Ok(value) = HeaderValue::from_str(cookie) {
                headers.append(SET_COOKIE, value);
            }
        }
        let description = self.description.map(|text| HeaderValue::from_bytes(text.as_bytes()));
        if let Some(Ok(description)) = description {
            headers.insert(DESCRIPTION, description);
        }
        response
    }
}
