//! Object lock: what is locked is not deleted, by nobody, before its time.

use std::time::Duration;

use engine::{
    Body, BucketName, Caller, CompleteUpload, CompletedPart, DefaultRetention, DeleteTarget, Digests, Error, GroupId,
    LockMode, LockPeriod, NewBucket, NewLock, NewObject, ObjectInfo, ObjectLock, ObjectName, Result, Retention,
    RuleError, UserId, Versioning,
};

use crate::world::{World, key};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn with_locks() -> (World, BucketName) {
    let world = World::new().await;
    let bucket = BucketName::new("locked").unwrap();
    let new = NewBucket { object_lock: true, ..NewBucket::default() };
    world.engine.create_bucket_with(&world.ada, &bucket, new).await.unwrap();
    (world, bucket)
}

fn in_days(world: &World, days: i64) -> i64 {
    world.engine.clock().now_us() + days * 86_400_000_000
}

async fn put(world: &World, bucket: &BucketName, lock: NewLock) -> Result<ObjectInfo> {
    let new = NewObject { lock, ..NewObject::default() };
    world.engine.put_object(&world.ada, bucket, &key("o"), new, Body::from_bytes("kept")).await
}

async fn delete(world: &World, bucket: &BucketName, made: &ObjectInfo, bypass_governance: bool) -> Result<()> {
    let target = DeleteTarget {
        version_id: Some(made.version_id.clone()),
        bypass_governance,
        ..DeleteTarget::current(key("o"))
    };
    world.engine.delete_objects(&world.ada, bucket, vec![target]).await.unwrap().remove(0).map(drop)
}

fn of(bucket: &BucketName, made: &ObjectInfo) -> ObjectName {
    ObjectName { bucket: bucket.clone(), key: key("o"), version_id: Some(made.version_id.clone()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_version_stays_until_its_time() {
    let (world, bucket) = with_locks().await;
    for (mode, passes) in [(LockMode::Governance, true), (LockMode::Compliance, false)] {
        let retention = Retention { mode, until_us: in_days(&world, 2) };
        let lock = NewLock { retention: Some(retention), legal_hold: false };
        let made = put(&world, &bucket, lock).await.unwrap();
        assert_eq!(made.retention, Some(retention));
        assert!(matches!(delete(&world, &bucket, &made, false).await, Err(Error::ObjectLocked)));
        // Without a version, a marker is laid on it, and the version stays.
        world.delete(&bucket, "o").await;
        assert_eq!(world.engine.object_retention(&world.ada, &of(&bucket, &made)).await.unwrap(), retention);
        assert_eq!(delete(&world, &bucket, &made, true).await.is_ok(), passes);
        let again = put(&world, &bucket, lock).await.unwrap();
        world.clock.advance(DAY * 3);
        delete(&world, &bucket, &again, false).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_version_stays_until_it_is_let_go() {
    let (world, bucket) = with_locks().await;
    let made = put(&world, &bucket, NewLock { retention: None, legal_hold: true }).await.unwrap();
    world.clock.advance(DAY * 1000);
    assert!(matches!(delete(&world, &bucket, &made, true).await, Err(Error::ObjectLocked)));
    world.engine.set_object_legal_hold(&world.ada, &of(&bucket, &made), false).await.unwrap();
    assert!(!world.engine.object_legal_hold(&world.ada, &of(&bucket, &made)).await.unwrap());
    delete(&world, &bucket, &made, false).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_prolonged_and_not_shortened() {
    let (world, bucket) = with_locks().await;
    let made = put(&world, &bucket, NewLock::default()).await.unwrap();
    let object = of(&bucket, &made);
    let set = async |days, bypass| {
        let retention = Retention { mode: LockMode::Governance, until_us: in_days(&world, days) };
        world.engine.set_object_retention(&world.ada, &object, Some(retention), bypass).await
    };
    assert!(matches!(world.engine.object_retention(&world.ada, &object).await, Err(Error::Rule(RuleError::NotLocked))));
    set(2, false).await.unwrap();
    set(3, false).await.unwrap();
    assert!(matches!(set(1, false).await, Err(Error::ObjectLocked)));
    set(1, true).await.unwrap();
    assert!(matches!(set(-1, true).await, Err(Error::Invalid { .. })));
    world.engine.set_object_retention(&world.ada, &object, None, true).await.unwrap();
    delete(&world, &bucket, &made, false).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn new_versions_get_what_the_bucket_has_for_them() {
    let (world, bucket) = with_locks().await;
    let default = DefaultRetention { mode: LockMode::Compliance, period: LockPeriod::Days(2) };
    let lock = ObjectLock::new(Some(default)).unwrap();
    world.engine.set_object_lock(&world.ada, &bucket, &lock).await.unwrap();
    let made = put(&world, &bucket, NewLock::default()).await.unwrap();
    let kept = made.retention.unwrap();
    assert_eq!(kept.mode, LockMode::Compliance);
    assert!(kept.until_us > in_days(&world, 1) && kept.until_us <= in_days(&world, 2));
    let suspended = world.engine.set_versioning(&world.ada, &bucket, Versioning::Suspended).await;
    assert!(matches!(suspended, Err(Error::Rule(RuleError::BucketState(_)))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_gets_what_the_bucket_has_when_it_is_complete() {
    let (world, bucket) = with_locks().await;
    let said = Retention { mode: LockMode::Governance, until_us: in_days(&world, 9) };
    let begin = async |retention| {
        let new = NewObject { lock: NewLock { retention, legal_hold: false }, ..NewObject::default() };
        let upload = world.engine.create_upload(&world.ada, &bucket, &key("o"), new, None).await.unwrap().upload_id;
        let body = Body::from_bytes("kept");
        let part = world.engine.put_part(&world.ada, &bucket, &key("o"), &upload, 1, body).await.unwrap();
        let part = CompletedPart { number: 1, etag: part.etag, checksums: Digests::default() };
        (upload, CompleteUpload { parts: vec![part], ..CompleteUpload::default() })
    };
    let (plain, locked) = (begin(None).await, begin(Some(said)).await);
    let default = DefaultRetention { mode: LockMode::Compliance, period: LockPeriod::Days(2) };
    world.engine.set_object_lock(&world.ada, &bucket, &ObjectLock::new(Some(default)).unwrap()).await.unwrap();
    world.clock.advance(DAY);
    let complete = async |(upload, complete)| {
        world.engine.complete_upload(&world.ada, &bucket, &key("o"), &upload, complete).await.unwrap()
    };
    let made = complete(plain).await;
    let kept = made.retention.expect("a retention");
    assert_eq!(kept.mode, LockMode::Compliance);
    assert!(kept.until_us > in_days(&world, 1) && kept.until_us <= in_days(&world, 2), "it counts from the end on");
    assert!(matches!(delete(&world, &bucket, &made, true).await, Err(Error::ObjectLocked)));
    assert_eq!(complete(locked).await.retention, Some(said));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_locked_nothing_is() {
    let world = World::new().await;
    let bucket = world.bucket("open").await;
    let made = put(&world, &bucket, NewLock::default()).await.unwrap();
    let held = NewLock { retention: None, legal_hold: true };
    assert!(matches!(put(&world, &bucket, held).await, Err(Error::Rule(RuleError::NoObjectLock))));
    let object = of(&bucket, &made);
    let hold = world.engine.set_object_legal_hold(&world.ada, &object, true).await;
    assert!(matches!(hold, Err(Error::Rule(RuleError::NoObjectLock))));
    let lock = world.engine.set_object_lock(&world.ada, &bucket, &ObjectLock::default()).await;
    assert!(matches!(lock, Err(Error::Rule(RuleError::BucketState(_)))));
    world.engine.set_versioning(&world.ada, &bucket, Versioning::Enabled).await.unwrap();
    world.engine.set_object_lock(&world.ada, &bucket, &ObjectLock::default()).await.unwrap();
    put(&world, &bucket, held).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_lock_and_a_suspension_at_once_one_is_refused() {
    let world = World::new().await;
    for number in 0..8 {
        let bucket = world.bucket(&format!("both-{number}")).await;
        world.engine.set_versioning(&world.ada, &bucket, Versioning::Enabled).await.unwrap();
        put(&world, &bucket, NewLock::default()).await.unwrap();
        let lock = ObjectLock::default();
        let (locked, suspended) = tokio::join!(
            world.engine.set_object_lock(&world.ada, &bucket, &lock),
            world.engine.set_versioning(&world.ada, &bucket, Versioning::Suspended),
        );
        assert_ne!(locked.is_ok(), suspended.is_ok(), "{locked:?} {suspended:?}");
        let refused = locked.and(suspended);
        assert!(matches!(refused, Err(Error::Rule(RuleError::BucketState(_)))), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_locked_outlives_the_grace_period_and_can_be_brought_back() {
    let (world, bucket) = with_locks().await;
    let retention = Some(Retention { mode: LockMode::Compliance, until_us: in_days(&world, 20) });
    let locked = put(&world, &bucket, NewLock { retention, legal_hold: false }).await.unwrap();
    world.put(&bucket, "free", "gone in time").await;
    world.engine.create_bucket(&world.ada, &BucketName::new("other").unwrap()).await.unwrap();
    let (group, user) = (GroupId::new("acme").unwrap(), UserId::new("ada").unwrap());
    world.engine.delete_user(&Caller::AdminService, &group, &user).await.unwrap();
    world.clock.advance(DAY * 8);
    world.engine.run_workers().await.unwrap();
    let trash = world.engine.list_trash(&Caller::LocalOperator).await.unwrap();
    assert_eq!((trash.len(), trash[0].bucket_count), (1, 1), "only what is locked is left");
    world.engine.restore_user(&Caller::LocalOperator, &trash[0].canonical_id).await.unwrap();
    assert_eq!(world.get(&bucket, "o").await.unwrap(), b"kept");
    assert!(matches!(world.get(&bucket, "free").await, Err(Error::NoSuchKey { .. })));
    assert!(matches!(delete(&world, &bucket, &locked, true).await, Err(Error::ObjectLocked)));
    world.engine.delete_user(&Caller::AdminService, &group, &user).await.unwrap();
    world.clock.advance(DAY * 15);
    world.engine.run_workers().await.unwrap();
    assert!(world.engine.list_trash(&Caller::LocalOperator).await.unwrap().is_empty());
    assert_eq!(world.sql("DELETE FROM versions").await, 0);
}
