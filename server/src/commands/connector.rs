//! `cloudhold connector ...`: what the connector would do, does, did, and what is wrong.

use clap::Subcommand;
use serde_json::{Value, json};

use super::progress::Meter;
use super::{Shared, output};
use crate::control::SyncRequest;

#[derive(Debug, Subcommand)]
pub(super) enum ConnectorCommand {
    /// Show what differs between CloudStack and the store, without changing anything
    Plan,
    /// Read CloudStack and make the store agree with it
    Sync {
        /// Also make the removals that are held back for being many, as `plan` or `status` showed them last
        #[arg(long)]
        confirm: bool,
    },
    /// Show the last pass, the last runs and what is held back
    Status,
    /// Try log-in, rights and settings, and say in a line each what is wrong
    Check,
}

pub(super) async fn run(shared: &Shared, command: ConnectorCommand) -> anyhow::Result<u8> {
    match command {
        ConnectorCommand::Plan => plan(shared).await,
        ConnectorCommand::Sync { confirm } => sync(shared, confirm).await,
        ConnectorCommand::Status => status(shared).await,
        ConnectorCommand::Check => check(shared).await,
    }
}

async fn plan(shared: &Shared) -> anyhow::Result<u8> {
    let mut meter = Meter::new();
    let answer: Value = shared.control()?.run("connector/plan", &json!({}), |progress| meter.show(&progress)).await?;
    drop(meter);
    if shared.json {
        output::json(&answer["plan"])?;
    } else {
        output::line(text(&answer["text"]))?;
    }
    Ok(0)
}

async fn sync(shared: &Shared, confirm: bool) -> anyhow::Result<u8> {
    let mut meter = Meter::new();
    let report: Value =
        shared.control()?.run("connector/sync", &SyncRequest { confirm }, |progress| meter.show(&progress)).await?;
    drop(meter);
    let failed = report["failed"].as_u64().unwrap_or_default();
    if shared.json {
        output::json(&report)?;
        return Ok(u8::from(failed > 0));
    }
    output::line(format!("Done: {}.", text(&report["outcome"])))?;
    for failure in list(&report["failures"]) {
        output::line(format!("  failed: {}", text(failure)))?;
    }
    held(&report["held"])?;
    let refused = confirm && list(&report["held"]).next().is_some();
    if refused {
        // What is shown now is what the next confirmation is of.
        let status: Value = shared.control()?.get("connector").await?;
        held_changes(&status)?;
        output::line("Nothing of this was removed. To confirm exactly this, run sync with --confirm again.")?;
    }
    Ok(u8::from(failed > 0 || refused))
}

async fn status(shared: &Shared) -> anyhow::Result<u8> {
    let status: Value = shared.control()?.get("connector").await?;
    if shared.json {
        output::json(&status)?;
        return Ok(0);
    }
    output::line(format!("CloudStack   {}", text(&status["cloudstack_url"])))?;
    output::line(format!("Target       {}", text(&status["target_url"])))?;
    output::line(format!("Doing        {}", text(&status["doing"])))?;
    if let Some(why) = status["stopped"].as_str() {
        output::line(format!("STOPPED      {why}"))?;
    }
    if let Some(error) = status["last_error"].as_str() {
        output::line(format!("Last error   {error}"))?;
    }
    output::line(format!("Keeps        {} groups, {} users", status["owned"]["groups"], status["owned"]["users"]))?;
    match &status["last_pass"] {
        Value::Null => output::line("Last pass    none yet")?,
        pass => output::line(format!(
            "Last pass    {}: {} domains, {} accounts; {}",
            text(&pass["ended"]),
            pass["domains"],
            pass["accounts"],
            text(&pass["outcome"])
        ))?,
    }
    let pending = &status["pending"];
    output::line(format!(
        "Pending      {} to add, {} to change, {} to remove",
        pending["add"], pending["change"], pending["remove"]
    ))?;
    held(&status["held"])?;
    held_changes(&status)?;
    output::line("Last runs")?;
    for run in list(&status["runs"]) {
        output::line(format!("  {}  {}: {}", text(&run["started"]), text(&run["cause"]), text(&run["outcome"])))?;
    }
    output::line("Settings in use")?;
    for setting in list(&status["settings"]) {
        output::line(format!(
            "  {} = {} ({})",
            text(&setting["name"]),
            text(&setting["value"]),
            text(&setting["source"])
        ))?;
    }
    Ok(0)
}

async fn check(shared: &Shared) -> anyhow::Result<u8> {
    let answer: Value = shared.control()?.post("connector/check", &json!({})).await?;
    if shared.json {
        output::json(&answer["lines"])?;
    } else {
        output::line(text(&answer["text"]))?;
    }
    Ok(u8::from(list(&answer["lines"]).any(|line| line["verdict"] == "wrong")))
}

fn held(held: &Value) -> anyhow::Result<()> {
    for one in list(held) {
        output::line(format!("Held back    {}: {}", one["count"], text(&one["why"])))?;
    }
    Ok(())
}

/// The held changes one by one, as far as the status lists them.
fn held_changes(status: &Value) -> anyhow::Result<()> {
    for change in list(&status["pending_changes"]).filter(|change| change["held"] == true) {
        let id = change["user_id"].as_str().unwrap_or_else(|| text(&change["group_id"]));
        output::line(format!(
            "  {} {} [{id}]: {}",
            text(&change["kind"]),
            text(&change["name"]),
            text(&change["reason"])
        ))?;
    }
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
