//! A store of our own to be measured: the real program in a process of its own, on a directory that is removed afterwards.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use admin_api::client::{AdminClient, ClientConfig, Credential, GroupInfo, UserInfo};
use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use url::Url;

use crate::measure::Watch;

/// How long a store may take to open its doors, or to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where a store tells its doors, in its folder.
const DOORS: &str = "data/doors.json";
const GROUP: &str = "bench";
const USER: &str = "load";

/// What `doors.json` tells.
#[derive(Debug, Deserialize)]
pub(crate) struct Doors {
    pub(crate) s3: String,
    pub(crate) s3_tls: String,
    pub(crate) admin_api: String,
    pub(crate) metrics: String,
    pub(crate) ca_file: PathBuf,
}

#[derive(Deserialize)]
struct FirstCredentials {
    admin_api: Login,
}

#[derive(Deserialize)]
struct Login {
    user: String,
    password: secrecy::SecretString,
}

/// A running store.
pub(crate) struct Cloudhold {
    pub(crate) doors: Doors,
    pub(crate) pid: u32,
    binary: PathBuf,
    process: Child,
    folder: Folder,
}

/// Where a store lies, with its configuration and log.
enum Folder {
    /// Removed when this is dropped.
    Temporary(TempDir),
    /// Stays, so that it can be started again.
    Kept(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}

impl Cloudhold {
    /// Starts the program on a new data directory beneath `directory`, with this text as its configuration.
    ///
    /// # Errors
    /// When the program is not there, or does not start.
    pub(crate) async fn start(binary: &Path, directory: &Path, configuration: &str) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("bench-store-").tempdir_in(directory)?;
        Self::start_in(binary, Folder::Temporary(folder), configuration).await
    }

    /// Starts the program on the data directory in this folder, which stays; both are made when they are not there.
    ///
    /// # Errors
    /// When the program is not there, or does not start.
    pub(crate) async fn start_kept(binary: &Path, folder: &Path, configuration: &str) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        Self::start_in(binary, Folder::Kept(folder.to_owned()), configuration).await
    }

    async fn start_in(binary: &Path, folder: Folder, configuration: &str) -> anyhow::Result<Self> {
        let binary = fs::canonicalize(binary).with_context(|| {
            format!("{} is not there: cargo build --profile measure -p server --bin cloudhold", binary.display())
        })?;
        let folder_path = fs::canonicalize(folder.path())?;
        // A store that was killed leaves its doors behind, which would be taken for those of the new one.
        if let Err(error) = fs::remove_file(folder_path.join(DOORS)) {
            ensure!(error.kind() == std::io::ErrorKind::NotFound, "{DOORS} cannot be removed: {error}");
        }
        let configuration_file = folder_path.join("cloudhold.toml");
        fs::write(&configuration_file, configuration)?;
        let mut process = Command::new(&binary)
            .args(["serve", "--ports", "auto", "--data-dir"])
            .arg(folder_path.join("data"))
            .arg("--config")
            .arg(&configuration_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder_path.join("log"))?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", binary.display()))?;
        let pid = process.id().context("the store ended at once")?;
        let doors = wait_for_doors(&mut process, &folder_path).await?;
        Ok(Self { doors, pid, binary, process, folder })
    }

    /// Whom to watch while it is measured.
    pub(crate) fn watch(&self) -> Watch {
        Watch { store_pids: vec![self.pid], metrics_url: Some(self.doors.metrics.clone()) }
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A client of the Admin API.
    ///
    /// # Errors
    /// When the store did not tell its first credentials.
    pub(crate) fn admin(&self) -> anyhow::Result<AdminClient> {
        let text = fs::read_to_string(self.data_dir().join("first-credentials.json"))?;
        let login = serde_json::from_str::<FirstCredentials>(&text)?.admin_api;
        Ok(AdminClient::new(ClientConfig::new(Url::parse(&self.doors.admin_api)?, login.user, login.password))?)
    }

    /// Makes a group and a user through the Admin API, unless they are there, and a key.
    ///
    /// # Errors
    /// When the Admin API refuses.
    pub(crate) async fn new_key(&self) -> anyhow::Result<Credential> {
        let client = self.admin()?;
        if client.get_user(GROUP, USER).await?.is_none() {
            client.put_group(&GroupInfo::new(GROUP, "Load of the bench")).await?;
            client.put_user(&UserInfo::new(GROUP, USER)).await?;
        }
        // A store that is kept has keys of earlier runs, and a user may have a few only.
        for old in client.list_credentials(GROUP, USER, false).await? {
            client.delete_credential(&old.access_key).await?;
        }
        Ok(client.put_credential(GROUP, USER).await?)
    }

    /// Runs a command on the store and reads its answer.
    pub(crate) async fn command(&self, words: &[&str]) -> anyhow::Result<serde_json::Value> {
        let data_dir = self.data_dir();
        let output =
            Command::new(&self.binary).args(words).arg("--json").arg("--data-dir").arg(data_dir).output().await?;
        let error = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).with_context(|| format!("cloudhold {}: {error}", words.join(" ")))
    }

    /// Ends the store as a service manager does, and removes its directory unless that is to stay.
    ///
    /// # Errors
    /// When it does not end.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("the store has no process")?;
        kill_process(pid, Signal::TERM)?;
        tokio::time::timeout(PATIENCE, self.process.wait()).await.context("the store does not end")??;
        match self.folder {
            Folder::Temporary(folder) => Ok(folder.close()?),
            Folder::Kept(_) => Ok(()),
        }
    }
}

async fn wait_for_doors(process: &mut Child, folder: &Path) -> anyhow::Result<Doors> {
    let file = folder.join(DOORS);
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = process.try_wait()? {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            bail!("the store ended by itself ({status}): {log}");
        }
        if let Ok(text) = fs::read_to_string(&file) {
            return serde_json::from_str(&text).context("doors.json is not understood");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    bail!("the store does not open its doors")
}
