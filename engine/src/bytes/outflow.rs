//! Stored bytes on their way out: pieces one after another, in reads of 256 KiB, the next read running while the last one is sent.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;

use super::in_flight::Reading;
use super::{BlobReader, ByteStore, blocking};
use crate::body::ByteStream;
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
    },
}

/// A piece of stored content, or a part of one.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) source: Source,
    /// Which of the piece's bytes are sent.
    pub(crate) range: Range<u64>,
}

/// Streams pieces. `reading` keeps their content from being cleaned away until the stream is dropped.
pub(crate) fn stream_pieces(store: Arc<dyn ByteStore>, pieces: Vec<Piece>, reading: Option<Reading>) -> ByteStream {
    let flow = Flow { store, pieces: pieces.into_iter(), at: None, next: None, _reading: reading };
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

type NextRead = tokio::task::JoinHandle<Result<Bytes>>;

struct Flow {
    store: Arc<dyn ByteStore>,
    pieces: std::vec::IntoIter<Piece>,
    at: Option<(Arc<dyn BlobReader>, Range<u64>)>,
    next: Option<NextRead>,
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
            if let Some(read) = self.next.take() {
                let bytes = read.await.map_err(|_| Error::Internal("a read panicked or was cancelled"))??;
                self.start_read();
                return Ok(Some(bytes));
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
        match piece.source {
            Source::Inline(bytes) => {
                let slice = to_usize(piece.range.start)..to_usize(piece.range.end);
                if slice.end > bytes.len() {
                    return Err(Error::corrupt("inline bytes are shorter than their row says"));
                }
                Ok(Some(bytes.slice(slice)))
            }
            Source::Blob { id, size_bytes } => {
                let store = self.store.clone();
                let reader = blocking(move || store.open(id)).await?;
                if reader.facts().size_bytes != size_bytes {
                    return Err(Error::corrupt(format!("blob {id} has another size than its row says")));
                }
                self.at = Some((reader, piece.range));
                self.start_read();
                Ok(None)
            }
        }
    }

    fn start_read(&mut self) {
        let Some((reader, range)) = &mut self.at else { return };
        if range.is_empty() {
            self.at = None;
            return;
        }
        // Reads end on block boundaries of the blob, so that no block is read and verified twice.
        let end = (range.start + 1).next_multiple_of(READ_BYTES).min(range.end);
        let (start, length) = (range.start, to_usize(end - range.start));
        range.start = end;
        let reader = reader.clone();
        self.next = Some(tokio::task::spawn_blocking(move || reader.read(start, length)));
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
