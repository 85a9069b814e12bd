//! Snapshots and back-ups that leave PostgreSQL or go into it: nothing is lost on the way, from either kind of database to either.

use std::path::Path;

use engine::{
    BackupOptions, Caller, Database, Engine, Error, ListRequest, OldDatabase, OnProgress, Restored, Result, Settings,
    VersionListRequest, Versioning,
};
use secrecy::ExposeSecret;
use sqlx::Row;
use test_databases::{new_postgres, run_sql};

use crate::check::furnish;
use crate::databases::postgres;
use crate::world::{World, everything, key, noise};

const OPERATOR: Caller = Caller::LocalOperator;

/// A store with something of everything in every kind of row that a copy could get wrong.
async fn furnished_on(database: Database) -> (World, engine::BucketName) {
    let (world, bucket) = furnish(World::on(database).await).await;
    world.engine.set_versioning(&world.ada, &bucket, Versioning::Enabled).await.unwrap();
    for size in [10, 20_000, 30] {
        world.put(&bucket, "versions", noise(size)).await;
    }
    world.put(&bucket, "gone", noise(5)).await;
    world.delete(&bucket, "gone").await;
    // More than one statement inserts at a time.
    for number in 0..600 {
        world.put(&bucket, &format!("many/{number:03}"), noise(number)).await;
    }
    // The bucket of the highest number is gone: its number must not come again.
    let last = world.bucket("last").await;
    world.engine.delete_bucket(&world.ada, &last).await.unwrap();
    world.engine.run_workers().await.unwrap();
    (world, bucket)
}

async fn back_up(world: &World, to: &Path) {
    world.engine.back_up(&OPERATOR, to, BackupOptions::default(), &OnProgress::nobody()).await.unwrap();
}

async fn restore(world: &World, from: &Path, to: &Settings, force: bool) -> Result<Restored> {
    let keys = world.directory.path().join("keys.json");
    engine::restore_backup(&OPERATOR, to, from, Some(&keys), force, &OnProgress::nobody()).await
}

async fn why_refused(world: &World, from: &Path, to: &Settings, force: bool) -> String {
    match restore(world, from, to, force).await {
        Err(Error::Unusable(why)) => why,
        restored => panic!("should be refused: {restored:?}"),
    }
}

/// Everything that a listing of versions shows.
async fn history(engine: &Engine, owner: &Caller, bucket: &engine::BucketName) -> String {
    let list = ListRequest { entries_max: 1000, ..ListRequest::default() };
    let request = VersionListRequest { list, after_version: None };
    format!("{:?}", engine.list_versions(owner, bucket, &request).await.unwrap())
}

/// The number of a bucket, from the database itself.
async fn bucket_number(settings: &Settings, name: &str) -> i64 {
    let sql = format!("SELECT id FROM buckets WHERE name = '{name}'");
    if let Database::Postgres(postgres) = &settings.database {
        return run_sql(postgres.url.expose_secret(), &sql).parse().unwrap();
    }
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(settings.data_dir.join("metadata.sqlite"));
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    row.get(0)
}

/// Every row of every table and the next value of every counter, as one text for each.
fn contents(url: &str) -> Vec<String> {
    let tables = run_sql(
        url,
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations' ORDER BY 1",
    );
    let mut contents: Vec<String> = tables
        .lines()
        .map(|table| {
            let rows = "COUNT(*), md5(string_agg(r::text, '|' ORDER BY r::text))";
            format!("{table}: {}", run_sql(url, &format!("SELECT {rows} FROM {table} AS r")))
        })
        .collect();
    for counter in ["'commit_sequence'", "pg_get_serial_sequence('buckets', 'id')"] {
        contents.push(format!("{counter}: {}", run_sql(url, &format!("SELECT nextval({counter})"))));
    }
    contents
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_and_counter_goes_through_a_snapshot_and_back() {
    let (from, to) = (new_postgres(), new_postgres());
    let (mut world, bucket) = furnished_on(postgres(&from)).await;
    // Nothing may write between the snapshot and the comparison.
    world.restart_with(|settings| settings.background_work = false).await;
    // A version whose bytes are gone is in a table of its own.
    let (_, lost, _) = world.blobs().remove(0);
    std::fs::rename(&lost, world.directory.path().join("aside")).unwrap();
    crate::check::check(&world, true).await;
    std::fs::rename(world.directory.path().join("aside"), lost).unwrap();
    let before = (everything(&world.engine, &world.ada).await, history(&world.engine, &world.ada, &bucket).await);
    let (pool, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    back_up(&world, pool.path()).await;
    world.engine.close().await;
    let settings = Settings { database: postgres(&to), ..Settings::new(directory.path()) };
    restore(&world, pool.path(), &settings, false).await.unwrap();
    let (expected, restored) = (contents(&from), contents(&to));
    assert!(expected.iter().any(|table| table.starts_with("versions: 6")), "{expected:?}");
    assert_eq!(restored, expected);

    assert!(!directory.path().join("metadata.sqlite.part").exists());
    let engine = Engine::open(settings).await.unwrap();
    let after = (everything(&engine, &world.ada).await, history(&engine, &world.ada, &bucket).await);
    assert_eq!(after, before);
    engine.close().await;
}

async fn goes_over(from: Database, to: Database) {
    let (world, bucket) = furnished_on(from).await;
    let before = (everything(&world.engine, &world.ada).await, history(&world.engine, &world.ada, &bucket).await);
    let (pool, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    back_up(&world, pool.path()).await;
    world.engine.close().await;
    let settings = Settings { database: to, ..Settings::new(directory.path()) };
    let restored = restore(&world, pool.path(), &settings, false).await.unwrap();
    assert!(restored.damaged.is_empty() && restored.old_database.is_none(), "{restored:?}");
    let is_embedded = matches!(settings.database, Database::Embedded);
    assert_eq!(directory.path().join("metadata.sqlite").exists(), is_embedded);

    let engine = Engine::open(settings.clone()).await.unwrap();
    let after = (everything(&engine, &world.ada).await, history(&engine, &world.ada, &bucket).await);
    assert_eq!(after, before);
    let check = engine.check(&OPERATOR, Default::default(), &OnProgress::nobody()).await.unwrap();
    assert!(check.is_clean(), "{check:?}");
    // Counters go on where they stood.
    let body = engine::Body::from_bytes(noise(40));
    engine.put_object(&world.ada, &bucket, &key("versions"), Default::default(), body).await.unwrap();
    assert_eq!(everything(&engine, &world.ada).await["checked/versions"], noise(40), "the newest version");
    let next = engine::BucketName::new("next").unwrap();
    engine.create_bucket(&world.ada, &next).await.unwrap();
    engine.close().await;
    assert_eq!(bucket_number(&settings, "next").await, 3, "the number of a deleted bucket does not come again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_up_of_postgresql_becomes_an_embedded_store() {
    goes_over(postgres(&new_postgres()), Database::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_up_of_an_embedded_store_goes_into_postgresql() {
    goes_over(Database::Embedded, postgres(&new_postgres())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_holds_something_is_refused_or_kept_in_a_schema() {
    let (world, _) = furnish(World::new().await).await;
    let before = everything(&world.engine, &world.ada).await;
    let pool = tempfile::tempdir().unwrap();
    back_up(&world, pool.path()).await;
    let url = new_postgres();
    run_sql(&url, "CREATE TABLE accounts (id INT); INSERT INTO accounts VALUES (7); CREATE SEQUENCE numbers");
    let other = World::on(postgres(&url)).await;
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { database: postgres(&url), ..Settings::new(directory.path()) };
    let used = why_refused(&world, pool.path(), &settings, true).await;
    assert!(used.contains("a running store is connected"), "{used}");
    other.engine.close().await;
    let full = why_refused(&world, pool.path(), &settings, false).await;
    assert!(full.contains("is not empty (there are rows in accounts)") && full.contains("--force"), "{full}");
    assert!(std::fs::read_dir(directory.path()).unwrap().next().is_none(), "nothing was written");

    let restored = restore(&world, pool.path(), &settings, true).await.unwrap();
    let Some(OldDatabase::Schema(schema)) = restored.old_database else { panic!("{:?}", restored.old_database) };
    assert_eq!(run_sql(&url, &format!("SELECT id FROM {schema}.accounts")), "7");
    assert_eq!(run_sql(&url, &format!("SELECT COUNT(*) FROM {schema}.users WHERE user_id = 'eve'")), "1");
    assert_eq!(
        run_sql(&url, &format!("SELECT nextval('{schema}.numbers'), nextval('{schema}.usage_deltas_id_seq') > 0")),
        "1|t"
    );
    let engine = Engine::open(settings.clone()).await.unwrap();
    assert_eq!(everything(&engine, &world.ada).await, before);
    engine.close().await;

    // Once more: a second schema beside the first.
    let again = restore(&world, pool.path(), &settings, true).await.unwrap();
    assert!(again.old_database.is_some_and(|old| old != OldDatabase::Schema(schema)));
    Engine::open(settings).await.unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_without_rows_are_nothing_to_be_kept() {
    let (world, _) = furnish(World::new().await).await;
    let pool = tempfile::tempdir().unwrap();
    back_up(&world, pool.path()).await;
    // As a start leaves them that was refused because of the directory.
    let (url, directory) = (new_postgres(), tempfile::tempdir().unwrap());
    std::fs::create_dir_all(directory.path().join("blobs/ab/cd")).unwrap();
    let settings = Settings { database: postgres(&url), ..Settings::new(directory.path()) };
    let refused = Engine::open(settings.clone()).await;
    assert!(matches!(refused, Err(Error::Unusable(_))), "{refused:?}");
    assert_eq!(run_sql(&url, "SELECT COUNT(*) FROM versions"), "0");
    std::fs::remove_dir_all(directory.path()).unwrap();
    let restored = restore(&world, pool.path(), &settings, false).await.unwrap();
    assert_eq!(restored.old_database, None);
    let engine = Engine::open(settings).await.unwrap();
    assert_eq!(everything(&engine, &world.ada).await, everything(&world.engine, &world.ada).await);
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_did_not_come_to_its_end_is_no_store_and_is_run_again() {
    let url = new_postgres();
    let (world, bucket) = furnish(World::on(postgres(&url)).await).await;
    let before = everything(&world.engine, &world.ada).await;
    let pool = tempfile::tempdir().unwrap();
    back_up(&world, pool.path()).await;
    world.put(&bucket, "large", noise(50_000)).await;
    world.engine.close().await;
    // Blobs and keys are there, and the old database still: it must not be used with the blobs of the back-up.
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { database: postgres(&url), ..Settings::new(directory.path()) };
    let refuse = "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$
                  BEGIN RAISE EXCEPTION 'no'; END $$;
                  CREATE EVENT TRIGGER refuse ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION refuse()";
    run_sql(&url, refuse);
    let failed = restore(&world, pool.path(), &settings, true).await;
    assert!(matches!(failed, Err(Error::Unusable(_))), "{failed:?}");
    assert_eq!(run_sql(&url, "SELECT COUNT(*) FROM pg_namespace WHERE nspname LIKE 'metadata%'"), "0");
    let opened = Engine::open(settings.clone()).await;
    let Err(Error::Unusable(said)) = opened else { panic!("{opened:?}") };
    assert!(said.contains("is empty or of another store"), "{said}");
    run_sql(&url, "DROP EVENT TRIGGER refuse");
    restore(&world, pool.path(), &settings, true).await.unwrap();
    let engine = Engine::open(settings).await.unwrap();
    assert_eq!(everything(&engine, &world.ada).await, before);
    engine.close().await;
}
