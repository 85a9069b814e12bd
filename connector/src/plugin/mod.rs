//! The door for the commands of CloudStack's plug-in, behind a reverse proxy under CloudStack's own host: which command
//! is asked, by whom, and the answer in CloudStack's own shape.

mod answer;
mod identity;
mod sign_in;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, RawQuery, State},
    http::{HeaderMap, Method, header::CONTENT_TYPE},
    response::Response,
    routing::get,
};
use url::form_urlencoded;

use self::{
    answer::{Command, Refusal},
    identity::Parameters,
};
use crate::reconciler::Inner;

/// Where the door answers: below `/client`, because that is the path of CloudStack's session cookie.
///
/// A reverse proxy serves it under CloudStack's own host, or no browser would send the session along:
///
/// ```nginx
/// location = /client/cloudhold/api {
///     access_log off;  # the query holds the session's key
///     proxy_pass http://127.0.0.1:8099;
/// }
/// location /client/ {
///     proxy_pass http://127.0.0.1:8080;
/// }
/// ```
pub const PLUGIN_PATH: &str = "/client/cloudhold/api";

/// Switching the connector off must act at once, or nearly so.
const SETTINGS_FRESH: Duration = Duration::from_secs(5);

/// A form of the plug-in's commands has a few short parameters.
const BODY_SIZE_BYTES_MAX: usize = 16 << 10;

/// The door.
pub(crate) fn router(inner: Arc<Inner>) -> Router {
    Router::new()
        .route(PLUGIN_PATH, get(handle).post(handle))
        .layer(DefaultBodyLimit::max(BODY_SIZE_BYTES_MAX))
        .with_state(inner)
}

async fn handle(
    State(inner): State<Arc<Inner>>,
    method: Method,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let parameters = parameters(&method, query.as_deref().unwrap_or_default(), &headers, &body);
    let command = parameters.get("command").map_or(Command::Unknown, Command::parse);
    let answered = match command {
        Command::IsEnabled => is_enabled(&inner, &parameters, &headers).await,
        Command::SsoLogin => sso_login(&inner, &parameters, &headers).await,
        Command::Unknown => Err(Refusal::not_registered()),
    };
    let outcome = if answered.is_ok() { "ok" } else { "refused" };
    metrics::counter!("cloudhold_connector_plugin_answers_total", "command" => command.name(), "outcome" => outcome)
        .increment(1);
    match answered {
        Ok(response) => response,
        Err(refusal) => answer::refused(command, &refusal),
    }
}

/// All parameters of the query and of a posted form.
fn parameters(method: &Method, query: &str, headers: &HeaderMap, body: &[u8]) -> Parameters {
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let is_form = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"));
    if method == Method::POST && is_form {
        pairs.extend(form_urlencoded::parse(body).into_owned());
    }
    Parameters(pairs)
}

async fn is_enabled(inner: &Inner, parameters: &Parameters, headers: &HeaderMap) -> Result<Response, Refusal> {
    let caller = identity::session(parameters, headers)?;
    identity::accounts(inner, &caller).await?;
    let settings = inner.settings(SETTINGS_FRESH).await;
    Ok(answer::is_enabled(settings.enabled, &settings.console_url))
}

async fn sso_login(inner: &Inner, parameters: &Parameters, headers: &HeaderMap) -> Result<Response, Refusal> {
    let settings = inner.settings(SETTINGS_FRESH).await;
    if !settings.enabled {
        // CloudStack does not know the command then, and says so in these words.
        return Err(Refusal::not_registered());
    }
    let caller = identity::session(parameters, headers)?;
    let account = identity::own_account(inner, &caller).await?;
    let url = sign_in::sign_in(inner, &settings, &account).await?;
    Ok(answer::sso_login(&url))
}
