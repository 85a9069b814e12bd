//! Checksums between the base64 of headers and documents, and the engine's digests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::{Body, ByteStream, ChecksumAlgorithm, Digests, ObjectInfo, Part, Trailer};
use http::HeaderMap;
use s3s::dto::{self, StreamingBlob};
use s3s::{S3Error, S3Result, TrailingHeaders, s3_error};

use crate::error::BodyFault;

/// Digests that headers announce: `Content-MD5` and at most one `x-amz-checksum-*`.
pub(crate) fn announced(headers: &HeaderMap) -> S3Result<Digests> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    for name in headers.keys().filter_map(|name| name.as_str().strip_prefix("x-amz-checksum-")) {
        // Of another algorithm nothing could be compared, and the client would believe that it was.
        if !matches!(name, "algorithm" | "mode" | "type") {
            let _ = algorithm(name)?;
        }
    }
    let mut digests = checksums(|name| text(&format!("x-amz-checksum-{name}")))?;
    if let Some(md5) = text("content-md5") {
        let md5 = decode(md5).ok_or_else(|| s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid."))?;
        digests.md5 = Some(md5);
    }
    Ok(digests)
}

/// The checksum of the whole object in the headers of a Complete. Its `Content-MD5` is the document's, not the object's.
pub(crate) fn whole(headers: &HeaderMap) -> S3Result<Digests> {
    announced(headers).map(|digests| Digests { md5: None, ..digests })
}

/// The checksum among `crc32`, `crc32c`, `crc64nvme`, `sha1` and `sha256` that is given in base64.
pub(crate) fn checksums<'a>(given: impl Fn(&str) -> Option<&'a str>) -> S3Result<Digests> {
    let digests = Digests {
        md5: None,
        crc32: one(&given, "crc32")?.map(u32::from_be_bytes),
        crc32c: one(&given, "crc32c")?.map(u32::from_be_bytes),
        crc64nvme: one(&given, "crc64nvme")?.map(u64::from_be_bytes),
        sha1: one(&given, "sha1")?,
        sha256: one(&given, "sha256")?,
    };
    if algorithms_of(&digests).count() > 1 {
        return Err(s3_error!(
            InvalidRequest,
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        ));
    }
    Ok(digests)
}

fn one<'a, const N: usize>(given: &impl Fn(&str) -> Option<&'a str>, name: &str) -> S3Result<Option<[u8; N]>> {
    // The composite checksum of a whole upload carries the number of its parts, which the parts themselves tell.
    let Some(text) = given(name).map(|text| text.split_once('-').map_or(text, |(checksum, _)| checksum)) else {
        return Ok(None);
    };
    let value = decode(text);
    // No body has a checksum that is none.
    value.map(Some).ok_or_else(|| s3_error!(BadDigest, "Value for x-amz-checksum-{name} header is invalid."))
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD.decode(text.trim()).ok()?.try_into().ok()
}

pub(crate) fn algorithms_of(digests: &Digests) -> impl Iterator<Item = ChecksumAlgorithm> {
    let all = [
        (digests.crc32.is_some(), ChecksumAlgorithm::Crc32),
        (digests.crc32c.is_some(), ChecksumAlgorithm::Crc32c),
        (digests.sha1.is_some(), ChecksumAlgorithm::Sha1),
        (digests.sha256.is_some(), ChecksumAlgorithm::Sha256),
        (digests.crc64nvme.is_some(), ChecksumAlgorithm::Crc64Nvme),
    ];
    all.into_iter().filter_map(|(given, algorithm)| given.then_some(algorithm))
}

/// The algorithm of that name.
pub(crate) fn algorithm(name: &str) -> S3Result<ChecksumAlgorithm> {
    match name.to_ascii_uppercase().as_str() {
        "CRC32" => Ok(ChecksumAlgorithm::Crc32),
        "CRC32C" => Ok(ChecksumAlgorithm::Crc32c),
        "CRC64NVME" => Ok(ChecksumAlgorithm::Crc64Nvme),
        "SHA1" => Ok(ChecksumAlgorithm::Sha1),
        "SHA256" => Ok(ChecksumAlgorithm::Sha256),
        _ => Err(s3_error!(
            InvalidRequest,
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"
        )),
    }
}

/// The name of an algorithm.
pub(crate) fn algorithm_name(algorithm: ChecksumAlgorithm) -> dto::ChecksumAlgorithm {
    dto::ChecksumAlgorithm::from_static(match algorithm {
        ChecksumAlgorithm::Crc32 => dto::ChecksumAlgorithm::CRC32,
        ChecksumAlgorithm::Crc32c => dto::ChecksumAlgorithm::CRC32C,
        ChecksumAlgorithm::Crc64Nvme => dto::ChecksumAlgorithm::CRC64NVME,
        ChecksumAlgorithm::Sha1 => dto::ChecksumAlgorithm::SHA1,
        ChecksumAlgorithm::Sha256 => dto::ChecksumAlgorithm::SHA256,
    })
}

/// How the checksum of a whole upload is made, as a name.
pub(crate) fn kind_name(kind: engine::ChecksumType) -> dto::ChecksumType {
    dto::ChecksumType::from_static(match kind {
        engine::ChecksumType::FullObject => dto::ChecksumType::FULL_OBJECT,
        engine::ChecksumType::Composite => dto::ChecksumType::COMPOSITE,
    })
}

/// The body of an object or part: its announced length, digests and trailer.
pub(crate) fn body(
    blob: Option<StreamingBlob>,
    headers: &HeaderMap,
    trailing: Option<TrailingHeaders>,
) -> S3Result<Body> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_chunked = text("x-amz-content-sha256").is_some_and(|value| value.starts_with("STREAMING-"));
    let length = if is_chunked { text("x-amz-decoded-content-length") } else { text("content-length") };
    let size_bytes = length.and_then(|length| length.parse().ok()).ok_or_else(|| s3_error!(MissingContentLength))?;
    let stream: ByteStream = match blob {
        Some(blob) => Box::pin(blob),
        None => Box::pin(futures::stream::empty()),
    };
    let expected = announced(headers)?;
    let mut keep: Vec<_> = algorithms_of(&expected).collect();
    let asked =
        text("x-amz-sdk-checksum-algorithm").or_else(|| text("x-amz-checksum-algorithm")).map(algorithm).transpose()?;
    let trailer = text("x-amz-trailer").map(|name| trailer(name, trailing)).transpose()?;
    let (trailer, trailed) = trailer.unzip();
    keep.extend(
        asked.into_iter().chain(trailed).filter(|algorithm| !algorithms_of(&expected).any(|known| known == *algorithm)),
    );
    keep.dedup();
    Ok(Body { size_bytes: Some(size_bytes), expected, trailer, keep, ..Body::new(stream) })
}

/// The checksum that stands behind the body. What was announced must come: else a cut connection would pass for a whole body.
fn trailer(name: &str, trailing: Option<TrailingHeaders>) -> S3Result<(Trailer, ChecksumAlgorithm)> {
    let name = name.trim().to_ascii_lowercase();
    let given = name.strip_prefix("x-amz-checksum-").map(algorithm);
    let (Some(Ok(given)), Some(trailing)) = (given, trailing) else {
        return Err(s3_error!(InvalidRequest, "The value specified in the x-amz-trailer header is not supported"));
    };
    let read = move || {
        let headers = trailing.take().ok_or(BodyFault::Trailer)?;
        let value = headers.get(&name).and_then(|value| value.to_str().ok()).ok_or(BodyFault::Trailer)?;
        let short = name.strip_prefix("x-amz-checksum-").unwrap_or_default();
        Ok(checksums(|other| (other == short).then_some(value)).map_err(|_| BodyFault::Trailer)?)
    };
    Ok((Box::new(read), given))
}

/// Checksums as answers show them: one algorithm, in base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) crc32: Option<String>,
    pub(crate) crc32c: Option<String>,
    pub(crate) crc64nvme: Option<String>,
    pub(crate) sha1: Option<String>,
    pub(crate) sha256: Option<String>,
    pub(crate) kind: Option<dto::ChecksumType>,
}

impl Shown {
    /// The checksum of an object: the one its client chose, else the one that is always made.
    pub(crate) fn of_object(info: &ObjectInfo) -> Self {
        let Some(algorithm) = algorithms_of(&info.checksums).next() else { return Self::default() };
        let kind = info.checksum_type;
        let parts = match kind {
            engine::ChecksumType::Composite => info.parts_count.map(|count| format!("-{count}")),
            engine::ChecksumType::FullObject => None,
        };
        let mut shown = Self::of(&info.checksums, algorithm, &parts.unwrap_or_default());
        shown.kind = Some(kind_name(kind));
        shown
    }

    /// The checksum of a part.
    pub(crate) fn of_part(part: &Part) -> Self {
        Self::of_digests(&part.checksums)
    }

    /// The first of some checksums.
    pub(crate) fn of_digests(digests: &Digests) -> Self {
        algorithms_of(digests).next().map(|algorithm| Self::of(digests, algorithm, "")).unwrap_or_default()
    }

    fn of(digests: &Digests, algorithm: ChecksumAlgorithm, suffix: &str) -> Self {
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| STANDARD.encode(bytes) + suffix);
        let crc32 = digests.crc32.map(u32::to_be_bytes);
        let crc32c = digests.crc32c.map(u32::to_be_bytes);
        let crc64nvme = digests.crc64nvme.map(u64::to_be_bytes);
        let none = Self::default();
        match algorithm {
            ChecksumAlgorithm::Crc32 => Self { crc32: text(crc32.as_ref().map(<[u8; 4]>::as_slice)), ..none },
            ChecksumAlgorithm::Crc32c => Self { crc32c: text(crc32c.as_ref().map(<[u8; 4]>::as_slice)), ..none },
            ChecksumAlgorithm::Crc64Nvme => {
                Self { crc64nvme: text(crc64nvme.as_ref().map(<[u8; 8]>::as_slice)), ..none }
            }
            ChecksumAlgorithm::Sha1 => Self { sha1: text(digests.sha1.as_ref().map(<[u8; 20]>::as_slice)), ..none },
            ChecksumAlgorithm::Sha256 => {
                Self { sha256: text(digests.sha256.as_ref().map(<[u8; 32]>::as_slice)), ..none }
            }
        }
    }
}

/// Puts the shown checksums into an answer of the protocol layer.
macro_rules! show_checksums {
    ($output:expr, $shown:expr) => {{
        let shown = $shown;
        $output.checksum_crc32 = shown.crc32;
        $output.checksum_crc32c = shown.crc32c;
        $output.checksum_crc64nvme = shown.crc64nvme;
        $output.checksum_sha1 = shown.sha1;
        $output.checksum_sha256 = shown.sha256;
    }};
}
pub(crate) use show_checksums;

/// Reads the checksum that a part of a Complete request repeats.
pub(crate) fn of_completed(part: &dto::CompletedPart) -> Result<Digests, S3Error> {
    checksums(|name| match name {
        "crc32" => part.checksum_crc32.as_deref(),
        "crc32c" => part.checksum_crc32c.as_deref(),
        "crc64nvme" => part.checksum_crc64nvme.as_deref(),
        "sha1" => part.checksum_sha1.as_deref(),
        _ => part.checksum_sha256.as_deref(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().expect("name"), value.parse().expect("value"))).collect()
    }

    #[test]
    fn one_checksum_beside_content_md5_is_taken() {
        let given =
            announced(&headers(&[("content-md5", "JfnnlDI7RTiF9RgfG2JNCw=="), ("x-amz-checksum-crc32", "y/Q5Jg==")]));
        let digests = given.expect("valid");
        assert_eq!(digests.crc32, Some(0xcbf4_3926));
        assert_eq!(digests.md5.map(hex::encode).as_deref(), Some("25f9e794323b453885f5181f1b624d0b"));
    }

    #[test]
    fn malformed_and_double_checksums_are_refused() {
        for pairs in [
            &[("x-amz-checksum-crc32", "y/Q5")][..],
            &[("x-amz-checksum-sha256", "not base64")],
            &[("content-md5", "AAAA")],
            &[("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-crc32c", "4waSgw==")],
        ] {
            assert!(announced(&headers(pairs)).is_err(), "{pairs:?}");
        }
    }

    #[test]
    fn a_checksum_that_nobody_can_compare_is_refused() {
        assert!(announced(&headers(&[("x-amz-checksum-sha512", "AAAA")])).is_err());
        let described = [("x-amz-checksum-type", "FULL_OBJECT"), ("x-amz-checksum-algorithm", "CRC32")];
        assert_eq!(announced(&headers(&described)).expect("they describe, and are none"), Digests::default());
    }

    #[test]
    fn the_number_of_parts_is_no_part_of_the_checksum() {
        let digests = checksums(|name| (name == "crc32").then_some("y/Q5Jg==-3")).expect("valid");
        assert_eq!(digests.crc32, Some(0xcbf4_3926));
    }

    #[test]
    fn a_trailer_must_be_a_known_checksum() {
        assert!(trailer("x-amz-checksum-md5", None).is_err());
        assert!(trailer("x-amz-meta-a", None).is_err());
        assert!(trailer("x-amz-checksum-crc32", None).is_err(), "announced, but the body has no trailer");
    }
}
