//! Other stores on the same disk, measured by the same load in the same run, and what ours does in comparison.
//!
//! Each runs alone, on a directory of its own that is removed afterwards, on loopback. `tests/bench/peers/get` fetches their programs.

mod garage;
mod nginx;
mod process;
mod seaweedfs;
mod verdict;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::Place;
use crate::body::Payload;
use crate::client::Client;
use crate::cloudhold::Cloudhold;
use crate::drive::Limit;
use crate::load::{Load, Operation, Shape};
use crate::measure::Watch;
use crate::report::{self, Report};
use crate::s3::own_load;
use crate::sizes;
use crate::{disk, wall};
use process::Running;

/// A store, and how it is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// Ours, as it comes: everything is on disk before it is answered
    Cloudhold,
    /// SeaweedFS as it comes: nothing is synced
    Seaweedfs,
    /// SeaweedFS with synced volumes and its metadata in SQLite
    SeaweedfsSafe,
    /// Garage as it comes: nothing is synced
    Garage,
    /// Garage with `data_fsync` and `metadata_fsync`
    GarageSafe,
    /// nginx with files on disk: what is possible at all, without signatures, metadata and syncs
    Nginx,
}

impl Peer {
    /// The word for the table.
    fn name(self) -> &'static str {
        match self {
            Self::Cloudhold => "cloudhold",
            Self::Seaweedfs => "seaweedfs",
            Self::SeaweedfsSafe => "seaweedfs-safe",
            Self::Garage => "garage",
            Self::GarageSafe => "garage-safe",
            Self::Nginx => "nginx",
        }
    }

    /// Whether it knows what the load asks: nginx only takes and gives files.
    fn knows(self, operation: Operation) -> bool {
        match operation {
            Operation::Put | Operation::Get => true,
            Operation::Head | Operation::List | Operation::Delete | Operation::Mixed => self != Self::Nginx,
        }
    }
}

/// Which peers, and how much load.
#[derive(Clone, Debug, Args)]
pub(crate) struct Arguments {
    #[arg(long, value_delimiter = ',', default_value = "cloudhold,seaweedfs,seaweedfs-safe,nginx")]
    peers: Vec<Peer>,
    /// SeaweedFS's program
    #[arg(long, default_value = "tests/.cache/peers/weed", value_name = "FILE")]
    weed: PathBuf,
    /// Garage's program
    #[arg(long, default_value = "tests/.cache/peers/bin/garage", value_name = "FILE")]
    garage: PathBuf,
    #[arg(long, default_value = "nginx", value_name = "FILE")]
    nginx: PathBuf,
    /// How often the peers take their turns; the best turn of each counts, because what disturbs only ever makes slower
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// How long each phase with small objects lasts
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Clients with small objects
    #[arg(long, default_value_t = 64)]
    clients: usize,
    #[arg(long, default_value = "4KiB", value_parser = sizes::parse)]
    small: u64,
    #[arg(long, default_value = "256MiB", value_parser = sizes::parse)]
    large: u64,
    /// Large objects that one client writes and reads, one after the other; 0 leaves them out
    #[arg(long, default_value_t = 4)]
    large_count: u64,
    /// Leave the mixed load out
    #[arg(long)]
    no_mixed: bool,
}

/// Measures the peers in turns and compares.
///
/// # Errors
/// When a peer does not start.
pub(crate) async fn run(arguments: &Arguments, place: &Place, report: &mut Report) -> anyhow::Result<()> {
    let mut walls = Vec::new();
    for _ in 0..arguments.rounds {
        disk::run(&place.directory, report).await?;
        walls.push(wall::run(report).await?.both);
        println!("{}", report::head());
        for &peer in &arguments.peers {
            measure(peer, arguments, place, report).await.with_context(|| format!("{} failed", peer.name()))?;
        }
    }
    verdict::compare(arguments, walls.into_iter().fold(0.0, f64::max), report);
    Ok(())
}

async fn measure(peer: Peer, arguments: &Arguments, place: &Place, report: &mut Report) -> anyhow::Result<()> {
    let shapes: Vec<Shape> = shapes(arguments).into_iter().filter(|shape| peer.knows(shape.operation)).collect();
    if peer == Peer::Cloudhold {
        let store = Cloudhold::start(&place.binary, &place.directory, "").await?;
        let mut load = own_load(&store, false).await?;
        load.level = peer.name().to_owned();
        Client::new(load.endpoint.clone()).make_bucket().await?;
        load_it(&mut load, &shapes, report).await?;
        return store.stop().await;
    }
    let running = start(peer, arguments, place).await?;
    let watch = Watch { store_pids: running.pids(), metrics_url: None };
    let mut load = Load::new(peer.name(), Arc::new(running.endpoint("bench")?), watch, 0);
    if peer != Peer::Nginx {
        Client::new(load.endpoint.clone()).make_bucket().await?;
    }
    load_it(&mut load, &shapes, report).await?;
    running.stop().await
}

async fn load_it(load: &mut Load, shapes: &[Shape], report: &mut Report) -> anyhow::Result<()> {
    for shape in shapes {
        load.phase(shape, report).await?;
    }
    Ok(())
}

async fn start(peer: Peer, arguments: &Arguments, place: &Place) -> anyhow::Result<Running> {
    let folder = tempfile::Builder::new().prefix("bench-peer-").tempdir_in(&place.directory)?;
    match peer {
        Peer::Cloudhold => anyhow::bail!("our own store is started otherwise"),
        Peer::Seaweedfs => seaweedfs::start(&arguments.weed, folder, false).await,
        Peer::SeaweedfsSafe => seaweedfs::start(&arguments.weed, folder, true).await,
        Peer::Garage => garage::start(&arguments.garage, folder, false).await,
        Peer::GarageSafe => garage::start(&arguments.garage, folder, true).await,
        Peer::Nginx => nginx::start(&arguments.nginx, folder).await,
    }
}

/// What each peer has to do.
fn shapes(arguments: &Arguments) -> Vec<Shape> {
    let small = |operation| Shape {
        operation,
        size_bytes: arguments.small,
        clients: arguments.clients,
        payload: Payload::Signed,
        part_bytes: None,
        limit: Limit::Time(Duration::from_secs(arguments.seconds)),
        warm_up: Duration::from_secs(1),
        objects_min: 1000,
    };
    let large = |operation, count| Shape {
        size_bytes: arguments.large,
        clients: 1,
        limit: Limit::Operations(count),
        warm_up: Duration::ZERO,
        objects_min: 1,
        ..small(operation)
    };
    let mut shapes = vec![small(Operation::Put), small(Operation::Get)];
    if !arguments.no_mixed {
        shapes.push(small(Operation::Mixed));
    }
    if arguments.large_count > 0 {
        shapes.push(large(Operation::Put, arguments.large_count));
        // Reads take a tenth of the time of writes, and a phase of less than a second tells little. They are from memory: which peers keep what
        // was just written there, and which read it from the disk first, is another question.
        let read = large(Operation::Get, arguments.large_count * 4);
        shapes.push(Shape { warm_up: Duration::from_secs(3), ..read });
    }
    shapes
}
