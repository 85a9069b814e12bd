//! `[doors]`: where each door listens, and what protects it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

/// The least length of the token that opens the metrics beyond loopback.
const TOKEN_CHARS_MIN: usize = 16;

/// Addresses, ports and certificates.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DoorsSection {
    /// Whether doors listen where they are told to, or on any free port of the loopback interface.
    pub ports: PortChoice,
    /// The address of doors that have none of their own. Plain doors that would carry passwords or CloudStack's sessions stay on
    /// loopback whatever stands here, unless `allow_plain_beyond_loopback` is set.
    pub address: IpAddr,
    /// Names and addresses by which clients reach this machine: they go into the certificate, and the first one into the addresses
    /// that are shown for doors beyond loopback.
    pub names: Vec<String>,
    /// Certificates made elsewhere.
    pub tls: TlsSection,
    /// Whether the plain doors of the Admin API, the console and IAM may be reached beyond loopback.
    pub allow_plain_beyond_loopback: bool,
    /// What `/metrics` and `/health` ask for beyond loopback, as a bearer token of at least 16 characters.
    pub metrics_token: Option<SecretString>,
    /// A file that holds the token.
    pub metrics_token_file: Option<PathBuf>,
    /// Seconds that a client may take to send the head of a request; also how long an idle connection is kept.
    pub header_timeout_s: u64,
    /// Seconds that the body of a request may stand still, and that an answer may wait to be taken; then the connection ends.
    pub idle_timeout_s: u64,
    /// Bytes that a client must send or take in a second while it is waited for, on average; 0 sets no such limit.
    pub rate_bytes_per_second_min: u64,
    /// Seconds that a client may be waited for, in sum, beyond what it earns at that rate.
    pub rate_grace_s: u64,
    /// Most connections of each door at a time; more wait.
    pub connections_max: usize,
    /// Most connections of one address at each door; more are refused.
    pub connections_of_peer_max: usize,
    /// Seconds that requests may take to finish at shutdown.
    pub shutdown_timeout_s: u64,
    /// S3, plain.
    pub s3: Door,
    /// S3 over TLS.
    pub s3_tls: Door,
    /// IAM and STS, plain.
    pub iam: Door,
    /// IAM and STS over TLS.
    pub iam_tls: Door,
    /// Admin API, plain.
    pub admin_api: Door,
    /// Admin API over TLS.
    pub admin_api_tls: Door,
    /// Console, plain: redirects to the TLS door.
    pub console: Door,
    /// Console over TLS.
    pub console_tls: Door,
    /// The commands of CloudStack's plug-in, to be served under CloudStack's own host by a reverse proxy.
    pub connector: Door,
    /// `/metrics` and `/health`.
    pub metrics: Door,
}

/// One door.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Door {
    /// Whether it is opened.
    pub enabled: bool,
    /// Its address; `doors.address` when absent.
    pub address: Option<IpAddr>,
    /// Its port; the usual one when absent, any free one when 0.
    pub port: Option<u16>,
    /// The address by which clients reach it, when something stands in front of it.
    pub url: Option<Url>,
}

/// Where the doors listen.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum PortChoice {
    /// On the address and port that each door was given, or the usual ones.
    #[default]
    Usual,
    /// Every door on any free port of the loopback interface, whatever else it was given.
    Auto,
}

/// `[doors.tls]`: certificates made elsewhere.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSection {
    /// The certificate and its chain (PEM). Without it a certificate of the local CA is made.
    pub certificate_file: Option<PathBuf>,
    /// Its private key (PEM).
    pub key_file: Option<PathBuf>,
}

impl Default for Door {
    fn default() -> Self {
        Self { enabled: true, address: None, port: None, url: None }
    }
}

impl Default for DoorsSection {
    fn default() -> Self {
        Self {
            ports: PortChoice::Usual,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            names: Vec::new(),
            tls: TlsSection::default(),
            allow_plain_beyond_loopback: false,
            metrics_token: None,
            metrics_token_file: None,
            header_timeout_s: 60,
            idle_timeout_s: 60,
            rate_bytes_per_second_min: 1024,
            rate_grace_s: 60,
            connections_max: 4096,
            connections_of_peer_max: 2048,
            shutdown_timeout_s: 30,
            s3: Door::default(),
            s3_tls: Door::default(),
            iam: Door::default(),
            iam_tls: Door::default(),
            admin_api: Door::default(),
            admin_api_tls: Door::default(),
            console: Door::default(),
            console_tls: Door::default(),
            connector: Door::default(),
            metrics: Door::default(),
        }
    }
}

impl DoorsSection {
    /// Whether all values can be used together.
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        ensure!(
            self.tls.certificate_file.is_some() == self.tls.key_file.is_some(),
            "doors.tls.certificate_file and doors.tls.key_file belong together: one of them is missing"
        );
        ensure!(self.connections_max > 0, "doors.connections_max must be at least 1");
        ensure!(self.connections_of_peer_max > 0, "doors.connections_of_peer_max must be at least 1");
        ensure!(self.rate_grace_s > 0, "doors.rate_grace_s must be at least 1");
        ensure!(self.header_timeout_s > 0, "doors.header_timeout_s must be at least 1");
        ensure!(self.idle_timeout_s > 0, "doors.idle_timeout_s must be at least 1");
        ensure!(
            self.metrics_token.is_none() || self.metrics_token_file.is_none(),
            "doors.metrics_token and doors.metrics_token_file are two words for one thing: give one of them"
        );
        for name in &self.names {
            check_name(name)?;
        }
        for (key, door) in [("admin_api", &self.admin_api), ("console", &self.console)] {
            let opened = door.enabled && door.address.is_some_and(|address| !address.is_loopback());
            ensure!(
                !opened || self.allow_plain_beyond_loopback,
                "doors.{key}.address would carry passwords in plain text beyond this machine: use the TLS door, or set \
                 doors.allow_plain_beyond_loopback = true"
            );
        }
        let token = self.token()?;
        let metrics_opened = self.metrics.enabled && self.metrics.address.is_some_and(|address| !address.is_loopback());
        ensure!(
            !metrics_opened || token.is_some(),
            "doors.metrics.address is beyond loopback: set doors.metrics_token or doors.metrics_token_file, too"
        );
        Ok(())
    }

    /// The token of the metrics door.
    pub(crate) fn token(&self) -> anyhow::Result<Option<SecretString>> {
        let token = match (&self.metrics_token, &self.metrics_token_file) {
            (Some(token), _) => token.clone(),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("doors.metrics_token_file: {} cannot be read", path.display()))?;
                SecretString::from(text.trim().to_owned())
            }
            (None, None) => return Ok(None),
        };
        let fits = token.expose_secret().chars().count() >= TOKEN_CHARS_MIN;
        ensure!(fits, "the token of the metrics door must have at least {TOKEN_CHARS_MIN} characters");
        Ok(Some(token))
    }
}

/// A name that can stand in a certificate: an address or a host name.
fn check_name(name: &str) -> anyhow::Result<()> {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let host = name.len() <= 253 && name.split('.').all(label);
    ensure!(
        host || name.parse::<IpAddr>().is_ok(),
        "doors.names: {name:?} is neither a host name nor an address (no port, no scheme, no wildcard)"
    );
    Ok(())
}
