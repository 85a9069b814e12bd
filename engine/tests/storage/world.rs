//! A store in a directory of its own, with two tenants.

use std::path::Path;

use engine::{
    Body, BucketName, Caller, ClockHand, Database, DeleteTarget, Engine, NewObject, ObjectInfo, ObjectKey, ReadObject,
    Result, Selection, Settings,
};
use futures::TryStreamExt;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use crate::databases::database;
use crate::tenants::{group, user};

/// A running store and who uses it.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) ada: Caller,
    pub(crate) eve: Caller,
    pub(crate) clock: ClockHand,
    pub(crate) directory: TempDir,
    database: Database,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(database()).await
    }

    /// A store with its metadata in a database of a given kind.
    pub(crate) async fn on(database: Database) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (settings, clock) = settings(&directory, &database);
        let engine = Engine::open(settings).await.unwrap();
        group(&engine).await;
        let ada = user(&engine, "ada").await;
        let eve = user(&engine, "eve").await;
        Self { engine, ada, eve, clock, directory, database }
    }

    /// What the store was opened with.
    pub(crate) fn settings(&self) -> Settings {
        self.engine.settings().clone()
    }

    /// Closes the store and opens it again.
    pub(crate) async fn restart(&mut self) {
        self.engine.close().await;
        self.open_again().await;
    }

    /// Opens the store again, which is closed.
    pub(crate) async fn open_again(&mut self) {
        self.open_on(self.database.clone()).await;
    }

    /// Takes the database of the store away, which is closed: as a dead disk does, or somebody who drops the wrong one.
    pub(crate) fn lose_database(&self) {
        match &self.database {
            Database::Embedded => {
                for file in ["metadata.sqlite", "metadata.sqlite-wal", "metadata.sqlite-shm"] {
                    let _ = std::fs::remove_file(self.directory.path().join(file));
                }
            }
            Database::Postgres(postgres) => {
                let sql = "DROP SCHEMA public CASCADE; CREATE SCHEMA public";
                test_databases::run_sql(postgres.url.expose_secret(), sql);
            }
        }
    }

    /// Opens the store, which is closed, with its metadata in another database.
    pub(crate) async fn open_on(&mut self, database: Database) {
        self.database = database;
        let (settings, clock) = settings(&self.directory, &self.database);
        self.clock = clock;
        self.engine = Engine::open(settings).await.unwrap();
    }

    pub(crate) async fn bucket(&self, name: &str) -> BucketName {
        let name = BucketName::new(name).unwrap();
        self.engine.create_bucket(&self.ada, &name).await.unwrap();
        name
    }

    pub(crate) async fn put(&self, bucket: &BucketName, name: &str, bytes: impl Into<Vec<u8>>) -> ObjectInfo {
        let body = Body::from_bytes(bytes.into());
        self.engine.put_object(&self.ada, bucket, &key(name), NewObject::default(), body).await.unwrap()
    }

    pub(crate) async fn delete(&self, bucket: &BucketName, name: &str) {
        let target = DeleteTarget::current(key(name));
        let deleted = self.engine.delete_objects(&self.ada, bucket, vec![target]).await.unwrap();
        assert!(deleted.into_iter().all(|one| one.is_ok()));
    }

    pub(crate) async fn get(&self, bucket: &BucketName, name: &str) -> Result<Vec<u8>> {
        self.read(bucket, name, ReadObject::default()).await
    }

    pub(crate) async fn get_part(&self, bucket: &BucketName, name: &str, selection: Selection) -> Result<Vec<u8>> {
        self.read(bucket, name, ReadObject { selection: Some(selection), ..ReadObject::default() }).await
    }

    pub(crate) async fn read(&self, bucket: &BucketName, name: &str, read: ReadObject) -> Result<Vec<u8>> {
        let found = self.engine.get_object(&self.ada, bucket, &key(name), &read).await?;
        let bytes: Vec<bytes::Bytes> = found.body.try_collect().await.map_err(engine::Error::Body)?;
        Ok(bytes.concat())
    }

    /// Runs a statement behind the store's back; returns how many rows it changed.
    pub(crate) async fn sql(&self, statement: &'static str) -> u64 {
        if let Database::Postgres(postgres) = &self.database {
            let statement = statement.replace(" AS BLOB)", " AS BYTEA)");
            return test_databases::change_rows(postgres.url.expose_secret(), &statement);
        }
        let file = self.directory.path().join("metadata.sqlite");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
        let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
        let done = sqlx::query(statement).execute(&mut connection).await.unwrap();
        sqlx::Connection::close(connection).await.unwrap();
        done.rows_affected()
    }

    /// Where all blobs lie.
    pub(crate) fn blobs(&self) -> Vec<crate::blobs::Place> {
        crate::blobs::blobs(self.directory.path())
    }

    /// The file of the largest blob, which is too large for a pack.
    pub(crate) fn largest_blob(&self) -> std::path::PathBuf {
        self.blobs().into_iter().max_by_key(|(_, _, at)| at.len()).unwrap().1
    }

    /// Blobs on the disk.
    pub(crate) fn blob_count(&self) -> usize {
        self.blobs().len()
    }

    /// Closes the store and opens it again with other settings.
    pub(crate) async fn restart_with(&mut self, change: impl FnOnce(&mut Settings)) {
        self.engine.close().await;
        let (mut settings, clock) = settings(&self.directory, &self.database);
        change(&mut settings);
        self.clock = clock;
        self.engine = Engine::open(settings).await.unwrap();
    }

    pub(crate) fn quarantine_count(&self) -> usize {
        files(&self.directory.path().join("quarantine"))
    }
}

fn files(directory: &std::path::Path) -> usize {
    paths(directory).len()
}

fn paths(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { paths(&path) } else { vec![path] }).collect()
}

/// Every bucket's every object with its bytes, as its owner reads them.
pub(crate) async fn everything(engine: &Engine, owner: &Caller) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut all = std::collections::BTreeMap::new();
    for bucket in engine.list_buckets(owner).await.unwrap() {
        let request = engine::ListRequest { entries_max: 10_000, ..engine::ListRequest::default() };
        for entry in engine.list_objects(owner, &bucket.name, &request).await.unwrap().entries {
            let engine::ListEntry::Object(object) = entry else { continue };
            let read = engine.get_object(owner, &bucket.name, &object.key, &ReadObject::default()).await.unwrap();
            let bytes: Vec<bytes::Bytes> = read.body.try_collect().await.unwrap();
            all.insert(format!("{}/{}", bucket.name, object.key), bytes.concat());
        }
    }
    all
}

/// Settings for a store that is restored into a directory, and into a new database when the tests are run with PostgreSQL.
pub(crate) fn elsewhere(directory: &Path) -> Settings {
    Settings { database: database(), ..Settings::new(directory) }
}

fn settings(directory: &TempDir, database: &Database) -> (Settings, ClockHand) {
    let (clock, hand) = engine::Clock::movable();
    let database = database.clone();
    let settings = Settings { part_size_bytes_min: 1024, clock, database, ..Settings::new(directory.path()) };
    (settings, hand)
}

/// A user with a bucket, in a store that a test opened itself.
pub(crate) async fn tenant_with_bucket(engine: &Engine) -> (Caller, BucketName) {
    group(engine).await;
    let (ada, bucket) = (user(engine, "ada").await, BucketName::new("bucket").unwrap());
    engine.create_bucket(&ada, &bucket).await.unwrap();
    (ada, bucket)
}

pub(crate) fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

/// Bytes that do not repeat with any block or chunk size.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ size as u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}
