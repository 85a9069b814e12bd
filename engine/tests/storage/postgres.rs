//! What only a database that others share can do: conflicts, lost connections, and a directory of another store.

use std::time::Duration;

use engine::{
    Body, Caller, CheckOptions, DeleteTarget, Durability, Engine, Error, ListEntry, ListRequest, NewObject, OnProgress,
    ReadObject, Settings, VersionListRequest, Versioning, WriteConditions,
};
use test_databases::{change_rows, new_postgres, run_sql};

use crate::databases::postgres;
use crate::world::{key, noise, tenant_with_bucket};

struct Shared {
    url: String,
    settings: Settings,
    engine: Engine,
    ada: Caller,
    bucket: engine::BucketName,
    _directory: tempfile::TempDir,
}

async fn shared() -> Shared {
    let (url, directory) = (new_postgres(), tempfile::tempdir().unwrap());
    let settings = Settings { database: postgres(&url), ..Settings::new(directory.path()) };
    let engine = Engine::open(settings.clone()).await.unwrap();
    let (ada, bucket) = tenant_with_bucket(&engine).await;
    Shared { url, settings, engine, ada, bucket, _directory: directory }
}

impl Shared {
    async fn put(&self, name: &str, size: usize) -> engine::Result<engine::ObjectInfo> {
        let body = Body::from_bytes(noise(size));
        self.engine.put_object(&self.ada, &self.bucket, &key(name), NewObject::default(), body).await
    }

    async fn object_count(&self) -> u64 {
        self.engine.run_workers().await.unwrap();
        self.engine.bucket(&self.ada, &self.bucket).await.unwrap().usage.object_count
    }
}

/// A trigger of the table of versions that fails as a conflict does, two times of three. `nextval` is not undone with the transaction.
fn conflict_two_of_three(url: &str, when: &str) {
    let sql = format!(
        "CREATE SEQUENCE runs;
         CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF nextval('runs') % 3 <> 0 THEN
                 RAISE EXCEPTION 'injected' USING ERRCODE = '40001';
             END IF;
             RETURN NULL;
         END $$;
         CREATE CONSTRAINT TRIGGER conflict AFTER INSERT ON versions {when} FOR EACH ROW EXECUTE FUNCTION conflict();"
    );
    run_sql(url, &sql);
}

async fn all_are_written_once(when: &str) {
    let store = shared().await;
    conflict_two_of_three(&store.url, when);
    for number in 0..20 {
        store.put(&format!("o{number}"), if number % 2 == 0 { 100 } else { 40_000 }).await.unwrap();
    }
    let runs: u64 = run_sql(&store.url, "SELECT last_value FROM runs").parse().unwrap();
    assert_eq!(runs, 60, "each was run three times");
    assert_eq!(store.object_count().await, 20, "and counted once");
    assert_eq!(run_sql(&store.url, "SELECT COUNT(*) FROM versions"), "20");
    store.engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_conflicts_in_a_statement_is_run_again() {
    all_are_written_once("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_conflicts_in_its_commit_is_run_again() {
    all_are_written_once("DEFERRABLE INITIALLY DEFERRED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_no_room_is_a_full_disk_and_passes() {
    for when in ["", "DEFERRABLE INITIALLY DEFERRED"] {
        let store = shared().await;
        store.put("before", 40_000).await.unwrap();
        let full = format!(
            "CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 RAISE EXCEPTION 'injected' USING ERRCODE = '53100';
             END $$;
             CREATE CONSTRAINT TRIGGER is_full AFTER INSERT ON versions {when} FOR EACH ROW EXECUTE FUNCTION is_full();"
        );
        run_sql(&store.url, &full);
        for size in [100, 40_000] {
            let refused = store.put("before", size).await;
            assert!(matches!(refused, Err(Error::DiskFull)), "{refused:?}");
        }
        let read = store.engine.get_object(&store.ada, &store.bucket, &key("before"), &ReadObject::default()).await;
        assert_eq!(read.unwrap().view.info.size_bytes, 40_000);
        run_sql(&store.url, "DROP FUNCTION is_full CASCADE");
        store.put("after", 40_000).await.unwrap();
        assert_eq!(store.object_count().await, 2);
        let checked = store.engine.check(&Caller::LocalOperator, CheckOptions::default(), &OnProgress::nobody()).await;
        assert!(checked.as_ref().unwrap().is_clean(), "{checked:?}");
        store.engine.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_racing_conditional_writes_one_wins() {
    let store = shared().await;
    for round in 0..10 {
        let name = key(&format!("race{round}"));
        let only_new = NewObject {
            conditions: WriteConditions { if_none_match: Some("*".into()), ..Default::default() },
            ..Default::default()
        };
        let puts = (0..8).map(|size| {
            let body = Body::from_bytes(noise(100 + size));
            store.engine.put_object(&store.ada, &store.bucket, &name, only_new.clone(), body)
        });
        let results = futures::future::join_all(puts).await;
        let refused =
            |result: &Result<_, Error>| matches!(result, Err(Error::PreconditionFailed { condition: "If-None-Match" }));
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        assert_eq!(results.iter().filter(|result| refused(result)).count(), 7, "{results:?}");
    }
    store.engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_the_server_cut_are_made_anew() {
    let store = shared().await;
    store.put("before", 100).await.unwrap();
    let cut = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    assert_ne!(run_sql(&store.url, cut), "0");
    store.put("after", 100).await.unwrap();
    assert_ne!(run_sql(&store.url, cut), "0");
    assert_eq!(store.object_count().await, 2);
    store.engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_another_store_is_refused() {
    let (one, other) = (shared().await, shared().await);
    one.engine.close().await;
    other.engine.close().await;
    let open = async |data_dir| {
        let settings = Settings { data_dir, ..one.settings.clone() };
        match Engine::open(settings).await {
            Err(Error::Unusable(why)) => why,
            opened => panic!("should be refused: {opened:?}"),
        }
    };
    assert!(open(other.settings.data_dir.clone()).await.contains("another store"));
    let empty = tempfile::tempdir().unwrap();
    assert!(open(empty.path().to_owned()).await.contains("name the directory with its blobs"));
    Engine::open(one.settings.clone()).await.unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_of_the_database_is_shown_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let database = postgres("postgres://cloudhold:swordfish@127.0.0.1:1/none");
    let settings = Settings { database, ..Settings::new(directory.path()) };
    let shown = format!("{settings:?}");
    let error = Engine::open(settings).await.unwrap_err();
    assert!(!format!("{shown} {error} {error:?}").contains("swordfish"));
}

/// Of keys with few versions the planner may read them all to find the current one, and then more conflicts than has to. Here keys seem to
/// have many, and what stores an object takes a while between its number and its commit.
fn race_at_keys_with_many_versions(url: &str) {
    let sql = "INSERT INTO versions (bucket_id, key, seq, version_id, kind, size_bytes, etag, modified_us, storage_class, meta)
               SELECT -1, CAST(CAST(n % 100 AS TEXT) AS BYTEA), n, CAST(n AS TEXT), 'marker', 0, '', 0, 'STANDARD', '{}'
               FROM generate_series(1, 20000) AS n;
               ANALYZE versions;
               CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN
                   PERFORM pg_sleep(0.02);
                   RETURN NULL;
               END $$;
               CREATE TRIGGER hold AFTER INSERT ON versions FOR EACH ROW WHEN (NEW.kind = 'object')
                   EXECUTE FUNCTION hold();";
    run_sql(url, sql);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_current_is_the_newest_when_a_put_races_a_deletion() {
    let store = shared().await;
    store.engine.set_versioning(&store.ada, &store.bucket, Versioning::Enabled).await.unwrap();
    race_at_keys_with_many_versions(&store.url);
    // One pair at a time: of more, those at neighbouring keys conflict with each other.
    for round in 0..100 {
        let name = format!("{round}");
        let deletion = async {
            tokio::time::sleep(Duration::from_millis(2 * (round % 12))).await;
            let target = DeleteTarget::current(key(&name));
            store.engine.delete_objects(&store.ada, &store.bucket, vec![target]).await
        };
        let (put, deleted) = tokio::join!(store.put(&name, 100), deletion);
        put.unwrap();
        assert!(deleted.unwrap().iter().all(Result::is_ok));
    }
    run_sql(&store.url, "DELETE FROM versions WHERE bucket_id = -1");
    let list = ListRequest { entries_max: 1000, ..ListRequest::default() };
    let request = VersionListRequest { list, after_version: None };
    let page = store.engine.list_versions(&store.ada, &store.bucket, &request).await.unwrap();
    let newest = page.entries.iter().filter_map(|entry| match entry {
        ListEntry::Object(object) if object.latest => Some(object),
        ListEntry::Object(_) | ListEntry::CommonPrefix(_) => None,
    });
    let mut keys = 0;
    for newest in newest {
        let read = ReadObject::default();
        let current = store.engine.head_object(&store.ada, &store.bucket, &newest.key, &read).await;
        assert_eq!(current.is_ok(), !newest.delete_marker, "{} {current:?}", newest.key);
        keys += 1;
    }
    assert_eq!(keys, 100);
    let check = store.engine.check(&Caller::LocalOperator, CheckOptions::default(), &OnProgress::nobody()).await;
    assert!(check.as_ref().is_ok_and(engine::CheckReport::is_clean), "{check:?}");
    store.engine.close().await;
}

/// The server of the tests has `synchronous_commit` off, which must not decide over what is acknowledged.
#[tokio::test]
async fn commits_are_durable_whatever_the_server_has_by_default() {
    let store = shared().await;
    run_sql(
        &store.url,
        "CREATE TABLE seen (number SERIAL, setting TEXT);
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO seen (setting) VALUES (current_setting('synchronous_commit'));
             RETURN NULL;
         END $$;
         CREATE TRIGGER see AFTER INSERT ON versions FOR EACH ROW EXECUTE FUNCTION see();",
    );
    let seen = |setting: &str| change_rows(&store.url, &format!("DELETE FROM seen WHERE setting = '{setting}'"));
    for number in 0..5 {
        store.put(&format!("{number}"), 10).await.unwrap();
    }
    assert_eq!((seen("on"), seen("off")), (5, 0));
    store.engine.set_durability(&store.ada, &store.bucket, Durability::Relaxed).await.unwrap();
    store.put("relaxed", 10).await.unwrap();
    assert_eq!((seen("on"), seen("off")), (0, 1));
    store.engine.set_durability(&store.ada, &store.bucket, Durability::Strict).await.unwrap();
    store.put("strict", 10).await.unwrap();
    assert_eq!((seen("on"), seen("off")), (1, 0));
}
