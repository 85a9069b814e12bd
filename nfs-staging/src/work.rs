//! One action on one path: nobody else works on it meanwhile, and its file work runs on threads that may block.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::digest::{ContentHasher, Cut, Fingerprint};
use crate::progress::{Progress, Reporter, Stage};
use crate::state::{Look, ObjectMark, ProvenCopy};
use crate::{Error, Inner, Result, StagedPath, Staging};

/// How much is read at once.
pub(crate) const CHUNK_SIZE_BYTES: usize = 1 << 20;

/// The paths that actions work on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Busy(Arc<Mutex<HashSet<String>>>);

/// Holds a path until the last clone is dropped, also by a thread that outlives its action.
#[derive(Debug)]
pub(crate) struct Held {
    busy: Busy,
    path: String,
}

impl Busy {
    pub(crate) fn hold(&self, path: &str) -> Result<Held> {
        let mut paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !paths.insert(path.to_owned()) {
            return Err(Error::Busy { path: path.to_owned() });
        }
        Ok(Held { busy: self.clone(), path: path.to_owned() })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.busy.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.path);
    }
}

/// An action on a path.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) inner: Arc<Inner>,
    pub(crate) staged: StagedPath,
    /// The path beneath the staging directory, as text.
    pub(crate) path: String,
    reporter: Reporter,
    _held: Arc<Held>,
}

impl Staging {
    /// Begins an action; [`Error::Busy`] while another one works on the path.
    pub(crate) fn begin(&self, staged: &StagedPath, progress: &Arc<dyn Progress>) -> Result<Job> {
        let path = staged.to_string();
        let held = Arc::new(self.inner.busy.hold(&path)?);
        let reporter = Reporter::new(progress, &path);
        Ok(Job { inner: self.inner.clone(), staged: staged.clone(), path, reporter, _held: held })
    }
}

impl Job {
    /// Runs file work of this action.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let job = self.clone();
        blocking(move || work(&job)).await
    }

    /// Reports how far it is.
    pub(crate) fn at(&self, stage: Stage, done_bytes: u64, total_bytes: u64) {
        self.reporter.at(stage, done_bytes, total_bytes);
    }

    /// Opens the staged file; `None` when there is none.
    pub(crate) fn find_file(&self) -> Result<Option<File>> {
        let root = self.inner.root()?;
        let names = self.staged.directories();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let Some(dir) = root.find(&names)? else { return Ok(None) };
        dir.find_file(&self.staged.file)
    }

    /// Reads a whole file. [`Error::FileChanged`] when it changes meanwhile.
    pub(crate) fn fingerprint(&self, file: &File, cut: Cut) -> Result<(Fingerprint, Look)> {
        let look = Look::of_file(file, &self.path)?;
        let mut hasher = ContentHasher::new(cut);
        self.hash_to(file, &mut hasher, look.size_bytes, look.size_bytes)?;
        if Look::of_file(file, &self.path)? != look {
            return Err(Error::FileChanged { path: self.path.clone() });
        }
        Ok((hasher.finish(), look))
    }

    /// Feeds a hasher from where it is to an offset of the file of `total_bytes`. [`Error::FileChanged`] when it ends earlier.
    pub(crate) fn hash_to(
        &self,
        file: &File,
        hasher: &mut ContentHasher,
        end_bytes: u64,
        total_bytes: u64,
    ) -> Result<()> {
        let mut buffer = vec![0; CHUNK_SIZE_BYTES];
        while hasher.size_bytes() < end_bytes {
            self.at(Stage::Checking, hasher.size_bytes(), total_bytes);
            let read = self.read_at(file, &mut buffer, hasher.size_bytes(), end_bytes)?;
            hasher.update(&buffer[..read]);
        }
        self.at(Stage::Checking, end_bytes, total_bytes);
        Ok(())
    }

    /// Reads a piece at an offset, up to `end_bytes`. [`Error::FileChanged`] when the file ends before that.
    pub(crate) fn read_at(&self, file: &File, buffer: &mut [u8], offset_bytes: u64, end_bytes: u64) -> Result<usize> {
        let wanted = buffer.len().min(usize::try_from(end_bytes - offset_bytes).unwrap_or(buffer.len()));
        match file.read_at(&mut buffer[..wanted], offset_bytes) {
            Ok(0) => Err(Error::FileChanged { path: self.path.clone() }),
            Ok(read) => Ok(read),
            Err(error) => Err(Error::file("reading", &self.path, error)),
        }
    }

    /// What goes on record when the content of a file was found equal to an object's.
    pub(crate) fn proof(&self, object: ObjectMark, found: &Fingerprint, look: Look) -> ProvenCopy {
        ProvenCopy {
            object,
            sha256: hex::encode(found.sha256),
            crc64nvme: found.crc64nvme,
            look,
            proven_us: self.inner.engine.clock().now_us(),
        }
    }
}

/// Runs work that may block.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Error::Internal("a worker thread stopped")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_held_once() {
        let busy = Busy::default();
        let held = busy.hold("a").unwrap();
        assert!(matches!(busy.hold("a"), Err(Error::Busy { .. })));
        busy.hold("b").unwrap();
        drop(held);
        busy.hold("a").unwrap();
    }
}
