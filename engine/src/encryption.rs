//! Server-side encryption: which key an object's bytes are under, and who can open it.
//!
//! Each object, and each upload, has a random key of its own for its bytes. That key is kept with the object, sealed: under the store's key
//! ring (SSE-S3), under the ring and the name of a key (SSE-KMS, local), or under a key that the customer sends with every request and
//! that is never kept (SSE-C). A copy that shares bytes shares the sealed key, too.

use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};

use crate::bytes::cipher::DataKey;
use crate::meta::Meta;
use crate::rules::KnownBucket;
use crate::secrets::{KeyRing, Place, open_under, seal_under};
use crate::{Engine, Error, Result, RuleError};

/// The key that SSE-KMS uses where a request names none.
pub const KMS_KEY_DEFAULT: &str = "aws/s3";

/// A key that a customer sends with each request.
#[derive(Clone)]
pub struct CustomerKey {
    key: Zeroizing<[u8; 32]>,
    md5: String,
}

impl CustomerKey {
    /// A key of 256 bits, and its MD5 in base64, which is kept and shown.
    pub fn new(key: [u8; 32], md5: impl Into<String>) -> Self {
        Self { key: Zeroizing::new(key), md5: md5.into() }
    }
}

impl std::fmt::Debug for CustomerKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("CustomerKey").field("md5", &self.md5).finish_non_exhaustive()
    }
}

/// How a new object is to be encrypted.
#[derive(Clone, Debug, Default)]
pub enum NewEncryption {
    /// As its bucket has it.
    #[default]
    OfBucket,
    /// Under the store's own keys.
    Managed,
    /// Under a key with a name; the default one when `None`.
    Kms(Option<String>),
    /// Under the customer's key.
    Customer(CustomerKey),
}

/// How an object is encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encryption {
    /// Under the store's own keys.
    #[serde(rename = "s3")]
    Managed,
    /// Under the key of that name.
    #[serde(rename = "kms")]
    Kms(String),
    /// Under a key of the customer's whose MD5 in base64 this is.
    #[serde(rename = "c")]
    Customer(String),
}

/// What new objects of a bucket get where their requests say nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketEncryption {
    /// The key's name for SSE-KMS, the default one within when `None`; `None` for SSE-S3.
    pub kms: Option<KmsDefault>,
    /// Whether a bucket key was asked for. It is kept and shown: keys are local here, and asking them costs nothing.
    pub bucket_key: bool,
}

/// SSE-KMS as a bucket's default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KmsDefault {
    /// The key's name; the default one when `None`.
    pub key_id: Option<String>,
}

/// How an object is encrypted, and its key, sealed, as both are kept with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SealedKey {
    #[serde(rename = "w")]
    pub(crate) shown: Encryption,
    /// A random name by which the sealed key is bound to this object and to copies of it.
    #[serde(rename = "i")]
    id: String,
    /// In hexadecimal.
    #[serde(rename = "k")]
    sealed: String,
}

impl SealedKey {
    fn place<'a>(id: &'a str, shown: &'a Encryption) -> Place<'a> {
        let column = match shown {
            Encryption::Managed => "managed",
            Encryption::Kms(key_id) => key_id,
            Encryption::Customer(_) => "customer",
        };
        Place { table: "encryption", column, row: id }
    }

    fn new(ring: &KeyRing, shown: Encryption, customer: Option<&CustomerKey>, key: &DataKey) -> Result<Self> {
        let id = hex::encode(rand::random::<[u8; 16]>());
        let place = Self::place(&id, &shown);
        let sealed = match customer {
            Some(customer) => seal_under(&customer.key, place, key.bytes())?,
            None => ring.seal(place, key.bytes())?,
        };
        Ok(Self { shown, id, sealed: hex::encode(sealed) })
    }

    /// The key of the bytes. [`RuleError::CustomerKeyNeeded`], [`RuleError::CustomerKeyUnexpected`], [`RuleError::CustomerKeyWrong`].
    fn open(&self, ring: &KeyRing, customer: Option<&CustomerKey>) -> Result<DataKey> {
        let sealed =
            hex::decode(&self.sealed).map_err(|_| Error::corrupt("the sealed key of an object is not hexadecimal"))?;
        let place = Self::place(&self.id, &self.shown);
        let bytes = match (&self.shown, customer) {
            (Encryption::Managed | Encryption::Kms(_), None) => ring.open(place, &sealed)?,
            (Encryption::Managed | Encryption::Kms(_), Some(_)) => return Err(RuleError::CustomerKeyUnexpected.into()),
            (Encryption::Customer(_), None) => return Err(RuleError::CustomerKeyNeeded.into()),
            (Encryption::Customer(md5), Some(customer)) if *md5 != customer.md5 => {
                return Err(RuleError::CustomerKeyWrong.into());
            }
            (Encryption::Customer(_), Some(customer)) => {
                open_under(&customer.key, place, &sealed).map_err(|_| RuleError::CustomerKeyWrong)?
            }
        };
        DataKey::of_bytes(&bytes)
    }

    /// Whether bytes under this key can be shared with an object that is to be encrypted in a way.
    pub(crate) fn serves(&self, wanted: &Encryption) -> bool {
        match &self.shown {
            Encryption::Managed | Encryption::Kms(_) => self.shown == *wanted,
            // The one who copies must show the key of the source, and may mean another one for the copy.
            Encryption::Customer(_) => false,
        }
    }
}

impl Engine {
    /// How a new object in a bucket will be encrypted; `None`: not at all. [`RuleError::NoSuchKmsKey`].
    pub(crate) fn encryption_of_new(&self, known: &KnownBucket, new: &NewEncryption) -> Result<Option<Encryption>> {
        let of_bucket = |default: &BucketEncryption| match &default.kms {
            Some(kms) => self.kms_key(kms.key_id.as_deref()),
            None => Ok(Encryption::Managed),
        };
        match new {
            NewEncryption::OfBucket => known.rules.encryption.as_ref().map(of_bucket).transpose(),
            NewEncryption::Managed => Ok(Some(Encryption::Managed)),
            NewEncryption::Kms(key_id) => self.kms_key(key_id.as_deref()).map(Some),
            NewEncryption::Customer(key) => Ok(Some(Encryption::Customer(key.md5.clone()))),
        }
    }

    /// A local key by its name, which may come as an ARN.
    fn kms_key(&self, name: Option<&str>) -> Result<Encryption> {
        let name = name.filter(|name| !name.is_empty()).unwrap_or(KMS_KEY_DEFAULT);
        let short = match name.strip_prefix("arn:aws:kms:") {
            Some(arn) => arn.split_once(":key/").or_else(|| arn.split_once(":alias/")).map_or(name, |(_, short)| short),
            None => name.strip_prefix("alias/").unwrap_or(name),
        };
        let is_known = short == KMS_KEY_DEFAULT || self.inner.settings.kms_keys.iter().any(|key| key == short);
        if is_known { Ok(Encryption::Kms(short.to_owned())) } else { Err(RuleError::NoSuchKmsKey.into()) }
    }

    /// A new key for an object that is encrypted in a way, and what is kept of it.
    pub(crate) fn new_key(&self, shown: Encryption, new: &NewEncryption) -> Result<(SealedKey, DataKey)> {
        let customer = match new {
            NewEncryption::Customer(key) => Some(key),
            NewEncryption::OfBucket | NewEncryption::Managed | NewEncryption::Kms(_) => None,
        };
        let key = DataKey::random();
        Ok((SealedKey::new(&self.inner.keys, shown, customer, &key)?, key))
    }

    /// The key of an object's bytes; `None` when they are not encrypted. A customer's key must be shown where, and only where, it is needed.
    pub(crate) fn data_key(&self, meta: &Meta, customer: Option<&CustomerKey>) -> Result<Option<DataKey>> {
        match (meta.encryption(), customer) {
            (Some(sealed), customer) => sealed.open(&self.inner.keys, customer).map(Some),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(RuleError::CustomerKeyUnexpected.into()),
        }
    }
}
