//! Buckets are remembered between requests: they cost no look-up then, and what changes takes effect at once all the same.

use engine::{Body, BucketName, Caller, Database, DeleteTarget, Error, GroupId, NewObject, Result, UserId, Versioning};

use crate::recorder::Events;
use crate::world::{World, key};

async fn put(world: &World, caller: &Caller, bucket: &BucketName) -> Result<()> {
    let body = Body::from_bytes("bytes");
    world.engine.put_object(caller, bucket, &key("o"), NewObject::default(), body).await.map(drop)
}

async fn delete(world: &World, caller: &Caller, bucket: &BucketName) -> Result<()> {
    let target = DeleteTarget::current(key("o"));
    let mut done = world.engine.delete_objects(caller, bucket, vec![target]).await?;
    done.remove(0).map(drop)
}

#[tokio::test]
async fn a_bucket_in_use_is_not_looked_up_again() {
    let world = World::on(Database::Embedded).await;
    let bucket = world.bucket("known").await;
    let events = Events::default();
    let _listening = metrics::set_default_local_recorder(&events);
    let reads = || events.of("cloudhold_metadata_reads_total").into_iter().map(|read| read.label).collect::<Vec<_>>();
    put(&world, &world.ada, &bucket).await.unwrap();
    assert_eq!(reads(), ["find_bucket"]);
    events.clear();
    put(&world, &world.ada, &bucket).await.unwrap();
    assert_eq!(reads(), [""; 0]);
}

#[tokio::test]
async fn what_is_refused_makes_nobody_look_up_again() {
    let world = World::on(Database::Embedded).await;
    let bucket = world.bucket("known").await;
    put(&world, &world.ada, &bucket).await.unwrap();
    let events = Events::default();
    let _listening = metrics::set_default_local_recorder(&events);
    let group = engine::GroupId::new("nobody").unwrap();
    assert!(matches!(world.engine.delete_group(&Caller::LocalOperator, &group).await, Err(Error::NoSuchGroup)));
    events.clear();
    put(&world, &world.ada, &bucket).await.unwrap();
    assert_eq!(events.of("cloudhold_metadata_reads_total").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_opens_nothing_to_others() {
    let world = World::new().await;
    let bucket = world.bucket("mine").await;
    put(&world, &world.ada, &bucket).await.unwrap();
    for other in [&world.eve, &Caller::anonymous(), &Caller::AdminService] {
        assert!(matches!(put(&world, other, &bucket).await, Err(Error::AccessDenied)));
        assert!(matches!(delete(&world, other, &bucket).await, Err(Error::AccessDenied)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_changes_hands_is_not_mixed_up() {
    let world = World::new().await;
    let bucket = world.bucket("passed-on").await;
    put(&world, &world.ada, &bucket).await.unwrap();
    delete(&world, &world.ada, &bucket).await.unwrap();
    world.engine.delete_bucket(&world.ada, &bucket).await.unwrap();
    assert!(matches!(put(&world, &world.ada, &bucket).await, Err(Error::NoSuchBucket)));
    world.engine.create_bucket(&world.eve, &bucket).await.unwrap();
    assert!(matches!(put(&world, &world.ada, &bucket).await, Err(Error::AccessDenied)));
    put(&world, &world.eve, &bucket).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_goes_to_the_trash_and_comes_back_at_once() {
    let world = World::new().await;
    let bucket = world.bucket("trashed").await;
    put(&world, &world.ada, &bucket).await.unwrap();
    let Caller::User(identity, _) = &world.ada else { unreachable!("a user") };
    let (group, user) = (GroupId::new("acme").unwrap(), UserId::new("ada").unwrap());
    world.engine.delete_user(&Caller::AdminService, &group, &user).await.unwrap();
    assert!(matches!(put(&world, &world.ada, &bucket).await, Err(Error::NoSuchBucket)));
    world.engine.restore_user(&Caller::AdminService, &identity.canonical_id).await.unwrap();
    put(&world, &world.ada, &bucket).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_a_bucket_take_effect_with_the_next_write() {
    let world = World::new().await;
    let bucket = world.bucket("changed").await;
    put(&world, &world.ada, &bucket).await.unwrap();
    world.engine.set_versioning(&world.ada, &bucket, Versioning::Enabled).await.unwrap();
    let made = world.put(&bucket, "o", "again").await;
    assert_eq!(made.versioning, Versioning::Enabled);
    world.engine.set_durability(&world.ada, &bucket, engine::Durability::Relaxed).await.unwrap();
    assert_eq!(world.put(&bucket, "o", "again").await.durability, engine::Durability::Relaxed);
}
