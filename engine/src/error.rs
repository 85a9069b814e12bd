//! The one error of the engine, in words of the domain. Each adapter maps it once, exhaustively, to its own protocol.

use std::io;

use rustix::io::Errno;

use crate::iam::IamError;
use crate::names::VersionId;

/// A result of the engine.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of any source, boxed: what a request body reported while it was read.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The group does not exist.
    #[error("there is no such group")]
    NoSuchGroup,
    /// The user does not exist.
    #[error("there is no such user")]
    NoSuchUser,
    /// The access key does not exist.
    #[error("there is no such access key")]
    NoSuchCredential,
    /// The bucket does not exist.
    #[error("there is no such bucket")]
    NoSuchBucket,
    /// The object does not exist.
    #[error("there is no such object")]
    NoSuchKey {
        /// The delete marker that is the newest of its versions, when a read found one.
        marker: Option<VersionId>,
    },
    /// The object has no such version.
    #[error("there is no such version")]
    NoSuchVersion,
    /// The version asked for is a delete marker, which has no bytes.
    #[error("that version is a delete marker")]
    IsDeleteMarker {
        /// The marker.
        version_id: VersionId,
        /// When it was made, in microseconds of the Unix epoch.
        modified_us: i64,
    },
    /// The multipart upload does not exist (never begun, completed or aborted).
    #[error("there is no such upload")]
    NoSuchUpload,
    /// Nothing of that name is in the trash.
    #[error("there is no such user in the trash")]
    NotInTrash,

    /// A group of that id exists.
    #[error("a group of that id exists already")]
    GroupExists,
    /// The group still has users.
    #[error("the group still has users")]
    GroupNotEmpty,
    /// A user of that id exists in the group.
    #[error("a user of that id exists already in the group")]
    UserExists,
    /// The access key exists.
    #[error("an access key of that id exists already")]
    CredentialExists,
    /// The bucket's name is taken.
    #[error("a bucket of that name exists already")]
    BucketExists {
        /// Whether the caller owns the bucket that has the name.
        owned: bool,
    },
    /// The bucket still has objects or versions.
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    /// The built-in system group and its last administrator stay.
    #[error("{0} is part of the system and cannot be removed or disabled")]
    Protected(&'static str),

    /// The user has the most access keys it may have.
    #[error("the user has {count_max} access keys, which is the limit")]
    TooManyCredentials {
        /// The limit.
        count_max: u32,
    },
    /// The user has the most buckets it may have.
    #[error("the user has {count_max} buckets, which is the limit")]
    TooManyBuckets {
        /// The limit.
        count_max: u32,
    },

    /// The bucket would hold more than its quota.
    #[error("the bucket may hold {0}")]
    QuotaExceeded(crate::quota::Excess),

    /// Something given is not well formed.
    #[error("{what} {why}")]
    Invalid {
        /// What was given.
        what: &'static str,
        /// Why it is refused, as the end of a sentence.
        why: String,
    },
    /// What a request says of the rules of a bucket or an object does not go.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// What a request says of identities of an account's own does not go.
    #[error(transparent)]
    Iam(#[from] IamError),
    /// The version is locked or held.
    #[error("the version is locked")]
    ObjectLocked,
    /// The password does not meet the rule.
    #[error("the password {0}")]
    WeakPassword(&'static str),
    /// The object key has more than 1024 bytes.
    #[error("the object key has more than 1024 bytes")]
    KeyTooLong,
    /// The user metadata has more than 2048 bytes.
    #[error("the user metadata is larger than {size_bytes_max} bytes")]
    MetadataTooLarge {
        /// The limit.
        size_bytes_max: usize,
    },

    /// The body is not what its digest said.
    #[error("the {algorithm} of the body is not the one that was given")]
    BadDigest {
        /// The digest's name: `MD5`, `SHA256`, `CRC32` ...
        algorithm: &'static str,
    },
    /// The body ended early or went on past its announced length.
    #[error("the body has {actual_bytes} bytes where {expected_bytes} were announced")]
    IncompleteBody {
        /// The announced length.
        expected_bytes: u64,
        /// What arrived.
        actual_bytes: u64,
    },
    /// The body could not be read: the client went away, or its framing or signature is wrong. Adapters may look inside.
    #[error("the body could not be read")]
    Body(#[source] BoxError),
    /// The object or part is larger than allowed.
    #[error("the object is larger than {size_bytes_max} bytes")]
    TooLarge {
        /// The limit.
        size_bytes_max: u64,
    },
    /// A part other than the last is smaller than allowed.
    #[error("part {number} has less than {size_bytes_min} bytes and is not the last")]
    PartTooSmall {
        /// The part.
        number: u32,
        /// The limit.
        size_bytes_min: u64,
    },
    /// A part named in Complete was not uploaded, or has another ETag or checksum.
    #[error("part {number} was not uploaded or is another one")]
    InvalidPart {
        /// The part.
        number: u32,
    },
    /// The parts of Complete do not ascend.
    #[error("the parts are not in ascending order")]
    InvalidPartOrder,
    /// The range or part asked for lies outside the object.
    #[error("the range lies outside the object of {size_bytes} bytes")]
    InvalidRange {
        /// The object's size.
        size_bytes: u64,
    },
    /// The part number asked for does not exist.
    #[error("the object has no such part")]
    InvalidPartNumber,
    /// A condition of the request does not hold.
    #[error("the condition {condition} does not hold")]
    PreconditionFailed {
        /// The condition's name: `If-Match`, `If-None-Match` ...
        condition: &'static str,
    },
    /// A conditional read found nothing newer.
    #[error("the object was not modified")]
    NotModified {
        /// The object's entity tag, without quotes.
        etag: String,
        /// When it was last modified, in microseconds of the Unix epoch.
        modified_us: i64,
    },

    /// The caller may not do this.
    #[error("access denied")]
    AccessDenied,
    /// User, password or session is wrong, or the user or its group is not active.
    #[error("the log-in was refused")]
    LoginRefused,
    /// The sign-on link was used before.
    #[error("the sign-on link was used before")]
    LinkUsed,

    /// The store takes no writes until it is restarted: a write could not be made durable.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// The disk is full; writes return when space is freed.
    #[error("the disk is full")]
    DiskFull,
    /// Too much waits already; try again.
    #[error("too many requests wait already")]
    Busy,
    /// Another process has the data directory open.
    #[error("the data directory {0} is in use by another process")]
    Locked(std::path::PathBuf),
    /// The data directory, key ring or schema does not fit this program.
    #[error("{0}")]
    Unusable(String),
    /// Stored bytes or rows are damaged.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    /// The metadata database failed.
    #[error("the metadata database failed in {transaction}")]
    Metadata {
        /// The named transaction.
        transaction: &'static str,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// The metadata database could not be reached, or the connection to it broke; try again.
    #[error("the metadata database cannot be reached ({transaction})")]
    DatabaseUnreachable {
        /// The named transaction.
        transaction: &'static str,
        /// What the driver said.
        #[source]
        source: sqlx::Error,
    },
    /// The disk failed.
    #[error("{doing} failed")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A failure that has no name of its own, such as a worker that stopped.
    #[error("internal failure: {0}")]
    Internal(&'static str),
}

/// Why what a request says of the rules of a bucket or an object (lists, policies, tags, locks) does not go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The bucket has no policy.
    #[error("the bucket has no policy")]
    NoSuchPolicy,
    /// A list names somebody who is not there, or an e-mail address that nobody or several have.
    #[error("there is no such grantee")]
    NoSuchGrantee {
        /// Whether the name is an e-mail address.
        by_email: bool,
    },
    /// The policy cannot be read, or names another bucket.
    #[error("the policy is malformed: {0}")]
    MalformedPolicy(&'static str),
    /// A tag has a name or value that none may have.
    #[error("the tag is not valid: {0}")]
    InvalidTag(&'static str),
    /// There are more tags than allowed.
    #[error("there are more than {count_max} tags")]
    TooManyTags {
        /// The limit.
        count_max: usize,
    },
    /// A rule for other origins asks for something that there is not.
    #[error("the CORS rule is not supported: {0}")]
    UnsupportedCors(&'static str),
    /// A website cannot be shown as it is described.
    #[error("the website is not valid: {0}")]
    InvalidWebsite(&'static str),
    /// The bucket's owner owns everything in it, and access control lists are off.
    #[error("the bucket does not allow access control lists")]
    AclsDisabled,
    /// Lists cannot be turned off where the bucket's own gives something away.
    #[error("the bucket's access control list gives something to others")]
    AclGivesAway,
    /// Versions of the bucket cannot be locked.
    #[error("the bucket has no object lock")]
    NoObjectLock,
    /// The version has no lock.
    #[error("the version has no lock")]
    NotLocked,
    /// A default retention lasts no time, or too long.
    #[error("the default retention lasts no time, or too long")]
    InvalidRetentionPeriod,
    /// The object is encrypted under a key of the customer's, which the request does not show.
    #[error("the object is encrypted under a key that the request does not show")]
    CustomerKeyNeeded,
    /// The request shows a customer's key for an object that is not encrypted under one.
    #[error("the object is not encrypted under a customer's key")]
    CustomerKeyUnexpected,
    /// The object is encrypted under another key.
    #[error("the object is encrypted under another key")]
    CustomerKeyWrong,
    /// There is no key of that name.
    #[error("there is no encryption key of that name")]
    NoSuchKmsKey,
    /// A bucket cannot take the access log of another one.
    #[error("the target of the access log is not valid: {0}")]
    LogTarget(&'static str),
    /// The bucket is not in the state that this needs.
    #[error("the bucket is in another state: {0}")]
    BucketState(&'static str),
}

/// Whether it is the process, or the whole system, that has no more files or memory: the disk is not to blame.
fn is_of_process(error: &io::Error) -> bool {
    let limits = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| limits.iter().any(|limit| limit.raw_os_error() == code))
}

impl Error {
    /// `what` is the thing given, `why` the end of the sentence that it begins.
    pub fn invalid(what: &'static str, why: impl Into<String>) -> Self {
        Self::Invalid { what, why: why.into() }
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt(what.into())
    }

    /// Whether it says that something in the database cannot be read, and so nothing of what is beside it.
    pub(crate) fn is_unreadable_row(&self) -> bool {
        matches!(self, Self::Corrupt(_) | Self::Metadata { .. })
    }

    /// What a failed read says of the bytes that were to be read: those that a disk does not give back are damaged as others are that are
    /// wrong. An error that says nothing of them comes back.
    pub(crate) fn damage(self) -> Result<String> {
        match self {
            Self::Corrupt(what) => Ok(what),
            Self::Io { doing, source } if !is_of_process(&source) => Ok(format!("{doing} failed: {source}")),
            error => Err(error),
        }
    }

    /// An error of the disk while `doing` something; a full disk has its own name.
    pub(crate) fn io(doing: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Io { doing, source },
        }
    }
}
