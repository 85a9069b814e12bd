//! `cloudhold serve`: runs a store until it is told to stop.

use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::output::{json, line};
use super::{DoorArgs, Ports, Shared};
use crate::config::{Config, LogFormat, LogSection, PortChoice, load, stray_variables};
use crate::doors::DoorKind;
use crate::first_credentials::{self, FirstCredentials};
use crate::run::{Running, start};

/// The exit code of a process that was told twice to stop, as shells count a second Ctrl-C.
const INTERRUPTED: i32 = 130;

/// The protocol layer of S3 calls every refusal an error, and at its lower levels writes headers, queries and signatures. What is worth
/// knowing of a request our own lines say, so its lines stay away unless one of its modules is named.
const PROTOCOL_LAYER_OFF: &str = "s3s=off";

pub(super) async fn run(shared: &Shared, args: &DoorArgs) -> anyhow::Result<u8> {
    let mut overrides = shared.overrides();
    overrides.ports_auto = args.ports == Some(Ports::Auto);
    let mut config = load(&overrides)?;
    if args.ports == Some(Ports::Usual) {
        config.doors.ports = PortChoice::Usual;
    }
    start_log(&config.log)?;
    for variable in stray_variables() {
        tracing::warn!(variable, "not a setting: two underscores part a section from its key");
    }
    let mut signals = Signals::new()?;
    let running = start(config).await?;
    if shared.json {
        json(&running.doors)?;
    } else {
        greet(&running)?;
    }
    signals.wait(&running).await;
    stop(running, signals).await;
    Ok(0)
}

/// Ends the store in peace; a second signal ends the process at once, which loses nothing that was acknowledged.
pub(super) async fn stop(running: Running, mut signals: Signals) {
    tracing::info!("stopping: what runs may finish; another signal stops at once");
    tokio::select! {
        () = running.shutdown() => tracing::info!("stopped"),
        () = signals.again() => std::process::exit(INTERRUPTED),
    }
}

/// Writes the log to stderr, as configured.
pub(super) fn start_log(log: &LogSection) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.filter).context("log.filter")?;
    let filter = filter.add_directive(PROTOCOL_LAYER_OFF.parse().context("log.filter")?);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match log.format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log cannot be started: {error}"))
}

/// The signals that a store knows.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be received");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the word to stop; a hang-up reads the certificates again.
    pub(super) async fn wait(&mut self, running: &Running) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => match running.reload() {
                    Ok(()) => tracing::info!("certificates were looked at"),
                    Err(error) => tracing::warn!(error = format!("{error:#}"), "the certificates stay as they were"),
                },
            }
        }
    }

    async fn again(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Tells where everything is.
fn greet(running: &Running) -> anyhow::Result<()> {
    let dir = running.data_dir();
    line(format!("Cloudhold {} serves {}\n", env!("CARGO_PKG_VERSION"), dir.display()))?;
    for text in doors(running) {
        line(text)?;
    }
    let file = dir.join(first_credentials::FILE_NAME);
    if running.is_first_start {
        for text in first_passwords(dir)? {
            line(text)?;
        }
    } else if file.exists() {
        line(format!("\nThe first passwords are in {}", file.display()))?;
    }
    line(format!("Clients of the TLS doors trust {}", running.doors.ca_file.display()))?;
    if running.connector.is_none() {
        line(
            "No CloudStack is configured: set cloudstack.url, cloudstack.api_key and cloudstack.secret_key in cloudhold.toml.",
        )?;
    }
    for text in reach(running.config()) {
        line(text)?;
    }
    Ok(())
}

/// The passwords of the first start, this once, where they do not end up in the log; and where they are kept.
fn first_passwords(dir: &Path) -> anyhow::Result<Vec<String>> {
    let kept = dir.join(first_credentials::FILE_NAME).display().to_string();
    let known = if is_log(&io::stdout()) { None } else { FirstCredentials::read(dir)? };
    let Some(known) = known else {
        let text = "\nFirst start: the passwords of the Admin API and of the console's administrator are in\n";
        return Ok(vec![format!("{text}  {kept}")]);
    };
    let shown = |of: &str, who: &str, password: &str| format!("  {of:<20}{who}   password {password}");
    let console = format!("group {}, user {}", known.console_group, known.console_user);
    Ok(vec![
        "\nFirst start. These passwords are shown this once:".to_owned(),
        shown("Admin API", &format!("user {}", known.admin_user), known.admin_password.expose_secret()),
        shown("Console", &console, known.console_password.expose_secret()),
        format!("They are kept in {kept}"),
    ])
}

/// Whether an output ends where the log does, for example in the journal. A terminal is no log.
fn is_log<T: AsFd + io::IsTerminal>(output: &T) -> bool {
    let same =
        |one: rustix::fs::Stat, other: rustix::fs::Stat| (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino);
    !output.is_terminal()
        && match (rustix::fs::fstat(output), rustix::fs::fstat(io::stderr())) {
            (Ok(output), Ok(log)) => same(output, log),
            (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => true,
        }
}

/// The doors, a line each.
pub(super) fn doors(running: &Running) -> Vec<String> {
    let doors = &running.doors;
    let pair = |one: &Option<String>, other: &Option<String>| {
        [one, other].into_iter().flatten().cloned().collect::<Vec<_>>().join("   ")
    };
    let path = |url: &Option<String>, path: &str| url.as_ref().map(|url| format!("{url}{path}")).unwrap_or_default();
    let lines = [
        ("S3", pair(&doors.s3, &doors.s3_tls)),
        ("IAM", pair(&doors.iam, &doors.iam_tls)),
        ("Admin API", pair(&doors.admin_api, &doors.admin_api_tls)),
        ("Console", path(&doors.console, "/Cloudian/")),
        ("Plug-in commands", path(&doors.connector, connector::PLUGIN_PATH)),
        ("Metrics, health", pair(&path_of(&doors.metrics, "/metrics"), &path_of(&doors.metrics, "/health"))),
    ];
    let shown =
        |(name, urls): (&str, String)| format!("  {name:<20}{}", if urls.is_empty() { "closed" } else { &urls });
    lines.into_iter().map(shown).collect()
}

fn path_of(url: &Option<String>, path: &str) -> Option<String> {
    url.as_ref().map(|url| format!("{url}{path}"))
}

/// Who can reach the doors, and how to change that.
fn reach(config: &Config) -> Vec<String> {
    let doors = &config.doors;
    let open: Vec<DoorKind> = DoorKind::ALL
        .into_iter()
        .filter(|kind| kind.section(doors).enabled && !kind.listen_address(doors).ip().is_loopback())
        .collect();
    if open.is_empty() {
        return vec![
            "\nAll doors are open to this machine only. To open them to others, write into cloudhold.toml:".to_owned(),
            "  [doors]".to_owned(),
            "  address = \"0.0.0.0\"".to_owned(),
            "  names = [\"store.example.com\"]    # how others call this machine; goes into the certificate".to_owned(),
        ];
    }
    let guarded: Vec<&str> = DoorKind::ALL
        .into_iter()
        .filter(|kind| kind.is_guarded(doors) && !open.contains(kind))
        .map(DoorKind::title)
        .collect();
    let names = |kinds: &[DoorKind]| kinds.iter().map(|kind| kind.title()).collect::<Vec<_>>().join(", ");
    let mut lines = vec![format!("\nOpen to other machines: {}.", names(&open))];
    if !guarded.is_empty() {
        lines.push(format!(
            "Kept on this machine: {} (doors.allow_plain_beyond_loopback and doors.metrics_token open them).",
            guarded.join(", ")
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_says_who_reaches_the_doors() {
        let mut config = Config::new("/tmp/x");
        assert!(reach(&config)[0].contains("this machine only"));
        config.doors.address = "0.0.0.0".parse().unwrap();
        let lines = reach(&config);
        assert!(lines[0].contains("S3") && !lines[0].contains("Metrics"), "{lines:?}");
        assert!(lines[1].contains("Admin API") && lines[1].contains("Metrics"), "{lines:?}");
    }
}
