//! Objects in packs: everything that looks after blobs looks after these, too.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use engine::{
    BackupOptions, Body, BucketName, Caller, Database, Digests, Engine, Error, NewObject, OnProgress, Problem,
    RebuildOptions, ScrubOptions,
};

use crate::check::check;
use crate::world::{World, elsewhere, everything, key, noise};

const OPERATOR: Caller = Caller::LocalOperator;

/// The files of the packs.
fn packs(world: &World) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(world.directory.path().join("packs")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Where a blob's own file is, or would be.
fn own_file(world: &World, id: &str) -> PathBuf {
    world.directory.path().join("blobs").join(&id[..2]).join(&id[2..4]).join(id)
}

async fn with_packed_objects(world: World) -> (World, BucketName) {
    let bucket = world.bucket("packed").await;
    for size in [20_000, 140_000, 262_144] {
        world.put(&bucket, &format!("o{size}"), noise(size)).await;
    }
    assert!(world.blobs().iter().all(|(_, path, _)| path.parent().unwrap().ends_with("packs")), "{:?}", world.blobs());
    (world, bucket)
}

async fn collect_garbage(world: &World) {
    world.clock.advance(Duration::from_secs(120));
    world.engine.run_workers().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_blobs_of_the_right_size_share_files() {
    let mut world = World::new().await;
    let bucket = world.bucket("sizes").await;
    for size in [16_384, 262_145] {
        world.put(&bucket, &format!("o{size}"), noise(size)).await;
    }
    assert!(packs(&world).is_empty());
    world.put(&bucket, "packed", noise(16_385)).await;
    // A body that does not say how long it is goes to a pack as well.
    let items = noise(50_000).chunks(999).map(|item| Ok(bytes::Bytes::copy_from_slice(item))).collect::<Vec<_>>();
    let body = Body::new(Box::pin(futures::stream::iter(items)));
    world.engine.put_object(&world.ada, &bucket, &key("streamed"), NewObject::default(), body).await.unwrap();
    assert_eq!((packs(&world).len(), world.blob_count()), (1, 3));
    world.restart_with(|settings| settings.pack_size_bytes_max = 0).await;
    world.put(&bucket, "own", noise(16_385)).await;
    assert_eq!(world.blobs().iter().filter(|(_, path, _)| path.parent().unwrap().ends_with("packs")).count(), 2);
    assert_eq!(world.get(&bucket, "packed").await.unwrap(), noise(16_385));
    assert_eq!(world.get(&bucket, "streamed").await.unwrap(), noise(50_000));
    assert!(check(&world, false).await.is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_leaves_nothing_in_a_pack() {
    let world = World::new().await;
    let bucket = world.bucket("refused").await;
    let put = async |body: Body| {
        world.engine.put_object(&world.ada, &bucket, &key("o"), NewObject::default(), body).await.map(|_| ())
    };
    let mut wrong = Body::from_bytes(noise(50_000));
    wrong.expected = Digests { md5: Some([7; 16]), ..Digests::default() };
    assert!(matches!(put(wrong).await, Err(Error::BadDigest { .. })));
    let mut short = Body::from_bytes(noise(50_000));
    short.size_bytes = Some(50_001);
    assert!(matches!(put(short).await, Err(Error::IncompleteBody { .. })));
    assert_eq!(world.blob_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_leaves_holes_and_an_empty_pack_goes() {
    let (mut world, bucket) = with_packed_objects(World::new().await).await;
    world.delete(&bucket, "o140000").await;
    collect_garbage(&world).await;
    assert_eq!((world.blob_count(), packs(&world).len()), (2, 1));
    world.restart().await;
    let sealed = packs(&world)[0].metadata().unwrap().len();
    assert!(sealed < 1 << 20, "the room that was not used is given back: {sealed}");
    world.put(&bucket, "later", noise(30_000)).await;
    assert_eq!(packs(&world).len(), 2, "nothing is appended to the pack of another process");
    for name in ["o20000", "o262144", "later"] {
        world.delete(&bucket, name).await;
    }
    collect_garbage(&world).await;
    assert_eq!((world.blob_count(), packs(&world).len()), (0, 1));
    world.restart().await;
    assert!(packs(&world).is_empty(), "{:?}", packs(&world));
    assert_eq!(world.quarantine_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packed_blob_goes_to_quarantine_and_comes_back_as_a_file() {
    let (world, bucket) = with_packed_objects(World::on(Database::Embedded).await).await;
    let (id, ..) = world.blobs().into_iter().min_by_key(|(_, _, at)| at.len()).unwrap();
    // Its row is hidden, so that nobody knows it.
    world.sql("UPDATE contents SET blob_id = CAST('0000000000000000' AS BLOB) WHERE size_bytes = 20000").await;
    assert_eq!(check(&world, false).await.count(Problem::BlobWithoutRow), 1);
    collect_garbage(&world).await;
    assert_eq!((world.blob_count(), world.quarantine_count()), (2, 1));
    assert!(world.directory.path().join("quarantine").join(&id).exists());
    world.sql(format!("UPDATE contents SET blob_id = X'{id}' WHERE size_bytes = 20000").leak()).await;
    assert_eq!(check(&world, false).await.count(Problem::BlobInQuarantine), 1);
    assert_eq!(check(&world, true).await.open_count(), 0);
    assert!(own_file(&world, &id).exists(), "no place in a pack is written twice");
    assert_eq!((world.blob_count(), world.quarantine_count()), (3, 0));
    assert_eq!(world.get(&bucket, "o20000").await.unwrap(), noise(20_000));
    assert!(check(&world, true).await.is_clean());
    world.delete(&bucket, "o20000").await;
    collect_garbage(&world).await;
    assert_eq!((world.blob_count(), world.quarantine_count()), (2, 0));
}

/// A power cut leaves such bytes when it tears what was being written.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_no_blob_go_to_quarantine_and_what_a_row_knows_stays() {
    let (mut world, bucket) = with_packed_objects(World::new().await).await;
    world.restart().await;
    let (_, path, known) = world.blobs().into_iter().max_by_key(|(_, _, at)| at.len()).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let end = file.metadata().unwrap().len();
    for at in [end + 4096, end + 10 * 4096] {
        file.write_all_at(&noise(3 * 4096), at).unwrap();
    }
    file.write_all_at(&[0xff; 16], known.start as u64).unwrap();
    let found = check(&world, false).await;
    assert_eq!((found.count(Problem::BlobWithoutRow), found.count(Problem::BlobDamaged)), (2, 1), "{found:?}");

    collect_garbage(&world).await;
    let quarantine = world.directory.path().join("quarantine");
    let aside: Vec<_> = std::fs::read_dir(quarantine).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(aside.len(), 2, "{aside:?}");
    for path in aside {
        assert_eq!(std::fs::read(path).unwrap(), noise(3 * 4096));
    }
    let found = check(&world, false).await;
    assert_eq!((found.count(Problem::BlobWithoutRow), found.count(Problem::BlobDamaged)), (0, 1), "{found:?}");
    assert_eq!(world.get(&bucket, "o20000").await.unwrap(), noise(20_000));
    for name in ["o20000", "o140000", "o262144"] {
        world.delete(&bucket, name).await;
    }
    collect_garbage(&world).await;
    assert!(packs(&world).is_empty(), "nothing keeps the pack");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_in_a_pack_is_found_and_mended_by_a_copy_from_a_back_up() {
    let (world, bucket) = with_packed_objects(World::on(Database::Embedded).await).await;
    let backups = tempfile::tempdir().unwrap();
    world.engine.back_up(&OPERATOR, backups.path(), BackupOptions::default(), &OnProgress::nobody()).await.unwrap();
    let (id, path, at) = world.blobs().into_iter().max_by_key(|(_, _, at)| at.len()).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    file.write_all_at(&[0xff; 16], (at.start + 4096 + 150_000) as u64).unwrap();
    let options = ScrubOptions { rate_bytes_per_second: Some(0), restart: true };
    let scrubbed = world.engine.scrub(&OPERATOR, options, &OnProgress::nobody()).await.unwrap();
    assert_eq!(scrubbed.damage.len(), 1, "{scrubbed:?}");
    assert_eq!(scrubbed.damage[0].objects, ["packed/o262144"]);
    // A blob whose head is gone is damaged, and not missing.
    file.write_all_at(&[0; 4096], at.start as u64).unwrap();
    let found = check(&world, true).await;
    assert_eq!((found.count(Problem::BlobDamaged), found.open_count()), (1, 1), "{found:?}");
    let own = own_file(&world, &id);
    std::fs::create_dir_all(own.parent().unwrap()).unwrap();
    std::fs::copy(backups.path().join("blobs").join(&id[..2]).join(&id[2..4]).join(&id), own).unwrap();
    let mended = world.engine.scrub(&OPERATOR, options, &OnProgress::nobody()).await.unwrap();
    assert!(mended.damage.is_empty(), "{mended:?}");
    assert_eq!(world.get(&bucket, "o262144").await.unwrap(), noise(262_144));
    world.delete(&bucket, "o262144").await;
    collect_garbage(&world).await;
    assert_eq!((world.blob_count(), world.quarantine_count()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_store_has_its_packed_blobs_in_files() {
    let (world, _) = with_packed_objects(World::new().await).await;
    let (backups, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    world.engine.back_up(&OPERATOR, backups.path(), BackupOptions::default(), &OnProgress::nobody()).await.unwrap();
    let keys = world.directory.path().join("keys.json");
    let settings = elsewhere(to.path());
    let nobody = OnProgress::nobody();
    engine::restore_backup(&OPERATOR, &settings, backups.path(), Some(&keys), false, &nobody).await.unwrap();
    let engine = Engine::open(settings).await.unwrap();
    assert_eq!(everything(&engine, &world.ada).await, everything(&world.engine, &world.ada).await);
    let report = engine.check(&OPERATOR, Default::default(), &nobody).await.unwrap();
    assert!(report.is_clean() && report.examined.blobs == 3, "{report:?}");
    let again = tempfile::tempdir().unwrap();
    let made = engine.back_up(&OPERATOR, again.path(), BackupOptions::default(), &nobody).await.unwrap();
    assert_eq!((made.copied_count, made.damaged.len()), (3, 0), "{made:?}");
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_store_reads_its_packs() {
    let (world, bucket) = with_packed_objects(World::new().await).await;
    world.engine.take_snapshot(&OPERATOR).await.unwrap();
    world.put(&bucket, "unknown", noise(60_000)).await;
    world.engine.close().await;
    world.lose_database();
    let (settings, options) = (world.settings(), RebuildOptions::default());
    let report = engine::rebuild_index(&OPERATOR, settings, &options, &OnProgress::nobody()).await.unwrap();
    assert_eq!((report.blobs_unmatched_count, report.blobs_unmatched_size_bytes), (1, 60_000), "{report:?}");
    assert_eq!((report.objects_lost_count, world.blob_count(), world.quarantine_count()), (0, 3, 1));
    let engine = Engine::open(world.settings()).await.unwrap();
    let all = everything(&engine, &world.ada).await;
    assert!(all.len() == 3 && all.values().all(|bytes| *bytes == noise(bytes.len())));
    engine.close().await;
}
