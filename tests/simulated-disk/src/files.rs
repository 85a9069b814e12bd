//! The disk as the engine sees it: every call goes to the real directory, and into the account of what is durable.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::disk::{Disk, DiskDir, DiskFile, LocalDisk};

use crate::faults::Target;
use crate::state::failed;
use crate::{Shared, SimulatedDisk};

/// What the disk says is free, full or not: somebody else may take it between the question and the write.
const FREE_BYTES: u64 = 1 << 40;

impl Disk for SimulatedDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let path = self.shared.inside(path)?;
        if path.exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.shared.state().step("create directory", &path, |state| {
            LocalDisk.create_dir(&path)?;
            state.note_new_directory(&path)
        })
    }

    fn open_dir(&self, path: &Path) -> io::Result<Box<dyn DiskDir>> {
        let path = self.shared.inside(path)?;
        let directory = self.shared.state().directory_of(&path)?;
        Ok(Box::new(SimulatedDir { shared: self.shared.clone(), directory, path }))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.shared.state().alive()?;
        LocalDisk.read_dir(path)
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let path = self.shared.inside(path)?;
        if path.exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let (inner, file) = self.shared.state().step("create", &path, |state| {
            let inner = LocalDisk.create_new(&path)?;
            Ok((inner, state.note_new_file(&path)?))
        })?;
        Ok(Box::new(SimulatedFile { shared: self.shared.clone(), inner, file, path, written: 0, reserved: 0 }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open_by(path, |path| LocalDisk.open(path))
    }

    fn open_to_change(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open_by(path, |path| LocalDisk.open_to_change(path))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let path = self.shared.inside(path)?;
        if !path.exists() {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.shared.state().step("remove", &path, |state| {
            LocalDisk.remove(&path)?;
            state.note_removed(&path)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (self.shared.inside(from)?, self.shared.inside(to)?);
        if !from.exists() {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.shared.state().step("rename", &from, |state| {
            LocalDisk.rename(&from, &to)?;
            state.note_renamed(&from, &to)
        })
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        self.shared.state().alive()?;
        Ok(FREE_BYTES)
    }

    fn sqlite_vfs(&self) -> Option<&str> {
        Some(self.shared.vfs.name())
    }
}

impl SimulatedDisk {
    fn open_by(
        &self,
        path: &Path,
        open: impl Fn(&Path) -> io::Result<Box<dyn DiskFile>>,
    ) -> io::Result<Box<dyn DiskFile>> {
        let path = self.shared.inside(path)?;
        let state = self.shared.state();
        state.alive()?;
        let inner = open(&path)?;
        let file = state.file_of(&path)?;
        drop(state);
        Ok(Box::new(SimulatedFile { shared: self.shared.clone(), inner, file, path, written: 0, reserved: 0 }))
    }
}

impl Shared {
    /// The path as the state knows it: canonical down to its parent.
    pub(crate) fn inside(&self, path: &Path) -> io::Result<PathBuf> {
        if path.is_dir() {
            return path.canonicalize();
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        Ok(parent.canonicalize()?.join(name))
    }
}

struct SimulatedDir {
    shared: Arc<Shared>,
    directory: usize,
    path: PathBuf,
}

impl DiskDir for SimulatedDir {
    fn sync(&self) -> io::Result<()> {
        self.shared.state().step("sync directory", &self.path, |state| state.sync_directory(self.directory))
    }
}

struct SimulatedFile {
    shared: Arc<Shared>,
    inner: Box<dyn DiskFile>,
    file: usize,
    path: PathBuf,
    written: u64,
    reserved: u64,
}

impl DiskFile for SimulatedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (inner, start) = (&mut self.inner, self.written);
        let end = start + bytes.len() as u64;
        let room = start.max(self.reserved);
        self.shared.state().step("write", &self.path, |state| {
            state.faults.write(Target::of_file(&self.path), || room, end)?;
            inner.write(bytes)?;
            state.note_written(self.file, start, bytes);
            Ok(())
        })?;
        self.written = end;
        Ok(())
    }

    /// On a full disk this is refused even where the file has room already: file systems that write anew what changes need some for that.
    fn write_at(&self, bytes: &[u8], start: u64) -> io::Result<()> {
        let end = start + bytes.len() as u64;
        self.shared.state().step("write", &self.path, |state| {
            state.faults.write(Target::of_file(&self.path), || 0, end)?;
            self.inner.write_at(bytes, start)?;
            state.note_written(self.file, start, bytes);
            Ok(())
        })
    }

    fn set_len(&self, length_bytes: u64) -> io::Result<()> {
        let inner = &self.inner;
        self.shared.state().step("set length of", &self.path, |state| {
            inner.set_len(length_bytes)?;
            state.note_length(self.file, length_bytes);
            Ok(())
        })
    }

    fn reserve(&mut self, start: u64, length_bytes: u64) -> io::Result<()> {
        let end = start + length_bytes;
        self.shared.state().step("reserve", &self.path, |state| {
            state.faults.write(Target::of_file(&self.path), || self.written, end)
        })?;
        self.reserved = self.reserved.max(end);
        Ok(())
    }

    fn allocate(&self, length_bytes: u64) -> io::Result<()> {
        self.shared.state().step("allocate", &self.path, |state| {
            state.faults.write(Target::of_file(&self.path), || 0, length_bytes)?;
            self.inner.allocate(length_bytes)?;
            state.note_length(self.file, length_bytes);
            Ok(())
        })
    }

    fn punch_hole(&self, start: u64, length_bytes: u64) -> io::Result<()> {
        self.shared.state().step("punch", &self.path, |state| {
            self.inner.punch_hole(start, length_bytes)?;
            state.note_hole(self.file, start, length_bytes);
            Ok(())
        })
    }

    fn next_data(&self, start: u64) -> io::Result<Option<Range<u64>>> {
        self.shared.state().alive()?;
        self.inner.next_data(start)
    }

    fn sync_data(&self) -> io::Result<()> {
        let target = Target::of_file(&self.path);
        self.shared.state().step("sync", &self.path, |state| state.sync_file(self.file, target))
    }

    fn length_bytes(&self) -> io::Result<u64> {
        self.shared.state().alive()?;
        self.inner.length_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], start: u64) -> io::Result<()> {
        let mut state = self.shared.state();
        state.alive()?;
        if state.faults.read_fails(Target::of_file(&self.path)) {
            return Err(failed());
        }
        drop(state);
        self.inner.read_exact_at(buffer, start)
    }
}

/// The length of a real file, which is what programs see.
pub(crate) fn live_length_bytes(path: &Path) -> u64 {
    File::open(path).and_then(|file| file.metadata()).map_or(0, |meta| meta.len())
}
