//! `cloudhold demo`: a store and a made-up CloudStack to look around in.

use std::path::PathBuf;

use secrecy::ExposeSecret as _;
use serde_json::json;

use super::output::{json, line, note, quoted};
use super::serve::{Signals, doors, start_log, stop};
use super::{DoorArgs, Ports, Shared};
use crate::config::{LogFormat, LogSection, PortChoice};
use crate::demo::{Demo, start_demo};

const DIR_DEFAULT: &str = "./demo-data";
/// The demo's own words are to be read, not its log.
const LOG_FILTER: &str = "warn,access=off,audit=off";

pub(super) async fn run(shared: &Shared, args: &DoorArgs) -> anyhow::Result<u8> {
    start_log(&LogSection { filter: LOG_FILTER.to_owned(), format: LogFormat::Text })?;
    let dir = std::path::absolute(shared.data_dir.clone().unwrap_or_else(|| PathBuf::from(DIR_DEFAULT)))?;
    let ports = match args.ports {
        Some(Ports::Usual) => PortChoice::Usual,
        Some(Ports::Auto) | None => PortChoice::Auto,
    };
    let mut signals = Signals::new()?;
    note("Starting a store and a made-up CloudStack, and reconciling its tenants ...")?;
    let demo = start_demo(dir, ports).await?;
    if shared.json {
        answer(&demo)?;
    } else {
        greet(&demo)?;
    }
    signals.wait(&demo.running).await;
    let Demo { running, cloud, .. } = demo;
    stop(running, signals).await;
    cloud.stop().await;
    Ok(0)
}

fn answer(demo: &Demo) -> anyhow::Result<()> {
    let tenant = &demo.tenant;
    json(&json!({
        "doors": demo.running.doors,
        "data_dir": demo.running.data_dir(),
        "cloudstack": demo.cloud.base_url(),
        "cloudstack_page": demo.cloud.page_url(),
        "domain": tenant.domain,
        "user": tenant.user,
        "password": tenant.password.expose_secret(),
        "link": tenant.link,
        "access_key": tenant.access_key,
        "secret_key": tenant.secret_key.expose_secret(),
    }))
}

fn greet(demo: &Demo) -> anyhow::Result<()> {
    let (running, tenant) = (&demo.running, &demo.tenant);
    line(format!("\nThe demo runs in {}\n", running.data_dir().display()))?;
    for text in doors(running) {
        line(text)?;
    }
    line(format!("  {:<20}{}", "Made-up CloudStack", demo.cloud.page_url()))?;
    let ca = quoted(&running.doors.ca_file.display().to_string());

    line(format!("\n1. Click to sign in to the console as {} (works once, within five minutes):\n", tenant.user))?;
    line(format!("   {}\n", tenant.link))?;
    line("   The browser will ask about the certificate, which is the demo's own. On the command line:\n")?;
    line(format!("   curl --cacert {ca} --cookie-jar /tmp/cloudhold-demo --location {}\n", quoted(&tenant.link)))?;
    line("   For another link, sign in to the made-up CloudStack and press its storage button:\n")?;
    line(format!("   {}", demo.cloud.page_url()))?;
    line(format!("   domain {}, user {}, password {}", tenant.domain, tenant.user, tenant.password.expose_secret()))?;

    line(format!("\n2. Use {}'s buckets by S3:\n", tenant.user))?;
    line(format!("   export AWS_ACCESS_KEY_ID={}", tenant.access_key))?;
    line(format!("   export AWS_SECRET_ACCESS_KEY={}", quoted(tenant.secret_key.expose_secret())))?;
    line("   export AWS_DEFAULT_REGION=us-east-1")?;
    let s3 = running.doors.s3.as_deref().unwrap_or("-");
    line(format!("   aws --endpoint-url {s3} s3 mb s3://hello"))?;
    line(format!("   echo hello | aws --endpoint-url {s3} s3 cp - s3://hello/world.txt"))?;
    line(format!("   aws --endpoint-url {s3} s3 ls s3://hello"))?;

    let dir = quoted(&running.data_dir().display().to_string());
    line("\n3. Look at the connector:\n")?;
    line(format!("   cloudhold connector status --data-dir {dir}"))?;
    line(format!("   cloudhold connector plan --data-dir {dir}"))?;
    line("\nCtrl-C ends the demo. Its directory can be removed afterwards.")?;
    Ok(())
}
