//! File access beneath the staging directory and nowhere else.
//!
//! Clients of the export can make symbolic links, pipes and devices wherever they may write, and rename them at any time.
//! So nothing here is opened by a path that the kernel could follow out of the directory: directories are opened with
//! `openat2` (beneath, no links), or one component after the other without following links where the kernel has no
//! `openat2`; everything else works on the name of one entry in an open directory. A file is opened without side effects
//! first (`O_PATH`), seen to be a plain file, and only then opened to be read or written.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::{Error, Result};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);
/// Directories that we make: CloudStack's agents run as root and go wherever they must.
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);
/// Staged files; CloudStack widens this itself where it wants to.
pub(crate) const FILE_MODE: Mode = Mode::from_raw_mode(0o644);

/// How directories are opened.
#[derive(Debug)]
pub(crate) struct Resolver {
    openat2: AtomicBool,
}

impl Resolver {
    pub(crate) fn new() -> Self {
        Self { openat2: AtomicBool::new(true) }
    }

    /// The way of kernels without `openat2`.
    #[cfg(test)]
    pub(crate) fn walking() -> Self {
        Self { openat2: AtomicBool::new(false) }
    }

    fn open(&self, at: &OwnedFd, names: &[&str]) -> rustix::io::Result<OwnedFd> {
        if self.openat2.load(Ordering::Relaxed) {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match fs::openat2(at, names.join("/"), DIRECTORY, Mode::empty(), resolve) {
                // Older container runtimes answer EPERM to system calls that they do not know.
                Err(Errno::NOSYS | Errno::PERM) => self.openat2.store(false, Ordering::Relaxed),
                answer => return answer,
            }
        }
        let mut dir = at.try_clone().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        for name in names {
            dir = fs::openat(&dir, *name, DIRECTORY, Mode::empty())?;
        }
        Ok(dir)
    }
}

/// The staging directory, open.
pub(crate) struct Root<'a> {
    resolver: &'a Resolver,
    dir: Dir,
}

/// An open directory beneath the staging directory, or that itself.
pub(crate) struct Dir {
    fd: OwnedFd,
    /// Its path beneath the staging directory, for messages.
    path: String,
}

impl<'a> Root<'a> {
    /// Opens the staging directory. Its own path comes from the configuration and may pass through links.
    pub(crate) fn open(path: &Path, resolver: &'a Resolver) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = fs::open(path, flags, Mode::empty())
            .map_err(|error| Error::file("opening", path.display().to_string(), error))?;
        Ok(Self { resolver, dir: Dir { fd, path: String::new() } })
    }

    /// Opens a directory; `None` when there is none.
    pub(crate) fn find(&self, names: &[&str]) -> Result<Option<Dir>> {
        let path = names.join("/");
        match self.resolver.open(&self.dir.fd, names) {
            Ok(fd) => Ok(Some(Dir { fd, path })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(refused("opening", path, error)),
        }
    }

    /// Opens a directory, and makes those that are missing on the way.
    pub(crate) fn make(&self, names: &[&str]) -> Result<Dir> {
        if let Some(dir) = self.find(names)? {
            return Ok(dir);
        }
        (1..=names.len()).try_for_each(|count| self.make_one(&names[..count]))?;
        self.find(names)?.ok_or_else(|| refused("opening", names.join("/"), Errno::NOENT))
    }

    fn make_one(&self, names: &[&str]) -> Result<()> {
        let Some((name, above)) = names.split_last() else { return Ok(()) };
        let parent = if above.is_empty() { None } else { self.find(above)? };
        let parent = parent.as_ref().unwrap_or(&self.dir);
        match fs::mkdirat(&parent.fd, *name, DIRECTORY_MODE) {
            Ok(()) => parent.sync(),
            Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(refused("making", names.join("/"), error)),
        }
    }

    /// Bytes that may still be written.
    pub(crate) fn free_bytes(&self) -> Result<u64> {
        let stat =
            fs::fstatvfs(&self.dir.fd).map_err(|error| refused("asking the free space of", ".".to_owned(), error))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Removes a directory if it is empty. Whether it did.
    pub(crate) fn remove_empty(&self, names: &[&str]) -> Result<bool> {
        let Some((name, above)) = names.split_last() else { return Ok(false) };
        let Some(parent) = self.find(above)? else { return Ok(false) };
        match fs::unlinkat(&parent.fd, *name, AtFlags::REMOVEDIR) {
            Ok(()) => parent.sync().map(|()| true),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT | Errno::BUSY) => Ok(false),
            Err(error) => Err(refused("removing", names.join("/"), error)),
        }
    }
}

impl Dir {
    /// Its path and a name in it, for messages.
    pub(crate) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) }
    }

    /// Opens a plain file; `None` when there is nothing of that name.
    pub(crate) fn find_file(&self, name: &str) -> Result<Option<File>> {
        self.open_plain(name, OFlags::RDONLY)
    }

    /// Opens a plain file to be read and written; `None` when there is nothing of that name.
    pub(crate) fn find_file_to_write(&self, name: &str) -> Result<Option<File>> {
        self.open_plain(name, OFlags::RDWR)
    }

    fn open_plain(&self, name: &str, access: OFlags) -> Result<Option<File>> {
        let look = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = match fs::openat(&self.fd, name, look, Mode::empty()) {
            Ok(handle) => handle,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(refused("opening", self.path_of(name), error)),
        };
        let stat = fs::fstat(&handle).map_err(|error| refused("looking at", self.path_of(name), error))?;
        if !is_plain(&stat) {
            return Err(Error::NotAFile { path: self.path_of(name) });
        }
        // The handle names this very file whatever happens to its name, so this link is safe to follow.
        let again = format!("/proc/self/fd/{}", handle.as_raw_fd());
        match fs::open(again, access | OFlags::CLOEXEC, Mode::empty()) {
            Ok(fd) => Ok(Some(File::from(fd))),
            Err(error) => Err(refused("opening", self.path_of(name), error)),
        }
    }

    /// Makes a file that nobody else can have open, readable by us alone.
    pub(crate) fn create(&self, name: &str) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)
            .map(File::from)
            .map_err(|error| refused("making", self.path_of(name), error))
    }

    /// What lies under a name, links not followed; `None` when nothing does.
    pub(crate) fn stat(&self, name: &str) -> Result<Option<Stat>> {
        match fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(refused("looking at", self.path_of(name), error)),
        }
    }

    /// Renames, replacing what is there.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<()> {
        fs::renameat(&self.fd, from, &self.fd, to).map_err(|error| refused("renaming to", self.path_of(to), error))
    }

    /// Renames unless something has the new name; whether it did.
    pub(crate) fn rename_to_free(&self, from: &str, to: &str) -> Result<bool> {
        match fs::renameat_with(&self.fd, from, &self.fd, to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            // File systems of filers do not know this way of renaming; looking first is the best there is.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match self.stat(to)? {
                Some(_) => Ok(false),
                None => self.rename(from, to).map(|()| true),
            },
            Err(error) => Err(refused("renaming to", self.path_of(to), error)),
        }
    }

    /// Removes a name that is no directory; whether there was one.
    pub(crate) fn unlink(&self, name: &str) -> Result<bool> {
        match fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(refused("removing", self.path_of(name), error)),
        }
    }

    /// Makes its names durable.
    pub(crate) fn sync(&self) -> Result<()> {
        match fs::fsync(&self.fd) {
            // Some network file systems have no fsync of directories; their renames are synchronous.
            Ok(()) | Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(refused("syncing", self.path_of("."), error)),
        }
    }

    /// The names in it in order, without `.` and `..`; names that are not UTF-8 can be no staged file's and are left out.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let failed = |error| refused("reading", self.path_of("."), error);
        let entries = fs::Dir::read_from(self.fd.as_fd()).map_err(failed)?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => (),
                Ok(name) => names.push(name.to_owned()),
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}

/// Whether it is a plain file.
pub(crate) fn is_plain(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Names what a client of the export can cause; the rest is an error of the disk.
fn refused(doing: &'static str, path: String, error: Errno) -> Error {
    match error {
        Errno::LOOP | Errno::XDEV | Errno::NOTDIR | Errno::MLINK => Error::NotBeneath { path },
        Errno::ISDIR => Error::NotAFile { path },
        _ => Error::file(doing, path, io::Error::from(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    fn both(test: impl Fn(&Resolver, PathBuf)) {
        for resolver in [Resolver::new(), Resolver::walking()] {
            let temp = tempfile::tempdir().unwrap();
            test(&resolver, temp.path().to_owned());
        }
    }

    #[test]
    fn directories_are_made_and_removed_when_empty() {
        both(|resolver, path| {
            let root = Root::open(&path, resolver).unwrap();
            assert!(root.find(&["volumes", "1", "2"]).unwrap().is_none());
            let dir = root.make(&["volumes", "1", "2"]).unwrap();
            dir.create("a").unwrap().write_all(b"x").unwrap();
            assert!(!root.remove_empty(&["volumes", "1", "2"]).unwrap());
            assert!(dir.unlink("a").unwrap());
            assert!(!dir.unlink("a").unwrap());
            assert!(root.remove_empty(&["volumes", "1", "2"]).unwrap());
            assert!(path.join("volumes/1").is_dir() && !path.join("volumes/1/2").exists());
        });
    }

    #[test]
    fn links_planted_at_any_component_are_not_followed() {
        let names = ["template", "tmpl", "1", "200"];
        for depth in 0..names.len() {
            both(|resolver, path| {
                let outside = tempfile::tempdir().unwrap();
                std::fs::create_dir_all(outside.path().join(names[depth + 1..].join("/"))).unwrap();
                std::fs::create_dir_all(path.join(names[..depth].join("/"))).unwrap();
                symlink(outside.path(), path.join(names[..=depth].join("/"))).unwrap();
                let root = Root::open(&path, resolver).unwrap();
                assert!(matches!(root.find(&names), Err(Error::NotBeneath { .. })), "find at {depth}");
                assert!(matches!(root.make(&names), Err(Error::NotBeneath { .. })), "make at {depth}");
            });
        }
    }

    #[test]
    fn links_pipes_and_directories_are_no_files() {
        both(|resolver, path| {
            std::fs::write(path.join("secret"), b"secret").unwrap();
            let root = Root::open(&path, resolver).unwrap();
            let dir = root.make(&["volumes", "1", "2"]).unwrap();
            let here = path.join("volumes/1/2");
            symlink(path.join("secret"), here.join("absolute")).unwrap();
            symlink("../../../secret", here.join("relative")).unwrap();
            std::fs::create_dir(here.join("directory")).unwrap();
            fs::mkfifoat(&dir.fd, "pipe", Mode::RUSR).unwrap();
            for name in ["absolute", "relative", "directory", "pipe"] {
                assert!(matches!(dir.find_file(name), Err(Error::NotAFile { .. })), "{name}");
                assert!(matches!(dir.find_file_to_write(name), Err(Error::NotAFile { .. })), "{name}");
                assert!(dir.create(name).is_err(), "{name}");
            }
            assert_eq!(std::fs::read(path.join("secret")).unwrap(), b"secret");
        });
    }

    #[test]
    fn a_taken_name_is_not_renamed_over() {
        both(|resolver, path| {
            let root = Root::open(&path, resolver).unwrap();
            let dir = root.make(&["volumes", "1", "2"]).unwrap();
            dir.create("a").unwrap().write_all(b"a").unwrap();
            dir.create("b").unwrap().write_all(b"b").unwrap();
            assert!(!dir.rename_to_free("a", "b").unwrap());
            assert!(dir.rename_to_free("a", "c").unwrap());
            dir.rename("c", "b").unwrap();
            let mut text = String::new();
            dir.find_file("b").unwrap().unwrap().read_to_string(&mut text).unwrap();
            assert_eq!((text.as_str(), dir.names().unwrap()), ("a", vec!["b".to_owned()]));
        });
    }
}
