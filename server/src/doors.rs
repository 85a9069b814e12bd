//! The doors: which there are, where each listens, and `doors.json`, which tells scripts about them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpSocket};

use crate::config::{Door, DoorsSection, PortChoice};
use crate::files;
use crate::tls::host_name;

/// The format of `doors.json`.
pub(crate) const VERSION: u32 = 1;
/// The file in the data directory that tells where the doors are.
pub(crate) const FILE_NAME: &str = "doors.json";
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// A kind of door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum DoorKind {
    S3,
    S3Tls,
    Iam,
    IamTls,
    AdminApi,
    AdminApiTls,
    Console,
    ConsoleTls,
    Connector,
    Metrics,
}

impl DoorKind {
    pub(crate) const ALL: [Self; 10] = [
        Self::S3,
        Self::S3Tls,
        Self::Iam,
        Self::IamTls,
        Self::AdminApi,
        Self::AdminApiTls,
        Self::Console,
        Self::ConsoleTls,
        Self::Connector,
        Self::Metrics,
    ];

    /// The name in the configuration, the log and the metrics.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::S3Tls => "s3_tls",
            Self::Iam => "iam",
            Self::IamTls => "iam_tls",
            Self::AdminApi => "admin_api",
            Self::AdminApiTls => "admin_api_tls",
            Self::Console => "console",
            Self::ConsoleTls => "console_tls",
            Self::Connector => "connector",
            Self::Metrics => "metrics",
        }
    }

    /// The name for people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::S3 => "S3",
            Self::S3Tls => "S3 (TLS)",
            Self::Iam => "IAM",
            Self::IamTls => "IAM (TLS)",
            Self::AdminApi => "Admin API",
            Self::AdminApiTls => "Admin API (TLS)",
            Self::Console => "Console (redirects)",
            Self::ConsoleTls => "Console",
            Self::Connector => "Plug-in commands",
            Self::Metrics => "Metrics, health",
        }
    }

    pub(crate) fn is_tls(self) -> bool {
        match self {
            Self::S3Tls | Self::IamTls | Self::AdminApiTls | Self::ConsoleTls => true,
            Self::S3 | Self::Iam | Self::AdminApi | Self::Console | Self::Connector | Self::Metrics => false,
        }
    }

    fn usual_port(self) -> u16 {
        match self {
            Self::S3 => 9000,
            Self::S3Tls => 9443,
            Self::Iam => 16080,
            Self::IamTls => 16443,
            Self::AdminApi => 18081,
            Self::AdminApiTls => 19443,
            Self::Console => 8088,
            Self::ConsoleTls => 8443,
            Self::Connector => 8099,
            Self::Metrics => 9180,
        }
    }

    pub(crate) fn section(self, doors: &DoorsSection) -> &Door {
        match self {
            Self::S3 => &doors.s3,
            Self::S3Tls => &doors.s3_tls,
            Self::Iam => &doors.iam,
            Self::IamTls => &doors.iam_tls,
            Self::AdminApi => &doors.admin_api,
            Self::AdminApiTls => &doors.admin_api_tls,
            Self::Console => &doors.console,
            Self::ConsoleTls => &doors.console_tls,
            Self::Connector => &doors.connector,
            Self::Metrics => &doors.metrics,
        }
    }

    /// Whether the door stays on loopback unless it is opened by a word of its own.
    pub(crate) fn is_guarded(self, doors: &DoorsSection) -> bool {
        match self {
            // The plug-in's door carries CloudStack's sessions and gives sign-in links; that of identities answers with secrets of new keys.
            Self::Iam | Self::AdminApi | Self::Console | Self::Connector => !doors.allow_plain_beyond_loopback,
            Self::Metrics => doors.metrics_token.is_none() && doors.metrics_token_file.is_none(),
            Self::S3 | Self::S3Tls | Self::IamTls | Self::AdminApiTls | Self::ConsoleTls => false,
        }
    }

    /// Where the door is to listen; port 0 is any free one.
    pub(crate) fn listen_address(self, doors: &DoorsSection) -> SocketAddr {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        if doors.ports == PortChoice::Auto {
            return SocketAddr::new(loopback, 0);
        }
        let door = self.section(doors);
        let shared = if self.is_guarded(doors) && !doors.address.is_loopback() { loopback } else { doors.address };
        SocketAddr::new(door.address.unwrap_or(shared), door.port.unwrap_or_else(|| self.usual_port()))
    }
}

/// A door that listens, not yet answering.
#[derive(Debug)]
pub(crate) struct BoundDoor {
    pub(crate) kind: DoorKind,
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
    /// By what address clients reach it, without a slash at the end.
    pub(crate) url: String,
}

/// Opens the listeners of all doors that are enabled.
pub(crate) fn bind(doors: &DoorsSection) -> anyhow::Result<Vec<BoundDoor>> {
    DoorKind::ALL.into_iter().filter(|kind| kind.section(doors).enabled).map(|kind| bind_one(kind, doors)).collect()
}

fn bind_one(kind: DoorKind, doors: &DoorsSection) -> anyhow::Result<BoundDoor> {
    let wanted = kind.listen_address(doors);
    let key = kind.key();
    let listener = listen_on(wanted).with_context(|| {
        format!(
            "the door {} cannot listen on {wanted}; choose another port with doors.{key}.port, or any free ones with --ports auto",
            kind.title()
        )
    })?;
    let address = listener.local_addr().context("a listener has no address")?;
    let url = url_of(kind, doors, address);
    Ok(BoundDoor { kind, listener, address, url })
}

/// A listener of this process.
pub(crate) fn listen_on(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for connections of the process before it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn url_of(kind: DoorKind, doors: &DoorsSection, address: SocketAddr) -> String {
    if let Some(url) = &kind.section(doors).url {
        return url.as_str().trim_end_matches('/').to_owned();
    }
    let scheme = if kind.is_tls() { "https" } else { "http" };
    let named = doors.names.first().cloned().or_else(host_name);
    let host = match named {
        Some(name) if !address.ip().is_loopback() => name.parse().map_or(name, shown_address),
        Some(_) | None if address.ip().is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        Some(_) | None => shown_address(address.ip()),
    };
    format!("{scheme}://{host}:{}", address.port())
}

fn shown_address(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// What `doors.json` tells: base addresses without a slash at the end; doors that are not opened are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doors {
    /// The format of the file, 1.
    pub version: u32,
    /// S3, plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<String>,
    /// S3 over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_tls: Option<String>,
    /// IAM and STS, plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iam: Option<String>,
    /// IAM and STS over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iam_tls: Option<String>,
    /// Admin API, plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_api: Option<String>,
    /// Admin API over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_api_tls: Option<String>,
    /// Console, over TLS; its pages are under `/Cloudian/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
    /// The plain console, which redirects to the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_plain: Option<String>,
    /// The commands of CloudStack's plug-in, under `/client/cloudhold/api`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    /// `/metrics` and `/health`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<String>,
    /// The certificate of the local CA (PEM), to be trusted by clients of the TLS doors.
    pub ca_file: PathBuf,
}

impl Doors {
    pub(crate) fn new(bound: &[BoundDoor], ca_file: PathBuf) -> Self {
        let url = |kind| bound.iter().find(|door| door.kind == kind).map(|door| door.url.clone());
        Self {
            version: VERSION,
            s3: url(DoorKind::S3),
            s3_tls: url(DoorKind::S3Tls),
            iam: url(DoorKind::Iam),
            iam_tls: url(DoorKind::IamTls),
            admin_api: url(DoorKind::AdminApi),
            admin_api_tls: url(DoorKind::AdminApiTls),
            console: url(DoorKind::ConsoleTls),
            console_plain: url(DoorKind::Console),
            connector: url(DoorKind::Connector),
            metrics: url(DoorKind::Metrics),
            ca_file,
        }
    }

    /// Writes `doors.json` in one step.
    pub(crate) fn write(&self, data_dir: &Path) -> anyhow::Result<()> {
        let path = data_dir.join(FILE_NAME);
        let text = serde_json::to_vec_pretty(self).context("doors.json cannot be written")?;
        files::write_atomic(&path, &text, files::PUBLIC)
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Reads the `doors.json` of a running store.
    ///
    /// # Errors
    /// When there is none, or it has another version.
    pub fn read(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join(FILE_NAME);
        let text = std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let doors: Self = serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))?;
        anyhow::ensure!(doors.version == VERSION, "{} has version {}", path.display(), doors.version);
        Ok(doors)
    }

    /// Takes `doors.json` away, so that nobody knocks at doors that are closed.
    pub(crate) fn remove(data_dir: &Path) -> anyhow::Result<()> {
        let path = data_dir.join(FILE_NAME);
        files::remove_if_there(&path).with_context(|| format!("{} cannot be removed", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_that_carry_passwords_stay_on_loopback_when_the_others_are_opened() {
        let doors = DoorsSection { address: "0.0.0.0".parse().unwrap(), ..DoorsSection::default() };
        for kind in DoorKind::ALL {
            let stays = matches!(
                kind,
                DoorKind::Iam | DoorKind::AdminApi | DoorKind::Console | DoorKind::Connector | DoorKind::Metrics
            );
            assert_eq!(kind.listen_address(&doors).ip().is_loopback(), stays, "{kind:?}");
        }
        // A proxy on another machine needs this door alone.
        let connector = Door { address: doors.address.into(), ..Door::default() };
        let proxied = DoorsSection { connector, ..doors.clone() };
        assert!(DoorKind::Connector.listen_address(&proxied).ip().is_unspecified());
        assert!(DoorKind::AdminApi.listen_address(&proxied).ip().is_loopback());
        let doors = DoorsSection { allow_plain_beyond_loopback: true, metrics_token: Some("t".into()), ..doors };
        assert!(DoorKind::ALL.iter().all(|kind| kind.listen_address(&doors).ip().is_unspecified()));
    }

    #[test]
    fn auto_is_any_free_port_of_loopback_whatever_else_is_said() {
        let s3 = Door { address: Some("0.0.0.0".parse().unwrap()), port: Some(9000), ..Door::default() };
        let doors = DoorsSection { ports: PortChoice::Auto, s3, ..DoorsSection::default() };
        assert!(DoorKind::ALL.iter().all(|kind| kind.listen_address(&doors) == "127.0.0.1:0".parse().unwrap()));
    }

    #[test]
    fn addresses_for_clients_name_the_machine() {
        let url = |doors: &DoorsSection, address: &str| url_of(DoorKind::S3Tls, doors, address.parse().unwrap());
        let plain = DoorsSection::default();
        assert_eq!(url(&plain, "127.0.0.1:9443"), "https://127.0.0.1:9443");
        assert_eq!(url(&plain, "[::1]:9443"), "https://[::1]:9443");
        let named = DoorsSection { names: vec!["s3.example".to_owned()], ..DoorsSection::default() };
        assert_eq!(url(&named, "0.0.0.0:9443"), "https://s3.example:9443");
        assert_eq!(url(&named, "127.0.0.1:9443"), "https://127.0.0.1:9443");
        let s3_tls = Door { url: Some("https://front.example/".parse().unwrap()), ..Door::default() };
        assert_eq!(url(&DoorsSection { s3_tls, ..named }, "0.0.0.0:9443"), "https://front.example");
    }

    #[tokio::test]
    async fn doors_json_tells_the_doors_and_is_versioned() {
        let folder = tempfile::tempdir().unwrap();
        let section = DoorsSection {
            ports: PortChoice::Auto,
            connector: Door { enabled: false, ..Door::default() },
            ..DoorsSection::default()
        };
        let bound = bind(&section).unwrap();
        let doors = Doors::new(&bound, folder.path().join("ca.pem"));
        doors.write(folder.path()).unwrap();
        assert_eq!(Doors::read(folder.path()).unwrap(), doors);
        let text = std::fs::read_to_string(folder.path().join(FILE_NAME)).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        for key in ["s3", "s3_tls", "iam", "iam_tls", "admin_api", "admin_api_tls", "console", "metrics", "ca_file"] {
            assert!(json[key].is_string(), "{key}");
        }
        assert!(json.get("connector").is_none());
        assert!(doors.console.unwrap().starts_with("https://127.0.0.1:"));

        std::fs::write(folder.path().join(FILE_NAME), r#"{"version":9,"ca_file":"x"}"#).unwrap();
        assert!(Doors::read(folder.path()).is_err());
        Doors::remove(folder.path()).unwrap();
        Doors::remove(folder.path()).unwrap();
        assert!(Doors::read(folder.path()).is_err());
    }

    #[tokio::test]
    async fn a_port_in_use_is_said_with_what_to_do() {
        let taken = listen_on("127.0.0.1:0".parse().unwrap()).unwrap();
        let s3 = Door { port: Some(taken.local_addr().unwrap().port()), ..Door::default() };
        let error = bind_one(DoorKind::S3, &DoorsSection { s3, ..DoorsSection::default() }).unwrap_err();
        assert!(format!("{error:#}").contains("doors.s3.port"), "{error:#}");
    }
}
