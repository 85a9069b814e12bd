//! A disk that takes its time to be sure, as many do.

use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Disk, DiskDir, DiskFile};

/// Adds a delay to every sync of a file of another disk. SQLite's files are not written through it; the writer waits for them itself.
#[derive(Debug)]
pub(crate) struct SlowDisk {
    inner: Arc<dyn Disk>,
    fsync_delay: Duration,
}

impl SlowDisk {
    pub(crate) fn new(inner: Arc<dyn Disk>, fsync_delay: Duration) -> Self {
        Self { inner, fsync_delay }
    }

    fn slow(&self, inner: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(SlowFile { inner, fsync_delay: self.fsync_delay })
    }
}

impl Disk for SlowDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir(path)
    }

    fn open_dir(&self, path: &Path) -> io::Result<Box<dyn DiskDir>> {
        self.inner.open_dir(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.inner.read_dir(path)
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.slow(self.inner.create_new(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.inner.open(path)
    }

    fn open_to_change(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.slow(self.inner.open_to_change(path)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.inner.free_bytes(path)
    }

    fn sqlite_vfs(&self) -> Option<&str> {
        self.inner.sqlite_vfs()
    }
}

struct SlowFile {
    inner: Box<dyn DiskFile>,
    fsync_delay: Duration,
}

impl DiskFile for SlowFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.write(bytes)
    }

    fn write_direct(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_direct(bytes)
    }

    fn write_at(&self, bytes: &[u8], start: u64) -> io::Result<()> {
        self.inner.write_at(bytes, start)
    }

    fn set_len(&self, length_bytes: u64) -> io::Result<()> {
        self.inner.set_len(length_bytes)
    }

    fn reserve(&mut self, start: u64, length_bytes: u64) -> io::Result<()> {
        self.inner.reserve(start, length_bytes)
    }

    fn start_writeback(&self, start: u64, length_bytes: u64) {
        self.inner.start_writeback(start, length_bytes);
    }

    fn allocate(&self, length_bytes: u64) -> io::Result<()> {
        self.inner.allocate(length_bytes)
    }

    fn punch_hole(&self, start: u64, length_bytes: u64) -> io::Result<()> {
        self.inner.punch_hole(start, length_bytes)
    }

    fn next_data(&self, start: u64) -> io::Result<Option<Range<u64>>> {
        self.inner.next_data(start)
    }

    fn sync_data(&self) -> io::Result<()> {
        std::thread::sleep(self.fsync_delay);
        self.inner.sync_data()
    }

    fn length_bytes(&self) -> io::Result<u64> {
        self.inner.length_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], start: u64) -> io::Result<()> {
        self.inner.read_exact_at(buffer, start)
    }

    fn forget_cached(&self, start: u64, length_bytes: u64) {
        self.inner.forget_cached(start, length_bytes);
    }
}
