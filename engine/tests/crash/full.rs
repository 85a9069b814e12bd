//! The disk fills up before a sync: a clear error, reads go on, nothing half-done stays, and writes return when there is room again.

use std::time::Duration;

use engine::Error;
use futures::future::join_all;
use simulated_disk::{SimulatedDisk, Target};

use crate::blobs::blobs;
use crate::check::{Told, check, check_quarantine, check_reopened};
use crate::model::{Content, Model, Operation, view};
use crate::store::{Client, Manner, Prepared, Store, data_dir, is_on_postgres, scratch};

const BUCKET: &str = "full";

fn put(key: &str, size: usize) -> Operation {
    Operation::Put { key: key.to_owned(), content: Content::noise(size, key.len() as u64 + size as u64) }
}

fn part(number: u32, size: usize) -> Operation {
    Operation::PutPart { key: "upload".to_owned(), number, content: Content::noise(size, size as u64) }
}

/// What is in the bucket before the disk fills up.
fn before() -> Vec<Operation> {
    vec![
        Operation::CreateBucket,
        put("small", 300),
        put("large", 5_000),
        Operation::CreateUpload { key: "upload".to_owned() },
        part(1, 5_000),
        part(2, 2_000),
    ]
}

async fn perform_all(client: &Client, operations: &[Operation]) -> Model {
    let mut model = None;
    for operation in operations {
        client.perform(operation, &model).await.unwrap();
        model = operation.apply(&model);
    }
    model
}

/// Where the rows of an operation are written to.
enum Rows {
    /// It writes nothing else.
    Only,
    /// It writes a blob before.
    AfterABlob,
}

/// Fills the disk after each possible number of writes of an operation, and looks how often that was refused. On PostgreSQL only blobs are
/// written to this disk.
async fn fill_during(operation: Operation, rows: Rows) {
    for manner in Manner::BOTH {
        let refused = fill_during_as(&operation, manner).await;
        let is_as_often = match rows {
            Rows::Only if is_on_postgres() => refused == 0,
            Rows::Only => refused > 3,
            Rows::AfterABlob if is_on_postgres() => refused > 0,
            Rows::AfterABlob => refused > 4,
        };
        assert!(is_as_often, "{operation:?} was refused {refused} times");
    }
}

async fn fill_during_as(operation: &Operation, manner: Manner) -> u64 {
    let prepared = Prepared::new().await;
    let mut refused = 0;
    for writes in 0.. {
        let packs = manner.pack_size_bytes_max;
        let _told = Told(format!("full after {writes} writes of {operation:?}, packs up to {packs}"));
        let root = prepared.copy();
        let disk = SimulatedDisk::open(root.path()).unwrap();
        let store = Store::open_as(&disk, root.path(), &prepared.ada, manner).await.unwrap();
        let client = store.client(BUCKET);
        let model = perform_all(&client, &before()).await;
        disk.fill_after(writes);
        let done = client.perform(operation, &model).await;
        let model = match &done {
            Ok(()) => operation.apply(&model),
            Err(Error::DiskFull) => model,
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(client.view().await.unwrap(), view(&model), "what is read while the disk is full");
        assert_eq!(store.engine.health().await.read_only, None, "a full disk passes");
        disk.free_space();
        let again = put("again", 6_000);
        client.perform(&again, &model).await.unwrap();
        let model = again.apply(&model);
        nothing_is_half_done(&store).await;
        store.close().await;
        reopen_after_power_cut(&disk, writes, &prepared, &model).await;
        if done.is_ok() {
            return refused;
        }
        refused += 1;
    }
    refused
}

/// Every blob has its row. One whose upload was refused is removed beside the answer, so it may take a moment.
async fn nothing_is_half_done(store: &Store) {
    let blobs = || blobs(&data_dir(&store.root)).len();
    for _ in 0..500 {
        // large, the first part of the upload, and again; the operation itself may have made one more or taken one away.
        if blobs() <= 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    store.clean().await.unwrap();
    check(store, true).await;
    check_quarantine(&store.root, 0);
}

async fn reopen_after_power_cut(disk: &SimulatedDisk, seed: u64, prepared: &Prepared, model: &Model) {
    let after = scratch();
    disk.cut_power(seed, after.path()).unwrap();
    let disk = SimulatedDisk::open(after.path()).unwrap();
    let store = Store::open(&disk, after.path(), &prepared.ada).await.unwrap();
    check_reopened(&store, &[(BUCKET.to_owned(), vec![view(model)])]).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn puts_into_rows_and_blobs_are_refused_whole() {
    fill_during(put("new", 300), Rows::Only).await;
    fill_during(put("large", 9_000), Rows::AfterABlob).await;
    // It needs another pack, or for lack of room for that a file.
    fill_during(put("large", 155_000), Rows::AfterABlob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_and_completes_are_refused_whole() {
    fill_during(part(1, 7_000), Rows::AfterABlob).await;
    fill_during(Operation::Complete { key: "upload".to_owned() }, Rows::Only).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_rows_are_refused_whole() {
    fill_during(Operation::Copy { from: "large".to_owned(), to: "small".to_owned() }, Rows::Only).await;
    fill_during(Operation::Delete { keys: vec!["large".to_owned()] }, Rows::Only).await;
    fill_during(Operation::Abort { key: "upload".to_owned() }, Rows::Only).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_share_a_commit_are_refused_together_and_none_is_lost() {
    let prepared = Prepared::new().await;
    let (mut kept, mut refused) = (0, 0);
    for writes in if is_on_postgres() { (0..8).step_by(1) } else { (0..120).step_by(5) } {
        let _told = Told(format!("full after {writes} writes"));
        let root = prepared.copy();
        let disk = SimulatedDisk::open(root.path()).unwrap();
        let manner = Manner { fsync_delay: Duration::from_millis(2), ..Manner::default() };
        let store = Store::open_as(&disk, root.path(), &prepared.ada, manner).await.unwrap();
        let client = store.client(BUCKET);
        let mut model = perform_all(&client, &before()).await;
        disk.fill_after(writes);
        let puts: Vec<_> = (0..8).map(|number| put(&format!("together-{number}"), 300 + 1_000 * number)).collect();
        let answers = join_all(puts.iter().map(|put| client.perform(put, &model))).await;
        for (put, answer) in puts.iter().zip(answers) {
            match answer {
                Ok(()) => (model, kept) = (put.apply(&model), kept + 1),
                Err(Error::DiskFull) => refused += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(client.view().await.unwrap(), view(&model));
        disk.free_space();
        let again = put("again", 6_000);
        client.perform(&again, &model).await.unwrap();
        store.close().await;
        reopen_after_power_cut(&disk, writes, &prepared, &again.apply(&model)).await;
    }
    assert!(kept > 20 && refused >= 10, "{kept} kept, {refused} refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_finds_no_room_harms_nothing() {
    if is_on_postgres() {
        return;
    }
    let prepared = Prepared::new().await;
    let mut failed = 0;
    for writes in 0..12 {
        let root = prepared.copy();
        let disk = SimulatedDisk::open(root.path()).unwrap();
        let store = Store::open(&disk, root.path(), &prepared.ada).await.unwrap();
        let client = store.client(BUCKET);
        let mut model = perform_all(&client, &before()).await;
        for number in 0..20 {
            let put = put(&format!("more-{number}"), 4_000);
            client.perform(&put, &model).await.unwrap();
            model = put.apply(&model);
        }
        disk.fill_after(writes);
        failed += u64::from(client.perform(&Operation::Checkpoint, &model).await.is_err());
        assert_eq!(client.view().await.unwrap(), view(&model));
        disk.free_space();
        client.perform(&Operation::Checkpoint, &model).await.unwrap();
        store.close().await;
        reopen_after_power_cut(&disk, writes, &prepared, &model).await;
    }
    assert!(failed > 5, "only {failed} checkpoints found no room");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_opens_although_there_is_no_room_to_write_its_log_out() {
    if is_on_postgres() {
        return;
    }
    let prepared = Prepared::new().await;
    let root = prepared.copy();
    let disk = SimulatedDisk::open(root.path()).unwrap();
    let store = Store::open(&disk, root.path(), &prepared.ada).await.unwrap();
    let mut model = perform_all(&store.client(BUCKET), &before()).await;
    for number in 0..20 {
        let put = put(&format!("more-{number}"), 4_000);
        store.client(BUCKET).perform(&put, &model).await.unwrap();
        model = put.apply(&model);
    }
    store.close().await;

    disk.fill_after(1);
    let store = Store::open(&disk, root.path(), &prepared.ada).await.unwrap();
    let client = store.client(BUCKET);
    assert_eq!(client.view().await.unwrap(), view(&model));
    let again = put("again", 300);
    let refused = client.perform(&again, &model).await;
    assert!(matches!(refused, Err(Error::DiskFull)), "{refused:?}");
    disk.free_space();
    client.perform(&again, &model).await.unwrap();
    store.close().await;
    reopen_after_power_cut(&disk, 1, &prepared, &again.apply(&model)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_of_the_store_that_finds_no_room_harms_nothing() {
    if is_on_postgres() {
        return;
    }
    let prepared = Prepared::new().await;
    let (mut refused, mut checkpoints) = (0, 0);
    for writes in 0..40 {
        let _told = Told(format!("full after {writes} writes"));
        let root = prepared.copy();
        let disk = SimulatedDisk::open(root.path()).unwrap();
        let manner = Manner::SHORT_LOG;
        let store = Store::open_as(&disk, root.path(), &prepared.ada, manner).await.unwrap();
        let client = store.client(BUCKET);
        let mut model = perform_all(&client, &before()).await;
        disk.fill_after(writes);
        let puts: Vec<_> = (0..12).map(|number| put(&format!("more-{number}"), 4_000)).collect();
        for put in &puts {
            match client.perform(put, &model).await {
                Ok(()) => model = put.apply(&model),
                Err(error) => assert!(matches!(error, Error::DiskFull), "{error:?}"),
            }
        }
        refused += disk.refused(Target::Database);
        let filled = disk.trail().len();
        disk.free_space();
        for put in &puts {
            client.perform(put, &model).await.unwrap();
            model = put.apply(&model);
        }
        let is_sync = |step: &&String| *step == "sync data/metadata.sqlite";
        checkpoints += disk.trail()[filled..].iter().filter(is_sync).count();
        store.close().await;
        reopen_after_power_cut(&disk, writes, &prepared, &model).await;
    }
    assert!(refused > 10, "only {refused} writes of checkpoints found no room");
    assert!(checkpoints > 40, "only {checkpoints} checkpoints once there was room");
}
