//! Errors: the one map from the engine's words to S3's, and the messages of those that come from the protocol layer.

use std::error::Error as StdError;
use std::time::SystemTime;

use engine::{Error, IamError, RuleError, VersionId};
use http::header::{ALLOW, CONTENT_RANGE, ETAG, LAST_MODIFIED, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use s3s::{S3Error, S3ErrorCode, s3_error};

const X_AMZ_DELETE_MARKER: HeaderName = HeaderName::from_static("x-amz-delete-marker");
const X_AMZ_VERSION_ID: HeaderName = HeaderName::from_static("x-amz-version-id");

/// What is wrong with the body of a request, found while it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFault {
    /// A document is not what its `Content-MD5` or checksum says.
    #[error("the {0} of the body is not the one that was given")]
    Digest(&'static str),
    /// The body is not what `x-amz-content-sha256` says.
    #[error("the SHA-256 of the body is not the one that was signed")]
    PayloadHash,
    /// A chunk has a wrong signature.
    #[error("the signature of a chunk does not fit")]
    ChunkSignature,
    /// The chunked framing is broken.
    #[error("the chunked framing of the body is malformed: {0}")]
    Framing(&'static str),
    /// The announced trailer is missing or malformed.
    #[error("the trailer is missing or malformed")]
    Trailer,
    /// The body ended early, or the client went away.
    #[error("the body ended early")]
    Incomplete,
    /// The client sent nothing for too long.
    #[error("no byte of the body came for too long")]
    TooSlow,
    /// The document is larger than allowed.
    #[error("the document is larger than allowed")]
    TooLarge,
    /// The document has a CDATA section.
    #[error("the document has a CDATA section")]
    Section,
    /// The file of a form is larger than its policy allows.
    #[error("the file is larger than the policy of the form allows")]
    FormTooLarge,
    /// The file of a form is smaller than its policy allows.
    #[error("the file is smaller than the policy of the form allows")]
    FormTooSmall,
}

impl BodyFault {
    pub(crate) fn to_s3(self) -> S3Error {
        match self {
            Self::Digest(algorithm) => bad_digest(algorithm),
            Self::PayloadHash => custom(
                "XAmzContentSHA256Mismatch",
                StatusCode::BAD_REQUEST,
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            ),
            Self::ChunkSignature => {
                s3_error!(SignatureDoesNotMatch, "The signature of a chunk of the body does not match.")
            }
            Self::Framing(why) => s3_error!(InvalidRequest, "The chunked framing of the body is malformed: {why}."),
            Self::Trailer => custom(
                "MalformedTrailerError",
                StatusCode::BAD_REQUEST,
                "The request contained trailing data that was not well-formed or did not conform to our published schema.",
            ),
            Self::Incomplete => {
                s3_error!(
                    IncompleteBody,
                    "You did not provide the number of bytes specified by the Content-Length HTTP header."
                )
            }
            Self::TooSlow => s3_error!(
                RequestTimeout,
                "Your socket connection to the server was not read from or written to within the timeout period."
            ),
            Self::FormTooLarge => {
                s3_error!(EntityTooLarge, "Your proposed upload exceeds the maximum allowed size.")
            }
            Self::FormTooSmall => {
                s3_error!(EntityTooSmall, "Your proposed upload is smaller than the minimum allowed size.")
            }
            Self::Section => s3_error!(MalformedXML, "CDATA sections are not taken: write their text with references."),
            Self::TooLarge => s3_error!(MaxMessageLengthExceeded, "Your request was too big."),
        }
    }
}

/// An error of S3 that has no variant of its own in the protocol layer.
pub(crate) fn custom(
    code: &'static str,
    status: StatusCode,
    message: impl Into<std::borrow::Cow<'static, str>>,
) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), message);
    error.set_status_code(status);
    error
}

/// The answer to what an object or bucket has none of.
pub(crate) fn none_such(code: &'static str, message: &'static str) -> S3Error {
    custom(code, StatusCode::NOT_FOUND, message)
}

/// The answer to what this endpoint does not offer.
pub(crate) fn not_implemented(what: &str) -> S3Error {
    s3_error!(NotImplemented, "{what} is not offered by this store.")
}

fn bad_digest(algorithm: &str) -> S3Error {
    s3_error!(BadDigest, "The {algorithm} you specified did not match what we received.")
}

/// The one map of the engine's errors. Internal detail goes to the log, never into the answer.
pub(crate) fn from_engine(error: Error) -> S3Error {
    match error {
        Error::NoSuchBucket => s3_error!(NoSuchBucket),
        Error::NoSuchKey { marker } => no_such_key(marker),
        Error::NoSuchVersion => s3_error!(NoSuchVersion),
        Error::IsDeleteMarker { version_id, modified_us } => is_delete_marker(&version_id, modified_us),
        Error::NoSuchUpload => s3_error!(NoSuchUpload),
        Error::Rule(rule) => from_rule(&rule),
        Error::Iam(error) => from_iam(error),
        Error::ObjectLocked => s3_error!(AccessDenied, "Access Denied because object protected by object lock."),
        Error::BucketExists { owned: true } => s3_error!(BucketAlreadyOwnedByYou),
        Error::BucketExists { owned: false } => s3_error!(BucketAlreadyExists),
        Error::BucketNotEmpty => s3_error!(BucketNotEmpty),
        Error::TooManyBuckets { count_max } => {
            s3_error!(TooManyBuckets, "You have attempted to create more than the {count_max} buckets you may have.")
        }
        Error::QuotaExceeded(excess) => custom(
            "QuotaExceeded",
            StatusCode::FORBIDDEN,
            format!("The bucket has a quota, which this would exceed: it may hold {excess}."),
        ),
        Error::Invalid { what: "bucket name", why } => {
            s3_error!(InvalidBucketName, "The specified bucket is not valid: its name {why}.")
        }
        Error::Invalid { what: what @ "announced size", why } => s3_error!(InvalidRequest, "The {what} {why}."),
        Error::Invalid { what, why } => s3_error!(InvalidArgument, "The {what} {why}."),
        Error::KeyTooLong => s3_error!(KeyTooLongError),
        Error::MetadataTooLarge { size_bytes_max } => {
            s3_error!(
                MetadataTooLarge,
                "Your metadata headers exceed the maximum allowed metadata size of {size_bytes_max} bytes."
            )
        }
        Error::AccessDenied => s3_error!(AccessDenied),
        body @ (Error::BadDigest { .. } | Error::IncompleteBody { .. } | Error::Body(_) | Error::TooLarge { .. }) => {
            from_body(body)
        }
        part @ (Error::PartTooSmall { .. } | Error::InvalidPart { .. } | Error::InvalidPartOrder) => from_parts(&part),
        read @ (Error::InvalidRange { .. }
        | Error::InvalidPartNumber
        | Error::PreconditionFailed { .. }
        | Error::NotModified { .. }) => from_read(read),
        state @ (Error::ReadOnly(_) | Error::DiskFull | Error::Busy | Error::DatabaseUnreachable { .. }) => {
            from_state(&state)
        }
        internal @ (Error::Corrupt(_)
        | Error::Metadata { .. }
        | Error::Io { .. }
        | Error::Internal(_)
        | Error::Locked(_)
        | Error::Unusable(_)) => hidden(&internal),
        // No call of this door can end so: groups, users, keys and log-ins belong to other doors.
        foreign @ (Error::NoSuchGroup
        | Error::NoSuchUser
        | Error::NoSuchCredential
        | Error::NotInTrash
        | Error::GroupExists
        | Error::GroupNotEmpty
        | Error::UserExists
        | Error::CredentialExists
        | Error::Protected(_)
        | Error::TooManyCredentials { .. }
        | Error::WeakPassword(_)
        | Error::LoginRefused
        | Error::LinkUsed) => hidden(&foreign),
    }
}

/// A key whose newest version is a delete marker is not there, and S3 says why.
fn no_such_key(marker: Option<VersionId>) -> S3Error {
    let error = s3_error!(NoSuchKey);
    match marker {
        Some(marker) => {
            with_headers(error, [(X_AMZ_DELETE_MARKER, "true".to_owned()), (X_AMZ_VERSION_ID, marker.to_string())])
        }
        None => with_headers(error, [(X_AMZ_DELETE_MARKER, "false".to_owned())]),
    }
}

/// A delete marker can only be deleted.
fn is_delete_marker(version_id: &VersionId, modified_us: i64) -> S3Error {
    with_headers(
        s3_error!(MethodNotAllowed),
        [
            (ALLOW, "DELETE".to_owned()),
            (LAST_MODIFIED, crate::headers::http_date(modified_us)),
            (X_AMZ_DELETE_MARKER, "true".to_owned()),
            (X_AMZ_VERSION_ID, version_id.to_string()),
        ],
    )
}

fn hidden(error: &Error) -> S3Error {
    tracing::error!(error = error as &dyn StdError, "a request failed inside the store");
    s3_error!(InternalError)
}

fn from_body(error: Error) -> S3Error {
    match error {
        Error::BadDigest { algorithm } => bad_digest(algorithm),
        Error::TooLarge { .. } => s3_error!(EntityTooLarge),
        Error::Body(inner) => fault_within(inner.as_ref()).to_s3(),
        Error::IncompleteBody { .. } => BodyFault::Incomplete.to_s3(),
        other => hidden(&other),
    }
}

fn from_rule(error: &RuleError) -> S3Error {
    match error {
        RuleError::NoSuchPolicy => none_such("NoSuchBucketPolicy", "The bucket policy does not exist"),
        RuleError::MalformedPolicy(why) => custom("MalformedPolicy", StatusCode::BAD_REQUEST, *why),
        RuleError::NoSuchGrantee { by_email: true } => custom(
            "UnresolvableGrantByEmailAddress",
            StatusCode::BAD_REQUEST,
            "The email address you provided does not match any account on record.",
        ),
        RuleError::NoSuchGrantee { by_email: false } => s3_error!(InvalidArgument, "Invalid id"),
        RuleError::AclsDisabled => {
            custom("AccessControlListNotSupported", StatusCode::BAD_REQUEST, "The bucket does not allow ACLs")
        }
        RuleError::AclGivesAway => custom(
            "InvalidBucketAclWithObjectOwnership",
            StatusCode::BAD_REQUEST,
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
        ),
        RuleError::InvalidTag(why) => s3_error!(InvalidTag, "{why}"),
        RuleError::TooManyTags { count_max } => s3_error!(InvalidTag, "Tags cannot be greater than {count_max}"),
        RuleError::UnsupportedCors(why) | RuleError::InvalidWebsite(why) => s3_error!(InvalidRequest, "{why}"),
        RuleError::NoObjectLock => s3_error!(InvalidRequest, "Bucket is missing Object Lock Configuration"),
        RuleError::NotLocked => {
            none_such("NoSuchObjectLockConfiguration", "The specified object does not have a ObjectLock configuration")
        }
        RuleError::InvalidRetentionPeriod => custom(
            "InvalidRetentionPeriod",
            StatusCode::BAD_REQUEST,
            "Default retention period must be a positive integer value and not too long",
        ),
        RuleError::CustomerKeyNeeded => s3_error!(
            InvalidRequest,
            "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object."
        ),
        RuleError::CustomerKeyUnexpected => {
            s3_error!(InvalidRequest, "The encryption parameters are not applicable to this object.")
        }
        RuleError::CustomerKeyWrong => s3_error!(
            InvalidRequest,
            "The provided encryption parameters did not match the ones used originally to encrypt the object."
        ),
        RuleError::NoSuchKmsKey => {
            custom("KMS.NotFoundException", StatusCode::BAD_REQUEST, "Invalid keyId: there is no such key.")
        }
        RuleError::LogTarget(why) => custom("InvalidTargetBucketForLogging", StatusCode::BAD_REQUEST, *why),
        RuleError::BucketState(why) => custom("InvalidBucketState", StatusCode::CONFLICT, *why),
    }
}

/// Of identities an S3 request can only have a token wrong.
fn from_iam(error: IamError) -> S3Error {
    match error {
        IamError::InvalidToken => s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid."),
        IamError::ExpiredToken => s3_error!(ExpiredToken, "The provided token has expired."),
        foreign @ (IamError::NoSuchEntity { .. }
        | IamError::NoSuchPart { .. }
        | IamError::EntityExists { .. }
        | IamError::DeleteConflict(_)
        | IamError::LimitExceeded { .. }
        | IamError::MalformedPolicy(_)
        | IamError::Unmodifiable(_)) => hidden(&Error::Iam(foreign)),
    }
}

fn from_parts(error: &Error) -> S3Error {
    match error {
        Error::PartTooSmall { number, size_bytes_min } => s3_error!(
            EntityTooSmall,
            "Part {number} is smaller than the minimum allowed size of {size_bytes_min} bytes and is not the last."
        ),
        Error::InvalidPart { number } => s3_error!(
            InvalidPart,
            "Part {number} could not be found. It may not have been uploaded, or its entity tag or checksum may not match."
        ),
        Error::InvalidPartOrder => s3_error!(InvalidPartOrder),
        other => hidden(other),
    }
}

fn from_read(error: Error) -> S3Error {
    match error {
        Error::InvalidRange { size_bytes } => {
            let range = format!("bytes */{size_bytes}");
            with_headers(s3_error!(InvalidRange), [(CONTENT_RANGE, range)])
        }
        Error::InvalidPartNumber => s3_error!(InvalidPart, "The requested part number is not satisfiable."),
        Error::PreconditionFailed { condition } => {
            s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold: {condition}.")
        }
        Error::NotModified { etag, modified_us } => {
            let modified = crate::headers::http_date(modified_us);
            with_headers(s3_error!(NotModified), [(ETAG, format!("\"{etag}\"")), (LAST_MODIFIED, modified)])
        }
        other => hidden(&other),
    }
}

fn from_state(error: &Error) -> S3Error {
    match error {
        Error::Busy => with_headers(s3_error!(SlowDown), [(RETRY_AFTER, "1".to_owned())]),
        Error::ReadOnly(_) => {
            tracing::warn!(error = error as &dyn StdError, "a write was refused");
            s3_error!(
                ServiceUnavailable,
                "The store is read-only until it is restarted: something could not be made durable. Reads go on."
            )
        }
        Error::DatabaseUnreachable { .. } => {
            tracing::error!(error = error as &dyn StdError, "a request failed");
            with_headers(s3_error!(ServiceUnavailable, "Please try again."), [(RETRY_AFTER, "1".to_owned())])
        }
        Error::DiskFull => {
            tracing::warn!("a write was refused: the disk is full");
            custom(
                "InsufficientStorage",
                StatusCode::INSUFFICIENT_STORAGE,
                "The store has no space left; try again when some was freed.",
            )
        }
        other => hidden(other),
    }
}

fn with_headers<const N: usize>(mut error: S3Error, pairs: [(HeaderName, String); N]) -> S3Error {
    let values = pairs.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?)));
    error.set_headers(values.collect::<HeaderMap>());
    error
}

/// Finds why a body could not be read. The protocol layer's own error types are private: their texts are what there is.
pub(crate) fn fault_within(error: &(dyn StdError + 'static)) -> BodyFault {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(fault) = error.downcast_ref::<BodyFault>() {
            return *fault;
        }
        if let Some(fault) = fault_in_words(&error.to_string()) {
            return fault;
        }
        next = error.source();
    }
    BodyFault::Incomplete
}

fn fault_in_words(text: &str) -> Option<BodyFault> {
    const WORDS: [(&str, BodyFault); 8] = [
        ("AwsChunkedStreamError: SignatureMismatch", BodyFault::ChunkSignature),
        ("AwsChunkedStreamError: FormatError", BodyFault::Framing("a chunk has no valid header or end")),
        ("AwsChunkedStreamError: Incomplete", BodyFault::Incomplete),
        ("AwsChunkedStreamError: ChunkMetaTooLarge", BodyFault::Framing("the header of a chunk is too long")),
        ("AwsChunkedStreamError: TrailersTooLarge", BodyFault::Trailer),
        ("AwsChunkedStreamError: TooManyTrailerHeaders", BodyFault::Trailer),
        ("UploadStreamError: Sha256Mismatch", BodyFault::PayloadHash),
        ("UploadStreamError: LengthMismatch", BodyFault::Incomplete),
    ];
    WORDS.iter().find(|(words, _)| text.contains(words)).map(|(_, fault)| *fault)
}

/// A message for codes that arrive without one.
pub(crate) fn default_message(code: &str) -> &'static str {
    match code {
        "AccessDenied" => "Access Denied",
        "BucketAlreadyExists" => {
            "The requested bucket name is not available. The bucket name space is shared by all users of the system. Please select a different name and try again."
        }
        "BucketAlreadyOwnedByYou" => "The bucket you tried to create already exists, and you own it.",
        "BucketNotEmpty" => "The bucket you tried to delete is not empty",
        "EntityTooLarge" => "Your proposed upload exceeds the maximum allowed object size.",
        "InternalError" => "We encountered an internal error. Please try again.",
        "InvalidAccessKeyId" => "The AWS Access Key Id you provided does not exist in our records.",
        "InvalidBucketName" => "The specified bucket is not valid.",
        "InvalidPartOrder" => "The list of parts was not in ascending order. Parts must be ordered by part number.",
        "InvalidRange" => "The requested range is not satisfiable",
        "InvalidURI" => "Couldn't parse the specified URI.",
        "KeyTooLongError" => "Your key is too long",
        "MalformedXML" => "The XML you provided was not well-formed or did not validate against our published schema",
        "MethodNotAllowed" => "The specified method is not allowed against this resource.",
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "NoSuchBucket" => "The specified bucket does not exist",
        "NoSuchKey" => "The specified key does not exist.",
        "NoSuchUpload" => {
            "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
        }
        "NoSuchVersion" => "The specified version does not exist.",
        "NotImplemented" => "A header or a sub-resource you provided implies functionality that is not implemented.",
        "RequestTimeTooSkewed" => "The difference between the request time and the current time is too large.",
        "SignatureDoesNotMatch" => {
            "The request signature we calculated does not match the signature you provided. Check your key and signing method."
        }
        "SlowDown" => "Please reduce your request rate.",
        _ => "The request cannot be answered.",
    }
}

/// The time `us` microseconds after the Unix epoch, whole seconds. What lies beyond the years of four digits is their end: later dates have no
/// form in any header or document.
pub(crate) fn whole_seconds(us: i64) -> SystemTime {
    const END_OF_9999_S: u64 = 253_402_300_799;
    let seconds = u64::try_from(us / 1_000_000).unwrap_or(0).min(END_OF_9999_S);
    SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: Error) -> (String, u16) {
        let error = from_engine(error);
        (error.code().as_str().to_owned(), error.status_code().map_or(0, |status| status.as_u16()))
    }

    #[test]
    fn errors_have_the_codes_and_statuses_of_s3() {
        let cases = [
            (Error::NoSuchKey { marker: None }, "NoSuchKey", 404),
            (Error::NoSuchKey { marker: Some(VersionId::null()) }, "NoSuchKey", 404),
            (Error::IsDeleteMarker { version_id: VersionId::null(), modified_us: 0 }, "MethodNotAllowed", 405),
            (Error::BucketExists { owned: false }, "BucketAlreadyExists", 409),
            (Error::BucketNotEmpty, "BucketNotEmpty", 409),
            (Error::invalid("bucket name", "is short"), "InvalidBucketName", 400),
            (Error::invalid("version id", "is malformed"), "InvalidArgument", 400),
            (Error::InvalidRange { size_bytes: 3 }, "InvalidRange", 416),
            (Error::InvalidPartNumber, "InvalidPart", 400),
            (Error::PreconditionFailed { condition: "If-Match" }, "PreconditionFailed", 412),
            (Error::NotModified { etag: "e".to_owned(), modified_us: 0 }, "NotModified", 304),
            (Error::Busy, "SlowDown", 503),
            (Error::DiskFull, "InsufficientStorage", 507),
            (Error::ReadOnly("fsync failed".to_owned()), "ServiceUnavailable", 503),
            (Error::QuotaExceeded(engine::Excess::Objects { count_max: 3 }), "QuotaExceeded", 403),
            (Error::LinkUsed, "InternalError", 500),
        ];
        for (error, code, status) in cases {
            let name = error.to_string();
            assert_eq!(told(error), (code.to_owned(), status), "{name}");
        }
    }

    #[test]
    fn internal_detail_is_not_sent() {
        let error = from_engine(Error::Corrupt("blob 0123 at /var/lib".to_owned()));
        assert_eq!(error.code().as_str(), "InternalError");
        assert_eq!(error.message(), None);
        let read_only = from_engine(Error::ReadOnly("EIO on /dev/sda".to_owned()));
        assert!(!read_only.message().unwrap_or_default().contains("sda"));
    }

    #[test]
    fn a_cause_inside_a_body_is_found() {
        #[derive(Debug, thiserror::Error)]
        #[error("wrapped")]
        struct Wrapped(#[source] BodyFault);
        let inside = Error::Body(Box::new(Wrapped(BodyFault::Digest("MD5"))));
        assert_eq!(told(inside).0, "BadDigest");
        let gone = Error::Body(Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset)));
        assert_eq!(told(gone).0, "IncompleteBody");
        let words = Error::Body("AwsChunkedStreamError: SignatureMismatch".into());
        assert_eq!(told(words).0, "SignatureDoesNotMatch");
    }

    #[test]
    fn busy_says_when_to_come_again() {
        let error = from_engine(Error::Busy);
        assert_eq!(error.headers().and_then(|headers| headers.get(RETRY_AFTER)).map(|v| v.as_bytes()), Some(&b"1"[..]));
    }
}
