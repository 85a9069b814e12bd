//! Random operations of several clients, cut by a power failure or a dying process at a random step, again and again.
//!
//! `CLOUDHOLD_POWER_CUTS` says how many runs there are, `CLOUDHOLD_SEED` replays one; with both, that many begin there. A failure prints
//! its seed. What a seed draws is always the same; the order in which threads run is not, so a rare failure may need several tries.
//!
//! That it can fail was seen by breaking the engine. Without the fdatasync of a blob, without the sync of its directory, without that of
//! the directory above, without that of a pack, or with SQLite's `synchronous=NORMAL`, it fails within the first few seeds, and so do most
//! tests of `points`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream;
use simulated_disk::{Moment, Random, SimulatedDisk};
use tempfile::TempDir;

use crate::check::{Told, check_reopened};
use crate::model::{Model, Operation, view};
use crate::store::{Client, Manner, Prepared, Store, is_on_postgres, scratch};

const RUNS: u64 = 1000;
/// Fewer, as each has a database of its own.
const RUNS_ON_POSTGRES: u64 = 100;
const PARALLEL: usize = 4;

/// What all runs together have seen.
#[derive(Default)]
struct Tally {
    acknowledged: AtomicU64,
    /// Runs after which something was gone that a relaxed bucket had answered.
    lost_relaxed: AtomicU64,
    /// Crashes while operations ran or the store was closed, and while it was opened again.
    cut_operations: AtomicU64,
    cut_recoveries: AtomicU64,
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_whenever_the_power_fails() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("CLOUDHOLD_SEED");
    let runs_of_a_test = if is_on_postgres() { RUNS_ON_POSTGRES } else { RUNS };
    let runs = number("CLOUDHOLD_POWER_CUTS").unwrap_or(if first.is_some() { 1 } else { runs_of_a_test });
    let seeds = first.unwrap_or(0)..first.unwrap_or(0) + runs;
    let (prepared, tally) = (Arc::new(Prepared::new().await), Arc::new(Tally::default()));
    let all = seeds.map(|seed| {
        let (prepared, tally) = (prepared.clone(), tally.clone());
        async move { tokio::spawn(async move { run(seed, &prepared, &tally).await }).await }
    });
    stream::iter(all).buffer_unordered(PARALLEL).for_each(async |done| done.unwrap()).await;
    println!(
        "{runs} runs: {} operations acknowledged, {} times some of a relaxed bucket lost, cut {} times in operations and {} in recovery",
        count(&tally.acknowledged),
        count(&tally.lost_relaxed),
        count(&tally.cut_operations),
        count(&tally.cut_recoveries),
    );
    if runs >= runs_of_a_test {
        assert!(count(&tally.acknowledged) > runs * 2, "too little was acknowledged to be lost");
        // What a database elsewhere answered it does not lose with this disk.
        assert!(is_on_postgres() || count(&tally.lost_relaxed) > 0, "relaxed buckets lost nothing, as strict ones");
        assert!(count(&tally.cut_operations) > runs / 2, "too few runs were cut in the middle");
        assert!(count(&tally.cut_recoveries) > runs / 20, "too few recoveries were cut");
    }
}

async fn run(seed: u64, prepared: &Prepared, tally: &Tally) {
    let _told = Told(format!("failed with CLOUDHOLD_SEED={seed}"));
    let mut random = Random::new(seed);
    let mut root = prepared.copy();
    let mut models: Vec<Model> = vec![None; 1 + random.index(3)];
    let rounds = if random.chance(25) { 2 } else { 1 };
    for _ in 0..rounds {
        let allowed = operate_and_crash(&mut root, &mut random, prepared, models, tally).await;
        models = reopen(&mut root, &mut random, prepared, allowed, tally).await;
    }
}

fn bucket(number: usize) -> String {
    format!("bucket-{number}")
}

/// Lets clients work until the crash; leaves what is left of the disk in `root` and returns how each client's bucket may be.
async fn operate_and_crash(
    root: &mut TempDir,
    random: &mut Random,
    prepared: &Prepared,
    models: Vec<Model>,
    tally: &Tally,
) -> Vec<History> {
    let disk = SimulatedDisk::open(root.path()).unwrap();
    let fsync_delay = if random.chance(30) { Duration::from_millis(1) } else { Duration::ZERO };
    let takes_snapshots = random.chance(10);
    let of_blobs = Manner::BOTH[usize::from(random.chance(20))];
    let log_pages_max = if random.chance(50) { Manner::SHORT_LOG.log_pages_max } else { of_blobs.log_pages_max };
    let manner = Manner { fsync_delay, takes_snapshots, log_pages_max, ..of_blobs };
    let store = Store::open_as(&disk, root.path(), &prepared.ada, manner).await.unwrap();
    let moment = if random.chance(50) { Moment::Before } else { Moment::After };
    disk.crash_in(1 + random.below(80 + 60 * models.len() as u64), moment);
    let clients = models.into_iter().enumerate().map(|(number, model)| {
        let (client, random) = (store.client(&bucket(number)), Random::new(random.next_u64()));
        tokio::spawn(operate(client, disk.clone(), random, model))
    });
    let mut allowed = Vec::new();
    for done in join_all(clients).await {
        let (acknowledged, history) = done.unwrap();
        tally.acknowledged.fetch_add(acknowledged, Ordering::Relaxed);
        allowed.push(history);
    }
    store.close().await;
    tally.cut_operations.fetch_add(u64::from(disk.is_dead()), Ordering::Relaxed);
    let was_dead = disk.is_dead();
    let (after, lost_power) = crash(&disk, random);
    *root = after;
    for history in &mut allowed {
        // What the operating system was given survives the process, and closing makes everything durable.
        if !lost_power || !was_dead {
            history.must_be_answered();
        }
    }
    allowed
}

/// How a bucket may be after a crash: as one of the states that follow each other.
struct History {
    /// The last state that was durable when it was answered, and those that were answered since.
    answered: Vec<Model>,
    /// What the operation that was cut would have made.
    cut: Option<Model>,
}

impl History {
    fn may_be(&self) -> impl Iterator<Item = &Model> {
        self.answered.iter().chain(&self.cut)
    }

    /// Nothing that was answered may be gone.
    fn must_be_answered(&mut self) {
        self.answered.drain(..self.answered.len() - 1);
    }

    /// Whether something is gone that was answered.
    fn has_lost(&self, seen: &Model) -> bool {
        self.answered[..self.answered.len() - 1].iter().any(|model| view(model) == view(seen))
            && view(&self.answered[self.answered.len() - 1]) != view(seen)
    }
}

/// What the next process finds: mostly after a power cut, sometimes after the process alone died; and which of both it was.
fn crash(disk: &SimulatedDisk, random: &mut Random) -> (TempDir, bool) {
    let (after, loses_power) = (scratch(), random.chance(80));
    match loses_power {
        true => disk.cut_power(random.next_u64(), after.path()).unwrap(),
        false => disk.leave(after.path()).unwrap(),
    }
    (after, loses_power)
}

/// Does random operations until the disk is dead; returns how many were acknowledged, and how the bucket may be.
async fn operate(client: Client, disk: SimulatedDisk, mut random: Random, model: Model) -> (u64, History) {
    let most = 2 + random.below(8);
    let (mut model, mut answered) = (model.clone(), vec![model]);
    for acknowledged in 0..most {
        let operation = Operation::random(&mut random, &model);
        let next = operation.apply(&model);
        if let Err(error) = client.perform(&operation, &model).await {
            assert!(disk.is_dead(), "{operation:?} failed on a sound disk: {error:?}");
            return (acknowledged, History { answered, cut: Some(next) });
        }
        if operation.is_durable(&model) {
            answered.clear();
        }
        model = next;
        answered.push(model.clone());
    }
    (most, History { answered, cut: None })
}

/// Opens the store after a crash, sometimes with more crashes on the way, and checks it; returns how the buckets are.
async fn reopen(
    root: &mut TempDir,
    random: &mut Random,
    prepared: &Prepared,
    allowed: Vec<History>,
    tally: &Tally,
) -> Vec<Model> {
    while random.chance(30) {
        let disk = SimulatedDisk::open(root.path()).unwrap();
        disk.crash_in(1 + random.below(12), Moment::Before);
        if let Ok(store) = Store::open(&disk, root.path(), &prepared.ada).await {
            store.close().await;
        }
        tally.cut_recoveries.fetch_add(u64::from(disk.is_dead()), Ordering::Relaxed);
        *root = crash(&disk, random).0;
    }
    let disk = SimulatedDisk::open(root.path()).unwrap();
    let store = Store::open(&disk, root.path(), &prepared.ada).await.unwrap();
    let expected: Vec<_> = allowed
        .iter()
        .enumerate()
        .map(|(number, history)| (bucket(number), history.may_be().map(view).collect()))
        .collect();
    let views = check_reopened(&store, &expected).await;
    store.close().await;
    let mut models = Vec::new();
    for (history, seen) in allowed.into_iter().zip(views) {
        let found = history.may_be().filter(|model| view(model) == seen).last().unwrap();
        tally.lost_relaxed.fetch_add(u64::from(history.has_lost(found)), Ordering::Relaxed);
        models.push(found.clone());
    }
    // The next round begins with another disk, for which all that is there is durable; closing synced none of it for real.
    let next = scratch();
    disk.leave(next.path()).unwrap();
    *root = next;
    models
}
