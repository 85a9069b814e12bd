//! Tests of decisions that something else came in between of, and of keys with many versions.

use std::time::Duration;

use super::*;
use crate::names::BucketName;
use crate::test_tenant::ada;
use crate::{
    Body, Caller, Clock, ClockHand, DeleteTarget, Engine, Expiration, LifecycleFilter, LifecycleRule, NewObject,
    NoncurrentExpiration, ObjectName, ReadObject, Settings, Tags, Versioning,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A store with a bucket that keeps versions, and a key in it.
struct Store {
    engine: Engine,
    ada: Caller,
    hand: ClockHand,
    bucket: BucketName,
    bucket_id: i64,
    key: ObjectKey,
    _directory: tempfile::TempDir,
}

impl Store {
    async fn new() -> Self {
        let (directory, (clock, hand)) = (tempfile::tempdir().unwrap(), Clock::movable());
        let engine = Engine::open(Settings { clock, ..Settings::new(directory.path()) }).await.unwrap();
        let (ada, bucket) = (ada(&engine).await, BucketName::new("bucket").unwrap());
        engine.create_bucket(&ada, &bucket).await.unwrap();
        engine.set_versioning(&ada, &bucket, Versioning::Enabled).await.unwrap();
        let bucket_id = engine.known_bucket(&bucket).await.unwrap().bucket.id;
        let key = ObjectKey::new("o").unwrap();
        Self { engine, ada, hand, bucket, bucket_id, key, _directory: directory }
    }

    async fn put(&self, tags: Tags) {
        let new = NewObject { tags, ..NewObject::default() };
        self.engine.put_object(&self.ada, &self.bucket, &self.key, new, Body::from_bytes("x")).await.unwrap();
    }

    async fn set_rules(&self, rules: Option<Vec<LifecycleRule>>) -> Option<Lifecycle> {
        let lifecycle = rules.map(|rules| Lifecycle::new(rules).unwrap());
        self.engine.set_bucket_setting(&self.ada, &self.bucket, lifecycle.as_ref()).await.unwrap();
        lifecycle
    }

    fn key(&self) -> Key<'_> {
        Key { inner: &self.engine.inner, bucket_id: self.bucket_id, key: &self.key }
    }

    /// The versions of the key, newest first.
    async fn history(&self) -> Vec<Old> {
        let (bucket_id, key) = (self.bucket_id, self.key.clone());
        let read = self.engine.inner.db.read_statement("history_of_key", move |tx| {
            async move { expiry::history(tx, bucket_id, &key, i64::MAX, 1000).await }.boxed()
        });
        read.await.unwrap()
    }

    async fn delete(&self, version_id: Option<crate::VersionId>) -> Option<crate::VersionId> {
        let target = DeleteTarget { version_id, ..DeleteTarget::current(self.key.clone()) };
        let mut deleted = self.engine.delete_objects(&self.ada, &self.bucket, vec![target]).await.unwrap();
        deleted.pop().unwrap().unwrap().marker
    }

    async fn is_current(&self) -> bool {
        self.engine.head_object(&self.ada, &self.bucket, &self.key, &ReadObject::default()).await.is_ok()
    }
}

fn rule(expiration: Option<Expiration>) -> LifecycleRule {
    LifecycleRule { enabled: true, expiration, ..LifecycleRule::default() }
}

fn noncurrent(days: u32, keep_newest: Option<u32>) -> LifecycleRule {
    LifecycleRule { noncurrent: Some(NoncurrentExpiration { days, keep_newest }), ..rule(None) }
}

const NOTHING: Went = Went { count: 0, has_no_rules: false };

#[tokio::test]
async fn nothing_goes_by_rules_that_were_taken_away_or_changed() {
    let store = Store::new().await;
    store.put(Tags::default()).await;
    let seen = store.set_rules(Some(vec![rule(Some(Expiration::Days(1)))])).await.unwrap();
    store.hand.advance(DAY * 3);
    let history = store.history().await;
    store.set_rules(Some(vec![rule(Some(Expiration::Days(90)))])).await;
    assert_eq!(store.key().expire(&history, Newer::default(), &seen).await.unwrap(), NOTHING);
    store.set_rules(None).await;
    let went = store.key().expire(&history, Newer::default(), &seen).await.unwrap();
    assert_eq!(went, Went { has_no_rules: true, ..NOTHING });
    assert!(store.is_current().await);
    store.set_rules(Some(seen.rules().to_vec())).await;
    assert_eq!(store.key().expire(&history, Newer::default(), &seen).await.unwrap().count, 1);
    assert!(!store.is_current().await);
}

#[tokio::test]
async fn what_has_other_tags_meanwhile_stays() {
    let store = Store::new().await;
    let tags = Tags::of_object(vec![("kind".to_owned(), "tmp".to_owned())]).unwrap();
    store.put(tags.clone()).await;
    let filter = LifecycleFilter { tags, ..LifecycleFilter::default() };
    let rules = vec![LifecycleRule { filter, ..rule(Some(Expiration::Days(1))) }];
    let lifecycle = store.set_rules(Some(rules)).await.unwrap();
    store.hand.advance(DAY * 3);
    let history = store.history().await;
    let object = ObjectName { bucket: store.bucket.clone(), key: store.key.clone(), version_id: None };
    store.engine.delete_object_tags(&store.ada, &object).await.unwrap();
    assert_eq!(store.key().expire(&history, Newer::default(), &lifecycle).await.unwrap(), NOTHING);
    assert!(store.is_current().await);
}

#[tokio::test]
async fn what_is_current_again_or_no_more_stays() {
    let store = Store::new().await;
    store.put(Tags::default()).await;
    let marker = store.delete(None).await;
    let rules = vec![noncurrent(1, None), rule(Some(Expiration::Days(1)))];
    let lifecycle = store.set_rules(Some(rules)).await.unwrap();
    store.hand.advance(DAY * 3);
    let history = store.history().await;
    store.delete(marker).await;
    assert_eq!(store.key().expire(&history, Newer::default(), &lifecycle).await.unwrap(), NOTHING);
    assert!(store.is_current().await, "it was to go as what was under a marker");
    let history = store.history().await;
    store.put(Tags::default()).await;
    assert_eq!(store.key().expire(&history, Newer::default(), &lifecycle).await.unwrap(), NOTHING);
    assert_eq!(store.history().await.len(), 2, "it was to go as what was current");
}

#[tokio::test]
async fn a_marker_that_is_not_alone_any_more_stays() {
    let store = Store::new().await;
    store.delete(None).await;
    let lifecycle = store.set_rules(Some(vec![rule(Some(Expiration::LoneMarkers))])).await.unwrap();
    let history = store.history().await;
    store.put(Tags::default()).await;
    assert_eq!(store.key().expire(&history, Newer::default(), &lifecycle).await.unwrap(), NOTHING);
    assert_eq!(store.history().await.len(), 2);
}

#[tokio::test]
async fn versions_behind_many_that_stay_go_too() {
    let store = Store::new().await;
    for _ in 0..5 {
        store.put(Tags::default()).await;
    }
    store.hand.advance(DAY * 3);
    for _ in 0..4 {
        store.put(Tags::default()).await;
    }
    let seqs: Vec<i64> = store.history().await.iter().map(|old| old.seq).collect();
    for (keep_newest, left) in [(Some(6), 7), (None, 5)] {
        let lifecycle = store.set_rules(Some(vec![noncurrent(1, keep_newest)])).await.unwrap();
        store.key().expire_long(2, &lifecycle).await.unwrap();
        let stayed: Vec<i64> = store.history().await.iter().map(|old| old.seq).collect();
        assert_eq!(stayed, seqs[..left]);
    }
}

#[tokio::test]
async fn uploads_stay_open_when_the_rules_are_gone() {
    let store = Store::new().await;
    let new = NewObject::default();
    let upload = store.engine.create_upload(&store.ada, &store.bucket, &store.key, new, None).await.unwrap();
    store.hand.advance(DAY * 3);
    let bucket_id = store.bucket_id;
    let read = store.engine.inner.db.read_statement("open_uploads", move |tx| {
        async move { expiry::uploads(tx, bucket_id, None, STEP).await }.boxed()
    });
    let open = read.await.unwrap().pop().unwrap();
    assert_eq!(open.upload_id, upload.upload_id);
    let give_up = async || give_up(&store.engine.inner, bucket_id, open.clone()).await.unwrap();
    assert!(!give_up().await);
    store.set_rules(Some(vec![LifecycleRule { abort_uploads_days: Some(1), ..rule(None) }])).await;
    assert!(give_up().await);
}
