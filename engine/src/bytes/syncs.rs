//! Making blobs durable, and what follows when that fails.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::disk::Disk;
use crate::read_only::ReadOnly;
use crate::{Error, Result};

/// Syncs, and throws the switch when one fails: the kernel may have dropped the pages and would report success the next time.
#[derive(Clone, Debug)]
pub(super) struct Syncs {
    disk: Arc<dyn Disk>,
    read_only: ReadOnly,
}

impl Syncs {
    pub(super) fn new(disk: Arc<dyn Disk>, read_only: ReadOnly) -> Self {
        Self { disk, read_only }
    }

    pub(super) fn check(&self, synced: io::Result<()>) -> Result<()> {
        synced.map_err(|error| {
            let why = format!("a blob could not be made durable: {error}");
            self.read_only.begin(&why);
            Error::ReadOnly(why)
        })
    }

    pub(super) fn directory(&self, path: &Path) -> Result<()> {
        let directory = self.disk.open_dir(path).map_err(|e| Error::io("opening a directory to sync it", e))?;
        self.check(directory.sync())
    }
}
