//! A sync fails, or a read: the store takes no more writes until it is restarted, never asks again, and loses nothing acknowledged.
//!
//! A sync fails because the disk does (EIO), or because there is no room for what was written before, which file systems that allocate late,
//! and those of other machines, find out only then (ENOSPC). The pages are lost either way, so that neither is a full disk that passes.
//!
//! A failed sync is lost for good: the page cache shows bytes that the medium will never have, and the next sync says that all is well.
//! These tests fail when the log is not emptied as the database is opened, or the data directory is not synced after it.

use engine::Error;
use simulated_disk::{Failure, SimulatedDisk, Target};
use tempfile::TempDir;

use crate::check::{Told, check_reopened};
use crate::model::{Content, Model, Operation, view};
use crate::store::{Manner, Prepared, Store, fork_database, is_on_postgres, scratch};

const BUCKET: &str = "failing";
/// Power cuts drawn after each failure.
const SEEDS: u64 = 6;
/// Fewer, as each has a database of its own.
const SEEDS_ON_POSTGRES: u64 = 2;

fn put(key: &str, size: usize) -> Operation {
    Operation::Put { key: key.to_owned(), content: Content::noise(size, key.len() as u64 + size as u64) }
}

fn operations() -> Vec<Operation> {
    vec![
        Operation::CreateBucket,
        put("small", 300),
        put("large", 5_000),
        Operation::Checkpoint,
        put("large", 6_000),
        Operation::CreateUpload { key: "upload".to_owned() },
        Operation::PutPart { key: "upload".to_owned(), number: 1, content: Content::noise(7_000, 1) },
        Operation::Complete { key: "upload".to_owned() },
        Operation::Checkpoint,
        Operation::Delete { keys: vec!["small".to_owned()] },
    ]
}

/// What is synced when it fails, and how.
type Fault = (Target, Failure);

/// A store on a disk whose sync will fail, and what may be in its bucket.
struct Failing {
    prepared: Prepared,
    root: TempDir,
    disk: SimulatedDisk,
    store: Store,
    allowed: Vec<Model>,
    error: Option<Error>,
}

impl Failing {
    /// Works until a sync fails; `None` when there are not that many.
    async fn at_sync(manner: Manner, (target, failure): Fault, number: u64) -> Option<Self> {
        let prepared = Prepared::new().await;
        let root = prepared.copy();
        let disk = SimulatedDisk::open(root.path()).unwrap();
        let store = Store::open_as(&disk, root.path(), &prepared.ada, manner).await.unwrap();
        disk.fail_sync_as(target, number, failure);
        let client = store.client(BUCKET);
        let (mut model, mut error, mut allowed) = (None, None, vec![None]);
        for operation in operations() {
            // This checkpoint is not the engine's: it would meet the failure itself, or sync what the engine should have synced.
            if target != Target::Database && matches!(operation, Operation::Checkpoint) {
                continue;
            }
            let next = operation.apply(&model);
            if let Err(failed) = client.perform(&operation, &model).await {
                (error, allowed) = (Some(failed), vec![model.clone(), next]);
                break;
            }
            (model, allowed) = (next.clone(), vec![next]);
        }
        if !disk.has_failed() {
            assert!(error.is_none(), "{error:?} on a sound disk");
            store.close().await;
            return None;
        }
        Some(Self { prepared, root, disk, store, allowed, error })
    }

    /// Cuts the power: all that was acknowledged must be there.
    async fn cut_and_check(&self) {
        self.disk.crash_now();
        self.store.close().await;
        cut_and_check(&self.disk, &self.prepared, &self.allowed).await;
    }

    /// Opens the store on the same disk as it is in memory, works on, and cuts the power: all that was acknowledged must be there.
    async fn restart_work_on_and_cut(self) {
        let Self { prepared, root, disk, store, allowed, .. } = self;
        store.close().await;
        disk.restart();
        let store = Store::open(&disk, root.path(), &prepared.ada).await.unwrap();
        let client = store.client(BUCKET);
        let seen = client.view().await.unwrap();
        let mut model = allowed.into_iter().find(|model| view(model) == seen).expect("neither old nor new");
        if model.is_none() {
            client.perform(&Operation::CreateBucket, &model).await.unwrap();
            model = Operation::CreateBucket.apply(&model);
        }
        for put in [put("later-small", 400), put("later-large", 8_000)] {
            client.perform(&put, &model).await.unwrap();
            model = put.apply(&model);
        }
        disk.crash_now();
        store.close().await;
        cut_and_check(&disk, &prepared, &[model]).await;
    }
}

/// How many power cuts are drawn.
fn seeds() -> u64 {
    if is_on_postgres() { SEEDS_ON_POSTGRES } else { SEEDS }
}

async fn cut_and_check(disk: &SimulatedDisk, prepared: &Prepared, allowed: &[Model]) {
    for seed in 0..seeds() {
        let after = scratch();
        disk.cut_power(seed, after.path()).unwrap();
        fork_database(after.path());
        let disk = SimulatedDisk::open(after.path()).unwrap();
        let store = Store::open(&disk, after.path(), &prepared.ada).await.unwrap();
        check_reopened(&store, &[(BUCKET.to_owned(), allowed.iter().map(view).collect())]).await;
        store.close().await;
    }
}

/// Lets each sync of a kind fail in turn; returns how many there were.
async fn fail_each(manner: Manner, fault: Fault) -> u64 {
    for number in 1.. {
        let packs = manner.pack_size_bytes_max;
        let _told = Told(format!("sync {number} failed, {fault:?}, packs up to {packs}"));
        let Some(failing) = Box::pin(Failing::at_sync(manner, fault, number)).await else { return number - 1 };
        is_read_only_and_says_so(&failing).await;
        failing.cut_and_check().await;
        let Some(failing) = Box::pin(Failing::at_sync(manner, fault, number)).await else { return number - 1 };
        Box::pin(failing.restart_work_on_and_cut()).await;
    }
    0
}

async fn is_read_only_and_says_so(failing: &Failing) {
    let Failing { disk, store, allowed, error, .. } = failing;
    assert!(matches!(error, Some(Error::ReadOnly(_))), "{error:?}");
    let why = store.engine.health().await.read_only.expect("the health says nothing");
    assert!(why.contains("could not be made durable"), "{why}");
    let (client, steps) = (store.client(BUCKET), disk.trail().len());
    for operation in [put("more", 300), put("more", 5_000), Operation::CreateBucket] {
        let refused = store.client("another").perform(&operation, &None).await;
        assert!(matches!(refused, Err(Error::ReadOnly(_) | Error::NoSuchBucket)), "{refused:?}");
        let refused = client.perform(&operation, &None).await;
        assert!(matches!(refused, Err(Error::ReadOnly(_) | Error::NoSuchBucket)), "{refused:?}");
    }
    assert!(matches!(store.clean().await, Err(Error::ReadOnly(_))), "background work goes on");
    let seen = client.view().await.unwrap();
    assert!(allowed.iter().any(|model| view(model) == seen), "reads give {seen:?}");
    let trail = disk.trail();
    // What was refused is taken away, and a database at the other end of a cable is asked whether it may be touched.
    let may_be = ["remove data/blobs/", "punch data/packs/", "request"];
    let is_touched = |step: &&String| !may_be.iter().any(|begin| step.starts_with(begin));
    let touched: Vec<_> = trail[steps..].iter().filter(is_touched).collect();
    assert!(touched.is_empty(), "it went on: {touched:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_cannot_be_synced_makes_the_store_read_only() {
    let [packs, files] = Manner::BOTH;
    for failure in Failure::ALL {
        assert_eq!(fail_each(files, (Target::Blob, failure)).await, 3, "blobs are synced once each");
        assert_eq!(fail_each(packs, (Target::Blob, failure)).await, 4, "and a pack when it is made");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_cannot_be_synced_makes_the_store_read_only() {
    if is_on_postgres() {
        return;
    }
    for failure in Failure::ALL {
        assert!(fail_each(Manner::default(), (Target::Log, failure)).await >= 8, "{failure:?}");
    }
}

/// The directories of blobs. SQLite syncs the one that names its log as well, and says nothing when that fails; the engine has done it
/// before, so nothing hangs on it.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_synced_loses_nothing() {
    let [packs, files] = Manner::BOTH;
    for (manner, failure, least) in
        [(packs, Failure::Broken, 1), (packs, Failure::Full, 1), (files, Failure::Broken, 9), (files, Failure::Full, 9)]
    {
        let (fault, mut told) = ((Target::Directory, failure), 0);
        for number in 1.. {
            let packs = manner.pack_size_bytes_max;
            let _told = Told(format!("sync {number} failed, {fault:?}, packs up to {packs}"));
            let Some(failing) = Box::pin(Failing::at_sync(manner, fault, number)).await else { break };
            if failing.error.is_some() {
                is_read_only_and_says_so(&failing).await;
                told += 1;
            }
            failing.cut_and_check().await;
            let Some(failing) = Box::pin(Failing::at_sync(manner, fault, number)).await else { break };
            Box::pin(failing.restart_work_on_and_cut()).await;
        }
        assert!(told >= least, "three for each of three blobs, or one for their pack, and {told} were noticed");
    }
}

/// Puts small objects, with a checkpoint of the store's own every few, until the disk fails as it is told to.
async fn at_fault(fault: impl Fn(&SimulatedDisk)) -> Failing {
    let failing = puts_at_fault(fault).await;
    assert!(failing.error.is_some(), "the disk failed and nobody was told, or it did not");
    failing
}

/// As [`at_fault`], where it may be that nobody is told.
async fn puts_at_fault(fault: impl Fn(&SimulatedDisk)) -> Failing {
    let prepared = Prepared::new().await;
    let root = prepared.copy();
    let disk = SimulatedDisk::open(root.path()).unwrap();
    let store = Store::open_as(&disk, root.path(), &prepared.ada, Manner::SHORT_LOG).await.unwrap();
    fault(&disk);
    let (client, mut model) = (store.client(BUCKET), None);
    let puts = (0..200).map(|number| put(&format!("k{number}"), if number % 3 == 2 { 5_000 } else { 300 }));
    for operation in [Operation::CreateBucket].into_iter().chain(puts) {
        let next = operation.apply(&model);
        if let Err(error) = client.perform(&operation, &model).await {
            return Failing { prepared, root, disk, store, allowed: vec![model, next], error: Some(error) };
        }
        model = next;
    }
    Failing { prepared, root, disk, store, allowed: vec![model], error: None }
}

/// The store takes no more writes, and has what it acknowledged: also when it is started again, works on, and loses power.
async fn is_read_only_after(fault: impl Fn(&SimulatedDisk)) -> Failing {
    let failing = at_fault(&fault).await;
    is_read_only_and_says_so(&failing).await;
    failing.cut_and_check().await;
    at_fault(&fault).await.restart_work_on_and_cut().await;
    failing
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_cannot_be_synced_makes_the_store_read_only() {
    if is_on_postgres() {
        return;
    }
    for (number, failure) in (1..=3).flat_map(|number| Failure::ALL.map(|failure| (number, failure))) {
        let _told = Told(format!("sync {number} of the database failed in the store's own checkpoint, {failure:?}"));
        is_read_only_after(|disk| disk.fail_sync_as(Target::Database, number, failure)).await;
    }
    // A commit syncs the log after it has written to it, and a checkpoint that follows does again.
    let mut checkpoints = 0;
    for number in 1..=16 {
        let failure = Failure::ALL[usize::from(number % 2 == 0)];
        let _told = Told(format!("sync {number} of the log failed, {failure:?}"));
        let failing = is_read_only_after(|disk| disk.fail_sync_as(Target::Log, number, failure)).await;
        let trail = failing.disk.trail();
        let of_log: Vec<_> = trail.iter().filter(|step| step.ends_with(" data/metadata.sqlite-wal")).collect();
        let last = of_log.iter().rposition(|step| step.starts_with("sync ")).unwrap();
        checkpoints += usize::from(of_log[last - 1] == of_log[last]);
    }
    assert!(checkpoints > 0, "no checkpoint met it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_the_database_that_fails_makes_the_store_read_only() {
    if is_on_postgres() {
        return;
    }
    for (target, number) in [(Target::Log, 1), (Target::Log, 7), (Target::Database, 1), (Target::Database, 4)] {
        let _told = Told(format!("write {number} of {target:?} failed"));
        is_read_only_after(|disk| disk.fail_write(target, number)).await;
    }
}

/// Nobody but the one whose blob it is need know.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_a_blob_that_fails_is_an_error_and_passes() {
    for number in 1..=4 {
        let _told = Told(format!("write {number} of a blob failed"));
        let Failing { prepared, root: _root, disk, store, allowed, error } =
            at_fault(|disk| disk.fail_write(Target::Blob, number)).await;
        assert!(matches!(error, Some(Error::Io { .. })), "{error:?}");
        assert_eq!(store.engine.health().await.read_only, None);
        let (client, model) = (store.client(BUCKET), &allowed[0]);
        assert_eq!(client.view().await.unwrap(), view(model));
        let later = put("later", 5_000);
        client.perform(&later, model).await.unwrap();
        disk.crash_now();
        store.close().await;
        cut_and_check(&disk, &prepared, &[later.apply(model)]).await;
    }
}

/// The journal names what is lost with the database, and nothing rests on it.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_cannot_be_written_keeps_nobody_from_writing() {
    for number in 1..=3 {
        let _told = Told(format!("write {number} of the journal failed"));
        let Failing { prepared, root, disk, store, allowed, error } =
            puts_at_fault(|disk| disk.fail_write(Target::Journal, number)).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(store.engine.health().await.read_only, None);
        let names = std::fs::read_dir(root.path().join("data/journal")).unwrap();
        let broken = names.filter(|name| name.as_ref().unwrap().file_name().to_str().unwrap().ends_with(".broken.log"));
        assert_eq!(broken.count(), 1, "it says that it broke off");
        let (client, model) = (store.client(BUCKET), &allowed[0]);
        assert_eq!(client.view().await.unwrap(), view(model));
        disk.crash_now();
        store.close().await;
        cut_and_check(&disk, &prepared, &allowed).await;
    }
}

/// A checkpoint of somebody else's: what it could not write is still in the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_of_somebody_else_that_cannot_be_synced_loses_nothing() {
    if is_on_postgres() {
        return;
    }
    let (fault, mut count) = ((Target::Database, Failure::Broken), 0);
    for number in 1.. {
        let _told = Told(format!("sync {number} of the database failed"));
        let Some(failing) = Failing::at_sync(Manner::default(), fault, number).await else { break };
        failing.cut_and_check().await;
        let Some(failing) = Failing::at_sync(Manner::default(), fault, number).await else { break };
        Box::pin(failing.restart_work_on_and_cut()).await;
        count += 1;
    }
    assert!(count >= 2, "{count} checkpoints");
}

/// Whoever makes the next checkpoint writes everything again, whether anybody noticed that one failed or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_failed_unnoticed_is_made_good_by_the_next() {
    if is_on_postgres() {
        return;
    }
    let prepared = Prepared::new().await;
    for number in 1..=2 {
        let _told = Told(format!("sync {number} of the database failed, and the store went on"));
        let root = prepared.copy();
        let disk = SimulatedDisk::open(root.path()).unwrap();
        let store = Store::open(&disk, root.path(), &prepared.ada).await.unwrap();
        disk.fail_sync(Target::Database, number);
        let (client, mut model, mut failures) = (store.client(BUCKET), None, 0);
        for operation in operations().into_iter().chain([Operation::Checkpoint, put("later", 500), put("later", 6_000)])
        {
            match client.perform(&operation, &model).await {
                Ok(()) => model = operation.apply(&model),
                Err(error) => {
                    assert!(matches!(operation, Operation::Checkpoint), "{operation:?}: {error:?}");
                    failures += 1;
                }
            }
        }
        assert_eq!(failures, 1, "one checkpoint met it");
        disk.crash_now();
        store.close().await;
        cut_and_check(&disk, &prepared, &[model]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_fails_passes() {
    let prepared = Prepared::new().await;
    let mut failures = 0;
    for (target, number) in [
        (Target::Blob, 1),
        (Target::Blob, 2),
        (Target::Blob, 4),
        (Target::Log, 1),
        (Target::Log, 3),
        (Target::Database, 1),
    ] {
        let root = prepared.copy();
        let disk = SimulatedDisk::open(root.path()).unwrap();
        let store = Store::open(&disk, root.path(), &prepared.ada).await.unwrap();
        let client = store.client(BUCKET);
        let mut model = None;
        for operation in [Operation::CreateBucket, put("small", 300), put("large", 5_000)] {
            client.perform(&operation, &model).await.unwrap();
            model = operation.apply(&model);
        }
        disk.fail_read(target, number);
        // Whoever meets it is told of a failure, and nobody is given wrong bytes.
        for _ in 0..20 {
            match client.view().await {
                Ok(seen) => assert_eq!(seen, view(&model)),
                Err(error) => {
                    assert!(matches!(error, Error::Io { .. } | Error::Metadata { .. } | Error::Body(_)), "{error:?}");
                    failures += 1;
                }
            }
        }
        assert_eq!(client.view().await.unwrap(), view(&model));
        assert_eq!(store.engine.health().await.read_only, None);
        client.perform(&put("after", 5_000), &model).await.unwrap();
        store.close().await;
    }
    assert!(failures >= 3, "only {failures} reads failed");
}
