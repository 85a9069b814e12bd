//! Background work, the lock, the trash and what a crash leaves.

use std::time::Duration;

use std::os::unix::fs::PermissionsExt;

use engine::{
    Body, Caller, CompleteUpload, CompletedPart, DeleteTarget, Digests, Engine, Error, GroupId, NewObject, ReadObject,
    Settings, UserId,
};

use crate::world::{World, key, noise};

#[tokio::test(flavor = "multi_thread")]
async fn overwritten_and_deleted_blobs_are_freed_after_a_while() {
    let world = World::new().await;
    let bucket = world.bucket("garbage").await;
    world.put(&bucket, "o", noise(50_000)).await;
    world.put(&bucket, "o", noise(60_000)).await;
    world.engine.run_workers().await.unwrap();
    assert_eq!(world.blob_count(), 2, "a reader may still have found the old one");
    world.clock.advance(Duration::from_secs(120));
    world.engine.run_workers().await.unwrap();
    assert_eq!(world.blob_count(), 1);
    assert_eq!(world.get(&bucket, "o").await.unwrap(), noise(60_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_without_a_row_goes_to_quarantine_and_others_stay() {
    let mut world = World::new().await;
    let bucket = world.bucket("orphans").await;
    world.put(&bucket, "o", noise(50_000)).await;
    let directory = world.directory.path().join("blobs/ab/cd");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("abcd0000000000000000000000000000"), b"half a blob").unwrap();
    world.restart().await;
    world.engine.run_workers().await.unwrap();
    assert_eq!((world.blob_count(), world.quarantine_count()), (1, 1));
    assert_eq!(world.get(&bucket, "o").await.unwrap(), noise(50_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_belongs_to_one_process() {
    let world = World::new().await;
    let second = Engine::open(world.settings()).await;
    assert!(matches!(second, Err(Error::Locked(_))));
    world.engine.close().await;
    let third = Engine::open(world.settings()).await.unwrap();
    third.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_users_data_waits_in_the_trash_and_is_purged_in_time() {
    let world = World::new().await;
    let bucket = world.bucket("kept").await;
    world.put(&bucket, "small", noise(10)).await;
    world.put(&bucket, "large", noise(50_000)).await;
    let (group, user) = (GroupId::new("acme").unwrap(), UserId::new("ada").unwrap());
    world.engine.delete_user(&Caller::AdminService, &group, &user).await.unwrap();
    assert!(matches!(world.get(&bucket, "small").await, Err(Error::NoSuchBucket)));
    let taken = world.engine.create_bucket(&world.eve, &bucket).await;
    assert!(matches!(taken, Err(Error::BucketExists { owned: false })), "the name stays reserved");
    let trash = world.engine.list_trash(&Caller::LocalOperator).await.unwrap();
    assert_eq!((trash.len(), trash[0].bucket_count, trash[0].size_bytes), (1, 1, 50_010));

    world.engine.restore_user(&Caller::LocalOperator, &trash[0].canonical_id).await.unwrap();
    assert_eq!(world.get(&bucket, "large").await.unwrap(), noise(50_000));

    world.engine.delete_user(&Caller::AdminService, &group, &user).await.unwrap();
    world.clock.advance(Duration::from_secs(6 * 24 * 3600));
    world.engine.run_workers().await.unwrap();
    assert_eq!(world.engine.list_trash(&Caller::LocalOperator).await.unwrap().len(), 1);
    world.clock.advance(Duration::from_secs(2 * 24 * 3600));
    world.engine.run_workers().await.unwrap();
    world.clock.advance(Duration::from_secs(120));
    world.engine.run_workers().await.unwrap();
    assert!(world.engine.list_trash(&Caller::LocalOperator).await.unwrap().is_empty());
    assert_eq!(world.blob_count(), 0);
    world.engine.create_bucket(&world.eve, &bucket).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_are_given_up_harm_no_later_ones() {
    let world = World::new().await;
    let bucket = world.bucket("given-up").await;
    world.put(&bucket, "o", noise(20_000)).await;
    for delay_us in 0..300 {
        let read = world.get(&bucket, "o");
        // Whether it is cut depends on the moment, which differs each time; what matters is what comes after.
        let _ = tokio::time::timeout(Duration::from_micros(delay_us * 3), read).await;
    }
    for _ in 0..20 {
        assert_eq!(world.get(&bucket, "o").await.unwrap(), noise(20_000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stalled_reader_does_not_keep_the_garbage_of_others() {
    let world = World::new().await;
    let bucket = world.bucket("stalled").await;
    let upload =
        world.engine.create_upload(&world.ada, &bucket, &key("o"), NewObject::default(), None).await.unwrap().upload_id;
    let mut parts = Vec::new();
    for number in 1..=300 {
        let body = Body::from_bytes(noise(17_000));
        let part = world.engine.put_part(&world.ada, &bucket, &key("o"), &upload, number, body).await.unwrap();
        parts.push(CompletedPart { number, etag: part.etag, checksums: Digests::default() });
    }
    let complete = CompleteUpload { parts, ..CompleteUpload::default() };
    world.engine.complete_upload(&world.ada, &bucket, &key("o"), &upload, complete).await.unwrap();
    world.put(&bucket, "other", noise(50_000)).await;
    let stalled = world.engine.get_object(&world.ada, &bucket, &key("o"), &ReadObject::default()).await.unwrap();
    for name in ["o", "other"] {
        world.delete(&bucket, name).await;
    }
    world.clock.advance(Duration::from_secs(120));
    world.engine.run_workers().await.unwrap();
    assert_eq!(world.blob_count(), 300, "the other's blob is freed, the reader's stay");
    drop(stalled);
    world.engine.run_workers().await.unwrap();
    assert_eq!(world.blob_count(), 0);
}

/// Damage of the database can make two rows name one blob. What was of one object must not go with the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_another_row_needs_is_not_freed() {
    let world = World::new().await;
    let bucket = world.bucket("crossed").await;
    world.put(&bucket, "kept", noise(50_000)).await;
    world.put(&bucket, "deleted", noise(60_000)).await;
    let cross = "UPDATE contents SET blob_id = (SELECT blob_id FROM contents WHERE size_bytes = 50000) WHERE size_bytes = 60000";
    assert_eq!(world.sql(cross).await, 1);
    world.delete(&bucket, "deleted").await;
    for _ in 0..2 {
        world.clock.advance(Duration::from_secs(120));
        world.engine.run_workers().await.unwrap();
        assert_eq!(world.get(&bucket, "kept").await.unwrap(), noise(50_000));
    }
    assert_eq!(world.sql("DELETE FROM garbage").await, 0, "it is no garbage");
    world.delete(&bucket, "kept").await;
    world.clock.advance(Duration::from_secs(120));
    world.engine.run_workers().await.unwrap();
    assert_eq!((world.blob_count(), world.quarantine_count()), (0, 1), "only the one of which no row knew is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_was_open_to_others_is_closed_to_them() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let engine = Engine::open(Settings::new(directory.path())).await.unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(directory.path()), 0o700);
    for file in ["metadata.sqlite", "metadata.sqlite-wal", "keys.json"] {
        assert_eq!(mode(&directory.path().join(file)), 0o600, "{file}");
    }
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_without_their_database_are_no_new_store() {
    let world = World::new().await;
    let bucket = world.bucket("lost").await;
    world.put(&bucket, "o", noise(50_000)).await;
    world.engine.close().await;
    for file in ["metadata.sqlite", "metadata.sqlite-wal", "metadata.sqlite-shm"] {
        let _ = std::fs::remove_file(world.directory.path().join(file));
    }
    let opened = Engine::open(Settings::new(world.directory.path())).await;
    assert!(matches!(opened, Err(Error::Unusable(_))), "{opened:?}");
    assert_eq!(world.blob_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn room_for_the_metadata_is_left_on_a_full_disk() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { reserve_bytes: u64::MAX / 2, ..Settings::new(directory.path()) };
    let engine = Engine::open(settings).await.unwrap();
    let (ada, bucket) = crate::world::tenant_with_bucket(&engine).await;
    for size in [10, 100_000] {
        let body = Body::from_bytes(noise(size));
        let put = engine.put_object(&ada, &bucket, &key("o"), NewObject::default(), body).await;
        assert!(matches!(put, Err(Error::DiskFull)), "{put:?}");
    }
    let target = DeleteTarget::current(key("o"));
    assert!(engine.delete_objects(&ada, &bucket, vec![target]).await.unwrap()[0].is_ok(), "deletes go on");
    engine.close().await;
}
