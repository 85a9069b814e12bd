//! The engine: what is stored and who may touch it. It speaks no protocol.
//!
//! Every door turns a request into one method of [`Engine`] with the [`Caller`] first, and renders the answer. The methods are
//! grouped by noun, a file each: groups, users, credentials, logins, buckets, objects, listing, multipart, usage, trash.

mod access;
mod access_log;
mod acls;
mod attributes;
mod backup;
mod body;
mod buckets;
mod bytes;
mod caller;
mod check;
mod clock;
mod complete;
mod content_ids;
mod cors;
mod credentials;
mod data_dir;
pub mod disk;
mod encryption;
mod error;
mod events;
mod fair;
mod groups;
mod iam;
mod install;
mod journal;
mod key_logins;
mod lifecycle;
mod listing;
mod lock;
mod logins;
mod meta;
mod metadata;
mod move_metadata;
mod multipart;
mod names;
mod notifications;
mod objects;
mod password;
mod progress;
mod quota;
mod read_only;
mod rebuild;
mod remembered;
mod rules;
mod scrub;
mod secrets;
mod selection;
mod settings;
mod snapshots;
mod stamp;
mod store_id;
mod tags;
#[cfg(test)]
mod test_tenant;
mod trash;
mod unkept_sessions;
mod usage;
mod users;
mod version_ids;
mod website;
mod work;

use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::task::TaskTracker;

use crate::bytes::ByteStore;
use crate::bytes::blobs::Blobs;
use crate::bytes::bounds::{Bounds, ReadBounds};
use crate::bytes::in_flight::InFlight;
use crate::bytes::intake::Intake;
use crate::bytes::packs::PackLimits;
use crate::disk::{Disk, SlowDisk};
use crate::read_only::ReadOnly;
use crate::remembered::Remembered;

pub use access::acl::{Acl, CannedAcl, GRANTS_MAX, GivenAcl, GivenGrant, GivenGrantee, Grant, Grantee, Permission};
pub use access::action::Action;
pub use access::public::{ObjectOwnership, PublicAccessBlock};
pub use access_log::{AccessLog, AccessLogging, LogDate, LogKeyFormat};
pub use acls::{NewAcl, ObjectName, Person, ShownAcl, ShownGrant};
pub use attributes::{ObjectAttributes, ObjectPart};
pub use backup::{
    BackupInfo, BackupOptions, BackupReport, Damaged, Restored, VerifyReport, list_backups, prune_backups,
    restore_backup, verify_backup,
};
pub use body::{Body, ByteStream, ChecksumAlgorithm, Digests, Trailer};
pub use buckets::{Bucket, BucketCreated, Durability, NewBucket, Versioning};
pub use caller::{Caller, Facts, Identity, RequestFacts, Role};
pub use check::{CheckOptions, CheckReport, Examined, Finding, Problem, Tally};
pub use clock::{Clock, ClockHand};
pub use cors::{CORS_RULES_MAX, CorsRule, CorsRules};
pub use credentials::Credential;
pub use encryption::{BucketEncryption, CustomerKey, Encryption, KMS_KEY_DEFAULT, KmsDefault, NewEncryption};
pub use error::{BoxError, Error, Result, RuleError};
pub use events::{Backlog, Event, EventKind, PendingEvent, pause_after};
pub use groups::{Group, GroupChange, NewGroup, PageRequest, Profile};
pub use iam::{
    AccountSummary, AssumeRole, CallerIdentity, IamAction, IamEntity, IamError, IamHolder, IamKey, IamKind, IamListing,
    IamPage, IamPolicy, IamPolicyVersion, IamService, IamUserShown, NewIamEntity, PolicyScope, Principal, RoleChange,
    SessionKey,
};
pub use install::OldDatabase;
pub use journal::{Gap, Told};
pub use key_logins::KeyLogin;
pub use lifecycle::{
    Expiration, LIFECYCLE_RULES_MAX, Lifecycle, LifecycleFilter, LifecycleRule, MoveSize, NoncurrentExpiration,
};
pub use listing::{Description, ListEntry, ListPage, ListRequest, ListedObject, VersionListRequest};
pub use lock::{DefaultRetention, LockMode, LockPeriod, NewLock, ObjectLock, Retention};
pub use logins::Session;
pub use metadata::TableCopied;
pub use move_metadata::{MetadataMoved, move_metadata};
pub use multipart::{
    CompleteUpload, CompletedPart, PART_NUMBER_MAX, Part, PartPage, PartSource, Upload, UploadChecksum,
    UploadListRequest, UploadPage,
};
pub use names::{
    AccessKeyId, BlobId, BucketName, CanonicalId, ContentId, GroupId, ObjectKey, UploadId, UserId, VersionId,
};
pub use notifications::{EventFamily, EventFilter, NOTIFICATION_RULES_MAX, NotificationRule, Notifications, ShownAs};
pub use objects::{
    ChecksumType, Copied, CopyObject, CopySource, DeleteTarget, Deleted, Expiry, NewObject, ObjectHeaders, ObjectInfo,
    ObjectRead, ObjectView, PUT_SIZE_BYTES_MAX, ReadConditions, ReadObject, Selection, StorageClass,
    USER_METADATA_BYTES_MAX, WriteConditions,
};
pub use progress::{OnProgress, Progress};
pub use quota::{BucketQuota, Excess, Quota};
pub use rebuild::{Loss, RebuildOptions, RebuildReport, Unrestored, rebuild_index};
pub use rules::{BucketSetting, Rules};
pub use scrub::{Damage, ScrubOptions, ScrubProgress, ScrubReport};
pub use settings::{Database, Faults, PostgresSettings, Settings};
pub use snapshots::SnapshotInfo;
pub use tags::{BUCKET_TAGS_MAX, OBJECT_TAGS_MAX, Tags, TouchedVersion};
pub use trash::TrashedUser;
pub use usage::{BucketUsage, Usage, UserUsage};
pub use users::{NewUser, User, UserChange, UserFilter};
pub use website::{NewKey, Pages, Protocol, ROUTING_RULES_MAX, RoutingRule, Website};
pub use work::WorkerStatus;

/// The store: cheap to clone, safe to share.
#[derive(Clone, Debug)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    db: metadata::Db,
    store: Arc<dyn ByteStore>,
    intake: Intake,
    in_flight: InFlight,
    reads: ReadBounds,
    keys: secrets::KeyRing,
    version_ids: version_ids::VersionIds,
    /// What access keys stand for.
    identities: Remembered<key_logins::FoundLogin>,
    /// Visible buckets with what is set on them, without their usage.
    buckets: Remembered<Arc<rules::KnownBucket>>,
    passwords: password::Passwords,
    unkept_sessions: unkept_sessions::UnkeptSessions,
    /// Rung when events may wait that did not before.
    events_added: tokio::sync::Notify,
    access_logs: access_log::WaitingLines,
    workers: work::Workers,
    /// Running back-ups; garbage stays while there is one.
    backups: backup::Running,
    scrubs: scrub::Turns,
    snapshots: snapshots::Snapshots,
    /// Writes whose transaction is on its way; they are waited for before the database is closed.
    writes: TaskTracker,
    /// Held for as long as the engine is open; `None` once it is closed.
    lock: Mutex<Option<data_dir::Lock>>,
}

/// How the store is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Why no writes are taken, when none are.
    pub read_only: Option<String>,
    /// Free bytes of the disk that holds the blobs.
    pub free_bytes: u64,
}

impl Engine {
    /// Opens the store, making it when the data directory is empty, and starts its background work. Holds a lock on the data directory
    /// ([`Error::Locked`]) until the engine is closed.
    pub async fn open(settings: Settings) -> Result<Self> {
        let lock = data_dir::make_and_lock(&*settings.disk, &settings.data_dir)?;
        let key_file = settings.key_file.clone().unwrap_or_else(|| settings.data_dir.join("keys.json"));
        let read_only = ReadOnly::default();
        refuse_lost_database(&settings)?;
        let store = open_store(&settings, &read_only)?;
        let db = metadata::Db::open(&settings, read_only).await.map_err(name_rebuild)?;
        // SQLite syncs the name of its log as well, but says nothing when that fails.
        data_dir::sync(&*settings.disk, &settings.data_dir)?;
        store_id::confirm(&db, &settings).await?;
        db.start_journal().await?;
        let keys = secrets::open_ring(&db, &key_file).await?;
        let version_ids = version_ids::VersionIds::load(&db).await?;
        let in_flight = InFlight::default();
        let intake = Intake {
            store: store.clone(),
            in_flight: in_flight.clone(),
            inline_size_bytes_max: settings.inline_size_bytes_max,
            bounds: Bounds::new(settings.uploads_max, settings.intake_size_bytes_max),
        };
        let engine = Self {
            inner: Arc::new(Inner {
                settings,
                db,
                store,
                intake,
                in_flight,
                reads: ReadBounds::new(),
                keys,
                version_ids,
                identities: Remembered::new(),
                buckets: Remembered::new(),
                passwords: password::Passwords::new(),
                unkept_sessions: unkept_sessions::UnkeptSessions::default(),
                events_added: tokio::sync::Notify::new(),
                access_logs: access_log::WaitingLines::default(),
                workers: work::Workers::default(),
                backups: backup::Running::default(),
                scrubs: scrub::Turns::default(),
                snapshots: snapshots::Snapshots::default(),
                writes: TaskTracker::new(),
                lock: Mutex::new(Some(lock)),
            }),
        };
        engine.ensure_system().await?;
        if engine.inner.settings.background_work {
            engine.inner.workers.start(&engine.inner);
        }
        Ok(engine)
    }

    /// Finishes what runs, stops the background work and closes the database and the blobs.
    pub async fn close(&self) {
        self.inner.workers.stop().await;
        // What the log has of the last requests is worth a write or two; what cannot be written is lost.
        let _ = self.deliver_access_logs().await;
        self.inner.writes.close();
        self.inner.writes.wait().await;
        self.inner.db.close().await;
        let store = self.inner.store.clone();
        // It fails only when the runtime ends, which is a kill; the next start does then what was left.
        let _ = bytes::blocking(move || {
            store.close();
            Ok(())
        })
        .await;
        // A poisoned lock only means that a thread panicked while it held nothing but this file.
        self.inner.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Whether writes are taken.
    pub async fn health(&self) -> Health {
        let store = self.inner.store.clone();
        let free_bytes = bytes::blocking(move || store.free_bytes()).await.unwrap_or_default();
        Health { read_only: self.inner.db.read_only(), free_bytes }
    }

    /// What the background workers did last.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.inner.workers.status()
    }

    /// Runs all background work that is due now, and waits for it.
    pub async fn run_workers(&self) -> Result<()> {
        work::run_all(&self.inner).await
    }

    /// The settings it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The clock it was opened with.
    pub fn clock(&self) -> &Clock {
        &self.inner.settings.clock
    }
}

/// A database that is damaged beyond use says so in its own words, and does not say what helps.
fn name_rebuild(error: Error) -> Error {
    let said = match &error {
        Error::Metadata { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    if said.contains("malformed") || said.contains("not a database") {
        return Error::Unusable(format!(
            "the database cannot be used ({said}); `cloudhold rebuild-index` restores it from the last snapshot"
        ));
    }
    error
}

impl Inner {
    /// Something is due before its time.
    fn wake_workers(&self) {
        self.workers.wake();
    }
}

/// Refuses to make a database where there was one: objects would be gone without a word, and blobs without rows are swept away.
fn refuse_lost_database(settings: &Settings) -> Result<()> {
    let Database::Embedded = &settings.database else { return Ok(()) };
    let file = settings.data_dir.join(metadata::FILE);
    let had_store = || -> Result<bool> {
        Ok(store_id::is_known(settings) || data_dir::has_blobs(&*settings.disk, &settings.data_dir)?)
    };
    if !file.exists() && had_store()? {
        return Err(Error::Unusable(format!(
            "{} is missing, but there was a store; bring the database back, or let `cloudhold rebuild-index` restore it from the last \
             snapshot, or begin in another directory",
            file.display()
        )));
    }
    Ok(())
}

fn open_store(settings: &Settings, read_only: &ReadOnly) -> Result<Arc<dyn ByteStore>> {
    let fsync_delay = settings.faults.fsync_delay;
    let disk: Arc<dyn Disk> = match fsync_delay.is_zero() {
        true => settings.disk.clone(),
        false => Arc::new(SlowDisk::new(settings.disk.clone(), fsync_delay)),
    };
    let packs = PackLimits { size_bytes_max: settings.pack_size_bytes_max, pack_bytes: settings.pack_bytes };
    let (clock, read_only) = (settings.clock.clone(), read_only.clone());
    let blobs = Blobs::open(disk, &settings.data_dir, clock, read_only, packs, settings.direct_size_bytes_min)?;
    Ok(Arc::new(blobs))
}
