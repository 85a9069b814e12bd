//! Changes that wait at the same time and are written together: each has its own answer, and the database is asked far less often than
//! once for each.

use std::time::Duration;

use engine::{
    Body, BucketName, Database, DeleteTarget, Deleted, Error, Faults, NewObject, ObjectInfo, Result, Versioning,
    WriteConditions,
};
use futures::future::join_all;

use crate::recorder::Events;
use crate::world::{World, key, noise};

const STATEMENTS: &str = "cloudhold_metadata_statements_total";
const COMMITS: &str = "cloudhold_metadata_commits_total";

/// A store whose commits take so long that what is asked at one time waits together.
async fn slow_world(database: Database) -> World {
    let mut world = World::on(database).await;
    become_slow(&mut world).await;
    world
}

async fn become_slow(world: &mut World) {
    world.restart_with(|settings| settings.faults = Faults { fsync_delay: Duration::from_millis(30) }).await;
}

async fn put(world: &World, bucket: &BucketName, name: &str, conditions: WriteConditions) -> Result<ObjectInfo> {
    let new = NewObject { conditions, ..NewObject::default() };
    world.engine.put_object(&world.ada, bucket, &key(name), new, Body::from_bytes(noise(100))).await
}

async fn delete(world: &World, bucket: &BucketName, names: &[String]) -> Result<Vec<Result<Deleted>>> {
    let target = |name: &String| DeleteTarget::current(key(name));
    world.engine.delete_objects(&world.ada, bucket, names.iter().map(target).collect()).await
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number}")).collect()
}

fn none_before() -> WriteConditions {
    WriteConditions { if_none_match: Some("*".to_owned()), if_match: None }
}

#[tokio::test]
async fn what_waits_together_is_written_in_few_statements() {
    let world = slow_world(crate::databases::database()).await;
    let bucket = world.bucket("together").await;
    let names = names(200);
    let events = Events::default();
    let _listening = metrics::set_default_local_recorder(&events);
    let count = |metric: &str| events.of(metric).iter().map(|event| event.value).sum::<f64>();
    // New objects, objects in the place of others, and deletions.
    for round in 0..3 {
        events.clear();
        match round {
            2 => join_all(names.iter().map(|name| world.delete(&bucket, name))).await.into_iter().for_each(drop),
            _ => join_all(names.iter().map(|name| world.put(&bucket, name, noise(50 + round))))
                .await
                .into_iter()
                .for_each(drop),
        }
        let (statements, commits) = (count(STATEMENTS), count(COMMITS));
        assert!(commits < 30.0, "round {round}: {commits} commits");
        assert!(statements > 0.0 && statements < 30.0 * commits, "round {round}: {statements} in {commits} commits");
        assert!(statements < names.len() as f64, "round {round}: {statements} statements");
    }
    let usage = world.engine.bucket(&world.ada, &bucket).await.unwrap().usage;
    assert_eq!((usage.object_count, usage.size_bytes), (0, 0));
}

/// In a store with many contents, ids that are random from the first byte on make 648 pages of them instead of 396.
#[tokio::test]
async fn small_objects_that_wait_together_change_few_pages() {
    const PAGE: u64 = 4096 + 24;
    let mut world = World::on(Database::Embedded).await;
    let bucket = world.bucket("pages").await;
    world
        .sql(
            "WITH RECURSIVE numbers (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < 60000)
             INSERT INTO contents (id, refs, size_bytes, crc64nvme, data) SELECT randomblob(16), 1, 0, 0, x'' FROM numbers",
        )
        .await;
    // The start empties the log.
    become_slow(&mut world).await;
    let log = || std::fs::metadata(world.directory.path().join("metadata.sqlite-wal")).unwrap().len();
    let before = log();
    join_all(names(300).iter().map(|name| world.put(&bucket, name, noise(4096)))).await;
    let pages = (log() - before) / PAGE;
    assert!((300..500).contains(&pages), "{pages} pages for 300 objects");
}

#[tokio::test]
async fn one_request_for_a_thousand_deletions_asks_the_database_a_few_dozen_times() {
    let world = slow_world(Database::Embedded).await;
    let bucket = world.bucket("thousand").await;
    let names = names(1000);
    join_all(names.iter().map(|name| world.put(&bucket, name, "x"))).await;
    let events = Events::default();
    let _listening = metrics::set_default_local_recorder(&events);
    assert!(delete(&world, &bucket, &names).await.unwrap().iter().all(|one| one.is_ok()));
    let statements: f64 = events.of(STATEMENTS).iter().map(|event| event.value).sum();
    assert!(statements > 0.0 && statements < 120.0, "{statements} statements");
}

#[tokio::test]
async fn refusals_touch_nobody_else() {
    let world = slow_world(crate::databases::database()).await;
    let (bucket, gone) = (world.bucket("mixed").await, world.bucket("gone").await);
    world.put(&bucket, "there", "before").await;
    let missing = WriteConditions { if_match: Some("*".to_owned()), if_none_match: None };
    let (fresh, there, absent, lost, plain) = tokio::join!(
        put(&world, &bucket, "fresh", none_before()),
        put(&world, &bucket, "there", none_before()),
        put(&world, &bucket, "absent", missing),
        async {
            // It is deleted in the same commit or before it; either way nothing may be stored in it.
            let (deleted, put) = tokio::join!(
                world.engine.delete_bucket(&world.ada, &gone),
                put(&world, &gone, "lost", WriteConditions::default())
            );
            assert!(deleted.is_ok() != put.is_ok(), "{deleted:?} {put:?}");
        },
        put(&world, &bucket, "plain", WriteConditions::default()),
    );
    let () = lost;
    assert!(fresh.is_ok() && plain.is_ok());
    assert!(matches!(there, Err(Error::PreconditionFailed { .. })), "{there:?}");
    assert!(matches!(absent, Err(Error::NoSuchKey { .. })), "{absent:?}");
    assert_eq!(world.get(&bucket, "there").await.unwrap(), b"before");
    let usage = world.engine.bucket(&world.ada, &bucket).await.unwrap().usage;
    assert_eq!((usage.object_count, usage.size_bytes), (3, 206));
}

#[tokio::test]
async fn of_many_that_want_to_be_the_first_at_a_key_one_is() {
    let world = slow_world(crate::databases::database()).await;
    let bucket = world.bucket("race").await;
    let results = join_all((0..40).map(|_| put(&world, &bucket, "one", none_before()))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    // The same key many times without conditions: all are stored, one after the other, and one is left.
    let results = join_all((0..40).map(|_| put(&world, &bucket, "one", WriteConditions::default()))).await;
    assert!(results.iter().all(|result| result.is_ok()));
    let usage = world.engine.bucket(&world.ada, &bucket).await.unwrap().usage;
    assert_eq!((usage.object_count, usage.size_bytes), (1, 100));
}

#[tokio::test]
async fn versions_and_markers_are_made_together_too() {
    let world = slow_world(crate::databases::database()).await;
    let bucket = world.bucket("versions").await;
    world.engine.set_versioning(&world.ada, &bucket, Versioning::Enabled).await.unwrap();
    let names = names(70);
    for _ in 0..2 {
        join_all(names.iter().map(|name| world.put(&bucket, name, noise(10)))).await;
    }
    let some = &names[..40];
    let deleted = join_all(some.chunks(10).map(|names| delete(&world, &bucket, names))).await;
    let markers: Vec<_> = deleted.into_iter().flat_map(|one| one.unwrap()).map(|one| one.unwrap().marker).collect();
    assert!(markers.iter().all(Option::is_some), "{markers:?}");
    let usage = world.engine.bucket(&world.ada, &bucket).await.unwrap().usage;
    assert_eq!((usage.object_count, usage.size_bytes), (140, 1400));
    for (number, name) in names.iter().enumerate() {
        assert_eq!(world.get(&bucket, name).await.is_ok(), number >= some.len(), "{name}");
    }
    let again = delete(&world, &bucket, &["0".to_owned(), "0".to_owned(), "none".to_owned()]).await.unwrap();
    assert!(again.iter().all(|one| one.as_ref().is_ok_and(|one| one.marker.is_some())), "{again:?}");
}

#[tokio::test]
async fn copies_keep_their_bytes_when_what_they_were_copied_from_goes() {
    let world = slow_world(crate::databases::database()).await;
    let bucket = world.bucket("copies").await;
    let names = names(20);
    join_all(names.iter().map(|name| world.put(&bucket, name, noise(40_000)))).await;
    for name in &names {
        let source = engine::CopySource {
            bucket: bucket.clone(),
            key: key(name),
            version_id: None,
            conditions: engine::ReadConditions::default(),
            customer_key: None,
        };
        let copy = engine::CopyObject::default();
        world.engine.copy_object(&world.ada, &source, &bucket, &key(&format!("copy-{name}")), copy).await.unwrap();
    }
    // Deleted, and overwritten, in requests that wait together with those for objects that share nothing.
    let (first, last) = names.split_at(10);
    tokio::join!(
        async { assert!(delete(&world, &bucket, first).await.unwrap().iter().all(|one| one.is_ok())) },
        join_all(last.iter().map(|name| world.put(&bucket, name, noise(41_000)))),
        join_all((0..20).map(|number| world.put(&bucket, ["a", "b"][number % 2], noise(42_000)))),
    );
    for name in &names {
        assert_eq!(world.get(&bucket, &format!("copy-{name}")).await.unwrap(), noise(40_000));
    }
    for name in last {
        assert_eq!(world.get(&bucket, name).await.unwrap(), noise(41_000));
    }
    let usage = world.engine.bucket(&world.ada, &bucket).await.unwrap().usage;
    assert_eq!((usage.object_count, usage.size_bytes), (32, 20 * 40_000 + 10 * 41_000 + 2 * 42_000));
}

#[tokio::test]
async fn reads_that_wait_together_are_asked_for_together() {
    let world = World::new().await;
    let (bucket, other) = (world.bucket("together").await, world.bucket("other").await);
    let names = names(200);
    join_all(names.iter().map(|name| world.put(&bucket, name, noise(50 + name.len())))).await;
    world.put(&other, "7", noise(1000)).await;
    let events = Events::default();
    let _listening = metrics::set_default_local_recorder(&events);
    let asked = || events.of("cloudhold_metadata_look_ups_total").len();
    let found = join_all(names.iter().map(|name| world.get(&bucket, name)));
    let missing = join_all((0..50).map(|number| world.get(&bucket, ["no", "none"][number % 2])));
    let (found, missing, of_other) = tokio::join!(found, missing, world.get(&other, "7"));
    for (name, bytes) in names.iter().zip(found) {
        assert_eq!(bytes.unwrap(), noise(50 + name.len()), "{name}");
    }
    assert!(missing.iter().all(|one| matches!(one, Err(Error::NoSuchKey { marker: None }))));
    assert_eq!(of_other.unwrap(), noise(1000));
    assert!((1..=40).contains(&asked()), "{} questions for 251 look-ups", asked());
    // One that is alone is asked for at once.
    events.clear();
    world.get(&bucket, "0").await.unwrap();
    assert_eq!(asked(), 1);
}

/// Who goes away while it waits takes nobody along.
#[tokio::test]
async fn a_read_that_is_given_up_does_not_end_those_that_wait_with_it() {
    let world = World::new().await;
    let bucket = world.bucket("together").await;
    world.put(&bucket, "o", noise(100)).await;
    for _ in 0..20 {
        let mut reads: Vec<_> = (0..30).map(|_| Box::pin(world.get(&bucket, "o"))).collect();
        for read in &mut reads {
            assert!(futures::poll!(read.as_mut()).is_pending());
        }
        let kept = reads.split_off(15);
        drop(reads);
        for read in join_all(kept).await {
            assert_eq!(read.unwrap(), noise(100));
        }
    }
}

/// A row that cannot be read is the trouble of who asked for it.
#[tokio::test]
async fn what_is_damaged_at_one_key_is_not_told_of_others() {
    let world = World::on(Database::Embedded).await;
    let bucket = world.bucket("together").await;
    let names = names(20);
    join_all(names.iter().map(|name| world.put(&bucket, name, noise(50)))).await;
    world.sql("UPDATE versions SET meta = '{' WHERE key = CAST('7' AS BLOB)").await;
    let found = join_all(names.iter().map(|name| world.get(&bucket, name))).await;
    for (name, found) in names.iter().zip(found) {
        match found {
            Ok(bytes) => assert!(name != "7" && bytes == noise(50), "{name}"),
            Err(error) => assert!(name == "7" && matches!(error, Error::Corrupt(_)), "{name}: {error}"),
        }
    }
}
