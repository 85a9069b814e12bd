//! Carries the signatures of a body in chunks over to the region that its request goes on under: each chunk is compared with the signature that
//! came, and gets the one that it has under the other region. What does not fit goes on as it came, so that the protocol layer refuses it.

use bytes::Bytes;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::error::BodyFault;
use crate::region::keyed;

/// Largest trailer, in bytes: that of the protocol layer.
const TRAILER_BYTES_MAX: usize = 16 << 10;
/// The SHA-256 of nothing, which stands for headers that chunks do not have.
const SHA256_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const BEFORE_SIGNATURE: &str = ";chunk-signature=";
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

/// A chain of signatures, each over the one before.
pub(crate) struct Chain {
    /// The key of a day, a region and a service.
    pub(crate) key: Vec<u8>,
    /// `YYYYMMDDTHHMMSSZ`.
    pub(crate) time: String,
    /// `<date>/<region>/s3/aws4_request`.
    pub(crate) scope: String,
    /// The last signature in hexadecimal; at the beginning that of the request.
    pub(crate) previous: String,
}

impl Chain {
    fn mac(&self, kind: &str, rest: &str) -> Hmac<Sha256> {
        let Self { key, time, scope, previous } = self;
        keyed(key, &format!("{kind}\n{time}\n{scope}\n{previous}\n{rest}"))
    }
}

/// The chain that comes, and the one that goes on in its place.
pub(crate) struct Signatures {
    pub(crate) came: Chain,
    pub(crate) goes: Chain,
}

impl std::fmt::Debug for Signatures {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Signatures").finish_non_exhaustive()
    }
}

impl Signatures {
    /// The next signature that goes on, in the place of one that came; `None` when that does not fit.
    fn next(&mut self, kind: &str, rest: &str, signature: &str) -> Option<String> {
        let given = hex::decode(signature).ok()?;
        self.came.mac(kind, rest).verify_slice(&given).ok()?;
        let next = hex::encode(self.goes.mac(kind, rest).finalize().into_bytes());
        signature.clone_into(&mut self.came.previous);
        self.goes.previous.clone_from(&next);
        Some(next)
    }
}

/// Signs chunks anew. A chunk is held until it is whole, as its signature stands in front of it.
pub(crate) struct Resigner {
    signatures: Signatures,
    header: Vec<u8>,
    data: Vec<Bytes>,
    hash: Sha256,
    trailer: Vec<u8>,
}

impl Resigner {
    pub(crate) fn new(signatures: Signatures) -> Self {
        Self { signatures, header: Vec::new(), data: Vec::new(), hash: Sha256::new(), trailer: Vec::new() }
    }

    /// Begins a chunk: `<size>;chunk-signature=<signature>`, with the end of its line.
    pub(crate) fn begin(&mut self, header: Vec<u8>) {
        self.header = header;
    }

    /// Takes some of the data of a chunk.
    pub(crate) fn add(&mut self, data: Bytes) {
        self.hash.update(&data);
        self.data.push(data);
    }

    /// The chunk, signed anew, to where its data ends.
    pub(crate) fn finish(&mut self) -> Vec<Bytes> {
        let hash = hex::encode(self.hash.finalize_reset());
        let header = std::mem::take(&mut self.header);
        let header = self.resigned(&header, &hash).unwrap_or(header);
        [vec![Bytes::from(header)], std::mem::take(&mut self.data)].concat()
    }

    fn resigned(&mut self, header: &[u8], hash: &str) -> Option<Vec<u8>> {
        let (size, rest) = std::str::from_utf8(header).ok()?.split_once(BEFORE_SIGNATURE)?;
        let rest_signed = format!("{SHA256_OF_NOTHING}\n{hash}");
        let next = self.signatures.next("AWS4-HMAC-SHA256-PAYLOAD", &rest_signed, rest.strip_suffix("\r\n")?)?;
        Some(format!("{size}{BEFORE_SIGNATURE}{next}\r\n").into_bytes())
    }

    /// Takes some of what comes after the last chunk.
    pub(crate) fn add_trailer(&mut self, bytes: &[u8]) -> Result<(), BodyFault> {
        self.trailer.extend_from_slice(bytes);
        let fits = self.trailer.len() <= TRAILER_BYTES_MAX;
        if fits { Ok(()) } else { Err(BodyFault::Framing("the trailer is too long")) }
    }

    /// Whether something is held that is to go on yet.
    pub(crate) fn holds_trailer(&self) -> bool {
        !self.trailer.is_empty()
    }

    /// What came after the last chunk, signed anew where it is signed.
    pub(crate) fn finish_trailer(&mut self) -> Bytes {
        let trailer = std::mem::take(&mut self.trailer);
        self.resigned_trailer(&trailer).map_or_else(|| Bytes::from(trailer), Bytes::from)
    }

    fn resigned_trailer(&mut self, trailer: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(trailer).ok()?;
        let field =
            |line: &str| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        let fields: Vec<(String, String)> = text.lines().filter_map(field).collect();
        let (_, signature) = fields.iter().find(|(name, _)| name == TRAILER_SIGNATURE)?;
        let mut signed: Vec<_> = fields.iter().filter(|(name, _)| name != TRAILER_SIGNATURE).collect();
        signed.sort_by(|a, b| a.0.cmp(&b.0));
        let signed: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let hash = hex::encode(Sha256::digest(signed));
        let next = self.signatures.next("AWS4-HMAC-SHA256-TRAILER", &hash, signature)?;
        Some(text.replace(signature.as_str(), &next))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn chain(region: &str, seed: &str) -> Chain {
        Chain {
            key: region.as_bytes().to_vec(),
            time: "20261129T120000Z".to_owned(),
            scope: format!("20261129/{region}/s3/aws4_request"),
            previous: seed.to_owned(),
        }
    }

    /// Two chains, and a body of chunks and a trailer as it is signed under each.
    pub(crate) fn signed_twice(chunks: &[&[u8]]) -> (Signatures, [Vec<u8>; 2]) {
        let bodies = [("US", "00"), ("us-east-1", "11")].map(|(region, seed)| {
            let mut chain = chain(region, seed);
            let mut body = Vec::new();
            let mut sign = |kind: &str, rest: String| {
                chain.previous = hex::encode(chain.mac(kind, &rest).finalize().into_bytes());
                chain.previous.clone()
            };
            for data in chunks.iter().chain(&[&[][..]]) {
                let rest = format!("{SHA256_OF_NOTHING}\n{}", hex::encode(Sha256::digest(data)));
                let signature = sign("AWS4-HMAC-SHA256-PAYLOAD", rest);
                body.extend(format!("{:x}{BEFORE_SIGNATURE}{signature}\r\n", data.len()).into_bytes());
                if !data.is_empty() {
                    body.extend([data, &b"\r\n"[..]].concat());
                }
            }
            let rest = hex::encode(Sha256::digest("x-amz-checksum-crc32:AAAAAA==\n"));
            let signature = sign("AWS4-HMAC-SHA256-TRAILER", rest);
            let trailer = format!("x-amz-checksum-crc32:AAAAAA==\r\n{TRAILER_SIGNATURE}:{signature}\r\n\r\n");
            body.extend(trailer.into_bytes());
            body
        });
        (Signatures { came: chain("US", "00"), goes: chain("us-east-1", "11") }, bodies)
    }

    #[test]
    fn what_does_not_fit_goes_on_as_it_came() {
        let (signatures, [body, _]) = signed_twice(&[b"hello"]);
        let mut resigner = Resigner::new(signatures);
        let header = body.split_inclusive(|byte| *byte == b'\n').next().expect("a line").to_vec();
        resigner.begin(header.clone());
        resigner.add(Bytes::from_static(b"hellO"));
        assert_eq!(resigner.finish(), [Bytes::from(header), Bytes::from_static(b"hellO")]);
        for trailer in [&b"\r\n"[..], b"x-amz-trailer-signature:00\r\n\r\n", b"x-amz-trailer-signature:\r\n", b"\xff"] {
            resigner.add_trailer(trailer).expect("short");
            assert_eq!(resigner.finish_trailer(), trailer);
        }
        assert!(resigner.add_trailer(&[b'a'; TRAILER_BYTES_MAX + 1]).is_err());
    }
}
