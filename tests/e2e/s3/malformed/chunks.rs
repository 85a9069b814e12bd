//! Bodies in `aws-chunked` framing, and what can be wrong with them. Signatures are made over what is sent, so that only what was meant
//! to be wrong is wrong.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt as _;
use rand::rngs::StdRng;
use sha1::{Digest as _, Sha1};
use tests::sha256;

use super::pools::{any, number, pick};
use super::request::Request;
use super::sign::Stamp;

/// How a body is cut, signed and broken.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    is_signed: bool,
    chunk_size: usize,
    /// The announced trailer.
    trailer: Option<&'static str>,
    damages: usize,
}

/// A chunk or the end as it is sent.
struct Piece {
    size: Vec<u8>,
    signature: Option<Vec<u8>>,
    line_end: Vec<u8>,
    data: Vec<u8>,
    end: Vec<u8>,
}

impl Plan {
    pub(super) fn any(random: &mut StdRng) -> Self {
        let is_signed = random.random_bool(0.6);
        let trailer = (!is_signed || random.random_bool(0.5)).then_some("x-amz-checksum-sha1");
        Self { is_signed, chunk_size: *pick(random, &[1, 7, 100, 8192, 65_536]), trailer, damages: 0 }
    }

    /// Breaks the framing at so many places.
    pub(super) fn broken(self, damages: usize) -> Self {
        Self { damages, ..self }
    }

    /// Adds the headers that chunked bodies have, where they are not there already, and gives the value of `x-amz-content-sha256`.
    pub(super) fn announce(&self, request: &mut Request) -> String {
        let length = request.body.len().to_string();
        let headers = [
            ("content-encoding", Some("aws-chunked")),
            ("x-amz-decoded-content-length", Some(length.as_str())),
            ("x-amz-trailer", self.trailer),
        ];
        for (name, value) in headers {
            if let Some(value) = value.filter(|_| !request.has(name)) {
                request.add(name, value);
            }
        }
        match (self.is_signed, self.trailer.is_some()) {
            (true, true) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".to_owned(),
            (true, false) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned(),
            (false, _) => "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned(),
        }
    }

    /// The framed body.
    pub(super) fn frame(&self, body: &[u8], seed: &str, stamp: &Stamp, random: &mut StdRng) -> Vec<u8> {
        let mut previous = seed.to_owned();
        let mut pieces = Vec::new();
        for data in body.chunks(self.chunk_size).chain([&[][..]]) {
            let is_last = data.is_empty();
            let signature = self.is_signed.then(|| {
                let rest = format!("{previous}\n{}\n{}", sha256(b""), sha256(data));
                previous = stamp.mac_of("AWS4-HMAC-SHA256-PAYLOAD", &rest);
                previous.clone().into_bytes()
            });
            let end = if is_last && self.trailer.is_some() { Vec::new() } else { b"\r\n".to_vec() };
            let size = format!("{:x}", data.len()).into_bytes();
            pieces.push(Piece { size, signature, line_end: b"\r\n".to_vec(), data: data.to_vec(), end });
        }
        let mut trailer = self.trailer_of(body, &previous, stamp, random);
        for _ in 0..self.damages {
            damage(&mut pieces, &mut trailer, random);
        }
        let mut framed: Vec<u8> = pieces.into_iter().flat_map(Piece::bytes).collect();
        framed.extend(trailer);
        framed
    }

    /// The trailer with its signature, which may cover a trailer that is wrong.
    fn trailer_of(&self, body: &[u8], previous: &str, stamp: &Stamp, random: &mut StdRng) -> Vec<u8> {
        let Some(name) = self.trailer else { return Vec::new() };
        let checksum = STANDARD.encode(Sha1::digest(body)).into_bytes();
        let is_broken = self.damages > 0 && random.random_bool(0.3);
        let (name, value) = match random.random_range(0..4) {
            _ if !is_broken => (name.as_bytes().to_vec(), checksum),
            0 => (name.as_bytes().to_vec(), any(random)),
            1 => (any(random), checksum),
            2 => (
                pick(random, &["x-amz-checksum-crc32", "x-amz-meta-a", "host", "x-amz-trailer-signature"])
                    .as_bytes()
                    .to_vec(),
                checksum,
            ),
            _ => (name.as_bytes().to_vec(), vec![b'A'; 20_000]),
        };
        let mut trailer = [&name, &b":"[..], &value, b"\r\n"].concat();
        if self.is_signed {
            let line = [&name, &b":"[..], &value, b"\n"].concat();
            let signature = stamp.mac_of("AWS4-HMAC-SHA256-TRAILER", &format!("{previous}\n{}", sha256(&line)));
            trailer.extend(format!("x-amz-trailer-signature:{signature}\r\n").bytes());
        }
        trailer.extend(b"\r\n");
        trailer
    }
}

impl Piece {
    fn bytes(self) -> Vec<u8> {
        let signature =
            self.signature.map(|signature| [&b";chunk-signature="[..], &signature].concat()).unwrap_or_default();
        [self.size, signature, self.line_end, self.data, self.end].concat()
    }
}

fn damage(pieces: &mut Vec<Piece>, trailer: &mut Vec<u8>, random: &mut StdRng) {
    let at = random.random_range(0..pieces.len());
    let size = pieces[at].data.len();
    match random.random_range(0..18) {
        0 => pieces[at].size = number(random),
        1 => pieces[at].size = format!("{:x}", size + random.random_range(1..100)).into_bytes(),
        2 => pieces[at].size = format!("{:x}", size.saturating_sub(random.random_range(1..100))).into_bytes(),
        3 => {
            let sizes = [
                "ffffffff",
                "7fffffff",
                "100000000",
                "ffffffffffffffff",
                "fffffffffffffff",
                "10000000000000000",
                "-1",
                "0x5",
                "zz",
                "",
            ];
            pieces[at].size = pick(random, &sizes).as_bytes().to_vec();
        }
        4 => pieces[at].size.extend_from_slice(&b";a=b;c"[..]),
        5 => pieces[at].size.extend(vec![b' '; *pick(random, &[1, 1000, 2000, 100_000])]),
        6 => pieces[at].signature = None,
        7 => pieces[at].signature = Some(any(random)),
        8 => pieces[at].signature = Some(vec![b'0'; *pick(random, &[63, 64, 65, 5000])]),
        9 => pieces[at].line_end = pick(random, &[&b"\n"[..], b"\r", b"", b"\r\r\n", b" \r\n", b"\0\r\n"]).to_vec(),
        10 => pieces[at].end = pick(random, &[&b""[..], b"\n", b"\r", b"\r\n\r\n", b"xx", b"\n\r", b"0\r\n"]).to_vec(),
        11 if size > 0 => pieces[at].data[0] ^= 1,
        12 => drop(pieces.remove(at)),
        13 => {
            let piece = Piece {
                size: b"0".to_vec(),
                signature: None,
                line_end: b"\r\n".to_vec(),
                data: Vec::new(),
                end: b"\r\n".to_vec(),
            };
            pieces.insert(at, piece);
        }
        14 => pieces.truncate(at + 1),
        15 => trailer.extend(any(random)),
        16 => {
            *trailer = match random.random_range(0..6) {
                0 => Vec::new(),
                1 => b"\r\n".repeat(random.random_range(1..2000)),
                2 => b"x-a:b\r\n".repeat(random.random_range(2..300)),
                3 => [&trailer[..], &trailer[..]].concat(),
                4 => trailer.iter().copied().filter(|byte| *byte != b'\r').collect(),
                _ => trailer[..random.random_range(0..=trailer.len())].to_vec(),
            };
        }
        _ => {
            let other = random.random_range(0..pieces.len());
            pieces.swap(at, other);
        }
    }
    if pieces.is_empty() {
        pieces.push(Piece {
            size: Vec::new(),
            signature: None,
            line_end: Vec::new(),
            data: Vec::new(),
            end: Vec::new(),
        });
    }
}
