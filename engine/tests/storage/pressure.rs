//! Much to do at once: no transaction grows without bound, and nobody's requests keep another's waiting in proportion.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use engine::{
    Body, BucketName, Caller, CompleteUpload, CompletedPart, Database, Digests, Engine, Error, Faults, GroupId,
    ListRequest, NewObject, Settings, UploadId, UserId,
};

use crate::recorder::Events;
use crate::world::{World, key, noise, tenant_with_bucket};

const ROWS: &str = "cloudhold_metadata_transaction_rows";
/// More than one transaction of the background changes, by a little.
const ROWS_MAX: f64 = 1_100.0;
const PARTS: u32 = 2_600;

async fn upload_of_many_parts(world: &World, bucket: &BucketName, name: &str) -> (UploadId, Vec<CompletedPart>) {
    let (engine, ada, key) = (&world.engine, &world.ada, key(name));
    let upload = engine.create_upload(ada, bucket, &key, NewObject::default(), None).await.unwrap().upload_id;
    let numbers: Vec<u32> = (1..=PARTS).collect();
    let mut parts = Vec::new();
    for some in numbers.chunks(200) {
        let puts = some
            .iter()
            .map(|number| engine.put_part(ada, bucket, &key, &upload, *number, Body::from_bytes(noise(1_024))));
        for part in futures::future::join_all(puts).await {
            let part = part.unwrap();
            parts.push(CompletedPart { number: part.number, etag: part.etag, checksums: Digests::default() });
        }
    }
    (upload, parts)
}

/// Rows of parts and pieces, and notes of some that are to be removed.
async fn rows_left(world: &World) -> [u64; 4] {
    [
        world.sql("UPDATE upload_parts SET number = number").await,
        world.sql("UPDATE pieces SET number = number").await,
        world.sql("UPDATE unused_contents SET added_us = added_us").await,
        world.sql("UPDATE aborted_uploads SET added_us = added_us").await,
    ]
}

fn assert_bounded(events: &Events) {
    let too_large: Vec<_> = events.of(ROWS).into_iter().filter(|event| event.value > ROWS_MAX).collect();
    assert!(too_large.is_empty(), "{too_large:?}");
}

#[tokio::test]
async fn objects_and_uploads_of_many_parts_go_in_bounded_steps_with_writes_in_between() {
    let world = World::new().await;
    let bucket = world.bucket("many-parts").await;
    let (upload, parts) = upload_of_many_parts(&world, &bucket, "whole").await;
    let complete = CompleteUpload { parts, ..CompleteUpload::default() };
    world.engine.complete_upload(&world.ada, &bucket, &key("whole"), &upload, complete).await.unwrap();
    let (upload, _) = upload_of_many_parts(&world, &bucket, "open").await;

    let events = Events::default();
    let _listening = metrics::set_default_local_recorder(&events);
    world.delete(&bucket, "whole").await;
    world.engine.abort_upload(&world.ada, &bucket, &key("open"), &upload).await.unwrap();
    let usage = world.engine.bucket(&world.ada, &bucket).await.unwrap().usage;
    assert_eq!((usage.object_count, usage.size_bytes, usage.upload_size_bytes), (0, 0, 0), "both are gone at once");
    let again = world.engine.abort_upload(&world.ada, &bucket, &key("open"), &upload).await;
    assert!(matches!(again, Err(Error::NoSuchUpload)));

    let is_done = AtomicBool::new(false);
    let work = async {
        world.engine.run_workers().await.unwrap();
        is_done.store(true, Ordering::Relaxed);
    };
    let puts = async {
        while !is_done.load(Ordering::Relaxed) {
            world.put(&bucket, "small", noise(10)).await;
        }
    };
    tokio::join!(work, puts);
    assert_bounded(&events);
    let order: Vec<String> = events.of(ROWS).into_iter().map(|event| event.label).collect();
    let steps: Vec<usize> = (0..order.len()).filter(|at| order[*at] == "remove_leftovers").collect();
    assert!(steps.len() >= 2 * PARTS as usize / 500, "{}", steps.len());
    // SQLite makes changes of several writes in one transaction; on PostgreSQL each has its own, of its own name.
    let is_put = |name: &&String| *name == "changes" || *name == "put_object";
    let between = order[steps[0]..steps[steps.len() - 1]].iter().filter(is_put).count();
    assert!(between >= steps.len() / 2, "{between} writes between {} steps", steps.len());
    assert_eq!(rows_left(&world).await, [0; 4]);
    assert_eq!(world.get(&bucket, "small").await.unwrap(), noise(10));
}

#[tokio::test]
async fn a_bucket_with_very_many_uploads_is_deleted_and_purged_in_bounded_steps() {
    let world = World::new().await;
    let (deleted, purged) = (world.bucket("deleted").await, world.bucket("purged").await);
    for bucket in [&deleted, &purged] {
        let keys: Vec<String> = (0..800).map(|number| format!("{number}")).collect();
        for some in keys.chunks(100) {
            futures::future::join_all(some.iter().map(|name| begin_upload(&world, bucket, name))).await;
            futures::future::join_all(some.iter().map(|name| world.put(&purged, name, "x"))).await;
        }
    }
    let events = Events::default();
    let _listening = metrics::set_default_local_recorder(&events);
    world.engine.delete_bucket(&world.ada, &deleted).await.unwrap();
    world.engine.delete_user(&Caller::LocalOperator, &gid(), &UserId::new("ada").unwrap()).await.unwrap();
    world.clock.advance(Duration::from_secs(8 * 24 * 3600));
    world.engine.run_workers().await.unwrap();
    assert_bounded(&events);
    for name in ["delete_bucket", "purge_bucket", "remove_leftovers"] {
        assert!(events.of(ROWS).iter().filter(|event| event.label == name).count() > 3, "{name}");
    }
    assert_eq!(rows_left(&world).await, [0; 4]);
    assert_eq!(world.sql("UPDATE versions SET seq = seq").await, 0);
}

fn gid() -> GroupId {
    GroupId::new("acme").unwrap()
}

async fn begin_upload(world: &World, bucket: &BucketName, name: &str) {
    let key = key(name);
    let upload =
        world.engine.create_upload(&world.ada, bucket, &key, NewObject::default(), None).await.unwrap().upload_id;
    world.engine.put_part(&world.ada, bucket, &key, &upload, 1, Body::from_bytes(noise(10))).await.unwrap();
}

#[tokio::test]
async fn one_write_among_thousands_of_another_tenant_waits_for_a_few_commits() {
    // Always SQLite: on PostgreSQL several connections commit at a time, so that commits say nothing of who waited.
    let directory = tempfile::tempdir().unwrap();
    let faults = Faults { fsync_delay: Duration::from_secs(1) };
    let engine = Engine::open(Settings { faults, ..Settings::new(directory.path()) }).await.unwrap();
    let (ada, bucket) = tenant_with_bucket(&engine).await;
    let eve = crate::tenants::user(&engine, "eve").await;
    let of_eve = BucketName::new("of-eve").unwrap();
    engine.create_bucket(&eve, &of_eve).await.unwrap();
    let put = |who: &Caller, bucket: &BucketName, name: String| {
        let (engine, who, bucket) = (engine.clone(), who.clone(), bucket.clone());
        async move {
            let body = Body::from_bytes(noise(100));
            engine.put_object(&who, &bucket, &key(&name), NewObject::default(), body).await.map(|_| ())
        }
    };
    let events = Events::default();
    let _listening = metrics::set_default_local_recorder(&events);
    let many: Vec<_> = (0..2_200).map(|number| tokio::spawn(put(&ada, &bucket, format!("{number}")))).collect();
    let waiting = || events.of("cloudhold_metadata_waiting").last().map_or(0.0, |event| event.value);
    // A commit takes 256 of them, and so long that the line grows on a busy machine, too.
    while waiting() < 1_200.0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    events.clear();
    put(&eve, &of_eve, "one".to_owned()).await.unwrap();
    let commits = events.of("cloudhold_metadata_commits_total").len();
    assert!(commits <= 3, "{commits} commits; the others need five");
    for one in many {
        one.await.unwrap().unwrap();
    }
    engine.close().await;
}

/// On both kinds of database.
#[tokio::test]
async fn one_listing_among_hundreds_of_another_tenant_does_not_wait_for_them() {
    let mut world = World::new().await;
    world
        .restart_with(|settings| {
            settings.readers = 1;
            if let Database::Postgres(postgres) = &mut settings.database {
                postgres.connections_max = 1;
            }
        })
        .await;
    let bucket = world.bucket("of-ada").await;
    let of_eve = BucketName::new("of-eve").unwrap();
    world.engine.create_bucket(&world.eve, &of_eve).await.unwrap();
    world.put(&bucket, "o", noise(10)).await;
    let list = |who: &Caller, bucket: &BucketName| {
        let (engine, who, bucket) = (world.engine.clone(), who.clone(), bucket.clone());
        async move { engine.list_objects(&who, &bucket, &ListRequest { entries_max: 10, ..ListRequest::default() }).await }
    };
    // Both are known before, so that only the listings themselves wait.
    list(&world.eve, &of_eve).await.unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let many: Vec<_> = (0..400)
        .map(|_| {
            let (one, done) = (list(&world.ada, &bucket), done.clone());
            tokio::spawn(async move {
                let page = one.await.unwrap();
                assert_eq!(page.entries.len(), 1);
                done.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    // All of them wait when the other one comes.
    tokio::task::yield_now().await;
    list(&world.eve, &of_eve).await.unwrap();
    let before = done.load(Ordering::SeqCst);
    assert!(before < 100, "{before} of 400 others went first");
    for one in many {
        one.await.unwrap();
    }
}
