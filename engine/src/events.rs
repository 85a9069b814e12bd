//! What happens to objects, as others are told of it: written into the outbox by the transaction that does it, and given to whoever
//! delivers it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use serde::{Deserialize, Serialize};

use crate::metadata::objects::Version;
use crate::metadata::{self, outbox};
use crate::notifications::Notifications;
use crate::rules::KnownBucket;
use crate::{Caller, Engine, ObjectKey, Result, VersionId};

/// Longest pause between two attempts to deliver an event.
const PAUSE_MAX: Duration = Duration::from_secs(300);

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum EventKind {
            $($(#[$doc])* $name,)*
            /// Nothing: who is told of changes was set.
            Test,
        }

        impl EventKind {
            /// Those that something does to an object.
            pub(crate) const OF_OBJECTS: [Self; 11] = [$(Self::$name,)*];

            /// The word of S3, without `s3:`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                    Self::Test => "TestEvent",
                }
            }
        }
    };
}

kinds! {
    /// An object was stored.
    CreatedPut = "ObjectCreated:Put";
    /// An object was stored by a form.
    CreatedPost = "ObjectCreated:Post";
    /// An object was copied to where it is.
    CreatedCopy = "ObjectCreated:Copy";
    /// An object was made of parts.
    CreatedOfParts = "ObjectCreated:CompleteMultipartUpload";
    /// An object or a version is gone for good.
    Removed = "ObjectRemoved:Delete";
    /// A delete marker was laid on an object.
    MarkerCreated = "ObjectRemoved:DeleteMarkerCreated";
    /// Tags were set.
    Tagged = "ObjectTagging:Put";
    /// Tags were taken away.
    Untagged = "ObjectTagging:Delete";
    /// A list was set.
    AclSet = "ObjectAcl:Put";
    /// A version went by the rules of a lifecycle.
    Expired = "LifecycleExpiration:Delete";
    /// A delete marker was laid on an object by the rules of a lifecycle.
    ExpiredByMarker = "LifecycleExpiration:DeleteMarkerCreated";
}

/// An event as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The name of the bucket.
    pub bucket: String,
    /// Who owned the bucket.
    pub bucket_owner: String,
    /// The key; empty for a test.
    pub key: String,
    /// Its number in the order of commits: of two about one object, the greater is the later.
    pub seq: i64,
    /// When it happened, in microseconds of the Unix epoch.
    pub time_us: i64,
    /// The size of the object, when one was made or changed.
    pub size_bytes: Option<u64>,
    /// Its entity tag, without quotes.
    pub etag: Option<String>,
    /// The version, where the bucket keeps versions.
    pub version_id: Option<String>,
    /// The rule of the bucket that wanted it.
    pub rule_id: String,
    /// Who did it; `None` for who proved nothing, and for the store itself.
    pub principal: Option<String>,
    /// Where the request came from.
    pub source_ip: Option<String>,
    /// The request's id, as its door has it.
    pub request_id: Option<String>,
}

/// An event that waits to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingEvent {
    /// What it is.
    pub event: Event,
    /// How often that was tried.
    pub attempts: u32,
}

/// How much waits for a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// The target.
    pub target: String,
    /// Events that wait.
    pub count: u64,
    /// When the oldest of them happened, in microseconds of the Unix epoch.
    pub oldest_us: i64,
}

/// What happened to a key.
#[derive(Clone, Debug)]
pub(crate) struct Happened<'a> {
    pub(crate) kind: EventKind,
    pub(crate) key: &'a ObjectKey,
    pub(crate) seq: i64,
    pub(crate) version_id: Option<VersionId>,
    /// Size and entity tag.
    pub(crate) object: Option<(u64, &'a str)>,
}

impl<'a> Happened<'a> {
    /// Something happened to a version.
    pub(crate) fn to_version(kind: EventKind, key: &'a ObjectKey, version: &'a Version) -> Self {
        let version_id = shown(&version.version_id);
        Self { kind, key, seq: version.seq, version_id, object: Some((version.size_bytes, &version.etag)) }
    }

    /// A version or marker went, or a marker came.
    pub(crate) fn deletion(kind: EventKind, key: &'a ObjectKey, seq: i64, version_id: Option<&VersionId>) -> Self {
        Self { kind, key, seq, version_id: version_id.and_then(shown), object: None }
    }
}

/// Where a bucket keeps no versions, none is named.
fn shown(version_id: &VersionId) -> Option<VersionId> {
    (*version_id != VersionId::null()).then(|| version_id.clone())
}

/// Who is told of what a request does, and what of the request. Requests to buckets that tell nobody have none.
#[derive(Clone, Debug)]
pub(crate) struct Notify {
    bucket: String,
    bucket_owner: String,
    rules: Notifications,
    principal: Option<String>,
    source_ip: Option<String>,
    request_id: Option<String>,
}

impl Notify {
    /// Of a request to a bucket; `None` where nobody is told of anything.
    pub(crate) fn of(known: &KnownBucket, caller: &Caller) -> Option<Arc<Self>> {
        let rules = known.rules.notifications.clone()?;
        Some(Arc::new(Self::new(known, caller, rules)))
    }

    pub(crate) fn new(known: &KnownBucket, caller: &Caller, rules: Notifications) -> Self {
        let fact = |name: &str| caller.facts().values(name).and_then(|values| values.into_iter().next());
        Self {
            bucket: known.bucket.name.to_string(),
            bucket_owner: known.bucket.owner.to_string(),
            rules,
            principal: caller.account().map(|account| account.canonical_id.to_string()),
            source_ip: fact("aws:sourceip"),
            request_id: fact("cloudhold:requestid"),
        }
    }

    /// What the store does by itself.
    pub(crate) fn of_store(bucket: String, bucket_owner: String, rules: Notifications) -> Self {
        Self { bucket, bucket_owner, rules, principal: None, source_ip: None, request_id: None }
    }

    /// The events of what happened, each with its target.
    pub(crate) fn events(&self, happened: &Happened<'_>, time_us: i64) -> Vec<(String, Event)> {
        let wanting = self.rules.wanting(happened.kind, happened.key.as_str());
        let event = |rule_id: &str| Event {
            kind: happened.kind,
            key: happened.key.as_str().to_owned(),
            seq: happened.seq,
            time_us,
            size_bytes: happened.object.map(|(size_bytes, _)| size_bytes),
            etag: happened.object.map(|(_, etag)| etag.to_owned()),
            version_id: happened.version_id.as_ref().map(VersionId::to_string),
            rule_id: rule_id.to_owned(),
            ..self.test(time_us)
        };
        wanting.map(|rule| (rule.target.clone(), event(&rule.id))).collect()
    }

    /// An event that tells of nothing but this bucket.
    pub(crate) fn test(&self, time_us: i64) -> Event {
        Event {
            kind: EventKind::Test,
            bucket: self.bucket.clone(),
            bucket_owner: self.bucket_owner.clone(),
            key: String::new(),
            seq: 0,
            time_us,
            size_bytes: None,
            etag: None,
            version_id: None,
            rule_id: String::new(),
            principal: self.principal.clone(),
            source_ip: self.source_ip.clone(),
            request_id: self.request_id.clone(),
        }
    }
}

impl Engine {
    /// Events that may be delivered to a target now, in the order of commits: of an object, none before one that waits. They stay until
    /// [`Engine::settle_events`] says that they were delivered.
    pub async fn pending_events(&self, caller: &Caller, target: &str, count_max: u32) -> Result<Vec<PendingEvent>> {
        caller.must_operate()?;
        let target = target.to_owned();
        self.inner
            .db
            .read_statement("pending_events", |tx| async move { outbox::pending(tx, &target, count_max).await }.boxed())
            .await
    }

    /// Forgets events of a target that were delivered, and puts others off that were not, each time for longer.
    pub async fn settle_events(
        &self,
        caller: &Caller,
        target: &str,
        delivered: &[i64],
        failed: &[PendingEvent],
    ) -> Result<()> {
        caller.must_operate()?;
        let (target, delivered) = (target.to_owned(), delivered.to_vec());
        let failed: Vec<(i64, u32)> = failed.iter().map(|pending| (pending.event.seq, pending.attempts + 1)).collect();
        self.inner
            .db
            .write("settle_events", move |tx| {
                let (target, delivered, failed) = (target.clone(), delivered.clone(), failed.clone());
                async move {
                    outbox::remove(tx, &target, &delivered).await?;
                    for (seq, attempts) in failed {
                        let due_us = tx.now_us() + crate::clock::micros(pause_after(attempts));
                        outbox::put_off(tx, &target, seq, attempts, due_us).await?;
                    }
                    Ok(())
                }
                .boxed()
            })
            .await
    }

    /// How much waits, by target.
    pub async fn event_backlog(&self, caller: &Caller) -> Result<Vec<Backlog>> {
        caller.must_operate()?;
        self.inner.db.read_statement("event_backlog", |tx| metadata::outbox::backlog(tx).boxed()).await
    }

    /// Waits until an event may have been added.
    pub async fn events_added(&self) {
        self.inner.events_added.notified().await;
    }
}

/// How long an event waits after so many attempts.
pub fn pause_after(attempts: u32) -> Duration {
    Duration::from_secs(1 << attempts.saturating_sub(1).min(16)).min(PAUSE_MAX)
}
