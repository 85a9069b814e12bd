//! Listings: where they begin, and what they show. `drawn_listings` compares them with brute force.

use engine::{
    Body, BucketName, Caller, Description, ListEntry, ListRequest, NewObject, ObjectHeaders, Tags, VersionId,
    VersionListRequest,
};

use crate::world::{World, key};

fn text(entry: &ListEntry) -> String {
    match entry {
        ListEntry::Object(object) => object.key.to_string(),
        ListEntry::CommonPrefix(prefix) => prefix.clone(),
    }
}

/// What a listing gives, page by page.
async fn paged(world: &World, bucket: &BucketName, request: &ListRequest) -> Vec<String> {
    let (mut entries, mut request) = (Vec::new(), request.clone());
    loop {
        let page = world.engine.list_objects(&world.ada, bucket, &request).await.unwrap();
        assert!(page.entries.len() <= request.entries_max);
        entries.extend(page.entries.iter().map(text));
        if !page.truncated {
            return entries;
        }
        request.after = entries.last().cloned();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_begins_after_its_marker_even_when_that_is_no_key() {
    let world = World::new().await;
    let bucket = world.bucket("markers").await;
    for name in ["a", "b/1", "b/2", "c"] {
        world.put(&bucket, name, "x").await;
    }
    let list = async |after: &str, delimiter: Option<&str>| {
        let request = ListRequest {
            after: Some(after.into()),
            delimiter: delimiter.map(Into::into),
            entries_max: 10,
            ..ListRequest::default()
        };
        paged(&world, &bucket, &request).await
    };
    assert_eq!(list("aa", None).await, ["b/1", "b/2", "c"]);
    assert_eq!(list("b/1", None).await, ["b/2", "c"]);
    assert_eq!(list("b/", Some("/")).await, ["c"]);
    assert_eq!(list("b/1", Some("/")).await, ["b/", "c"]);
    assert_eq!(list("zz", None).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_without_versions_is_listed_as_version_null() {
    let world = World::new().await;
    let bucket = world.bucket("null").await;
    world.put(&bucket, "o", "1").await;
    world.put(&bucket, "o", "22").await;
    let request =
        VersionListRequest { list: ListRequest { entries_max: 10, ..ListRequest::default() }, after_version: None };
    let page = world.engine.list_versions(&world.ada, &bucket, &request).await.unwrap();
    let [ListEntry::Object(object)] = &page.entries[..] else { panic!("{page:?}") };
    assert_eq!((object.key.clone(), object.size_bytes), (key("o"), 2));
    assert!(object.version_id.as_ref().is_some_and(VersionId::is_null) && object.latest && !object.delete_marker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marker_before_the_prefix_begins_at_the_prefix() {
    let world = World::new().await;
    let bucket = world.bucket("before").await;
    for name in ["a", "b\u{e9}x", "photos/1", "photos/2", "z"] {
        world.put(&bucket, name, "x").await;
    }
    for delimiter in [None, Some("/".to_owned())] {
        let (prefix, after) = ("photos/".into(), Some("a".into()));
        let list = ListRequest { prefix, delimiter, after, entries_max: 10, described: false };
        let request = VersionListRequest { list, after_version: Some(VersionId::null()) };
        let page = world.engine.list_versions(&world.ada, &bucket, &request).await.unwrap();
        assert_eq!(page.entries.iter().map(text).collect::<Vec<_>>(), ["photos/1", "photos/2"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_described_as_far_as_the_caller_may_read_them() {
    let world = World::new().await;
    let bucket = world.bucket("described").await;
    for name in ["a", "b/1", "b/2", "c", "d"] {
        let headers = ObjectHeaders { content_type: Some(format!("text/{name}")), ..ObjectHeaders::default() };
        let user_metadata = vec![("name".to_owned(), name.to_owned())];
        let tags = Tags::of_object(vec![("name".to_owned(), name.to_owned())]).unwrap();
        let new = NewObject { headers, user_metadata, tags, ..NewObject::default() };
        world.engine.put_object(&world.ada, &bucket, &key(name), new, Body::from_bytes("x")).await.unwrap();
    }
    let described = async |caller: &Caller, delimiter: Option<&str>, described: bool| {
        let delimiter = delimiter.map(str::to_owned);
        let request = ListRequest { delimiter, entries_max: 4, described, ..ListRequest::default() };
        let page = world.engine.list_objects(caller, &bucket, &request).await.unwrap();
        let objects = page.entries.into_iter().filter_map(|entry| match entry {
            ListEntry::Object(object) => Some((object.key.to_string(), object.description)),
            ListEntry::CommonPrefix(_) => None,
        });
        objects.collect::<Vec<_>>()
    };
    for delimiter in [None, Some("/")] {
        let objects = described(&world.ada, delimiter, true).await;
        assert_eq!(objects.len(), if delimiter.is_some() { 3 } else { 4 });
        for (name, description) in objects {
            let Description { headers, user_metadata, tags } = *description.unwrap();
            assert_eq!(headers.content_type, Some(format!("text/{name}")));
            assert_eq!(user_metadata, [("name".to_owned(), name.clone())]);
            assert_eq!(tags.unwrap().pairs(), [("name".to_owned(), name)]);
        }
        assert!(described(&world.ada, delimiter, false).await.iter().all(|(_, description)| description.is_none()));
    }
    let policy = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::described"},
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::described/b/*"}]}"#;
    world.engine.set_bucket_policy(&world.ada, &bucket, policy).await.unwrap();
    for (name, description) in described(&world.eve, None, true).await {
        assert_eq!(description.is_some(), name.starts_with("b/"), "{name}");
        assert!(description.is_none_or(|description| description.tags.is_none()), "{name}");
    }
}
