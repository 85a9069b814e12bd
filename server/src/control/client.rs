//! The other side of the control socket: what commands use.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::wire::{Event, Problem, Progress};
use super::{VERSION, socket};

/// Gives commands to the store that runs on a data directory.
#[derive(Clone, Debug)]
pub(crate) struct ControlClient {
    data_dir: PathBuf,
}

impl ControlClient {
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned() }
    }

    /// Whether a store runs on the data directory.
    pub(crate) async fn is_running(&self) -> anyhow::Result<bool> {
        match socket::connect(&self.data_dir).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(false)
            }
            Err(error) => Err(self.not_running(error)),
        }
    }

    /// Asks and reads the whole answer.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let response = self.send(Method::GET, path, &Value::Null).await?;
        whole(response).await
    }

    /// Gives a command and reads the whole answer.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        let response = self.send(Method::POST, path, body).await?;
        whole(response).await
    }

    /// Gives a command that takes its time; `on_progress` sees how far it is.
    pub(crate) async fn run<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        mut on_progress: impl FnMut(Progress),
    ) -> anyhow::Result<T> {
        let response = self.send(Method::POST, path, body).await?;
        if response.status() != StatusCode::OK {
            return whole(response).await;
        }
        let mut body = response.into_body();
        let mut waiting = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.context("the store went away in the middle of the command")?;
            waiting.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = waiting.drain(..=end).collect();
                match serde_json::from_slice(&line).context("the store's answer is not understood")? {
                    Event::Progress(progress) => on_progress(progress),
                    Event::Done(value) => {
                        return serde_json::from_value(value).context("the store's answer is not understood");
                    }
                    Event::Failed(problem) => bail!(problem.error),
                }
            }
        }
        bail!("the store went away in the middle of the command")
    }

    async fn send(&self, method: Method, path: &str, body: &impl Serialize) -> anyhow::Result<Response<Incoming>> {
        let stream = socket::connect(&self.data_dir).await.map_err(|error| self.not_running(error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .context("the control socket does not answer")?;
        tokio::spawn(connection);
        let body = if method == Method::GET { Vec::new() } else { serde_json::to_vec(body)? };
        let request = Request::builder()
            .method(method)
            .uri(format!("/{VERSION}/{path}"))
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        sender.send_request(request).await.context("the store did not answer (only the user it runs as may ask)")
    }

    fn not_running(&self, error: io::Error) -> anyhow::Error {
        let dir = self.data_dir.display();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => anyhow!(
                "no store runs on {dir}\nStart it with `cloudhold serve --data-dir {dir}`, or name its data directory with --data-dir."
            ),
            io::ErrorKind::PermissionDenied => {
                anyhow!("the store on {dir} belongs to another user: run this command as that user or as root")
            }
            _ => anyhow!(error).context(format!("the store on {dir} cannot be reached")),
        }
    }
}

async fn whole<T: DeserializeOwned>(response: Response<Incoming>) -> anyhow::Result<T> {
    let status = response.status();
    let body =
        response.into_body().collect().await.context("the store went away in the middle of the command")?.to_bytes();
    if status.is_success() {
        return serde_json::from_slice(&body).context("the store's answer is not understood");
    }
    if status == StatusCode::NOT_FOUND && body.is_empty() {
        bail!("the running store does not know this command: it is of another version than this program");
    }
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => bail!(problem.error),
        Err(_) => bail!("the store refused the command ({status})"),
    }
}
