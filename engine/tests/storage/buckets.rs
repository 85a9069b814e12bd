//! Buckets and their usage.

use engine::{BucketCreated, BucketName, Caller, Error, GroupId, NewObject, Usage, UserId};

use crate::world::{World, key, noise};

#[tokio::test(flavor = "multi_thread")]
async fn a_name_belongs_to_whoever_made_it_first() {
    let world = World::new().await;
    let name = BucketName::new("first").unwrap();
    assert_eq!(world.engine.create_bucket(&world.ada, &name).await.unwrap(), BucketCreated::New);
    assert_eq!(world.engine.create_bucket(&world.ada, &name).await.unwrap(), BucketCreated::AlreadyOwned);
    let foreign = world.engine.create_bucket(&world.eve, &name).await;
    assert!(matches!(foreign, Err(Error::BucketExists { owned: false })));
    assert!(matches!(world.engine.bucket(&world.eve, &name).await, Err(Error::AccessDenied)));
    let names = |buckets: Vec<engine::Bucket>| buckets.into_iter().map(|b| b.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(world.engine.list_buckets(&world.ada).await.unwrap()), ["first"]);
    assert!(world.engine.list_buckets(&world.eve).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_empty_bucket_is_deleted() {
    let world = World::new().await;
    let bucket = world.bucket("full").await;
    world.put(&bucket, "o", "x").await;
    assert!(matches!(world.engine.delete_bucket(&world.ada, &bucket).await, Err(Error::BucketNotEmpty)));
    delete(&world, &bucket, "o").await;
    world.engine.create_upload(&world.ada, &bucket, &key("u"), NewObject::default(), None).await.unwrap();
    world.engine.delete_bucket(&world.ada, &bucket).await.unwrap();
    assert!(matches!(world.engine.bucket(&world.ada, &bucket).await, Err(Error::NoSuchBucket)));
}

async fn delete(world: &World, bucket: &BucketName, name: &str) {
    let target = engine::DeleteTarget::current(key(name));
    let done = world.engine.delete_objects(&world.ada, bucket, vec![target]).await.unwrap();
    assert!(done.into_iter().all(|one| one.is_ok()));
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_exact_before_and_after_folding() {
    let world = World::new().await;
    let bucket = world.bucket("usage").await;
    let usage = async || world.engine.bucket(&world.ada, &bucket).await.unwrap().usage;
    world.put(&bucket, "a", noise(10)).await;
    world.put(&bucket, "b", noise(100_000)).await;
    assert_eq!(usage().await, Usage { object_count: 2, size_bytes: 100_010, upload_size_bytes: 0 });
    world.engine.run_workers().await.unwrap();
    world.put(&bucket, "b", noise(7)).await;
    delete(&world, &bucket, "a").await;
    delete(&world, &bucket, "a").await;
    assert_eq!(usage().await, Usage { object_count: 1, size_bytes: 7, upload_size_bytes: 0 });
    world.engine.run_workers().await.unwrap();
    assert_eq!(usage().await, Usage { object_count: 1, size_bytes: 7, upload_size_bytes: 0 });

    let group = GroupId::new("acme").unwrap();
    let of_group = world.engine.usage_of_group(&Caller::AdminService, &group, None).await.unwrap();
    let of_ada = &of_group[0];
    assert_eq!((of_ada.user_id.as_str(), of_ada.buckets[0].usage.size_bytes), ("ada", 7));
    assert_eq!((of_group[1].user_id.as_str(), of_group[1].buckets.len()), ("eve", 0));
    let unknown = UserId::new("nobody").unwrap();
    let none = world.engine.usage_of_group(&Caller::AdminService, &group, Some(&unknown)).await;
    assert!(matches!(none, Err(Error::NoSuchUser)));
}
