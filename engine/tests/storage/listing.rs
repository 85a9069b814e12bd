//! Listings, compared with brute force.

use std::collections::BTreeSet;

use engine::{
    Body, BucketName, Caller, Description, ListEntry, ListRequest, NewObject, ObjectHeaders, Tags, VersionId,
    VersionListRequest,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::world::{World, key};

fn text(entry: &ListEntry) -> String {
    match entry {
        ListEntry::Object(object) => object.key.to_string(),
        ListEntry::CommonPrefix(prefix) => prefix.clone(),
    }
}

/// What S3 says a listing is, from all keys.
fn brute(keys: &BTreeSet<String>, prefix: &str, delimiter: Option<&str>) -> Vec<String> {
    let mut entries = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(prefix)) {
        let folded = delimiter.and_then(|d| key[prefix.len()..].find(d).map(|at| prefix.len() + at + d.len()));
        let entry = folded.map_or(key.clone(), |end| key[..end].to_owned());
        if entries.last() != Some(&entry) {
            entries.push(entry);
        }
    }
    entries
}

async fn paged(world: &World, bucket: &BucketName, request: &ListRequest, versions: bool) -> Vec<String> {
    let (mut entries, mut request) = (Vec::new(), request.clone());
    loop {
        let page = if versions {
            let after_version = request.after.as_ref().map(|_| VersionId::null());
            let request = VersionListRequest { list: request.clone(), after_version };
            world.engine.list_versions(&world.ada, bucket, &request).await.unwrap()
        } else {
            world.engine.list_objects(&world.ada, bucket, &request).await.unwrap()
        };
        assert!(page.entries.len() <= request.entries_max);
        entries.extend(page.entries.iter().map(text));
        if !page.truncated {
            return entries;
        }
        request.after = entries.last().cloned();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_equal_brute_force_on_random_keys() {
    let world = World::new().await;
    let bucket = world.bucket("random").await;
    let mut runner = TestRunner::new(Config { cases: 1, ..Config::default() });
    let pieces = prop::sample::select(vec!["a", "b", "/", "//", ".", "0", "\u{1}", "é", "\u{10ffff}", "ab"]);
    let names = prop::collection::vec(prop::collection::vec(pieces, 1..8).prop_map(|p| p.concat()), 400);
    let keys: BTreeSet<String> = names.new_tree(&mut runner).unwrap().current().into_iter().collect();
    for name in &keys {
        world.put(&bucket, name, "x").await;
    }
    for prefix in ["", "a", "a/", "/", "//", "b/a", "é", "\u{10ffff}", "zz"] {
        for delimiter in [None, Some("/"), Some("ab"), Some("\u{10ffff}")] {
            let expected = brute(&keys, prefix, delimiter);
            for entries_max in [1, 3, 1000] {
                let request = ListRequest {
                    prefix: prefix.into(),
                    delimiter: delimiter.map(Into::into),
                    entries_max,
                    ..ListRequest::default()
                };
                assert_eq!(paged(&world, &bucket, &request, false).await, expected, "{request:?}");
                assert_eq!(paged(&world, &bucket, &request, true).await, expected, "versions {request:?}");
            }
        }
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
        paged(&world, &bucket, &request, false).await
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
