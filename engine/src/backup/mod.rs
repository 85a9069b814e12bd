//! Back-ups: a snapshot of the metadata and the blobs that it refers to, in a directory of their own.
//!
//! ```text
//! cloudhold-backups.json      the format and the store that these are back-ups of
//! blobs/ab/cd/<id>            copies of blobs, which all back-ups share: blobs never change, so each is copied once
//! 20261122T115822.123456Z/    a back-up, named by its time
//!     manifest.json           what it is; written last, so that a back-up without one is none
//!     metadata.sqlite         the metadata
//!     blobs.txt               the blobs it needs, a line each: id, bytes, CRC-64/NVME
//! ```
//!
//! The key ring is never part of a back-up: whoever has a back-up must not have the secrets in it.

mod list;
mod make;
mod manifest;
mod restore;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use list::{BackupInfo, Damaged, VerifyReport, list_backups, prune_backups, verify_backup};
pub use make::{BackupOptions, BackupReport};
pub use restore::{Restored, restore_backup};

/// Counts the back-ups that run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running(Arc<AtomicUsize>);

/// A back-up that runs; it has ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Hold(Arc<AtomicUsize>);

impl Running {
    pub(crate) fn begin(&self) -> Hold {
        self.0.fetch_add(1, Ordering::SeqCst);
        Hold(self.0.clone())
    }

    pub(crate) fn is_any(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
