//! Bodies of PUTs: as they are, or cut into signed chunks.

use std::convert::Infallible;

use bytes::Bytes;
use clap::ValueEnum;
use futures::stream;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::content::{BLOCK_BYTES, Content, Piece};
use crate::endpoint::{Endpoint, SendBody};
use crate::sign::{self, ChunkSigner};

/// The size of the signed chunks, as the AWS SDK for Java cuts them.
const CHUNK_BYTES: usize = 128 << 10;
/// Bytes that a signed chunk has besides its data and the digits of its length.
const CHUNK_EXTRA_BYTES: u64 = (";chunk-signature=".len() + 64 + 2 + 2) as u64;

/// How a PUT proves its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Payload {
    /// Not at all: `UNSIGNED-PAYLOAD`, as clients do over TLS
    Unsigned,
    /// By the SHA-256 of the whole, in the signature
    Signed,
    /// By a signature of each chunk: `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`
    Chunked,
}

impl Payload {
    /// The word for the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Signed => "signed",
            Self::Chunked => "chunked",
        }
    }

    /// The value of `x-amz-content-sha256`.
    pub(crate) fn announced(self, endpoint: &Endpoint, piece: Piece) -> String {
        match self {
            Self::Unsigned => sign::UNSIGNED.to_owned(),
            Self::Signed => endpoint.sha256(piece),
            Self::Chunked => sign::CHUNKED.to_owned(),
        }
    }

    /// How long the body is on the wire.
    pub(crate) fn wire_bytes(self, piece: Piece) -> u64 {
        match self {
            Self::Unsigned | Self::Signed => piece.size_bytes,
            Self::Chunked => chunked_bytes(piece.size_bytes),
        }
    }

    /// The body; `chunks` goes on from the signature of the request.
    pub(crate) fn body(self, content: &Content, piece: Piece, chunks: ChunkSigner) -> SendBody {
        match self {
            Self::Chunked => StreamBody::new(stream::iter(signed_chunks(content, piece, chunks))).boxed_unsync(),
            Self::Unsigned | Self::Signed if piece.size_bytes <= BLOCK_BYTES as u64 => {
                Full::new(content.blocks(piece).next().unwrap_or_default()).boxed_unsync()
            }
            Self::Unsigned | Self::Signed => {
                let frames = content.blocks(piece).map(|block| Ok(Frame::data(block)));
                StreamBody::new(stream::iter(frames)).boxed_unsync()
            }
        }
    }
}

/// The SHA-256 of a body in hexadecimal digits.
pub(crate) fn sha256_of(content: &Content, piece: Piece) -> String {
    let mut hash = Sha256::new();
    content.blocks(piece).for_each(|block| hash.update(&block));
    hex::encode(hash.finalize())
}

/// How long a body is with the signatures of its chunks.
fn chunked_bytes(size_bytes: u64) -> u64 {
    let one = |size: u64| format!("{size:x}").len() as u64 + CHUNK_EXTRA_BYTES + size;
    let (whole, rest) = (size_bytes / CHUNK_BYTES as u64, size_bytes % CHUNK_BYTES as u64);
    whole * one(CHUNK_BYTES as u64) + if rest > 0 { one(rest) } else { 0 } + one(0)
}

fn signed_chunks(
    content: &Content,
    piece: Piece,
    mut signer: ChunkSigner,
) -> impl Iterator<Item = Result<Frame<Bytes>, Infallible>> + Send + use<> {
    let cut = |block: Bytes| {
        let starts = (0..block.len()).step_by(CHUNK_BYTES);
        starts.map(move |start| block.slice(start..block.len().min(start + CHUNK_BYTES))).collect::<Vec<_>>()
    };
    let chunks = content.blocks(piece).flat_map(cut).chain([Bytes::new()]);
    chunks.flat_map(move |chunk| {
        let line = Bytes::from(signer.line(&chunk));
        [line, chunk, Bytes::from_static(b"\r\n")].map(|part| Ok(Frame::data(part)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::{Signer, ToSign};
    use time::OffsetDateTime;

    #[test]
    fn a_chunked_body_has_the_announced_length() {
        let signer = Signer::new("AKIAIOSFODNN7EXAMPLE".to_owned(), "secret".into(), "us-east-1".to_owned());
        for size_bytes in [0, 1, 4096, CHUNK_BYTES as u64, 300_000, 2 * BLOCK_BYTES as u64 + 5] {
            let request =
                ToSign { method: "PUT", host: "h", path: "/", query: "", content: sign::CHUNKED, decoded_length: None };
            let chunks = signer.sign(&request, OffsetDateTime::UNIX_EPOCH).unwrap().chunks;
            let piece = Piece::whole(1, size_bytes);
            let frames = signed_chunks(&Content::new(), piece, chunks);
            let sent: usize = frames.map(|frame| frame.unwrap().into_data().unwrap().len()).sum();
            assert_eq!(sent as u64, Payload::Chunked.wire_bytes(piece), "{size_bytes} bytes");
        }
    }

    #[test]
    fn what_is_announced_is_the_hash_of_what_is_sent() {
        let signer = Signer::new("key".to_owned(), "secret".into(), "us-east-1".to_owned());
        let endpoint = Endpoint::new("http://127.0.0.1:1", None, signer, "b".to_owned()).unwrap();
        let whole: Vec<u8> = endpoint.content.blocks(Piece::whole(4, 3_000_000)).flatten().collect();
        for piece in Piece::parts(4, 3_000_000, BLOCK_BYTES as u64) {
            let sent = &whole[piece.offset as usize..(piece.offset + piece.size_bytes) as usize];
            assert_eq!(Payload::Signed.announced(&endpoint, piece), sign::sha256_hex(sent));
        }
    }
}
