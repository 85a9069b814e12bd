//! Background work, the lock, the trash and what a crash leaves.

use std::time::Duration;

use engine::{Caller, Engine, Error, GroupId, Settings, UserId};

use crate::world::{World, noise};

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
    let second = Engine::open(Settings::new(world.directory.path())).await;
    assert!(matches!(second, Err(Error::Locked(_))));
    world.engine.close().await;
    let third = Engine::open(Settings::new(world.directory.path())).await.unwrap();
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
