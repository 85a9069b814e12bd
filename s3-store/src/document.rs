//! Compares a document (the XML body of a request) with every digest that its headers announce, while it is read.

use crc_fast::CrcAlgorithm;
use engine::Digests;
use http::HeaderMap;
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::Sha256;

use crate::checksums::announced;
use crate::error::BodyFault;

/// Hashes a document and compares at its end.
pub(crate) struct DocumentCheck {
    expected: Result<Digests, BodyFault>,
    payload_sha256: Option<String>,
    bytes: Vec<u8>,
    size_bytes: Option<usize>,
    size_bytes_max: usize,
    checked: bool,
}

impl DocumentCheck {
    pub(crate) fn new(
        headers: &HeaderMap,
        size_bytes: Option<usize>,
        size_bytes_max: usize,
        with_checksums: bool,
    ) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let payload_sha256 = text("x-amz-content-sha256").filter(|hash| hash.len() == 64).map(str::to_ascii_lowercase);
        let expected = announced(headers).map_err(|_| BodyFault::Digest("checksum"));
        let expected = if with_checksums {
            expected
        } else {
            expected.map(|given| Digests { md5: given.md5, ..Digests::default() })
        };
        Self { expected, payload_sha256, bytes: Vec::new(), size_bytes, size_bytes_max, checked: false }
    }

    /// Takes bytes that arrived. The comparison is made with the last announced byte: nobody need ask for the end.
    pub(crate) fn take(&mut self, data: &[u8]) -> Result<(), BodyFault> {
        if self.bytes.len() + data.len() > self.size_bytes_max {
            return Err(BodyFault::TooLarge);
        }
        self.bytes.extend_from_slice(data);
        if self.size_bytes == Some(self.bytes.len()) { self.end() } else { Ok(()) }
    }

    pub(crate) fn end(&mut self) -> Result<(), BodyFault> {
        if std::mem::replace(&mut self.checked, true) {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.bytes);
        let sha256 = || <[u8; 32]>::from(Sha256::digest(&bytes));
        if self.payload_sha256.as_ref().is_some_and(|hash| *hash != hex::encode(sha256())) {
            return Err(BodyFault::PayloadHash);
        }
        let expected = self.expected.as_ref().map_err(|fault| *fault)?;
        let crc = |algorithm| crc_fast::checksum(algorithm, &bytes);
        let differs = [
            ("Content-MD5", expected.md5.is_some_and(|given| given != <[u8; 16]>::from(Md5::digest(&bytes)))),
            ("SHA1", expected.sha1.is_some_and(|given| given != <[u8; 20]>::from(Sha1::digest(&bytes)))),
            ("SHA256", expected.sha256.is_some_and(|given| given != sha256())),
            ("CRC32", expected.crc32.is_some_and(|given| u64::from(given) != crc(CrcAlgorithm::Crc32IsoHdlc))),
            ("CRC32C", expected.crc32c.is_some_and(|given| u64::from(given) != crc(CrcAlgorithm::Crc32Iscsi))),
            ("CRC64NVME", expected.crc64nvme.is_some_and(|given| given != crc(CrcAlgorithm::Crc64Nvme))),
        ];
        match differs.into_iter().find(|(_, differs)| *differs) {
            Some((name, _)) => Err(BodyFault::Digest(name)),
            None => Ok(()),
        }
    }
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
    }

    #[test]
    fn a_document_has_a_limit() {
        let mut check = DocumentCheck::new(&HeaderMap::new(), None, 4, true);
        assert_eq!(check.take(b"1234"), Ok(()));
        assert_eq!(check.take(b"5"), Err(BodyFault::TooLarge));
    }
}
