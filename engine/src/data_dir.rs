//! The data directory: made for its owner alone, and locked by the one process that has it open.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::FlockOperation;

use crate::{Error, Result};

/// Makes the directory with mode 0700 when it is absent, and takes its lock. [`Error::Locked`] when another process has it.
pub(crate) fn make_and_lock(path: &Path) -> Result<File> {
    if !path.is_dir() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|e| Error::io("making the data directory", e))?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync(parent)?;
        }
    }
    keep_private(path)?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path.join("lock"))
        .map_err(|e| Error::io("opening the lock of the data directory", e))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Locked(path.to_path_buf())),
        Err(error) => Err(Error::io("locking the data directory", error.into())),
    }
}

/// Takes others' rights away from a directory that was there before: small objects and hashes of passwords lie in it.
fn keep_private(path: &Path) -> Result<()> {
    let failed = |e| Error::io("making the data directory private", e);
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "the data directory was open to others; its mode is 0700 now");
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}

/// Whether any blob lies in the directory.
pub(crate) fn has_blobs(path: &Path) -> bool {
    fs::read_dir(path.join("blobs")).is_ok_and(|mut entries| entries.next().is_some())
}

/// Makes the names in a directory durable.
fn sync(path: &Path) -> Result<()> {
    let directory = fs::File::open(path).map_err(|e| Error::io("opening a directory to sync it", e))?;
    directory.sync_all().map_err(|e| Error::io("syncing a directory", e))
}
