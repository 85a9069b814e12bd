//! `bench`: how fast a store is, from a raw fsync up to a whole reconcile.
//!
//! Every part can be run by itself. `s3` measures any S3 endpoint, and starts a store of its own when none is named; `engine` measures
//! the same writes and reads without HTTP, and `disk` the fsync below them, so that the cost of each layer is known from one run.

mod cloudhold;
mod connection;
mod content;
mod disk;
mod drive;
mod engine_level;
mod machine;
mod measure;
mod process;
mod reconcile;
mod report;
mod s3;
mod sign;
mod stand_in;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

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
    #[arg(long, global = true, default_value = "target/release/cloudhold", value_name = "FILE")]
    binary: PathBuf,
    /// A directory on the disk to be measured; stores are made in it and removed
    #[arg(long, global = true, default_value = ".", value_name = "DIR")]
    directory: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// PUT and GET of small and of large objects
    S3(Box<s3::Arguments>),
    /// PUT and GET of small objects in this process, without HTTP
    Engine(engine_level::Arguments),
    /// A connector's first pass over a large cloud, and passes with nothing to do
    Reconcile(reconcile::Arguments),
    /// Small writes, each made durable: what the disk itself can do
    Disk,
    /// Everything above, one after the other
    All,
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
    let mut report = Report::begin(&cli.place.directory)?;
    match &cli.command {
        Command::S3(arguments) => s3::run(arguments, &cli.place, &mut report).await?,
        Command::Engine(arguments) => engine_level::run(arguments, &cli.place, &mut report).await?,
        Command::Reconcile(arguments) => reconcile::run(arguments, &cli.place, &mut report).await?,
        Command::Disk => disk::run(&cli.place.directory, &mut report).await?,
        Command::All => all(&cli.place, &mut report).await?,
        Command::StandIn(_) => {}
    }
    report.end();
    println!("{report}");
    if let Some(file) = &cli.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(file, text + "\n").with_context(|| format!("{} cannot be written", file.display()))?;
    }
    report.must_be_clean()
}

/// The disk is measured before and after, because other machines share it and it changes by the minute.
async fn all(place: &Place, report: &mut Report) -> anyhow::Result<()> {
    disk::run(&place.directory, report).await?;
    engine_level::run(&defaults()?, place, report).await?;
    s3::run(&defaults()?, place, report).await?;
    disk::run(&place.directory, report).await?;
    reconcile::run(&defaults()?, place, report).await
}

/// The arguments of a part when none are given.
fn defaults<A: Args>() -> anyhow::Result<A> {
    #[derive(Parser)]
    struct Only<A: Args> {
        #[command(flatten)]
        arguments: A,
    }
    Ok(Only::<A>::try_parse_from(["bench"])?.arguments)
}
