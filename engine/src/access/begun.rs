//! What policies are told of the parts of an upload and of its Complete: what the request said that began it. Their own requests do not say
//! again how the object is to be encrypted or who may read it, and would break every policy that asks for that.

use super::Wanted;
use crate::Caller;
use crate::meta::Meta;
use crate::rules::KnownBucket;

/// Facts that are kept with an upload. Secrets are none of them.
const KEPT: [&str; 21] = [
    "s3:x-amz-acl",
    "s3:x-amz-grant-full-control",
    "s3:x-amz-grant-read",
    "s3:x-amz-grant-read-acp",
    "s3:x-amz-grant-write",
    "s3:x-amz-grant-write-acp",
    "s3:x-amz-object-lock-legal-hold",
    "s3:x-amz-object-lock-mode",
    "s3:x-amz-object-lock-retain-until-date",
    "s3:x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:x-amz-server-side-encryption-bucket-key-enabled",
    "s3:x-amz-server-side-encryption-context",
    "s3:x-amz-server-side-encryption-customer-algorithm",
    "s3:x-amz-storage-class",
    "s3:x-amz-tagging",
    "s3:x-amz-website-redirect-location",
    "s3:object-lock-mode",
    "s3:object-lock-retain-until-date",
    "s3:object-lock-remaining-retention-days",
    "s3:object-lock-legal-hold",
];

impl KnownBucket {
    /// What is kept of a request that begins an upload.
    pub(crate) fn told_at_beginning(&self, caller: &Caller, wanted: &Wanted<'_>) -> Vec<(String, String)> {
        let told = |name: &&str| Some(((*name).to_owned(), self.fact(caller, wanted, name)?.into_iter().next()?));
        KEPT.iter().filter_map(told).collect()
    }
}

impl Meta {
    /// The values of a fact that the beginning of an upload decides, `None` within where it said nothing; `None` for any other fact.
    pub(super) fn fact_at_beginning(&self, name: &str) -> Option<Option<Vec<String>>> {
        let told = self.told_at_beginning().filter(|_| KEPT.contains(&name))?;
        Some(told.iter().find(|(kept, _)| kept == name).map(|(_, value)| vec![value.clone()]))
    }
}
