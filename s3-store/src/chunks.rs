//! Reads `aws-chunked` framing in front of the protocol layer, which holds a whole chunk in memory before it looks at it, and chunks may
//! have gigabytes: some SDKs send an object as one. Unsigned chunks are cut smaller on the way; signed ones, whose signature covers them
//! whole, have a limit. A body that ends before its last chunk is refused.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::chunk_signatures::{Resigner, Signatures};
use crate::error::BodyFault;

/// Longest header of a chunk, in bytes.
const HEADER_BYTES_MAX: usize = 1024;

/// The two kinds of framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    Unsigned,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, with or without trailer: chunks of at most so many bytes.
    Signed { chunk_size_bytes_max: usize },
}

enum State {
    Header(Vec<u8>),
    Data {
        left: u64,
    },
    DataEnd {
        seen: usize,
    },
    /// After the last chunk.
    Trailer,
}

/// Follows the framing of a body.
pub(crate) struct ChunkReader {
    framing: Framing,
    state: State,
    ready: VecDeque<Bytes>,
    /// Where signed chunks go on under other signatures.
    resigner: Option<Box<Resigner>>,
}

impl ChunkReader {
    /// `signatures` are those of signed chunks that go on under others.
    pub(crate) fn new(framing: Framing, signatures: Option<Signatures>) -> Self {
        let state = State::Header(Vec::new());
        Self { framing, state, ready: VecDeque::new(), resigner: signatures.map(Resigner::new).map(Box::new) }
    }

    /// Whether nothing waits to be passed on.
    pub(crate) fn is_drained(&self) -> bool {
        self.ready.is_empty() && !self.resigner.as_ref().is_some_and(|resigner| resigner.holds_trailer())
    }

    /// The next bytes to pass on.
    pub(crate) fn next_ready(&mut self) -> Option<Bytes> {
        self.ready.pop_front()
    }

    /// Takes bytes that arrived.
    pub(crate) fn take(&mut self, mut input: Bytes) -> Result<(), BodyFault> {
        if matches!(self.framing, Framing::Signed { .. }) && self.resigner.is_none() {
            self.ready.push_back(input.clone());
        }
        while !input.is_empty() {
            match &mut self.state {
                State::Header(_) => self.take_header(&mut input)?,
                State::Data { left } => {
                    let size = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    *left -= size as u64;
                    if *left == 0 {
                        self.state = State::DataEnd { seen: 0 };
                    }
                    self.pass_data(input.split_to(size));
                }
                State::DataEnd { seen } => {
                    if input.split_to(1)[0] != b"\r\n"[*seen] {
                        return Err(BodyFault::Framing("a chunk does not end where its header says"));
                    }
                    *seen += 1;
                    if *seen == 2 {
                        self.state = State::Header(Vec::new());
                        self.pass_resigned(b"\r\n");
                    }
                }
                State::Trailer => self.take_trailer(std::mem::take(&mut input))?,
            }
        }
        Ok(())
    }

    /// Whether the body may end here. Something may be ready to be passed on afterwards.
    pub(crate) fn end(&mut self) -> Result<(), BodyFault> {
        match self.state {
            State::Trailer => {
                self.ready.extend(self.resigner.as_mut().map(|resigner| resigner.finish_trailer()));
                Ok(())
            }
            State::Header(_) | State::Data { .. } | State::DataEnd { .. } => Err(BodyFault::Incomplete),
        }
    }

    fn take_header(&mut self, input: &mut Bytes) -> Result<(), BodyFault> {
        let State::Header(header) = &mut self.state else { return Ok(()) };
        let end = input.iter().position(|byte| *byte == b'\n').map_or(input.len(), |at| at + 1);
        header.extend_from_slice(&input.split_to(end));
        if header.len() > HEADER_BYTES_MAX {
            return Err(BodyFault::Framing("the header of a chunk is too long"));
        }
        if !header.ends_with(b"\n") {
            return Ok(());
        }
        let size = chunk_size(header).ok_or(BodyFault::Framing("the size of a chunk is not a number"))?;
        if let Framing::Signed { chunk_size_bytes_max } = self.framing
            && size > chunk_size_bytes_max as u64
        {
            return Err(BodyFault::Framing("a signed chunk is larger than this store takes"));
        }
        let header = std::mem::take(header);
        self.state = if size > 0 { State::Data { left: size } } else { State::Trailer };
        match &mut self.resigner {
            Some(resigner) => resigner.begin(header),
            None if size == 0 => self.pass(Bytes::from(header)),
            None => {}
        }
        if size == 0 {
            self.pass_resigned(b"");
        }
        Ok(())
    }

    fn take_trailer(&mut self, bytes: Bytes) -> Result<(), BodyFault> {
        match &mut self.resigner {
            Some(resigner) => resigner.add_trailer(&bytes),
            None => {
                self.pass(bytes);
                Ok(())
            }
        }
    }

    /// A chunk that is signed anew is passed on once it is whole, with what stands after its data.
    fn pass_resigned(&mut self, after: &'static [u8]) {
        if let Some(resigner) = &mut self.resigner {
            self.ready.extend(resigner.finish());
            self.ready.extend((!after.is_empty()).then_some(Bytes::from_static(after)));
        }
    }

    /// Signed bytes were passed on as they came, or are so once they are signed anew.
    fn pass(&mut self, bytes: Bytes) {
        if self.framing == Framing::Unsigned {
            self.ready.push_back(bytes);
        }
    }

    fn pass_data(&mut self, data: Bytes) {
        if let Some(resigner) = &mut self.resigner {
            resigner.add(data);
            return;
        }
        self.pass(Bytes::from(format!("{:x}\r\n", data.len())));
        self.pass(data);
        self.pass(Bytes::from_static(b"\r\n"));
    }
}

fn chunk_size(header: &[u8]) -> Option<u64> {
    let end = header.iter().position(|byte| matches!(byte, b';' | b'\r' | b'\n'))?;
    let digits = std::str::from_utf8(&header[..end]).ok()?;
    let plain = (1..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk_signatures::tests::signed_twice;

    /// Feeds a body in pieces of `step` bytes, and gives what was passed on.
    fn read(framing: Framing, body: &[u8], step: usize) -> Result<Vec<u8>, BodyFault> {
        read_with(ChunkReader::new(framing, None), body, step)
    }

    fn read_with(mut reader: ChunkReader, body: &[u8], step: usize) -> Result<Vec<u8>, BodyFault> {
        let mut passed = Vec::new();
        let mut drain = |reader: &mut ChunkReader| {
            while let Some(bytes) = reader.next_ready() {
                passed.extend_from_slice(&bytes);
            }
        };
        for piece in body.chunks(step) {
            reader.take(Bytes::copy_from_slice(piece))?;
            drain(&mut reader);
        }
        reader.end()?;
        drain(&mut reader);
        assert!(reader.is_drained());
        Ok(passed)
    }

    #[test]
    fn unsigned_chunks_are_cut_and_keep_their_bytes() {
        let body = b"b\r\nhello world\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
        assert_eq!(read(Framing::Unsigned, body, 1000), Ok(body.to_vec()));
        let cut = read(Framing::Unsigned, body, 8).expect("valid");
        assert_eq!(cut, b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n");
        for step in 1..body.len() {
            let cut = read(Framing::Unsigned, body, step).expect("valid");
            let again = read(Framing::Unsigned, &cut, 1000).expect("valid");
            assert_eq!(again, cut, "{step}");
        }
    }

    #[test]
    fn a_huge_unsigned_chunk_is_passed_on_as_it_comes() {
        let mut reader = ChunkReader::new(Framing::Unsigned, None);
        reader.take(Bytes::from_static(b"140000000\r\nabc")).expect("5 GiB are announced");
        let passed: Vec<u8> = std::iter::from_fn(|| reader.next_ready()).flatten().collect();
        assert_eq!(passed, b"3\r\nabc\r\n");
    }

    #[test]
    fn signed_chunks_pass_unchanged_up_to_their_limit() {
        let framing = Framing::Signed { chunk_size_bytes_max: 5 };
        let body = b"5;chunk-signature=00\r\nhello\r\n0;chunk-signature=11\r\n\r\n";
        for step in 1..body.len() {
            assert_eq!(read(framing, body, step), Ok(body.to_vec()), "{step}");
        }
        assert!(matches!(read(framing, b"6;chunk-signature=00\r\nhello!\r\n0\r\n", 9), Err(BodyFault::Framing(_))));
    }

    #[test]
    fn signed_chunks_go_on_under_other_signatures_however_they_are_cut() {
        let framing = Framing::Signed { chunk_size_bytes_max: 1000 };
        let chunks: [&[u8]; 3] = [b"hello", &[7; 300], b"\r\n0;chunk-signature=\r\n"];
        for some in [&chunks[..0], &chunks[..1], &chunks] {
            for step in [1, 2, 7, 64, 1000] {
                let (signatures, [came, goes]) = signed_twice(some);
                let passed = read_with(ChunkReader::new(framing, Some(signatures)), &came, step);
                assert_eq!(passed, Ok(goes), "{step}");
            }
        }
        let (signatures, [came, goes]) = signed_twice(&chunks);
        let passed = read_with(ChunkReader::new(framing, Some(signatures)), &goes, 1000);
        assert_eq!(passed, Ok(goes), "what does not fit is left as it is");
        let (signatures, _) = signed_twice(&chunks);
        let cut = read_with(ChunkReader::new(framing, Some(signatures)), &came[..came.len() / 2], 1000);
        assert_eq!(cut, Err(BodyFault::Incomplete));
    }

    #[test]
    fn broken_framing_is_refused() {
        for body in
            [&b"zz\r\nhello\r\n0\r\n"[..], b"5\r\nhello!\r\n0\r\n", b";\r\n", b"-1\r\n", b"fffffffffffffffff\r\n"]
        {
            assert!(matches!(read(Framing::Unsigned, body, 4), Err(BodyFault::Framing(_))), "{body:?}");
        }
        for body in [&b""[..], b"5\r\nhel", b"5\r\nhello\r\n", b"5\r\nhello"] {
            assert_eq!(read(Framing::Unsigned, body, 4), Err(BodyFault::Incomplete), "{body:?}");
        }
        let long = [&b"5"[..], &[b' '; 2000]].concat();
        assert!(matches!(read(Framing::Unsigned, &long, 100), Err(BodyFault::Framing(_))));
    }
}
