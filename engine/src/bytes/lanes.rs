//! A large body on its way to the disk: each chunk is written and hashed on several threads at once.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::cipher::Sink;
use super::digest::{self, CrcLane, Md5Lane, ShaLane, Wanted};
use super::{bulk, end_of};
use crate::body::Digests;
use crate::fair::Slot;
use crate::{Error, Result};

/// Memory for more than a little of a body.
pub(super) type Memory = Option<OwnedSemaphorePermit>;

/// Bytes that are written and hashed. Their memory and their turn are given back when the last of the lanes is through with them.
pub(super) struct Chunk {
    pub(super) bytes: Vec<Bytes>,
    pub(super) _memory: Memory,
    pub(super) _turn: Slot,
}

/// The disk and the hashes, each working through the same chunk on its own thread.
pub(super) struct Lanes {
    disk: Lane<(Sink, CrcLane)>,
    md5: Lane<Md5Lane>,
    sha: Option<Lane<ShaLane>>,
}

impl Lanes {
    pub(super) fn new(sink: Sink, wanted: Wanted) -> Self {
        Self {
            disk: Lane::Idle((sink, CrcLane::new(wanted))),
            md5: Lane::Idle(Md5Lane::new()),
            sha: ShaLane::new(wanted).map(Lane::Idle),
        }
    }

    pub(super) fn start(&mut self, chunk: Chunk) -> Result<()> {
        let chunk = Arc::new(chunk);
        self.disk.start(&chunk, |(sink, crc), bytes| {
            crc.update(bytes);
            sink.write(bytes)
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

    pub(super) async fn wait(&mut self) -> Result<()> {
        self.disk.wait().await?;
        self.md5.wait().await?;
        match &mut self.sha {
            Some(sha) => sha.wait().await,
            None => Ok(()),
        }
    }

    /// Ends the blob; the digests of what came, and the CRC-64/NVME of what is stored.
    pub(super) async fn finish(self, turn: Slot) -> Result<(Digests, u64)> {
        let (sink, crc) = self.disk.end()?;
        let sha = self.sha.map(Lane::end).transpose()?;
        let digests = digest::finish(&crc, self.md5.end()?, sha);
        let stored_crc64nvme = sink.crc64nvme().or(digests.crc64nvme).unwrap_or_default();
        end_of(bulk::spawn(move || {
            let finished = sink.finish();
            drop(turn);
            finished
        }))
        .await?;
        Ok((digests, stored_crc64nvme))
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
        *self = Self::Running(bulk::spawn(move || {
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
