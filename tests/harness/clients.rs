//! Other people's clients, as processes: Python scripts in environments of their own, JavaScript, Java and Go programs.
//! `tests/conformance/setup.sh` installs them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

use crate::process::{Output, run};
use crate::server::{Server, Tenant};

/// How long a script may take.
const LIMIT: Duration = Duration::from_secs(300);

/// The project's folder.
#[must_use]
pub fn root_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn tests_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Which of the Python environments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Today's clients.
    Current,
    /// The clients from before checksums were sent by default.
    Old,
    /// Programs that build on a client and want another version of it.
    Tools,
}

impl Environment {
    /// A program of this environment.
    ///
    /// # Panics
    /// When it is not installed.
    #[must_use]
    pub fn program(self, name: &str) -> PathBuf {
        let folder = match self {
            Self::Current => "current",
            Self::Old => "old",
            Self::Tools => "tools",
        };
        let path = tests_folder().join(".venv").join(folder).join("bin").join(name);
        assert!(path.exists(), "{} is missing: run tests/conformance/setup.sh, as ./test does", path.display());
        path
    }
}

/// A client that is about to run, in an empty folder and with an environment that knows the store and nothing of the machine's
/// own accounts.
#[derive(Debug)]
pub struct Script {
    command: Command,
    folder: TempDir,
}

impl Script {
    /// A program; a path or a name to be found in the usual places.
    #[must_use]
    pub fn program(program: impl AsRef<Path>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(program.as_ref());
        command.current_dir(folder.path()).env("HOME", folder.path()).env("PYTHONDONTWRITEBYTECODE", "1");
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if ["AWS_", "CLOUDSTACK_", "RCLONE_", "RESTIC_"].iter().any(|prefix| name.starts_with(prefix))
                || is_proxy(&name)
            {
                command.env_remove(&*name);
            }
        }
        Self { command, folder }
    }

    /// A script of `tests/conformance`.
    #[must_use]
    pub fn python(environment: Environment, name: &str) -> Self {
        Self::program(environment.program("python")).arg(tests_folder().join("conformance").join(name))
    }

    /// The address of an S3 door and a tenant's key, under the names that our scripts and the AWS clients read.
    #[must_use]
    pub fn s3(self, server: &Server, tls: bool, tenant: &Tenant) -> Self {
        let script = self
            .finding_hosts_of(server)
            .env("S3_ENDPOINT", server.s3_url(tls))
            .env("S3_STYLE", if server.hosts_file().is_some() { "virtual" } else { "path" })
            .env("ACCESS_KEY", &tenant.access_key)
            .env("SECRET_KEY", &tenant.secret_key)
            .env("AWS_ACCESS_KEY_ID", &tenant.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &tenant.secret_key)
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        if !tls {
            return script;
        }
        // Ours, that of the AWS clients, and that of Node.
        ["S3_CA", "AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"]
            .iter()
            .fold(script, |script, name| script.env(name, &server.doors().ca_file))
    }

    /// Looks names up in the file of a store whose buckets are host names; without one, as ever.
    ///
    /// Debian's libnss-wrapper stands in front of the look-ups of libc, which takes neither rights nor a name server and leaves the
    /// clients as they are. Go must be told to ask libc.
    #[must_use]
    pub fn finding_hosts_of(self, server: &Server) -> Self {
        let Some(file) = server.hosts_file() else { return self };
        self.env("LD_PRELOAD", "libnss_wrapper.so").env("NSS_WRAPPER_HOSTS", file).env("GODEBUG", "netdns=cgo")
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.command.env(name, value.as_ref());
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, word: impl AsRef<Path>) -> Self {
        self.command.arg(word.as_ref());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, words: &[&str]) -> Self {
        self.command.args(words);
        self
    }

    /// Runs it in a folder of the test instead of an empty one.
    #[must_use]
    pub fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs it to its end.
    pub async fn run(mut self) -> Output {
        let output = run(&mut self.command, LIMIT).await;
        drop(self.folder);
        output
    }
}

/// A client for plain requests that follows the machine's proxies nowhere.
///
/// # Panics
/// Never: nothing is configured that could be wrong.
#[must_use]
pub fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Nothing that the tests speak to is behind a proxy.
fn is_proxy(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with("_proxy")
}

/// The class `cloudhold.RoundTrip` of one of the Java programs.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn java(project: &str) -> Script {
    let folder = tests_folder().join(".cache").join(project);
    assert!(folder.join("lib").exists(), "{project} is missing: run tests/conformance/setup.sh, as ./test does");
    let path = format!("{0}/classes:{0}/lib/*", folder.display());
    // A program that ends in seconds gains nothing from the compiler that optimizes.
    let quick = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8"];
    Script::program("java").args(&quick).args(&["-cp", &path, "cloudhold.RoundTrip"])
}

/// What Java must be told so that it trusts the store, for `JAVA_TOOL_OPTIONS`.
pub async fn java_trust(server: &Server) -> String {
    let trusted = server.scratch().join("trusted");
    let import =
        Script::program("keytool").args(&["-importcert", "-noprompt", "-storepass", "changeit", "-alias", "store"]);
    let _ = import.args(&["-file"]).arg(&server.doors().ca_file).args(&["-keystore"]).arg(&trusted).run().await.ok();
    format!("-Djavax.net.ssl.trustStore={} -Djavax.net.ssl.trustStorePassword=changeit", trusted.display())
}

/// A script of `tests/conformance/javascript`.
///
/// # Panics
/// When the packages that it uses are not installed.
#[must_use]
pub fn javascript(name: &str) -> Script {
    let packages = tests_folder().join(".cache/javascript/node_modules");
    assert!(packages.exists(), "the packages of npm are missing: run tests/conformance/setup.sh, as ./test does");
    let script = tests_folder().join("conformance/javascript").join(name);
    Script::program("node").arg(script).env("NODE_PATH", packages)
}

/// The Go program.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn go() -> Script {
    let path = tests_folder().join(".cache/go-clients");
    assert!(path.exists(), "the Go program is missing: run tests/conformance/setup.sh, as ./test does");
    Script::program(path)
}

/// The program of a package of Rust.
///
/// # Panics
/// When it was not installed.
#[must_use]
pub fn cargo_program(name: &str) -> Script {
    let path = tests_folder().join(".cache").join(name).join("bin").join(name);
    assert!(path.exists(), "{name} is missing: run tests/conformance/setup.sh, as ./test does");
    Script::program(path)
}
