//! A peer's process: started in a folder of its own, told to end in every case.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::endpoint::Endpoint;
use crate::process;
use crate::sign::Signer;

/// How long a peer may take to answer, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A peer that runs, and how it is spoken to.
pub(super) struct Running {
    process: Option<Child>,
    pid: u32,
    port: u16,
    access_key: String,
    secret_key: String,
    /// Removed when this is dropped.
    folder: TempDir,
}

impl Running {
    /// Starts a program whose output goes to `log` in the folder, and waits until it takes connections at the port.
    pub(super) async fn start(
        mut command: Command,
        folder: TempDir,
        port: u16,
        (access_key, secret_key): (&str, &str),
    ) -> anyhow::Result<Self> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let log = File::create(folder.path().join("log"))?;
        let process = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{program} cannot be started; tests/bench/peers/get fetches it"))?;
        let pid = process.id().context("the peer ended at once")?;
        let (access_key, secret_key) = (access_key.to_owned(), secret_key.to_owned());
        let mut running = Self { process: Some(process), pid, port, access_key, secret_key, folder };
        running.wait_for_port(port).await?;
        Ok(running)
    }

    /// Waits until something takes connections at the port.
    pub(super) async fn wait_for_port(&mut self, port: u16) -> anyhow::Result<()> {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if let Some(process) = &mut self.process
                && let Some(status) = process.try_wait()?
            {
                bail!("the peer ended by itself ({status}): {}", self.log());
            }
            ensure!(start.elapsed() < PATIENCE, "the peer does not open port {port}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Where the peer lies.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the peer said last.
    pub(super) fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// The process and those that it started.
    pub(super) fn pids(&self) -> Vec<u32> {
        std::iter::once(self.pid).chain(process::children(self.pid)).collect()
    }

    /// The peer as an S3 endpoint.
    pub(super) fn endpoint(&self, bucket: &str) -> anyhow::Result<Endpoint> {
        let signer = Signer::new(self.access_key.clone(), self.secret_key.clone().into(), "us-east-1".to_owned());
        Endpoint::new(&format!("http://127.0.0.1:{}", self.port), None, signer, bucket.to_owned())
    }

    /// Tells the peer to end and waits for it.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        terminate(self.pid);
        if let Some(mut process) = self.process.take()
            && tokio::time::timeout(PATIENCE, process.wait()).await.is_err()
        {
            process.kill().await?;
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A peer that was not stopped, because something failed. It is told to end and not killed, because it then ends its own
        // processes, too.
        if self.process.is_some() {
            terminate(self.pid);
        }
    }
}

fn terminate(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // That it is gone already is what is wanted.
        kill_process(pid, Signal::TERM).unwrap_or_default();
    }
}

/// Runs a command to its end and answers what it printed.
pub(super) async fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output().await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?}: {text} {error}", command.as_std());
    Ok(text)
}

/// Ports that were free a moment ago, none twice.
pub(super) fn free_ports<const COUNT: usize>() -> anyhow::Result<[u16; COUNT]> {
    let mut listeners = Vec::new();
    let mut ports = [0; COUNT];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_that_ends_at_once_is_told_with_its_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no disk; exit 3"]);
        let [port] = free_ports().unwrap();
        let error = Running::start(command, folder, port, ("", "")).await.err().unwrap().to_string();
        assert!(error.contains("no disk") && error.contains('3'), "{error}");
    }
}
