//! The disk beneath the store. Every file effect on which durability rests goes through [`Disk`]: blobs, packs and their directories, the
//! quarantine, the data directory and the file of the database.
//!
//! [`LocalDisk`] is the machine's own. Tests put a disk in its place that loses power, fills up, fails or takes its time.

mod local;
mod slow;

use std::ffi::OsString;
use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::path::Path;

pub use local::LocalDisk;
pub(crate) use slow::SlowDisk;

/// What bytes that go to the disk itself are multiples of: their number, their place in the file and in memory.
pub const DIRECT_BYTES: usize = 4096;

/// A disk with files and directories. The calls block. What is made is for its owner alone.
///
/// Nothing is durable before it is synced: a file's bytes by [`DiskFile::sync_data`], names in a directory by [`DiskDir::sync`].
pub trait Disk: Debug + Send + Sync {
    /// Makes a directory in one that exists.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Opens a directory to sync it.
    fn open_dir(&self, path: &Path) -> io::Result<Box<dyn DiskDir>>;
    /// The names in a directory, in no order.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>>;
    /// Makes a file that does not exist yet, to write and read it.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file to read it.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file to change it in places.
    fn open_to_change(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, maybe in another directory.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Free bytes of the disk that holds a path.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// The name of the VFS through which SQLite writes to this disk; SQLite's own when `None`.
    fn sqlite_vfs(&self) -> Option<&str> {
        None
    }
}

/// An open directory.
pub trait DiskDir: Send {
    /// Makes the names in it durable.
    fn sync(&self) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Writes all bytes after those written before.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// As [`DiskFile::write`], past the system's memory where there is one. Their number, where they are in memory, and how much was written
    /// before are multiples of [`DIRECT_BYTES`]. [`io::ErrorKind::Unsupported`] where that cannot be done, and then nothing is written.
    fn write_direct(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes)
    }
    /// Writes all bytes from a place on, also beside other writes of this kind.
    fn write_at(&self, bytes: &[u8], start: u64) -> io::Result<()>;
    /// Cuts or extends it.
    fn set_len(&self, length_bytes: u64) -> io::Result<()>;
    /// Takes room for bytes to come, without changing the length. [`io::ErrorKind::Unsupported`] where that cannot be done.
    fn reserve(&mut self, start: u64, length_bytes: u64) -> io::Result<()>;
    /// Begins to write bytes to the disk that were written before, without waiting for them: what is synced at the end, by this file or by
    /// another one, is less then. A hint; nothing is durable by it.
    fn start_writeback(&self, _start: u64, _length_bytes: u64) {}
    /// Extends it to a length and takes room for all of that; what was not written reads as zero. [`io::ErrorKind::Unsupported`] where that
    /// cannot be done.
    fn allocate(&self, length_bytes: u64) -> io::Result<()>;
    /// Gives the room of some bytes back; they read as zero from then on, and the length stays. [`io::ErrorKind::Unsupported`] where that
    /// cannot be done.
    fn punch_hole(&self, start: u64, length_bytes: u64) -> io::Result<()>;
    /// The next bytes at or after a place that may be other than zero; `None` when there are none. What was allocated and never written
    /// is none of them. Where the file system does not tell, all bytes are.
    fn next_data(&self, start: u64) -> io::Result<Option<Range<u64>>>;
    /// Makes its bytes and its length durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Its length in bytes.
    fn length_bytes(&self) -> io::Result<u64>;
    /// Fills the buffer from a place in the file.
    fn read_exact_at(&self, buffer: &mut [u8], start: u64) -> io::Result<()>;

    /// Drops what memory holds of some bytes, so that the next read comes from the disk itself. A hint: some disks have no such memory.
    fn forget_cached(&self, _start: u64, _length_bytes: u64) {}
}

/// Makes a directory unless it is there.
pub(crate) fn ensure_dir(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Makes a directory and those above it that are missing, and makes each new name durable.
///
/// That the directory exists does not mean that its name is durable: whoever made it may have died before it was synced.
pub(crate) fn ensure_dirs_durably(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let was_there = path.is_dir();
    if !was_there {
        if !parent.is_dir() {
            ensure_dirs_durably(disk, parent)?;
        }
        ensure_dir(disk, path)?;
    }
    match disk.open_dir(parent) {
        // Who may not read the directory above did not make this one.
        Err(error) if was_there && error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        opened => opened?.sync(),
    }
}
