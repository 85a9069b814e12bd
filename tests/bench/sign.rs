//! AWS Signature Version 4 for the requests of the load, with a signing key that is made once a day.
//! Source: "Signature Calculations for the Authorization Header" of the Amazon S3 API reference.

use std::sync::Mutex;

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

/// What `x-amz-content-sha256` says when the body is not signed.
pub(crate) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// What it says when each chunk of the body is signed.
pub(crate) const CHUNKED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";

/// Signs for one key pair.
#[derive(Debug)]
pub(crate) struct Signer {
    access_key: String,
    secret_key: SecretString,
    region: String,
    /// The day of the newest signing key, and the key.
    newest: Mutex<(String, [u8; 32])>,
}

/// A request to be signed. Paths and queries are already encoded as they are sent; a query is sorted.
#[derive(Debug)]
pub(crate) struct ToSign<'a> {
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    /// The value of `x-amz-content-sha256`.
    pub(crate) content: &'a str,
    /// The value of `x-amz-decoded-content-length`, which chunked bodies have.
    pub(crate) decoded_length: Option<&'a str>,
}

/// What a signed request carries.
#[derive(Debug)]
pub(crate) struct Signed {
    /// The `Authorization` header.
    pub(crate) authorization: String,
    /// The `x-amz-date` header.
    pub(crate) date: String,
    /// Signs the chunks of a chunked body, one after the other.
    pub(crate) chunks: ChunkSigner,
}

/// Signs each chunk with the signature before it.
#[derive(Debug)]
pub(crate) struct ChunkSigner {
    key: [u8; 32],
    date: String,
    scope: String,
    previous: String,
}

impl Signer {
    pub(crate) fn new(access_key: String, secret_key: SecretString, region: String) -> Self {
        Self { access_key, secret_key, region, newest: Mutex::new((String::new(), [0; 32])) }
    }

    pub(crate) fn sign(&self, request: &ToSign<'_>, at: OffsetDateTime) -> anyhow::Result<Signed> {
        let date = at.format(format_description!("[year][month][day]T[hour][minute][second]Z"))?;
        let ToSign { method, host, path, query, content, decoded_length } = request;
        let mut names = "host;x-amz-content-sha256;x-amz-date".to_owned();
        let mut headers = format!("host:{host}\nx-amz-content-sha256:{content}\nx-amz-date:{date}\n");
        if let Some(length) = decoded_length {
            names.push_str(";x-amz-decoded-content-length");
            headers.push_str(&format!("x-amz-decoded-content-length:{length}\n"));
        }
        let canonical = format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{content}");
        let (day, region) = (&date[..8], &self.region);
        let scope = format!("{day}/{region}/s3/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256_hex(canonical.as_bytes()));
        let key = self.key(day);
        let signature = hex::encode(hmac(&key, &text));
        let credential = &self.access_key;
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={credential}/{scope}, SignedHeaders={names}, Signature={signature}");
        let chunks = ChunkSigner { key, date: date.clone(), scope, previous: signature };
        Ok(Signed { authorization, date, chunks })
    }

    fn key(&self, day: &str) -> [u8; 32] {
        // A poisoned lock only means that a thread panicked between two plain assignments.
        let mut newest = self.newest.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if newest.0 != day {
            let first = format!("AWS4{}", self.secret_key.expose_secret());
            let words = [day, &self.region, "s3", "aws4_request"];
            let [day_key, rest @ ..] = words;
            let mut key = hmac(first.as_bytes(), day_key);
            for word in rest {
                key = hmac(&key, word);
            }
            *newest = (day.to_owned(), key);
        }
        newest.1
    }
}

impl ChunkSigner {
    /// The line before a chunk; the last chunk is empty.
    pub(crate) fn line(&mut self, chunk: &[u8]) -> String {
        let (date, scope, previous) = (&self.date, &self.scope, &self.previous);
        let empty = sha256_hex(b"");
        let text = format!("AWS4-HMAC-SHA256-PAYLOAD\n{date}\n{scope}\n{previous}\n{empty}\n{}", sha256_hex(chunk));
        self.previous = hex::encode(hmac(&self.key, &text));
        format!("{:x};chunk-signature={}\r\n", chunk.len(), self.previous)
    }
}

pub(crate) fn sha256_hex(data: &[u8]) -> String {
    hex::encode(Sha256::digest(data))
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const AT: OffsetDateTime = datetime!(2013-05-24 00:00:00 UTC);

    fn signer() -> Signer {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into();
        Signer::new("AKIAIOSFODNN7EXAMPLE".to_owned(), secret, "us-east-1".to_owned())
    }

    /// "GET Bucket (List Objects)" of the reference's examples, which signs just the headers that are signed here.
    #[test]
    fn a_request_of_the_reference_gets_the_signature_of_the_reference() {
        let request = ToSign {
            method: "GET",
            host: "examplebucket.s3.amazonaws.com",
            path: "/",
            query: "max-keys=2&prefix=J",
            content: &sha256_hex(b""),
            decoded_length: None,
        };
        for _ in 0..2 {
            let signed = signer().sign(&request, AT).unwrap();
            assert_eq!(signed.date, "20130524T000000Z");
            let expected = "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
            assert!(signed.authorization.ends_with(expected), "{}", signed.authorization);
        }
    }

    /// "Signature Calculations: Transferring Payload in Multiple Chunks", from its seed signature on.
    #[test]
    fn chunks_of_the_reference_get_the_signatures_of_the_reference() {
        let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
        let mut chunks = ChunkSigner {
            key: signer().key("20130524"),
            date: "20130524T000000Z".to_owned(),
            scope: "20130524/us-east-1/s3/aws4_request".to_owned(),
            previous: seed.to_owned(),
        };
        let lines = [65_536, 1024, 0].map(|size| chunks.line(&vec![b'a'; size]));
        let signature = |line: &str| line.trim_end().split_once('=').unwrap().1.to_owned();
        assert_eq!(signature(&lines[0]), "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648");
        assert_eq!(signature(&lines[1]), "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497");
        assert_eq!(signature(&lines[2]), "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9");
        assert!(lines[0].starts_with("10000;chunk-signature=") && lines[0].ends_with("\r\n"));
    }
}
