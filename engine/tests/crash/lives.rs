//! Crashes at every step of what is more than one operation on one bucket: the first start, a start after a crash, commits that several
//! share, the deletion of a user and the end of its data.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::disk::LocalDisk;
use engine::{Caller, GroupId, UserId};
use futures::future::join_all;
use simulated_disk::{Moment, SimulatedDisk};
use tempfile::TempDir;

use crate::check::{Told, check, check_reopened};
use crate::model::{Content, Model, Operation, View, view};
use crate::points::{every_crash, in_parallel};
use crate::store::{Machine, Manner, Prepared, Store, fork_database, is_on_postgres, new_root, scratch};

const BUCKET: &str = "lives";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn put(key: &str, size: usize) -> Operation {
    Operation::Put { key: key.to_owned(), content: Content::noise(size, key.len() as u64 + size as u64) }
}

async fn perform_all(store: &Store, bucket: &str, operations: &[Operation]) -> Model {
    let mut model = None;
    for operation in operations {
        store.client(bucket).perform(operation, &model).await.unwrap();
        model = operation.apply(&model);
    }
    model
}

/// What a bucket has before anything happens to its owner.
fn belongings() -> Vec<Operation> {
    vec![
        Operation::CreateBucket,
        put("small", 300),
        put("large", 5_000),
        Operation::CreateUpload { key: "upload".to_owned() },
        Operation::PutPart { key: "upload".to_owned(), number: 1, content: Content::noise(6_000, 1) },
    ]
}

/// What two kinds of crash leave: a dead process to the machine's own disk, and a power cut to a simulated one.
fn aftermaths(disk: &SimulatedDisk, seed: u64) -> Vec<(Machine, TempDir)> {
    let (left, cut) = (scratch(), scratch());
    disk.leave(left.path()).unwrap();
    disk.cut_power(seed, cut.path()).unwrap();
    fork_database(cut.path());
    let after = SimulatedDisk::open(cut.path()).unwrap();
    vec![(LocalDisk.into(), left), ((&after).into(), cut)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_was_cut_off_is_made_again() {
    let prepared = Arc::new(Prepared::new().await);
    let root = new_root();
    let disk = SimulatedDisk::open(root.path()).unwrap();
    Store::open(&disk, root.path(), &prepared.ada).await.unwrap().engine.close().await;
    in_parallel(every_crash(&disk.trail(), 0), |(step, moment)| {
        let prepared = prepared.clone();
        async move {
            let _told = Told(format!("{moment:?} step {step} of the first start"));
            let root = new_root();
            let disk = SimulatedDisk::open(root.path()).unwrap();
            disk.crash_in(step, moment);
            if let Ok(store) = Store::open(&disk, root.path(), &prepared.ada).await {
                store.close().await;
            }
            for (machine, root) in aftermaths(&disk, step) {
                let store = Store::open(machine, root.path(), &prepared.ada).await.unwrap();
                check(&store, true).await;
                store.close().await;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_after_a_crash_that_is_cut_off_is_made_again() {
    let prepared = Arc::new(Prepared::new().await);
    let crashed = prepared.copy();
    let disk = SimulatedDisk::open(crashed.path()).unwrap();
    let store = Store::open(&disk, crashed.path(), &prepared.ada).await.unwrap();
    let model = Arc::new(perform_all(&store, BUCKET, &belongings()).await);
    disk.crash_now();
    store.close().await;
    let (crashed, left) = (disk, scratch());
    crashed.leave(left.path()).unwrap();
    fork_database(left.path());
    let disk = SimulatedDisk::open(left.path()).unwrap();
    Store::open(&disk, left.path(), &prepared.ada).await.unwrap().engine.close().await;
    in_parallel(every_crash(&disk.trail(), 0), |(step, moment)| {
        let (prepared, crashed, model) = (prepared.clone(), crashed.clone(), model.clone());
        async move {
            let _told = Told(format!("{moment:?} step {step} of a start after a crash"));
            let root = scratch();
            crashed.leave(root.path()).unwrap();
            fork_database(root.path());
            let disk = SimulatedDisk::open(root.path()).unwrap();
            disk.crash_in(step, moment);
            if let Ok(store) = Store::open(&disk, root.path(), &prepared.ada).await {
                store.close().await;
            }
            for (machine, root) in aftermaths(&disk, step) {
                reopen(machine, root.path(), &prepared, &[(BUCKET.to_owned(), vec![view(&model)])]).await;
            }
        }
    })
    .await;
}

async fn reopen(machine: Machine, root: &Path, prepared: &Prepared, expected: &[(String, Vec<View>)]) {
    let store = Store::open(machine, root, &prepared.ada).await.unwrap();
    check_reopened(&store, expected).await;
    store.close().await;
}

/// Nothing else is written: only the time for which a relaxed write may wait is what makes it durable.
#[tokio::test(flavor = "multi_thread")]
async fn a_relaxed_write_becomes_durable_by_itself() {
    if is_on_postgres() {
        return;
    }
    let prepared = Prepared::new().await;
    let root = prepared.copy();
    let disk = SimulatedDisk::open(root.path()).unwrap();
    let store = Store::open(&disk, root.path(), &prepared.ada).await.unwrap();
    let model = perform_all(&store, BUCKET, &[Operation::CreateBucket, Operation::Relax, put("small", 300)]).await;
    let before = disk.trail().len();
    let is_synced = || disk.trail()[before..].iter().any(|step| step.starts_with("sync"));
    for _ in 0..600 {
        if is_synced() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(is_synced(), "nothing was synced after it: {:?}", &disk.trail()[before..]);
    disk.crash_now();
    store.close().await;
    for seed in 0..20 {
        let cut = scratch();
        disk.cut_power(seed, cut.path()).unwrap();
        let after = SimulatedDisk::open(cut.path()).unwrap();
        reopen((&after).into(), cut.path(), &prepared, &[(BUCKET.to_owned(), vec![view(&model)])]).await;
    }
}

const CLIENTS: usize = 5;

fn own_bucket(number: usize) -> String {
    format!("client-{number}")
}

/// A store in which each client has a bucket, and whose commits wait for others.
async fn shared(prepared: &Prepared, root: &Path, disk: &SimulatedDisk) -> Store {
    let manner = Manner { fsync_delay: Duration::from_millis(3), ..Manner::default() };
    let store = Store::open_as(disk, root, &prepared.ada, manner).await.unwrap();
    join_all((0..CLIENTS).map(|number| {
        let client = store.client(&own_bucket(number));
        async move { client.perform(&Operation::CreateBucket, &None).await.unwrap() }
    }))
    .await;
    store
}

/// What the disk did until several clients had put, two of them at least in one commit; and where that began. On a busy machine the clients
/// may come one after another, so this is tried until they meet.
async fn shared_commit(prepared: &Prepared) -> (Vec<String>, usize) {
    for _ in 0..100 {
        let root = prepared.copy();
        let disk = SimulatedDisk::open(root.path()).unwrap();
        let store = shared(prepared, root.path(), &disk).await;
        let before = disk.trail().len();
        put_at_once(&store).await;
        store.close().await;
        let trail = disk.trail();
        let is_commit = |step: &&String| ["sync data/metadata.sqlite-wal", "request COMMIT"].contains(&step.as_str());
        let commits = trail[before..].iter().filter(is_commit).count();
        if commits < CLIENTS {
            return (trail, before);
        }
    }
    panic!("the clients never shared a commit");
}

/// Every client puts at once; returns how each bucket may be.
async fn put_at_once(store: &Store) -> Vec<(String, Vec<View>)> {
    let empty = Operation::CreateBucket.apply(&None);
    join_all((0..CLIENTS).map(|number| {
        let (client, before) = (store.client(&own_bucket(number)), empty.clone());
        async move {
            let put = put("k", 400 + 1_500 * number);
            let after = put.apply(&before);
            let allowed = match client.perform(&put, &before).await {
                Ok(()) => vec![view(&after)],
                Err(_) => vec![view(&before), view(&after)],
            };
            (own_bucket(number), allowed)
        }
    }))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_share_a_commit_are_each_old_or_new() {
    let prepared = Arc::new(Prepared::new().await);
    let (trail, before) = shared_commit(&prepared).await;
    in_parallel(every_crash(&trail, before), |(step, moment)| {
        let prepared = prepared.clone();
        async move {
            let _told = Told(format!("{moment:?} step {step} of several puts"));
            let root = prepared.copy();
            let disk = SimulatedDisk::open(root.path()).unwrap();
            let store = shared(&prepared, root.path(), &disk).await;
            disk.crash_in(step - before as u64, moment);
            let allowed = put_at_once(&store).await;
            store.close().await;
            for (machine, root) in aftermaths(&disk, step) {
                reopen(machine, root.path(), &prepared, &allowed).await;
            }
        }
    })
    .await;
}

fn ada() -> (GroupId, UserId) {
    (GroupId::new("acme").unwrap(), UserId::new("ada").unwrap())
}

async fn delete_ada(store: &Store) -> engine::Result<()> {
    let (group, user) = ada();
    store.unless_dead(store.engine.delete_user(&Caller::AdminService, &group, &user)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_is_there_with_its_data_or_in_the_trash_with_it() {
    let prepared = Arc::new(Prepared::new().await);
    let root = prepared.copy();
    let disk = SimulatedDisk::open(root.path()).unwrap();
    let store = Store::open(&disk, root.path(), &prepared.ada).await.unwrap();
    perform_all(&store, BUCKET, &belongings()).await;
    let before = disk.trail().len();
    delete_ada(&store).await.unwrap();
    store.close().await;
    in_parallel(every_crash(&disk.trail(), before), |(step, moment)| {
        let prepared = prepared.clone();
        async move { delete_and_crash(&prepared, step - before as u64, moment).await }
    })
    .await;
}

async fn delete_and_crash(prepared: &Prepared, step: u64, moment: Moment) {
    let _told = Told(format!("{moment:?} step {step} of the deletion of a user"));
    let root = prepared.copy();
    let disk = SimulatedDisk::open(root.path()).unwrap();
    let store = Store::open(&disk, root.path(), &prepared.ada).await.unwrap();
    let model = perform_all(&store, BUCKET, &belongings()).await;
    disk.crash_in(step, moment);
    let acknowledged = delete_ada(&store).await.is_ok();
    store.close().await;
    for (machine, root) in aftermaths(&disk, step) {
        let store = Store::open(machine, root.path(), &prepared.ada).await.unwrap();
        check(&store, false).await;
        let (group, user) = ada();
        let there = store.engine.find_user(&Caller::LocalOperator, &group, &user).await.unwrap().is_some();
        let trash = store.engine.list_trash(&Caller::LocalOperator).await.unwrap();
        assert_eq!((there, trash.len()), if there { (true, 0) } else { (false, 1) });
        assert!(!(there && acknowledged), "the deletion was acknowledged and is lost");
        if let Some(trashed) = trash.first() {
            assert_eq!(store.client(BUCKET).view().await.unwrap(), None, "the trash can be read");
            store.engine.restore_user(&Caller::LocalOperator, &trashed.canonical_id).await.unwrap();
        }
        check_reopened(&store, &[(BUCKET.to_owned(), vec![view(&model)])]).await;
        store.close().await;
    }
}

/// Ends the grace period and lets all background work run.
async fn purge(store: &Store) -> engine::Result<()> {
    store.clock.advance(8 * DAY);
    store.unless_dead(store.engine.run_workers()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_was_cut_off_is_finished_and_leaves_nothing() {
    let prepared = Arc::new(Prepared::new().await);
    let root = prepared.copy();
    let disk = SimulatedDisk::open(root.path()).unwrap();
    let store = Store::open(&disk, root.path(), &prepared.ada).await.unwrap();
    perform_all(&store, BUCKET, &belongings()).await;
    delete_ada(&store).await.unwrap();
    let before = disk.trail().len();
    purge(&store).await.unwrap();
    store.clean().await.unwrap();
    store.close().await;
    in_parallel(every_crash(&disk.trail(), before), |(step, moment)| {
        let prepared = prepared.clone();
        async move { purge_and_crash(&prepared, step - before as u64, moment).await }
    })
    .await;
}

async fn purge_and_crash(prepared: &Prepared, step: u64, moment: Moment) {
    let _told = Told(format!("{moment:?} step {step} of a purge"));
    let root = prepared.copy();
    let disk = SimulatedDisk::open(root.path()).unwrap();
    let store = Store::open(&disk, root.path(), &prepared.ada).await.unwrap();
    perform_all(&store, BUCKET, &belongings()).await;
    delete_ada(&store).await.unwrap();
    disk.crash_in(step, moment);
    if purge(&store).await.is_ok() {
        // Whether it still works or is dead by now, the next start is what counts.
        let _ = store.clean().await;
    }
    store.close().await;
    for (machine, root) in aftermaths(&disk, step) {
        let store = Store::open(machine, root.path(), &prepared.ada).await.unwrap();
        check(&store, false).await;
        purge(&store).await.unwrap();
        // What the first life noted as garbage, it noted eight days ahead of this one's clock.
        store.clock.advance(8 * DAY);
        store.clean().await.unwrap();
        assert!(store.engine.list_trash(&Caller::LocalOperator).await.unwrap().is_empty());
        check_reopened(&store, &[(BUCKET.to_owned(), vec![None])]).await;
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_was_cut_off_is_none_and_an_acknowledged_one_is_whole() {
    let prepared = Arc::new(Prepared::new().await);
    let root = prepared.copy();
    let disk = SimulatedDisk::open(root.path()).unwrap();
    let store = Store::open(&disk, root.path(), &prepared.ada).await.unwrap();
    perform_all(&store, BUCKET, &belongings()).await;
    let before = disk.trail().len();
    store.engine.take_snapshot(&Caller::LocalOperator).await.unwrap();
    store.close().await;
    in_parallel(every_crash(&disk.trail(), before), |(step, moment)| {
        let prepared = prepared.clone();
        async move { snapshot_and_crash(&prepared, step - before as u64, moment).await }
    })
    .await;
}

async fn snapshot_and_crash(prepared: &Prepared, step: u64, moment: Moment) {
    let _told = Told(format!("{moment:?} step {step} of a snapshot"));
    let root = prepared.copy();
    let disk = SimulatedDisk::open(root.path()).unwrap();
    let store = Store::open(&disk, root.path(), &prepared.ada).await.unwrap();
    let model = perform_all(&store, BUCKET, &belongings()).await;
    disk.crash_in(step, moment);
    let snapshot = store.unless_dead(store.engine.take_snapshot(&Caller::LocalOperator));
    let acknowledged = snapshot.await.is_ok();
    store.close().await;
    for (machine, root) in aftermaths(&disk, step) {
        let store = Store::open(machine, root.path(), &prepared.ada).await.unwrap();
        // This looks into each snapshot that there is.
        check_reopened(&store, &[(BUCKET.to_owned(), vec![view(&model)])]).await;
        let count = store.engine.snapshots(&Caller::LocalOperator).unwrap().len();
        assert!(count == 1 || !acknowledged && count == 0, "{count} snapshots");
        store.engine.take_snapshot(&Caller::LocalOperator).await.unwrap();
        store.close().await;
    }
}
