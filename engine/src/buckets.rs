//! Buckets.

use futures::FutureExt;

use crate::fair::Share;
use crate::metadata::{self, Tx};
use crate::usage::Usage;
use crate::{BucketName, Caller, CanonicalId, Engine, Error, Result};

/// A bucket as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The immutable number.
    pub(crate) id: i64,
    /// Its name.
    pub name: BucketName,
    /// Who owns it.
    pub owner: CanonicalId,
    /// When it was made, in microseconds of the Unix epoch.
    pub created_us: i64,
    /// How it keeps versions.
    pub versioning: Versioning,
    /// When writes to it are answered.
    pub durability: Durability,
    /// What it holds; 0 where the list does not count.
    pub usage: Usage,
}

/// How a bucket keeps versions of its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versioning {
    /// It keeps none and never did: each object is its version `null`.
    Off,
    /// Every write makes a new version, every deletion a delete marker.
    Enabled,
    /// Writes and deletions replace the version `null`; versions made before stay.
    Suspended,
}

/// When objects that are stored or deleted are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Once they are durable.
    #[default]
    Strict,
    /// Before: a power cut may undo what was answered within the last second, the last of it first. What is there is whole all the same.
    Relaxed,
}

/// What [`Engine::create_bucket`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketCreated {
    /// The bucket is new.
    New,
    /// The caller had it already: making it again is no error.
    AlreadyOwned,
}

impl Engine {
    /// Makes a bucket for the calling user. [`Error::BucketExists`] with `owned: false` when somebody else has the name (also in the
    /// trash).
    pub async fn create_bucket(&self, caller: &Caller, name: &BucketName) -> Result<BucketCreated> {
        let owner = caller.must_be_user()?.canonical_id.clone();
        self.make_bucket(owner, name).await
    }

    /// Makes a bucket for another user; an administrator's call.
    pub async fn create_bucket_for(
        &self,
        caller: &Caller,
        owner: &CanonicalId,
        name: &BucketName,
    ) -> Result<BucketCreated> {
        caller.must_administer()?;
        self.make_bucket(owner.clone(), name).await
    }

    async fn make_bucket(&self, owner: CanonicalId, name: &BucketName) -> Result<BucketCreated> {
        let (name, count_max) = (name.clone(), self.inner.settings.buckets_per_user_max);
        self.inner
            .db
            .write_for(Share::Tenant(owner.clone()), "create_bucket", move |tx| {
                let (owner, name) = (owner.clone(), name.clone());
                async move { insert(tx, &owner, &name, count_max).await }.boxed()
            })
            .await
    }

    /// The bucket, with its usage. [`Error::NoSuchBucket`], [`Error::AccessDenied`].
    pub async fn bucket(&self, caller: &Caller, name: &BucketName) -> Result<Bucket> {
        let (caller, name) = (caller.clone(), name.clone());
        self.inner
            .db
            .read("bucket", |tx| {
                async move {
                    let mut bucket = owned(tx, &caller, &name).await?;
                    bucket.usage = metadata::usage::of_bucket(tx, bucket.id).await?;
                    Ok(bucket)
                }
                .boxed()
            })
            .await
    }

    /// The calling user's buckets by name, with their usage.
    pub async fn list_buckets(&self, caller: &Caller) -> Result<Vec<Bucket>> {
        let owner = caller.must_be_user()?.canonical_id.clone();
        self.inner
            .db
            .read("list_buckets", |tx| async move { metadata::buckets::of_owner(tx, &owner).await }.boxed())
            .await
    }

    /// Changes how a bucket keeps versions, from the next write on. [`Error::Invalid`] for [`Versioning::Off`]: a bucket that kept versions
    /// can only be suspended.
    pub async fn set_versioning(&self, caller: &Caller, name: &BucketName, versioning: Versioning) -> Result<()> {
        let bucket = self.owned_bucket(caller, name).await?;
        if versioning == Versioning::Off {
            return Err(Error::invalid("versioning", "can be suspended, but not be taken back"));
        }
        self.change_bucket(caller.share(), "set_versioning", move |tx| {
            async move {
                metadata::buckets::must_exist(tx, bucket).await?;
                metadata::buckets::set_versioning(tx, bucket, versioning).await
            }
            .boxed()
        })
        .await
    }

    /// Changes when writes to a bucket are answered, from the next one on.
    pub async fn set_durability(&self, caller: &Caller, name: &BucketName, durability: Durability) -> Result<()> {
        let bucket = self.owned_bucket(caller, name).await?;
        self.change_bucket(caller.share(), "set_durability", move |tx| {
            async move {
                metadata::buckets::must_exist(tx, bucket).await?;
                metadata::buckets::set_durability(tx, bucket, durability).await
            }
            .boxed()
        })
        .await
    }

    /// Deletes a bucket without versions and delete markers; its open uploads are aborted with it, or some at a time when there are very
    /// many. [`Error::BucketNotEmpty`], also when something is stored while that goes on.
    pub async fn delete_bucket(&self, caller: &Caller, name: &BucketName) -> Result<()> {
        let bucket = self.owned_bucket(caller, name).await?;
        while !self.delete_bucket_step(caller, bucket).await? {}
        Ok(())
    }

    /// Aborts some of the uploads of an empty bucket, and deletes it when those were all; returns whether it is gone.
    async fn delete_bucket_step(&self, caller: &Caller, bucket: i64) -> Result<bool> {
        self.change_bucket(caller.share(), "delete_bucket", move |tx| {
            async move {
                metadata::buckets::must_exist(tx, bucket).await?;
                if !metadata::buckets::is_empty(tx, bucket).await? {
                    return Err(Error::BucketNotEmpty);
                }
                metadata::multipart::abort_some(tx, bucket).await?;
                if metadata::multipart::has_any(tx, bucket).await? {
                    return Ok(false);
                }
                metadata::buckets::remove(tx, bucket).await?;
                Ok(true)
            }
            .boxed()
        })
        .await
    }

    /// The number of a bucket that the caller may use.
    pub(crate) async fn owned_bucket(&self, caller: &Caller, name: &BucketName) -> Result<i64> {
        Ok(self.find_owned_bucket(caller, name).await?.id)
    }

    /// A bucket that the caller may use, without its usage. It may be gone by the time of the next transaction, which must look again.
    pub(crate) async fn find_owned_bucket(&self, caller: &Caller, name: &BucketName) -> Result<Bucket> {
        let bucket = match self.inner.buckets.get(name.as_str()) {
            Some(bucket) => bucket,
            None => self.look_bucket_up(name).await?,
        };
        caller.must_own(&bucket.owner)?;
        Ok(bucket)
    }

    async fn look_bucket_up(&self, name: &BucketName) -> Result<Bucket> {
        let (seen, wanted) = (self.inner.buckets.generation(), name.clone());
        let bucket =
            self.inner.db.read_statement("find_bucket", |tx| async move { visible(tx, &wanted).await }.boxed()).await?;
        self.inner.buckets.insert(seen, name.as_str(), bucket.clone());
        Ok(bucket)
    }
}

/// The bucket of a name, when the caller may use it. A bucket in the trash is not there.
pub(crate) async fn owned(tx: &mut Tx, caller: &Caller, name: &BucketName) -> Result<Bucket> {
    let bucket = visible(tx, name).await?;
    caller.must_own(&bucket.owner)?;
    Ok(bucket)
}

async fn visible(tx: &mut Tx, name: &BucketName) -> Result<Bucket> {
    let named = metadata::buckets::by_name(tx, name).await?.filter(|named| !named.trashed);
    Ok(named.ok_or(Error::NoSuchBucket)?.bucket)
}

async fn insert(tx: &mut Tx, owner: &CanonicalId, name: &BucketName, count_max: u32) -> Result<BucketCreated> {
    if let Some(named) = metadata::buckets::by_name(tx, name).await? {
        let owned = named.bucket.owner == *owner && !named.trashed;
        return if owned { Ok(BucketCreated::AlreadyOwned) } else { Err(Error::BucketExists { owned: false }) };
    }
    metadata::users::find_by_id(tx, owner).await?.ok_or(Error::NoSuchUser)?;
    if metadata::buckets::count_of_owner(tx, owner).await? >= u64::from(count_max) {
        return Err(Error::TooManyBuckets { count_max });
    }
    metadata::buckets::insert(tx, owner, name).await?;
    Ok(BucketCreated::New)
}
