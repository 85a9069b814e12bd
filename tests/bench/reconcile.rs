//! The connector's work on a large cloud: a first pass, which makes every group and user, and passes with nothing to do. The stand-in
//! runs in a process of its own; what is counted as ours is the store's process with connector, Admin API and engine.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;

use crate::Place;
use crate::cloudhold::Cloudhold;
use crate::machine;
use crate::process;
use crate::report::{Goal, Reconcile, Report};
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
    /// Accounts that are made one by one afterwards, while the connector follows the events; 0 leaves this out
    #[arg(long, default_value_t = 20)]
    changes: u32,
    /// How often the connector looks at the events
    #[arg(long, default_value_t = 1)]
    poll_seconds: u64,
}

/// How long a pass or a change may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Measures the passes, then changes that are known from events.
///
/// # Errors
/// When a pass fails, or does something else than it should.
pub(crate) async fn run(arguments: &Arguments, place: &Place, report: &mut Report) -> anyhow::Result<()> {
    let mut cloud = stand_in::Process::start(arguments.cloud).await?;
    let folder = tempfile::Builder::new().prefix("bench-reconcile-").tempdir_in(&place.directory)?;
    // Not enabled: so nothing is done but what the command asks for, and the first pass does not begin before it is looked at.
    let quiet = configuration(arguments, &cloud.address, false);
    let store = Cloudhold::start_kept(&place.binary, folder.path(), &quiet).await?;
    passes(arguments, &store, &cloud, report).await?;
    store.stop().await?;
    if arguments.changes > 0 {
        let awake = configuration(arguments, &cloud.address, true);
        let store = Cloudhold::start_kept(&place.binary, folder.path(), &awake).await?;
        changes(arguments, &store, &mut cloud, report).await?;
        store.stop().await?;
    }
    cloud.stop().await
}

fn configuration(arguments: &Arguments, address: &stand_in::Address, enabled: bool) -> String {
    let stand_in::Address { url, api_key, secret_key } = address;
    let Arguments { page_pause_ms, poll_seconds, .. } = arguments;
    format!(
        "[cloudstack]\nurl = \"{url}\"\napi_key = \"{api_key}\"\nsecret_key = \"{secret_key}\"\nenabled = {enabled}\n\
         page_pause_ms = {page_pause_ms}\npoll_interval_s = {poll_seconds}\n"
    )
}

async fn passes(
    arguments: &Arguments,
    store: &Cloudhold,
    cloud: &stand_in::Process,
    report: &mut Report,
) -> anyhow::Result<()> {
    let first = pass("first", arguments, store, cloud).await?;
    let made = u64::from(arguments.cloud.domains) + u64::from(arguments.cloud.accounts);
    // ROOT and its account `admin` may add a group and a user of their own.
    ensure!(first.failed == 0 && first.applied >= made, "the first pass did not make everything: {}", first.outcome);
    println!("{}", first.line());
    report.reconciles.push(first);
    for _ in 0..arguments.idle_passes {
        let idle = pass("idle", arguments, store, cloud).await?;
        ensure!(idle.failed == 0 && idle.applied == 0, "there was something to do: {}", idle.outcome);
        println!("{}", idle.line());
        report.figure("CPU of a pass with nothing to do", idle.store_cpu_s, "s", Some(Goal::AtMost(5.0)));
        let peak = idle.store_rss_peak_bytes as f64 / f64::from(1 << 20);
        report.figure("memory of the store, at most", peak, "MiB", Some(Goal::AtMost(150.0)));
        report.reconciles.push(idle);
    }
    Ok(())
}

/// Makes accounts one by one, and waits for each until the Admin API knows its user.
async fn changes(
    arguments: &Arguments,
    store: &Cloudhold,
    cloud: &mut stand_in::Process,
    report: &mut Report,
) -> anyhow::Result<()> {
    wait_for_first_poll(store).await?;
    let admin = store.admin()?;
    let mut took_s = Vec::new();
    for number in 0..arguments.changes {
        let account = cloud.make_account(&format!("late-{number}")).await?;
        let start = Instant::now();
        while admin.get_user(&account.domain_id, &account.account_id).await?.is_none() {
            ensure!(start.elapsed() < PATIENCE, "the account {} never became a user", account.account_id);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        took_s.push(start.elapsed().as_secs_f64());
    }
    took_s.sort_by(f64::total_cmp);
    let poll_s = arguments.poll_seconds as f64;
    let (median_s, worst_s) = (took_s[took_s.len() / 2], took_s[took_s.len() - 1]);
    report.figure(format!("account to user, events every {poll_s} s, median"), median_s, "s", None);
    // What is known from the event is what is left of the longest when a whole interval was spent before it was read.
    let goal = Goal::AtMost(poll_s + 2.0);
    report.figure(format!("account to user, events every {poll_s} s, longest"), worst_s, "s", Some(goal));
    let usage = process::usage(store.pid)?;
    let peak = usage.rss_peak_bytes as f64 / f64::from(1 << 20);
    report.figure("memory of the store with the connector awake, at most", peak, "MiB", Some(Goal::AtMost(150.0)));
    Ok(())
}

/// The connector begins with a full pass, and looks at events after it.
async fn wait_for_first_poll(store: &Cloudhold) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let status = store.command(&["connector", "status"]).await?;
        if status["last_pass"].is_object() && status["last_poll"].is_string() {
            return Ok(());
        }
        ensure!(start.elapsed() < PATIENCE, "the connector does not begin its work: {status}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
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
