//! The check: what it finds, what a repair does, and that a store in use is not called broken.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine::{
    Body, BucketName, Caller, CheckOptions, CheckReport, CompleteUpload, CompletedPart, CopyObject, CopySource,
    Database, Digests, Error, NewObject, OnProgress, Problem, ReadConditions, Tally,
};

use crate::world::{World, key, noise};

pub(crate) async fn check(world: &World, repair: bool) -> CheckReport {
    let options = CheckOptions { repair, ..CheckOptions::default() };
    world.engine.check(&Caller::LocalOperator, options, &OnProgress::nobody()).await.unwrap()
}

pub(crate) async fn copy(world: &World, bucket: &BucketName, from: &str, to: &str) {
    let source = CopySource {
        bucket: bucket.clone(),
        key: key(from),
        version_id: None,
        conditions: ReadConditions::default(),
        customer_key: None,
    };
    world.engine.copy_object(&world.ada, &source, bucket, &key(to), CopyObject::default()).await.unwrap();
}

async fn furnished() -> (World, BucketName) {
    furnish(World::new().await).await
}

/// Small and large objects, copies of both, a multipart object and an upload that is open.
pub(crate) async fn furnish(world: World) -> (World, BucketName) {
    let bucket = world.bucket("checked").await;
    world.put(&bucket, "small", noise(100)).await;
    world.put(&bucket, "large", noise(300_000)).await;
    world.put(&bucket, "empty", noise(0)).await;
    copy(&world, &bucket, "small", "small-copy").await;
    copy(&world, &bucket, "large", "large-copy").await;
    for name in ["parts", "open"] {
        let upload = world
            .engine
            .create_upload(&world.ada, &bucket, &key(name), NewObject::default(), None)
            .await
            .unwrap()
            .upload_id;
        let mut parts = Vec::new();
        for (number, size) in [(1, 40_000), (2, 2_000), (5, 50)] {
            let body = Body::from_bytes(noise(size));
            let part = world.engine.put_part(&world.ada, &bucket, &key(name), &upload, number, body).await.unwrap();
            parts.push(CompletedPart { number, etag: part.etag, checksums: Digests::default() });
        }
        if name == "parts" {
            let complete = CompleteUpload { parts, ..CompleteUpload::default() };
            world.engine.complete_upload(&world.ada, &bucket, &key(name), &upload, complete).await.unwrap();
        }
    }
    (world, bucket)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_store_is_found_whole_and_all_of_it_is_looked_at() {
    let (world, bucket) = furnished().await;
    world.delete(&bucket, "small").await;
    let report = check(&world, false).await;
    assert!(report.is_clean(), "{report:?}");
    let seen = &report.examined;
    assert_eq!((seen.versions, seen.current, seen.contents), (5, 5, 4));
    assert_eq!((seen.pieces, seen.parts, seen.blobs, seen.buckets), (3, 3, 3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_machines_owner_may_check() {
    let world = World::new().await;
    for caller in [Caller::anonymous(), world.ada.clone(), Caller::AdminService] {
        let refused = world.engine.check(&caller, CheckOptions::default(), &OnProgress::nobody()).await;
        assert!(matches!(refused, Err(Error::AccessDenied)), "{refused:?}");
    }
}

/// What is broken, what must be found (and nothing else), and whether a repair sets it right.
const BREAKS: [(&str, Problem, bool); 14] = [
    ("UPDATE contents SET refs = refs + 3 WHERE refs = 2", Problem::SharesWrong, true),
    ("UPDATE contents SET refs = 1 WHERE refs = 2", Problem::SharesWrong, true),
    ("UPDATE current SET etag = 'x' WHERE key = CAST('large' AS BLOB)", Problem::CurrentWrong, true),
    ("DELETE FROM current WHERE key = CAST('small' AS BLOB)", Problem::CurrentWrong, true),
    (
        "INSERT INTO current SELECT bucket_id, CAST('ghost' AS BLOB), 99, version_id, size_bytes, etag, modified_us,
         storage_class FROM current WHERE key = CAST('small' AS BLOB)",
        Problem::CurrentWrong,
        true,
    ),
    (
        "INSERT INTO usage_deltas (bucket_id, object_count, size_bytes, upload_size_bytes) VALUES (1, -9, 7, 0)",
        Problem::UsageWrong,
        true,
    ),
    (
        "INSERT INTO garbage SELECT blob_id, id, 0 FROM contents WHERE blob_id IS NOT NULL",
        Problem::BlobUsedAndGarbage,
        true,
    ),
    (
        "INSERT INTO contents (id, refs, size_bytes, crc64nvme, data) VALUES (CAST('0123456789abcdef' AS BLOB), 1, 4, NULL, CAST('lost' AS BLOB))",
        Problem::ContentUnused,
        true,
    ),
    ("UPDATE contents SET size_bytes = 101 WHERE size_bytes = 100", Problem::SizesDiffer, false),
    ("UPDATE pieces SET start_bytes = start_bytes + 1 WHERE number = 2", Problem::ContentMalformed, false),
    ("DELETE FROM pieces WHERE number = 5", Problem::ContentMalformed, false),
    ("UPDATE upload_parts SET upload_id = '0' || upload_id", Problem::PartWithoutUpload, false),
    (
        "UPDATE upload_parts SET blob_id = (SELECT blob_id FROM contents WHERE blob_id IS NOT NULL) WHERE blob_id IS NOT NULL",
        Problem::BlobShared,
        false,
    ),
    ("UPDATE contents SET crc64nvme = crc64nvme + 1 WHERE blob_id IS NOT NULL", Problem::BlobDamaged, false),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_contradiction_is_found_and_set_right_where_that_is_possible() {
    for (statement, problem, is_repaired) in BREAKS {
        let (world, bucket) = furnished().await;
        assert_ne!(world.sql(statement).await, 0, "{statement}");
        let found = check(&world, false).await;
        assert!(found.count(problem) > 0, "{statement}: {found:?}");
        let blobs = world.blob_count() + world.quarantine_count();
        let repaired = check(&world, true).await;
        assert_eq!(found.found.keys().collect::<Vec<_>>(), repaired.found.keys().collect::<Vec<_>>(), "{statement}");
        let after = check(&world, false).await;
        assert_eq!(after.is_clean(), is_repaired, "{statement}: {after:?}");
        assert!(world.blob_count() + world.quarantine_count() >= blobs, "{statement}: a blob is gone");
        if is_repaired {
            assert_eq!(repaired.open_count(), 0, "{statement}: {repaired:?}");
            for (name, size) in [("small", 100), ("large", 300_000), ("small-copy", 100), ("large-copy", 300_000)] {
                assert!(world.get(&bucket, name).await.unwrap() == noise(size), "{statement}: {name}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_nothing_uses_are_put_aside_not_deleted() {
    let (world, _) = furnished().await;
    world.sql("DELETE FROM current WHERE key = CAST('small' AS BLOB) OR key = CAST('large' AS BLOB)").await;
    world.sql("DELETE FROM versions WHERE key <> CAST('parts' AS BLOB)").await;
    let blobs = world.blob_count();
    let repaired = check(&world, true).await;
    assert_eq!(repaired.count(Problem::ContentUnused), 3);
    assert_eq!((world.blob_count(), world.quarantine_count()), (blobs - 1, 3), "one was a blob, two were inline");
    let kept = std::fs::read_dir(world.directory.path().join("quarantine")).unwrap();
    let kept: Vec<Vec<u8>> = kept.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    let small = noise(100);
    assert!(kept.iter().any(|blob| blob.windows(100).any(|window| window == small)), "the inline bytes can be read");
    assert!(check(&world, false).await.is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_bytes_are_gone_waits_for_them() {
    let (world, bucket) = furnished().await;
    let large = world.largest_blob();
    let aside = world.directory.path().join("aside");
    std::fs::rename(&large, &aside).unwrap();
    assert!(world.get(&bucket, "large").await.is_err());

    let found = check(&world, false).await;
    assert_eq!(found.count(Problem::BytesMissing), 2, "the object and its copy: {found:?}");
    assert!(found.findings.iter().any(|finding| finding.subject.starts_with("checked/large-copy")), "{found:?}");
    assert!(world.get(&bucket, "large").await.is_err(), "looking changes nothing");

    assert_eq!(check(&world, true).await.open_count(), 0);
    assert!(matches!(world.get(&bucket, "large").await, Err(Error::NoSuchKey { .. })));
    let usage = world.engine.bucket(&world.ada, &bucket).await.unwrap().usage;
    assert_eq!((usage.object_count, usage.size_bytes), (4, 42_250));
    let quiet = check(&world, false).await;
    assert!(quiet.is_clean() && quiet.examined.lost_versions == 2, "{quiet:?}");

    // One name was taken meanwhile: what has it now stays.
    world.put(&bucket, "large-copy", noise(7)).await;
    std::fs::rename(&aside, &large).unwrap();
    assert_eq!(check(&world, false).await.count(Problem::LostVersionWhole), 1);
    assert_eq!(check(&world, true).await.open_count(), 0);
    assert_eq!(world.get(&bucket, "large").await.unwrap(), noise(300_000));
    assert_eq!(world.get(&bucket, "large-copy").await.unwrap(), noise(7));
    assert!(check(&world, false).await.is_clean());
}

async fn repair_and_trust_disk(world: &World) -> CheckReport {
    let options = CheckOptions { repair: true, trust_disk: true, ..CheckOptions::default() };
    world.engine.check(&Caller::LocalOperator, options, &OnProgress::nobody()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_not_mounted_puts_no_object_aside() {
    let (mut world, bucket) = furnished().await;
    let folders = ["blobs", "packs"].map(|name| world.directory.path().join(name));
    for folder in &folders {
        std::fs::rename(folder, folder.with_extension("elsewhere")).unwrap();
        std::fs::create_dir(folder).unwrap();
    }
    world.restart().await;
    let repaired = check(&world, true).await;
    assert_eq!(repaired.found[&Problem::BytesMissing], Tally { found: 3, repaired: 0 }, "{repaired:?}");
    assert!(repaired.findings.iter().any(|finding| finding.detail.contains("may not be there")), "{repaired:?}");
    for folder in &folders {
        std::fs::remove_dir_all(folder).unwrap();
        std::fs::rename(folder.with_extension("elsewhere"), folder).unwrap();
    }
    world.restart().await;
    assert!(check(&world, false).await.is_clean());
    assert_eq!(world.get(&bucket, "large").await.unwrap(), noise(300_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn very_many_missing_blobs_put_objects_aside_only_when_that_is_asked_for() {
    let (world, bucket) = furnish(World::on(Database::Embedded).await).await;
    std::fs::remove_file(world.largest_blob()).unwrap();
    let many = "INSERT INTO pieces (content_id, number, start_bytes, size_bytes, crc64nvme, blob_id)
                WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
                SELECT CAST('0000000000000000' AS BLOB), i, i, 1, 0, CAST(printf('%016d', i) AS BLOB) FROM n";
    assert_eq!(world.sql(many).await, 1001);
    let repaired = check(&world, true).await;
    assert_eq!(repaired.found[&Problem::BytesMissing], Tally { found: 2, repaired: 0 });
    let trusting = repair_and_trust_disk(&world).await;
    assert_eq!(trusting.found[&Problem::BytesMissing], Tally { found: 2, repaired: 2 });
    assert!(matches!(world.get(&bucket, "large").await, Err(Error::NoSuchKey { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_in_use_comes_back_from_quarantine_and_an_unknown_one_goes_there() {
    let (world, bucket) = furnished().await;
    let quarantine = world.directory.path().join("quarantine");
    let large = world.largest_blob();
    std::fs::rename(&large, quarantine.join(large.file_name().unwrap())).unwrap();
    let directory = world.directory.path().join("blobs/ab/cd");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("abcd0000000000000000000000000000"), b"half a blob").unwrap();

    let found = check(&world, false).await;
    assert_eq!((found.count(Problem::BlobInQuarantine), found.count(Problem::BlobWithoutRow)), (1, 1), "{found:?}");
    assert_eq!(check(&world, true).await.open_count(), 0);
    assert_eq!(world.get(&bucket, "large").await.unwrap(), noise(300_000));
    assert_eq!(world.quarantine_count(), 1);
    assert!(check(&world, false).await.is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_use_is_not_called_broken() {
    let world = World::new().await;
    let bucket = world.bucket("busy").await;
    let stop = AtomicBool::new(false);
    let work = async |worker: usize| {
        let mut round = 0;
        while !stop.load(Ordering::Relaxed) {
            let (one, two) = (format!("{worker}/{}", round % 7), format!("{worker}/copy-{}", round % 3));
            world.put(&bucket, &one, noise(if round % 2 == 0 { 30_000 } else { 300 })).await;
            copy(&world, &bucket, &one, &two).await;
            world.delete(&bucket, &one).await;
            round += 1;
        }
        round
    };
    let upkeep = async {
        while !stop.load(Ordering::Relaxed) {
            world.clock.advance(Duration::from_secs(90));
            world.engine.run_workers().await.unwrap();
        }
    };
    let checks = async {
        for _ in 0..15 {
            let report = check(&world, false).await;
            assert!(report.is_clean(), "{report:?}");
        }
        // A repair that runs beside writes finds nothing either, and harms nothing.
        assert!(check(&world, true).await.is_clean());
        stop.store(true, Ordering::Relaxed);
    };
    let (one, two, (), ()) = tokio::join!(work(1), work(2), upkeep, checks);
    assert!(one > 0 && two > 0);
    assert_eq!(world.quarantine_count(), 0);
    assert!(check(&world, false).await.is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_are_corrected_while_they_change() {
    let world = World::new().await;
    let bucket = world.bucket("counted").await;
    world.put(&bucket, "o", noise(20_000)).await;
    for number in 0..20 {
        copy(&world, &bucket, "o", &format!("copy-{number}")).await;
    }
    world.sql("UPDATE contents SET refs = refs + 5").await;
    world
        .sql("INSERT INTO usage_deltas (bucket_id, object_count, size_bytes, upload_size_bytes) VALUES (1, 3, 3, 3)")
        .await;
    let changes = async {
        for number in 0..20 {
            copy(&world, &bucket, "o", &format!("late-{number}")).await;
            world.delete(&bucket, &format!("copy-{number}")).await;
        }
    };
    let (report, ()) = tokio::join!(check(&world, true), changes);
    assert_eq!((report.count(Problem::SharesWrong), report.count(Problem::UsageWrong)), (1, 1), "{report:?}");
    assert!(check(&world, false).await.is_clean());
    for name in (0..20).map(|number| format!("late-{number}")).chain(["o".to_owned()]) {
        world.delete(&bucket, &name).await;
    }
    world.clock.advance(Duration::from_secs(120));
    world.engine.run_workers().await.unwrap();
    assert_eq!(world.blob_count(), 0, "with the last reference the blob goes");
}
