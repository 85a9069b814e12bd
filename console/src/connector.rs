//! The connector's page: what CloudStack and the store do not agree about, what was done, and why something is held back.
//!
//! The connector is not of this crate. What is shown comes through [`ConnectorView`], which the server fills.

use askama::Template;
use async_trait::async_trait;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use http::StatusCode;

use crate::ConsoleState;
use crate::auth::{Administrator, CheckedForm, SignedIn};
use crate::error::{Failure, PageResult, render};
use crate::form::Fields;
use crate::format::{When, count, href};
use crate::shell::{Place, Said, Shell};

/// Lines of pending changes that the page shows; the rest is counted.
const PENDING_SHOWN_MAX: usize = 200;

/// What the page shows of the connector, and what an administrator can make it do.
#[async_trait]
pub trait ConnectorView: Send + Sync {
    /// The connector's state now.
    async fn status(&self) -> Result<ConnectorState, ConnectorFailure>;

    /// Starts a full pass: reads CloudStack and applies what need not be held back. Does not wait for its end.
    async fn look_now(&self) -> Result<(), ConnectorFailure>;

    /// Applies the changes that are held back, provided that they are still those of [`Held::token`]. Does not wait for their
    /// end.
    async fn apply_held(&self, token: &str) -> Result<(), ConnectorFailure>;
}

/// Why the connector could not answer or do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectorFailure {
    /// No CloudStack is configured.
    #[error("No CloudStack is configured.")]
    NotConfigured,
    /// A pass is running already.
    #[error("CloudStack is being read already. Wait until that has ended.")]
    AlreadyRunning,
    /// What is held back is not what the administrator saw.
    #[error("What is held back has changed meanwhile. Look at the list again.")]
    Changed,
    /// Anything else, as a sentence for people, without secrets.
    #[error("{0}")]
    Other(String),
}

/// The connector as the page shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectorState {
    /// Whether a CloudStack is configured.
    pub configured: bool,
    /// The address of the CloudStack.
    pub cloud_url: Option<String>,
    /// Whether a pass is running now.
    pub running: bool,
    /// Why it cannot do its work at present, as a sentence.
    pub problem: Option<String>,
    /// The last full pass.
    pub last_pass: Option<Run>,
    /// Changes that are not applied yet. May be only the first ones of them.
    pub pending: Vec<PendingChange>,
    /// How many changes are not applied yet.
    pub pending_count: u64,
    /// Set when changes wait for an administrator.
    pub held: Option<Held>,
    /// The last runs, newest first.
    pub runs: Vec<Run>,
}

/// Changes that wait for an administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Why they are not applied, as sentences.
    pub why: String,
    /// Names exactly these changes, so that nobody confirms others than those that were shown.
    pub token: String,
    /// How many would be deleted.
    pub deletion_count: u64,
    /// How many would be switched off.
    pub deactivation_count: u64,
}

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// Makes a group or a user.
    Create,
    /// Changes a name or an e-mail address.
    Update,
    /// Switches off.
    Deactivate,
    /// Switches on again.
    Reactivate,
    /// Deletes.
    Delete,
}

/// A change that is not applied yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingChange {
    /// What it does.
    pub kind: ChangeKind,
    /// `group` or `user`.
    pub what: &'static str,
    /// The name of the group or user.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Why, as a few words.
    pub why: String,
    /// Whether it waits for an administrator.
    pub held: bool,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// It has not ended.
    Running,
    /// All was done.
    Done,
    /// Something was held back.
    Held,
    /// It failed.
    Failed,
}

/// A run of the connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// When it began, in microseconds of the Unix epoch.
    pub started_us: i64,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// What it was: `full pass`, `events`, `by hand` ...
    pub trigger: String,
    /// How it ended.
    pub outcome: RunOutcome,
    /// What it did, in a few words.
    pub summary: String,
}

impl ChangeKind {
    fn label(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Update => "Update",
            Self::Deactivate => "Switch off",
            Self::Reactivate => "Switch on",
            Self::Delete => "Delete",
        }
    }

    fn tone(self) -> &'static str {
        match self {
            Self::Create | Self::Reactivate => "good",
            Self::Update => "plain",
            Self::Deactivate => "warn",
            Self::Delete => "bad",
        }
    }
}

impl RunOutcome {
    fn label(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Done => "Done",
            Self::Held => "Held back",
            Self::Failed => "Failed",
        }
    }

    fn tone(self) -> &'static str {
        match self {
            Self::Running => "plain",
            Self::Done => "good",
            Self::Held => "warn",
            Self::Failed => "bad",
        }
    }
}

/// A run as a line of the page.
struct RunRow {
    started: When,
    took: String,
    trigger: String,
    outcome: RunOutcome,
    summary: String,
}

#[derive(Template)]
#[template(path = "connector.html")]
struct ConnectorPage {
    shell: Shell,
    state: ConnectorState,
    last_pass: Option<RunRow>,
    runs: Vec<RunRow>,
    pending: String,
    unlisted: u64,
}

/// `GET /Cloudian/connector.htm`
pub(crate) async fn page(
    State(state): State<ConsoleState>,
    Administrator(signed): Administrator,
    query: Fields,
) -> PageResult {
    show(&state, &signed, query.text("said"), None).await
}

async fn show(state: &ConsoleState, signed: &SignedIn, said: &str, problem: Option<Failure>) -> PageResult {
    let mut connector = state.connector().status().await?;
    let status = problem.as_ref().map_or(StatusCode::OK, |problem| problem.status);
    connector.pending.truncate(PENDING_SHOWN_MAX);
    let page = ConnectorPage {
        shell: Shell::signed_in("CloudStack", signed, Place::Connector)
            .saying(said)
            .with_problem(problem.map(|problem| problem.text)),
        last_pass: connector.last_pass.as_ref().map(run_row),
        runs: connector.runs.iter().map(run_row).collect(),
        pending: count(connector.pending_count, "change"),
        unlisted: connector.pending_count.saturating_sub(connector.pending.len() as u64),
        state: connector,
    };
    Ok((status, render(&page)).into_response())
}

fn run_row(run: &Run) -> RunRow {
    RunRow {
        started: When::from_us(run.started_us),
        took: run.duration_ms.map(duration).unwrap_or_default(),
        trigger: run.trigger.clone(),
        outcome: run.outcome,
        summary: run.summary.clone(),
    }
}

fn duration(duration_ms: u64) -> String {
    match duration_ms {
        0..1000 => format!("{duration_ms} ms"),
        1000..120_000 => format!("{}.{} s", duration_ms / 1000, duration_ms % 1000 / 100),
        _ => format!("{} min", duration_ms / 60_000),
    }
}

/// `POST /Cloudian/connector/look`
pub(crate) async fn look(State(state): State<ConsoleState>, form: CheckedForm) -> PageResult {
    let signed = administrator(form)?.signed;
    let done = state.connector().look_now().await.map_err(Failure::from);
    finish(&state, &signed, done.map(|()| Said::Looking)).await
}

/// `POST /Cloudian/connector/apply` with `held` (the token of what was shown) and `confirm` (`yes`)
pub(crate) async fn apply(State(state): State<ConsoleState>, form: CheckedForm) -> PageResult {
    let form = administrator(form)?;
    let done = if form.fields.text("confirm") == "yes" {
        tracing::info!(user = %form.signed.identity().user_id, "an administrator confirmed held changes");
        state.connector().apply_held(form.fields.text("held")).await.map_err(Failure::from)
    } else {
        Err(Failure::bad_request("Tick the box to confirm that these changes are meant."))
    };
    finish(&state, &form.signed, done.map(|()| Said::Applied)).await
}

fn administrator(form: CheckedForm) -> Result<CheckedForm, Failure> {
    if form.signed.is_system_admin() { Ok(form) } else { Err(Failure::forbidden()) }
}

async fn finish(state: &ConsoleState, signed: &SignedIn, done: Result<Said, Failure>) -> PageResult {
    match done {
        Ok(said) => Ok(Redirect::to(&href("connector.htm", &[("said", said.word())])).into_response()),
        Err(failure) => show(state, signed, "", Some(failure)).await,
    }
}

impl From<ConnectorFailure> for Failure {
    fn from(failure: ConnectorFailure) -> Self {
        let status = match failure {
            ConnectorFailure::NotConfigured | ConnectorFailure::AlreadyRunning | ConnectorFailure::Changed => {
                StatusCode::CONFLICT
            }
            ConnectorFailure::Other(_) => StatusCode::BAD_GATEWAY,
        };
        Self::new(status, "That did not work", failure.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        assert_eq!(duration(12), "12 ms");
        assert_eq!(duration(2_345), "2.3 s");
        assert_eq!(duration(600_000), "10 min");
    }
}
