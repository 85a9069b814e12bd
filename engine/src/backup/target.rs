//! The directory that holds the back-ups of one store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::manifest::{FORMAT, MANIFEST, write_file};
use crate::disk::{Disk, ensure_dirs_durably};
use crate::{Error, Result, data_dir, stamp};

/// Says whose back-ups these are.
const MARK: &str = "cloudhold-backups.json";
/// The end of the name of a back-up that is not whole yet.
pub(super) const PART: &str = ".part";

#[derive(Serialize, Deserialize)]
struct Mark {
    format: u32,
    store_id: String,
}

/// A directory of back-ups, locked for one command.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) path: PathBuf,
    _lock: data_dir::Lock,
}

impl Target {
    /// Opens a directory of back-ups of a store; an empty or absent one becomes one.
    pub(super) fn make(disk: Arc<dyn Disk>, path: &Path, store_id: &str) -> Result<Self> {
        ensure_dirs_durably(&*disk, path).map_err(|e| Error::io("making the directory of the back-ups", e))?;
        if !path.join(MARK).exists() {
            let names = disk.read_dir(path).map_err(|e| Error::io("looking at the directory of the back-ups", e))?;
            if names.iter().any(|name| name != "lock" && name != "lost+found") {
                return Err(unusable(path, "is not empty and holds no back-ups; name another directory"));
            }
        }
        let target = Self { _lock: data_dir::lock(path)?, disk, path: path.to_owned() };
        if path.join(MARK).exists() {
            let known = read_mark(path)?;
            if known.store_id != store_id {
                return Err(unusable(path, "holds back-ups of another store"));
            }
        } else {
            let text = serde_json::to_vec_pretty(&Mark { format: FORMAT, store_id: store_id.to_owned() });
            let text = text.map_err(|_| Error::Internal("the mark of the back-ups could not be written"))?;
            write_file(&*target.disk, &path.join(MARK), &text)?;
            target.sync(path)?;
        }
        Ok(target)
    }

    /// Opens a directory that holds back-ups.
    pub(super) fn open(disk: Arc<dyn Disk>, path: &Path) -> Result<Self> {
        read_mark(path)?;
        Ok(Self { _lock: data_dir::lock(path)?, disk, path: path.to_owned() })
    }

    pub(super) fn sync(&self, directory: &Path) -> Result<()> {
        let synced = self.disk.open_dir(directory).and_then(|directory| directory.sync());
        synced.map_err(|e| Error::io("syncing a directory of back-ups", e))
    }

    /// Removes the files of a back-up, the manifest first: from then on it is none.
    pub(super) fn remove(&self, backup: &Path) -> Result<()> {
        let failed = |e| Error::io("removing a back-up", e);
        match self.disk.remove(&backup.join(MANIFEST)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => self.sync(backup)?,
        }
        std::fs::remove_dir_all(backup).map_err(failed)
    }

    /// Removes what back-ups that were cut off left; their blobs stay, so that the next one need not copy them again.
    pub(super) fn remove_parts(&self) -> Result<()> {
        let names = self.disk.read_dir(&self.path).map_err(|e| Error::io("listing back-ups", e))?;
        for name in names.iter().filter(|name| name.to_str().is_some_and(|name| name.ends_with(PART))) {
            self.remove(&self.path.join(name))?;
        }
        Ok(())
    }
}

/// The back-ups in a directory by their times, the newest first.
pub(super) fn backups(path: &Path) -> Result<Vec<(i64, PathBuf)>> {
    let failed = |e| Error::io("listing back-ups", e);
    let mut backups = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Some(taken_us) = entry.file_name().to_str().and_then(stamp::parse)
            && entry.path().join(MANIFEST).exists()
        {
            backups.push((taken_us, entry.path()));
        }
    }
    backups.sort_by_key(|(taken_us, _)| std::cmp::Reverse(*taken_us));
    Ok(backups)
}

/// The back-up that a path names: itself, or the newest of a directory of back-ups; with the directory that holds the blobs.
pub(super) fn find(path: &Path) -> Result<(PathBuf, PathBuf)> {
    if path.join(MANIFEST).exists() {
        let path = std::path::absolute(path).map_err(|e| Error::io("finding a back-up", e))?;
        let target = path.parent().unwrap_or(Path::new("/")).to_owned();
        return Ok((path, target));
    }
    read_mark(path)?;
    let newest = backups(path)?.into_iter().next();
    let (_, backup) = newest.ok_or_else(|| unusable(path, "holds no whole back-up"))?;
    Ok((backup, path.to_owned()))
}

fn read_mark(path: &Path) -> Result<Mark> {
    let text = std::fs::read(path.join(MARK)).map_err(|_| unusable(path, "holds no back-ups"))?;
    let mark: Mark = serde_json::from_slice(&text).map_err(|_| unusable(path, "has a mark that cannot be read"))?;
    match mark.format {
        FORMAT => Ok(mark),
        format => Err(unusable(path, &format!("has format {format}, and this program knows {FORMAT}"))),
    }
}

fn unusable(path: &Path, why: &str) -> Error {
    Error::Unusable(format!("{} {why}", path.display()))
}
