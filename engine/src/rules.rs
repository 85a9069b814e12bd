//! What is set on buckets beside how they keep versions: lists, policies, tags and the like, each a row of its own.

use std::sync::Arc;

use futures::FutureExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::access::Wanted;
use crate::access::acl::Acl;
use crate::access::action::Action;
use crate::access::policy::{Malformed, Policy};
use crate::access::public::{ObjectOwnership, PublicAccessBlock};
use crate::access_log::AccessLogging;
use crate::cors::CorsRules;
use crate::encryption::BucketEncryption;
use crate::lifecycle::{Day, Lifecycle};
use crate::lock::ObjectLock;
use crate::metadata::{self, Tx};
use crate::notifications::Notifications;
use crate::quota::Quota;
use crate::tags::Tags;
use crate::website::Website;
use crate::{Bucket, BucketName, Caller, Engine, Error, Person, Result, RuleError};

/// A bucket and everything that is set on it, as it is remembered between requests.
#[derive(Clone, Debug)]
pub(crate) struct KnownBucket {
    pub(crate) bucket: Bucket,
    /// The name that S3 shows beside the owner's id.
    pub(crate) owner_name: String,
    pub(crate) rules: Rules,
    /// How long a day of its lifecycle is.
    pub(crate) lifecycle_day: Day,
    /// The region of the store.
    pub(crate) region: Arc<str>,
}

/// Something that can be set on a bucket by itself.
pub trait BucketSetting: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The name of its row.
    #[doc(hidden)]
    const KIND: &'static str;
    /// What reading it is.
    #[doc(hidden)]
    const READ: Action;
    /// What setting it is.
    #[doc(hidden)]
    const WRITE: Action;

    /// The setting of a bucket.
    #[doc(hidden)]
    fn of(rules: &Rules) -> Option<&Self>;
}

macro_rules! settings {
    ($($field:ident: $type:ty = $kind:literal, $read:ident, $write:ident;)*) => {
        /// Everything that is set on a bucket.
        #[derive(Clone, Debug, Default)]
        pub struct Rules {
            pub(crate) acl: Option<Acl>,
            pub(crate) policy: Option<Policy>,
            pub(crate) quota: Option<Quota>,
            $(pub(crate) $field: Option<$type>,)*
        }

        $(impl BucketSetting for $type {
            const KIND: &'static str = $kind;
            const READ: Action = Action::$read;
            const WRITE: Action = Action::$write;

            fn of(rules: &Rules) -> Option<&Self> {
                rules.$field.as_ref()
            }
        })*

        impl Rules {
            /// Reads the row of a kind.
            fn add(&mut self, bucket: &BucketName, kind: &str, value: &str) -> Result<()> {
                match kind {
                    ACL => self.acl = Some(from_json(kind, value)?),
                    POLICY => {
                        let policy = Policy::of_bucket(value, bucket.as_str());
                        self.policy = Some(policy.map_err(|_| Error::corrupt("a bucket's policy cannot be read"))?);
                    }
                    QUOTA => self.quota = Some(from_json(kind, value)?),
                    $($kind => self.$field = Some(from_json(kind, value)?),)*
                    other => return Err(Error::corrupt(format!("a bucket has the unknown setting {other:?}"))),
                }
                Ok(())
            }
        }
    };
}

settings! {
    access_logging: AccessLogging = "access_logging", GetBucketLogging, PutBucketLogging;
    cors: CorsRules = "cors", GetBucketCORS, PutBucketCORS;
    encryption: BucketEncryption = "encryption", GetEncryptionConfiguration, PutEncryptionConfiguration;
    lifecycle: Lifecycle = "lifecycle", GetLifecycleConfiguration, PutLifecycleConfiguration;
    notifications: Notifications = "notification", GetBucketNotification, PutBucketNotification;
    object_lock: ObjectLock = "object_lock", GetBucketObjectLockConfiguration, PutBucketObjectLockConfiguration;
    ownership: ObjectOwnership = "ownership", GetBucketOwnershipControls, PutBucketOwnershipControls;
    public_access: PublicAccessBlock = "public_access_block", GetBucketPublicAccessBlock, PutBucketPublicAccessBlock;
    tags: Tags = "tags", GetBucketTagging, PutBucketTagging;
    website: Website = "website", GetBucketWebsite, PutBucketWebsite;
}

/// The row of a bucket's access control list.
pub(crate) const ACL: &str = "acl";
/// The row of a bucket's policy.
const POLICY: &str = "policy";
/// The row of a bucket's quota, which its owner does not set.
pub(crate) const QUOTA: &str = "quota";

pub(crate) fn from_json<T: DeserializeOwned>(kind: &str, value: &str) -> Result<T> {
    serde_json::from_str(value).map_err(|error| Error::corrupt(format!("a bucket's {kind}: {error}")))
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|_| Error::Internal("a setting cannot be written"))
}

impl Rules {
    /// The rows of a bucket that is about to be made.
    pub(crate) fn rows_of_new(
        acl: Option<&Acl>,
        ownership: Option<ObjectOwnership>,
        object_lock: Option<ObjectLock>,
        tags: Option<&Tags>,
    ) -> Result<Vec<(&'static str, String)>> {
        let acl = acl.map(|acl| Ok((ACL, to_json(acl)?)));
        let ownership = ownership.map(|ownership| Ok((ObjectOwnership::KIND, to_json(&ownership)?)));
        let object_lock = object_lock.map(|lock| Ok((ObjectLock::KIND, to_json(&lock)?)));
        let tags = tags.map(|tags| Ok((Tags::KIND, to_json(tags)?)));
        acl.into_iter().chain(ownership).chain(object_lock).chain(tags).collect()
    }

    /// Reads all that is set on a bucket.
    pub(crate) async fn load(tx: &mut Tx, bucket: &Bucket) -> Result<Self> {
        let mut rules = Self::default();
        for (kind, value) in metadata::settings::of_bucket(tx, bucket.id).await? {
            rules.add(&bucket.name, &kind, &value)?;
        }
        Ok(rules)
    }
}

impl Engine {
    /// Who owns a bucket, whoever asks: to compare with an owner that a request expects, or to show beside what it was given.
    pub async fn bucket_owner(&self, name: &BucketName) -> Result<Person> {
        let known = self.known_bucket(name).await?;
        Ok(Person { canonical_id: known.bucket.owner.clone(), display_name: known.owner_name.clone() })
    }

    /// Whether a bucket has a policy or a list that may open it to others than its owner: where not, who is nobody need not be heard.
    pub async fn is_open_to_some(&self, name: &BucketName) -> Result<bool> {
        let known = self.known_bucket(name).await?;
        Ok(known.rules.policy.is_some() || known.rules.acl.is_some())
    }

    /// The rules of a bucket for other origins, whoever asks: a browser's question has no signature.
    pub async fn cors_rules(&self, name: &BucketName) -> Result<Option<CorsRules>> {
        Ok(self.known_bucket(name).await?.rules.cors.clone())
    }

    /// Sets who owns what others store in a bucket. [`Error::Invalid`] where its list gives something away and lists would be off.
    pub async fn set_bucket_ownership(
        &self,
        caller: &Caller,
        name: &BucketName,
        ownership: ObjectOwnership,
    ) -> Result<()> {
        let known = self.allowed_bucket(caller, name, &Wanted::on_bucket(Action::PutBucketOwnershipControls)).await?;
        let gives = known.rules.acl.as_ref().is_some_and(|acl| *acl != Acl::private(&known.bucket.owner));
        if ownership == ObjectOwnership::BucketOwnerEnforced && gives {
            return Err(RuleError::AclGivesAway.into());
        }
        self.store_setting(caller, &known, ObjectOwnership::KIND, Some(to_json(&ownership)?)).await
    }

    /// What a bucket has of a setting; `None` when it was never set.
    pub async fn bucket_setting<T: BucketSetting>(&self, caller: &Caller, name: &BucketName) -> Result<Option<T>> {
        let known = self.allowed_bucket(caller, name, &Wanted::on_bucket(T::READ)).await?;
        Ok(T::of(&known.rules).cloned())
    }

    /// Sets something on a bucket, from the next request on; `None` takes it away.
    pub async fn set_bucket_setting<T: BucketSetting>(
        &self,
        caller: &Caller,
        name: &BucketName,
        value: Option<&T>,
    ) -> Result<()> {
        let known = self.allowed_bucket(caller, name, &Wanted::on_bucket(T::WRITE)).await?;
        self.store_setting(caller, &known, T::KIND, value.map(to_json).transpose()?).await
    }

    /// The policy of a bucket as it was set. [`RuleError::NoSuchPolicy`].
    pub async fn bucket_policy(&self, caller: &Caller, name: &BucketName) -> Result<String> {
        let known = self.allowed_bucket(caller, name, &Wanted::on_bucket(Action::GetBucketPolicy)).await?;
        known.rules.policy.as_ref().map(|policy| policy.text().to_owned()).ok_or(RuleError::NoSuchPolicy.into())
    }

    /// Whether the policy or the list of a bucket gives something to the world.
    pub async fn is_bucket_public(&self, caller: &Caller, name: &BucketName) -> Result<bool> {
        let known = self.allowed_bucket(caller, name, &Wanted::on_bucket(Action::GetBucketPolicyStatus)).await?;
        let (policy, acl) = (known.rules.policy.as_ref(), known.rules.acl.as_ref());
        Ok(policy.is_some_and(Policy::is_public) || acl.is_some_and(Acl::is_public))
    }

    /// Sets the policy of a bucket. [`RuleError::MalformedPolicy`]; [`Error::AccessDenied`] for one that gives something to the world where
    /// that is blocked.
    pub async fn set_bucket_policy(&self, caller: &Caller, name: &BucketName, text: &str) -> Result<()> {
        let known = self.allowed_bucket(caller, name, &Wanted::on_bucket(Action::PutBucketPolicy)).await?;
        let policy =
            Policy::of_bucket(text, name.as_str()).and_then(Policy::must_be_offered).map_err(Malformed::into_error)?;
        if known.rules.public_access.is_some_and(|block| block.block_public_policy) && policy.is_public() {
            return Err(Error::AccessDenied);
        }
        self.store_setting(caller, &known, POLICY, Some(text.to_owned())).await
    }

    /// Takes the policy of a bucket away, when it has one.
    pub async fn delete_bucket_policy(&self, caller: &Caller, name: &BucketName) -> Result<()> {
        let known = self.allowed_bucket(caller, name, &Wanted::on_bucket(Action::DeleteBucketPolicy)).await?;
        self.store_setting(caller, &known, POLICY, None).await
    }

    /// Sets the list of a bucket.
    pub(crate) async fn store_bucket_acl(&self, caller: &Caller, known: &KnownBucket, acl: &Acl) -> Result<()> {
        self.store_setting(caller, known, ACL, Some(to_json(acl)?)).await
    }

    pub(crate) async fn store_setting(
        &self,
        caller: &Caller,
        known: &KnownBucket,
        kind: &'static str,
        value: Option<String>,
    ) -> Result<()> {
        let bucket_id = known.bucket.id;
        self.change_bucket(caller.share(), "set_bucket_setting", move |tx| {
            let value = value.clone();
            async move {
                metadata::buckets::must_exist(tx, bucket_id).await?;
                metadata::settings::set(tx, bucket_id, kind, value.as_deref()).await
            }
            .boxed()
        })
        .await
    }
}
