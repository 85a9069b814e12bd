//! Sub-resources that no bucket or object of this store has: asking for one is answered with the truth that there is none, taking one
//! away succeeds because afterwards there is none. Setting one is not offered, see [`crate::OPERATIONS`].

use engine::Engine;
use s3s::{S3Error, S3Request, S3Result};

use crate::bucket::owned;
use crate::object::{existing, none_such};

/// What a bucket or object may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    Cors,
    Encryption,
    Lifecycle,
    ObjectLock,
    ObjectLockOfObject,
    OwnershipControls,
    Policy,
    PublicAccessBlock,
    Replication,
    Tagging,
    Website,
}

impl Absent {
    fn error(self) -> S3Error {
        let (code, message) = match self {
            Self::Cors => ("NoSuchCORSConfiguration", "The CORS configuration does not exist"),
            Self::Encryption => (
                "ServerSideEncryptionConfigurationNotFoundError",
                "The server side encryption configuration was not found",
            ),
            Self::Lifecycle => ("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
            Self::ObjectLock => {
                ("ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket")
            }
            Self::ObjectLockOfObject => {
                ("NoSuchObjectLockConfiguration", "The specified object does not have a ObjectLock configuration")
            }
            Self::OwnershipControls => {
                ("OwnershipControlsNotFoundError", "The bucket ownership controls were not found")
            }
            Self::Policy => ("NoSuchBucketPolicy", "The bucket policy does not exist"),
            Self::PublicAccessBlock => {
                ("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found")
            }
            Self::Replication => {
                ("ReplicationConfigurationNotFoundError", "The replication configuration was not found")
            }
            Self::Tagging => ("NoSuchTagSet", "The TagSet does not exist"),
            Self::Website => {
                ("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration")
            }
        };
        none_such(code, message)
    }
}

/// Looks at the bucket, and says that it has none of it.
pub(crate) async fn of_bucket<T, O>(
    engine: &Engine,
    request: &S3Request<T>,
    bucket: &str,
    expected_owner: Option<&str>,
    absent: Absent,
) -> S3Result<O> {
    owned(engine, request, bucket, expected_owner).await?;
    Err(absent.error())
}

/// Looks at the object, and says that it has none of it.
pub(crate) async fn of_object<T, O>(
    engine: &Engine,
    request: &S3Request<T>,
    bucket: &str,
    key: &str,
    version_id: Option<&str>,
    absent: Absent,
) -> S3Result<O> {
    existing(engine, request, bucket, key, version_id).await?;
    Err(absent.error())
}
