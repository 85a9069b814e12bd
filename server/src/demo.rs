//! The demo: a store in a directory of its own beside a made-up CloudStack with the tenants of a real one.
//!
//! All its keys and passwords are random, and everything listens on loopback only.

use std::path::PathBuf;

use anyhow::Context as _;
use cloudstack_stand_in::{Cloud, Options, StandIn};
use engine::{Caller, GroupId, UserId};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;

use crate::config::{Config, PortChoice};
use crate::demo_mark;
use crate::doors::Doors;
use crate::first_credentials::{FirstCredentials, random_password};
use crate::run::{Opening, Running};

/// The tenant whose link and key are shown.
const DOMAIN: &str = "/acme";
const ACCOUNT: &str = "ada";

/// A running demo.
pub struct Demo {
    /// The store.
    pub running: Running,
    /// The made-up CloudStack.
    pub cloud: StandIn,
    /// How to enter as a tenant.
    pub tenant: Tenant,
}

/// How to enter as a tenant of the demo.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// CloudStack's domain, as its log-in takes it.
    pub domain: String,
    /// CloudStack's user.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// A fresh sign-on link, made by the connector's own flow. It works once, for five minutes.
    pub link: String,
    /// An S3 key.
    pub access_key: String,
    /// Its secret.
    pub secret_key: SecretString,
}

/// Starts a demo and reconciles its tenants.
///
/// # Errors
/// When the directory belongs to something else, or a port cannot be used.
pub async fn start_demo(dir: PathBuf, ports: PortChoice) -> anyhow::Result<Demo> {
    demo_mark::mark(&dir)?;
    let mut config = Config::new(dir);
    config.demo = true;
    config.doors.ports = ports;
    let mut opening = Opening::new(config).await?;
    let cloud = match start_cloud(&opening).await {
        Ok(cloud) => cloud,
        Err(error) => {
            opening.close().await;
            return Err(error);
        }
    };
    let (api_key, secret_key) = cloud.control().admin_keys();
    opening.config.cloudstack.url = cloud.base_url();
    opening.config.cloudstack.api_key = Some(api_key);
    opening.config.cloudstack.secret_key = Some(secret_key.into());
    let running = opening.open().await?;
    match enter(&running, &cloud).await {
        Ok(tenant) => Ok(Demo { running, cloud, tenant }),
        Err(error) => {
            running.shutdown().await;
            Err(error)
        }
    }
}

/// A CloudStack whose plug-in settings name the doors of this store.
async fn start_cloud(opening: &Opening) -> anyhow::Result<StandIn> {
    let Doors { console, admin_api_tls, .. } = &opening.doors;
    let console = address(console.as_deref())?;
    let admin = address(admin_api_tls.as_deref())?;
    let known = FirstCredentials::read(&opening.config.data.dir)?;
    let mut cloud = Cloud::recorded()
        .with_random_secrets()
        .with_setting("cloudian.sso.key", random_password().expose_secret())
        .with_setting("cloudian.cmc.protocol", "https")
        .with_setting("cloudian.cmc.host", &console.0)
        .with_setting("cloudian.cmc.port", &console.1)
        .with_setting("cloudian.admin.protocol", "https")
        .with_setting("cloudian.admin.host", &admin.0)
        .with_setting("cloudian.admin.port", &admin.1);
    if let Some(known) = known {
        cloud = cloud
            .with_setting("cloudian.admin.user", &known.admin_user)
            .with_setting("cloudian.admin.password", known.admin_password.expose_secret());
    }
    StandIn::start(cloud, Options::default()).await.context("the made-up CloudStack cannot start")
}

/// Host and port of a door.
fn address(url: Option<&str>) -> anyhow::Result<(String, String)> {
    let url = Url::parse(url.context("the demo needs all doors")?)?;
    let (host, port) =
        (url.host_str().context("a door has no host")?, url.port_or_known_default().context("a door has no port")?);
    Ok((host.to_owned(), port.to_string()))
}

async fn enter(running: &Running, cloud: &StandIn) -> anyhow::Result<Tenant> {
    let connector = running.connector.as_ref().context("the demo has no connector")?;
    connector.sync(None, &|_| ()).await.context("the tenants could not be reconciled")?;
    let account = cloud.control().account_id(DOMAIN, ACCOUNT).context("the made-up CloudStack has lost its tenant")?;
    let domain_id = cloud.control().domain_id(DOMAIN).context("the made-up CloudStack has lost its domain")?;
    let (domain, user, password) = cloud.control().login_of(&account).context("the tenant has no user")?;
    let door = running.doors.connector.as_deref().context("the demo needs all doors")?;
    let link = fresh_link(&cloud.base_url(), door, [&domain, &user, &password]).await?;
    let (access_key, secret_key) = s3_key(running, &domain_id, &account).await?;
    Ok(Tenant { domain, user, password: password.into(), link, access_key, secret_key })
}

/// Signs in at CloudStack and asks the connector's door for a link, as CloudStack's pages do.
async fn fresh_link(cloud_url: &str, door: &str, [domain, user, password]: [&str; 3]) -> anyhow::Result<String> {
    let http = reqwest::Client::builder().cookie_store(true).no_proxy().build().context("no HTTP client")?;
    let form =
        [("command", "login"), ("response", "json"), ("domain", domain), ("username", user), ("password", password)];
    let login: Value = http.post(cloud_url).form(&form).send().await?.error_for_status()?.json().await?;
    let session = login["loginresponse"]["sessionkey"].as_str().context("CloudStack did not let the tenant in")?;
    let query = [("command", "cloudianSsoLogin"), ("response", "json"), ("sessionkey", session)];
    let url = format!("{door}{}", connector::PLUGIN_PATH);
    let answer: Value = http.get(url).query(&query).send().await?.error_for_status()?.json().await?;
    let link = answer["cloudianssologinresponse"]["cloudianssologin"]["url"].as_str();
    Ok(link.context("the connector gave no link")?.to_owned())
}

async fn s3_key(running: &Running, group: &str, user: &str) -> anyhow::Result<(String, SecretString)> {
    let (caller, engine) = (Caller::LocalOperator, &running.engine);
    let found = engine.find_user(&caller, &GroupId::new(group)?, &UserId::new(user)?).await?;
    let owner = found.context("the tenant was not reconciled")?.canonical_id;
    let key = engine.list_credentials(&caller, &owner).await?.into_iter().find(|key| key.active);
    let key = match key {
        Some(key) => key,
        None => engine.create_credential(&caller, &owner).await?,
    };
    Ok((key.access_key.to_string(), key.secret_key))
}
