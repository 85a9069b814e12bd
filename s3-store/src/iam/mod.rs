//! The query API of identities (IAM) and sessions (STS): a form in the body, or the query of a GET, says what is asked, XML says what came of it.
//!
//! It stands at doors of its own, and on the S3 endpoint for requests that are signed for it. `auth` checks the signature, `dispatch`
//! turns each operation into one call of the engine.

mod answer;
mod auth;
mod dispatch;
mod error;
mod groups;
mod holders;
mod keys;
mod params;
mod policies;
mod roles;
mod sessions;
mod users;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use engine::{Engine, IamAction};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderValue, Method};
use http_body_util::{BodyExt as _, Limited};
use tokio::sync::Semaphore;

use self::error::Failure;
use self::params::Params;
use crate::Settings;
use crate::drain::DrainedBody;

/// Largest form of a request, in bytes: several times the largest policy, as forms are written.
const FORM_SIZE_BYTES_MAX: usize = 128 << 10;
/// How long a form may take to arrive: its place is nobody else's meanwhile, and who sends it is not proven yet.
const FORM_WAIT: Duration = Duration::from_secs(10);
/// Requests whose forms may be held at a time.
const FORMS_MAX: usize = 256;

/// The doors of identities. They answer `GET /` and `POST /` only.
pub fn iam_router(engine: Engine, settings: &Settings) -> Router {
    let door = Identities::new(engine, Arc::new(settings.clone()));
    let serve = async |State(door): State<Arc<Identities>>, request: axum::extract::Request| {
        let (parts, body) = request.into_parts();
        door.serve(parts, body).await
    };
    Router::new().fallback(serve).with_state(Arc::new(door))
}

/// Answers questions about identities.
pub(crate) struct Identities {
    engine: Engine,
    settings: Arc<Settings>,
    forms: Semaphore,
}

impl Identities {
    pub(crate) fn new(engine: Engine, settings: Arc<Settings>) -> Self {
        Self { engine, settings, forms: Semaphore::new(FORMS_MAX) }
    }

    pub(crate) async fn serve(&self, parts: Parts, body: Body) -> Response {
        let started = Instant::now();
        let request_id = answer::new_request_id();
        let span = tracing::info_span!("iam", request_id = %request_id);
        // Who is refused before the form was read gets an answer, too, and may ask again.
        let body = DrainedBody::new(body, &parts.headers);
        let rest = body.rest(parts.version);
        let mut asked = None;
        let answered =
            tracing::Instrument::instrument(self.answer(&parts, body, (&request_id, &mut asked)), span).await;
        let mut response = match answered {
            Ok(result) => answer::of_result(asked, result, &request_id),
            Err(failure) => answer::of_failure(asked, &failure, &request_id),
        };
        rest.tell(&mut response);
        count(asked, response.status(), started);
        response
    }

    async fn answer(
        &self,
        parts: &Parts,
        body: DrainedBody,
        (request_id, asked): (&str, &mut Option<IamAction>),
    ) -> Result<Option<String>, Failure> {
        let by_get = parts.method == Method::GET;
        if !(by_get || parts.method == Method::POST) || parts.uri.path() != "/" {
            return Err(Failure::method());
        }
        // A key that nobody has costs nothing but a look.
        let claim = auth::claim(&self.engine, &self.settings, parts).await?;
        let _room = self.forms.try_acquire().map_err(|_| Failure::busy())?;
        let form = read(body).await?;
        claim.must_fit(parts, &form)?;
        let params = Params::read(if by_get { parts.uri.query().unwrap_or_default().as_bytes() } else { &form })?;
        let action = params.action()?;
        *asked = Some(action);
        claim.must_be_for(action)?;
        params.must_be_understood()?;
        let peer = crate::facts::peer_of(&parts.extensions);
        let is_secure = parts.extensions.get::<Scheme>() == Some(&Scheme::HTTPS);
        let told_by = (self.engine.clock(), &self.settings);
        let facts = crate::facts::of(peer, is_secure, &parts.headers, &parts.uri, told_by, request_id);
        let caller = claim.caller(facts);
        dispatch::run(&self.engine, &caller, action, &params).await.map_err(|failure| failure.named(action))
    }
}

/// Whether a request to the S3 endpoint is meant for identities: it is signed for them.
pub(crate) fn is_meant(parts: &Parts) -> bool {
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_form = || {
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        kind.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
    };
    parts.uri.path() == "/"
        && match parts.method {
            Method::POST => is_form() && is_scope_of_ours(header),
            Method::GET => {
                is_scope_of_ours(header) || credential_in_query(parts).is_some_and(|it| is_scope_of_ours(&it))
            }
            _ => false,
        }
}

fn is_scope_of_ours(credential: &str) -> bool {
    ["/iam/aws4_request", "/sts/aws4_request"].iter().any(|scope| credential.contains(scope))
}

fn credential_in_query(parts: &Parts) -> Option<String> {
    let query = parts.uri.query()?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == "X-Amz-Credential").map(|(_, value)| value.into_owned())
}

async fn read(body: DrainedBody) -> Result<Bytes, Failure> {
    let body = Body::from_stream(body.into_stream());
    let collected = tokio::time::timeout(FORM_WAIT, Limited::new(body, FORM_SIZE_BYTES_MAX).collect()).await;
    Ok(collected.map_err(|_| Failure::body())?.map_err(|_| Failure::body())?.to_bytes())
}

/// Requests by operation and class of status.
fn count(asked: Option<IamAction>, status: http::StatusCode, started: Instant) {
    let operation = asked.map_or("none", IamAction::name);
    let class = match status.as_u16() {
        0..=399 => "2xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    metrics::counter!("cloudhold_iam_requests_total", "operation" => operation, "status" => class).increment(1);
    metrics::histogram!("cloudhold_iam_request_seconds", "operation" => operation)
        .record(started.elapsed().as_secs_f64());
}

/// The content type of every answer.
const XML: HeaderValue = HeaderValue::from_static("text/xml");
