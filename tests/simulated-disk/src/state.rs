//! The state of a disk: its files and names, the count of its steps, and what is to go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::faults::{Faults, Target};
use crate::image::{Change, Image};
use crate::names::{Directory, Node, Renaming};

/// Whether a crash comes before or after the step at which it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The step is not taken any more.
    Before,
    /// The step is taken, but its caller never learns of it.
    After,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) root: PathBuf,
    pub(crate) files: Vec<Image>,
    /// The first is the root.
    pub(crate) directories: Vec<Directory>,
    /// Renamings of which one half reached the medium, and so must the other.
    pub(crate) happened: BTreeSet<Renaming>,
    pub(crate) faults: Faults,
    pub(crate) dead: bool,
    crash: Option<(u64, Moment)>,
    trail: Vec<String>,
    renaming: Renaming,
}

impl State {
    /// Takes everything beneath a directory as durable.
    pub(crate) fn load(root: &Path) -> io::Result<Self> {
        let mut state = Self {
            root: root.canonicalize()?,
            files: Vec::new(),
            directories: vec![Directory::default()],
            happened: BTreeSet::new(),
            faults: Faults::default(),
            dead: false,
            crash: None,
            trail: Vec::new(),
            renaming: 0,
        };
        let root = state.root.clone();
        state.directories[0] = state.load_directory(&root)?;
        Ok(state)
    }

    fn load_directory(&mut self, path: &Path) -> io::Result<Directory> {
        let mut names = BTreeMap::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let node = if entry.file_type()?.is_dir() {
                let directory = self.load_directory(&entry.path())?;
                self.directories.push(directory);
                Node::Directory(self.directories.len() - 1)
            } else if is_tracked(&entry.path()) {
                self.new_file(Image::durable(fs::read(entry.path())?))
            } else {
                continue;
            };
            names.insert(entry.file_name(), node);
        }
        Ok(Directory::durable(names))
    }

    fn new_file(&mut self, image: Image) -> Node {
        self.files.push(image);
        Node::File(self.files.len() - 1)
    }

    pub(crate) fn alive(&self) -> io::Result<()> {
        if self.dead { Err(failed()) } else { Ok(()) }
    }

    /// Takes a step: something that changes what is on the disk or in the page cache, unless the crash comes first.
    pub(crate) fn step<T>(
        &mut self,
        what: &'static str,
        path: &Path,
        run: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        self.alive()?;
        let name = path.strip_prefix(&self.root).unwrap_or(path).display();
        self.trail.push(format!("{what} {name}"));
        let now = self.trail.len() as u64;
        if self.crash == Some((now, Moment::Before)) {
            self.dead = true;
            return Err(failed());
        }
        let done = run(self);
        if self.crash == Some((now, Moment::After)) {
            self.dead = true;
            return Err(failed());
        }
        done
    }

    /// Takes a step that is not the disk's; tells when the crash comes at it, or has come.
    pub(crate) fn step_elsewhere(&mut self, what: &str) -> Option<Moment> {
        if self.dead {
            return Some(Moment::Before);
        }
        self.trail.push(what.to_owned());
        let (step, moment) = self.crash?;
        let moment = (step == self.trail.len() as u64).then_some(moment);
        self.dead = moment == Some(Moment::Before);
        moment
    }

    pub(crate) fn trail(&self) -> &[String] {
        &self.trail
    }

    /// The crash comes at that many steps from now; the next step is the first.
    pub(crate) fn crash_in(&mut self, steps: u64, moment: Moment) {
        self.crash = Some((self.trail.len() as u64 + steps, moment));
    }

    /// Another process comes and finds what the dead one left in the page cache.
    pub(crate) fn restart(&mut self) {
        (self.dead, self.crash) = (false, None);
    }

    pub(crate) fn directory_of(&self, path: &Path) -> io::Result<usize> {
        let inside = path.strip_prefix(&self.root).map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
        let mut at = 0;
        for name in inside {
            match self.directories[at].find(&name.to_owned()) {
                Some(Node::Directory(number)) => at = number,
                Some(Node::File(_)) | None => return Err(io::ErrorKind::NotFound.into()),
            }
        }
        Ok(at)
    }

    fn place_of(&self, path: &Path) -> io::Result<(usize, OsString)> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        Ok((self.directory_of(parent)?, name.to_owned()))
    }

    pub(crate) fn file_of(&self, path: &Path) -> io::Result<usize> {
        let (directory, name) = self.place_of(path)?;
        match self.directories[directory].find(&name) {
            Some(Node::File(number)) => Ok(number),
            Some(Node::Directory(_)) | None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn note_new_directory(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.place_of(path)?;
        self.directories.push(Directory::default());
        let node = Node::Directory(self.directories.len() - 1);
        self.directories[parent].change(name, Some(node), None);
        Ok(())
    }

    pub(crate) fn note_new_file(&mut self, path: &Path) -> io::Result<usize> {
        let (parent, name) = self.place_of(path)?;
        let node = self.new_file(Image::default());
        self.directories[parent].change(name, Some(node), None);
        Ok(self.files.len() - 1)
    }

    pub(crate) fn note_removed(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.place_of(path)?;
        self.directories[parent].change(name, None, None);
        Ok(())
    }

    pub(crate) fn note_renamed(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.file_of(from)?;
        let ((from, old), (to, new)) = (self.place_of(from)?, self.place_of(to)?);
        self.renaming += 1;
        self.directories[from].change(old, None, Some(self.renaming));
        self.directories[to].change(new, Some(Node::File(file)), Some(self.renaming));
        Ok(())
    }

    pub(crate) fn note_written(&mut self, file: usize, start: u64, bytes: &[u8]) {
        self.files[file].change(Change::Write { start, bytes: bytes.to_vec() });
    }

    pub(crate) fn note_hole(&mut self, file: usize, start: u64, length_bytes: u64) {
        self.files[file].change(Change::Hole { start, length_bytes });
    }

    pub(crate) fn note_length(&mut self, file: usize, length_bytes: u64) {
        self.files[file].change(Change::Length(length_bytes));
    }

    pub(crate) fn sync_file(&mut self, file: usize, target: Target) -> io::Result<()> {
        if let Some(error) = self.faults.failed_sync(target) {
            self.files[file].lose();
            return Err(error);
        }
        self.files[file].sync();
        Ok(())
    }

    /// A directory that cannot be synced keeps its names in memory, and a later sync writes them: they are in the journal of the file
    /// system, which does not forget them as it forgets pages of data.
    pub(crate) fn sync_directory(&mut self, directory: usize) -> io::Result<()> {
        if let Some(error) = self.faults.failed_sync(Target::Directory) {
            return Err(error);
        }
        let happened = self.directories[directory].sync();
        self.happened.extend(happened);
        Ok(())
    }
}

/// The index of the log is memory that happens to have a name: SQLite makes it anew whenever it opens a database that nobody has open.
pub(crate) fn is_tracked(path: &Path) -> bool {
    !path.as_os_str().as_encoded_bytes().ends_with(b"-shm")
}

/// What the system says when a disk fails: EIO.
pub(crate) fn failed() -> io::Error {
    io::Error::from_raw_os_error(5)
}

/// What the system says when a disk is full: ENOSPC.
pub(crate) fn full() -> io::Error {
    io::Error::from_raw_os_error(28)
}
