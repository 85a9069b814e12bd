//! Stored bytes on their way out: pieces one after another, in reads of 256 KiB, the next read running while the last one is sent. Each
//! block is compared with its checksum, and a piece that is sent whole with that of the whole besides, before its last bytes go.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use tokio::sync::OwnedSemaphorePermit;

use super::bounds::ReadTurns;
use super::cipher::{DataKey, Nonce, PieceCipher};
use super::in_flight::Reading;
use super::whole::WholeCrc;
use super::{BlobReader, ByteStore, blocking};
use crate::body::ByteStream;
use crate::fair::Slot;
use crate::names::BlobId;
use crate::{Error, Result};

/// Bytes of one read; smaller ones cost more than they save (4 KiB reads gave a fourteenth of the rate).
const READ_BYTES: u64 = 256 << 10;

/// Where the bytes of a piece are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Inline(Bytes),
    Blob {
        id: BlobId,
        /// The size that its row says.
        size_bytes: u64,
        /// The checksum that its row says, where it has one.
        crc64nvme: Option<u64>,
    },
}

/// A piece of stored content, or a part of one.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) source: Source,
    /// Which of the piece's bytes are sent.
    pub(crate) range: Range<u64>,
    /// The nonce of a part that is encrypted.
    pub(crate) nonce: Nonce,
}

/// Streams pieces, decrypted where they have a key. `reading` keeps their content from being cleaned away until the stream is dropped.
pub(crate) fn stream_pieces(
    store: Arc<dyn ByteStore>,
    turns: ReadTurns,
    pieces: Vec<Piece>,
    key: Option<DataKey>,
    reading: Option<Reading>,
) -> ByteStream {
    let flow = Flow { store, turns, pieces: pieces.into_iter(), key, at: None, next: None, _reading: reading };
    Box::pin(stream::unfold(flow, |mut flow| async move {
        match flow.step().await {
            Ok(Some(bytes)) => Some((Ok(bytes), flow)),
            Ok(None) => None,
            Err(error) => {
                flow.stop();
                Some((Err(error.into()), flow))
            }
        }
    }))
}

/// What a read brings: bytes, and the checksum of the piece up to their end where all of it is read.
type Done = (Bytes, Option<WholeCrc>);

/// A read that runs, and the memory for its bytes until they are sent.
struct Ahead {
    read: tokio::task::JoinHandle<Result<Done>>,
    _memory: OwnedSemaphorePermit,
}

/// The piece that is being sent.
struct Reached {
    reader: Arc<dyn BlobReader>,
    /// Which of its bytes are not read yet.
    range: Range<u64>,
    cipher: Option<PieceCipher>,
    /// Its checksum so far, when all of it is read. Reads follow each other, and the one that runs has it.
    whole: Option<WholeCrc>,
}

struct Flow {
    store: Arc<dyn ByteStore>,
    turns: ReadTurns,
    pieces: std::vec::IntoIter<Piece>,
    key: Option<DataKey>,
    at: Option<Reached>,
    next: Option<Ahead>,
    _reading: Option<Reading>,
}

impl Flow {
    fn stop(&mut self) {
        self.pieces = Vec::new().into_iter();
        self.at = None;
        self.next = None;
    }

    async fn step(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(ahead) = self.next.take() {
                let done = ahead.read.await.map_err(|_| Error::Internal("a read panicked or was cancelled"))??;
                return Ok(Some(self.pass_on(done)));
            }
            if let Some(read) = self.next_read() {
                let turn = self.turns.take().await?;
                let done = blocking(move || with(turn, read)).await?;
                return Ok(Some(self.pass_on(done)));
            }
            let Some(piece) = self.pieces.next() else { return Ok(None) };
            if let Some(bytes) = self.open(piece).await? {
                return Ok(Some(bytes));
            }
        }
    }

    /// Begins a piece: inline bytes are there at once, a blob is opened and its first read begun.
    async fn open(&mut self, piece: Piece) -> Result<Option<Bytes>> {
        if piece.range.is_empty() {
            return Ok(None);
        }
        let cipher = self.key.as_ref().map(|key| key.cipher(piece.nonce));
        match piece.source {
            Source::Inline(bytes) => {
                let slice = to_usize(piece.range.start)..to_usize(piece.range.end);
                if slice.end > bytes.len() {
                    return Err(Error::corrupt("inline bytes are shorter than their row says"));
                }
                opened(cipher.as_ref(), piece.range.start, bytes.slice(slice)).map(Some)
            }
            Source::Blob { id, size_bytes, crc64nvme } => {
                let store = self.store.clone();
                let turn = self.turns.take().await?;
                let reader = blocking(move || with(turn, move || store.open(id))).await?;
                // Its blocks are compared with the checksums that it carries; that it is the one that was meant is known by its row.
                let facts = reader.facts();
                if facts.size_bytes != size_bytes || crc64nvme.is_some_and(|crc| crc != facts.crc64nvme) {
                    return Err(Error::corrupt(format!("blob {id} has another size or checksum than its row says")));
                }
                let whole = (piece.range == (0..size_bytes)).then(|| WholeCrc::new(id, facts));
                self.at = Some(Reached { reader, range: piece.range, cipher, whole });
                Ok(None)
            }
        }
    }

    /// Gives on what a read brought, and begins the next one.
    fn pass_on(&mut self, (bytes, whole): Done) -> Bytes {
        if let Some(at) = &mut self.at {
            at.whole = whole;
        }
        self.read_ahead();
        bytes
    }

    /// Begins the next read before it is asked for, when the disk and the memory have room for it. Readers that are slow to take what they
    /// have do not use more than that.
    fn read_ahead(&mut self) {
        if self.at.as_ref().is_none_or(|at| at.range.is_empty()) {
            return;
        }
        let Some((turn, memory)) = self.turns.take_ahead() else { return };
        let Some(read) = self.next_read() else { return };
        self.next = Some(Ahead { read: tokio::task::spawn_blocking(move || with(turn, read)), _memory: memory });
    }

    /// The next read of the piece that is being sent; `None` at its end.
    fn next_read(&mut self) -> Option<impl FnOnce() -> Result<Done> + Send + use<>> {
        let Reached { reader, range, cipher, whole } = self.at.as_mut()?;
        if range.is_empty() {
            self.at = None;
            return None;
        }
        // Reads end on block boundaries of the blob, so that no block is read and verified twice.
        let end = (range.start + 1).next_multiple_of(READ_BYTES).min(range.end);
        let (start, length) = (range.start, to_usize(end - range.start));
        range.start = end;
        let (reader, cipher, mut whole, is_last) = (reader.clone(), cipher.clone(), whole.take(), range.is_empty());
        Some(move || {
            // What the checksums are over is what is stored, encrypted or not.
            let stored = reader.read(start, length)?;
            if let Some(whole) = &mut whole {
                whole.update(&stored);
                if is_last {
                    whole.check()?;
                }
            }
            Ok((opened(cipher.as_ref(), start, stored)?, whole))
        })
    }
}

/// Stored bytes of a piece that begin at an offset, as they came.
fn opened(cipher: Option<&PieceCipher>, start: u64, bytes: Bytes) -> Result<Bytes> {
    match cipher {
        Some(cipher) => cipher.apply(start, &bytes),
        None => Ok(bytes),
    }
}

/// Does something and gives the place back that it needed.
fn with<T>(turn: Slot, work: impl FnOnce() -> T) -> T {
    let done = work();
    drop(turn);
    done
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
