//! The process dies, or the power fails, before and after every step of every operation.

use std::path::Path;
use std::sync::Arc;

use engine::disk::LocalDisk;
use futures::StreamExt;
use futures::stream;
use simulated_disk::{Moment, SimulatedDisk};

use crate::check::{Told, check_quarantine, check_reopened};
use crate::model::{Content, Model, Operation, View, view};
use crate::store::{Machine, Manner, Prepared, Store, fork_database, is_on_postgres, scratch};

const BUCKET: &str = "points";

fn put(key: &str, size: usize) -> Operation {
    Operation::Put { key: key.to_owned(), content: Content::noise(size, key.len() as u64 + size as u64) }
}

fn part(key: &str, number: u32, size: usize) -> Operation {
    Operation::PutPart { key: key.to_owned(), number, content: Content::noise(size, size as u64) }
}

fn delete(keys: &[&str]) -> Operation {
    Operation::Delete { keys: keys.iter().map(|key| (*key).to_owned()).collect() }
}

fn copy(from: &str, to: &str) -> Operation {
    Operation::Copy { from: from.to_owned(), to: to.to_owned() }
}

fn upload(key: &str) -> Operation {
    Operation::CreateUpload { key: key.to_owned() }
}

fn complete(key: &str) -> Operation {
    Operation::Complete { key: key.to_owned() }
}

/// Sizes in a row, in a blob, and in a blob of two blocks; two of those do not fit into one pack.
const SMALL: usize = 300;
const LARGE: usize = 5_000;
const BLOCKS: usize = 140_000;

/// Runs operations and kills the process, and in another copy of the world the machine, at every step of the last `count` of them and of
/// the close that follows. All of that with blobs in packs, and again with a file each.
async fn at_every_step(operations: &[Operation], count: usize) {
    at_every_step_as(&Manner::BOTH, operations, count).await;
}

async fn at_every_step_as(manners: &[Manner], operations: &[Operation], count: usize) {
    let prepared = Arc::new(Prepared::new().await);
    let operations: Arc<[Operation]> = operations.into();
    for &manner in manners {
        let (before, trail) = trail_of(&prepared, &operations, count, manner).await;
        in_parallel(every_crash(&trail, before), |(step, moment)| {
            let (prepared, operations) = (prepared.clone(), operations.clone());
            async move { crash_once(&prepared, &operations, manner, step, moment).await }
        })
        .await;
    }
}

/// On PostgreSQL one of so many points is taken, as each has two databases of its own; `CLOUDHOLD_CRASH_POINTS=1` takes all.
const POINTS_ON_POSTGRES: usize = 12;

/// Every point of a trail at which a crash makes a difference, from some step on; the first step is number 1.
pub(crate) fn every_crash(trail: &[String], from: usize) -> Vec<(u64, Moment)> {
    let crashes = trail.iter().enumerate().skip(from).flat_map(|(at, step)| {
        let step_number = at as u64 + 1;
        // After one write is before the next one, and to the server before a request is after the one before.
        let before = (!step.starts_with("request")).then_some((step_number, Moment::Before));
        let after = (!step.starts_with("write ")).then_some((step_number, Moment::After));
        before.into_iter().chain(after)
    });
    // And one when everything was acknowledged.
    let crashes: Vec<_> = crashes.chain([(trail.len() as u64 + 1, Moment::Before)]).collect();
    assert!(crashes.len() > 10, "only {} points to crash at", crashes.len());
    let asked_for = std::env::var("CLOUDHOLD_CRASH_POINTS").ok().map(|text| text.parse().unwrap());
    let step = asked_for.unwrap_or(if is_on_postgres() { POINTS_ON_POSTGRES } else { 1 });
    // Each run begins with another one, so that many runs take all.
    let first = rand::random_range(0..step);
    crashes.into_iter().skip(first).step_by(step).collect()
}

/// Crashes at every point, a few at a time.
pub(crate) async fn in_parallel<C, R, F>(crashes: impl IntoIterator<Item = C>, run: R)
where
    R: Fn(C) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let runs = crashes.into_iter().map(|crash| {
        let run = run(crash);
        async move { tokio::spawn(run).await.unwrap() }
    });
    stream::iter(runs).buffer_unordered(4).for_each(async |()| {}).await;
}

/// The steps of an undisturbed run, and how many of them come before the operations that matter.
async fn trail_of(prepared: &Prepared, operations: &[Operation], count: usize, manner: Manner) -> (usize, Vec<String>) {
    let root = prepared.copy();
    let disk = SimulatedDisk::open(root.path()).unwrap();
    let store = Store::open_as(&disk, root.path(), &prepared.ada, manner).await.unwrap();
    let client = store.client(BUCKET);
    let (mut model, mut before) = (None, 0);
    for (number, operation) in operations.iter().enumerate() {
        if number + count == operations.len() {
            before = disk.trail().len();
        }
        client.perform(operation, &model).await.unwrap();
        model = operation.apply(&model);
    }
    assert_eq!(client.view().await.unwrap(), view(&model));
    store.close().await;
    (before, disk.trail())
}

async fn crash_once(prepared: &Prepared, operations: &[Operation], manner: Manner, step: u64, moment: Moment) {
    let packs = manner.pack_size_bytes_max;
    let mut told = Told(format!("crash {moment:?} step {step} of {operations:?}, packs up to {packs}"));
    let root = prepared.copy();
    let disk = SimulatedDisk::open(root.path()).unwrap();
    disk.crash_in(step, moment);
    let mut allowed = vec![view(&None)];
    if let Ok(store) = Store::open_as(&disk, root.path(), &prepared.ada, manner).await {
        allowed = run(&store, operations).await;
        store.close().await;
    }
    let trail = disk.trail();
    told.0 = format!("{}, which is: {}", told.0, trail.last().map_or("", |last| last.as_str()));

    let left = scratch();
    disk.leave(left.path()).unwrap();
    reopen(LocalDisk.into(), left.path(), prepared, &allowed).await;
    check_quarantine(left.path(), 1);

    let cut = scratch();
    disk.cut_power(step, cut.path()).unwrap();
    fork_database(cut.path());
    told.0 = format!("{} (power cut)", told.0);
    let after = SimulatedDisk::open(cut.path()).unwrap();
    reopen((&after).into(), cut.path(), prepared, &allowed).await;
}

/// Does operations until one fails; returns what the bucket may hold then.
async fn run(store: &Store, operations: &[Operation]) -> Vec<View> {
    let mut model: Model = None;
    for operation in operations {
        let next = operation.apply(&model);
        if store.client(BUCKET).perform(operation, &model).await.is_err() {
            return vec![view(&model), view(&next)];
        }
        model = next;
    }
    vec![view(&model)]
}

async fn reopen(machine: Machine, root: &Path, prepared: &Prepared, allowed: &[View]) {
    let store = Store::open(machine, root, &prepared.ada).await.unwrap();
    check_reopened(&store, &[(BUCKET.to_owned(), allowed.to_vec())]).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn puts_are_old_or_new() {
    at_every_step(&[Operation::CreateBucket, put("small", SMALL), put("large", LARGE)], 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_of_several_blocks_is_old_or_new() {
    at_every_step(&[Operation::CreateBucket, put("blocks", BLOCKS)], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_is_full_and_the_next_one_begins() {
    let operations = [
        Operation::CreateBucket,
        put("a", BLOCKS),
        put("b", BLOCKS + 1),
        put("c", 30_000),
        delete(&["a"]),
        Operation::Clean,
        put("d", 90_000),
    ];
    at_every_step(&operations, 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overwrites_are_old_or_new() {
    let operations =
        [Operation::CreateBucket, put("k", SMALL), put("k", LARGE), put("k", LARGE + 1), put("k", SMALL + 1)];
    at_every_step(&operations, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_old_or_new() {
    let operations = [Operation::CreateBucket, put("a", LARGE), put("b", LARGE + 1), copy("a", "c"), copy("a", "b")];
    at_every_step(&operations, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_are_old_or_new() {
    let operations = [
        Operation::CreateBucket,
        put("a", LARGE),
        put("b", SMALL),
        put("c", LARGE),
        copy("a", "d"),
        delete(&["a"]),
        delete(&["b", "c", "d"]),
    ];
    at_every_step(&operations, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_are_there_or_not() {
    at_every_step(&[Operation::CreateBucket, Operation::DeleteBucket, Operation::CreateBucket], 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_and_their_parts_are_old_or_new() {
    let operations =
        [Operation::CreateBucket, upload("k"), part("k", 1, LARGE), part("k", 1, LARGE + 1), part("k", 2, SMALL)];
    at_every_step(&operations, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_is_old_or_new() {
    let operations = [
        Operation::CreateBucket,
        put("k", LARGE + 2),
        upload("k"),
        part("k", 1, LARGE),
        part("k", 2, LARGE + 1),
        part("k", 3, SMALL),
        complete("k"),
    ];
    at_every_step(&operations, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_are_copied_are_old_or_new() {
    let copy_part = |from: &str, number| Operation::CopyPart { from: from.to_owned(), key: "k".to_owned(), number };
    let operations = [
        Operation::CreateBucket,
        put("a", LARGE),
        put("b", SMALL),
        upload("k"),
        copy_part("a", 1),
        copy_part("b", 2),
        complete("k"),
    ];
    at_every_step(&operations, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_objects_are_old_or_new() {
    let operations = [
        Operation::CreateBucket,
        put("open", LARGE),
        Operation::Seal,
        put("k", SMALL),
        put("k", LARGE + 1),
        copy("open", "copy"),
        upload("parts"),
        part("parts", 1, LARGE + 2),
        complete("parts"),
    ];
    at_every_step(&operations, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_is_old_or_new() {
    let abort = Operation::Abort { key: "k".to_owned() };
    at_every_step(&[Operation::CreateBucket, upload("k"), part("k", 1, LARGE), part("k", 2, SMALL), abort], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_delete_markers_are_old_or_new() {
    let version = |number| Operation::DeleteVersion { key: "k".to_owned(), number };
    let operations = [
        Operation::CreateBucket,
        put("k", SMALL),
        Operation::KeepVersions,
        put("k", LARGE),
        delete(&["k"]),
        put("k", LARGE + 1),
        version(2),
        version(2),
        version(0),
    ];
    at_every_step(&operations, 7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn collecting_garbage_touches_nothing_else() {
    let operations = [
        Operation::CreateBucket,
        put("a", LARGE),
        put("b", LARGE + 1),
        put("b", LARGE + 2),
        delete(&["a"]),
        Operation::Clean,
    ];
    at_every_step(&operations, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_changes_nothing() {
    let operations = [Operation::CreateBucket, put("a", LARGE), Operation::Checkpoint, put("b", SMALL)];
    at_every_step(&operations, 2).await;
}

/// A checkpoint of the store itself follows on a commit that was answered, beside what comes next.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_of_the_store_changes_nothing() {
    if is_on_postgres() {
        return;
    }
    let puts = (0..8).map(|number| put(&format!("k{number}"), if number % 2 == 0 { SMALL } else { LARGE }));
    let operations: Vec<_> = [Operation::CreateBucket].into_iter().chain(puts).collect();
    let (before, trail) = trail_of(&Prepared::new().await, &operations, 6, Manner::SHORT_LOG).await;
    let syncs = trail[before..].iter().filter(|step| *step == "sync data/metadata.sqlite").count();
    // One is that of the close.
    assert!(syncs > 1, "no checkpoint in {trail:?}");
    at_every_step_as(&[Manner::SHORT_LOG], &operations, 6).await;
}
