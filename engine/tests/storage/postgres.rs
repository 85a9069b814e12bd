//! What only a database that others share can do: conflicts, lost connections, and a directory of another store.

use std::time::Duration;

use engine::{
    Body, Caller, CheckOptions, CompleteUpload, CompletedPart, CopyObject, CopySource, DeleteTarget, Digests,
    Durability, Engine, Error, Faults, ListEntry, ListRequest, NewObject, ObjectKey, OnProgress, PartSource,
    ReadConditions, ReadObject, Settings, VersionId, VersionListRequest, Versioning, WriteConditions,
};
use test_databases::{change_rows, inject_conflicts, injected_conflicts, new_postgres, run_sql};

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
    shared_with(Faults::default()).await
}

/// A store whose commits take so long that what is asked at one time waits together.
async fn slow() -> Shared {
    shared_with(Faults { fsync_delay: Duration::from_millis(50) }).await
}

async fn shared_with(faults: Faults) -> Shared {
    let (url, directory) = (new_postgres(), tempfile::tempdir().unwrap());
    let settings = Settings { database: postgres(&url), faults, ..Settings::new(directory.path()) };
    let engine = Engine::open(settings.clone()).await.unwrap();
    let (ada, bucket) = tenant_with_bucket(&engine).await;
    Shared { url, settings, engine, ada, bucket, _directory: directory }
}

impl Shared {
    async fn put(&self, name: &str, size: usize) -> engine::Result<engine::ObjectInfo> {
        let body = Body::from_bytes(noise(size));
        self.engine.put_object(&self.ada, &self.bucket, &key(name), NewObject::default(), body).await
    }

    /// Stores so many objects at the same time.
    async fn put_many(&self, count: usize) -> Vec<engine::Result<engine::ObjectInfo>> {
        let names: Vec<String> = (0..count).map(|number| format!("o{number}")).collect();
        futures::future::join_all(names.iter().map(|name| self.put(name, 100))).await
    }

    async fn object_count(&self) -> u64 {
        self.engine.run_workers().await.unwrap();
        self.engine.bucket(&self.ada, &self.bucket).await.unwrap().usage.object_count
    }
}

/// A trigger of the table of versions that fails as a conflict does, two times of three. `nextval` is not undone with the transaction.
fn conflict_two_of_three(url: &str, when: &str) {
    conflict_if(url, "nextval('runs') % 3 <> 0", when);
}

fn conflict_if(url: &str, condition: &str, when: &str) {
    let sql = format!(
        "CREATE SEQUENCE runs;
         CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF {condition} THEN
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

/// A copy of an object, made by an upload of one part.
async fn copy_by_upload(store: &Shared, from: &CopySource, to: &ObjectKey) -> engine::Result<()> {
    let Shared { engine, ada, bucket, .. } = store;
    let upload = engine.create_upload(ada, bucket, to, NewObject::default(), None).await?.upload_id;
    let source = PartSource { object: from.clone(), range: None, upload_key: None };
    let (part, _) = engine.copy_part(ada, &source, bucket, to, &upload, 1).await?;
    let part = CompletedPart { number: 1, etag: part.etag, checksums: Digests::default() };
    let complete = CompleteUpload { parts: vec![part], ..CompleteUpload::default() };
    engine.complete_upload(ada, bucket, to, &upload, complete).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_conflicts_is_run_again() {
    let store = shared().await;
    inject_conflicts(&store.url);
    let Shared { engine, ada, bucket, .. } = &store;
    for number in 0..15 {
        let [first, copy, parts] = ["first", "copy", "parts"].map(|kind| format!("{kind}-{number}"));
        store.put(&first, 100 + 20_000 * (number % 2)).await.unwrap();
        let from = CopySource {
            bucket: bucket.clone(),
            key: key(&first),
            version_id: None,
            conditions: ReadConditions::default(),
            customer_key: None,
        };
        engine.copy_object(ada, &from, bucket, &key(&copy), CopyObject::default()).await.unwrap();
        copy_by_upload(&store, &from, &key(&parts)).await.unwrap();
        let deleted = engine.delete_objects(ada, bucket, vec![DeleteTarget::current(key(&first))]).await.unwrap();
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    }
    let injected = injected_conflicts(&store.url);
    assert!(injected >= 3, "only {injected} of more than 100 transactions conflicted");
    assert_eq!(store.object_count().await, 30);
    let report = engine.check(&Caller::LocalOperator, CheckOptions::default(), &OnProgress::nobody()).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    engine.close().await;
}

/// Changes that wait at the same time are made in one transaction and run again together; where that does not help, one by one.
#[tokio::test(flavor = "multi_thread")]
async fn many_that_conflict_are_each_written_once() {
    let at_times = "nextval('runs') % 70 = 1";
    let together = "nextval('runs') > 0 AND EXISTS (
        SELECT 1 FROM versions WHERE xmin = CAST(CAST(pg_current_xact_id() AS TEXT) AS XID) AND key <> NEW.key)";
    for (condition, when) in
        [at_times, together].into_iter().flat_map(|one| [(one, ""), (one, "DEFERRABLE INITIALLY DEFERRED")])
    {
        let store = shared().await;
        conflict_if(&store.url, condition, when);
        let puts = store.put_many(100).await;
        assert!(puts.iter().all(Result::is_ok), "{puts:?}");
        let runs: u64 = run_sql(&store.url, "SELECT last_value FROM runs").parse().unwrap();
        assert!(runs > 101, "{runs} rows were written");
        assert_eq!(store.object_count().await, 100, "counted once");
        assert_eq!(run_sql(&store.url, "SELECT COUNT(*) FROM versions"), "100");
        store.engine.close().await;
    }
}

/// Has the server do something whenever a version of one key is stored.
fn at_bad_key(url: &str, action: &str, when: &str) {
    let sql = format!(
        "CREATE FUNCTION bad() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF NEW.key = CAST('bad' AS BYTEA) THEN
                 {action};
             END IF;
             RETURN NULL;
         END $$;
         CREATE CONSTRAINT TRIGGER bad AFTER INSERT ON versions {when} FOR EACH ROW EXECUTE FUNCTION bad();"
    );
    run_sql(url, &sql);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_at_one_key_is_not_told_of_others() {
    for when in ["", "DEFERRABLE INITIALLY DEFERRED"] {
        let store = slow().await;
        at_bad_key(&store.url, "RAISE EXCEPTION 'injected'", when);
        let (good, bad) = tokio::join!(store.put_many(30), store.put("bad", 100));
        assert!(good.iter().all(Result::is_ok), "{good:?}");
        assert!(matches!(bad, Err(Error::Metadata { .. })), "{bad:?}");
        assert_eq!(store.object_count().await, 30);
        store.engine.close().await;
    }
}

/// Nobody knows then whether the commit came to be, so that nothing may be made again, and all who were in it are told so.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_is_told_to_all_who_wait_for_it() {
    for when in ["", "DEFERRABLE INITIALLY DEFERRED"] {
        let store = slow().await;
        at_bad_key(&store.url, "PERFORM pg_terminate_backend(pg_backend_pid())", when);
        let (others, bad) = tokio::join!(store.put_many(30), store.put("bad", 100));
        assert!(matches!(bad, Err(Error::DatabaseUnreachable { .. })), "{bad:?}");
        let (stored, lost): (Vec<_>, Vec<_>) = others.into_iter().partition(Result::is_ok);
        assert!(!lost.is_empty(), "others were in the same transaction");
        assert!(lost.iter().all(|one| matches!(one, Err(Error::DatabaseUnreachable { .. }))), "{lost:?}");
        assert_eq!(store.object_count().await, stored.len() as u64, "what was answered, and no more");
        run_sql(&store.url, "DROP FUNCTION bad CASCADE");
        store.put("bad", 100).await.unwrap();
        let checked = store.engine.check(&Caller::LocalOperator, CheckOptions::default(), &OnProgress::nobody()).await;
        assert!(checked.as_ref().unwrap().is_clean(), "{checked:?}");
        store.engine.close().await;
    }
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
    let missing = VersionId::null();
    // One pair at a time: of more, those at neighbouring keys conflict with each other.
    for round in 0..100 {
        let name = format!("{round}");
        let deletion = async {
            tokio::time::sleep(Duration::from_millis(2 * (round % 12))).await;
            // So many are not made together with the PUT, but beside it. The versions that are named are not there.
            let named = |number| DeleteTarget {
                version_id: Some(missing.clone()),
                ..DeleteTarget::current(key(&format!("none{number}")))
            };
            let targets = [DeleteTarget::current(key(&name))].into_iter().chain((0..8).map(named)).collect();
            store.engine.delete_objects(&store.ada, &store.bucket, targets).await
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

/// Has the server note how each version was committed.
fn note_settings(url: &str) {
    run_sql(
        url,
        "CREATE TABLE seen (number SERIAL, setting TEXT);
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO seen (setting) VALUES (current_setting('synchronous_commit'));
             RETURN NULL;
         END $$;
         CREATE TRIGGER see AFTER INSERT ON versions FOR EACH ROW EXECUTE FUNCTION see();",
    );
}

/// The server of the tests has `synchronous_commit` off, which must not decide over what is acknowledged.
#[tokio::test]
async fn commits_are_durable_whatever_the_server_has_by_default() {
    let store = shared().await;
    note_settings(&store.url);
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

/// Who wants its write durable has it so, also in one transaction with others who do not.
#[tokio::test]
async fn a_strict_change_makes_all_durable_that_are_made_with_it() {
    let store = shared_with(Faults { fsync_delay: Duration::from_millis(500) }).await;
    let relaxed: engine::BucketName = "relaxed".parse().unwrap();
    store.engine.create_bucket(&store.ada, &relaxed).await.unwrap();
    store.engine.set_durability(&store.ada, &relaxed, Durability::Relaxed).await.unwrap();
    let put = |bucket: &engine::BucketName, name: &str| {
        let (bucket, name, body) = (bucket.clone(), key(name), Body::from_bytes(noise(100)));
        let (engine, ada) = (&store.engine, &store.ada);
        async move { engine.put_object(ada, &bucket, &name, NewObject::default(), body).await }
    };
    // Both buckets are remembered from then on.
    put(&store.bucket, "before").await.unwrap();
    put(&relaxed, "before").await.unwrap();
    note_settings(&store.url);
    // While the commit of the first is waited for, the others come.
    let others = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        tokio::join!(put(&relaxed, "1"), put(&store.bucket, "2"), put(&relaxed, "3"))
    };
    let (first, (one, other, last)) = tokio::join!(put(&store.bucket, "0"), others);
    assert!(first.is_ok() && one.is_ok() && other.is_ok() && last.is_ok());
    let transactions = "SELECT COUNT(DISTINCT CAST(xmin AS TEXT)) FROM versions WHERE key <> CAST('before' AS BYTEA)";
    assert_eq!(run_sql(&store.url, transactions), "2");
    assert_eq!(run_sql(&store.url, "SELECT COUNT(*) FROM seen WHERE setting = 'on'"), "4");
    put(&relaxed, "4").await.unwrap();
    assert_eq!(run_sql(&store.url, "SELECT COUNT(*) FROM seen WHERE setting = 'off'"), "1");
    store.engine.close().await;
}
