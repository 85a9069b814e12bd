//! Logs of the requests to a bucket, as its owner has them delivered into another bucket.
//!
//! The lines are the door's. They wait in memory and are stored as objects from time to time, when many wait, and when the store is
//! closed: a crash loses those that wait. Delivery writes as [`Caller::LogDelivery`], which may do only what the target lets it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tokio::sync::Notify;

use crate::access::Wanted;
use crate::access::action::Action;
use crate::caller::RequestFacts;
use crate::rules::{self, BucketSetting, KnownBucket};
use crate::{
    Body, BucketName, Caller, CanonicalId, Engine, Error, Facts, NewObject, ObjectHeaders, ObjectKey, Result, RuleError,
};

/// Longest prefix of the logs of a bucket, so that there is room for the rest of their keys.
const PREFIX_BYTES_MAX: usize = 800;
/// Lines of one bucket that are delivered before it is time.
const MANY_BYTES: usize = 4 << 20;
/// Lines that wait at most; further ones are dropped and counted.
const WAITING_BYTES_MAX: usize = 32 << 20;
const DAY_US: i64 = 86_400_000_000;

const DAY_FOLDERS: &[BorrowedFormatItem<'_>] = format_description!("[year]/[month]/[day]");
const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
const TIME: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]-[hour]-[minute]-[second]");

/// Where the log of a bucket goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessLogging {
    /// The bucket that takes it, which has the same owner.
    pub target_bucket: String,
    /// What the keys begin with.
    pub target_prefix: String,
    /// How they go on.
    pub key_format: LogKeyFormat,
}

/// How the key of a log goes on after its prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogKeyFormat {
    /// `<time of delivery>-<unique>`.
    Simple,
    /// `<owner>/<region>/<bucket>/<year>/<month>/<day>/<time>-<unique>`.
    Partitioned {
        /// Which day it is.
        date: LogDate,
        /// The name of the region, as its door has it.
        region: String,
    },
}

/// The time in the key of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogDate {
    /// When the requests came, to the day.
    Event,
    /// When the log was delivered.
    Delivery,
}

impl AccessLogging {
    /// The key of a log of a day, delivered now.
    fn key(&self, source: &KnownBucket, day: i64, now_us: i64) -> String {
        let unique = hex::encode_upper(rand::random::<[u8; 8]>());
        let prefix = &self.target_prefix;
        match &self.key_format {
            LogKeyFormat::Simple => format!("{prefix}{}-{unique}", text(now_us, TIME)),
            LogKeyFormat::Partitioned { date, region } => {
                let (us, time) = match date {
                    LogDate::Event => (day * DAY_US, format!("{}-00-00-00", text(day * DAY_US, DAY))),
                    LogDate::Delivery => (now_us, text(now_us, TIME)),
                };
                let bucket = &source.bucket;
                let folders = text(us, DAY_FOLDERS);
                format!("{prefix}{}/{region}/{}/{folders}/{time}-{unique}", bucket.owner, bucket.name)
            }
        }
    }
}

fn text(us: i64, format: &[BorrowedFormatItem<'_>]) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(us) * 1000);
    time.ok().and_then(|time| time.format(format).ok()).unwrap_or_default()
}

/// What a policy may ask about a delivery.
#[derive(Debug)]
struct Delivery {
    source_arn: String,
    source_account: String,
}

impl RequestFacts for Delivery {
    fn values(&self, name: &str) -> Option<Vec<String>> {
        let value = match name {
            "aws:sourcearn" => self.source_arn.clone(),
            "aws:sourceaccount" => self.source_account.clone(),
            // Nothing of it passes a network.
            "aws:securetransport" | "aws:principalisawsservice" => "true".to_owned(),
            "aws:principalservicename" => LOG_SERVICE.to_owned(),
            _ => return None,
        };
        Some(vec![value])
    }
}

/// The name of the delivery among the principals of policies.
pub(crate) const LOG_SERVICE: &str = "logging.s3.amazonaws.com";

/// Who delivers the log of a bucket.
fn delivery_of(source: &KnownBucket) -> Caller {
    Caller::LogDelivery(Facts::new(Arc::new(Delivery {
        source_arn: format!("arn:aws:s3:::{}", source.bucket.name),
        source_account: source.bucket.owner.to_string(),
    })))
}

impl Caller {
    /// What a log of accesses calls whoever asks: an account by its canonical id, whoever acts in one by its ARN; `None` for the rest.
    pub fn log_name(&self) -> Option<String> {
        match self {
            Self::User(identity, _) => Some(identity.canonical_id.to_string()),
            Self::Iam(principal, _) => Some(principal.arn()),
            Self::Anonymous(_) | Self::LogDelivery(_) | Self::AdminService | Self::LocalOperator => None,
        }
    }
}

/// Whose lines they are. The name is another bucket's once this one is deleted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Source {
    bucket_id: i64,
    bucket: BucketName,
    day: i64,
}

/// Lines that wait to be delivered.
#[derive(Debug, Default)]
pub(crate) struct WaitingLines {
    lines: Mutex<Lines>,
    /// Rung when many wait.
    pub(crate) many: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Lines {
    by_source: BTreeMap<Source, String>,
    size_bytes: usize,
}

impl WaitingLines {
    /// A poisoned lock only means that a thread panicked between whole changes.
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds lines; whether that makes many.
    fn add(&self, source: Source, more: &str) -> bool {
        let mut lines = self.lock();
        if lines.size_bytes + more.len() > WAITING_BYTES_MAX {
            drop(lines);
            count_lost(more);
            return false;
        }
        lines.size_bytes += more.len();
        let waiting = lines.by_source.entry(source).or_default();
        waiting.push_str(more);
        waiting.len() >= MANY_BYTES
    }

    fn take(&self) -> BTreeMap<Source, String> {
        let mut lines = self.lock();
        lines.size_bytes = 0;
        std::mem::take(&mut lines.by_source)
    }
}

fn count_lost(lines: &str) {
    metrics::counter!("cloudhold_access_log_dropped_total").increment(lines.lines().count() as u64);
}

/// A bucket whose requests are logged.
#[derive(Clone, Debug)]
pub struct AccessLog {
    engine: Engine,
    bucket_id: i64,
    bucket: BucketName,
    owner: CanonicalId,
}

impl AccessLog {
    /// Who owns the bucket.
    pub fn owner(&self) -> &CanonicalId {
        &self.owner
    }

    /// Notes a request, in a line of its own without an end.
    pub fn note(&self, line: &str) {
        let inner = &self.engine.inner;
        let day = inner.settings.clock.now_us().div_euclid(DAY_US);
        let source = Source { bucket_id: self.bucket_id, bucket: self.bucket.clone(), day };
        if inner.access_logs.add(source, &format!("{line}\n")) {
            inner.access_logs.many.notify_one();
        }
    }
}

impl Engine {
    /// The log of a bucket; `None` where there is none, also where there is no such bucket.
    pub async fn access_log(&self, name: &BucketName) -> Option<AccessLog> {
        let known = self.known_bucket(name).await.ok()?;
        known.rules.access_logging.as_ref()?;
        let (bucket_id, owner) = (known.bucket.id, known.bucket.owner.clone());
        Some(AccessLog { engine: self.clone(), bucket_id, bucket: name.clone(), owner })
    }

    /// Has the requests to a bucket logged from now on; `None` ends that. [`RuleError::LogTarget`] for a target that is not there, has
    /// another owner or lets no log in.
    pub async fn set_access_logging(
        &self,
        caller: &Caller,
        name: &BucketName,
        logging: Option<&AccessLogging>,
    ) -> Result<()> {
        let known = self.allowed_bucket(caller, name, &Wanted::on_bucket(AccessLogging::WRITE)).await?;
        if let Some(logging) = logging {
            self.check_target(&known, logging).await?;
        }
        self.store_setting(caller, &known, AccessLogging::KIND, logging.map(rules::to_json).transpose()?).await
    }

    async fn check_target(&self, source: &KnownBucket, logging: &AccessLogging) -> Result<()> {
        let refused = |why| Err(RuleError::LogTarget(why).into());
        if logging.target_prefix.len() > PREFIX_BYTES_MAX {
            return Err(Error::invalid("TargetPrefix", format!("must have at most {PREFIX_BYTES_MAX} bytes")));
        }
        let target = match BucketName::new(&logging.target_bucket) {
            Ok(name) => self.known_bucket(&name).await,
            Err(_) => Err(Error::NoSuchBucket),
        };
        let target = match target {
            Err(Error::NoSuchBucket) => return refused("The target bucket for logging does not exist"),
            target => target?,
        };
        if target.bucket.owner != source.bucket.owner {
            return refused("The owner for the bucket to be logged and the target bucket must be the same.");
        }
        let key = ObjectKey::new(logging.key(source, 0, 0))?;
        if !target.allows(&delivery_of(source), &Wanted::at(Action::PutObject, &key)) {
            return refused(
                "You must let the log delivery write to the target bucket, by its policy or its access control list",
            );
        }
        Ok(())
    }

    /// Stores the lines that wait; says in a few words what was done.
    pub(crate) async fn deliver_access_logs(&self) -> Result<String> {
        let (mut stored, mut lost) = (0, 0);
        for (source, lines) in self.inner.access_logs.take() {
            match self.deliver(&source, &lines).await {
                Ok(()) => stored += 1,
                // They wait for the next time, however many they are: ringing for them would try without a pause.
                Err(error) if may_pass(&error) => _ = self.inner.access_logs.add(source, &lines),
                Err(error) => {
                    tracing::warn!(bucket = %source.bucket, %error, "a log of accesses could not be delivered and is lost");
                    count_lost(&lines);
                    lost += 1;
                }
            }
        }
        Ok(format!("{stored} delivered, {lost} lost"))
    }

    async fn deliver(&self, of: &Source, lines: &str) -> Result<()> {
        let source = self.known_bucket(&of.bucket).await?;
        if source.bucket.id != of.bucket_id {
            // Somebody else has the name by now.
            return Err(Error::NoSuchBucket);
        }
        // Lines of before it was ended are nobody's any more.
        let Some(logging) = &source.rules.access_logging else { return Ok(()) };
        let target = BucketName::new(&logging.target_bucket)?;
        if self.known_bucket(&target).await?.bucket.owner != source.bucket.owner {
            return Err(Error::AccessDenied);
        }
        let key = ObjectKey::new(logging.key(&source, of.day, self.clock().now_us()))?;
        let headers = ObjectHeaders { content_type: Some("text/plain".to_owned()), ..ObjectHeaders::default() };
        let new = NewObject { headers, ..NewObject::default() };
        let body = Body::from_bytes(lines.to_owned());
        self.put_object(&delivery_of(&source), &target, &key, new, body).await.map(|_| ())
    }
}

/// Whether a failure may be gone the next time.
fn may_pass(error: &Error) -> bool {
    matches!(error, Error::Busy | Error::DiskFull | Error::DatabaseUnreachable { .. } | Error::ReadOnly(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_counted_down_when_it_is_taken() {
        let waiting = WaitingLines::default();
        let source = |name: &str| Source { bucket_id: 1, bucket: BucketName::new(name).expect("a name"), day: 1 };
        let half = "x".repeat(WAITING_BYTES_MAX / 2);
        assert!(waiting.add(source("one"), &half) && waiting.add(source("one"), &half));
        assert!(!waiting.add(source("other"), "dropped"));
        let taken = waiting.take();
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[&source("one")].len(), WAITING_BYTES_MAX);
        assert!(!waiting.add(source("other"), "kept"));
        assert_eq!(waiting.take().len(), 1);
    }
}
