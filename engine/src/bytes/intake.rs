//! A body on its way in: small ones stay in memory, larger ones go to a blob while they are hashed beside the writing.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::Fuse;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::bounds::{Bounds, CHUNK_BYTES, CHUNK_BYTES_MIN};
use super::digest::{self, CrcLane, Md5Lane, ShaLane, Wanted};
use super::in_flight::{InFlight, NewBlob};
use super::{BlobWriter, ByteStore, blocking};
use crate::body::{Body, ByteStream, Digests};
use crate::error::BoxError;
use crate::fair::{Share, Slot};
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
    pub(crate) async fn take(&self, share: &Share, body: Body, size_bytes_max: u64) -> Result<TakenIn> {
        let Body { stream, size_bytes, mut expected, trailer, keep } = body;
        // The body is asked again after its end, to learn that it has ended; a fused one bears that.
        let mut stream = stream.fuse();
        if size_bytes.is_some_and(|size| size > size_bytes_max) {
            return Err(Error::TooLarge { size_bytes_max });
        }
        let wanted = Wanted::new(&expected, &keep);
        let mut limit = Limit { announced: size_bytes, size_bytes_max, taken: 0 };
        let first = collect(&mut stream, &mut limit, self.inline_size_bytes_max + 1).await?;
        let small = limit.taken <= self.inline_size_bytes_max as u64;
        let (kept, digests) = if small {
            (Kept::Inline(first.concat()), digest::of_bytes(&first, wanted))
        } else {
            let _place = self.bounds.uploads.take(share).await?;
            let (blob, digests) = self.to_blob(share, first, &mut stream, &mut limit, wanted).await?;
            (Kept::Blob(blob), digests)
        };
        limit.check_end()?;
        if let Some(trailer) = trailer {
            merge(&mut expected, &trailer().map_err(Error::Body)?);
        }
        digest::check(&expected, &digests)?;
        Ok(TakenIn { kept, size_bytes: limit.taken, digests })
    }

    async fn to_blob(
        &self,
        share: &Share,
        first: Vec<Bytes>,
        stream: &mut Fuse<ByteStream>,
        limit: &mut Limit,
        wanted: Wanted,
    ) -> Result<(NewBlob, Digests)> {
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
        let mut lanes = Lanes::new(writer, wanted);
        let (mut bytes, mut memory) = (first, None);
        while !bytes.is_empty() {
            let turn = self.bounds.writes.take(share).await?;
            lanes.start(Chunk { bytes, _memory: memory, _turn: turn })?;
            // The next chunk arrives while the last one is written and hashed.
            let next = self.next_chunk(stream, limit).await;
            lanes.wait().await?;
            (bytes, memory) = next?;
        }
        let turn = self.bounds.writes.take(share).await?;
        let digests = lanes.finish(turn).await?;
        Ok((blob, digests))
    }

    /// What comes next of a body, empty at its end. Memory for more than a little of it is taken only once that little is there, and what
    /// came is not kept for a client that pauses.
    async fn next_chunk(&self, stream: &mut Fuse<ByteStream>, limit: &mut Limit) -> Result<(Vec<Bytes>, Memory)> {
        let (mut gathered, mut memory, mut enough) = (Gathered::default(), None, CHUNK_BYTES_MIN);
        loop {
            if gathered.size_bytes >= enough {
                memory = memory.or_else(|| self.bounds.memory_for_chunk());
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

/// Memory for a whole chunk.
type Memory = Option<OwnedSemaphorePermit>;

/// Bytes that are written and hashed. Their memory and their turn are given back when the last of the lanes is through with them.
struct Chunk {
    bytes: Vec<Bytes>,
    _memory: Memory,
    _turn: Slot,
}

/// Bytes of a body, put together.
#[derive(Default)]
struct Gathered {
    chunks: Vec<Bytes>,
    small: BytesMut,
    size_bytes: usize,
}

impl Gathered {
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

/// The disk and the hashes, each working through the same chunk on its own thread.
struct Lanes {
    disk: Lane<(Box<dyn BlobWriter>, CrcLane)>,
    md5: Lane<Md5Lane>,
    sha: Option<Lane<ShaLane>>,
}

impl Lanes {
    fn new(writer: Box<dyn BlobWriter>, wanted: Wanted) -> Self {
        Self {
            disk: Lane::Idle((writer, CrcLane::new(wanted))),
            md5: Lane::Idle(Md5Lane::new()),
            sha: ShaLane::new(wanted).map(Lane::Idle),
        }
    }

    fn start(&mut self, chunk: Chunk) -> Result<()> {
        let chunk = Arc::new(chunk);
        self.disk.start(&chunk, |(writer, crc), bytes| {
            crc.update(bytes);
            writer.write(bytes)
        })?;
        self.md5.start(&chunk, |md5, bytes| {
            md5.update(bytes);
            Ok(())
        })?;
        match &mut self.sha {
            Some(sha) => sha.start(&chunk, |sha, bytes| {
                sha.update(bytes);
                Ok(())
            }),
            None => Ok(()),
        }
    }

    async fn wait(&mut self) -> Result<()> {
        self.disk.wait().await?;
        self.md5.wait().await?;
        match &mut self.sha {
            Some(sha) => sha.wait().await,
            None => Ok(()),
        }
    }

    async fn finish(self, turn: Slot) -> Result<Digests> {
        let (writer, crc) = self.disk.end()?;
        let sha = self.sha.map(Lane::end).transpose()?;
        let digests = digest::finish(&crc, self.md5.end()?, sha);
        blocking(move || {
            let finished = writer.finish();
            drop(turn);
            finished
        })
        .await?;
        Ok(digests)
    }
}

/// A state that works through chunks on a blocking thread.
enum Lane<S> {
    Idle(S),
    Running(JoinHandle<Result<S>>),
    Failed,
}

impl<S: Send + 'static> Lane<S> {
    fn start(&mut self, chunk: &Arc<Chunk>, step: fn(&mut S, &[u8]) -> Result<()>) -> Result<()> {
        let Self::Idle(mut state) = std::mem::replace(self, Self::Failed) else {
            return Err(Error::Internal("a lane of an upload was started twice"));
        };
        let chunk = chunk.clone();
        *self = Self::Running(tokio::task::spawn_blocking(move || {
            for bytes in &chunk.bytes {
                step(&mut state, bytes)?;
            }
            Ok(state)
        }));
        Ok(())
    }

    async fn wait(&mut self) -> Result<()> {
        if let Self::Running(running) = self {
            let state = running.await.map_err(|_| Error::Internal("a lane of an upload panicked"));
            *self = Self::Failed;
            *self = Self::Idle(state??);
        }
        Ok(())
    }

    fn end(self) -> Result<S> {
        match self {
            Self::Idle(state) => Ok(state),
            Self::Running(_) | Self::Failed => Err(Error::Internal("a lane of an upload was not waited for")),
        }
    }
}
