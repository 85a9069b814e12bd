//! Object lock: versions that may not be deleted before a time, or as long as they are held.

use futures::FutureExt;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::access::Wanted;
use crate::access::action::Action;
use crate::meta::Meta;
use crate::metadata;
use crate::rules::{BucketSetting, KnownBucket, to_json};
use crate::tags::TouchedVersion;
use crate::{Caller, Engine, Error, ObjectKey, ObjectName, Result, RuleError, Versioning};

/// Longest default retention, as in S3.
const DAYS_MAX: u32 = 36_500;
const YEARS_MAX: u32 = 100;
const DAY_US: i64 = 86_400_000_000;

/// How firmly a version is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LockMode {
    /// Who has a special permission may undo it.
    Governance,
    /// Nobody may undo it.
    Compliance,
}

impl LockMode {
    /// The word of S3.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }

    /// Reads the word of S3.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Governance, Self::Compliance].into_iter().find(|mode| mode.as_str() == text)
    }
}

/// Until when a version is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// How firmly.
    #[serde(rename = "m")]
    pub mode: LockMode,
    /// Until when, in microseconds of the Unix epoch.
    #[serde(rename = "u")]
    pub until_us: i64,
}

/// How long versions of a bucket are locked when nothing else is said of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultRetention {
    /// How firmly.
    pub mode: LockMode,
    /// How long.
    pub period: LockPeriod,
}

/// A time span of a default retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockPeriod {
    /// Days of 24 hours.
    Days(u32),
    /// Years of 365 days.
    Years(u32),
}

impl LockPeriod {
    fn length_us(self) -> i64 {
        match self {
            Self::Days(days) => i64::from(days) * DAY_US,
            Self::Years(years) => i64::from(years) * 365 * DAY_US,
        }
    }
}

/// That versions of a bucket can be locked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectLock {
    /// What new versions get when nothing else is said of them.
    pub default: Option<DefaultRetention>,
}

/// What a request says of the lock of a new version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewLock {
    /// Until when; the bucket's default when `None`.
    pub retention: Option<Retention>,
    /// Whether it is held.
    pub legal_hold: bool,
}

impl NewLock {
    /// Whether nothing was said.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What a request says of the lock of a version, and when it does: what the conditions of policies are about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SaidLock {
    pub(crate) retention: Option<Retention>,
    pub(crate) legal_hold: Option<bool>,
    at_us: i64,
}

impl SaidLock {
    pub(crate) fn of_new(new: &NewLock, at_us: i64) -> Self {
        Self { retention: new.retention, legal_hold: new.legal_hold.then_some(true), at_us }
    }

    /// A fact by its name in lower case. A day that has begun is a remaining one.
    pub(crate) fn fact(&self, name: &str) -> Option<String> {
        match name {
            "s3:object-lock-mode" => Some(self.retention?.mode.as_str().to_owned()),
            "s3:object-lock-retain-until-date" => {
                let until = OffsetDateTime::from_unix_timestamp(self.retention?.until_us.div_euclid(1_000_000)).ok()?;
                until.format(&Rfc3339).ok()
            }
            "s3:object-lock-remaining-retention-days" => {
                let remaining_us = self.retention?.until_us.saturating_sub(self.at_us);
                Some(remaining_us.saturating_add(DAY_US - 1).div_euclid(DAY_US).to_string())
            }
            "s3:object-lock-legal-hold" => Some(if self.legal_hold? { "ON" } else { "OFF" }.to_owned()),
            _ => None,
        }
    }
}

impl ObjectLock {
    /// Checks a default retention. [`RuleError::InvalidRetentionPeriod`].
    pub fn new(default: Option<DefaultRetention>) -> Result<Self> {
        let fits = |default: DefaultRetention| match default.period {
            LockPeriod::Days(days) => (1..=DAYS_MAX).contains(&days),
            LockPeriod::Years(years) => (1..=YEARS_MAX).contains(&years),
        };
        if default.is_none_or(fits) { Ok(Self { default }) } else { Err(RuleError::InvalidRetentionPeriod.into()) }
    }
}

/// Refuses to delete a version that is locked. `bypass` is whether a governance lock may be passed.
pub(crate) fn refuse_locked(meta: &Meta, now_us: i64, bypass: bool) -> Result<()> {
    let is_kept = meta
        .retention()
        .is_some_and(|retention| retention.until_us > now_us && !(bypass && retention.mode == LockMode::Governance));
    if is_kept || meta.legal_hold() { Err(Error::ObjectLocked) } else { Ok(()) }
}

/// When a version that is locked may be looked at again; `None` for one that is not. A hold ends when somebody ends it.
pub(crate) fn kept_until_us(meta: &Meta, now_us: i64) -> Option<i64> {
    let retained = meta.retention().map(|retention| retention.until_us).filter(|until_us| *until_us > now_us);
    let held = meta.legal_hold().then(|| now_us.saturating_add(DAY_US));
    retained.max(held)
}

impl KnownBucket {
    /// The lock of a new version: what is said of it, else the default. Errors as of [`Self::check_lock`].
    pub(crate) fn lock_of_new(&self, new: &NewLock, now_us: i64) -> Result<NewLock> {
        self.check_lock(new, now_us)?;
        Ok(self.lock_with_default(new, now_us))
    }

    /// Refuses a lock. [`RuleError::NoObjectLock`] where versions cannot be locked, [`Error::Invalid`] for a time that has passed.
    pub(crate) fn check_lock(&self, new: &NewLock, now_us: i64) -> Result<()> {
        if !new.is_none() {
            self.must_lock()?;
        }
        if new.retention.is_some_and(|retention| retention.until_us <= now_us) {
            return Err(Error::invalid("retain until date", "must be in the future"));
        }
        Ok(())
    }

    /// A lock with the default retention of the bucket, from now on, where none was said.
    pub(crate) fn lock_with_default(&self, said: &NewLock, now_us: i64) -> NewLock {
        let default = self.rules.object_lock.and_then(|lock| lock.default).map(|default| Retention {
            mode: default.mode,
            until_us: now_us.saturating_add(default.period.length_us()),
        });
        NewLock { retention: said.retention.or(default), legal_hold: said.legal_hold }
    }

    /// Whether a caller who asks for it may pass a governance lock.
    pub(crate) fn may_bypass(&self, caller: &Caller, key: &ObjectKey, asked: bool) -> bool {
        asked && self.allows(caller, &Wanted::at(Action::BypassGovernanceRetention, key))
    }

    fn must_lock(&self) -> Result<()> {
        self.rules.object_lock.map(|_| ()).ok_or(RuleError::NoObjectLock.into())
    }
}

impl Engine {
    /// Until when a version is locked. [`RuleError::NoObjectLock`] where none can be; [`RuleError::NotLocked`].
    pub async fn object_retention(&self, caller: &Caller, object: &ObjectName) -> Result<Retention> {
        let (known, version) = self.find_version(caller, object, Action::GetObjectRetention).await?;
        known.must_lock()?;
        version.meta.retention().ok_or(RuleError::NotLocked.into())
    }

    /// Locks a version until a time, or ends its lock. A lock that is not over can only be prolonged; a governance lock can be changed
    /// otherwise by who may pass it. [`Error::ObjectLocked`], [`RuleError::NoObjectLock`].
    pub async fn set_object_retention(
        &self,
        caller: &Caller,
        object: &ObjectName,
        retention: Option<Retention>,
        bypass: bool,
    ) -> Result<TouchedVersion> {
        let (known, now_us) = (self.known_bucket(&object.bucket).await?, self.clock().now_us());
        let said_lock = Some(SaidLock { retention, legal_hold: None, at_us: now_us });
        let wanted = Wanted { said_lock, ..Wanted::at(Action::PutObjectRetention, &object.key) };
        let (known, version) = match known.rules.object_lock {
            Some(_) => self.find_version_for(caller, object, wanted).await?,
            None => {
                known.must_allow(caller, &wanted)?;
                return Err(RuleError::NoObjectLock.into());
            }
        };
        let bypass = known.may_bypass(caller, &object.key, bypass);
        if retention.is_some_and(|retention| retention.until_us <= now_us) {
            return Err(Error::invalid("retain until date", "must be in the future"));
        }
        self.write_meta(caller, &known, &object.key, &version, None, move |meta| {
            let kept = meta.retention().filter(|kept| kept.until_us > now_us);
            if kept.is_some_and(|kept| !may_follow(kept, retention, bypass)) {
                return Err(Error::ObjectLocked);
            }
            meta.set_retention(retention);
            Ok(())
        })
        .await
    }

    /// Whether a version is held. [`RuleError::NoObjectLock`] where none can be.
    pub async fn object_legal_hold(&self, caller: &Caller, object: &ObjectName) -> Result<bool> {
        let (known, version) = self.find_version(caller, object, Action::GetObjectLegalHold).await?;
        known.must_lock()?;
        Ok(version.meta.legal_hold())
    }

    /// Holds a version, or lets it go. [`RuleError::NoObjectLock`].
    pub async fn set_object_legal_hold(
        &self,
        caller: &Caller,
        object: &ObjectName,
        held: bool,
    ) -> Result<TouchedVersion> {
        let known = self.known_bucket(&object.bucket).await?;
        let said_lock = SaidLock { retention: None, legal_hold: Some(held), at_us: self.clock().now_us() };
        let wanted = Wanted { said_lock: Some(said_lock), ..Wanted::at(Action::PutObjectLegalHold, &object.key) };
        if known.must_lock().is_err() {
            known.must_allow(caller, &wanted)?;
            return Err(RuleError::NoObjectLock.into());
        }
        let (known, version) = self.find_version_for(caller, object, wanted).await?;
        let change = move |meta: &mut Meta| {
            meta.set_legal_hold(held);
            Ok(())
        };
        self.write_meta(caller, &known, &object.key, &version, None, change).await
    }

    /// Lets versions of a bucket be locked from now on, and sets what new ones get. [`RuleError::BucketState`] where it keeps no versions.
    pub async fn set_object_lock(&self, caller: &Caller, name: &crate::BucketName, lock: &ObjectLock) -> Result<()> {
        let known = self.allowed_bucket(caller, name, &Wanted::on_bucket(ObjectLock::WRITE)).await?;
        let (bucket_id, lock) = (known.bucket.id, to_json(lock)?);
        self.change_bucket(caller.share(), "set_object_lock", move |tx| {
            let lock = lock.clone();
            async move {
                if metadata::buckets::versioning(tx, bucket_id).await? != Versioning::Enabled {
                    return Err(RuleError::BucketState(
                        "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
                    )
                    .into());
                }
                metadata::settings::set(tx, bucket_id, ObjectLock::KIND, Some(&lock)).await
            }
            .boxed()
        })
        .await
    }
}

/// Whether a lock may come in the place of one that is not over.
fn may_follow(kept: Retention, wanted: Option<Retention>, bypass: bool) -> bool {
    let prolongs = wanted.is_some_and(|wanted| wanted.mode == kept.mode && wanted.until_us >= kept.until_us);
    prolongs || (kept.mode == LockMode::Governance && bypass)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retention(mode: LockMode, until_us: i64) -> Retention {
        Retention { mode, until_us }
    }

    #[test]
    fn locks_are_prolonged_and_never_shortened() {
        use LockMode::{Compliance, Governance};
        for (kept, wanted, bypass, expected) in [
            (retention(Governance, 10), Some(retention(Governance, 11)), false, true),
            (retention(Governance, 10), Some(retention(Governance, 9)), false, false),
            (retention(Governance, 10), Some(retention(Governance, 9)), true, true),
            (retention(Governance, 10), Some(retention(Compliance, 10)), false, false),
            (retention(Governance, 10), Some(retention(Compliance, 10)), true, true),
            (retention(Governance, 10), None, false, false),
            (retention(Governance, 10), None, true, true),
            (retention(Compliance, 10), Some(retention(Compliance, 11)), false, true),
            (retention(Compliance, 10), Some(retention(Governance, 11)), true, false),
            (retention(Compliance, 10), Some(retention(Compliance, 9)), true, false),
            (retention(Compliance, 10), None, true, false),
        ] {
            assert_eq!(may_follow(kept, wanted, bypass), expected, "{kept:?} {wanted:?} {bypass}");
        }
    }

    #[test]
    fn periods_are_bounded() {
        let lock = |period| ObjectLock::new(Some(DefaultRetention { mode: LockMode::Governance, period }));
        assert!(lock(LockPeriod::Days(1)).is_ok() && lock(LockPeriod::Years(100)).is_ok());
        for period in [LockPeriod::Days(0), LockPeriod::Years(0), LockPeriod::Days(36_501), LockPeriod::Years(101)] {
            assert!(matches!(lock(period), Err(Error::Rule(RuleError::InvalidRetentionPeriod))), "{period:?}");
        }
    }
}
