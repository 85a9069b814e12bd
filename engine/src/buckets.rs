//! Buckets.

use std::sync::Arc;

use futures::FutureExt;

use crate::access::Wanted;
use crate::access::acl::{Acl, GivenAcl};
use crate::access::action::Action;
use crate::access::public::ObjectOwnership;
use crate::fair::Share;
use crate::lifecycle::Day;
use crate::lock::ObjectLock;
use crate::metadata::{self, Tx};
use crate::rules::{self, BucketSetting as _, KnownBucket, Rules};
use crate::tags::Tags;
use crate::usage::Usage;
use crate::{BucketName, Caller, CanonicalId, Engine, Error, Result, RuleError};

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

/// What is known of a bucket before it is there.
#[derive(Clone, Debug, Default)]
pub struct NewBucket {
    /// Its access control list.
    pub acl: GivenAcl,
    /// Who will own what others store in it; [`ObjectOwnership::ObjectWriter`] when `None`.
    pub ownership: Option<ObjectOwnership>,
    /// Whether its versions can be locked; it keeps versions then.
    pub object_lock: bool,
    /// Its tags.
    pub tags: Option<Tags>,
    /// Where it is asked to be, for the conditions of policies: every bucket is here.
    pub location: Option<String>,
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
    /// Makes a bucket for the calling user, or for the account that the caller acts in. [`Error::BucketExists`] with `owned: false` when
    /// somebody else has the name, or anybody's bucket in the trash, or the caller has it with another list; with `owned: true` when the caller
    /// has it with another lock, other tags or another ownership of objects.
    pub async fn create_bucket(&self, caller: &Caller, name: &BucketName) -> Result<BucketCreated> {
        self.create_bucket_with(caller, name, NewBucket::default()).await
    }

    /// Makes a bucket with settings of its own. One that the caller has already keeps what it has, so that only what it has can be asked for.
    pub async fn create_bucket_with(
        &self,
        caller: &Caller,
        name: &BucketName,
        new: NewBucket,
    ) -> Result<BucketCreated> {
        let told = new.location.as_deref().map(|location| ("s3:locationconstraint", location));
        let owner =
            caller.must_be_allowed_in_account_told(Action::CreateBucket, name.as_str(), told.as_slice())?.clone();
        if new.acl != GivenAcl::None {
            caller.must_be_allowed_in_account(Action::PutBucketAcl, name.as_str())?;
        }
        if new.ownership.is_some() {
            caller.must_be_allowed_in_account(Action::PutBucketOwnershipControls, name.as_str())?;
        }
        if new.tags.is_some() {
            caller.must_be_allowed_in_account(Action::PutBucketTagging, name.as_str())?;
        }
        if new.object_lock {
            caller.must_be_allowed_in_account(Action::PutBucketObjectLockConfiguration, name.as_str())?;
        }
        self.make_bucket(owner, name, new).await
    }

    /// Makes a bucket for another user; an administrator's call.
    pub async fn create_bucket_for(
        &self,
        caller: &Caller,
        owner: &CanonicalId,
        name: &BucketName,
    ) -> Result<BucketCreated> {
        caller.must_administer()?;
        self.make_bucket(owner.clone(), name, NewBucket::default()).await
    }

    async fn make_bucket(&self, owner: CanonicalId, name: &BucketName, new: NewBucket) -> Result<BucketCreated> {
        if new.ownership == Some(ObjectOwnership::BucketOwnerEnforced) && new.acl != GivenAcl::None {
            return Err(RuleError::AclsDisabled.into());
        }
        let lock = new.object_lock.then(ObjectLock::default);
        let versioning = if new.object_lock { Versioning::Enabled } else { Versioning::Off };
        let acl = self.resolve_acl(new.acl, &owner, &owner).await?.filter(|acl| *acl != Acl::private(&owner));
        let settings = Rules::rows_of_new(acl.as_ref(), new.ownership, lock, new.tags.as_ref())?;
        let (name, count_max) = (name.clone(), self.inner.settings.buckets_per_user_max);
        self.inner
            .db
            .write_for(Share::Tenant(owner.clone()), "create_bucket", move |tx| {
                let (owner, name, settings) = (owner.clone(), name.clone(), settings.clone());
                async move { insert(tx, &owner, &name, versioning, &settings, count_max).await }.boxed()
            })
            .await
    }

    /// The bucket, with its usage, for who may list it. [`Error::NoSuchBucket`], [`Error::AccessDenied`].
    pub async fn bucket(&self, caller: &Caller, name: &BucketName) -> Result<Bucket> {
        let known = self.allowed_bucket(caller, name, &Wanted::on_bucket(Action::ListBucket)).await?;
        Ok(Bucket { usage: self.usage_of(&known).await?, ..known.bucket.clone() })
    }

    /// What a bucket holds, whoever asks.
    pub(crate) async fn usage_of(&self, known: &KnownBucket) -> Result<Usage> {
        let bucket_id = known.bucket.id;
        self.inner.db.read_statement("usage_of_bucket", |tx| metadata::usage::of_bucket(tx, bucket_id).boxed()).await
    }

    /// The bucket, without its usage, for who may do something with it.
    pub async fn bucket_for(&self, caller: &Caller, name: &BucketName, action: Action) -> Result<Bucket> {
        Ok(self.allowed_bucket(caller, name, &Wanted::on_bucket(action)).await?.bucket.clone())
    }

    /// The buckets of the caller's account by name, with their usage.
    pub async fn list_buckets(&self, caller: &Caller) -> Result<Vec<Bucket>> {
        let owner = caller.must_be_allowed_in_account(Action::ListAllMyBuckets, "*")?.clone();
        self.inner
            .db
            .read("list_buckets", |tx| async move { metadata::buckets::of_owner(tx, &owner).await }.boxed())
            .await
    }

    /// Changes how a bucket keeps versions, from the next write on. [`Error::Invalid`] for [`Versioning::Off`]: a bucket that kept versions
    /// can only be suspended.
    pub async fn set_versioning(&self, caller: &Caller, name: &BucketName, versioning: Versioning) -> Result<()> {
        let bucket = self.bucket_id_for(caller, name, Action::PutBucketVersioning).await?;
        if versioning == Versioning::Off {
            return Err(Error::invalid("versioning", "can be suspended, but not be taken back"));
        }
        self.change_bucket(caller.share(), "set_versioning", move |tx| {
            async move {
                metadata::buckets::must_exist(tx, bucket).await?;
                // What is locked would be replaced as the version `null`.
                let is_locked = metadata::settings::of_kind(tx, bucket, ObjectLock::KIND).await?.is_some();
                if versioning == Versioning::Suspended && is_locked {
                    return Err(RuleError::BucketState(
                        "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
                    )
                    .into());
                }
                metadata::buckets::set_versioning(tx, bucket, versioning).await
            }
            .boxed()
        })
        .await
    }

    /// Changes when writes to a bucket are answered, from the next one on.
    pub async fn set_durability(&self, caller: &Caller, name: &BucketName, durability: Durability) -> Result<()> {
        // S3 has no word for it; who may say how versions are kept may say this.
        let bucket = self.bucket_id_for(caller, name, Action::PutBucketVersioning).await?;
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
        let bucket = self.bucket_id_for(caller, name, Action::DeleteBucket).await?;
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

    async fn bucket_id_for(&self, caller: &Caller, name: &BucketName, action: Action) -> Result<i64> {
        Ok(self.allowed_bucket(caller, name, &Wanted::on_bucket(action)).await?.bucket.id)
    }

    /// A bucket in which the caller may do something. It may be gone by the time of the next transaction, which must look again.
    pub(crate) async fn allowed_bucket(
        &self,
        caller: &Caller,
        name: &BucketName,
        wanted: &Wanted<'_>,
    ) -> Result<Arc<KnownBucket>> {
        let known = self.known_bucket(name).await?;
        known.must_allow(caller, wanted)?;
        Ok(known)
    }

    /// A visible bucket with everything that is set on it, whoever asks. A bucket in the trash is not there.
    pub(crate) async fn known_bucket(&self, name: &BucketName) -> Result<Arc<KnownBucket>> {
        if let Some(known) = self.inner.buckets.get(name.as_str()) {
            return Ok(known);
        }
        let (seen, wanted) = (self.inner.buckets.generation(), name.clone());
        let of_store = (Day::of(&self.inner.settings), self.inner.settings.region.clone());
        let found = self.inner.db.read("find_bucket", |tx| async move { find(tx, &wanted, of_store).await }.boxed());
        let known = Arc::new(found.await?);
        self.inner.buckets.insert(seen, name.as_str(), known.clone());
        Ok(known)
    }
}

async fn find(tx: &mut Tx, name: &BucketName, (lifecycle_day, region): (Day, Arc<str>)) -> Result<KnownBucket> {
    let named = metadata::buckets::by_name(tx, name).await?.filter(|named| !named.trashed);
    let bucket = named.ok_or(Error::NoSuchBucket)?.bucket;
    let owner = metadata::users::find_by_id(tx, &bucket.owner).await?;
    let owner_name = owner.map(|owner| owner.display_name()).unwrap_or_default();
    Ok(KnownBucket { rules: Rules::load(tx, &bucket).await?, owner_name, bucket, lifecycle_day, region })
}

/// Whether one's own bucket has what it is asked to be made with: its list in any case, and what is said of its lock, its tags and of who owns
/// what others store. Another list is told as a name that is taken: clients were tested with that.
async fn must_be_as_asked(tx: &mut Tx, bucket: &Bucket, settings: &[(&'static str, String)]) -> Result<()> {
    let Rules { acl, ownership, object_lock, tags, .. } = Rules::load(tx, bucket).await?;
    let given_away = acl.filter(|acl| *acl != Acl::private(&bucket.owner)).as_ref().map(rules::to_json).transpose()?;
    let asked = |kind: &str| settings.iter().find(|(asked, _)| *asked == kind).map(|(_, value)| value);
    if asked(rules::ACL) != given_away.as_ref() {
        return Err(Error::BucketExists { owned: false });
    }
    let ownership = rules::to_json(&ownership.unwrap_or_default())?;
    let fits = asked(ObjectOwnership::KIND).is_none_or(|asked| *asked == ownership)
        && (asked(ObjectLock::KIND).is_none() || object_lock.is_some())
        && (asked(Tags::KIND).is_none()
            || asked(Tags::KIND) == tags.as_ref().map(rules::to_json).transpose()?.as_ref());
    if fits { Ok(()) } else { Err(Error::BucketExists { owned: true }) }
}

async fn insert(
    tx: &mut Tx,
    owner: &CanonicalId,
    name: &BucketName,
    versioning: Versioning,
    settings: &[(&'static str, String)],
    count_max: u32,
) -> Result<BucketCreated> {
    if let Some(named) = metadata::buckets::by_name(tx, name).await? {
        if named.bucket.owner != *owner || named.trashed {
            return Err(Error::BucketExists { owned: false });
        }
        // To make it again as it is changes nothing; otherwise it would have to, or would not be what it was asked to be.
        return must_be_as_asked(tx, &named.bucket, settings).await.map(|()| BucketCreated::AlreadyOwned);
    }
    metadata::users::find_by_id(tx, owner).await?.ok_or(Error::NoSuchUser)?;
    if metadata::buckets::count_of_owner(tx, owner).await? >= u64::from(count_max) {
        return Err(Error::TooManyBuckets { count_max });
    }
    let id = metadata::buckets::insert(tx, owner, name, versioning).await?;
    for (kind, value) in settings {
        metadata::settings::set(tx, id, kind, Some(value)).await?;
    }
    Ok(BucketCreated::New)
}
