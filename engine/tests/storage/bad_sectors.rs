//! Sectors that cannot be read: they cost what lies in them, and stop nothing that looks after the rest.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::{BackupOptions, BucketName, Caller, Engine, Error, OnProgress, Problem, RebuildOptions, Settings};

use crate::bad_disk::BadDisk;
use crate::check::check;
use crate::world::{World, elsewhere, everything, noise};

const OPERATOR: Caller = Caller::LocalOperator;
/// Where the bytes of a blob begin.
const HEAD_BYTES: u64 = 4096;

/// A store on a disk that is to fail: five objects share a pack, and five have a file each.
async fn on_bad_disk() -> (World, BucketName, BadDisk) {
    let (mut world, disk) = (World::new().await, BadDisk::default());
    let put_in = disk.clone();
    world.restart_with(|settings| settings.disk = Arc::new(put_in)).await;
    let bucket = world.bucket("sectors").await;
    for number in 0..5 {
        world.put(&bucket, &format!("packed-{number}"), noise(60_000 + number)).await;
        world.put(&bucket, &format!("own-{number}"), noise(300_000 + number)).await;
    }
    (world, bucket, disk)
}

/// Where a packed blob and one with a file of its own begin, the first of each.
fn one_of_each(world: &World) -> [(String, PathBuf, u64); 2] {
    [true, false].map(|is_packed| {
        let mut blobs = world.blobs().into_iter();
        let found = blobs.find(|(_, path, _)| path.parent().unwrap().ends_with("packs") == is_packed).unwrap();
        (found.0, found.1, found.2.start as u64)
    })
}

/// Breaks a sector of each of two blobs, at a place of them.
fn break_two(world: &World, disk: &BadDisk, at: u64) -> Vec<String> {
    let broken = one_of_each(world).map(|(id, path, start)| {
        disk.break_sectors(&path, start + at..start + at + 512);
        id
    });
    broken.into()
}

fn names(what: &[String], id: &str) -> bool {
    what.iter().any(|what| what.contains(id) || what.contains("reading a blob failed"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_up_leaves_out_what_cannot_be_read() {
    for at in [0, HEAD_BYTES + 10_000] {
        let (world, _, disk) = on_bad_disk().await;
        let broken = break_two(&world, &disk, at);
        let pool = tempfile::tempdir().unwrap();
        let made = world.engine.back_up(&OPERATOR, pool.path(), BackupOptions::default(), &OnProgress::nobody()).await;
        let made = made.unwrap();
        assert_eq!((made.blob_count, made.copied_count, made.damaged.len()), (8, 8, 2), "{made:?}");
        assert!(broken.iter().all(|id| names(&made.damaged, id)), "{made:?}");
        let (unused, nobody) = (Settings::new("unused"), OnProgress::nobody());
        let verified = engine::verify_backup(&OPERATOR, &unused, pool.path(), &nobody).await.unwrap();
        assert_eq!(verified.damaged.len(), 2, "those that were left out");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_up_that_cannot_be_written_is_an_error() {
    let (world, _, disk) = on_bad_disk().await;
    let pool = tempfile::tempdir().unwrap();
    disk.refuse_writes(&pool.path().join("blobs"));
    let made = world.engine.back_up(&OPERATOR, pool.path(), BackupOptions::default(), &OnProgress::nobody()).await;
    assert!(matches!(made, Err(Error::Io { .. })), "{made:?}");
}

fn copy_in(pool: &Path, id: &str) -> PathBuf {
    pool.join("blobs").join(&id[..2]).join(&id[2..4]).join(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_cannot_be_read_is_left_out_of_a_restore_and_made_anew_by_the_next_back_up() {
    let (world, _, disk) = on_bad_disk().await;
    let (pool, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let back_up = async || {
        world.clock.advance(Duration::from_secs(1));
        let options = BackupOptions { verify_pool: true, ..BackupOptions::default() };
        world.engine.back_up(&OPERATOR, pool.path(), options, &OnProgress::nobody()).await.unwrap()
    };
    back_up().await;
    let [(in_body, ..), (in_head, ..)] = one_of_each(&world);
    disk.break_sectors(&copy_in(pool.path(), &in_body), HEAD_BYTES + 100..HEAD_BYTES + 600);
    disk.break_sectors(&copy_in(pool.path(), &in_head), 0..512);
    let settings = Settings { disk: Arc::new(disk.clone()), ..elsewhere(to.path()) };
    let keys = world.directory.path().join("keys.json");
    let restored =
        engine::restore_backup(&OPERATOR, &settings, pool.path(), Some(&keys), false, &OnProgress::nobody()).await;
    let restored = restored.unwrap();
    assert_eq!((restored.blob_count, restored.damaged.len()), (8, 2), "{restored:?}");
    for id in [&in_body, &in_head] {
        assert!(restored.damaged.iter().any(|damaged| damaged.subject.contains(id.as_str())), "{restored:?}");
    }
    let verified = engine::verify_backup(&OPERATOR, &settings, pool.path(), &OnProgress::nobody()).await.unwrap();
    assert_eq!((verified.blob_count, verified.damaged.len()), (10, 2), "{verified:?}");
    let made = back_up().await;
    assert_eq!((made.copied_count, made.replaced.len(), made.damaged.len()), (2, 2, 0), "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_and_the_orphan_sweep_go_past_what_cannot_be_read() {
    let (world, bucket, disk) = on_bad_disk().await;
    break_two(&world, &disk, 0);
    let unknown = world.directory.path().join("blobs/ab/cd");
    std::fs::create_dir_all(&unknown).unwrap();
    std::fs::write(unknown.join("abcd0000000000000000000000000000"), b"half a blob").unwrap();

    let found = check(&world, false).await;
    assert_eq!((found.count(Problem::BlobDamaged), found.count(Problem::BlobWithoutRow)), (2, 1), "{found:?}");
    assert_eq!(found.count(Problem::DiskFailed), 1, "a page of the pack could not be looked at: {found:?}");
    assert_eq!(found.examined.contents, 10, "everything was looked at: {found:?}");

    world.engine.run_workers().await.unwrap();
    assert_eq!(world.quarantine_count(), 1, "the one that no row knows");
    let mut read_count = 0;
    for number in 0..5 {
        if let Ok(bytes) = world.get(&bucket, &format!("own-{number}")).await {
            assert_eq!(bytes, noise(300_000 + number));
            read_count += 1;
        }
    }
    assert_eq!(read_count, 4, "all but the one whose sector is broken");
    assert_eq!(check(&world, true).await.open_count(), 3, "a repair cannot set it right");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_blob_that_cannot_be_read_keeps_no_other_from_quarantine() {
    let (world, _, disk) = on_bad_disk().await;
    break_two(&world, &disk, HEAD_BYTES + 10_000);
    let packed = one_of_each(&world)[0].0.clone();
    // Its row is hidden, and another blob that no row knows comes after it.
    let hidden =
        format!("UPDATE contents SET blob_id = CAST('0000000000000000' AS BLOB) WHERE blob_id = {}", hex(&packed));
    assert_eq!(world.sql(hidden.leak()).await, 1);
    let unknown = world.directory.path().join("blobs/ff/ff");
    std::fs::create_dir_all(&unknown).unwrap();
    std::fs::write(unknown.join("ffff0000000000000000000000000000"), b"half a blob").unwrap();
    world.engine.run_workers().await.unwrap();
    assert_eq!(world.quarantine_count(), 1);
    let repaired = check(&world, true).await;
    assert_eq!(repaired.found[&Problem::BlobWithoutRow].repaired, 0, "it cannot be moved: {repaired:?}");
    assert_eq!(repaired.examined.contents, 10, "{repaired:?}");
}

/// A blob id as both kinds of database spell it.
fn hex(id: &str) -> String {
    match test_databases::asked_for() {
        Some(_) => format!("'\\x{id}'"),
        None => format!("X'{id}'"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_read_hides_no_other() {
    let (world, _, disk) = on_bad_disk().await;
    let own = one_of_each(&world)[1].1.clone();
    disk.break_sectors(own.parent().unwrap(), 0..1);
    let found = check(&world, false).await;
    assert_eq!(found.examined.blobs, 9, "{found:?}");
    assert_eq!((found.count(Problem::DiskFailed), found.open_count()), (1, 1), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_rebuilt_beside_what_cannot_be_read() {
    let (world, _, disk) = on_bad_disk().await;
    world.engine.take_snapshot(&OPERATOR).await.unwrap();
    break_two(&world, &disk, 0);
    world.engine.close().await;
    world.lose_database();
    let rebuilt =
        engine::rebuild_index(&OPERATOR, world.settings(), &RebuildOptions::default(), &OnProgress::nobody()).await;
    let rebuilt = rebuilt.unwrap();
    assert_eq!((rebuilt.objects_lost_count, rebuilt.check.count(Problem::BlobDamaged)), (0, 2), "{rebuilt:?}");
    let engine = Engine::open(Settings { disk: Arc::new(engine::disk::LocalDisk), ..world.settings() }).await.unwrap();
    assert_eq!(everything(&engine, &world.ada).await.len(), 10, "a better disk gives all of it");
    engine.close().await;
}
