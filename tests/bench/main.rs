//! `bench`: how fast a store is, from a raw fsync up to a whole reconcile.
//!
//! Every part can be run by itself. `s3` measures any S3 endpoint, and starts a store of its own when none is named; `engine` measures
//! the same writes and reads without HTTP, and `disk` the fsync below them, so that the cost of each layer is known from one run.

mod body;
mod client;
mod cloudhold;
mod complete;
mod content;
mod disk;
mod drive;
mod endpoint;
mod engine_level;
mod fairness;
mod listing;
mod load;
mod machine;
mod measure;
mod packs;
mod peers;
mod process;
mod ratio;
mod reconcile;
mod report;
mod s3;
mod sign;
mod sizes;
mod stand_in;
mod wall;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use report::Report;

/// Measures a store and the machine it runs on.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Cli {
    /// Also write the figures to this file, as JSON
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// What is measured, and where.
#[derive(Debug, Clone, Args)]
struct Place {
    /// The program whose store is measured
    #[arg(long, global = true, default_value = "target/measure/cloudhold", value_name = "FILE")]
    binary: PathBuf,
    /// A directory on the disk to be measured; stores are made in it and removed
    #[arg(long, global = true, default_value = ".", value_name = "DIR")]
    directory: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A load on any S3 endpoint, or on a store of our own
    S3(Box<s3::Arguments>),
    /// Our store and others, one after the other on the same disk, and the ratios between them
    Peers(Box<peers::Arguments>),
    /// Start, memory and listings of a store with very many objects
    Listing(listing::Arguments),
    /// Small PUTs beside a large upload
    Fairness(fairness::Arguments),
    /// The end of an upload of very many parts
    Complete(complete::Arguments),
    /// PUT and GET of small objects in this process, without HTTP
    Engine(engine_level::Arguments),
    /// A connector's first pass over a large cloud, and passes with nothing to do
    Reconcile(reconcile::Arguments),
    /// Small writes, each made durable: what the disk itself can do
    Disk,
    /// How fast bodies can be hashed at all
    Wall,
    /// One file for each small blob, beside many blobs in one file
    Packs(packs::Arguments),
    /// Compares the phases of two reports that --json wrote
    Ratio(ratio::Arguments),
    /// A made-up CloudStack in a process of its own, until its input ends; the others start it
    #[command(hide = true)]
    StandIn(stand_in::Arguments),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    if let Command::StandIn(arguments) = &cli.command {
        return stand_in::serve(arguments).await;
    }
    if let Command::Ratio(arguments) = &cli.command {
        return ratio::run(arguments);
    }
    let mut report = Report::begin(&cli.place.directory)?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // Dropping what runs ends the stores that it started.
    tokio::select! {
        done = measure(&cli, &mut report) => done?,
        _ = terminate.recv() => bail!("ended by a signal"),
        _ = interrupt.recv() => bail!("ended by a signal"),
    }
    report.end();
    println!("{report}");
    if let Some(file) = &cli.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(file, text + "\n").with_context(|| format!("{} cannot be written", file.display()))?;
    }
    report.must_be_clean()
}

async fn measure(cli: &Cli, report: &mut Report) -> anyhow::Result<()> {
    let place = &cli.place;
    match &cli.command {
        Command::S3(arguments) => s3::run(arguments, place, report).await,
        Command::Peers(arguments) => peers::run(arguments, place, report).await,
        Command::Listing(arguments) => listing::run(arguments, place, report).await,
        Command::Fairness(arguments) => fairness::run(arguments, place, report).await,
        Command::Complete(arguments) => complete::run(arguments, place, report).await,
        Command::Engine(arguments) => engine_level::run(arguments, place, report).await,
        Command::Reconcile(arguments) => reconcile::run(arguments, place, report).await,
        Command::Disk => disk::run(&place.directory, report).await,
        Command::Wall => wall::run(report).await.map(drop),
        Command::Packs(arguments) => packs::run(arguments, &place.directory, report).await,
        // Neither measures anything.
        Command::StandIn(_) | Command::Ratio(_) => Ok(()),
    }
}
