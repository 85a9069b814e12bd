//! The machine's own disk.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Advice, FallocateFlags, OFlags, SeekFrom};
use rustix::io::Errno;

use super::{Disk, DiskDir, DiskFile};

/// The machine's own disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    fn open_dir(&self, path: &Path) -> io::Result<Box<dyn DiskDir>> {
        Ok(Box::new(LocalDir(File::open(path)?)))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Box::new(LocalFile::new(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(LocalFile::new(File::open(path)?)))
    }

    fn open_to_change(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(LocalFile::new(OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

struct LocalDir(File);

impl DiskDir for LocalDir {
    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

struct LocalFile {
    file: File,
    /// Whether writes go past the page cache.
    is_direct: bool,
}

impl LocalFile {
    fn new(file: File) -> Self {
        Self { file, is_direct: false }
    }

    fn set_direct(&mut self, is_direct: bool) -> io::Result<()> {
        if self.is_direct != is_direct {
            let flags = rustix::fs::fcntl_getfl(&self.file)?;
            let flags = if is_direct { flags | OFlags::DIRECT } else { flags - OFlags::DIRECT };
            rustix::fs::fcntl_setfl(&self.file, flags)?;
            self.is_direct = is_direct;
        }
        Ok(())
    }

    fn fallocate(&self, flags: FallocateFlags, start: u64, length_bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.file, flags, start, length_bytes) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
            done => Ok(done?),
        }
    }
}

impl DiskFile for LocalFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.set_direct(false)?;
        self.file.write_all(bytes)
    }

    fn write_direct(&mut self, bytes: &[u8]) -> io::Result<()> {
        // A file system that cannot do it says that the argument is invalid, some at once and some at the write.
        let written = self.set_direct(true).and_then(|()| {
            let written = rustix::io::retry_on_intr(|| rustix::io::write(&self.file, bytes))?;
            Ok(written)
        });
        match written {
            Ok(written) if written == bytes.len() => Ok(()),
            // What is left need not be aligned any more; mostly the disk is full, and this says so.
            Ok(written) => self.write(&bytes[written..]),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(io::ErrorKind::Unsupported.into()),
            Err(error) => Err(error),
        }
    }

    fn write_at(&self, bytes: &[u8], start: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, start)
    }

    fn set_len(&self, length_bytes: u64) -> io::Result<()> {
        self.file.set_len(length_bytes)
    }

    fn reserve(&mut self, start: u64, length_bytes: u64) -> io::Result<()> {
        self.fallocate(FallocateFlags::KEEP_SIZE, start, length_bytes)
    }

    fn start_writeback(&self, start: u64, length_bytes: u64) {
        // Linux begins to write dirty pages of the range, and drops only those that are on the disk already. A failure comes back with the
        // sync at the end.
        let _ = rustix::fs::fadvise(&self.file, start, NonZeroU64::new(length_bytes), Advice::DontNeed);
    }

    fn allocate(&self, length_bytes: u64) -> io::Result<()> {
        self.fallocate(FallocateFlags::empty(), 0, length_bytes)
    }

    fn punch_hole(&self, start: u64, length_bytes: u64) -> io::Result<()> {
        self.fallocate(FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, start, length_bytes)
    }

    fn next_data(&self, start: u64) -> io::Result<Option<Range<u64>>> {
        match rustix::fs::seek(&self.file, SeekFrom::Data(start)) {
            Ok(data) => Ok(Some(data..rustix::fs::seek(&self.file, SeekFrom::Hole(data))?)),
            Err(Errno::NXIO) => Ok(None),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => {
                let rest = start..self.length_bytes()?;
                Ok((!rest.is_empty()).then_some(rest))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn length_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], start: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, start)
    }

    fn forget_cached(&self, start: u64, length_bytes: u64) {
        // Only a hint: a system that does not take it still reads the file.
        let _ = rustix::fs::fadvise(&self.file, start, NonZeroU64::new(length_bytes), Advice::DontNeed);
    }
}
