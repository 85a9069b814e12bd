//! Answers and refusals of the plug-in's commands, in CloudStack's own shapes.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::Response,
};
use serde_json::{Value, json};

/// What CloudStack says to everybody whom it does not know, and of commands that it does not know.
const NOT_REGISTERED: &str = "unable to verify user credentials and/or request signature";
/// What it says of a session that is none.
const NO_SESSION: &str = "unable to verify user credentials";
/// CloudStack's code for "the command failed".
const INTERNAL: u16 = 530;
/// CloudStack's number for errors of its API server.
const CS_ERROR: u16 = 9999;

/// The commands of the plug-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    IsEnabled,
    SsoLogin,
    Unknown,
}

impl Command {
    /// CloudStack takes a command in any case.
    pub(super) fn parse(name: &str) -> Self {
        if name.eq_ignore_ascii_case("cloudianIsEnabled") {
            Self::IsEnabled
        } else if name.eq_ignore_ascii_case("cloudianSsoLogin") {
            Self::SsoLogin
        } else {
            Self::Unknown
        }
    }

    /// Its name, for metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::IsEnabled => "cloudianIsEnabled",
            Self::SsoLogin => "cloudianSsoLogin",
            Self::Unknown => "unknown",
        }
    }

    fn envelope(self) -> &'static str {
        match self {
            Self::IsEnabled => "cloudianisenabledresponse",
            Self::SsoLogin => "cloudianssologinresponse",
            Self::Unknown => "errorresponse",
        }
    }
}

/// Why a caller does not get what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    code: u16,
    text: String,
    /// Said as of a command that does not exist.
    unregistered: bool,
}

impl Refusal {
    /// The command is not there for anybody.
    pub(super) fn not_registered() -> Self {
        Self { code: 401, text: NOT_REGISTERED.to_owned(), unregistered: true }
    }

    /// There is no session, or it is not the caller's.
    pub(super) fn no_session() -> Self {
        Self { code: 401, text: NO_SESSION.to_owned(), unregistered: false }
    }

    /// The caller is known in a way that this door cannot check, or by too many accounts.
    pub(super) fn unclear(text: &str) -> Self {
        Self { code: 401, text: text.to_owned(), unregistered: false }
    }

    /// The command failed.
    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self { code: INTERNAL, text: text.into(), unregistered: false }
    }
}

/// The answer to `cloudianIsEnabled`.
pub(super) fn is_enabled(enabled: bool, url: &str) -> Response {
    render(200, &json!({"cloudianisenabledresponse": {"cloudianisenabled": {"enabled": enabled, "url": url}}}))
}

/// The answer to `cloudianSsoLogin`.
pub(super) fn sso_login(url: &str) -> Response {
    render(200, &json!({"cloudianssologinresponse": {"cloudianssologin": {"url": url}}}))
}

/// A refusal.
pub(super) fn refused(command: Command, refusal: &Refusal) -> Response {
    let envelope = if refusal.unregistered { "errorresponse" } else { command.envelope() };
    let content = match refusal.code {
        // CloudStack's refusals at the door carry no number of their own.
        401 => json!({"uuidList": [], "errorcode": 401, "errortext": refusal.text}),
        code => json!({"uuidList": [], "errorcode": code, "cserrorcode": CS_ERROR, "errortext": refusal.text}),
    };
    let mut response = render(refusal.code, &json!({ envelope: content }));
    if refusal.code != 401
        && let Ok(text) = HeaderValue::from_str(&refusal.text)
    {
        response.headers_mut().insert("x-description", text);
    }
    response
}

fn render(status: u16, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json;charset=utf-8"));
    // A sign-in link is as good as a password for a while.
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded;

    async fn same_as_recorded(response: Response, name: &str) {
        let recording = recorded::json(&format!("cloudstack-4.23/{name}.json"));
        let (status, expected) = recorded::answer(&recording);
        assert_eq!(response.status().as_u16(), status, "{name}");
        assert_eq!(response.headers()[CONTENT_TYPE], recording["answer"]["content_type"].as_str().unwrap(), "{name}");
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert_eq!(String::from_utf8(body.to_vec()).unwrap(), String::from_utf8(expected).unwrap(), "{name}");
    }

    #[tokio::test]
    async fn answers_are_the_recorded_ones_to_the_letter() {
        same_as_recorded(is_enabled(true, "https://storage.example.com:8443/Cloudian/"), "cloudian-is-enabled").await;
        same_as_recorded(is_enabled(false, "https://cmc.cloudian.com:8443/Cloudian/"), "cloudian-is-enabled-off").await;
        same_as_recorded(refused(Command::SsoLogin, &Refusal::not_registered()), "cloudian-sso-login-off").await;
        same_as_recorded(refused(Command::Unknown, &Refusal::not_registered()), "error-unknown-command").await;
        let recording = recorded::json("cloudstack-4.23/cloudian-sso-login-ada.json");
        let url = recording["answer"]["body"]["cloudianssologinresponse"]["cloudianssologin"]["url"].as_str().unwrap();
        same_as_recorded(sso_login(url), "cloudian-sso-login-ada").await;
    }
}
