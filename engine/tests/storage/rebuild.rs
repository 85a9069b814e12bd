//! Rebuilding the database from the last snapshot and the blobs.

use std::path::Path;

use engine::{Caller, Engine, Error, OnProgress, RebuildOptions, RebuildReport, Result, Settings};

use crate::check::furnish;
use crate::world::{World, embedded, everything, noise};

async fn rebuild(world: &World, options: &RebuildOptions) -> Result<RebuildReport> {
    let settings = embedded(&world.directory);
    engine::rebuild_index(&Caller::LocalOperator, settings, options, &OnProgress::nobody()).await
}

fn lose_database(directory: &Path) {
    for file in ["metadata.sqlite", "metadata.sqlite-wal", "metadata.sqlite-shm"] {
        let _ = std::fs::remove_file(directory.join(file));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_snapshot_knows_comes_back_and_the_rest_is_named() {
    let (mut world, bucket) = furnish(World::embedded().await).await;
    world.put(&bucket, "overwritten", noise(50_000)).await;
    let before = everything(&world.engine, &world.ada).await;
    let taken = world.engine.take_snapshot(&Caller::LocalOperator).await.unwrap();
    // After the snapshot: a new small and a new large object, one that is overwritten and freed, one that is deleted.
    world.put(&bucket, "new-small", noise(300)).await;
    world.put(&bucket, "new-large", noise(60_000)).await;
    world.put(&bucket, "overwritten", noise(70_000)).await;
    world.delete(&bucket, "small").await;
    world.clock.advance(std::time::Duration::from_secs(120));
    world.engine.run_workers().await.unwrap();
    let newer = world.engine.snapshots(&Caller::LocalOperator).unwrap();
    for snapshot in newer.iter().filter(|snapshot| snapshot.path != taken.path) {
        std::fs::remove_file(&snapshot.path).unwrap();
    }
    world.engine.close().await;
    lose_database(world.directory.path());

    let refused = Engine::open(embedded(&world.directory)).await;
    let Err(Error::Unusable(said)) = refused else { panic!("{refused:?}") };
    assert!(said.contains("cloudhold rebuild-index"), "{said}");

    let report = rebuild(&world, &RebuildOptions::default()).await.unwrap();
    assert_eq!((report.snapshot.clone(), report.snapshot_taken_us), (taken.path, Some(taken.taken_us)));
    assert_eq!((report.objects_lost_count, report.blobs_unmatched_count), (1, 2), "{report:?}");
    assert_eq!(report.blobs_unmatched_size_bytes, 130_000);
    assert!(report.lost_until_us.unwrap() > taken.taken_us && report.old_database.is_none());
    assert!(report.check.findings.iter().any(|finding| finding.subject.starts_with("checked/overwritten")));
    assert_eq!(report.check.open_count(), 0, "{report:?}");

    world.engine = Engine::open(embedded(&world.directory)).await.unwrap();
    let mut expected = before;
    expected.remove("checked/overwritten");
    assert_eq!(everything(&world.engine, &world.ada).await, expected);
    assert_eq!(world.quarantine_count(), 2);
    let again = crate::check::check(&world, false).await;
    assert!(again.is_clean(), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_database_is_kept_and_a_whole_one_is_not_replaced() {
    let (mut world, bucket) = furnish(World::embedded().await).await;
    let before = everything(&world.engine, &world.ada).await;
    world.engine.take_snapshot(&Caller::LocalOperator).await.unwrap();
    world.engine.close().await;
    let refused = rebuild(&world, &RebuildOptions::default()).await;
    assert!(matches!(refused, Err(Error::Unusable(_))), "{refused:?}");

    // A newer snapshot that is damaged is passed over.
    let broken = world.directory.path().join("snapshots/metadata-20990101T000000.000000Z.sqlite");
    std::fs::write(&broken, vec![7; 100_000]).unwrap();
    let database = world.directory.path().join("metadata.sqlite");
    std::fs::write(&database, vec![9; 50_000]).unwrap();
    let opened = Engine::open(embedded(&world.directory)).await;
    let Err(Error::Unusable(said)) = opened else { panic!("{opened:?}") };
    assert!(said.contains("cloudhold rebuild-index"), "{said}");
    let report = rebuild(&world, &RebuildOptions::default()).await.unwrap();
    assert_eq!(report.snapshots_skipped, [broken]);
    let old = report.old_database.unwrap();
    assert_eq!(std::fs::read(old.join("metadata.sqlite")).unwrap(), vec![9; 50_000]);
    assert!(report.check.is_clean() && report.objects_lost_count == 0, "{:?}", report.check);
    world.engine = Engine::open(embedded(&world.directory)).await.unwrap();
    assert_eq!(everything(&world.engine, &world.ada).await, before);
    world.put(&bucket, "more", noise(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_snapshot_or_the_right_to_it_nothing_is_touched() {
    let world = World::embedded().await;
    let bucket = world.bucket("lost").await;
    world.put(&bucket, "o", noise(50_000)).await;
    let locked = rebuild(&world, &RebuildOptions::default()).await;
    assert!(matches!(locked, Err(Error::Locked(_))), "a running store is left alone: {locked:?}");
    world.engine.close().await;
    let (settings, options) = (Settings::new(world.directory.path()), RebuildOptions::default());
    let tenant = engine::rebuild_index(&world.ada, settings, &options, &OnProgress::nobody()).await;
    assert!(matches!(tenant, Err(Error::AccessDenied)), "{tenant:?}");
    lose_database(world.directory.path());
    let refused = rebuild(&world, &RebuildOptions::default()).await;
    let Err(Error::Unusable(said)) = refused else { panic!("{refused:?}") };
    assert!(said.contains("no snapshot") && said.contains("cloudhold restore"), "{said}");
    assert_eq!((world.blob_count(), world.quarantine_count()), (1, 0));
}
