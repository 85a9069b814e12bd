//! The machine's own disk, with sectors that cannot be read and places that cannot be written.

use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use engine::disk::{Disk, DiskDir, DiskFile, LocalDisk};

/// EIO, as the system calls it.
const EIO: i32 = 5;

/// A disk that fails. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct BadDisk(Arc<Mutex<Faults>>);

#[derive(Debug, Default)]
struct Faults {
    unreadable: Vec<(PathBuf, Range<u64>)>,
    unwritable: Vec<PathBuf>,
}

impl BadDisk {
    /// Lets each read of some bytes of a file fail from now on.
    pub(crate) fn break_sectors(&self, file: &Path, bytes: Range<u64>) {
        self.0.lock().unwrap().unreadable.push((file.to_owned(), bytes));
    }

    /// Lets each write to what lies beneath a directory fail from now on.
    pub(crate) fn refuse_writes(&self, directory: &Path) {
        self.0.lock().unwrap().unwritable.push(directory.to_owned());
    }

    /// Lets all writes succeed again.
    pub(crate) fn allow_writes(&self) {
        self.0.lock().unwrap().unwritable.clear();
    }

    fn may_read(&self, path: &Path, bytes: &Range<u64>) -> io::Result<()> {
        let faults = self.0.lock().unwrap();
        let is_broken = |(file, broken): &(PathBuf, Range<u64>)| {
            file == path && broken.start < bytes.end && bytes.start < broken.end
        };
        failing(faults.unreadable.iter().any(is_broken))
    }

    fn may_write(&self, path: &Path) -> io::Result<()> {
        failing(self.0.lock().unwrap().unwritable.iter().any(|directory| path.starts_with(directory)))
    }

    fn file(&self, path: &Path, inner: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(BadFile { disk: self.clone(), path: path.to_owned(), inner })
    }
}

fn failing(fails: bool) -> io::Result<()> {
    if fails { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
}

impl Disk for BadDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        LocalDisk.create_dir(path)
    }

    fn open_dir(&self, path: &Path) -> io::Result<Box<dyn DiskDir>> {
        LocalDisk.open_dir(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.may_read(path, &(0..1))?;
        LocalDisk.read_dir(path)
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(path, LocalDisk.create_new(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(path, LocalDisk.open(path)?))
    }

    fn open_to_change(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(path, LocalDisk.open_to_change(path)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalDisk.rename(from, to)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        LocalDisk.free_bytes(path)
    }
}

struct BadFile {
    disk: BadDisk,
    path: PathBuf,
    inner: Box<dyn DiskFile>,
}

impl DiskFile for BadFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.may_write(&self.path)?;
        self.inner.write(bytes)
    }

    fn write_at(&self, bytes: &[u8], start: u64) -> io::Result<()> {
        self.disk.may_write(&self.path)?;
        self.inner.write_at(bytes, start)
    }

    fn set_len(&self, length_bytes: u64) -> io::Result<()> {
        self.inner.set_len(length_bytes)
    }

    fn reserve(&mut self, start: u64, length_bytes: u64) -> io::Result<()> {
        self.inner.reserve(start, length_bytes)
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
        self.inner.sync_data()
    }

    fn length_bytes(&self) -> io::Result<u64> {
        self.inner.length_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], start: u64) -> io::Result<()> {
        self.disk.may_read(&self.path, &(start..start + buffer.len() as u64))?;
        self.inner.read_exact_at(buffer, start)
    }
}
