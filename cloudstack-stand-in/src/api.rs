//! `/client/api`: from a request to its answer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::header::{CONTENT_TYPE, COOKIE};
use http::{HeaderMap, Method};

use crate::Cloud;
use crate::answer::{Answer, ApiError, Reply};
use crate::clock::Clock;
use crate::command::{Call, Command};
use crate::log::{self, RequestRecord};
use crate::misbehaviour::{Behaviour, Lie, distort, root_uuid};
use crate::parameters::Parameters;
use crate::server::Shared;
use crate::session::{Cookies, Sessions, authenticate};

/// Everything that changes while the stand-in runs.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) cloud: Cloud,
    pub(crate) sessions: Sessions,
    pub(crate) clock: Clock,
    pub(crate) behaviour: Behaviour,
    pub(crate) log: Vec<RequestRecord>,
    pub(crate) pending_polls: u32,
    /// Whether cloudianSsoLogin was registered, which is decided at the start.
    pub(crate) sso_is_registered: bool,
}

/// Locks the core. A panic of another request leaves it as good as it was.
pub(crate) fn lock(core: &Mutex<Core>) -> MutexGuard<'_, Core> {
    core.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The handler of `/client/api`.
pub(crate) async fn handle(
    State(shared): State<Shared>,
    method: Method,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let is_form = header(&headers, &CONTENT_TYPE).starts_with("application/x-www-form-urlencoded");
    let form = if is_form { body.as_ref() } else { &[] };
    let parameters = Parameters::parse(query.as_deref().unwrap_or_default(), form);
    let cookies = Cookies::parse(header(&headers, &COOKIE));

    let pause = lock(&shared.core).behaviour.slow;
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
    let mut core = lock(&shared.core);
    let answer = core.answer(&parameters, &cookies);
    tracing::debug!(command = parameters.command(), status = answer.status, "answered");
    core.log.push(log::record(method.as_str(), &parameters, answer.status));
    drop(core);
    answer.into_response()
}

fn header<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

impl Core {
    fn answer(&mut self, parameters: &Parameters, cookies: &Cookies) -> Answer {
        let command = parameters.command();
        if let Some(status) = self.behaviour.take_failure(command) {
            return ApiError::forced(status).into_answer(command);
        }
        let lies = self.behaviour.lies_about(command);
        let mut answer = match self.reply(parameters, cookies, &lies) {
            Ok(reply) => Answer::of(command, reply),
            Err(error) => error.into_answer(command),
        };
        // Who must log in is told so even by a liar.
        if answer.status == 200 {
            for lie in &lies {
                distort(lie, &self.cloud, &mut answer);
            }
        }
        answer
    }

    fn reply(&mut self, parameters: &Parameters, cookies: &Cookies, lies: &[Lie]) -> Result<Reply, ApiError> {
        let name = parameters.command();
        if name.is_empty() {
            return Err(ApiError::malformed("Invalid request, no command sent"));
        }
        if parameters.get("response") != Some("json") {
            return Err(ApiError::malformed("this stand-in answers in JSON only: send response=json"));
        }
        let now_s = self.clock.now_s();
        match name {
            "login" => return self.sessions.log_in(&mut self.cloud, parameters, now_s),
            "logout" => return self.sessions.log_out(&mut self.cloud, parameters, cookies, now_s),
            _other => {}
        }
        let off = name == "cloudianSsoLogin" && !self.sso_is_registered;
        let command = Command::named(name).filter(|_| !off).ok_or_else(ApiError::unregistered)?;
        let caller = authenticate(&self.cloud, &mut self.sessions, parameters, cookies, now_s)?;
        if !command.allows(caller.role) {
            let account = self.cloud.accounts.get(caller.account).map_or("", |account| account.name.as_str());
            return Err(ApiError::not_allowed(name, account));
        }
        let parameters = self.translated(parameters, lies);
        command.run(&mut Call {
            caller,
            parameters: &parameters,
            lies,
            now_ms: self.clock.now_ms(),
            pending_polls: self.pending_polls,
            cloud: &mut self.cloud,
        })
    }

    /// What was asked of another ROOT is asked of ours.
    fn translated(&self, parameters: &Parameters, lies: &[Lie]) -> Parameters {
        let other = lies.iter().find_map(|lie| if let Lie::OtherRoot(uuid) = lie { Some(uuid) } else { None });
        match other {
            Some(other) => parameters.replaced(other, &root_uuid(&self.cloud)),
            None => parameters.clone(),
        }
    }
}
