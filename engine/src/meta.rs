//! What is kept with an object beside its bytes, as one JSON text in its row.

use serde::{Deserialize, Serialize};

use crate::access::acl::Acl;
use crate::acls::Possession;
use crate::body::Digests;
use crate::encryption::SealedKey;
use crate::lock::{NewLock, Retention};
use crate::objects::{ChecksumType, ObjectHeaders, StorageClass, USER_METADATA_BYTES_MAX};
use crate::tags::Tags;
use crate::{CanonicalId, Error, Result};

/// Headers, user metadata and checksums. Short names, because there is one for each object.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Meta {
    #[serde(rename = "ct", skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(rename = "ce", skip_serializing_if = "Option::is_none")]
    content_encoding: Option<String>,
    #[serde(rename = "cl", skip_serializing_if = "Option::is_none")]
    content_language: Option<String>,
    #[serde(rename = "cd", skip_serializing_if = "Option::is_none")]
    content_disposition: Option<String>,
    #[serde(rename = "cc", skip_serializing_if = "Option::is_none")]
    cache_control: Option<String>,
    #[serde(rename = "ex", skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    /// Where visitors of a website are sent.
    #[serde(rename = "rl", skip_serializing_if = "Option::is_none")]
    redirect_location: Option<String>,
    #[serde(rename = "u", skip_serializing_if = "Vec::is_empty")]
    user: Vec<(String, String)>,
    #[serde(rename = "k", skip_serializing_if = "StoredDigests::is_empty")]
    checksums: StoredDigests,
    /// Whether the checksums are over those of the parts.
    #[serde(rename = "kc", skip_serializing_if = "std::ops::Not::not")]
    composite: bool,
    /// Who owns it, where that is not the bucket's owner.
    #[serde(rename = "o", skip_serializing_if = "Option::is_none")]
    owner: Option<CanonicalId>,
    /// Who else may read it; `None` for the owner alone.
    #[serde(rename = "a", skip_serializing_if = "Option::is_none")]
    acl: Option<Acl>,
    #[serde(rename = "t", skip_serializing_if = "Tags::is_empty")]
    tags: Tags,
    /// Until when it is locked.
    #[serde(rename = "lr", skip_serializing_if = "Option::is_none")]
    retention: Option<Retention>,
    /// How its bytes are encrypted.
    #[serde(rename = "se", skip_serializing_if = "Option::is_none")]
    encryption: Option<SealedKey>,
    /// Whether it is held.
    #[serde(rename = "lh", skip_serializing_if = "std::ops::Not::not")]
    legal_hold: bool,
    /// Of an open upload: the facts of the request that began it, by name.
    #[serde(rename = "b", skip_serializing_if = "Option::is_none")]
    told_at_beginning: Option<Vec<(String, String)>>,
    /// Of an open upload: the account that began it, if any did.
    #[serde(rename = "bb", skip_serializing_if = "Option::is_none")]
    begun_by: Option<CanonicalId>,
}

/// Digests in hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct StoredDigests {
    #[serde(skip_serializing_if = "Option::is_none")]
    md5: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha1: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crc32: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crc32c: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crc64nvme: Option<String>,
}

impl StoredDigests {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<&Digests> for StoredDigests {
    fn from(digests: &Digests) -> Self {
        Self {
            md5: digests.md5.map(hex::encode),
            sha1: digests.sha1.map(hex::encode),
            sha256: digests.sha256.map(hex::encode),
            crc32: digests.crc32.map(|crc| hex::encode(crc.to_be_bytes())),
            crc32c: digests.crc32c.map(|crc| hex::encode(crc.to_be_bytes())),
            crc64nvme: digests.crc64nvme.map(|crc| hex::encode(crc.to_be_bytes())),
        }
    }
}

impl TryFrom<&StoredDigests> for Digests {
    type Error = Error;

    fn try_from(stored: &StoredDigests) -> Result<Self> {
        Ok(Self {
            md5: array(stored.md5.as_deref())?,
            sha1: array(stored.sha1.as_deref())?,
            sha256: array(stored.sha256.as_deref())?,
            crc32: array(stored.crc32.as_deref())?.map(u32::from_be_bytes),
            crc32c: array(stored.crc32c.as_deref())?.map(u32::from_be_bytes),
            crc64nvme: array(stored.crc64nvme.as_deref())?.map(u64::from_be_bytes),
        })
    }
}

fn array<const N: usize>(text: Option<&str>) -> Result<Option<[u8; N]>> {
    let Some(text) = text else { return Ok(None) };
    let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(Some).ok_or_else(|| Error::corrupt("a stored checksum has the wrong length"))
}

/// Reads digests back from their JSON text.
pub(crate) fn digests_from_json(text: &str) -> Result<Digests> {
    let stored: StoredDigests =
        serde_json::from_str(text).map_err(|e| Error::corrupt(format!("stored checksums: {e}")))?;
    (&stored).try_into()
}

/// Digests as JSON text.
pub(crate) fn digests_to_json(digests: &Digests) -> Result<String> {
    serde_json::to_string(&StoredDigests::from(digests)).map_err(|_| Error::Internal("checksums cannot be written"))
}

impl Meta {
    pub(crate) fn new(headers: &ObjectHeaders, user: &[(String, String)]) -> Result<Self> {
        let size: usize = user.iter().map(|(name, value)| name.len() + value.len()).sum();
        if size > USER_METADATA_BYTES_MAX {
            return Err(Error::MetadataTooLarge { size_bytes_max: USER_METADATA_BYTES_MAX });
        }
        Ok(Self {
            content_type: headers.content_type.clone(),
            content_encoding: headers.content_encoding.clone(),
            content_language: headers.content_language.clone(),
            content_disposition: headers.content_disposition.clone(),
            cache_control: headers.cache_control.clone(),
            expires: headers.expires.clone(),
            redirect_location: headers.redirect_location.clone(),
            user: user.to_vec(),
            ..Self::default()
        })
    }

    /// With whose it is, in the bucket of an owner.
    pub(crate) fn possessed(mut self, possession: Possession, bucket_owner: &CanonicalId) -> Self {
        let Possession { owner, acl } = possession;
        self.owner = (owner != *bucket_owner).then_some(owner);
        self.acl = acl;
        self
    }

    pub(crate) fn locked(mut self, lock: &NewLock) -> Self {
        self.retention = lock.retention;
        self.legal_hold = lock.legal_hold;
        self
    }

    pub(crate) fn encrypted(mut self, key: Option<SealedKey>) -> Self {
        self.encryption = key;
        self
    }

    /// How its bytes are encrypted, and their key, sealed.
    pub(crate) fn encryption(&self) -> Option<&SealedKey> {
        self.encryption.as_ref()
    }

    pub(crate) fn retention(&self) -> Option<Retention> {
        self.retention
    }

    pub(crate) fn set_retention(&mut self, retention: Option<Retention>) {
        self.retention = retention;
    }

    pub(crate) fn legal_hold(&self) -> bool {
        self.legal_hold
    }

    pub(crate) fn set_legal_hold(&mut self, held: bool) {
        self.legal_hold = held;
    }

    /// Of an upload that an account begins, if any does, with the facts of the request.
    pub(crate) fn begun(mut self, account: Option<CanonicalId>, told: Vec<(String, String)>) -> Self {
        self.begun_by = account;
        self.told_at_beginning = Some(told);
        self
    }

    /// Of the object that an upload becomes.
    pub(crate) fn completed(self) -> Self {
        Self { begun_by: None, told_at_beginning: None, ..self }
    }

    /// The account that began an upload, if any did. Of uploads from before that was kept it is the one that will own the object.
    pub(crate) fn begun_by(&self) -> Option<&CanonicalId> {
        self.begun_by.as_ref().or(self.owner())
    }

    pub(crate) fn told_at_beginning(&self) -> Option<&[(String, String)]> {
        self.told_at_beginning.as_deref()
    }

    pub(crate) fn redirected_to(mut self, location: Option<String>) -> Self {
        self.redirect_location = location;
        self
    }

    pub(crate) fn with_tags(mut self, tags: Tags) -> Self {
        self.tags = tags;
        self
    }

    /// Who owns it; `None` for the bucket's owner.
    pub(crate) fn owner(&self) -> Option<&CanonicalId> {
        self.owner.as_ref()
    }

    pub(crate) fn acl(&self) -> Option<&Acl> {
        self.acl.as_ref()
    }

    pub(crate) fn set_acl(&mut self, acl: Option<Acl>) {
        self.acl = acl;
    }

    pub(crate) fn tags(&self) -> &Tags {
        &self.tags
    }

    pub(crate) fn set_tags(&mut self, tags: Tags) {
        self.tags = tags;
    }

    pub(crate) fn with_checksums(mut self, digests: &Digests, kind: ChecksumType) -> Self {
        self.checksums = digests.into();
        self.composite = kind == ChecksumType::Composite;
        self
    }

    pub(crate) fn checksum_type(&self) -> ChecksumType {
        if self.composite { ChecksumType::Composite } else { ChecksumType::FullObject }
    }

    pub(crate) fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|_| Error::Internal("metadata cannot be written"))
    }

    pub(crate) fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|e| Error::corrupt(format!("stored metadata: {e}")))
    }

    pub(crate) fn headers(&self) -> ObjectHeaders {
        ObjectHeaders {
            content_type: self.content_type.clone(),
            content_encoding: self.content_encoding.clone(),
            content_language: self.content_language.clone(),
            content_disposition: self.content_disposition.clone(),
            cache_control: self.cache_control.clone(),
            expires: self.expires.clone(),
            redirect_location: self.redirect_location.clone(),
        }
    }

    pub(crate) fn user(&self) -> &[(String, String)] {
        &self.user
    }

    pub(crate) fn checksums(&self) -> Result<Digests> {
        (&self.checksums).try_into()
    }
}

impl StorageClass {
    /// The word of S3.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::ReducedRedundancy => "REDUCED_REDUNDANCY",
        }
    }

    /// Reads the word of S3.
    pub fn parse(text: &str) -> Result<Self> {
        [Self::Standard, Self::ReducedRedundancy]
            .into_iter()
            .find(|class| class.as_str() == text)
            .ok_or_else(|| Error::invalid("storage class", "must be STANDARD or REDUCED_REDUNDANCY"))
    }
}
