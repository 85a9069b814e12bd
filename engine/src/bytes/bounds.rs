//! How much is done at one time: uploads, bytes of bodies in memory, work on the disk. Who waits for it waits in turn by tenant.
//!
//! Nothing here is held while a client is waited for, except the place of an upload that has begun: a slow client costs its connection, an
//! open file and at most 128 KiB. Memory for a small body that is gathered whole is held until the client pauses.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Result;
use crate::fair::{Limits, Share, Slot, Slots};

/// Bytes that are handed to the disk and the hashes at once, while there is memory for it.
pub(super) const CHUNK_BYTES: usize = 1 << 20;
/// Bytes that are handed on at once when there is none.
pub(super) const CHUNK_BYTES_MIN: usize = 64 << 10;
/// Chunks that are written and hashed at one time.
pub(super) const WRITES_MAX: usize = 64;
/// Small bodies that are written at one time, each on a blocking thread.
const PACKS_MAX: usize = 64;
/// Reads of blobs at one time, each on a blocking thread.
const READS_MAX: usize = 128;
/// Reads whose bytes may wait in memory before they are asked for.
const READS_AHEAD_MAX: usize = 256;
/// How long an upload waits for a place.
const UPLOAD_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long what has begun waits for the disk. It is not refused because others wait too, only when nothing moves any more.
const DISK_WAIT_MAX: Duration = Duration::from_secs(600);
/// How long a body may pause before what came of it is handed on instead of being kept.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Bounds of what is taken in.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub(super) uploads: Slots,
    /// Bytes of bodies that may be in memory, in units of [`CHUNK_BYTES_MIN`].
    pub(super) memory: Arc<Semaphore>,
    /// Chunks of large bodies, and their files.
    pub(super) writes: Slots,
    /// Small bodies on their way to a pack. They have places of their own: what holds the others is served last by the processors.
    pub(super) packs: Slots,
    pub(super) pause_max: Duration,
}

impl Bounds {
    pub(crate) fn new(uploads_max: usize, size_bytes_max: usize) -> Self {
        let uploads =
            Limits { slots: uploads_max, leaves_room: true, waiting_max: uploads_max, wait_max: UPLOAD_WAIT_MAX };
        let units = (size_bytes_max / CHUNK_BYTES_MIN).min(Semaphore::MAX_PERMITS);
        Self {
            uploads: Slots::new(uploads),
            memory: Arc::new(Semaphore::new(units)),
            writes: Slots::new(disk(WRITES_MAX)),
            packs: Slots::new(disk(PACKS_MAX)),
            pause_max: PAUSE_MAX,
        }
    }

    /// Memory for so many bytes, when there is some. Nobody waits for it: small chunks always go.
    pub(super) fn memory_for(&self, size_bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(size_bytes.div_ceil(CHUNK_BYTES_MIN)).ok()?;
        self.memory.clone().try_acquire_many_owned(units).ok()
    }
}

/// Whoever waits has begun, and was counted when it did.
fn disk(slots: usize) -> Limits {
    Limits { slots, leaves_room: false, waiting_max: usize::MAX, wait_max: DISK_WAIT_MAX }
}

/// Bounds of what is read.
#[derive(Clone, Debug)]
pub(crate) struct ReadBounds {
    pub(super) reads: Slots,
    pub(super) ahead: Arc<Semaphore>,
}

impl ReadBounds {
    pub(crate) fn new() -> Self {
        Self { reads: Slots::new(disk(READS_MAX)), ahead: Arc::new(Semaphore::new(READS_AHEAD_MAX)) }
    }

    /// The turns of one who reads.
    pub(crate) fn turns_of(&self, share: Share) -> ReadTurns {
        ReadTurns { bounds: self.clone(), share }
    }
}

/// When one reader may read.
#[derive(Clone, Debug)]
pub(crate) struct ReadTurns {
    bounds: ReadBounds,
    share: Share,
}

impl ReadTurns {
    /// Waits for a place at the disk.
    pub(super) async fn take(&self) -> Result<Slot> {
        self.bounds.reads.take(&self.share).await
    }

    /// A place at the disk and memory for what is read before it is asked for, when both are free now.
    pub(super) fn take_ahead(&self) -> Option<(Slot, OwnedSemaphorePermit)> {
        let memory = self.bounds.ahead.clone().try_acquire_owned().ok()?;
        Some((self.bounds.reads.try_take(&self.share)?, memory))
    }
}
