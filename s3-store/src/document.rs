//! Compares a document (the XML body of a request) with every digest that its headers announce, while it is read, and refuses what the
//! protocol layer would misread in it.

use crc_fast::{CrcAlgorithm, Digest as CrcDigest};
use engine::Digests;
use http::HeaderMap;
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::Sha256;

use crate::checksums::announced;
use crate::error::BodyFault;

/// Hashes a document while it is read, and compares at its end. It keeps no byte of it.
pub(crate) struct DocumentCheck {
    announced: Result<Vec<Announced>, BodyFault>,
    read_bytes: usize,
    size_bytes: Option<usize>,
    size_bytes_max: usize,
    checked: bool,
    sections: SectionFinder,
}

/// Looks for CDATA sections. The protocol layer passes them by like comments: what stands in one, a key or a value, would be lost.
#[derive(Default)]
struct SectionFinder {
    /// How much of the beginning of a section was just read.
    matched_bytes: usize,
    /// Whether the document is XML and not JSON; unknown until its first character.
    is_xml: Option<bool>,
}

const SECTION: &[u8] = b"<![CDATA[";

impl SectionFinder {
    /// Whether a section begins in these bytes or began before.
    fn finds(&mut self, data: &[u8]) -> bool {
        for byte in data {
            if self.is_xml.is_none() && (byte.is_ascii_whitespace() || b"\xef\xbb\xbf".contains(byte)) {
                continue;
            }
            if !*self.is_xml.get_or_insert(*byte == b'<') {
                return false;
            }
            if self.matched_bytes < SECTION.len() {
                let goes_on = *byte == SECTION[self.matched_bytes];
                self.matched_bytes = if goes_on { self.matched_bytes + 1 } else { usize::from(*byte == b'<') };
            }
        }
        self.matched_bytes == SECTION.len()
    }
}

/// Whether a document that is in memory has a CDATA section.
pub(crate) fn has_section(document: &str) -> bool {
    SectionFinder::default().finds(document.as_bytes())
}

/// A digest that the headers announce.
struct Announced {
    hasher: Hasher,
    expected: Vec<u8>,
    /// What is wrong when it differs.
    fault: BodyFault,
}

enum Hasher {
    Md5(Md5),
    Sha1(Sha1),
    Sha256(Sha256),
    Crc(CrcDigest),
}

impl Hasher {
    fn update(&mut self, data: &[u8]) {
        match self {
            Self::Md5(hasher) => hasher.update(data),
            Self::Sha1(hasher) => hasher.update(data),
            Self::Sha256(hasher) => hasher.update(data),
            Self::Crc(hasher) => hasher.update(data),
        }
    }

    /// The digest so far; a CRC always has 8 bytes.
    fn digest(&self) -> Vec<u8> {
        match self {
            Self::Md5(hasher) => hasher.clone().finalize().to_vec(),
            Self::Sha1(hasher) => hasher.clone().finalize().to_vec(),
            Self::Sha256(hasher) => hasher.clone().finalize().to_vec(),
            Self::Crc(hasher) => hasher.finalize().to_be_bytes().to_vec(),
        }
    }
}

impl DocumentCheck {
    pub(crate) fn new(
        headers: &HeaderMap,
        size_bytes: Option<usize>,
        size_bytes_max: usize,
        with_checksums: bool,
    ) -> Self {
        let expected = announced(headers).map_err(|_| BodyFault::Digest("checksum"));
        let expected = if with_checksums {
            expected
        } else {
            expected.map(|given| Digests { md5: given.md5, ..Digests::default() })
        };
        let mut all = expected.map(|given| digests_of(&given));
        if let (Ok(all), Some(hash)) = (&mut all, payload_sha256(headers)) {
            all.insert(
                0,
                Announced { hasher: Hasher::Sha256(Sha256::new()), expected: hash, fault: BodyFault::PayloadHash },
            );
        }
        Self {
            announced: all,
            read_bytes: 0,
            size_bytes,
            size_bytes_max,
            checked: false,
            sections: SectionFinder::default(),
        }
    }

    /// Takes bytes that arrived. The comparison is made with the last announced byte: nobody need ask for the end.
    pub(crate) fn take(&mut self, data: &[u8]) -> Result<(), BodyFault> {
        self.read_bytes = self.read_bytes.saturating_add(data.len());
        if self.read_bytes > self.size_bytes_max {
            return Err(BodyFault::TooLarge);
        }
        if self.sections.finds(data) {
            return Err(BodyFault::Section);
        }
        for announced in self.announced.iter_mut().flatten() {
            announced.hasher.update(data);
        }
        if self.size_bytes == Some(self.read_bytes) { self.end() } else { Ok(()) }
    }

    pub(crate) fn end(&mut self) -> Result<(), BodyFault> {
        if std::mem::replace(&mut self.checked, true) {
            return Ok(());
        }
        let announced = self.announced.as_ref().map_err(|fault| *fault)?;
        match announced.iter().find(|announced| announced.hasher.digest() != announced.expected) {
            Some(differs) => Err(differs.fault),
            None => Ok(()),
        }
    }
}

/// The signed hash of the body. What is no hash, such as `UNSIGNED-PAYLOAD`, is none.
fn payload_sha256(headers: &HeaderMap) -> Option<Vec<u8>> {
    let hash = headers.get("x-amz-content-sha256")?.to_str().ok().filter(|hash| hash.len() == 64)?;
    // Text of that length that is no hexadecimal number can equal no hash.
    Some(hex::decode(hash).unwrap_or_default())
}

fn digests_of(given: &Digests) -> Vec<Announced> {
    let plain = |name, hasher, expected: Vec<u8>| Announced { hasher, expected, fault: BodyFault::Digest(name) };
    let crc = |name, algorithm, expected: u64| {
        plain(name, Hasher::Crc(CrcDigest::new(algorithm)), expected.to_be_bytes().to_vec())
    };
    [
        given.md5.map(|digest| plain("Content-MD5", Hasher::Md5(Md5::new()), digest.to_vec())),
        given.sha1.map(|digest| plain("SHA1", Hasher::Sha1(Sha1::new()), digest.to_vec())),
        given.sha256.map(|digest| plain("SHA256", Hasher::Sha256(Sha256::new()), digest.to_vec())),
        given.crc32.map(|digest| crc("CRC32", CrcAlgorithm::Crc32IsoHdlc, u64::from(digest))),
        given.crc32c.map(|digest| crc("CRC32C", CrcAlgorithm::Crc32Iscsi, u64::from(digest))),
        given.crc64nvme.map(|digest| crc("CRC64NVME", CrcAlgorithm::Crc64Nvme, digest)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&'static str, &str)], body: &[u8]) -> Result<(), BodyFault> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, http::HeaderValue::try_from(*value).expect("a header value"));
        }
        let mut check = DocumentCheck::new(&headers, Some(body.len()), 1 << 16, true);
        check.take(&body[..2])?;
        check.take(&body[2..])?;
        check.end()
    }

    /// Digests of `123456789`, as catalogues of checksums list them.
    const GOOD: [(&str, &str); 6] = [
        ("content-md5", "JfnnlDI7RTiF9RgfG2JNCw=="),
        ("x-amz-checksum-crc32", "y/Q5Jg=="),
        ("x-amz-checksum-crc32c", "4waSgw=="),
        ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
        ("x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
        ("x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
    ];

    #[test]
    fn digests_that_fit_pass_and_others_do_not() {
        for (name, value) in GOOD {
            assert_eq!(check(&[(name, value)], b"123456789"), Ok(()), "{name}");
            assert!(matches!(check(&[(name, value)], b"123456780"), Err(BodyFault::Digest(_))), "{name}");
            assert!(matches!(check(&[(name, "AAAA")], b"123456789"), Err(BodyFault::Digest(_))), "{name}");
        }
    }

    #[test]
    fn the_signed_hash_is_compared() {
        let hash = "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225";
        assert_eq!(check(&[("x-amz-content-sha256", hash)], b"123456789"), Ok(()));
        assert_eq!(check(&[("x-amz-content-sha256", hash)], b"123456780"), Err(BodyFault::PayloadHash));
        assert_eq!(check(&[("x-amz-content-sha256", "UNSIGNED-PAYLOAD")], b"123456780"), Ok(()));
        let no_hash = "z".repeat(64);
        assert_eq!(check(&[("x-amz-content-sha256", &no_hash)], b"123456789"), Err(BodyFault::PayloadHash));
    }

    #[test]
    fn sections_are_found_in_xml_however_it_is_cut() {
        let finds = |document: &[u8], step: usize| {
            let mut finder = SectionFinder::default();
            document.chunks(step).any(|piece| finder.finds(piece))
        };
        for step in 1..30 {
            assert!(finds(b"\xef\xbb\xbf <a><![CDATA[x]]></a>", step), "{step}");
            assert!(finds(b"<a><<!<![CDATA[x]]></a>", step), "{step}");
            assert!(!finds(b"<a><![CDATA x</a>", step), "{step}");
            assert!(!finds(b"{\"Sid\":\"<![CDATA[\"}", step), "{step}");
        }
    }

    #[test]
    fn a_document_has_a_limit() {
        let mut check = DocumentCheck::new(&HeaderMap::new(), None, 4, true);
        assert_eq!(check.take(b"1234"), Ok(()));
        assert_eq!(check.take(b"5"), Err(BodyFault::TooLarge));
    }
}
