//! A store on some disk, and one client's operations on it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::disk::{Disk, LocalDisk};
use engine::{
    Body, BucketName, Caller, ClockHand, CompleteUpload, CompletedPart, CopyObject, CopySource, Database, DeleteTarget,
    Digests, Durability, Engine, Error, Faults, ListEntry, ListRequest, NewEncryption, NewObject, ObjectKey,
    PartSource, PostgresSettings, ReadConditions, ReadObject, Result, Settings, UploadId, UploadListRequest, VersionId,
    VersionListRequest, Versioning,
};
use futures::TryStreamExt;
use secrecy::ExposeSecret;
use simulated_disk::SimulatedDisk;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;
use test_databases::{asked_for, copy_of_postgres, is_asked_for};

use crate::cable::Cable;
use crate::model::{BucketView, Model, Operation, Seen, View};
use crate::tenants::{group, user};

/// In the root of a disk, the URL of the store's database. There is none when that is SQLite.
const DATABASE: &str = "database-url";

/// A store that was made once and is copied for each run, with its users.
pub(crate) struct Prepared {
    directory: TempDir,
    pub(crate) ada: Caller,
}

impl Prepared {
    /// On the kind of database that the tests are run with.
    pub(crate) async fn new() -> Self {
        let directory = new_root();
        let settings = Settings { database: database(directory.path()), ..Settings::new(data_dir(directory.path())) };
        let engine = Engine::open(settings).await.unwrap();
        group(&engine).await;
        let ada = user(&engine, "ada").await;
        engine.close().await;
        if has_file_of_database(directory.path()) {
            // The last connection to be closed takes the log away, unless it may only read: so each run makes its own log.
            let mut connection = connect(&LocalDisk, directory.path()).await.unwrap();
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            assert!(!data_dir(directory.path()).join("metadata.sqlite-wal").exists(), "the log is there");
        }
        Self { directory, ada }
    }

    /// A copy in a directory of its own, with a database of its own.
    pub(crate) fn copy(&self) -> TempDir {
        let copy = scratch();
        copy_directory(self.directory.path(), copy.path());
        fork_database(copy.path());
        copy
    }
}

/// Gives the copy of a root its own database, with what that of the other one holds. Nobody may be connected to that any more.
pub(crate) fn fork_database(root: &Path) {
    if let Ok(url) = fs::read_to_string(root.join(DATABASE)) {
        fs::write(root.join(DATABASE), copy_of_postgres(&url)).unwrap();
    }
}

/// Where a new store may be made, with an empty database where that is PostgreSQL.
pub(crate) fn new_root() -> TempDir {
    let root = scratch();
    if let Some(url) = asked_for() {
        fs::write(root.path().join(DATABASE), url).unwrap();
    }
    root
}

/// Whether the database of a store is a file on its disk.
fn has_file_of_database(root: &Path) -> bool {
    !root.join(DATABASE).exists()
}

/// Whether these tests run on PostgreSQL. It is another machine's: it does not die with the process nor lose power with the disk, and has
/// what it answered and what it did not come to answer.
pub(crate) fn is_on_postgres() -> bool {
    is_asked_for()
}

/// The database of a store, by the root of its disk.
fn database(root: &Path) -> Database {
    match fs::read_to_string(root.join(DATABASE)) {
        Ok(url) => postgres(url),
        Err(_) => Database::Embedded,
    }
}

fn postgres(url: String) -> Database {
    Database::Postgres(PostgresSettings { url: url.into(), connections_max: 4 })
}

/// A directory in memory where there is one: what is durable is simulated, so a real disk would only cost time.
pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The data directory lies beneath the disk's root, so that its own name is the disk's as well.
pub(crate) fn data_dir(root: &Path) -> PathBuf {
    root.join("data")
}

fn copy_directory(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&to).unwrap();
            copy_directory(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// How a store works.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    /// Up to which size blobs share packs.
    pub(crate) pack_size_bytes_max: u64,
    /// Commits wait a little, so that others gather meanwhile.
    pub(crate) fsync_delay: Duration,
    /// Background work takes snapshots of the metadata as well.
    pub(crate) takes_snapshots: bool,
    /// How long the log of the database may become before the store writes it out.
    pub(crate) log_pages_max: u32,
}

impl Default for Manner {
    fn default() -> Self {
        Self::PACKS
    }
}

impl Manner {
    const PACKS: Self = Self {
        pack_size_bytes_max: PACK_SIZE_BYTES_MAX,
        fsync_delay: Duration::ZERO,
        takes_snapshots: false,
        log_pages_max: 1000,
    };
    /// Blobs in packs, and a file each.
    pub(crate) const BOTH: [Self; 2] = [Self::PACKS, Self { pack_size_bytes_max: 0, ..Self::PACKS }];
    /// The store writes the log of its database out after a few commits.
    pub(crate) const SHORT_LOG: Self = Self { log_pages_max: 20, ..Self::PACKS };
}

/// Larger blobs have a file each.
const PACK_SIZE_BYTES_MAX: u64 = 160_000;

/// The machine that a store runs on.
pub(crate) enum Machine {
    Real,
    Simulated(SimulatedDisk),
}

impl From<LocalDisk> for Machine {
    fn from(_: LocalDisk) -> Self {
        Self::Real
    }
}

impl From<&SimulatedDisk> for Machine {
    fn from(disk: &SimulatedDisk) -> Self {
        Self::Simulated(disk.clone())
    }
}

impl Machine {
    fn disk(&self) -> Arc<dyn Disk> {
        match self {
            Self::Real => Arc::new(LocalDisk),
            Self::Simulated(disk) => Arc::new(disk.clone()),
        }
    }
}

/// An open store.
pub(crate) struct Store {
    pub(crate) engine: Engine,
    pub(crate) clock: ClockHand,
    pub(crate) ada: Caller,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) root: PathBuf,
    pub(crate) database: Database,
    /// What its process has to PostgreSQL, when that can die.
    pub(crate) cable: Option<Cable>,
}

impl Store {
    pub(crate) async fn open(machine: impl Into<Machine>, root: &Path, ada: &Caller) -> Result<Self> {
        Self::open_as(machine, root, ada, Manner::default()).await
    }

    pub(crate) async fn open_as(
        machine: impl Into<Machine>,
        root: &Path,
        ada: &Caller,
        manner: Manner,
    ) -> Result<Self> {
        let machine = machine.into();
        let database = database(root);
        let cable = match (&machine, &database) {
            (Machine::Simulated(disk), Database::Postgres(settings)) => {
                Some(Cable::lay(settings.url.expose_secret(), disk.clone()))
            }
            (Machine::Simulated(_), Database::Embedded) | (Machine::Real, _) => None,
        };
        let (clock, hand) = engine::Clock::movable();
        let settings = Settings {
            part_size_bytes_min: 1024,
            inline_size_bytes_max: 4096,
            pack_size_bytes_max: manner.pack_size_bytes_max,
            direct_size_bytes_min: 64 << 10,
            // So short that one is often full.
            pack_bytes: 256 << 10,
            reserve_bytes: 0,
            readers: 2,
            log_pages_max: manner.log_pages_max,
            faults: Faults { fsync_delay: manner.fsync_delay },
            snapshot_interval: if manner.takes_snapshots { Duration::from_secs(1) } else { Duration::ZERO },
            scrub_interval: Duration::ZERO,
            clock,
            upload_age_max: Duration::ZERO,
            disk: machine.disk(),
            database: cable.as_ref().map_or_else(|| database.clone(), |cable| postgres(cable.url())),
            ..Settings::new(data_dir(root))
        };
        let engine = unless_dead(cable.as_ref(), Box::pin(Engine::open(settings))).await?;
        Ok(Self { engine, clock: hand, ada: ada.clone(), disk: machine.disk(), root: root.to_owned(), database, cable })
    }

    /// Closes it, or leaves it when its process is dead.
    pub(crate) async fn close(&self) {
        let close = Box::pin(async {
            self.engine.close().await;
            Ok(())
        });
        // Dead is closed.
        let _ = unless_dead(self.cable.as_ref(), close).await;
    }

    /// Does some work; an error when the process dies meanwhile.
    pub(crate) async fn unless_dead<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        unless_dead(self.cable.as_ref(), work).await
    }

    pub(crate) fn client(&self, bucket: &str) -> Client {
        Client {
            engine: self.engine.clone(),
            clock: self.clock.clone(),
            ada: self.ada.clone(),
            bucket: BucketName::new(bucket).unwrap(),
            disk: self.disk.clone(),
            root: self.root.clone(),
            cable: self.cable.clone(),
        }
    }

    /// Does all background work, frees garbage, and puts what no row knows into quarantine.
    pub(crate) async fn clean(&self) -> Result<()> {
        // Longer than garbage is kept, also when a store before this one had moved its own clock a few times.
        self.unless_dead(Box::pin(clean(&self.engine, &self.clock, Duration::from_secs(10_000)))).await
    }
}

async fn unless_dead<T>(cable: Option<&Cable>, work: impl Future<Output = Result<T>>) -> Result<T> {
    match cable {
        None => work.await,
        Some(cable) => cable.unless_cut(work).await.unwrap_or(Err(Error::Internal("the process is dead"))),
    }
}

async fn clean(engine: &Engine, clock: &ClockHand, age: Duration) -> Result<()> {
    clock.advance(age);
    engine.run_workers().await
}

/// A connection to the database of a store beside the engine's own, which neither writes nor checkpoints by itself.
pub(crate) async fn connect(disk: &dyn Disk, root: &Path) -> sqlx::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(data_dir(root).join("metadata.sqlite"));
    let options = match disk.sqlite_vfs() {
        Some(vfs) => options.vfs(vfs.to_owned()),
        None => options,
    };
    options.pragma("wal_autocheckpoint", "0").connect().await
}

/// Writes the log of commits into the file of the database, as far as readers let it.
async fn checkpoint(disk: &dyn Disk, root: &Path) -> sqlx::Result<()> {
    if !has_file_of_database(root) {
        return Ok(());
    }
    let mut connection = connect(disk, root).await?;
    let done = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(&mut connection).await;
    connection.close().await?;
    done.map(|_| ())
}

/// One who works on a bucket of its own.
#[derive(Clone)]
pub(crate) struct Client {
    engine: Engine,
    clock: ClockHand,
    ada: Caller,
    bucket: BucketName,
    disk: Arc<dyn Disk>,
    root: PathBuf,
    cable: Option<Cable>,
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

impl Client {
    /// Does an operation to the store; `model` is how the bucket is before.
    pub(crate) async fn perform(&self, operation: &Operation, model: &Model) -> Result<()> {
        unless_dead(self.cable.as_ref(), Box::pin(self.perform_alive(operation, model))).await
    }

    async fn perform_alive(&self, operation: &Operation, model: &Model) -> Result<()> {
        let Self { engine, ada, bucket, .. } = self;
        let is_sealed = model.as_ref().is_some_and(|bucket| bucket.is_sealed);
        let encryption = if is_sealed { NewEncryption::Managed } else { NewEncryption::default() };
        let new = NewObject { encryption: encryption.clone(), ..NewObject::default() };
        match operation {
            Operation::CreateBucket => engine.create_bucket(ada, bucket).await.map(|_| ()),
            Operation::DeleteBucket => engine.delete_bucket(ada, bucket).await,
            Operation::Put { key: name, content } => {
                let body = Body::from_bytes(content.bytes.to_vec());
                engine.put_object(ada, bucket, &key(name), new, body).await.map(|_| ())
            }
            Operation::KeepVersions => engine.set_versioning(ada, bucket, Versioning::Enabled).await,
            Operation::Seal => Ok(()),
            Operation::Relax => engine.set_durability(ada, bucket, Durability::Relaxed).await,
            Operation::Delete { keys } => self.delete(keys.iter().map(|key| (key.as_str(), None)).collect()).await,
            Operation::DeleteVersion { key: name, number } => {
                let id = self.versions().await?[name][*number].0.clone();
                self.delete(vec![(name, Some(id))]).await
            }
            Operation::Copy { from, to } => {
                let storage_class = Some(engine::StorageClass::Standard);
                let copy = CopyObject { storage_class, encryption, ..CopyObject::default() };
                engine.copy_object(ada, &self.source(from), bucket, &key(to), copy).await.map(|_| ())
            }
            Operation::CreateUpload { key: name } => {
                engine.create_upload(ada, bucket, &key(name), new, None).await.map(|_| ())
            }
            Operation::PutPart { key: name, number, content } => {
                let upload = self.upload(name).await?;
                let body = Body::from_bytes(content.bytes.to_vec());
                engine.put_part(ada, bucket, &key(name), &upload, *number, body).await.map(|_| ())
            }
            Operation::CopyPart { from, key: name, number } => {
                let upload = self.upload(name).await?;
                let source = PartSource { object: self.source(from), range: None, upload_key: None };
                engine.copy_part(ada, &source, bucket, &key(name), &upload, *number).await.map(|_| ())
            }
            Operation::Complete { key: name } => self.complete(name, model).await,
            Operation::Abort { key: name } => {
                let upload = self.upload(name).await?;
                engine.abort_upload(ada, bucket, &key(name), &upload).await
            }
            Operation::Clean => clean(engine, &self.clock, Duration::from_secs(120)).await,
            Operation::Checkpoint => {
                checkpoint(&*self.disk, &self.root).await.map_err(|_| Error::Internal("the checkpoint failed"))
            }
        }
    }

    /// An object of the bucket, to copy from.
    fn source(&self, from: &str) -> CopySource {
        CopySource {
            bucket: self.bucket.clone(),
            key: key(from),
            version_id: None,
            conditions: ReadConditions::default(),
            customer_key: None,
        }
    }

    async fn delete(&self, what: Vec<(&str, Option<VersionId>)>) -> Result<()> {
        let target = |(name, version_id)| DeleteTarget { version_id, ..DeleteTarget::current(key(name)) };
        let targets = what.into_iter().map(target).collect();
        let deleted = self.engine.delete_objects(&self.ada, &self.bucket, targets).await?;
        deleted.into_iter().try_for_each(|one| one.map(|_| ()))
    }

    /// The versions of each key, the oldest first, and whether each is a delete marker.
    async fn versions(&self) -> Result<BTreeMap<String, Vec<(VersionId, bool)>>> {
        let list = ListRequest { entries_max: 1000, ..ListRequest::default() };
        let request = VersionListRequest { list, after_version: None };
        let page = self.engine.list_versions(&self.ada, &self.bucket, &request).await?;
        let mut versions = BTreeMap::<String, Vec<_>>::new();
        for entry in page.entries.into_iter().rev() {
            let ListEntry::Object(version) = entry else { continue };
            let of_key = versions.entry(version.key.as_str().to_owned()).or_default();
            of_key.push((version.version_id.expect("a listing of versions names them"), version.delete_marker));
        }
        Ok(versions)
    }

    async fn complete(&self, name: &str, model: &Model) -> Result<()> {
        let upload = self.upload(name).await?;
        let part = |(number, content): (&u32, &crate::model::Content)| CompletedPart {
            number: *number,
            etag: content.seen.md5.clone(),
            checksums: Digests::default(),
        };
        let parts = model.as_ref().unwrap().uploads[name].iter().map(part).collect();
        let complete = CompleteUpload { parts, ..CompleteUpload::default() };
        let key = key(name);
        self.engine.complete_upload(&self.ada, &self.bucket, &key, &upload, complete).await.map(|_| ())
    }

    async fn upload(&self, name: &str) -> Result<UploadId> {
        let uploads = self.uploads().await?;
        uploads.into_iter().find(|(key, _)| key == name).map(|(_, id)| id).ok_or(Error::NoSuchUpload)
    }

    async fn uploads(&self) -> Result<Vec<(String, UploadId)>> {
        let request = UploadListRequest { entries_max: 1000, ..UploadListRequest::default() };
        let page = self.engine.list_uploads(&self.ada, &self.bucket, &request).await?;
        Ok(page.uploads.into_iter().map(|one| (one.key.as_str().to_owned(), one.upload_id)).collect())
    }

    async fn read(&self, name: &str, version_id: Option<VersionId>) -> Result<Seen> {
        let read = ReadObject { version_id, ..ReadObject::default() };
        let found = self.engine.get_object(&self.ada, &self.bucket, &key(name), &read).await?;
        let bytes: Vec<bytes::Bytes> = found.body.try_collect().await.map_err(Error::Body)?;
        Ok(Seen::of(&bytes.concat()))
    }

    /// Everything that the bucket has, every byte of every version read.
    pub(crate) async fn view(&self) -> Result<View> {
        // Boxed, as are others here: without optimisation so many futures in each other are more than a thread's stack.
        Box::pin(self.view_all()).await
    }

    async fn view_all(&self) -> Result<View> {
        let request = ListRequest { entries_max: 1000, ..ListRequest::default() };
        let page = match self.engine.list_objects(&self.ada, &self.bucket, &request).await {
            Err(Error::NoSuchBucket) => return Ok(None),
            page => page?,
        };
        let bucket = self.engine.bucket(&self.ada, &self.bucket).await?;
        let mut view = BucketView {
            keeps_versions: bucket.versioning == Versioning::Enabled,
            is_relaxed: bucket.durability == Durability::Relaxed,
            ..BucketView::default()
        };
        for entry in page.entries {
            let ListEntry::Object(object) = entry else { continue };
            let name = object.key.as_str().to_owned();
            view.objects.insert(name.clone(), self.read(&name, None).await?);
        }
        for (name, versions) in self.versions().await? {
            let mut seen = Vec::new();
            for (id, is_marker) in versions {
                seen.push(if is_marker { None } else { Some(self.read(&name, Some(id)).await?) });
            }
            view.versions.insert(name, seen);
        }
        for (name, upload) in self.uploads().await? {
            let page = self.engine.list_parts(&self.ada, &self.bucket, &key(&name), &upload, 0, 1000).await?;
            let seen = |part: engine::Part| (part.number, Seen { size_bytes: part.size_bytes, md5: part.etag });
            view.uploads.insert(name, page.parts.into_iter().map(seen).collect());
        }
        Ok(Some(view))
    }
}
