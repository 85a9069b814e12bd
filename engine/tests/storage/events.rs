//! Who is told of what: events are in the outbox exactly when what they tell of is done, and in its order.

use std::time::Duration;

use engine::{
    Body, BucketName, Caller, CannedAcl, CompleteUpload, CompletedPart, CopyObject, CopySource, DeleteTarget, Digests,
    Error, EventFilter, Expiration, GivenAcl, Lifecycle, LifecycleFilter, LifecycleRule, NewAcl, NewObject,
    NotificationRule, Notifications, ObjectName, PendingEvent, ReadConditions, ShownAs, Tags, Versioning,
};

use crate::world::{World, key};

const TARGET: &str = "hook";

fn rule(id: &str, events: &[&str], prefix: &str) -> NotificationRule {
    NotificationRule {
        id: id.to_owned(),
        target: TARGET.to_owned(),
        shown_as: ShownAs::Queue(String::new()),
        events: events.iter().map(|name| EventFilter::parse(name).unwrap()).collect(),
        prefix: prefix.to_owned(),
        suffix: String::new(),
    }
}

fn all() -> Notifications {
    let events = ["ObjectCreated:*", "ObjectRemoved:*", "ObjectTagging:*", "ObjectAcl:Put", "LifecycleExpiration:*"];
    Notifications::new(vec![rule("all", &events, "")]).unwrap()
}

impl World {
    async fn told() -> (Self, BucketName) {
        let mut world = Self::new().await;
        world.restart_with(|settings| settings.event_targets = vec![TARGET.to_owned()]).await;
        let bucket = world.bucket("told").await;
        world.engine.set_notifications(&world.ada, &bucket, all()).await.unwrap();
        assert_eq!(world.take().await, ["TestEvent "]);
        (world, bucket)
    }

    async fn pending(&self) -> Vec<PendingEvent> {
        self.engine.pending_events(&Caller::LocalOperator, TARGET, 1000).await.unwrap()
    }

    async fn settle(&self, delivered: &[i64], failed: &[PendingEvent]) {
        self.engine.settle_events(&Caller::LocalOperator, TARGET, delivered, failed).await.unwrap();
    }

    /// What waits, as kind and key; it is delivered by that.
    async fn take(&self) -> Vec<String> {
        let pending = self.pending().await;
        let seqs: Vec<i64> = pending.iter().map(|one| one.event.seq).collect();
        assert!(seqs.is_sorted(), "{seqs:?}");
        self.settle(&seqs, &[]).await;
        pending.iter().map(|one| format!("{} {}", one.event.kind.name(), one.event.key)).collect()
    }

    async fn delete_version(&self, bucket: &BucketName, name: &str, version: engine::VersionId) {
        let target = DeleteTarget { version_id: Some(version), ..DeleteTarget::current(key(name)) };
        let _ = self.engine.delete_objects(&self.ada, bucket, vec![target]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_done_to_objects_is_told() {
    let (world, bucket) = World::told().await;
    world.put(&bucket, "a", "one").await;
    let event = world.pending().await.remove(0).event;
    assert_eq!((event.size_bytes, event.version_id.as_deref(), event.rule_id.as_str()), (Some(3), None, "all"));
    let ada = world.ada.account().unwrap().canonical_id.to_string();
    assert_eq!((event.principal, event.bucket_owner), (Some(ada.clone()), ada));
    assert_eq!(world.take().await, ["ObjectCreated:Put a"]);
    let source = CopySource {
        bucket: bucket.clone(),
        key: key("a"),
        version_id: None,
        conditions: ReadConditions::default(),
        customer_key: None,
    };
    world.engine.copy_object(&world.ada, &source, &bucket, &key("b"), CopyObject::default()).await.unwrap();
    let form = NewObject { by_form: true, ..NewObject::default() };
    world.engine.put_object(&world.ada, &bucket, &key("f"), form, Body::from_bytes("f")).await.unwrap();
    let upload =
        world.engine.create_upload(&world.ada, &bucket, &key("p"), NewObject::default(), None).await.unwrap().upload_id;
    let part = world.engine.put_part(&world.ada, &bucket, &key("p"), &upload, 1, Body::from_bytes("part")).await;
    let part = CompletedPart { number: 1, etag: part.unwrap().etag, checksums: Digests::default() };
    let complete = CompleteUpload { parts: vec![part], ..CompleteUpload::default() };
    for _ in 0..2 {
        // Asked for again, it tells nothing.
        world.engine.complete_upload(&world.ada, &bucket, &key("p"), &upload, complete.clone()).await.unwrap();
    }
    assert_eq!(
        world.take().await,
        ["ObjectCreated:Copy b", "ObjectCreated:Post f", "ObjectCreated:CompleteMultipartUpload p"]
    );
    let object = ObjectName { bucket: bucket.clone(), key: key("a"), version_id: None };
    world.engine.set_object_tags(&world.ada, &object, Tags::default()).await.unwrap();
    world.engine.delete_object_tags(&world.ada, &object).await.unwrap();
    let acl = NewAcl { acl: GivenAcl::Canned(CannedAcl::PublicRead), owner: None };
    world.engine.set_object_acl(&world.ada, &object, acl).await.unwrap();
    assert_eq!(world.take().await, ["ObjectTagging:Put a", "ObjectTagging:Delete a", "ObjectAcl:Put a"]);
    // What is shared, what is alone, what is not there, and what stands there twice.
    for name in ["b", "a", "none"] {
        world.delete(&bucket, name).await;
    }
    let twice = vec![DeleteTarget::current(key("p")), DeleteTarget::current(key("p"))];
    let _ = world.engine.delete_objects(&world.ada, &bucket, twice).await.unwrap();
    assert_eq!(world.take().await, ["ObjectRemoved:Delete b", "ObjectRemoved:Delete a", "ObjectRemoved:Delete p"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_markers_are_named() {
    let (world, bucket) = World::told().await;
    world.engine.set_versioning(&world.ada, &bucket, Versioning::Enabled).await.unwrap();
    let made = world.put(&bucket, "a", "one").await;
    world.delete(&bucket, "a").await;
    world.delete_version(&bucket, "a", made.version_id.clone()).await;
    world.delete_version(&bucket, "a", made.version_id.clone()).await;
    let pending = world.pending().await;
    let seen: Vec<_> = pending.iter().map(|one| (one.event.kind.name(), one.event.version_id.clone())).collect();
    assert_eq!(seen.len(), 3, "{seen:?}");
    let version = Some(made.version_id.to_string());
    assert_eq!(seen[0], ("ObjectCreated:Put", version.clone()));
    assert_eq!(seen[1].0, "ObjectRemoved:DeleteMarkerCreated");
    assert!(seen[1].1.is_some() && seen[1].1 != version);
    assert_eq!(seen[2], ("ObjectRemoved:Delete", version));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_is_told_apart() {
    let (world, bucket) = World::told().await;
    world.put(&bucket, "o", "x").await;
    let rule = LifecycleRule {
        id: "r".to_owned(),
        enabled: true,
        filter: LifecycleFilter::default(),
        expiration: Some(Expiration::Days(1)),
        ..LifecycleRule::default()
    };
    world.engine.set_bucket_setting(&world.ada, &bucket, Some(&Lifecycle::new(vec![rule]).unwrap())).await.unwrap();
    world.clock.advance(Duration::from_secs(3 * 24 * 3600 - 60));
    let _ = world.take().await;
    world.engine.run_workers().await.unwrap();
    assert_eq!(world.take().await, ["LifecycleExpiration:Delete o"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_wants_it_is_told_and_only_of_what_was_done() {
    let (world, bucket) = World::told().await;
    let rules = vec![rule("in", &["ObjectCreated:*"], "in/")];
    world.engine.set_notifications(&world.ada, &bucket, Notifications::new(rules).unwrap()).await.unwrap();
    let quiet = world.bucket("quiet").await;
    world.put(&bucket, "out/a", "x").await;
    world.put(&quiet, "in/a", "x").await;
    let missing = engine::WriteConditions { if_match: Some("*".to_owned()), if_none_match: None };
    let refused = NewObject { conditions: missing, ..NewObject::default() };
    let put = world.engine.put_object(&world.ada, &bucket, &key("in/b"), refused, Body::from_bytes("x")).await;
    assert!(put.is_err());
    world.put(&bucket, "in/a", "x").await;
    assert_eq!(world.take().await, ["TestEvent ", "ObjectCreated:Put in/a"]);
    let unknown = NotificationRule { target: "unknown".to_owned(), ..rule("u", &["ObjectCreated:*"], "") };
    let set = world.engine.set_notifications(&world.ada, &bucket, Notifications::new(vec![unknown]).unwrap()).await;
    assert!(matches!(set, Err(Error::Invalid { .. })), "{set:?}");
    let none = Notifications::new(Vec::new()).unwrap();
    world.engine.set_notifications(&world.ada, &bucket, none).await.unwrap();
    world.put(&bucket, "in/c", "x").await;
    assert!(world.take().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_fails_waits_and_with_it_what_follows_on_its_object() {
    let (mut world, bucket) = World::told().await;
    for name in ["a", "b"] {
        world.put(&bucket, name, "1").await;
        world.put(&bucket, name, "2").await;
    }
    let keys = |pending: &[PendingEvent]| pending.iter().map(|one| one.event.key.clone()).collect::<Vec<_>>();
    let pending = world.pending().await;
    assert_eq!(keys(&pending), ["a", "a", "b", "b"]);
    world.settle(&[pending[2].event.seq], &pending[..1]).await;
    assert_eq!(keys(&world.pending().await), ["b"], "the second of a waits for the first");
    world.clock.advance(Duration::from_secs(2));
    let again = world.pending().await;
    assert_eq!((keys(&again), again[0].attempts), (vec!["a".to_owned(), "a".to_owned(), "b".to_owned()], 1));
    // They outlive a restart, but not their age.
    world.restart_with(|settings| settings.event_targets = vec![TARGET.to_owned()]).await;
    world.clock.advance(Duration::from_secs(60));
    let backlog = world.engine.event_backlog(&Caller::LocalOperator).await.unwrap();
    assert_eq!((backlog.len(), backlog[0].target.as_str(), backlog[0].count), (1, TARGET, 3));
    world.clock.advance(Duration::from_secs(4 * 24 * 3600));
    world.engine.run_workers().await.unwrap();
    assert!(world.pending().await.is_empty());
    let status = world.engine.workers().into_iter().find(|worker| worker.name == "events").unwrap();
    assert_eq!(status.last_result, "none wait; 3 given up");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_operator_delivers() {
    let (world, bucket) = World::told().await;
    for caller in [Caller::anonymous(), world.ada.clone(), Caller::AdminService] {
        let pending = world.engine.pending_events(&caller, TARGET, 1).await;
        assert!(matches!(pending, Err(Error::AccessDenied)));
        assert!(matches!(world.engine.settle_events(&caller, TARGET, &[], &[]).await, Err(Error::AccessDenied)));
        assert!(matches!(world.engine.event_backlog(&caller).await, Err(Error::AccessDenied)));
    }
    let set = world.engine.set_notifications(&world.eve, &bucket, all()).await;
    assert!(matches!(set, Err(Error::AccessDenied)));
}
