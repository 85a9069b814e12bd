//! A body on its way in. The smallest stay in memory; small ones are gathered, and hashed and written to a pack at once; larger ones go to a
//! file while they come, and are hashed beside the writing.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::Fuse;

use super::bounds::{Bounds, CHUNK_BYTES, CHUNK_BYTES_MIN};
use super::cipher::{PieceCipher, Sink};
use super::digest::{self, Wanted};
use super::in_flight::{InFlight, NewBlob};
use super::lanes::{Chunk, Lanes, Memory};
use super::{BlobWriter, ByteStore, blocking};
use crate::body::{Body, ByteStream, Digests, Trailer};
use crate::error::BoxError;
use crate::fair::Share;
use crate::names::BlobId;
use crate::{Error, Result};

/// Items of a stream below this size are put together.
const SMALL_BYTES: usize = 4 << 10;

/// Where a body went.
#[derive(Debug)]
pub(crate) enum Kept {
    /// It is small: its bytes go into the row.
    Inline(Vec<u8>),
    /// It is in a blob that is durable already.
    Blob(NewBlob),
}

/// A body that is in, and what was learned of it.
#[derive(Debug)]
pub(crate) struct TakenIn {
    pub(crate) kept: Kept,
    pub(crate) size_bytes: u64,
    pub(crate) digests: Digests,
    /// The CRC-64/NVME of what is stored: another than that of the body where that is encrypted.
    pub(crate) stored_crc64nvme: u64,
}

impl TakenIn {
    /// The MD5, which is always computed.
    pub(crate) fn md5(&self) -> [u8; 16] {
        self.digests.md5.unwrap_or_default()
    }
}

/// Takes bodies in.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) store: Arc<dyn ByteStore>,
    pub(crate) in_flight: InFlight,
    pub(crate) inline_size_bytes_max: usize,
    pub(crate) bounds: Bounds,
}

impl Intake {
    /// Reads a body to its end, checks its length and digests, and makes a large one durable.
    /// [`Error::Busy`] when too many do that already.
    pub(crate) async fn take(
        &self,
        share: &Share,
        body: Body,
        size_bytes_max: u64,
        cipher: Option<&PieceCipher>,
    ) -> Result<TakenIn> {
        let Body { stream, size_bytes, expected, trailer, keep, customer_key: _ } = body;
        // The body is asked again after its end, to learn that it has ended; a fused one bears that.
        let mut stream = stream.fuse();
        if size_bytes.is_some_and(|size| size > size_bytes_max) {
            return Err(Error::TooLarge { size_bytes_max });
        }
        let wanted = Wanted::new(&expected, &keep);
        let mut limit = Limit { announced: size_bytes, size_bytes_max, taken: 0 };
        let first = collect(&mut stream, &mut limit, self.inline_size_bytes_max + 1).await?;
        if limit.taken <= self.inline_size_bytes_max as u64 {
            let digests = digest::of_bytes(&first, wanted);
            digest::check(&at_end(&limit, expected, trailer)?, &digests)?;
            let (kept, crc64nvme) = (first.concat(), digests.crc64nvme.unwrap_or_default());
            let (kept, stored_crc64nvme) = match cipher {
                None => (kept, crc64nvme),
                Some(cipher) => {
                    let sealed = cipher.apply(0, &kept)?;
                    (sealed.to_vec(), digest::crc64nvme(&sealed))
                }
            };
            return Ok(TakenIn { kept: Kept::Inline(kept), size_bytes: limit.taken, digests, stored_crc64nvme });
        }
        let _place = self.bounds.uploads.take(share).await?;
        let (blob, (digests, stored_crc64nvme)) = match self.gather_small(first, &mut stream, &mut limit).await? {
            Came::Whole(chunk) => {
                let expected = at_end(&limit, expected, trailer)?;
                self.to_pack(share, chunk, limit.taken, expected, (wanted, cipher)).await?
            }
            Came::Begun(chunk) => {
                let (blob, done) = self.to_file(share, chunk, &mut stream, &mut limit, (wanted, cipher)).await?;
                digest::check(&at_end(&limit, expected, trailer)?, &done.0)?;
                (blob, done)
            }
        };
        Ok(TakenIn { kept: Kept::Blob(blob), size_bytes: limit.taken, digests, stored_crc64nvme })
    }

    /// Gathers a body that goes to a pack, as long as there is memory for it and its client does not pause.
    async fn gather_small(&self, first: Vec<Bytes>, stream: &mut Fuse<ByteStream>, limit: &mut Limit) -> Result<Came> {
        let size_bytes_max = self.store.pack_size_bytes_max();
        let mut gathered = Gathered::of(first);
        let mut memory = None;
        while limit.announced.unwrap_or(limit.taken) <= size_bytes_max && limit.taken <= size_bytes_max {
            if gathered.size_bytes >= CHUNK_BYTES_MIN && memory.is_none() {
                let coming_bytes = limit.announced.unwrap_or(size_bytes_max);
                memory = self.bounds.memory_for(usize::try_from(coming_bytes).unwrap_or(usize::MAX));
                if memory.is_none() {
                    break;
                }
            }
            match tokio::time::timeout(self.bounds.pause_max, stream.next()).await {
                Ok(Some(bytes)) => gathered.add(bytes.map_err(body_error)?, limit)?,
                Ok(None) => return Ok(Came::Whole((gathered.end(), memory))),
                Err(_) => break,
            }
        }
        Ok(Came::Begun((gathered.end(), memory)))
    }

    /// Hashes and writes a body that is here, all on one thread: handing it around would cost more than the work itself. Nothing is written
    /// of one that has other digests than were announced.
    async fn to_pack(
        &self,
        share: &Share,
        (bytes, memory): (Vec<Bytes>, Memory),
        size_bytes: u64,
        expected: Digests,
        (wanted, cipher): (Wanted, Option<&PieceCipher>),
    ) -> Result<(NewBlob, (Digests, u64))> {
        let (store, in_flight) = (self.store.clone(), self.in_flight.clone());
        let cipher = cipher.cloned();
        let turn = self.bounds.packs.take(share).await?;
        // As below, the guard is made where the blob is.
        blocking(move || {
            let digests = digest::of_bytes(&bytes, wanted);
            digest::check(&expected, &digests)?;
            let (blob, writer) = begin_small(&store, &in_flight, size_bytes)?;
            let mut sink = Sink::new(writer, cipher.as_ref())?;
            bytes.iter().try_for_each(|bytes| sink.write(bytes))?;
            drop((bytes, memory));
            let stored_crc64nvme = sink.crc64nvme().or(digests.crc64nvme).unwrap_or_default();
            sink.finish()?;
            drop(turn);
            Ok((blob, (digests, stored_crc64nvme)))
        })
        .await
    }

    async fn to_file(
        &self,
        share: &Share,
        first: (Vec<Bytes>, Memory),
        stream: &mut Fuse<ByteStream>,
        limit: &mut Limit,
        (wanted, cipher): (Wanted, Option<&PieceCipher>),
    ) -> Result<(NewBlob, (Digests, u64))> {
        let blob = self.in_flight.write(&self.store, BlobId::random());
        let (store, announced) = (self.store.clone(), limit.announced);
        let turn = self.bounds.writes.take(share).await?;
        // The guard goes along: when the request is dropped meanwhile, the blob is removed after it was made, not before.
        let (blob, writer) = blocking(move || {
            let writer = store.create(blob.id(), announced)?;
            drop(turn);
            Ok((blob, writer))
        })
        .await?;
        let mut lanes = Lanes::new(Sink::new(writer, cipher)?, wanted);
        let (mut bytes, mut memory) = first;
        while !bytes.is_empty() {
            let turn = self.bounds.writes.take(share).await?;
            lanes.start(Chunk { bytes, _memory: memory, _turn: turn })?;
            // The next chunk arrives while the last one is written and hashed.
            let next = self.next_chunk(stream, limit).await;
            lanes.wait().await?;
            (bytes, memory) = next?;
        }
        let turn = self.bounds.writes.take(share).await?;
        Ok((blob, lanes.finish(turn).await?))
    }

    /// What comes next of a body, empty at its end. Memory for more than a little of it is taken only once that little is there, and what
    /// came is not kept for a client that pauses.
    async fn next_chunk(&self, stream: &mut Fuse<ByteStream>, limit: &mut Limit) -> Result<(Vec<Bytes>, Memory)> {
        let (mut gathered, mut memory, mut enough) = (Gathered::default(), None, CHUNK_BYTES_MIN);
        loop {
            if gathered.size_bytes >= enough {
                memory = memory.or_else(|| self.bounds.memory_for(CHUNK_BYTES));
                if memory.is_none() || gathered.size_bytes >= CHUNK_BYTES {
                    break;
                }
                enough = CHUNK_BYTES;
            }
            match tokio::time::timeout(self.bounds.pause_max, stream.next()).await {
                Ok(Some(bytes)) => gathered.add(bytes.map_err(body_error)?, limit)?,
                Ok(None) => break,
                Err(_) if gathered.size_bytes > 0 => break,
                Err(_) => {}
            }
        }
        Ok((gathered.end(), memory))
    }
}

/// Begins a blob in a pack, or in a file of its own when no pack has a place for it.
fn begin_small(
    store: &Arc<dyn ByteStore>,
    in_flight: &InFlight,
    size_bytes: u64,
) -> Result<(NewBlob, Box<dyn BlobWriter>)> {
    if let Some((id, writer)) = store.pack(size_bytes)? {
        return Ok((in_flight.write(store, id), writer));
    }
    let blob = in_flight.write(store, BlobId::random());
    let writer = store.create(blob.id(), Some(size_bytes))?;
    Ok((blob, writer))
}

/// What came of a body.
enum Came {
    /// All of it.
    Whole((Vec<Bytes>, Memory)),
    /// Its beginning.
    Begun((Vec<Bytes>, Memory)),
}

/// Bytes of a body, put together.
#[derive(Default)]
struct Gathered {
    chunks: Vec<Bytes>,
    small: BytesMut,
    size_bytes: usize,
}

impl Gathered {
    fn of(chunks: Vec<Bytes>) -> Self {
        let size_bytes = chunks.iter().map(Bytes::len).sum();
        Self { chunks, small: BytesMut::new(), size_bytes }
    }

    /// Each item costs an allocation and a write, whatever its size, so small ones are put together.
    fn add(&mut self, bytes: Bytes, limit: &mut Limit) -> Result<()> {
        limit.take(bytes.len())?;
        self.size_bytes += bytes.len();
        if bytes.len() < SMALL_BYTES {
            self.small.extend_from_slice(&bytes);
        }
        if bytes.len() >= SMALL_BYTES || self.small.len() >= SMALL_BYTES {
            self.chunks.push(self.small.split().freeze());
        }
        if bytes.len() >= SMALL_BYTES {
            self.chunks.push(bytes);
        }
        Ok(())
    }

    fn end(mut self) -> Vec<Bytes> {
        self.chunks.push(self.small.freeze());
        self.chunks.retain(|chunk| !chunk.is_empty());
        self.chunks
    }
}

/// Reads until `enough` bytes are there or the stream ends.
async fn collect(stream: &mut Fuse<ByteStream>, limit: &mut Limit, enough: usize) -> Result<Vec<Bytes>> {
    let mut gathered = Gathered::default();
    while gathered.size_bytes < enough {
        let Some(bytes) = stream.next().await else { break };
        gathered.add(bytes.map_err(body_error)?, limit)?;
    }
    Ok(gathered.end())
}

/// A stream of our own (a part copied from an object) brings our own errors; others are the client's.
fn body_error(error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(own) => *own,
        Err(other) => Error::Body(other),
    }
}

/// What the digests must be, at the end of a body that has the length it announced.
fn at_end(limit: &Limit, mut expected: Digests, trailer: Option<Trailer>) -> Result<Digests> {
    limit.check_end()?;
    if let Some(trailer) = trailer {
        merge(&mut expected, &trailer().map_err(Error::Body)?);
    }
    Ok(expected)
}

/// What a trailer announces joins what the headers announced.
fn merge(expected: &mut Digests, trailer: &Digests) {
    expected.md5 = trailer.md5.or(expected.md5);
    expected.sha1 = trailer.sha1.or(expected.sha1);
    expected.sha256 = trailer.sha256.or(expected.sha256);
    expected.crc32 = trailer.crc32.or(expected.crc32);
    expected.crc32c = trailer.crc32c.or(expected.crc32c);
    expected.crc64nvme = trailer.crc64nvme.or(expected.crc64nvme);
}

/// Counts a body against its announced length and the limit.
struct Limit {
    announced: Option<u64>,
    size_bytes_max: u64,
    taken: u64,
}

impl Limit {
    fn take(&mut self, bytes: usize) -> Result<()> {
        self.taken += bytes as u64;
        if self.taken > self.size_bytes_max {
            return Err(Error::TooLarge { size_bytes_max: self.size_bytes_max });
        }
        match self.announced {
            Some(expected_bytes) if self.taken > expected_bytes => {
                Err(Error::IncompleteBody { expected_bytes, actual_bytes: self.taken })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_end(&self) -> Result<()> {
        match self.announced {
            Some(expected_bytes) if self.taken != expected_bytes => {
                Err(Error::IncompleteBody { expected_bytes, actual_bytes: self.taken })
            }
            Some(_) | None => Ok(()),
        }
    }
}
