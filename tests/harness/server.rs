//! The real binary on a data directory of its own, with every door on a free port.

use std::fmt::Write as _;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use admin_api::client::{AdminClient, ClientConfig, GroupInfo, UserInfo};
use rustix::process::{Pid, Signal, kill_process};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use url::Url;

use crate::clients::http;
use crate::process::{Output, run};
use crate::s3::S3;

/// How long a start may take; other tests and builds may use the same cores.
const START_LIMIT: Duration = Duration::from_secs(90);
/// How long a peaceful end may take.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How long a command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(180);
/// The base domain of a store whose buckets are host names. No name server knows any name that ends so.
pub const BASE_DOMAIN: &str = "s3.test";
/// Lines of the log that a failed test shows.
const LOG_LINES: usize = 40;

/// The binary, beside the test's own executable.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn binary() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own.parent().and_then(Path::parent).unwrap().join("cloudhold");
    assert!(path.exists(), "{} is missing: run `cargo build -p server` first, as ./test does", path.display());
    path
}

/// What `doors.json` tells.
#[derive(Clone, Debug, Deserialize)]
pub struct Doors {
    /// The format.
    pub version: u32,
    /// S3, plain.
    pub s3: String,
    /// S3 over TLS.
    pub s3_tls: String,
    /// IAM and STS, plain.
    pub iam: String,
    /// IAM and STS over TLS.
    pub iam_tls: String,
    /// Admin API, plain.
    pub admin_api: String,
    /// Admin API over TLS.
    pub admin_api_tls: String,
    /// Console, over TLS.
    pub console: String,
    /// The plug-in's commands.
    pub connector: String,
    /// `/metrics` and `/health`.
    pub metrics: String,
    /// The certificate to trust.
    pub ca_file: PathBuf,
}

/// What `first-credentials.json` holds.
#[derive(Clone, Debug, Deserialize)]
pub struct FirstCredentials {
    /// The service account of the Admin API.
    pub admin_api: Account,
    /// The console's administrator.
    pub console: ConsoleAccount,
}

/// A service account.
#[derive(Clone, Debug, Deserialize)]
pub struct Account {
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: String,
}

/// Somebody who can sign in to the console.
#[derive(Clone, Debug, Deserialize)]
pub struct ConsoleAccount {
    /// The group.
    pub group: String,
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

/// A user with a key.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// The group.
    pub group: String,
    /// The user.
    pub user: String,
    /// The public half of the key.
    pub access_key: String,
    /// The secret half of the key.
    pub secret_key: String,
}

/// A running store; it is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Option<Child>,
    folder: TempDir,
    doors: Doors,
    has_config: bool,
    hosts_file: Option<PathBuf>,
}

impl Server {
    /// Starts a store without any configuration.
    pub async fn start() -> Self {
        Self::launch(None).await
    }

    /// Starts a store with a configuration file.
    pub async fn with_config(toml: &str) -> Self {
        Self::launch(Some(toml)).await
    }

    /// Starts a store for which buckets are host names beneath [`BASE_DOMAIN`]. Clients that are told of it find these buckets' hosts.
    ///
    /// # Panics
    /// When the file of hosts cannot be written.
    pub async fn with_hosts_of_buckets(buckets: &[&str]) -> Self {
        let config = format!("[s3]\nbase_domains = [\"{BASE_DOMAIN}\"]\n[log]\nformat = \"json\"\n");
        let mut server = Self::launch(Some(&config)).await;
        let mut hosts = format!("127.0.0.1 {BASE_DOMAIN}\n");
        for bucket in buckets {
            let _ = writeln!(hosts, "127.0.0.1 {bucket}.{BASE_DOMAIN}");
        }
        let file = server.folder.path().join("hosts");
        std::fs::write(&file, hosts).unwrap();
        server.hosts_file = Some(file);
        server
    }

    async fn launch(toml: Option<&str>) -> Self {
        let folder = tempfile::Builder::new().prefix("cloudhold-e2e-").tempdir().unwrap();
        if let Some(toml) = toml {
            std::fs::write(folder.path().join("cloudhold.toml"), toml).unwrap();
        }
        let (child, doors) = open(folder.path(), toml.is_some()).await;
        Self { child: Some(child), folder, doors, has_config: toml.is_some(), hosts_file: None }
    }

    /// Ends the process with SIGKILL, as a power cut would.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().expect("the store runs");
        child.kill().await.unwrap();
    }

    /// Ends the process with SIGTERM and waits for its end.
    ///
    /// # Panics
    /// When it does not run, or does not end in time.
    pub async fn stop(&mut self) -> ExitStatus {
        self.terminate();
        let mut child = self.child.take().expect("the store runs");
        let status = tokio::time::timeout(STOP_LIMIT, child.wait()).await;
        status.unwrap_or_else(|_| panic!("the store did not stop\n{}", self.log_tail())).unwrap()
    }

    /// Asks the process to end, without waiting.
    ///
    /// # Panics
    /// When it does not run.
    pub fn terminate(&self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
    }

    fn pid(&self) -> Pid {
        let id = self.child.as_ref().and_then(Child::id).expect("the store runs");
        Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
    }

    /// Starts the store again on the same data; its doors may get other ports.
    ///
    /// # Panics
    /// When it still runs.
    pub async fn restart(&mut self) {
        assert!(self.child.is_none(), "the store still runs");
        let (child, doors) = open(self.folder.path(), self.has_config).await;
        self.child = Some(child);
        self.doors = doors;
    }

    /// Starts the store again and kills it after a while, wherever it is by then.
    ///
    /// # Panics
    /// When it still runs.
    pub async fn restart_and_kill(&mut self, after: Duration) {
        assert!(self.child.is_none(), "the store still runs");
        let mut child = spawn(self.folder.path(), self.has_config);
        tokio::time::sleep(after).await;
        child.kill().await.unwrap();
    }

    /// Replaces the configuration file, for the next start.
    pub fn configure(&mut self, toml: &str) {
        std::fs::write(self.folder.path().join("cloudhold.toml"), toml).unwrap();
        self.has_config = true;
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder for the test's own files.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        let path = self.folder.path().join("scratch");
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// Where the doors are.
    #[must_use]
    pub fn doors(&self) -> &Doors {
        &self.doors
    }

    /// The address of an S3 door as clients are told it.
    ///
    /// # Panics
    /// Never: the store writes addresses that can be read.
    #[must_use]
    pub fn s3_url(&self, tls: bool) -> String {
        let url = if tls { &self.doors.s3_tls } else { &self.doors.s3 };
        if self.hosts_file.is_none() {
            return url.clone();
        }
        let mut url: Url = url.parse().unwrap();
        url.set_host(Some(BASE_DOMAIN)).unwrap();
        url.as_str().trim_end_matches('/').to_owned()
    }

    /// The file with the host names of buckets, where the store takes these.
    #[must_use]
    pub fn hosts_file(&self) -> Option<&Path> {
        self.hosts_file.as_deref()
    }

    /// The generated passwords.
    #[must_use]
    pub fn first_credentials(&self) -> FirstCredentials {
        let text = std::fs::read(self.data_dir().join("first-credentials.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// A client of the Admin API, over TLS.
    #[must_use]
    pub fn admin(&self) -> AdminClient {
        let Account { user, password } = self.first_credentials().admin_api;
        let mut config = ClientConfig::new(self.doors.admin_api_tls.parse().unwrap(), user, password.into());
        config.ca_file = Some(self.doors.ca_file.clone());
        config.timeout = Duration::from_secs(30);
        AdminClient::new(config).unwrap()
    }

    /// Makes a user with a key, in a group that is made when it is not there.
    pub async fn tenant(&self, group: &str, user: &str) -> Tenant {
        let admin = self.admin();
        if admin.get_group(group).await.unwrap().is_none() {
            admin.put_group(&GroupInfo::new(group, format!("/{group}/"))).await.unwrap();
        }
        if admin.get_user(group, user).await.unwrap().is_none() {
            admin.put_user(&UserInfo { full_name: user.to_owned(), ..UserInfo::new(group, user) }).await.unwrap();
        }
        self.key_of(group, user).await
    }

    /// A new key of a user who is there.
    pub async fn key_of(&self, group: &str, user: &str) -> Tenant {
        let key = self.admin().put_credential(group, user).await.unwrap();
        Tenant {
            group: group.to_owned(),
            user: user.to_owned(),
            access_key: key.access_key,
            secret_key: key.secret_key.expose_secret().to_owned(),
        }
    }

    /// A raw S3 client of a tenant, on the plain door.
    #[must_use]
    pub fn s3(&self, tenant: &Tenant) -> S3 {
        S3::new(&self.doors.s3, &tenant.access_key, &tenant.secret_key)
    }

    /// Runs a command of the binary on this store's data directory.
    pub async fn command(&self, words: &[&str]) -> Output {
        command_on(&self.data_dir(), words).await
    }

    /// The JSON answer of a command that succeeds.
    pub async fn json(&self, words: &[&str]) -> serde_json::Value {
        let text = self.command(&[words, &["--json"]].concat()).await.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words:?}: {error}\n{text}"))
    }

    /// The sum of a metric over all its labels; 0 when it was never counted.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = http().get(format!("{}/metrics", self.doors.metrics)).send().await.unwrap().text().await.unwrap();
        let value = |line: &str| {
            let rest = line.strip_prefix(name)?;
            rest.starts_with([' ', '{']).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok()).flatten()
        };
        text.lines().filter_map(value).sum()
    }

    /// All that the store wrote to its log since its first start.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What the store wrote to its log after so many bytes.
    ///
    /// # Panics
    /// When the log cannot be read.
    #[must_use]
    pub fn log_from(&self, at: u64) -> Vec<u8> {
        let mut log = std::fs::File::open(self.folder.path().join("log")).unwrap();
        log.seek(SeekFrom::Start(at)).unwrap();
        let mut rest = Vec::new();
        log.read_to_end(&mut rest).unwrap();
        rest
    }

    /// The memory that the process has taken, in bytes.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most memory that the process ever had, in bytes.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn memory_peak_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, what: &str) -> u64 {
        let path = format!("/proc/{}/status", self.pid().as_raw_nonzero());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("a line of the memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    fn log_tail(&self) -> String {
        tail(self.folder.path())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the end of the store's log\n{}", self.log_tail());
        }
    }
}

/// Runs a command of the binary on any data directory.
pub(crate) async fn command_on(data_dir: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(binary());
    clean(&mut command).args(words).arg("--data-dir").arg(data_dir);
    run(&mut command, COMMAND_LIMIT).await
}

/// Takes away what the environment of whoever runs the tests might configure.
fn clean(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CLOUDHOLD_") {
            command.env_remove(name);
        }
    }
    command
}

fn tail(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].iter().fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "{line}");
        all
    })
}

/// Starts the binary.
fn spawn(folder: &Path, has_config: bool) -> Child {
    let data_dir = folder.join("data");
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = Command::new(binary());
    clean(&mut command).args(["serve", "--ports", "auto", "--data-dir"]).arg(&data_dir).current_dir(folder);
    if has_config {
        command.arg("--config").arg(folder.join("cloudhold.toml"));
    }
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).kill_on_drop(true);
    command.spawn().unwrap()
}

/// Starts the binary and waits until all its doors are open.
async fn open(folder: &Path, has_config: bool) -> (Child, Doors) {
    let doors = folder.join("data/doors.json");
    // A killed store leaves its file behind.
    let _ = std::fs::remove_file(&doors);
    let mut child = spawn(folder, has_config);
    let started = Instant::now();
    loop {
        if let Ok(text) = std::fs::read(&doors) {
            let doors = serde_json::from_slice(&text).unwrap_or_else(|error| panic!("doors.json: {error}"));
            return (child, doors);
        }
        if let Some(status) = child.try_wait().unwrap() {
            panic!("the store ended with {status}\n{}", tail(folder));
        }
        assert!(started.elapsed() < START_LIMIT, "the store does not start\n{}", tail(folder));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
