//! The connector's work on a large cloud: a first pass, which makes every group and user, and passes with nothing to do. The stand-in
//! runs in a process of its own; what is counted as ours is the store's process with connector, Admin API and engine.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use clap::Args;

use crate::Place;
use crate::cloudhold::Cloudhold;
use crate::machine;
use crate::process;
use crate::report::{Reconcile, Report};
use crate::stand_in;

/// How large the cloud is, and what is done with it.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    cloud: stand_in::Arguments,
    /// Passes with nothing to do, after the first
    #[arg(long, default_value_t = 2)]
    idle_passes: u32,
    /// Rest between two pages of a pass; the connector's own default spares CloudStack, not us
    #[arg(long, default_value_t = 100)]
    page_pause_ms: u64,
}

/// Measures the passes.
pub(crate) async fn run(arguments: &Arguments, place: &Place, report: &mut Report) -> anyhow::Result<()> {
    let cloud = stand_in::Process::start(arguments.cloud).await?;
    let stand_in::Address { url, api_key, secret_key } = &cloud.address;
    // Not enabled: so nothing is done but what the command asks for, and the first pass does not begin before it is looked at.
    let configuration = format!(
        "[cloudstack]\nurl = \"{url}\"\napi_key = \"{api_key}\"\nsecret_key = \"{secret_key}\"\nenabled = false\npage_pause_ms = {}\n",
        arguments.page_pause_ms
    );
    let store = Cloudhold::start(&place.binary, &place.directory, &configuration).await?;
    let first = pass("first", arguments, &store, &cloud).await?;
    let made = u64::from(arguments.cloud.domains) + u64::from(arguments.cloud.accounts);
    // ROOT and its account `admin` may add a group and a user of their own.
    ensure!(first.failed == 0 && first.applied >= made, "the first pass did not make everything: {}", first.outcome);
    println!("{}", first.line());
    report.reconciles.push(first);
    for _ in 0..arguments.idle_passes {
        let idle = pass("idle", arguments, &store, &cloud).await?;
        ensure!(idle.failed == 0 && idle.applied == 0, "there was something to do: {}", idle.outcome);
        println!("{}", idle.line());
        report.reconciles.push(idle);
    }
    store.stop().await?;
    cloud.stop().await
}

async fn pass(
    name: &str,
    arguments: &Arguments,
    store: &Cloudhold,
    cloud: &stand_in::Process,
) -> anyhow::Result<Reconcile> {
    let before = (process::usage(store.pid)?, process::usage(cloud.pid)?);
    let start = Instant::now();
    let done = store.command(&["connector", "sync"]).await?;
    let elapsed_s = start.elapsed().as_secs_f64();
    let after = (process::usage(store.pid)?, process::usage(cloud.pid)?);
    let number =
        |field: &str| done[field].as_u64().with_context(|| format!("the report of the pass has no {field}: {done}"));
    Ok(Reconcile {
        pass: name.to_owned(),
        domains: arguments.cloud.domains,
        accounts: arguments.cloud.accounts,
        outcome: done["outcome"].as_str().unwrap_or_default().to_owned(),
        applied: number("applied")?,
        failed: number("failed")?,
        elapsed_s,
        store_cpu_s: after.0.cpu_s - before.0.cpu_s,
        stand_in_cpu_s: after.1.cpu_s - before.1.cpu_s,
        store_rss_bytes: after.0.rss_bytes,
        store_rss_peak_bytes: after.0.rss_peak_bytes,
        load_average: machine::load(),
    })
}
