//! `cloudhold trash ...`: deleted users whose data is still there.

use anyhow::ensure;
use clap::Subcommand;
use serde_json::Value;

use super::{Shared, output};
use crate::control::{TrashRequest, TrashedUser};

#[derive(Debug, Subcommand)]
pub(super) enum TrashCommand {
    /// Show deleted users and until when their data is kept
    List,
    /// Bring a deleted user back with its buckets (no key, password or session revives)
    Restore {
        /// Its canonical id, as `list` shows it
        id: String,
    },
    /// End the grace period of a deleted user now: its data is gone for good
    Purge {
        /// Its canonical id, as `list` shows it
        id: String,
        /// Really
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(shared: &Shared, command: TrashCommand) -> anyhow::Result<u8> {
    match command {
        TrashCommand::List => list(shared).await,
        TrashCommand::Restore { id } => restore(shared, id).await,
        TrashCommand::Purge { id, yes } => {
            ensure!(yes, "this deletes the user's data for good: say --yes to do it");
            purge(shared, id).await
        }
    }
}

async fn list(shared: &Shared) -> anyhow::Result<u8> {
    let users: Vec<TrashedUser> = shared.control()?.get("trash").await?;
    if shared.json {
        output::json(&users)?;
        return Ok(0);
    }
    if users.is_empty() {
        output::note("The trash is empty.")?;
    }
    for user in users {
        output::line(format!(
            "{}  {}  {}/{} ({})  {} buckets, {}  deleted {}, kept until {}",
            user.canonical_id,
            user.full_name,
            user.group_id,
            user.user_id,
            user.group_name,
            user.bucket_count,
            output::size(user.size_bytes),
            output::time(user.trashed_us),
            output::time(user.purge_after_us)
        ))?;
    }
    Ok(0)
}

async fn restore(shared: &Shared, canonical_id: String) -> anyhow::Result<u8> {
    let user: Value = shared.control()?.post("trash/restore", &TrashRequest { canonical_id }).await?;
    if shared.json {
        output::json(&user)?;
    } else {
        let shown = |field: &str| user[field].as_str().unwrap_or("-").to_owned();
        output::line(format!("{}/{} is back. It needs a new key or password.", shown("group_id"), shown("user_id")))?;
    }
    Ok(0)
}

async fn purge(shared: &Shared, canonical_id: String) -> anyhow::Result<u8> {
    let answer: Value = shared.control()?.post("trash/purge", &TrashRequest { canonical_id }).await?;
    if shared.json {
        output::json(&answer)?;
    } else {
        output::line("Purged.")?;
    }
    Ok(0)
}
