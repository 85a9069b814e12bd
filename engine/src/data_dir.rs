//! The data directory: made for its owner alone, and locked by the one process that has it open.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::FlockOperation;

use crate::disk::{self, Disk};
use crate::{Error, Result};

/// The lock of a data directory, held until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that is just being started has it open, too, until it runs its program. When this
        // fails, the end of that process releases the lock.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// Makes the directory with mode 0700 when it is absent, and takes its lock. [`Error::Locked`] when another process has it.
pub(crate) fn make_and_lock(disk: &dyn Disk, path: &Path) -> Result<Lock> {
    disk::ensure_dirs_durably(disk, path).map_err(|e| Error::io("making the data directory", e))?;
    keep_private(path)?;
    lock(path)
}

/// Takes the lock of a directory that exists.
pub(crate) fn lock(path: &Path) -> Result<Lock> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path.join("lock"))
        .map_err(|e| Error::io("opening the lock of a directory", e))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Locked(path.to_path_buf())),
        Err(error) => Err(Error::io("locking a directory", error.into())),
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

/// Makes the names in the directory durable.
pub(crate) fn sync(disk: &dyn Disk, path: &Path) -> Result<()> {
    let synced = disk.open_dir(path).and_then(|directory| directory.sync());
    synced.map_err(|e| Error::io("making the data directory durable", e))
}

/// Whether any blob lies in the directory.
pub(crate) fn has_blobs(disk: &dyn Disk, path: &Path) -> Result<bool> {
    for folder in ["blobs", "packs"] {
        match disk.read_dir(&path.join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            names => {
                if !names.map_err(|e| Error::io("looking for blobs", e))?.is_empty() {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// Makes a small private file that is there as a whole or not at all, also after a power cut.
pub(crate) fn write_durably(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("new");
    disk.remove(&aside).or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    let mut file = disk.create_new(&aside)?;
    file.write(bytes)?;
    file.sync_data()?;
    disk.rename(&aside, path)?;
    path.parent().map_or(Ok(()), |directory| disk.open_dir(directory)?.sync())
}
