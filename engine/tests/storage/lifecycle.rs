//! Lifecycle rules: what is due goes, as a deletion by hand would have it, and nothing else.

use std::time::Duration;

use engine::{
    Body, BucketName, Error, Expiration, Lifecycle, LifecycleFilter, LifecycleRule, ListEntry, ListRequest, LockMode,
    NewBucket, NewLock, NewObject, NoncurrentExpiration, Retention, Tags, UploadListRequest, VersionListRequest,
    Versioning,
};

use crate::world::{World, key};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn rule(expiration: Option<Expiration>) -> LifecycleRule {
    LifecycleRule { enabled: true, expiration, ..LifecycleRule::default() }
}

impl World {
    async fn set_rules(&self, bucket: &BucketName, rules: Vec<LifecycleRule>) {
        let lifecycle = Lifecycle::new(rules).unwrap();
        self.engine.set_bucket_setting(&self.ada, bucket, Some(&lifecycle)).await.unwrap();
    }

    /// Lets days pass, and the background work do what is due then.
    async fn after_days(&self, days: u32) {
        self.clock.advance(DAY * days);
        self.engine.run_workers().await.unwrap();
    }

    async fn current_keys(&self, bucket: &BucketName) -> Vec<String> {
        let request = ListRequest { entries_max: 1000, ..ListRequest::default() };
        let page = self.engine.list_objects(&self.ada, bucket, &request).await.unwrap();
        page.entries.iter().map(name).collect()
    }

    /// Versions and markers, as `key` and `key-` for a marker.
    async fn all_versions(&self, bucket: &BucketName) -> Vec<String> {
        let list = ListRequest { entries_max: 1000, ..ListRequest::default() };
        let request = VersionListRequest { list, after_version: None };
        let page = self.engine.list_versions(&self.ada, bucket, &request).await.unwrap();
        page.entries.iter().map(name).collect()
    }
}

fn name(entry: &ListEntry) -> String {
    match entry {
        ListEntry::Object(object) if object.delete_marker => format!("{}-", object.key),
        ListEntry::Object(object) => object.key.to_string(),
        ListEntry::CommonPrefix(prefix) => prefix.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_go_in_time_and_by_filter() {
    let world = World::new().await;
    let bucket = world.bucket("plain").await;
    world.put(&bucket, "logs/a", "x").await;
    world.put(&bucket, "keep/a", "x").await;
    let tags = Tags::of_object(vec![("kind".to_owned(), "tmp".to_owned())]).unwrap();
    let new = NewObject { tags: tags.clone(), ..NewObject::default() };
    world.engine.put_object(&world.ada, &bucket, &key("keep/b"), new, Body::from_bytes("x")).await.unwrap();
    let prefix = LifecycleFilter { prefix: "logs/".to_owned(), ..LifecycleFilter::default() };
    let tagged = LifecycleFilter { tags, ..LifecycleFilter::default() };
    let rules = vec![
        LifecycleRule { filter: prefix, ..rule(Some(Expiration::Days(3))) },
        LifecycleRule { filter: tagged, ..rule(Some(Expiration::Days(6))) },
    ];
    world.set_rules(&bucket, rules).await;
    world.after_days(2).await;
    assert_eq!(world.current_keys(&bucket).await, ["keep/a", "keep/b", "logs/a"]);
    world.after_days(2).await;
    assert_eq!(world.current_keys(&bucket).await, ["keep/a", "keep/b"]);
    world.after_days(4).await;
    assert_eq!(world.current_keys(&bucket).await, ["keep/a"]);
    assert_eq!(world.engine.bucket(&world.ada, &bucket).await.unwrap().usage.object_count, 1);
    world.engine.set_bucket_setting::<Lifecycle>(&world.ada, &bucket, None).await.unwrap();
    world.after_days(100).await;
    assert_eq!(world.current_keys(&bucket).await, ["keep/a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_go_behind_a_marker_and_the_marker_last() {
    let world = World::new().await;
    let bucket = world.bucket("versions").await;
    world.engine.set_versioning(&world.ada, &bucket, Versioning::Enabled).await.unwrap();
    for _ in 0..3 {
        world.put(&bucket, "o", "x").await;
    }
    let noncurrent = Some(NoncurrentExpiration { days: 5, keep_newest: None });
    world.set_rules(&bucket, vec![LifecycleRule { noncurrent, ..rule(Some(Expiration::Days(2))) }]).await;
    world.after_days(3).await;
    assert_eq!(world.all_versions(&bucket).await, ["o-", "o", "o", "o"], "a marker lies on them");
    assert!(matches!(world.get(&bucket, "o").await, Err(Error::NoSuchKey { marker: Some(_) })));
    world.after_days(3).await;
    assert_eq!(world.all_versions(&bucket).await, ["o-", "o"], "what was replaced before is due before");
    world.after_days(3).await;
    world.after_days(1).await;
    assert!(world.all_versions(&bucket).await.is_empty(), "a marker with nothing beneath goes, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn some_old_versions_stay_and_lone_markers_go() {
    let world = World::new().await;
    let bucket = world.bucket("newest").await;
    world.engine.set_versioning(&world.ada, &bucket, Versioning::Enabled).await.unwrap();
    for _ in 0..5 {
        world.put(&bucket, "o", "x").await;
    }
    world.delete(&bucket, "never").await;
    let noncurrent = Some(NoncurrentExpiration { days: 1, keep_newest: Some(2) });
    let rules = vec![LifecycleRule { noncurrent, ..rule(None) }, rule(Some(Expiration::LoneMarkers))];
    world.set_rules(&bucket, rules).await;
    world.after_days(3).await;
    assert_eq!(world.all_versions(&bucket).await, ["o", "o", "o"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_locked_stays() {
    let world = World::new().await;
    let bucket = BucketName::new("locked").unwrap();
    let new = NewBucket { object_lock: true, ..NewBucket::default() };
    world.engine.create_bucket_with(&world.ada, &bucket, new).await.unwrap();
    let until_us = world.engine.clock().now_us() + 20 * 86_400_000_000;
    let lock = NewLock { retention: Some(Retention { mode: LockMode::Compliance, until_us }), legal_hold: false };
    let new = NewObject { lock, ..NewObject::default() };
    world.engine.put_object(&world.ada, &bucket, &key("o"), new, Body::from_bytes("x")).await.unwrap();
    let noncurrent = Some(NoncurrentExpiration { days: 1, keep_newest: None });
    world.set_rules(&bucket, vec![LifecycleRule { noncurrent, ..rule(Some(Expiration::Days(1))) }]).await;
    world.after_days(3).await;
    world.after_days(3).await;
    assert_eq!(world.all_versions(&bucket).await, ["o-", "o"]);
    world.after_days(20).await;
    world.after_days(1).await;
    assert!(world.all_versions(&bucket).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn open_uploads_are_given_up() {
    let mut world = World::new().await;
    // The store's own limit would come first.
    world.restart_with(|settings| settings.upload_age_max = Duration::ZERO).await;
    let bucket = world.bucket("uploads").await;
    for name in ["tmp/a", "keep/a"] {
        world.engine.create_upload(&world.ada, &bucket, &key(name), NewObject::default(), None).await.unwrap();
    }
    let filter = LifecycleFilter { prefix: "tmp/".to_owned(), ..LifecycleFilter::default() };
    world.set_rules(&bucket, vec![LifecycleRule { filter, abort_uploads_days: Some(2), ..rule(None) }]).await;
    let open = async || {
        let request = UploadListRequest { entries_max: 10, ..UploadListRequest::default() };
        let page = world.engine.list_uploads(&world.ada, &bucket, &request).await.unwrap();
        page.uploads.iter().map(|upload| upload.key.to_string()).collect::<Vec<_>>()
    };
    world.after_days(1).await;
    assert_eq!(open().await.len(), 2);
    world.after_days(2).await;
    assert_eq!(open().await, ["keep/a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_is_told_when_and_by_which_rule() {
    let world = World::new().await;
    let bucket = world.bucket("told").await;
    let day_us = i64::try_from(DAY.as_micros()).unwrap();
    let days = |id: &str, days, prefix: &str| LifecycleRule {
        id: id.to_owned(),
        filter: LifecycleFilter { prefix: prefix.to_owned(), ..LifecycleFilter::default() },
        ..rule(Some(Expiration::Days(days)))
    };
    world.set_rules(&bucket, vec![days("late", 9, "logs/"), days("soon", 2, "logs/app/")]).await;
    let made = world.put(&bucket, "logs/app/a", "x").await;
    let expiry = made.expiry.clone().unwrap();
    let midnight_us = (made.modified_us + 2 * day_us + day_us - 1) / day_us * day_us;
    assert_eq!((expiry.at_us, expiry.rule_id.as_str()), (midnight_us, "soon"));
    assert_eq!(world.put(&bucket, "logs/b", "x").await.expiry.unwrap().rule_id, "late");
    assert_eq!(world.put(&bucket, "other", "x").await.expiry, None);
    let head = async |version_id| {
        let read = engine::ReadObject { version_id, ..engine::ReadObject::default() };
        world.engine.head_object(&world.ada, &bucket, &key("logs/app/a"), &read).await.unwrap().info.expiry
    };
    assert_eq!(head(None).await, made.expiry);
    assert_eq!(
        head(Some(engine::VersionId::null())).await,
        None,
        "what was asked for is a version, not what is current"
    );
}
