//! What goes over the control socket beside the answers themselves.

use std::pin::Pin;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

/// How far something is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// What is being done, in a few words.
    pub(crate) what: String,
    /// How much is done.
    pub(crate) done: u64,
    /// How much there is, when that is known.
    pub(crate) total: Option<u64>,
    /// Whether `done` and `total` are bytes.
    pub(crate) is_bytes: bool,
}

/// A line of an answer that takes its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// How far it is.
    Progress(Progress),
    /// The end: what came out.
    Done(Value),
    /// The end: why nothing came out.
    Failed(Problem),
}

/// Why a command was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// For people.
    pub(crate) error: String,
}

/// An error of a command, with the status it is answered with.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    text: String,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{:#}", error.into()))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, axum::Json(Problem { error: self.text })).into_response()
    }
}

/// Tells how far a command is; what nobody waits for is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Reporter(mpsc::Sender<Progress>);

impl Reporter {
    /// Only the newest state matters, so a full channel is no reason to wait.
    pub(crate) fn report(&self, progress: Progress) {
        let _ = self.0.try_send(progress);
    }
}

impl Reporter {
    /// Tells what the engine tells.
    pub(crate) fn engine_progress(self) -> engine::OnProgress {
        engine::OnProgress::new(move |progress| self.report(progress.into()))
    }
}

impl From<engine::Progress> for Progress {
    fn from(progress: engine::Progress) -> Self {
        let engine::Progress { what, done, total, is_bytes } = progress;
        Self { what, done, total, is_bytes }
    }
}

type Job = Pin<Box<dyn Future<Output = anyhow::Result<Value>> + Send>>;

/// Answers with a line for each progress and one for the end. When the client goes away, the work is dropped.
pub(crate) fn with_progress<F, Work>(work: F) -> Response
where
    F: FnOnce(Reporter) -> Work,
    Work: Future<Output = anyhow::Result<Value>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(64);
    let job: Job = Box::pin(work(Reporter(sender)));
    let events = stream::unfold(Some((job, receiver)), |state| async move {
        let (mut job, mut receiver) = state?;
        tokio::select! {
            biased;
            Some(progress) = receiver.recv() => Some((Event::Progress(progress), Some((job, receiver)))),
            result = job.as_mut() => {
                let event = match result {
                    Ok(value) => Event::Done(value),
                    Err(error) => Event::Failed(Problem { error: format!("{error:#}") }),
                };
                Some((event, None))
            }
        }
    });
    let lines = events.map(|event| {
        serde_json::to_vec(&event).map(|mut line| {
            line.push(b'\n');
            Bytes::from(line)
        })
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}
