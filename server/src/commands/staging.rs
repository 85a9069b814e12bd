//! `cloudhold staging ...`: files between buckets and the staging directory.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use nfs_staging::{
    EvictOutcome, EvictScope, Evicted, FileState, PullOutcome, PullRequest, Pulled, PushOutcome, PushRequest, Pushed,
    StagedFile,
};
use serde::{Deserialize, Serialize};

use super::progress::Meter;
use super::{Shared, output};

const DAY_S: u64 = 24 * 60 * 60;

#[derive(Debug, Subcommand)]
pub(super) enum StagingCommand {
    /// Write an object to the path where CloudStack expects it
    Pull {
        /// The bucket
        bucket: String,
        /// The key, such as `template/tmpl/1/200/NAME/FILE`
        key: String,
        /// Replace a staged file with other content
        #[arg(long)]
        overwrite: bool,
    },
    /// Store a staged file under its key
    Push {
        /// The path beneath the staging directory
        path: String,
        /// The bucket, where it is not known from an earlier pull or push
        #[arg(long)]
        bucket: Option<String>,
        /// The key, where another than the usual one is meant
        #[arg(long)]
        key: Option<String>,
        /// Replace an object with other content
        #[arg(long)]
        overwrite: bool,
    },
    /// Show what is staged, and what of it is proven to be in a bucket
    List,
    /// Remove staged files whose content is proven to be in a bucket
    Evict(EvictArgs),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct EvictArgs {
    /// The path beneath the staging directory
    path: Option<String>,
    /// Every file
    #[arg(long)]
    all: bool,
    /// Files that nobody used for so many days
    #[arg(long, value_name = "DAYS")]
    older_than_days: Option<u64>,
}

/// What a pull answers.
#[derive(Debug, Serialize, Deserialize)]
struct PullAnswer {
    dir: PathBuf,
    pulled: Pulled,
}

/// What a list answers.
#[derive(Debug, Serialize, Deserialize)]
struct ListAnswer {
    dir: PathBuf,
    files: Vec<StagedFile>,
}

pub(super) async fn run(shared: &Shared, command: StagingCommand) -> anyhow::Result<u8> {
    match command {
        StagingCommand::Pull { bucket, key, overwrite } => pull(shared, &PullRequest { bucket, key, overwrite }).await,
        StagingCommand::Push { path, bucket, key, overwrite } => {
            push(shared, &PushRequest { path, bucket, key, overwrite }).await
        }
        StagingCommand::List => list(shared).await,
        StagingCommand::Evict(args) => evict(shared, &args.scope()).await,
    }
}

impl EvictArgs {
    fn scope(self) -> EvictScope {
        match (self.path, self.older_than_days) {
            (Some(path), _) => EvictScope::Path(path),
            (None, Some(days)) => EvictScope::OlderThanS(days.saturating_mul(DAY_S)),
            (None, None) => EvictScope::All,
        }
    }
}

async fn pull(shared: &Shared, request: &PullRequest) -> anyhow::Result<u8> {
    let mut meter = Meter::new();
    let answer: PullAnswer = shared.control()?.run("staging/pull", request, |progress| meter.show(&progress)).await?;
    drop(meter);
    if shared.json {
        output::json(&answer)?;
        return Ok(0);
    }
    let what = match answer.pulled.outcome {
        PullOutcome::Written { resumed_bytes: 0 } => "written".to_owned(),
        PullOutcome::Written { resumed_bytes } => format!("written ({} were there)", output::size(resumed_bytes)),
        PullOutcome::AlreadyThere => "already there".to_owned(),
    };
    let path = answer.dir.join(&answer.pulled.path);
    output::line(format!("{}  {}  {what}", path.display(), output::size(answer.pulled.size_bytes)))?;
    warnings(&answer.pulled.warnings)?;
    Ok(0)
}

async fn push(shared: &Shared, request: &PushRequest) -> anyhow::Result<u8> {
    let mut meter = Meter::new();
    let pushed: Pushed = shared.control()?.run("staging/push", request, |progress| meter.show(&progress)).await?;
    drop(meter);
    if shared.json {
        output::json(&pushed)?;
        return Ok(0);
    }
    let what = match pushed.outcome {
        PushOutcome::Stored { resumed_bytes: 0 } => "stored".to_owned(),
        PushOutcome::Stored { resumed_bytes } => format!("stored ({} were there)", output::size(resumed_bytes)),
        PushOutcome::AlreadyThere => "already there".to_owned(),
    };
    output::line(format!("s3://{}/{}  {}  {what}", pushed.bucket, pushed.key, output::size(pushed.size_bytes)))?;
    warnings(&pushed.warnings)?;
    Ok(0)
}

async fn list(shared: &Shared) -> anyhow::Result<u8> {
    let answer: ListAnswer = shared.control()?.get("staging").await?;
    if shared.json {
        output::json(&answer)?;
        return Ok(0);
    }
    output::note(format!("Staging directory: {}", answer.dir.display()))?;
    for file in answer.files {
        let state = match file.state {
            FileState::Proven { bucket, key } => format!("equal to s3://{bucket}/{key}"),
            FileState::Touched { bucket, key } => format!("touched since it was equal to s3://{bucket}/{key}"),
            FileState::Unproven => "not known to be in a bucket".to_owned(),
            FileState::PartlyPulled { bucket, key, total_bytes } => {
                format!("part of s3://{bucket}/{key} ({}): pull it again to go on", output::size(total_bytes))
            }
        };
        output::line(format!(
            "{:>12}  {}  {}  {state}",
            output::size(file.size_bytes),
            output::time(file.modified_us),
            file.path
        ))?;
    }
    Ok(0)
}

async fn evict(shared: &Shared, scope: &EvictScope) -> anyhow::Result<u8> {
    let mut meter = Meter::new();
    let evicted: Vec<Evicted> = shared.control()?.run("staging/evict", scope, |progress| meter.show(&progress)).await?;
    drop(meter);
    // A file that was named and stays is a failure; of many files some are expected to stay.
    let stays = matches!(scope, EvictScope::Path(_))
        && evicted.iter().any(|file| matches!(file.outcome, EvictOutcome::Kept(_)));
    if shared.json {
        output::json(&evicted)?;
        return Ok(u8::from(stays));
    }
    for file in evicted {
        let what = match &file.outcome {
            EvictOutcome::Evicted => "removed".to_owned(),
            EvictOutcome::Discarded => "given up (it was partly pulled)".to_owned(),
            EvictOutcome::Kept(why) => format!("stays: {why}"),
        };
        output::line(format!("{}  {}  {what}", file.path, output::size(file.size_bytes)))?;
        warnings(&file.warnings)?;
    }
    Ok(u8::from(stays))
}

fn warnings(warnings: &[String]) -> anyhow::Result<()> {
    for warning in warnings {
        output::note(format!("warning: {warning}"))?;
    }
    Ok(())
}
