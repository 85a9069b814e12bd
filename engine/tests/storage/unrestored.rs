//! That a rebuild names what it could not restore: all of it, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use engine::{
    Body, BucketName, Caller, CompleteUpload, CompletedPart, CopyObject, CopySource, Database, DeleteTarget, Digests,
    GroupId, Loss, NewGroup, NewObject, ObjectName, OnProgress, Profile, ReadConditions, RebuildOptions, RebuildReport,
    Tags, Unrestored, Versioning,
};
use serde_json::Value;

use crate::bad_disk::BadDisk;
use crate::tenants::user;
use crate::world::{World, everything, key, noise};

const OPERATOR: Caller = Caller::LocalOperator;

async fn snapshot(world: &World) {
    world.engine.take_snapshot(&OPERATOR).await.unwrap();
}

/// Loses the database and rebuilds it.
async fn lose(world: &World) -> RebuildReport {
    world.engine.close().await;
    world.lose_database();
    let (settings, options) = (world.settings(), RebuildOptions::default());
    engine::rebuild_index(&OPERATOR, settings, &options, &OnProgress::nobody()).await.unwrap()
}

/// The lines of the list, each as its kind and its name.
fn named(report: &RebuildReport) -> Vec<(String, String)> {
    let text = fs::read_to_string(&unrestored(report).file).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let mut named: Vec<_> = lines
        .map(|line| {
            let place = ["change", "bucket", "key"].map(|name| text(&line, name));
            (text(&line, "what"), place.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" "))
        })
        .collect();
    named.sort();
    named
}

fn unrestored(report: &RebuildReport) -> &Unrestored {
    report.unrestored.as_ref().unwrap_or_else(|| panic!("{:?}", report.unnamed_as))
}

fn of_kind(report: &RebuildReport, what: &str) -> Vec<String> {
    named(report).into_iter().filter(|(kind, _)| kind == what).map(|(_, name)| name).collect()
}

fn journals(world: &World) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(world.directory.path().join("journal"))
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_came_went_and_changed_are_named_each_once() {
    let mut world = World::new().await;
    let bucket = world.bucket("photos").await;
    for name in ["stays", "small-goes", "large-goes", "overwritten"] {
        world.put(&bucket, name, noise(if name.starts_with("small") { 100 } else { 40_000 })).await;
    }
    snapshot(&world).await;
    world.put(&bucket, "small-comes", noise(10)).await;
    world.put(&bucket, "large-comes", noise(60_000)).await;
    world.put(&bucket, "overwritten", noise(50_000)).await;
    world.put(&bucket, "overwritten", noise(51_000)).await;
    world.put(&bucket, "comes-and-goes", noise(20)).await;
    for name in ["comes-and-goes", "small-goes", "large-goes"] {
        world.delete(&bucket, name).await;
    }
    let names = [("small-comes", noise(10)), ("large-comes", noise(60_000)), ("overwritten", noise(51_000))];

    let report = lose(&world).await;
    let of = |what: &str, names: &[&str]| -> Vec<(String, String)> {
        names.iter().map(|name| (what.to_owned(), format!("photos {name}"))).collect()
    };
    let expected = [
        of("object_lost", &["large-comes", "overwritten", "small-comes"]),
        // Their bytes wait in the garbage for half a minute; then they would be gone, as whoever removed them wanted.
        of("returned", &["large-goes", "overwritten", "small-goes"]),
    ];
    assert_eq!(named(&report), expected.concat());
    assert_eq!((unrestored(&report).count(Loss::ObjectLost), unrestored(&report).count(Loss::Returned)), (3, 3));
    assert!(
        unrestored(&report).told.is_whole_since(report.snapshot_taken_us.unwrap()),
        "{:?}",
        unrestored(&report).told
    );
    assert_eq!(unrestored(&report).first.len(), 6);

    // The bytes of large ones are in quarantine under the name that the list gives.
    let text = fs::read_to_string(&unrestored(&report).file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (name, bytes) in names.iter().filter(|(_, bytes)| bytes.len() > 16 << 10) {
        let line = lines.iter().find(|line| line["key"] == *name && line["what"] == "object_lost").unwrap();
        assert_eq!(line["size_bytes"], bytes.len());
        let blob = line["blob"].as_str().unwrap();
        let held = quarantined(&world, blob);
        assert!(held.windows(1000).any(|window| window == &bytes[..1000]), "{name}: {blob} holds something else");
    }
    world.open_again().await;
    let stays: Vec<String> = everything(&world.engine, &world.ada).await.into_keys().collect();
    assert_eq!(stays, ["photos/large-goes", "photos/overwritten", "photos/small-goes", "photos/stays"]);
}

/// The file of a blob in quarantine.
fn quarantined(world: &World, blob: &str) -> Vec<u8> {
    let mut folders = vec![world.directory.path().join("quarantine")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap().to_str().unwrap().contains(blob) {
                return fs::read(path).unwrap();
            }
        }
    }
    panic!("blob {blob} is not in quarantine");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_gone_are_lost_only_when_nobody_removed_them() {
    let mut world = World::new().await;
    let bucket = world.bucket("photos").await;
    for name in ["removed", "rotten", "whole"] {
        world.put(&bucket, name, noise(300_000)).await;
    }
    snapshot(&world).await;
    world.delete(&bucket, "removed").await;
    world.clock.advance(std::time::Duration::from_secs(120));
    world.engine.run_workers().await.unwrap();
    for newer in world.engine.snapshots(&OPERATOR).unwrap().iter().rev().skip(1) {
        fs::remove_file(&newer.path).unwrap();
    }
    fs::remove_file(&world.blobs()[0].1).unwrap();
    let report = lose(&world).await;
    assert_eq!(report.objects_lost_count, 2, "{report:?}");
    let lost = of_kind(&report, "bytes_lost");
    assert!(lost == ["photos rotten"] || lost == ["photos whole"], "{lost:?}");
    assert_eq!(of_kind(&report, "returned"), Vec::<String>::new());
    world.open_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_markers_are_named_and_their_numbers_are_not_given_again() {
    let mut world = World::new().await;
    let bucket = world.bucket("kept").await;
    world.engine.set_versioning(&world.ada, &bucket, Versioning::Enabled).await.unwrap();
    let first = world.put(&bucket, "o", noise(10)).await;
    snapshot(&world).await;
    let second = world.put(&bucket, "o", noise(11)).await;
    world.delete(&bucket, "o").await;
    let target = DeleteTarget { version_id: Some(first.version_id.clone()), ..DeleteTarget::current(key("o")) };
    world.engine.delete_objects(&world.ada, &bucket, vec![target]).await.unwrap().remove(0).unwrap();

    let report = lose(&world).await;
    let expected = [("marker_lost", "kept o"), ("object_lost", "kept o"), ("returned", "kept o")];
    assert_eq!(named(&report), expected.map(|(what, name)| (what.to_owned(), name.to_owned())));
    assert!(fs::read_to_string(&unrestored(&report).file).unwrap().contains(second.version_id.as_str()));
    let mut last_seq = 0;
    for file in fs::read_dir(&report.old_journal).unwrap() {
        for line in fs::read_to_string(file.unwrap().path()).unwrap().lines() {
            let line: Value = serde_json::from_str(&line[9..]).unwrap();
            let seqs = line["notes"].as_array().unwrap().iter().filter_map(|note| note["seq"].as_i64());
            last_seq = seqs.fold(last_seq, i64::max);
        }
    }
    assert!(last_seq > 0);
    world.open_again().await;
    world.put(&bucket, "o", noise(12)).await;
    let later = format!("UPDATE versions SET etag = etag WHERE seq > {last_seq}");
    assert_eq!(world.sql(later.leak()).await, 1, "a number that was given stands for one version only");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_were_moved_have_their_last_name() {
    let world = World::new().await;
    let bucket = world.bucket("photos").await;
    snapshot(&world).await;
    world.put(&bucket, "first", noise(60_000)).await;
    let copy = CopySource {
        bucket: bucket.clone(),
        key: key("first"),
        version_id: None,
        conditions: ReadConditions::default(),
        customer_key: None,
    };
    world.engine.copy_object(&world.ada, &copy, &bucket, &key("last"), CopyObject::default()).await.unwrap();
    world.delete(&bucket, "first").await;
    let report = lose(&world).await;
    assert_eq!(named(&report), [("object_lost".to_owned(), "photos last".to_owned())]);
    assert!(unrestored(&report).first[0].starts_with("photos/last (its bytes: blob "), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_did_not_end_leaves_its_journal_to_the_next() {
    let mut world = World::new().await;
    let bucket = world.bucket("photos").await;
    snapshot(&world).await;
    world.put(&bucket, "one", noise(10)).await;
    // As after one that ended in the middle, and a store that went on.
    world.engine.close().await;
    let folder = world.directory.path();
    fs::rename(folder.join("journal"), folder.join("journal-rebuilding")).unwrap();
    world.open_again().await;
    world.put(&bucket, "two", noise(10)).await;
    let report = lose(&world).await;
    assert_eq!(of_kind(&report, "object_lost"), ["photos one", "photos two"]);
}

/// The database keeps what it committed; the last second of the journal is gone.
#[tokio::test(flavor = "multi_thread")]
async fn notes_that_a_power_cut_took_are_said_to_be_missing() {
    let mut world = World::on(Database::Embedded).await;
    let bucket = world.bucket("photos").await;
    snapshot(&world).await;
    world.put(&bucket, "synced", noise(10)).await;
    let last = journals(&world).pop().unwrap();
    let length = fs::metadata(&last).unwrap().len();
    world.put(&bucket, "not-synced", noise(40_000)).await;
    world.engine.close().await;
    fs::OpenOptions::new().write(true).open(&last).unwrap().set_len(length).unwrap();
    world.open_again().await;
    world.put(&bucket, "later", noise(10)).await;
    let report = lose(&world).await;
    assert_eq!(of_kind(&report, "object_lost"), ["photos later", "photos synced"]);
    assert_eq!(unrestored(&report).told.gaps.len(), 1, "{:?}", unrestored(&report).told);
    assert_eq!(unrestored(&report).count(Loss::BlobUnnamed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_named_while_their_upload_is_open() {
    let world = World::new().await;
    let bucket = world.bucket("parts").await;
    let (old, new) = (key("old"), key("new"));
    let begin = |key| world.engine.create_upload(&world.ada, &bucket, key, NewObject::default(), None);
    let old = begin(&old).await.unwrap().upload_id;
    snapshot(&world).await;
    let new = begin(&new).await.unwrap().upload_id;
    let mut parts = BTreeMap::new();
    for (name, upload) in [("old", &old), ("new", &new)] {
        for (number, size) in [(1, 40_000), (2, 2_000)] {
            let body = Body::from_bytes(noise(size));
            let part = world.engine.put_part(&world.ada, &bucket, &key(name), upload, number, body).await.unwrap();
            parts.insert((name, number), part.etag);
        }
    }
    let part = |number| CompletedPart { number, etag: parts[&("new", number)].clone(), checksums: Digests::default() };
    let complete = CompleteUpload { parts: vec![part(1), part(2)], ..CompleteUpload::default() };
    world.engine.complete_upload(&world.ada, &bucket, &key("new"), &new, complete).await.unwrap();

    let report = lose(&world).await;
    assert_eq!(of_kind(&report, "object_lost"), ["parts new"]);
    // The bytes of the first part of the object that was completed are a blob, which has to have a name.
    assert_eq!(of_kind(&report, "part_lost"), ["parts new", "parts old", "parts old"]);
    assert_eq!(unrestored(&report).count(Loss::BlobUnnamed), 0, "{:?}", named(&report));
    assert_eq!(report.blobs_unmatched_count, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_changes_are_named() {
    let world = World::new().await;
    let bucket = world.bucket("before").await;
    world.put(&bucket, "tagged", noise(10)).await;
    let ada = world.engine.list_buckets(&world.ada).await.unwrap()[0].owner.clone();
    let key_before = world.engine.create_credential(&OPERATOR, &ada).await.unwrap();
    snapshot(&world).await;
    let engine = &world.engine;
    let new = NewGroup {
        group_id: GroupId::new("later").unwrap(),
        group_name: "Later".to_owned(),
        active: true,
        profile: Profile::new(),
    };
    engine.create_group(&OPERATOR, new).await.unwrap();
    let bob = user(engine, "bob").await;
    engine.create_bucket(&bob, &BucketName::new("bobs").unwrap()).await.unwrap();
    engine.delete_credential(&OPERATOR, &key_before.access_key).await.unwrap();
    engine.set_versioning(&world.ada, &bucket, Versioning::Enabled).await.unwrap();
    let tags = Tags::of_bucket(vec![("a".to_owned(), "b".to_owned())]).unwrap();
    engine.set_bucket_setting(&world.ada, &bucket, Some(&tags)).await.unwrap();
    let tagged = ObjectName { bucket: bucket.clone(), key: key("tagged"), version_id: None };
    engine.set_object_tags(&world.ada, &tagged, tags).await.unwrap();

    let report = lose(&world).await;
    let changes = of_kind(&report, "change_lost");
    for expected in [
        "made group later".to_owned(),
        "made user acme/bob".to_owned(),
        "made bucket bobs".to_owned(),
        format!("deleted access key {}", key_before.access_key),
        "changed setting of a bucket before versioning".to_owned(),
        "changed setting of a bucket before tags".to_owned(),
        "changed tags, lock or permissions of an object before tagged (version null)".to_owned(),
    ] {
        assert!(changes.contains(&expected), "{expected} is not among {changes:?}");
    }
    assert_eq!(unrestored(&report).count(Loss::ChangeLost) as usize, changes.len());
    let all = fs::read_to_string(&unrestored(&report).file).unwrap();
    let secret = secrecy::ExposeSecret::expose_secret(&key_before.secret_key).to_owned();
    assert!(!all.contains(&secret), "secrets are not told");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_journal_does_not_know_is_said() {
    let mut world = World::new().await;
    let bucket = world.bucket("photos").await;
    let disk = BadDisk::default();
    world.restart_with(|settings| settings.disk = Arc::new(disk.clone())).await;
    snapshot(&world).await;
    world.put(&bucket, "noted", noise(40_000)).await;
    disk.refuse_writes(&world.directory.path().join("journal"));
    world.put(&bucket, "not-noted", noise(41_000)).await;
    disk.allow_writes();
    world.put(&bucket, "not-noted-either", noise(40_500)).await;
    world.clock.advance(std::time::Duration::from_secs(10));
    world.put(&bucket, "noted-again", noise(42_000)).await;
    world.engine.close().await;
    let files = journals(&world);
    let broken: Vec<_> = files.iter().filter(|file| file.to_str().unwrap().ends_with(".broken.log")).collect();
    assert_eq!(broken.len(), 1, "{files:?}");

    // And a line that rotted.
    let last = files.last().unwrap();
    let mut bytes = fs::read(last).unwrap();
    bytes[20] ^= 4;
    fs::write(last, bytes).unwrap();
    let report = lose(&world).await;
    assert_eq!(of_kind(&report, "object_lost"), ["photos noted"]);
    let told = &unrestored(&report).told;
    assert_eq!((told.gaps.len(), told.damaged_line_count), (1, 1), "{told:?}");
    assert!(told.gaps[0].until_us.is_some() && !told.is_whole_since(0), "{told:?}");
    assert_eq!(unrestored(&report).count(Loss::BlobUnnamed), 3, "their blobs are there, and nobody knows of what");
    assert!(report.old_journal.is_dir() && journals(&world).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_a_journal_says_that_it_has_none() {
    let mut world = World::new().await;
    let bucket = world.bucket("photos").await;
    world.put(&bucket, "o", noise(10)).await;
    assert!(!journals(&world).is_empty());
    world.restart_with(|settings| settings.journal_size_bytes_max = 0).await;
    assert!(journals(&world).is_empty(), "what is there would keep silent about what comes");
    snapshot(&world).await;
    world.put(&bucket, "p", noise(40_000)).await;
    assert!(journals(&world).is_empty());
    let report = lose(&world).await;
    assert_eq!(unrestored(&report).told.since_us, None);
    assert_eq!(named(&report).len(), 1, "the blob in quarantine");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_goes_as_far_back_as_the_snapshots_and_grows_no_further() {
    let mut world = World::on(Database::Embedded).await;
    world.restart_with(|settings| (settings.snapshots_kept, settings.journal_size_bytes_max) = (3, 64 << 10)).await;
    let bucket = world.bucket("many").await;
    let size = |world: &World| journals(world).iter().map(|file| file.metadata().unwrap().len()).sum::<u64>();
    for _ in 0..6 {
        world.put(&bucket, "o", noise(10)).await;
        world.clock.advance(std::time::Duration::from_secs(60));
        snapshot(&world).await;
    }
    // One after each of three snapshots, and the one before the first of them, which ended when the next was begun.
    assert_eq!(journals(&world).len(), 4, "{:?}", journals(&world));
    for number in 0..1500 {
        world.put(&bucket, &format!("{number:0200}"), noise(1)).await;
    }
    assert!(size(&world) <= 70 << 10, "{} bytes", size(&world));
    let report = lose(&world).await;
    let told = &unrestored(&report).told;
    assert!(told.since_us > report.snapshot_taken_us && !told.is_whole_since(report.snapshot_taken_us.unwrap()));
    let lost = of_kind(&report, "object_lost");
    assert!(lost.len() < 1500 && lost.contains(&format!("many {:0200}", 1499)), "{}", lost.len());
}
