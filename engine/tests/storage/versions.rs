//! Versions and delete markers: what each write and deletion leaves behind, in each state of a bucket's versioning.

use std::time::Duration;

use engine::{
    Body, BucketName, CompleteUpload, CompletedPart, CopyObject, CopySource, DeleteTarget, Deleted, Digests, Error,
    GroupId, ListEntry, ListPage, ListRequest, ListedObject, NewObject, ObjectHeaders, ReadConditions, ReadObject,
    Result, Usage, UserId, VersionId, VersionListRequest, Versioning, WriteConditions,
};

use crate::world::{World, key, noise};

impl World {
    async fn versioned(&self, name: &str) -> BucketName {
        let bucket = self.bucket(name).await;
        self.set(&bucket, Versioning::Enabled).await;
        bucket
    }

    async fn set(&self, bucket: &BucketName, versioning: Versioning) {
        self.engine.set_versioning(&self.ada, bucket, versioning).await.unwrap();
    }

    async fn put_version(&self, bucket: &BucketName, name: &str, bytes: &str) -> VersionId {
        self.put(bucket, name, bytes).await.version_id
    }

    async fn get_version(&self, bucket: &BucketName, name: &str, version: &VersionId) -> Result<Vec<u8>> {
        let read = ReadObject { version_id: Some(version.clone()), ..ReadObject::default() };
        self.read(bucket, name, read).await
    }

    async fn remove(&self, bucket: &BucketName, name: &str, version: Option<&VersionId>) -> Deleted {
        let target = DeleteTarget { version_id: version.cloned(), ..DeleteTarget::current(key(name)) };
        self.engine.delete_objects(&self.ada, bucket, vec![target]).await.unwrap().remove(0).unwrap()
    }

    /// Deletes without a version and gives the marker that was made.
    async fn cover(&self, bucket: &BucketName, name: &str) -> VersionId {
        let deleted = self.remove(bucket, name, None).await;
        assert_eq!(deleted.version_id, None);
        deleted.marker.expect("a delete marker was made")
    }

    async fn page(&self, bucket: &BucketName, request: &VersionListRequest) -> ListPage {
        self.engine.list_versions(&self.ada, bucket, request).await.unwrap()
    }

    /// All versions and markers.
    async fn history(&self, bucket: &BucketName) -> Vec<ListedObject> {
        let list = ListRequest { entries_max: 1000, ..ListRequest::default() };
        let page = self.page(bucket, &VersionListRequest { list, after_version: None }).await;
        let object = |entry| match entry {
            ListEntry::Object(object) => object,
            ListEntry::CommonPrefix(prefix) => panic!("a common prefix without a delimiter: {prefix}"),
        };
        page.entries.into_iter().map(object).collect()
    }

    async fn keys(&self, bucket: &BucketName) -> Vec<String> {
        let list = ListRequest { entries_max: 1000, ..ListRequest::default() };
        let page = self.engine.list_objects(&self.ada, bucket, &list).await.unwrap();
        let name = |entry| match entry {
            ListEntry::Object(object) => object.key.to_string(),
            ListEntry::CommonPrefix(prefix) => prefix,
        };
        page.entries.into_iter().map(name).collect()
    }

    async fn usage(&self, bucket: &BucketName) -> (u64, u64) {
        let Usage { object_count, size_bytes, .. } = self.engine.bucket(&self.ada, bucket).await.unwrap().usage;
        (object_count, size_bytes)
    }
}

fn id(object: &ListedObject) -> &VersionId {
    object.version_id.as_ref().expect("a listing of versions names them")
}

/// Version, whether it is a marker, whether it is the latest.
fn facts(history: &[ListedObject]) -> Vec<(&VersionId, bool, bool)> {
    history.iter().map(|object| (id(object), object.delete_marker, object.latest)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_makes_a_version_and_a_deletion_only_covers_them() {
    let mut world = World::new().await;
    let bucket = world.versioned("history").await;
    let first = world.put_version(&bucket, "o", "one").await;
    let second = world.put_version(&bucket, "o", "second").await;
    assert!(!first.is_null() && first != second);
    assert_eq!(world.get(&bucket, "o").await.unwrap(), b"second");
    assert_eq!(world.get_version(&bucket, "o", &first).await.unwrap(), b"one");

    let marker = world.cover(&bucket, "o").await;
    assert!(!marker.is_null());
    let gone = world.get(&bucket, "o").await;
    assert!(matches!(gone, Err(Error::NoSuchKey { marker: Some(id) }) if id == marker));
    let of_marker = world.get_version(&bucket, "o", &marker).await;
    assert!(matches!(of_marker, Err(Error::IsDeleteMarker { version_id, .. }) if version_id == marker));
    let unknown = VersionId::new(&"0".repeat(32)).unwrap();
    assert!(matches!(world.get_version(&bucket, "o", &unknown).await, Err(Error::NoSuchVersion)));
    assert!(matches!(world.get_version(&bucket, "o", &VersionId::null()).await, Err(Error::NoSuchVersion)));
    assert!(world.keys(&bucket).await.is_empty());
    assert_eq!(world.usage(&bucket).await, (2, 9), "markers are no objects");

    world.restart().await;
    let history = world.history(&bucket).await;
    assert_eq!(facts(&history), [(&marker, true, true), (&second, false, false), (&first, false, false)]);
    assert_eq!((history[0].size_bytes, history[0].etag.as_str(), history[1].size_bytes), (0, "", 6));
    assert_eq!(world.get_version(&bucket, "o", &second).await.unwrap(), b"second");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_uncovers_what_was_before() {
    let world = World::new().await;
    let bucket = world.versioned("uncover").await;
    let first = world.put_version(&bucket, "o", "1").await;
    let second = world.put_version(&bucket, "o", "22").await;
    let marker = world.cover(&bucket, "o").await;
    let deleted = world.remove(&bucket, "o", Some(&marker)).await;
    let (version_id, shown) = (Some(marker.clone()), Some(marker.clone()));
    assert_eq!(deleted, Deleted { version_id, marker: shown, ..Deleted::default() });
    assert_eq!((world.get(&bucket, "o").await.unwrap(), world.keys(&bucket).await), (b"22".to_vec(), vec!["o".into()]));

    let deleted = world.remove(&bucket, "o", Some(&second)).await;
    assert_eq!(deleted, Deleted { version_id: Some(second.clone()), ..Deleted::default() });
    assert_eq!(world.get(&bucket, "o").await.unwrap(), b"1");
    assert_eq!(facts(&world.history(&bucket).await), [(&first, false, true)]);

    // One that is beneath changes nothing above, and one that is gone is no error.
    let third = world.put_version(&bucket, "o", "333").await;
    world.remove(&bucket, "o", Some(&first)).await;
    let again = world.remove(&bucket, "o", Some(&first)).await;
    assert_eq!(again, Deleted { version_id: Some(first), ..Deleted::default() });
    assert_eq!(world.get(&bucket, "o").await.unwrap(), b"333");
    world.remove(&bucket, "o", Some(&third)).await;
    assert!(matches!(world.get(&bucket, "o").await, Err(Error::NoSuchKey { marker: None })));
    assert_eq!(world.usage(&bucket).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn markers_are_made_of_nothing_and_pile_up() {
    let world = World::new().await;
    let bucket = world.versioned("markers").await;
    let (first, second) = (world.cover(&bucket, "never").await, world.cover(&bucket, "never").await);
    assert_eq!(facts(&world.history(&bucket).await), [(&second, true, true), (&first, true, false)]);
    assert!(matches!(world.engine.delete_bucket(&world.ada, &bucket).await, Err(Error::BucketNotEmpty)));
    world.remove(&bucket, "never", Some(&second)).await;
    let under = world.get(&bucket, "never").await;
    assert!(matches!(under, Err(Error::NoSuchKey { marker: Some(id) }) if id == first), "a marker is never current");
    world.remove(&bucket, "never", Some(&first)).await;
    world.engine.delete_bucket(&world.ada, &bucket).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_suspended_the_version_null_is_replaced() {
    let world = World::new().await;
    let bucket = world.bucket("suspended").await;
    let null = VersionId::null();
    assert_eq!(world.put_version(&bucket, "o", "before").await, null);
    world.set(&bucket, Versioning::Enabled).await;
    let kept = world.put_version(&bucket, "o", "kept").await;
    assert_eq!(world.get_version(&bucket, "o", &null).await.unwrap(), b"before", "it became a version of its own");
    assert_eq!(facts(&world.history(&bucket).await), [(&kept, false, true), (&null, false, false)]);

    world.set(&bucket, Versioning::Suspended).await;
    assert_eq!(world.put_version(&bucket, "o", "after").await, null);
    assert_eq!(facts(&world.history(&bucket).await), [(&null, false, true), (&kept, false, false)]);
    assert_eq!((world.get(&bucket, "o").await.unwrap(), world.usage(&bucket).await), (b"after".to_vec(), (2, 9)));

    assert_eq!(world.cover(&bucket, "o").await, null);
    assert_eq!(facts(&world.history(&bucket).await), [(&null, true, true), (&kept, false, false)]);
    assert_eq!(world.cover(&bucket, "o").await, null, "a marker replaces a marker");
    assert_eq!(world.usage(&bucket).await, (1, 4));
    let of_null = world.get_version(&bucket, "o", &null).await;
    assert!(matches!(of_null, Err(Error::IsDeleteMarker { version_id, .. }) if version_id.is_null()));

    world.put(&bucket, "o", "again").await;
    assert_eq!(facts(&world.history(&bucket).await), [(&null, false, true), (&kept, false, false)]);
    world.set(&bucket, Versioning::Enabled).await;
    let newest = world.put_version(&bucket, "o", "newest").await;
    world.set(&bucket, Versioning::Suspended).await;
    world.put(&bucket, "o", "deep").await;
    assert_eq!(
        facts(&world.history(&bucket).await),
        [(&null, false, true), (&newest, false, false), (&kept, false, false)],
        "also one that lay in the middle is replaced"
    );
    world.remove(&bucket, "o", Some(&null)).await;
    assert_eq!(world.get(&bucket, "o").await.unwrap(), b"newest");
}

#[tokio::test(flavor = "multi_thread")]
async fn versioning_is_never_taken_back() {
    let world = World::new().await;
    let bucket = world.bucket("states").await;
    let state = async || world.engine.bucket(&world.ada, &bucket).await.unwrap().versioning;
    assert_eq!(state().await, Versioning::Off);
    for versioning in [Versioning::Suspended, Versioning::Enabled, Versioning::Enabled, Versioning::Suspended] {
        world.set(&bucket, versioning).await;
        assert_eq!(state().await, versioning);
        let back = world.engine.set_versioning(&world.ada, &bucket, Versioning::Off).await;
        assert!(matches!(back, Err(Error::Invalid { .. })));
    }
    let missing = BucketName::new("missing").unwrap();
    let set = world.engine.set_versioning(&world.ada, &missing, Versioning::Enabled).await;
    assert!(matches!(set, Err(Error::NoSuchBucket)));
    assert_eq!(world.engine.list_buckets(&world.ada).await.unwrap()[0].versioning, Versioning::Suspended);
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_are_about_the_current_version() {
    let world = World::new().await;
    let bucket = world.versioned("conditions").await;
    let put = async |if_match: Option<&str>, if_none_match: Option<&str>| {
        let conditions =
            WriteConditions { if_match: if_match.map(Into::into), if_none_match: if_none_match.map(Into::into) };
        let new = NewObject { conditions, ..NewObject::default() };
        world.engine.put_object(&world.ada, &bucket, &key("o"), new, Body::from_bytes("x")).await
    };
    let old = world.put(&bucket, "o", "old").await;
    let new = world.put(&bucket, "o", "new").await;
    assert!(matches!(put(Some(&old.etag), None).await, Err(Error::PreconditionFailed { .. })));
    assert!(put(Some(&new.etag), None).await.is_ok());
    assert!(matches!(put(None, Some("*")).await, Err(Error::PreconditionFailed { .. })));
    world.cover(&bucket, "o").await;
    assert!(matches!(put(Some("*"), None).await, Err(Error::NoSuchKey { .. })), "under a marker nothing is there");
    let made = put(None, Some("*")).await.unwrap();
    let target =
        DeleteTarget { version_id: Some(old.version_id), if_match: Some(old.etag), ..DeleteTarget::current(key("o")) };
    let deleted = world.engine.delete_objects(&world.ada, &bucket, vec![target.clone()]).await.unwrap();
    assert!(matches!(deleted[0], Err(Error::PreconditionFailed { .. })));
    let target = DeleteTarget { if_match: Some(made.etag), ..target };
    assert!(world.engine.delete_objects(&world.ada, &bucket, vec![target]).await.unwrap()[0].is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_and_uploads_make_versions_too() {
    let world = World::new().await;
    let bucket = world.versioned("making").await;
    let first = world.put(&bucket, "o", noise(20_000)).await.version_id;
    world.put(&bucket, "o", "second").await;
    let source = |version_id: Option<&VersionId>| CopySource {
        bucket: bucket.clone(),
        key: key("o"),
        version_id: version_id.cloned(),
        conditions: ReadConditions::default(),
        customer_key: None,
    };
    let copy = async |source: CopySource| {
        world.engine.copy_object(&world.ada, &source, &bucket, &key("o"), CopyObject::default()).await
    };
    let restored = copy(source(Some(&first))).await.unwrap();
    assert_eq!(restored.source_version_id.as_ref(), Some(&first));
    assert!(restored.info.version_id != first && restored.info.versioning == Versioning::Enabled);
    assert_eq!((world.get(&bucket, "o").await.unwrap(), world.blob_count()), (noise(20_000), 1));
    let marker = world.cover(&bucket, "o").await;
    assert!(matches!(copy(source(Some(&marker))).await, Err(Error::IsDeleteMarker { .. })));
    let replace = Some((ObjectHeaders::default(), Vec::new()));
    let of_marker = CopyObject { replace, ..CopyObject::default() };
    let of_marker = world.engine.copy_object(&world.ada, &source(None), &bucket, &key("o"), of_marker).await;
    assert!(matches!(of_marker, Err(Error::NoSuchKey { marker: Some(id) }) if id == marker));

    let upload =
        world.engine.create_upload(&world.ada, &bucket, &key("o"), NewObject::default(), None).await.unwrap().upload_id;
    let body = Body::from_bytes(noise(30_000));
    let part = world.engine.put_part(&world.ada, &bucket, &key("o"), &upload, 1, body).await.unwrap();
    let parts = vec![CompletedPart { number: 1, etag: part.etag, checksums: Digests::default() }];
    let complete = CompleteUpload { parts, ..CompleteUpload::default() };
    let done = world.engine.complete_upload(&world.ada, &bucket, &key("o"), &upload, complete).await.unwrap();
    let history = world.history(&bucket).await;
    assert_eq!((id(&history[0]), history[0].latest, history.len()), (&done.version_id, true, 5));
    assert_eq!(world.get(&bucket, "o").await.unwrap(), noise(30_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_deletes_what_it_lists_misses_nothing() {
    let world = World::new().await;
    let bucket = world.versioned("pages").await;
    for round in 0..7 {
        for name in ["a", "b"] {
            world.put(&bucket, name, noise(round)).await;
            if round % 3 == 2 {
                world.cover(&bucket, name).await;
            }
        }
    }
    let (mut request, mut seen) = (VersionListRequest::default(), Vec::new());
    request.list.entries_max = 4;
    loop {
        let page = world.page(&bucket, &request).await;
        for entry in &page.entries {
            let ListEntry::Object(object) = entry else { panic!("{entry:?}") };
            seen.push((object.key.to_string(), id(object).clone()));
            world.remove(&bucket, object.key.as_str(), Some(id(object))).await;
        }
        if !page.truncated {
            break;
        }
        let (after, version) = seen.last().cloned().unwrap();
        (request.list.after, request.after_version) = (Some(after), Some(version));
    }
    assert_eq!(seen.len(), 18);
    world.engine.delete_bucket(&world.ada, &bucket).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn common_prefixes_fold_versions_and_markers_alike() {
    let world = World::new().await;
    let bucket = world.versioned("prefixes").await;
    for name in ["a", "d/1", "d/2", "e/1", "z"] {
        world.put(&bucket, name, "1").await;
        world.put(&bucket, name, "2").await;
    }
    world.cover(&bucket, "e/1").await;
    let list = ListRequest { delimiter: Some("/".into()), entries_max: 1000, ..ListRequest::default() };
    let page = world.page(&bucket, &VersionListRequest { list: list.clone(), after_version: None }).await;
    let name = |entry: &ListEntry| match entry {
        ListEntry::Object(object) => object.key.to_string(),
        ListEntry::CommonPrefix(prefix) => prefix.clone(),
    };
    assert_eq!(page.entries.iter().map(name).collect::<Vec<_>>(), ["a", "a", "d/", "e/", "z", "z"]);
    let current = world.engine.list_objects(&world.ada, &bucket, &list).await.unwrap();
    assert_eq!(current.entries.iter().map(name).collect::<Vec<_>>(), ["a", "d/", "z"], "nothing current is in e/");
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_freed_with_its_blobs_and_goes_to_the_trash_with_its_owner() {
    let world = World::new().await;
    let bucket = world.versioned("blobs").await;
    let first = world.put(&bucket, "o", noise(20_000)).await.version_id;
    world.put(&bucket, "o", noise(30_000)).await;
    world.cover(&bucket, "o").await;
    world.clock.advance(Duration::from_secs(120));
    world.engine.run_workers().await.unwrap();
    assert_eq!(world.blob_count(), 2, "what a marker covers stays");
    world.remove(&bucket, "o", Some(&first)).await;
    world.clock.advance(Duration::from_secs(120));
    world.engine.run_workers().await.unwrap();
    assert_eq!((world.blob_count(), world.usage(&bucket).await), (1, (1, 30_000)));

    let (group, user) = (GroupId::new("acme").unwrap(), UserId::new("ada").unwrap());
    world.engine.delete_user(&engine::Caller::AdminService, &group, &user).await.unwrap();
    let trash = world.engine.list_trash(&engine::Caller::LocalOperator).await.unwrap();
    assert_eq!(trash[0].size_bytes, 30_000);
    world.engine.purge_user(&engine::Caller::LocalOperator, &trash[0].canonical_id).await.unwrap();
    world.engine.run_workers().await.unwrap();
    world.clock.advance(Duration::from_secs(120));
    world.engine.run_workers().await.unwrap();
    assert_eq!(world.blob_count(), 0);
    world.engine.create_bucket(&world.eve, &bucket).await.unwrap();
}
