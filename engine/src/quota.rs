//! The quota of a bucket: how much it may hold. Administrators set it, and every door obeys it.

use futures::FutureExt;
use serde::{Deserialize, Serialize};

use crate::metadata::{self, Tx, UsageDelta};
use crate::rules::{KnownBucket, QUOTA};
use crate::usage::Usage;
use crate::{BucketName, Caller, CanonicalId, Engine, Error, ObjectKey, Result, UploadId, Versioning};

/// The most that a limit can be: what the database counts with.
const LIMIT_MAX: u64 = i64::MAX as u64;

/// How much a bucket may hold; what has no limit is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quota {
    /// Logical bytes of all versions and of the parts of open uploads, together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes_max: Option<u64>,
    /// Object versions, without delete markers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects_max: Option<u64>,
}

/// Which limit an upload would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// The bucket would hold too many bytes.
    Bytes {
        /// The limit.
        size_bytes_max: u64,
    },
    /// The bucket would hold too many objects.
    Objects {
        /// The limit.
        count_max: u64,
    },
}

impl std::fmt::Display for Excess {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes { size_bytes_max } => write!(out, "{size_bytes_max} bytes"),
            Self::Objects { count_max } => write!(out, "{count_max} objects"),
        }
    }
}

/// The quota of a bucket beside what the bucket holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketQuota {
    /// Who owns the bucket.
    pub owner: CanonicalId,
    /// How much it may hold; `None` without limits.
    pub quota: Option<Quota>,
    /// What it holds.
    pub usage: Usage,
}

/// Where an upload goes: what it replaces there counts no longer.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Object(ObjectKey),
    Part(UploadId, u32),
}

impl Quota {
    /// Whether there is anything in a change that this could refuse. What makes a bucket hold less is never refused, however full it is.
    pub(crate) fn bounds(self, change: UsageDelta) -> bool {
        (self.size_bytes_max.is_some() && change.bytes() > 0) || (self.objects_max.is_some() && change.object_count > 0)
    }

    /// What of this a change would exceed.
    pub(crate) fn excess(self, before: UsageDelta, change: UsageDelta) -> Option<Excess> {
        let after = before.plus(change);
        let is_over = |max: u64, by: i64, after: i64| by > 0 && u64::try_from(after).is_ok_and(|after| after > max);
        match self {
            Self { size_bytes_max: Some(size_bytes_max), .. }
                if is_over(size_bytes_max, change.bytes(), after.bytes()) =>
            {
                Some(Excess::Bytes { size_bytes_max })
            }
            Self { objects_max: Some(count_max), .. }
                if is_over(count_max, change.object_count, after.object_count) =>
            {
                Some(Excess::Objects { count_max })
            }
            _ => None,
        }
    }

    fn check(self) -> Result<()> {
        let fits = |limit: Option<u64>| limit.is_none_or(|limit| limit <= LIMIT_MAX);
        match fits(self.size_bytes_max) && fits(self.objects_max) {
            true => Ok(()),
            false => Err(Error::invalid("quota", format!("must not be more than {LIMIT_MAX}"))),
        }
    }
}

impl Engine {
    /// The quota of a bucket and what the bucket holds, for administrators and its owner.
    pub async fn bucket_quota(&self, caller: &Caller, name: &BucketName) -> Result<BucketQuota> {
        let known = self.known_bucket(name).await?;
        caller.must_act_for(&known.bucket.owner)?;
        let usage = self.usage_of(&known).await?;
        Ok(BucketQuota { owner: known.bucket.owner.clone(), quota: known.rules.quota, usage })
    }

    /// Sets how much a bucket may hold, from the next commit on; `None`, or no limit at all, takes the quota away. A bucket that holds more
    /// already keeps it. An administrator's call: [`Error::AccessDenied`] to the owner.
    pub async fn set_bucket_quota(&self, caller: &Caller, name: &BucketName, quota: Option<Quota>) -> Result<()> {
        caller.must_administer()?;
        let quota = quota.filter(|quota| *quota != Quota::default());
        quota.map_or(Ok(()), Quota::check)?;
        let known = self.known_bucket(name).await?;
        self.store_setting(caller, &known, QUOTA, quota.as_ref().map(crate::rules::to_json).transpose()?).await
    }

    /// Refuses an upload that the commit would refuse, before its body is read. What is decided is decided in the commit.
    pub(crate) async fn must_fit(&self, known: &KnownBucket, place: Place, size_bytes: Option<u64>) -> Result<()> {
        let Some(quota) = known.rules.quota else { return Ok(()) };
        let (bucket_id, versioning) = (known.bucket.id, known.bucket.versioning);
        let size_bytes = i64::try_from(size_bytes.unwrap_or_default()).unwrap_or(i64::MAX);
        let ids = self.inner.version_ids.clone();
        self.inner
            .db
            .read("room_in_quota", |tx| {
                async move {
                    let replaced = match &place {
                        Place::Object(key) => replaced_object(tx, &ids, bucket_id, key, versioning).await?,
                        Place::Part(upload, number) => UsageDelta {
                            upload_size_bytes: metadata::multipart::size_of_part(tx, upload, *number).await?,
                            ..UsageDelta::default()
                        },
                    };
                    let added = match place {
                        Place::Object(_) => UsageDelta { object_count: 1, size_bytes, upload_size_bytes: 0 },
                        Place::Part(..) => UsageDelta { upload_size_bytes: size_bytes, ..UsageDelta::default() },
                    };
                    match metadata::quota::excess(tx, bucket_id, quota, added.minus(replaced)).await? {
                        Some(excess) => Err(Error::QuotaExceeded(excess)),
                        None => Ok(()),
                    }
                }
                .boxed()
            })
            .await
    }
}

/// What goes when an object is stored at a key.
async fn replaced_object(
    tx: &mut Tx,
    ids: &crate::version_ids::VersionIds,
    bucket_id: i64,
    key: &ObjectKey,
    versioning: Versioning,
) -> Result<UsageDelta> {
    let size_bytes = match versioning {
        Versioning::Enabled => None,
        Versioning::Off => metadata::objects::current(tx, bucket_id, key).await?.map(|version| version.size_bytes),
        Versioning::Suspended => metadata::versions::size_of_null(tx, ids, bucket_id, key).await?,
    };
    let size_bytes = size_bytes.map(|size| i64::try_from(size).unwrap_or(i64::MAX));
    Ok(UsageDelta {
        object_count: i64::from(size_bytes.is_some()),
        size_bytes: size_bytes.unwrap_or_default(),
        upload_size_bytes: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(object_count: i64, size_bytes: i64, upload_size_bytes: i64) -> UsageDelta {
        UsageDelta { object_count, size_bytes, upload_size_bytes }
    }

    #[test]
    fn only_growth_is_bounded() {
        let quota = Quota { size_bytes_max: Some(100), objects_max: Some(2) };
        assert_eq!(quota.excess(delta(1, 60, 0), delta(1, 40, 0)), None, "exactly full");
        let bytes = Some(Excess::Bytes { size_bytes_max: 100 });
        assert_eq!(quota.excess(delta(1, 60, 0), delta(1, 41, 0)), bytes);
        assert_eq!(quota.excess(delta(1, 60, 40), delta(0, 0, 1)), bytes, "open parts count");
        assert_eq!(quota.excess(delta(2, 60, 0), delta(1, 0, 0)), Some(Excess::Objects { count_max: 2 }));
        assert_eq!(quota.excess(delta(1, 60, 40), delta(1, 40, -40)), None, "what Complete does");
        assert_eq!(quota.excess(delta(9, 900, 0), delta(0, -1, 0)), None, "less, although there is too much");
        assert_eq!(quota.excess(delta(9, 90, 0), delta(0, 5, 0)), None, "another object in the place of one");
        assert!(!Quota { objects_max: Some(1), ..Quota::default() }.bounds(delta(0, 5, 0)));
    }
}
