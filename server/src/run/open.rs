//! Lets the doors answer: what stands behind each, and in what order it is made.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use admin_api::AdminApi;
use admin_api::client::ClientConfig;
use anyhow::Context as _;
use axum::Router;
use axum::http::StatusCode;
use connector::Connector;
use console::ConsoleState;
use engine::{Caller, Engine};
use nfs_staging::Staging;
use notifications::Notifier;
use time::OffsetDateTime;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{Foundation, Running};
use crate::config::Config;
use crate::doors::{self, BoundDoor, DoorKind, Doors};
use crate::first_credentials::{self, FirstCredentials};
use crate::listen::{self, Limits, Listening, Pace};
use crate::metrics_door::{self, MetricsDoor};
use crate::tls::{self, Certificates};
use crate::views::{ConnectorPage, SsoKey};

/// The service account with which the connector enters; its password lives as long as the process.
const CONNECTOR_ACCOUNT: &str = "cloudhold-connector";
/// The connector's own database in the data directory.
const CONNECTOR_STATE: &str = "connector.db";
/// How often certificates are looked at.
const CERTIFICATES_INTERVAL: Duration = Duration::from_secs(60);
/// How long a start waits for the first answer about the key of the sign-on links.
const FIRST_KEY_TIMEOUT: Duration = Duration::from_secs(3);
/// The port to which the plain console sends browsers when there is no TLS door at all.
const CONSOLE_TLS_PORT: u16 = 8443;

/// Makes what stands behind the doors, then opens them.
pub(super) async fn open_doors(
    config: Config,
    base: Foundation,
    bound: Vec<BoundDoor>,
    doors: Doors,
) -> anyhow::Result<Running> {
    let admin = admin_api::router(AdminApi::new(base.engine.clone(), config.admin_api.settings()));
    let own_url = own_admin_door(&config, &base, &bound, &admin)?;
    let staging = Staging::open(base.engine.clone(), config.staging.clone()).await?;
    let connector = start_connector(&config, &base, own_url, &doors).await?;
    let behind = Behind { admin, staging, connector: connector.clone() };
    let opened = open_all(config, base, bound, doors, behind).await;
    if let (Err(_), Some(connector)) = (&opened, connector) {
        connector.shutdown().await;
    }
    opened
}

/// What stands behind the doors.
struct Behind {
    admin: Router,
    staging: Staging,
    connector: Option<Connector>,
}

async fn open_all(
    config: Config,
    base: Foundation,
    bound: Vec<BoundDoor>,
    doors: Doors,
    behind: Behind,
) -> anyhow::Result<Running> {
    let recorder = metrics_door::recorder()?;
    let key = Arc::new(SsoKey::new(&config.cloudstack, behind.connector.clone()).context("[cloudstack]")?);
    for (door, router) in routers(&config, &base, bound, &doors, &behind, key.clone())? {
        open_door(&config, &base, door, router)?;
    }
    base.tracker.spawn(look_after(base.certificates.clone(), recorder, base.stop.clone()));
    if timeout(FIRST_KEY_TIMEOUT, key.refresh()).await.is_err() {
        tracing::warn!("CloudStack has not yet told the key of the sign-on links");
    }
    base.tracker.spawn(key.follow(base.stop.clone()));
    let notifier = Notifier::new(&config.notifications, &config.s3.region, base.engine.clone());
    notifier.context("[notifications]")?.start(&base.stop, &base.tracker);
    let running = Running {
        doors,
        engine: base.engine,
        staging: behind.staging,
        connector: behind.connector,
        is_first_start: base.is_first_start,
        config,
        certificates: base.certificates,
        stop: base.stop,
        abort: base.abort,
        tracker: base.tracker,
    };
    running.open_control()?;
    running.doors.write(&running.config.data.dir)?;
    Ok(running)
}

/// Each door with what answers behind it.
fn routers(
    config: &Config,
    base: &Foundation,
    bound: Vec<BoundDoor>,
    doors: &Doors,
    behind: &Behind,
    key: Arc<SsoKey>,
) -> anyhow::Result<Vec<(BoundDoor, Router)>> {
    let s3 = s3_store::router(base.engine.clone(), &config.s3);
    let iam = s3_store::iam_router(base.engine.clone(), &config.s3);
    let console = console(config, &base.engine, key, behind.connector.clone(), doors);
    let tls_door = bound.iter().find(|door| door.kind == DoorKind::ConsoleTls);
    // As browsers reach it, which is another port when something stands in front of it.
    let tls_port =
        tls_door.and_then(|door| Url::parse(&door.url).ok()?.port_or_known_default()).unwrap_or(CONSOLE_TLS_PORT);
    let (recorder, token) = (metrics_door::recorder()?, config.doors.token()?);
    let metrics = MetricsDoor { engine: base.engine.clone(), recorder, token }.router();
    let router = |kind| match kind {
        DoorKind::S3 | DoorKind::S3Tls => s3.clone(),
        DoorKind::Iam | DoorKind::IamTls => iam.clone(),
        DoorKind::AdminApi | DoorKind::AdminApiTls => behind.admin.clone(),
        DoorKind::Console => console::plain_router(console.clone(), tls_port),
        DoorKind::ConsoleTls => console::router(console.clone()),
        DoorKind::Connector => behind.connector.as_ref().map_or_else(no_connector, Connector::router),
        DoorKind::Metrics => metrics.clone(),
    };
    Ok(bound.into_iter().map(|door| (router(door.kind), door)).map(|(router, door)| (door, router)).collect())
}

/// Lets a door answer.
fn open_door(config: &Config, base: &Foundation, door: BoundDoor, router: Router) -> anyhow::Result<()> {
    let tls = if door.kind.is_tls() { Some(base.certificates.server_config()?) } else { None };
    let listening = Listening {
        name: door.kind.key(),
        router,
        tls,
        limits: Limits {
            pace: Pace {
                idle: Duration::from_secs(config.doors.idle_timeout_s),
                grace: Duration::from_secs(config.doors.rate_grace_s),
                bytes_per_second_min: config.doors.rate_bytes_per_second_min,
            },
            header_timeout: Duration::from_secs(config.doors.header_timeout_s),
            connections_max: config.doors.connections_max,
            connections_of_peer_max: config.doors.connections_of_peer_max,
        },
        stop: base.stop.clone(),
        abort: base.abort.clone(),
        tracker: base.tracker.clone(),
    };
    base.tracker.spawn(listen::serve(door.listener, listening));
    Ok(())
}

/// Where the connector finds this process's own Admin API: at its TLS door, or at a door of its own where that one is closed or
/// not on this machine's loopback interface.
fn own_admin_door(config: &Config, base: &Foundation, bound: &[BoundDoor], admin: &Router) -> anyhow::Result<Url> {
    let usual = bound.iter().find(|door| door.kind == DoorKind::AdminApiTls).map(|door| door.address);
    let port = match usual {
        Some(address) if address.ip() == Ipv4Addr::LOCALHOST || address.ip().is_unspecified() => address.port(),
        Some(_) | None => {
            let listener =
                doors::listen_on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).context("no loopback port is free")?;
            let address = listener.local_addr()?;
            let door = BoundDoor { kind: DoorKind::AdminApiTls, listener, address, url: String::new() };
            open_door(config, base, door, admin.clone())?;
            address.port()
        }
    };
    Ok(Url::parse(&format!("https://{}:{port}", tls::OWN_NAME))?)
}

async fn start_connector(
    config: &Config,
    base: &Foundation,
    own_url: Url,
    doors: &Doors,
) -> anyhow::Result<Option<Connector>> {
    if !config.has_cloudstack() {
        return Ok(None);
    }
    let password = first_credentials::random_password();
    base.engine.set_service_account(&Caller::LocalOperator, CONNECTOR_ACCOUNT, &password).await?;
    let mut target = ClientConfig::new(own_url, CONNECTOR_ACCOUNT, password);
    target.ca_pem = Some(base.certificates.ca_pem().as_bytes().to_vec());
    let known = FirstCredentials::read(&config.data.dir)?;
    let urls = |urls: [&Option<String>; 2]| urls.into_iter().flatten().filter_map(|url| Url::parse(url).ok()).collect();
    let own = connector::Doors {
        admin: urls([&doors.admin_api_tls, &doors.admin_api]),
        console: urls([&doors.console, &doors.console_plain]),
        admin_credentials: known.map(|known| (known.admin_user, known.admin_password)),
    };
    let sections = connector::Config { cloudstack: config.cloudstack.clone(), connector: config.connector.clone() };
    let engine_clock = base.engine.clock().clone();
    let clock = connector::Clock::from_fn(move || {
        let now = i128::from(engine_clock.now_us()) * 1000;
        OffsetDateTime::from_unix_timestamp_nanos(now).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    });
    let state = config.data.dir.join(CONNECTOR_STATE);
    let connector =
        Connector::start(sections, target, &state, own, clock).await.context("the connector cannot start")?;
    Ok(Some(connector))
}

fn console(
    config: &Config,
    engine: &Engine,
    key: Arc<SsoKey>,
    connector: Option<Connector>,
    doors: &Doors,
) -> ConsoleState {
    let s3_urls = [&doors.s3_tls, &doors.s3].into_iter().flatten().cloned().collect();
    ConsoleState::new(engine.clone(), config.console.clone(), key, Arc::new(ConnectorPage(connector)), s3_urls)
}

/// What the plug-in's door says without a CloudStack.
fn no_connector() -> Router {
    Router::new()
        .fallback(async || (StatusCode::SERVICE_UNAVAILABLE, "no CloudStack is configured: set cloudstack.url\n"))
}

/// Renews certificates and folds metrics.
async fn look_after(
    certificates: Arc<Certificates>,
    recorder: metrics_exporter_prometheus::PrometheusHandle,
    stop: CancellationToken,
) {
    let mut certificates_due = tokio::time::Instant::now() + CERTIFICATES_INTERVAL;
    while stop.run_until_cancelled(tokio::time::sleep(metrics_door::UPKEEP_INTERVAL)).await.is_some() {
        recorder.run_upkeep();
        if tokio::time::Instant::now() >= certificates_due {
            certificates_due += CERTIFICATES_INTERVAL;
            if let Err(error) = certificates.refresh(OffsetDateTime::now_utc()) {
                tracing::warn!(error = format!("{error:#}"), "the certificate of the doors stays as it was");
            }
        }
    }
}
