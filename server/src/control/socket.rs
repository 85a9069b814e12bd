//! The socket file: made, found, and checked, also where its path is longer than the system takes.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::fs::{Mode, OFlags};
use tokio::net::{UnixListener, UnixStream};

use super::FILE_NAME;
use crate::files;

/// A socket's address has room for this many bytes of a path.
const PATH_BYTES_MAX: usize = 107;

/// A path of the socket that fits, and what keeps it valid.
struct ShortPath {
    path: PathBuf,
    _folder: Option<OwnedFd>,
}

/// A long path is shortened by way of an open folder: what is beneath `/proc/self/fd` is the folder itself.
fn short_path(data_dir: &Path) -> io::Result<ShortPath> {
    let path = data_dir.join(FILE_NAME);
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return Ok(ShortPath { path, _folder: None });
    }
    let folder = rustix::fs::open(data_dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{FILE_NAME}", folder.as_raw_fd()));
    Ok(ShortPath { path, _folder: Some(folder) })
}

/// Makes the socket, mode 0600. One that a killed process left is replaced: who holds the lock of the data directory is the only one.
pub(crate) fn bind(data_dir: &Path) -> io::Result<UnixListener> {
    let short = short_path(data_dir)?;
    files::remove_if_there(&short.path)?;
    let listener = UnixListener::bind(&short.path)?;
    fs::set_permissions(&short.path, fs::Permissions::from_mode(files::SECRET))?;
    Ok(listener)
}

/// Connects to the socket of a running store.
pub(super) async fn connect(data_dir: &Path) -> io::Result<UnixStream> {
    let short = short_path(data_dir)?;
    UnixStream::connect(&short.path).await
}

/// Whether a peer may give commands: the user that the store runs as, and root.
pub(super) fn is_allowed(peer_uid: u32, own_uid: u32) -> bool {
    peer_uid == own_uid || peer_uid == 0
}
