//! What a bucket's owner shuts against the world, whatever lists and policies say; and who owns what others store in a bucket.

use serde::{Deserialize, Serialize};

/// What of the world's access is blocked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicAccessBlock {
    /// Lists that give something to the world are refused when they are set.
    pub block_public_acls: bool,
    /// Grants to the world are as if they were not there.
    pub ignore_public_acls: bool,
    /// Policies that give something to the world are refused when they are set.
    pub block_public_policy: bool,
    /// A policy that gives something to the world serves the bucket's owner only.
    pub restrict_public_buckets: bool,
}

/// Who owns objects that others store in a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectOwnership {
    /// The bucket's owner owns everything, and access control lists count for nothing.
    BucketOwnerEnforced,
    /// The bucket's owner, when the object is given to it by the list `bucket-owner-full-control`; else who stored it.
    BucketOwnerPreferred,
    /// Who stored it.
    #[default]
    ObjectWriter,
}

impl ObjectOwnership {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::BucketOwnerEnforced, Self::BucketOwnerPreferred, Self::ObjectWriter];

    /// The word of S3.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BucketOwnerEnforced => "BucketOwnerEnforced",
            Self::BucketOwnerPreferred => "BucketOwnerPreferred",
            Self::ObjectWriter => "ObjectWriter",
        }
    }
}
