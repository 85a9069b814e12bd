//! What a caller can be allowed to do with buckets and objects: the actions that policies name.

/// Whether an action is about a bucket or about an object in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Bucket,
    Object,
}

/// The permission of an access control list that lets an action through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByAcl {
    /// The list of the bucket.
    OfBucket(super::acl::Permission),
    /// The list of the object.
    OfObject(super::acl::Permission),
    /// None does, but whoever began the upload that it is about may.
    OfUpload,
    /// None does: only the owner, and whom a policy names.
    Never,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $level:ident, $by:expr;)*) => {
        /// An action.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word of policies without `s3:`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            pub(crate) fn level(self) -> Level {
                match self {
                    $(Self::$name => Level::$level,)*
                }
            }

            pub(crate) fn by_acl(self) -> ByAcl {
                use super::acl::Permission::{Read, ReadAcp, Write, WriteAcp};
                use ByAcl::{Never, OfBucket, OfObject, OfUpload};
                match self {
                    $(Self::$name => $by,)*
                }
            }
        }
    };
}

actions! {
    /// Stops an upload in parts.
    AbortMultipartUpload = Object, OfUpload;
    /// Deletes past a governance lock.
    BypassGovernanceRetention = Object, Never;
    /// Makes a bucket.
    CreateBucket = Bucket, Never;
    /// Deletes a bucket.
    DeleteBucket = Bucket, Never;
    /// Takes the policy away.
    DeleteBucketPolicy = Bucket, Never;
    /// Takes the website away.
    DeleteBucketWebsite = Bucket, Never;
    /// Deletes an object.
    DeleteObject = Object, OfBucket(Write);
    /// Takes the tags of an object away.
    DeleteObjectTagging = Object, Never;
    /// Deletes a version for good, which no list lets anybody do.
    DeleteObjectVersion = Object, Never;
    /// Takes the tags of a version away.
    DeleteObjectVersionTagging = Object, Never;
    /// Reads whether transfers are accelerated.
    GetAccelerateConfiguration = Bucket, Never;
    /// Reads the access control list of a bucket.
    GetBucketAcl = Bucket, OfBucket(ReadAcp);
    /// Reads the rules for other origins.
    GetBucketCORS = Bucket, Never;
    /// Reads where a bucket is.
    GetBucketLocation = Bucket, Never;
    /// Reads where accesses are logged.
    GetBucketLogging = Bucket, Never;
    /// Reads who is told of changes.
    GetBucketNotification = Bucket, Never;
    /// Reads whether and how versions are locked.
    GetBucketObjectLockConfiguration = Bucket, Never;
    /// Reads who owns what others store.
    GetBucketOwnershipControls = Bucket, Never;
    /// Reads the policy.
    GetBucketPolicy = Bucket, Never;
    /// Reads whether the policy is public.
    GetBucketPolicyStatus = Bucket, Never;
    /// Reads what public access is blocked.
    GetBucketPublicAccessBlock = Bucket, Never;
    /// Reads who pays.
    GetBucketRequestPayment = Bucket, Never;
    /// Reads the tags of a bucket.
    GetBucketTagging = Bucket, Never;
    /// Reads how versions are kept.
    GetBucketVersioning = Bucket, Never;
    /// Reads the website.
    GetBucketWebsite = Bucket, Never;
    /// Reads how objects are encrypted.
    GetEncryptionConfiguration = Bucket, Never;
    /// Reads what becomes of objects with time.
    GetLifecycleConfiguration = Bucket, Never;
    /// Reads an object.
    GetObject = Object, OfObject(Read);
    /// Reads the access control list of an object.
    GetObjectAcl = Object, OfObject(ReadAcp);
    /// Reads the facts of an object.
    GetObjectAttributes = Object, OfObject(Read);
    /// Reads whether an object is held.
    GetObjectLegalHold = Object, Never;
    /// Reads until when an object is locked.
    GetObjectRetention = Object, Never;
    /// Reads the tags of an object.
    GetObjectTagging = Object, Never;
    /// Reads a version.
    GetObjectVersion = Object, OfObject(Read);
    /// Reads the access control list of a version.
    GetObjectVersionAcl = Object, OfObject(ReadAcp);
    /// Reads the facts of a version.
    GetObjectVersionAttributes = Object, OfObject(Read);
    /// Reads the tags of a version.
    GetObjectVersionTagging = Object, Never;
    /// Reads whether a bucket is copied elsewhere.
    GetReplicationConfiguration = Bucket, Never;
    /// Lists the buckets of an account.
    ListAllMyBuckets = Bucket, Never;
    /// Lists objects.
    ListBucket = Bucket, OfBucket(Read);
    /// Lists uploads in parts.
    ListBucketMultipartUploads = Bucket, OfBucket(Read);
    /// Lists versions.
    ListBucketVersions = Bucket, OfBucket(Read);
    /// Lists the parts of an upload.
    ListMultipartUploadParts = Object, OfUpload;
    /// Sets whether transfers are accelerated.
    PutAccelerateConfiguration = Bucket, Never;
    /// Sets the access control list of a bucket.
    PutBucketAcl = Bucket, OfBucket(WriteAcp);
    /// Sets the rules for other origins.
    PutBucketCORS = Bucket, Never;
    /// Sets where accesses are logged.
    PutBucketLogging = Bucket, Never;
    /// Sets who is told of changes.
    PutBucketNotification = Bucket, Never;
    /// Sets whether and how versions are locked.
    PutBucketObjectLockConfiguration = Bucket, Never;
    /// Sets who owns what others store.
    PutBucketOwnershipControls = Bucket, Never;
    /// Sets the policy.
    PutBucketPolicy = Bucket, Never;
    /// Sets what public access is blocked.
    PutBucketPublicAccessBlock = Bucket, Never;
    /// Sets who pays.
    PutBucketRequestPayment = Bucket, Never;
    /// Sets the tags of a bucket.
    PutBucketTagging = Bucket, Never;
    /// Sets how versions are kept.
    PutBucketVersioning = Bucket, Never;
    /// Sets the website.
    PutBucketWebsite = Bucket, Never;
    /// Sets how objects are encrypted.
    PutEncryptionConfiguration = Bucket, Never;
    /// Sets what becomes of objects with time.
    PutLifecycleConfiguration = Bucket, Never;
    /// Stores an object.
    PutObject = Object, OfBucket(Write);
    /// Sets the access control list of an object.
    PutObjectAcl = Object, OfObject(WriteAcp);
    /// Holds an object, or lets it go.
    PutObjectLegalHold = Object, Never;
    /// Locks an object for a time.
    PutObjectRetention = Object, Never;
    /// Sets the tags of an object.
    PutObjectTagging = Object, Never;
    /// Sets the access control list of a version.
    PutObjectVersionAcl = Object, OfObject(WriteAcp);
    /// Sets the tags of a version.
    PutObjectVersionTagging = Object, Never;
    /// Sets whether a bucket is copied elsewhere.
    PutReplicationConfiguration = Bucket, Never;
}

impl Action {
    /// The word of policies: `s3:GetObject`.
    pub(crate) fn qualified(self) -> String {
        format!("s3:{}", self.name())
    }

    /// Whether a policy may not take this from the bucket's owner: with it a policy that shuts everybody out is mended.
    pub(crate) fn is_kept_for_owner(self) -> bool {
        matches!(self, Self::GetBucketPolicy | Self::PutBucketPolicy | Self::DeleteBucketPolicy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_objects_open_actions_on_objects_only() {
        for action in Action::ALL {
            match action.by_acl() {
                ByAcl::OfObject(_) => assert_eq!(action.level(), Level::Object, "{action:?}"),
                ByAcl::OfBucket(_) | ByAcl::OfUpload | ByAcl::Never => {}
            }
        }
    }
}
