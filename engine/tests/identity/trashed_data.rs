//! Buckets of deleted users: reserved, restorable, and purged in the end.

use std::time::Duration;

use engine::{BucketName, Settings, User};

use crate::support::{OPERATOR, Store, caller, failure, gid, uid};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn bucket(name: &str) -> BucketName {
    BucketName::new(name).expect("a bucket name")
}

/// A store with the user `u`, who has the bucket `data`, and is deleted.
async fn store_with_trash(change: impl FnOnce(&mut Settings)) -> (Store, User) {
    let store = Store::open_with(change).await;
    store.group("g").await;
    let user = store.user("g", "u").await;
    store.engine.create_bucket(&caller(&user), &bucket("data")).await.expect("a bucket");
    store.engine.delete_user(OPERATOR, &gid("g"), &uid("u")).await.expect("deleted");
    (store, user)
}

async fn trash_count(store: &Store) -> usize {
    store.engine.list_trash(OPERATOR).await.expect("the trash").len()
}

#[tokio::test]
async fn trashed_buckets_keep_their_names_and_come_back() {
    let (store, user) = store_with_trash(|_| ()).await;
    let trash = store.engine.list_trash(OPERATOR).await.expect("the trash");
    assert_eq!((trash.len(), trash[0].bucket_count), (1, 1));
    assert_eq!(failure(store.engine.bucket(&caller(&user), &bucket("data")).await), "NoSuchBucket");
    let again = store.user("g", "u").await;
    assert_eq!(failure(store.engine.create_bucket(&caller(&again), &bucket("data")).await), "BucketExists");
    assert_eq!(store.engine.list_buckets(&caller(&again)).await.expect("a list"), []);
    store.engine.delete_user(OPERATOR, &gid("g"), &uid("u")).await.expect("deleted");
    store.engine.restore_user(OPERATOR, &user.canonical_id).await.expect("restored");
    let found = store.engine.bucket(&caller(&user), &bucket("data")).await.expect("the bucket");
    assert_eq!(found.owner, user.canonical_id);
}

#[tokio::test]
async fn the_grace_period_ends_and_the_name_is_free() {
    let (store, user) = store_with_trash(|_| ()).await;
    store.hand.advance(DAY * 6);
    store.engine.run_workers().await.expect("the workers");
    assert_eq!(trash_count(&store).await, 1);
    store.hand.advance(DAY * 2);
    store.engine.run_workers().await.expect("the workers");
    assert_eq!(trash_count(&store).await, 0);
    assert_eq!(failure(store.engine.restore_user(OPERATOR, &user.canonical_id).await), "NotInTrash");
    let other = store.user("g", "other").await;
    store.engine.create_bucket(&caller(&other), &bucket("data")).await.expect("the name is free");
}

#[tokio::test]
async fn a_purge_ends_the_grace_period_now() {
    let (store, user) = store_with_trash(|_| ()).await;
    store.engine.purge_user(OPERATOR, &user.canonical_id).await.expect("purged");
    assert_eq!(failure(store.engine.restore_user(OPERATOR, &user.canonical_id).await), "NotInTrash");
    store.engine.run_workers().await.expect("the workers");
    assert_eq!(trash_count(&store).await, 0);
}

#[tokio::test]
async fn without_a_grace_period_the_worker_is_woken_at_once() {
    let (store, _) = store_with_trash(|settings| settings.trash_grace = Duration::ZERO).await;
    for _ in 0..500 {
        if trash_count(&store).await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the trash is still there");
}
