//! Quotas of buckets: nothing gets past them, through whatever operation and however many at once.

use std::sync::atomic::{AtomicBool, Ordering};

use engine::{
    Body, BucketName, Caller, CompleteUpload, CompletedPart, CopyObject, CopySource, Error, Excess, Identity,
    NewObject, Quota, ReadConditions, Result, Role, Versioning,
};
use futures::future::join_all;
use futures::{StreamExt, stream};

use crate::world::{World, key, noise};

fn bytes(size_bytes_max: u64) -> Quota {
    Quota { size_bytes_max: Some(size_bytes_max), objects_max: None }
}

fn objects(objects_max: u64) -> Quota {
    Quota { size_bytes_max: None, objects_max: Some(objects_max) }
}

impl World {
    async fn limit(&self, bucket: &BucketName, quota: Quota) {
        self.engine.set_bucket_quota(&Caller::AdminService, bucket, Some(quota)).await.unwrap();
    }

    async fn try_put(&self, bucket: &BucketName, name: &str, size: usize) -> Result<()> {
        let body = Body::from_bytes(noise(size));
        self.engine.put_object(&self.ada, bucket, &key(name), NewObject::default(), body).await.map(|_| ())
    }

    /// What a bucket holds: objects, bytes, bytes of open uploads.
    async fn held(&self, bucket: &BucketName) -> (u64, u64, u64) {
        let usage = self.engine.bucket(&self.ada, bucket).await.unwrap().usage;
        (usage.object_count, usage.size_bytes, usage.upload_size_bytes)
    }
}

fn is_over<T: std::fmt::Debug>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::QuotaExceeded(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_set_it_and_owners_see_it() {
    let world = World::new().await;
    let bucket = world.bucket("limited").await;
    let quota = Some(Quota { size_bytes_max: Some(1000), objects_max: Some(2) });
    for caller in [Caller::anonymous(), world.ada.clone(), world.eve.clone()] {
        let set = world.engine.set_bucket_quota(&caller, &bucket, quota).await;
        assert!(matches!(set, Err(Error::AccessDenied)), "{caller:?}");
    }
    for caller in [Caller::anonymous(), world.eve.clone()] {
        let seen = world.engine.bucket_quota(&caller, &bucket).await;
        assert!(matches!(seen, Err(Error::AccessDenied)), "{caller:?}");
    }
    let mut root = Identity::clone(world.eve.account().unwrap());
    root.role = Role::SystemAdmin;
    for caller in [Caller::user(root.into()), Caller::AdminService, Caller::LocalOperator] {
        world.engine.set_bucket_quota(&caller, &bucket, quota).await.unwrap();
        assert_eq!(world.engine.bucket_quota(&caller, &bucket).await.unwrap().quota, quota);
    }
    world.put(&bucket, "o", noise(10)).await;
    let seen = world.engine.bucket_quota(&world.ada, &bucket).await.unwrap();
    assert_eq!((seen.quota, seen.usage.object_count, seen.usage.size_bytes), (quota, 1, 10));
    let too_much = world.engine.set_bucket_quota(&Caller::LocalOperator, &bucket, Some(bytes(u64::MAX))).await;
    assert!(matches!(too_much, Err(Error::Invalid { .. })), "{too_much:?}");
    world.engine.set_bucket_quota(&Caller::LocalOperator, &bucket, Some(Quota::default())).await.unwrap();
    assert_eq!(world.engine.bucket_quota(&world.ada, &bucket).await.unwrap().quota, None);
    let missing = BucketName::new("missing").unwrap();
    let set = world.engine.set_bucket_quota(&Caller::LocalOperator, &missing, quota).await;
    assert!(matches!(set, Err(Error::NoSuchBucket)), "{set:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_leaves_nothing_behind() {
    let world = World::new().await;
    let bucket = world.bucket("limited").await;
    world.limit(&bucket, bytes(300_000)).await;
    world.try_put(&bucket, "a", 200_000).await.unwrap();
    let blobs = world.blob_count();
    let refused = world.try_put(&bucket, "b", 100_001).await;
    let expected = Excess::Bytes { size_bytes_max: 300_000 };
    assert!(matches!(refused, Err(Error::QuotaExceeded(excess)) if excess == expected), "{refused:?}");
    // A length that nobody told is known at the end.
    let pieces = stream::iter(vec![Ok(noise(100_001).into())]);
    let untold = Body::new(pieces.boxed());
    let refused = world.engine.put_object(&world.ada, &bucket, &key("b"), NewObject::default(), untold).await;
    assert!(is_over(&refused), "{refused:?}");
    assert!(matches!(world.get(&bucket, "b").await, Err(Error::NoSuchKey { .. })));
    assert_eq!(world.held(&bucket).await, (1, 200_000, 0));
    // The blob of the refused upload is removed beside its answer.
    while world.blob_count() != blobs {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    // In the place of what is there it fits, to the last byte; and something smaller fits always.
    world.try_put(&bucket, "a", 300_000).await.unwrap();
    world.limit(&bucket, bytes(10)).await;
    world.try_put(&bucket, "a", 299_999).await.unwrap();
    assert!(is_over(&world.try_put(&bucket, "a", 300_000).await));
    world.delete(&bucket, "a").await;
    world.try_put(&bucket, "c", 10).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hopeless_upload_is_refused_before_it_is_read() {
    let world = World::new().await;
    let bucket = world.bucket("limited").await;
    world.limit(&bucket, bytes(100)).await;
    static READ: AtomicBool = AtomicBool::new(false);
    let body = || Body {
        size_bytes: Some(101),
        ..Body::new(
            stream::once(async {
                READ.store(true, Ordering::SeqCst);
                Ok(noise(101).into())
            })
            .boxed(),
        )
    };
    let put = world.engine.put_object(&world.ada, &bucket, &key("o"), NewObject::default(), body()).await;
    assert!(is_over(&put));
    let upload =
        world.engine.create_upload(&world.ada, &bucket, &key("o"), NewObject::default(), None).await.unwrap().upload_id;
    let part = world.engine.put_part(&world.ada, &bucket, &key("o"), &upload, 1, body()).await;
    assert!(is_over(&part));
    assert!(!READ.load(Ordering::SeqCst));
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_copies_and_parts_count() {
    let world = World::new().await;
    let bucket = world.bucket("limited").await;
    world.engine.set_versioning(&world.ada, &bucket, Versioning::Enabled).await.unwrap();
    world.limit(&bucket, objects(2)).await;
    world.try_put(&bucket, "a", 10).await.unwrap();
    world.try_put(&bucket, "a", 10).await.unwrap();
    assert!(is_over(&world.try_put(&bucket, "a", 10).await));
    // A delete marker is no object.
    world.delete(&bucket, "a").await;
    assert!(is_over(&world.try_put(&bucket, "a", 10).await));
    let source = world.bucket("source").await;
    world.put(&source, "s", noise(2000)).await;
    let copy = async || {
        let source = CopySource {
            bucket: source.clone(),
            key: key("s"),
            version_id: None,
            conditions: ReadConditions::default(),
            customer_key: None,
        };
        world.engine.copy_object(&world.ada, &source, &bucket, &key("c"), CopyObject::default()).await
    };
    assert!(is_over(&copy().await));
    world.limit(&bucket, bytes(3000)).await;
    copy().await.unwrap();
    assert!(is_over(&copy().await));
    world.limit(&bucket, bytes(6000)).await;
    let upload =
        world.engine.create_upload(&world.ada, &bucket, &key("p"), NewObject::default(), None).await.unwrap().upload_id;
    let part = async |number, size| {
        world.engine.put_part(&world.ada, &bucket, &key("p"), &upload, number, Body::from_bytes(noise(size))).await
    };
    let first = part(1, 2000).await.unwrap();
    let last = part(2, 1980).await.unwrap();
    assert!(is_over(&part(3, 1).await));
    assert_eq!(part(2, 1980).await.unwrap().etag, last.etag, "a part in the place of one");
    assert_eq!(world.held(&bucket).await, (3, 2020, 3980));
    let named = |number, part: &engine::Part| CompletedPart {
        number,
        etag: part.etag.clone(),
        checksums: engine::Digests::default(),
    };
    let complete = CompleteUpload { parts: vec![named(1, &first), named(2, &last)], ..CompleteUpload::default() };
    let done = async || {
        world.engine.complete_upload(&world.ada, &bucket, &key("p"), &upload, complete.clone()).await.map(|_| ())
    };
    world.limit(&bucket, objects(3)).await;
    assert!(is_over(&done().await), "the object is one more");
    world.limit(&bucket, Quota { size_bytes_max: Some(6000), objects_max: Some(4) }).await;
    done().await.unwrap();
    assert_eq!(world.held(&bucket).await, (4, 6000, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_race_it_is_never_exceeded_and_used_to_the_end() {
    let world = World::new().await;
    let (limited, free) = (world.bucket("limited").await, world.bucket("free").await);
    world.limit(&limited, bytes(2_000)).await;
    for round in 0..5 {
        let names: Vec<String> = (0..60).map(|number| format!("{round}-{number}")).collect();
        let into_limited = join_all(names.iter().map(|name| world.try_put(&limited, name, 90)));
        let into_free = join_all(names.iter().map(|name| world.try_put(&free, name, 90)));
        let looks = async {
            for _ in 0..20 {
                let (_, size_bytes, _) = world.held(&limited).await;
                assert!(size_bytes <= 2_000, "{size_bytes}");
            }
        };
        let (done, beside, ()) = tokio::join!(into_limited, into_free, looks);
        assert!(beside.iter().all(Result::is_ok), "whoever has no quota is not touched");
        let stored = done.iter().filter(|result| result.is_ok()).count();
        assert!(done.iter().all(|result| result.is_ok() || is_over(result)), "{done:?}");
        assert_eq!(stored, 22, "as many as there is room for");
        assert_eq!(world.held(&limited).await, (22, 1_980, 0));
        join_all(names.iter().map(|name| world.delete(&limited, name))).await;
        world.engine.run_workers().await.unwrap();
        assert_eq!(world.held(&limited).await, (0, 0, 0));
    }
}
