//! Buckets of deleted users: out of reach, reserved, restorable with their bytes, and purged in the end.

use std::time::Duration;

use engine::{Body, BucketName, Caller, NewObject, ObjectKey, ReadObject, Settings, User};
use futures::TryStreamExt;

use crate::blobs::blobs;
use crate::support::{OPERATOR, Store, caller, failure, gid, uid};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Large enough for a blob of its own, and for a row.
const SIZES_BYTES: [usize; 2] = [100_000, 1_000];

fn bucket(name: &str) -> BucketName {
    BucketName::new(name).expect("a bucket name")
}

fn key(size_bytes: usize) -> ObjectKey {
    ObjectKey::new(format!("object of {size_bytes}")).expect("a key")
}

async fn put(store: &Store, caller: &Caller, size_bytes: usize) -> Result<(), engine::Error> {
    let body = Body::from_bytes(vec![7; size_bytes]);
    store.engine.put_object(caller, &bucket("data"), &key(size_bytes), NewObject::default(), body).await.map(|_| ())
}

async fn get(store: &Store, caller: &Caller, size_bytes: usize) -> Result<Vec<u8>, engine::Error> {
    let read = store.engine.get_object(caller, &bucket("data"), &key(size_bytes), &ReadObject::default()).await?;
    let chunks: Vec<_> = read.body.try_collect().await.expect("the bytes");
    Ok(chunks.concat())
}

/// A store with the user `u`, who has the bucket `data` with two objects, and is deleted.
async fn store_with_trash(change: impl FnOnce(&mut Settings)) -> (Store, User) {
    let store = Store::open_with(change).await;
    store.group("g").await;
    let user = store.user("g", "u").await;
    store.engine.create_bucket(&caller(&user), &bucket("data")).await.expect("a bucket");
    for size_bytes in SIZES_BYTES {
        put(&store, &caller(&user), size_bytes).await.expect("an object");
    }
    store.engine.delete_user(OPERATOR, &gid("g"), &uid("u")).await.expect("deleted");
    (store, user)
}

async fn trash_count(store: &Store) -> usize {
    store.engine.list_trash(OPERATOR).await.expect("the trash").len()
}

#[tokio::test]
async fn trashed_buckets_keep_their_names_and_come_back_with_their_bytes() {
    let (mut store, user) = store_with_trash(|_| ()).await;
    let trash = store.engine.list_trash(OPERATOR).await.expect("the trash");
    assert_eq!((trash.len(), trash[0].bucket_count, trash[0].size_bytes), (1, 1, 101_000));
    let again = store.user("g", "u").await;
    assert_eq!(failure(store.engine.create_bucket(&caller(&again), &bucket("data")).await), "BucketExists");
    assert_eq!(store.engine.list_buckets(&caller(&again)).await.expect("a list"), []);
    store.engine.delete_user(OPERATOR, &gid("g"), &uid("u")).await.expect("deleted");
    store.hand.advance(DAY * 6);
    store.engine.run_workers().await.expect("the workers");
    store.restart().await;
    let trash = store.engine.list_trash(OPERATOR).await.expect("the trash");
    assert_eq!(trash.iter().map(|user| user.size_bytes).sum::<u64>(), 101_000, "also once the counters are folded");
    store.engine.restore_user(OPERATOR, &user.canonical_id).await.expect("restored");
    for size_bytes in SIZES_BYTES {
        assert_eq!(get(&store, &caller(&user), size_bytes).await.expect("the object"), vec![7; size_bytes]);
    }
}

/// A door may have checked a signature just before the deletion: its caller must reach nothing any more.
#[tokio::test]
async fn a_caller_from_before_the_deletion_reaches_nothing() {
    let (store, user) = store_with_trash(|_| ()).await;
    for caller in [&caller(&user), OPERATOR] {
        assert_eq!(failure(store.engine.bucket(caller, &bucket("data")).await), "NoSuchBucket");
        assert_eq!(failure(get(&store, caller, 1_000).await), "NoSuchBucket");
        assert_eq!(failure(put(&store, caller, 1_000).await), "NoSuchBucket");
    }
    let made = store.engine.create_bucket(&caller(&user), &bucket("another")).await;
    assert_eq!(failure(made), "NoSuchUser");
}

/// The body arrives slowly, and its owner is deleted meanwhile.
#[tokio::test]
async fn an_upload_that_ends_after_the_deletion_is_refused() {
    let store = Store::open().await;
    store.group("g").await;
    let user = store.user("g", "u").await;
    store.engine.create_bucket(&caller(&user), &bucket("data")).await.expect("a bucket");
    let (send, receive) = tokio::sync::oneshot::channel::<()>();
    let body = Body::new(Box::pin(futures::stream::once(async move {
        receive.await.expect("the deletion");
        Ok(bytes::Bytes::from_static(b"late"))
    })));
    let (engine, owner) = (store.engine.clone(), caller(&user));
    let upload =
        tokio::spawn(
            async move { engine.put_object(&owner, &bucket("data"), &key(4), NewObject::default(), body).await },
        );
    tokio::task::yield_now().await;
    store.engine.delete_user(OPERATOR, &gid("g"), &uid("u")).await.expect("deleted");
    send.send(()).expect("the upload waits");
    assert_eq!(failure(upload.await.expect("the upload")), "NoSuchBucket");
}

#[tokio::test]
async fn the_grace_period_ends_and_the_name_is_free() {
    let (store, user) = store_with_trash(|_| ()).await;
    store.hand.advance(DAY * 8);
    store.engine.run_workers().await.expect("the workers");
    assert_eq!(trash_count(&store).await, 0);
    assert_eq!(failure(store.engine.restore_user(OPERATOR, &user.canonical_id).await), "NotInTrash");
    let other = store.user("g", "other").await;
    store.engine.create_bucket(&caller(&other), &bucket("data")).await.expect("the name is free");
}

#[tokio::test]
async fn a_purge_ends_the_grace_period_now_and_frees_the_bytes() {
    let (store, user) = store_with_trash(|_| ()).await;
    assert_eq!(blobs(&store.path("")).len(), 1);
    store.engine.purge_user(OPERATOR, &user.canonical_id).await.expect("purged");
    assert_eq!(failure(store.engine.restore_user(OPERATOR, &user.canonical_id).await), "NotInTrash");
    store.engine.run_workers().await.expect("the workers");
    assert_eq!(trash_count(&store).await, 0);
    store.hand.advance(DAY);
    store.engine.run_workers().await.expect("the workers");
    assert_eq!(blobs(&store.path("")).len(), 0);
}

#[tokio::test]
async fn without_a_grace_period_the_worker_is_woken_at_once() {
    let (store, _) = store_with_trash(|settings| settings.trash_grace = Duration::ZERO).await;
    for _ in 0..400 {
        if trash_count(&store).await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the trash is still there");
}
