//! Identifiers and names, validated once where they enter.
//!
//! Everything stored refers to immutable ids ([`CanonicalId`], bucket numbers, [`ContentId`]); what people type (group
//! and user ids, bucket names, object keys) is only a unique name for them.

use std::fmt;

use crate::Error;

/// Longest group or user id, in characters.
const ID_CHARS_MAX: usize = 64;
/// Longest object key, in bytes of UTF-8 (the limit of S3).
const KEY_BYTES_MAX: usize = 1024;

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Takes a name that this store wrote itself, so that it needs no second check.
            pub(crate) fn stored(text: String) -> Self {
                Self(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                Self::new(text)
            }
        }
    };
}

text_name!(
    /// The id of a group as an administrator gives it, such as a CloudStack domain's uuid. `0` is the system group.
    GroupId
);
text_name!(
    /// The id of a user inside its group, such as a CloudStack account's uuid.
    UserId
);
text_name!(
    /// The immutable id of a user, 32 lower-case hexadecimal digits; also the S3 owner id.
    CanonicalId
);
text_name!(
    /// The public half of an S3 credential.
    AccessKeyId
);
text_name!(
    /// The name of a bucket, by the rules of S3: 3 to 63 of `a-z`, `0-9`, `-`, `.`.
    BucketName
);
text_name!(
    /// The id of a multipart upload: 32 lower-case hexadecimal digits, safe in a URL.
    UploadId
);
text_name!(
    /// The id of an object version; `null` where the bucket keeps no versions.
    VersionId
);

impl GroupId {
    /// The id of the group that holds the system administrators.
    pub const SYSTEM: &'static str = "0";

    /// Checks an id given from outside. `ALL` and `*` are wildcards of the Admin API and are refused.
    pub fn new(text: &str) -> Result<Self, Error> {
        check_id("groupId", text)?;
        Ok(Self(text.to_owned()))
    }

    /// The system administrators' group.
    pub fn system() -> Self {
        Self(Self::SYSTEM.to_owned())
    }

    /// Whether this is the system administrators' group.
    pub fn is_system(&self) -> bool {
        self.0 == Self::SYSTEM
    }
}

impl UserId {
    /// Checks an id given from outside.
    pub fn new(text: &str) -> Result<Self, Error> {
        check_id("userId", text)?;
        Ok(Self(text.to_owned()))
    }
}

fn check_id(what: &'static str, text: &str) -> Result<(), Error> {
    let fits = (1..=ID_CHARS_MAX).contains(&text.len());
    // `@` and `.` stand in the ids of older systems (`admin@cloudian.com`).
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@'));
    if !fits || !plain {
        return Err(Error::invalid(what, "must be 1 to 64 of letters, digits, '-', '_', '.' and '@'"));
    }
    if matches!(text, "ALL" | "." | "..") {
        return Err(Error::invalid(what, "is a reserved word"));
    }
    Ok(())
}

impl serde::Serialize for CanonicalId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

/// Reads an id that this store wrote itself.
impl<'de> serde::Deserialize<'de> for CanonicalId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self)
    }
}

impl CanonicalId {
    /// Checks an id given from outside: 32 lower-case hexadecimal digits.
    pub fn new(text: &str) -> Result<Self, Error> {
        hex_of_16(text).map(Self).ok_or_else(|| Error::invalid("canonicalUserId", "must be 32 hexadecimal digits"))
    }

    /// A new random id.
    pub(crate) fn random() -> Self {
        Self(random_hex())
    }
}

impl AccessKeyId {
    /// Checks a key id given from outside: 1 to 128 printable ASCII characters without space, `/`, `:` and `,`.
    pub fn new(text: &str) -> Result<Self, Error> {
        let plain = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b','));
        if text.is_empty() || text.len() > 128 || !plain {
            return Err(Error::invalid("accessKey", "must be 1 to 128 printable characters without '/', ':' and ','"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl BucketName {
    /// Checks a name by the rules of S3.
    pub fn new(text: &str) -> Result<Self, Error> {
        let bytes = text.as_bytes();
        let refuse = |why: &str| Err(Error::invalid("bucket name", why));
        if !(3..=63).contains(&bytes.len()) {
            return refuse("must have 3 to 63 characters");
        }
        if !bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.')) {
            return refuse("may hold only lower-case letters, digits, '-' and '.'");
        }
        let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if !edge(bytes[0]) || !edge(bytes[bytes.len() - 1]) {
            return refuse("must begin and end with a letter or a digit");
        }
        if text.contains("..") || text.contains(".-") || text.contains("-.") {
            return refuse("may not hold '..', '.-' or '-.'");
        }
        if text.parse::<std::net::Ipv4Addr>().is_ok() {
            return refuse("may not look like an IP address");
        }
        Ok(Self(text.to_owned()))
    }
}

impl UploadId {
    /// Checks an id given from outside. A malformed one can name no upload.
    pub fn new(text: &str) -> Result<Self, Error> {
        hex_of_16(text).map(Self).ok_or(Error::NoSuchUpload)
    }

    pub(crate) fn random() -> Self {
        Self(random_hex())
    }
}

impl VersionId {
    /// The version of an object in a bucket that keeps no versions.
    pub const NULL: &'static str = "null";

    /// Checks an id given from outside: `null` or 32 hexadecimal digits.
    pub fn new(text: &str) -> Result<Self, Error> {
        if text == Self::NULL {
            return Ok(Self(text.to_owned()));
        }
        hex_of_16(text).map(Self).ok_or_else(|| Error::invalid("version id", "is malformed"))
    }

    /// The version of an object in a bucket that keeps no versions.
    pub fn null() -> Self {
        Self(Self::NULL.to_owned())
    }

    /// Whether this is the version of a bucket without versions.
    pub fn is_null(&self) -> bool {
        self.0 == Self::NULL
    }
}

/// The key of an object: 1 to 1024 bytes of UTF-8 without NUL. Ordered by its bytes, as S3 lists.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Checks a key given from outside.
    pub fn new(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        if text.is_empty() {
            return Err(Error::invalid("object key", "must not be empty"));
        }
        if text.contains('\0') {
            return Err(Error::invalid("object key", "must not hold NUL"));
        }
        if text.len() > KEY_BYTES_MAX {
            return Err(Error::KeyTooLong);
        }
        Ok(Self(text))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key as bytes, the form in which keys are ordered.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(crate) fn stored(bytes: Vec<u8>) -> Result<Self, Error> {
        String::from_utf8(bytes).map(Self).map_err(|_| Error::corrupt("a stored object key is not UTF-8"))
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

macro_rules! binary_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            pub(crate) fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            pub(crate) fn stored(bytes: &[u8]) -> Result<Self, Error> {
                bytes
                    .try_into()
                    .map(Self)
                    .map_err(|_| Error::corrupt(concat!("a stored ", stringify!($name), " has not 16 bytes")))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, out)
            }
        }
    };
}

binary_id!(
    /// The id of stored content; several versions (copies) may share one.
    ContentId
);
binary_id!(
    /// The id and file name of a blob.
    BlobId
);

impl BlobId {
    /// The id of a blob that has a file of its own. Its highest bit is clear, which tells it from one that says its place in a pack.
    pub(crate) fn random() -> Self {
        let mut bytes: [u8; 16] = rand::random();
        bytes[0] &= 0x7f;
        Self(bytes)
    }

    /// Reads an id back from its hexadecimal form, as a file name has it.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let bytes = hex::decode(text).ok()?;
        Self::stored(&bytes).ok()
    }
}

fn random_hex() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

fn hex_of_16(text: &str) -> Option<String> {
    let fits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_rules_of_s3() {
        for good in ["abc", "a-b.c", "123", "secondary", &"x".repeat(63)] {
            assert!(BucketName::new(good).is_ok(), "{good}");
        }
        for bad in ["ab", "Abc", "a_b", "-ab", "ab-", "a..b", "a.-b", "10.0.0.1", &"x".repeat(64), "größe"] {
            assert!(BucketName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_refuse_wildcards_and_separators() {
        for good in ["0", "admin", "user_483-1", "a109743b-e629-11f1-955b-02fc00000001", "admin@cloudian.com"] {
            assert!(GroupId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "ALL", "*", "a b", "a&b", "a=b", "a|b", "a/b", "é", &"x".repeat(65)] {
            assert!(UserId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_bounded_in_bytes() {
        assert!(ObjectKey::new("é".repeat(512)).is_ok());
        assert!(matches!(ObjectKey::new("é".repeat(513)), Err(Error::KeyTooLong)));
        assert!(ObjectKey::new("").is_err());
    }
}
