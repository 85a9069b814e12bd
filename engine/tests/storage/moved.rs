//! Metadata that moves from SQLite into PostgreSQL.

use engine::{
    Caller, CheckOptions, CompleteUpload, CompletedPart, Database, Digests, Engine, Error, ListRequest, MetadataMoved,
    NewObject, Selection, Settings, VersionListRequest, Versioning, move_metadata,
};
use test_databases::{new_postgres, run_sql};

use crate::databases::postgres;
use crate::world::{World, key, noise};

const OPERATOR: &Caller = &Caller::LocalOperator;

fn rows(moved: &MetadataMoved, table: &str) -> u64 {
    moved.tables.iter().find(|copied| copied.table == table).map(|copied| copied.rows).unwrap()
}

/// Everything that a listing of versions shows.
async fn history(world: &World, bucket: &engine::BucketName) -> String {
    let list = ListRequest { entries_max: 1000, ..ListRequest::default() };
    let request = VersionListRequest { list, after_version: None };
    format!("{:?}", world.engine.list_versions(&world.ada, bucket, &request).await.unwrap())
}

async fn why_unusable(settings: &Settings) -> String {
    match move_metadata(OPERATOR, settings).await {
        Err(Error::Unusable(why)) => why,
        moved => panic!("should be refused: {moved:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_store_is_the_same_store() {
    let mut world = World::on(Database::Embedded).await;
    let bucket = world.bucket("moved").await;
    // More than one statement inserts at a time, and values of every kind.
    for number in 0..600 {
        world.put(&bucket, &format!("small/{number:04}"), noise(number)).await;
    }
    world.engine.set_versioning(&world.ada, &bucket, Versioning::Enabled).await.unwrap();
    world.put(&bucket, "large", noise(100_000)).await;
    world.put(&bucket, "large", noise(200_000)).await;
    world.put(&bucket, "gone", noise(10)).await;
    world.delete(&bucket, "gone").await;
    let begin = async |name| {
        let new = NewObject { encryption: engine::NewEncryption::Managed, ..NewObject::default() };
        world.engine.create_upload(&world.ada, &bucket, &key(name), new, None).await.unwrap().upload_id
    };
    let (upload, open) = (begin("parts").await, begin("open").await);
    let part = async |name, upload, number, bytes| {
        let body = engine::Body::from_bytes(bytes);
        let part = world.engine.put_part(&world.ada, &bucket, &key(name), upload, number, body).await.unwrap();
        CompletedPart { number, etag: part.etag, checksums: Digests::default() }
    };
    let parts = vec![part("parts", &upload, 1, noise(50_000)).await, part("parts", &upload, 2, noise(70)).await];
    let complete = CompleteUpload { parts, ..CompleteUpload::default() };
    world.engine.complete_upload(&world.ada, &bucket, &key("parts"), &upload, complete).await.unwrap();
    let waits = part("open", &open, 1, noise(3_000)).await;
    // A bucket of the highest number that is gone: its number must not come again.
    let last = world.bucket("last").await;
    world.engine.delete_bucket(&world.ada, &last).await.unwrap();
    let own = engine::NewIamEntity { name: "own".to_owned(), ..Default::default() };
    world.engine.create_iam_entity(&world.ada, engine::IamKind::User, own).await.unwrap();
    let (own, _) = world.engine.create_iam_key(&world.ada, Some("own")).await.unwrap();
    let (before, usage) = (history(&world, &bucket).await, world.engine.bucket(&world.ada, &bucket).await.unwrap());

    let url = new_postgres();
    world.engine.close().await;
    let settings = Settings { database: postgres(&url), ..world.settings() };
    let moved = move_metadata(OPERATOR, &settings).await.unwrap();
    assert!(moved.kept.exists() && !world.directory.path().join("metadata.sqlite").exists());
    assert_eq!(rows(&moved, "versions"), 605);
    assert_eq!(rows(&moved, "pieces"), 2);
    assert_eq!(rows(&moved, "iam_entities"), 1);
    world.open_on(postgres(&url)).await;

    assert!(world.engine.key_login(own.access_key.as_str()).await.unwrap().is_some());
    assert_eq!(history(&world, &bucket).await, before);
    assert_eq!(world.engine.bucket(&world.ada, &bucket).await.unwrap(), usage);
    for number in [0, 1, 599] {
        assert_eq!(world.get(&bucket, &format!("small/{number:04}")).await.unwrap(), noise(number));
    }
    assert_eq!(world.get(&bucket, "large").await.unwrap(), noise(200_000));
    assert_eq!(world.get_part(&bucket, "parts", Selection::Part(2)).await.unwrap(), noise(70));
    let complete = CompleteUpload { parts: vec![waits], ..CompleteUpload::default() };
    world.engine.complete_upload(&world.ada, &bucket, &key("open"), &open, complete).await.unwrap();
    assert_eq!(world.get(&bucket, "open").await.unwrap(), noise(3_000));
    world.put(&bucket, "large", noise(5)).await;
    assert_eq!(world.get(&bucket, "large").await.unwrap(), noise(5), "the commit sequence goes on");
    world.bucket("next").await;
    let number = run_sql(&url, "SELECT id FROM buckets WHERE name = 'next'");
    assert_eq!(number, "3", "the number of a deleted bucket does not come again");
    let nobody = engine::OnProgress::nobody();
    let report = world.engine.check(OPERATOR, CheckOptions::default(), &nobody).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    world.engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_was_cut_after_its_commit_is_finished_by_the_next() {
    let mut world = World::on(Database::Embedded).await;
    let bucket = world.bucket("moved").await;
    world.put(&bucket, "o", noise(100)).await;
    world.engine.close().await;
    let url = new_postgres();
    let settings = Settings { database: postgres(&url), ..world.settings() };
    let moved = move_metadata(OPERATOR, &settings).await.unwrap();
    // As if the program had died before it put the old database aside.
    std::fs::rename(&moved.kept, world.directory.path().join("metadata.sqlite")).unwrap();
    let finished = move_metadata(OPERATOR, &settings).await.unwrap();
    assert!(finished.tables.is_empty() && finished.kept.exists());
    world.open_on(postgres(&url)).await;
    assert_eq!(world.get(&bucket, "o").await.unwrap(), noise(100));
    world.engine.close().await;
    assert!(why_unusable(&settings).await.contains("there is no"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_cannot_be_is_refused_and_changes_nothing() {
    let (world, other) = (World::on(Database::Embedded).await, World::on(postgres(&new_postgres())).await);
    let settings = Settings { database: postgres(&new_postgres()), ..world.settings() };
    assert!(matches!(move_metadata(OPERATOR, &settings).await, Err(Error::Locked(_))));
    world.engine.close().await;
    let taken = Settings { database: other.settings().database, ..world.settings() };
    for caller in [&world.ada, &Caller::AdminService] {
        assert!(matches!(move_metadata(caller, &settings).await, Err(Error::AccessDenied)));
    }
    assert!(why_unusable(&taken).await.contains("another store"));
    let embedded = Settings { database: Database::Embedded, ..world.settings() };
    assert!(why_unusable(&embedded).await.contains("no PostgreSQL database"));
    // Starting on PostgreSQL without the move would begin an empty store beside the full one.
    match Engine::open(settings).await {
        Err(Error::Unusable(why)) => assert!(why.contains("migrate-metadata"), "{why}"),
        opened => panic!("should be refused: {opened:?}"),
    }
    Engine::open(embedded).await.unwrap().close().await;
    other.engine.close().await;
}
