//! A store with very many objects: how fast it starts, how much memory it needs, and how fast it lists.
//!
//! The objects are written through S3, which takes minutes; `--folder` keeps the store, so that it is filled once.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::Place;
use crate::body::Payload;
use crate::client::{Client, Page, key};
use crate::cloudhold::Cloudhold;
use crate::drive::{Done, Limit, Worker};
use crate::load::{Load, Operation, Shape};
use crate::measure::Name;
use crate::report::{self, Goal, Report};
use crate::s3::own_load;

/// What an object holds: enough to be verified.
const SIZE_BYTES: u64 = 16;
/// Objects of a folder, which is what a delimiter folds.
const FOLDER_OBJECTS: u64 = 1000;
/// Entries of a page.
const PAGE: usize = 1000;
/// Written when all objects are there.
const FILLED: &str = "filled";
const MEBIBYTE: f64 = (1 << 20) as f64;

/// How many objects, and what is done with them.
#[derive(Clone, Debug, Args)]
pub(crate) struct Arguments {
    /// How many objects lie in the bucket, a thousand to a folder
    #[arg(long, default_value_t = 1_000_000)]
    objects: u64,
    /// Pages that are asked for in each phase
    #[arg(long, default_value_t = 200)]
    pages: u64,
    /// Clients that fill the store
    #[arg(long, default_value_t = 128)]
    writers: usize,
    /// Keep the store in this folder, and use it again when it was filled before
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Configuration of the store, as in cloudhold.toml
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TOML")]
    configuration: String,
}

/// Fills a store, starts it anew, and measures.
///
/// # Errors
/// When the store does not start, or refuses objects.
pub(crate) async fn run(arguments: &Arguments, place: &Place, report: &mut Report) -> anyhow::Result<()> {
    ensure!(arguments.objects >= 2 * FOLDER_OBJECTS, "a listing needs at least {} objects", 2 * FOLDER_OBJECTS);
    let temporary = tempfile::Builder::new().prefix("bench-listing-").tempdir_in(&place.directory)?;
    let folder = arguments.folder.as_deref().unwrap_or(temporary.path());
    println!("{}", report::head());
    fill(arguments, place, folder, report).await?;
    let start = Instant::now();
    let store = Cloudhold::start_kept(&place.binary, folder, &arguments.configuration).await?;
    let start_s = start.elapsed().as_secs_f64();
    report.figure(format!("start with {} objects", arguments.objects), start_s, "s", Some(Goal::AtMost(1.0)));
    let mut load = own_load(&store, false).await?;
    // What a start leaves to the background has ended by then.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let idle_bytes = load.watch.look().await?.store.map_or(0, |usage| usage.rss_bytes);
    report.figure("memory, idle", idle_bytes as f64 / MEBIBYTE, "MiB", Some(Goal::AtMost(60.0)));
    pages(arguments, &load, report).await?;
    // The load begins with the first number again: these overwrite, and the store keeps its size for the next run.
    load.level = "s3 overwriting".to_owned();
    let put = Shape { operation: Operation::Put, ..shape(64, Limit::Time(Duration::from_secs(5))) };
    load.phase(&put, report).await?;
    let peak_bytes = load.watch.look().await?.store.map_or(0, |usage| usage.rss_peak_bytes);
    report.figure("memory, at most so far", peak_bytes as f64 / MEBIBYTE, "MiB", Some(Goal::AtMost(250.0)));
    store.stop().await
}

fn shape(clients: usize, limit: Limit) -> Shape {
    Shape {
        operation: Operation::Put,
        size_bytes: SIZE_BYTES,
        clients,
        payload: Payload::Unsigned,
        part_bytes: None,
        limit,
        warm_up: Duration::ZERO,
        objects_min: 0,
    }
}

/// Writes the objects, unless an earlier run did.
async fn fill(arguments: &Arguments, place: &Place, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let note = folder.join(FILLED);
    if let Ok(text) = std::fs::read_to_string(&note) {
        ensure!(text == arguments.objects.to_string(), "{} has {text} objects", folder.display());
        return Ok(());
    }
    let store = Cloudhold::start_kept(&place.binary, folder, &arguments.configuration).await?;
    let mut load = own_load(&store, false).await?;
    Client::new(load.endpoint.clone()).make_bucket().await?;
    let done = load.phase(&shape(arguments.writers, Limit::Operations(arguments.objects)), report).await?;
    ensure!(done.errors == 0, "the store could not be filled: {}", done.error_texts.join("; "));
    store.stop().await?;
    Ok(std::fs::write(note, arguments.objects.to_string())?)
}

/// Asks for pages of objects and of common prefixes, one client and eight.
async fn pages(arguments: &Arguments, load: &Load, report: &mut Report) -> anyhow::Result<()> {
    let wanted = [("objects", None, 5.0), ("prefixes", Some("/"), 20.0)];
    for clients in [1, 8] {
        for (what, delimiter, goal_ms) in wanted {
            let lister = |at: usize| Lister {
                client: Client::new(load.endpoint.clone()),
                objects: arguments.objects,
                delimiter,
                random: StdRng::seed_from_u64(at as u64),
            };
            let name = Name { level: "s3", operation: "LIST", payload: what, size_bytes: SIZE_BYTES };
            let limit = Limit::Operations(arguments.pages);
            let workers = (0..clients).map(lister).collect();
            let (_, phase) = load.watch.phase(name, workers, limit, report).await?;
            if clients == 1 {
                let p50_ms = phase.latency.p50_us / 1e3;
                report.figure(format!("page of {PAGE} {what}, p50"), p50_ms, "ms", Some(Goal::AtMost(goal_ms)));
            }
        }
    }
    Ok(())
}

/// Asks for one page after the other.
struct Lister {
    client: Client,
    objects: u64,
    delimiter: Option<&'static str>,
    random: StdRng,
}

impl Worker for Lister {
    async fn step(&mut self) -> anyhow::Result<Option<Done>> {
        let expected = match self.delimiter {
            // A page that begins anywhere, and still has enough objects behind it.
            None => PAGE,
            Some(_) => PAGE.min(usize::try_from(self.objects / FOLDER_OBJECTS)?),
        };
        let after = match self.delimiter {
            None => key(self.random.random_range(0..self.objects - PAGE as u64)),
            Some(_) => String::new(),
        };
        let page = Page { prefix: "load/".to_owned(), after, delimiter: self.delimiter, entries_max: PAGE };
        let listed = self.client.list(&page).await?;
        let found = if self.delimiter.is_some() { listed.prefixes } else { listed.objects };
        ensure!(found == expected, "{listed:?} instead of {expected}");
        Ok(Some(Done { operation: "LIST", bytes: 0 }))
    }
}
