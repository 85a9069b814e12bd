//! Rebuilding the database from the last snapshot and the blobs.

use engine::{
    Caller, Database, Engine, Error, OldDatabase, OnProgress, Problem, RebuildOptions, RebuildReport, Result, Settings,
};
use test_databases::{new_postgres, run_sql};

use crate::check::furnish;
use crate::databases::postgres;
use crate::world::{World, everything, noise};

async fn rebuild(world: &World, options: &RebuildOptions) -> Result<RebuildReport> {
    engine::rebuild_index(&Caller::LocalOperator, world.settings(), options, &OnProgress::nobody()).await
}

async fn why_unusable(world: &World, options: &RebuildOptions) -> String {
    match rebuild(world, options).await {
        Err(Error::Unusable(why)) => why,
        rebuilt => panic!("should be refused: {rebuilt:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_snapshot_knows_comes_back_and_the_rest_is_named() {
    let (mut world, bucket) = furnish(World::new().await).await;
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
    world.lose_database();

    let refused = Engine::open(world.settings()).await;
    let Err(Error::Unusable(said)) = refused else { panic!("{refused:?}") };
    assert!(said.contains("cloudhold rebuild-index"), "{said}");

    let report = rebuild(&world, &RebuildOptions::default()).await.unwrap();
    assert_eq!((report.snapshot.clone(), report.snapshot_taken_us), (taken.path, Some(taken.taken_us)));
    assert_eq!((report.objects_lost_count, report.blobs_unmatched_count), (1, 2), "{report:?}");
    assert_eq!(report.blobs_unmatched_size_bytes, 130_000);
    assert!(report.lost_until_us.unwrap() > taken.taken_us && report.old_database.is_none());
    assert!(report.check.findings.iter().any(|finding| finding.subject.starts_with("checked/overwritten")));
    assert_eq!(report.check.open_count(), 0, "{report:?}");

    world.open_again().await;
    let mut expected = before;
    expected.remove("checked/overwritten");
    assert_eq!(everything(&world.engine, &world.ada).await, expected);
    assert_eq!(world.quarantine_count(), 2);
    let again = crate::check::check(&world, false).await;
    assert!(again.is_clean(), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_is_kept_and_a_whole_one_is_not_replaced() {
    // That the file of the database is broken can only be with SQLite.
    let (mut world, bucket) = furnish(World::on(Database::Embedded).await).await;
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
    let opened = Engine::open(world.settings()).await;
    let Err(Error::Unusable(said)) = opened else { panic!("{opened:?}") };
    assert!(said.contains("cloudhold rebuild-index"), "{said}");
    let report = rebuild(&world, &RebuildOptions::default()).await.unwrap();
    assert_eq!(report.snapshots_skipped, [broken]);
    let Some(OldDatabase::Folder(old)) = report.old_database else { panic!("{:?}", report.old_database) };
    assert_eq!(std::fs::read(old.join("metadata.sqlite")).unwrap(), vec![9; 50_000]);
    assert!(report.check.is_clean() && report.objects_lost_count == 0, "{:?}", report.check);
    world.open_again().await;
    assert_eq!(everything(&world.engine, &world.ada).await, before);
    world.put(&bucket, "more", noise(10)).await;
}

/// Whoever is to mend the old database by hand needs it as it was, and what was lost is counted to its last sign of life.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_put_aside_is_not_written_to() {
    let (world, bucket) = furnish(World::on(Database::Embedded).await).await;
    world.engine.take_snapshot(&Caller::LocalOperator).await.unwrap();
    world.put(&bucket, "later", noise(300)).await;
    assert_ne!(world.sql("DELETE FROM store_info WHERE name = 'ring_check'").await, 0, "it is not whole");
    // As a process leaves it that is killed: with a log.
    let files = ["metadata.sqlite", "metadata.sqlite-wal"].map(|name| world.directory.path().join(name));
    let left = files.clone().map(|file| std::fs::read(file).unwrap());
    world.engine.close().await;
    let died = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    for (file, bytes) in files.iter().zip(&left) {
        std::fs::write(file, bytes).unwrap();
        std::fs::OpenOptions::new().write(true).open(file).unwrap().set_modified(died).unwrap();
    }
    let report = rebuild(&world, &RebuildOptions::default()).await.unwrap();
    assert_eq!(report.lost_until_us, Some(1_700_000_000_000_000));
    let Some(OldDatabase::Folder(old)) = report.old_database else { panic!("{:?}", report.old_database) };
    for (file, bytes) in files.iter().zip(left) {
        assert!(std::fs::read(old.join(file.file_name().unwrap())).unwrap() == bytes, "{file:?} was written to");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_without_the_disk_of_the_blobs_puts_no_object_aside() {
    let (mut world, _) = furnish(World::new().await).await;
    let before = everything(&world.engine, &world.ada).await;
    world.engine.take_snapshot(&Caller::LocalOperator).await.unwrap();
    world.engine.close().await;
    world.lose_database();
    let folders = ["blobs", "packs"].map(|name| world.directory.path().join(name));
    for folder in &folders {
        std::fs::rename(folder, folder.with_extension("elsewhere")).unwrap();
    }
    let report = rebuild(&world, &RebuildOptions::default()).await.unwrap();
    assert_eq!((report.objects_lost_count, report.check.count(Problem::BytesMissing)), (3, 3), "{report:?}");
    assert!(report.check.open_count() >= 3, "{report:?}");
    for folder in &folders {
        std::fs::remove_dir_all(folder).unwrap();
        std::fs::rename(folder.with_extension("elsewhere"), folder).unwrap();
    }
    world.open_again().await;
    assert_eq!(everything(&world.engine, &world.ada).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_snapshot_or_the_right_to_it_nothing_is_touched() {
    let world = World::new().await;
    let bucket = world.bucket("lost").await;
    world.put(&bucket, "o", noise(50_000)).await;
    let locked = rebuild(&world, &RebuildOptions::default()).await;
    assert!(matches!(locked, Err(Error::Locked(_))), "a running store is left alone: {locked:?}");
    world.engine.close().await;
    let (settings, options) = (world.settings(), RebuildOptions::default());
    let tenant = engine::rebuild_index(&world.ada, settings, &options, &OnProgress::nobody()).await;
    assert!(matches!(tenant, Err(Error::AccessDenied)), "{tenant:?}");
    world.lose_database();
    let refused = rebuild(&world, &RebuildOptions::default()).await;
    let Err(Error::Unusable(said)) = refused else { panic!("{refused:?}") };
    assert!(said.contains("no snapshot") && said.contains("cloudhold restore"), "{said}");
    assert_eq!((world.blob_count(), world.quarantine_count()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_postgresql_are_put_aside_only_when_that_is_asked_for() {
    let url = new_postgres();
    let (mut world, bucket) = furnish(World::on(postgres(&url)).await).await;
    let before = everything(&world.engine, &world.ada).await;
    world.engine.take_snapshot(&Caller::LocalOperator).await.unwrap();
    world.put(&bucket, "newer", noise(10)).await;
    world.engine.close().await;
    assert!(why_unusable(&world, &RebuildOptions::default()).await.contains("is not empty"));
    assert_eq!(run_sql(&url, "SELECT COUNT(*) FROM versions"), "7", "nothing was touched");

    let report = rebuild(&world, &RebuildOptions { snapshot: None, force: true }).await.unwrap();
    let Some(OldDatabase::Schema(schema)) = report.old_database else { panic!("{:?}", report.old_database) };
    assert!(schema.starts_with("metadata_before_20"), "{schema}");
    assert_eq!(run_sql(&url, &format!("SELECT COUNT(*) FROM {schema}.versions")), "7", "the old one is kept");
    assert_eq!(run_sql(&url, "SELECT COUNT(*) FROM versions"), "6");
    world.open_again().await;
    assert_eq!(everything(&world.engine, &world.ada).await, before);
    world.put(&bucket, "more", noise(10)).await;
    world.engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_another_store_or_a_store_that_did_not_move_is_refused() {
    let (world, other) = (World::new().await, World::new().await);
    let foreign = other.engine.take_snapshot(&Caller::LocalOperator).await.unwrap();
    std::fs::copy(other.directory.path().join("keys.json"), world.directory.path().join("keys.json")).unwrap();
    world.engine.close().await;
    other.engine.close().await;
    world.lose_database();
    let options = RebuildOptions { snapshot: Some(foreign.path), force: false };
    assert!(why_unusable(&world, &options).await.contains("another store than the snapshot"));

    let mut moved = World::on(Database::Embedded).await;
    moved.engine.take_snapshot(&Caller::LocalOperator).await.unwrap();
    moved.engine.close().await;
    let settings = Settings { database: postgres(&new_postgres()), ..moved.settings() };
    let nobody = OnProgress::nobody();
    let refused = engine::rebuild_index(&Caller::LocalOperator, settings, &RebuildOptions::default(), &nobody).await;
    let Err(Error::Unusable(said)) = refused else { panic!("{refused:?}") };
    assert!(said.contains("migrate-metadata"), "{said}");
    moved.open_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_fails_in_the_middle_changes_nothing() {
    let url = new_postgres();
    let (mut world, _) = furnish(World::on(postgres(&url)).await).await;
    let taken = world.engine.take_snapshot(&Caller::LocalOperator).await.unwrap();
    let before = everything(&world.engine, &world.ada).await;
    world.engine.close().await;
    // The versions come after nearly everything else, and PostgreSQL takes no text with a zero byte.
    let broken = world.directory.path().join("broken.sqlite");
    std::fs::copy(&taken.path, &broken).unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&broken);
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("UPDATE versions SET etag = 'x' || char(0)").execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();

    let failed = rebuild(&world, &RebuildOptions { snapshot: Some(broken.clone()), force: true }).await;
    assert!(matches!(failed, Err(Error::Metadata { .. })), "{failed:?}");
    assert_eq!(run_sql(&url, "SELECT COUNT(*) FROM pg_namespace WHERE nspname LIKE 'metadata%'"), "0");
    world.open_again().await;
    assert_eq!(everything(&world.engine, &world.ada).await, before, "the old one");
    world.engine.close().await;

    world.lose_database();
    let failed = rebuild(&world, &RebuildOptions { snapshot: Some(broken), force: false }).await;
    assert!(matches!(failed, Err(Error::Metadata { .. })), "{failed:?}");
    assert_eq!(run_sql(&url, "SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
    let opened = Engine::open(world.settings()).await;
    let Err(Error::Unusable(said)) = opened else { panic!("{opened:?}") };
    assert!(said.contains("cloudhold rebuild-index"), "{said}");
    rebuild(&world, &RebuildOptions::default()).await.unwrap();
    world.open_again().await;
    assert_eq!(everything(&world.engine, &world.ada).await, before);
    world.engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_beside_the_snapshots_of_a_store_is_refused() {
    // All of the store is in the database: there are no blobs that would tell.
    let mut world = World::on(postgres(&new_postgres())).await;
    let bucket = world.bucket("small").await;
    world.put(&bucket, "o", noise(10)).await;
    world.engine.take_snapshot(&Caller::LocalOperator).await.unwrap();
    world.engine.close().await;
    world.lose_database();
    let opened = Engine::open(world.settings()).await;
    let Err(Error::Unusable(said)) = opened else { panic!("{opened:?}") };
    assert!(said.contains("blobs or snapshots") && said.contains("cloudhold rebuild-index"), "{said}");
    rebuild(&world, &RebuildOptions::default()).await.unwrap();
    world.open_again().await;
    assert_eq!(world.get(&bucket, "o").await.unwrap(), noise(10));
    world.engine.close().await;
}
