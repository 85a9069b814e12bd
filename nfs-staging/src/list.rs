//! What is staged.

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

use crate::beneath::{Root, is_plain};
use crate::layout::is_content_name;
use crate::state::{Look, Record};
use crate::work::blocking;
use crate::{Error, Inner, Kind, Result, StagedPath, Staging};

/// A staged file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFile {
    /// Its path beneath the staging directory.
    pub path: String,
    /// Its size; of a pull that was interrupted, how much is there.
    pub size_bytes: u64,
    /// When its content last changed, in microseconds of the Unix epoch.
    pub modified_us: i64,
    /// How it stands to the bucket.
    #[serde(flatten)]
    pub state: FileState,
}

/// How a staged file stands to the bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum FileState {
    /// It was proven to have the content of the object, and was not touched since.
    Proven {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// It was proven once, and was touched or renamed since: only reading it would tell whether it still has that content.
    Touched {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// Nothing is on record of it: it was put here by somebody else.
    Unproven,
    /// A pull that was interrupted; pulling again goes on, evicting gives it up.
    PartlyPulled {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The size of the object.
        total_bytes: u64,
    },
}

impl Staging {
    /// What is staged, in the order of paths. It shows files of every tenant, so only the operator's doors may ask. Nothing is read
    /// but names and attributes.
    pub async fn list(&self) -> Result<Vec<StagedFile>> {
        let inner = self.inner.clone();
        blocking(move || list(&inner)).await
    }
}

fn list(inner: &Inner) -> Result<Vec<StagedFile>> {
    let mut files = Vec::new();
    for (path, stat) in walk(&inner.root()?)? {
        let look = Look::of(&stat);
        let state = state_of(&inner.records.of_file(&path, &look)?, &look);
        files.push(StagedFile {
            path: path.to_string(),
            size_bytes: look.size_bytes,
            modified_us: look.modified_ns / 1000,
            state,
        });
    }
    for record in inner.records.all()? {
        files.extend(partly_pulled(record, &files));
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn state_of(record: &Record, look: &Look) -> FileState {
    let Some(copy) = &record.copy else { return FileState::Unproven };
    let (bucket, key) = (copy.object.bucket.clone(), copy.object.key.clone());
    if copy.look == *look { FileState::Proven { bucket, key } } else { FileState::Touched { bucket, key } }
}

fn partly_pulled(record: Record, files: &[StagedFile]) -> Option<StagedFile> {
    let open = record.pull?;
    if files.iter().any(|file| file.path == record.path) {
        return None;
    }
    let (bucket, key, total_bytes) = (open.object.bucket, open.object.key, open.object.size_bytes);
    let state = FileState::PartlyPulled { bucket, key, total_bytes };
    Some(StagedFile { path: record.path, size_bytes: open.written_bytes, modified_us: 0, state })
}

/// Every plain file in the layout. Links, pipes and what lies elsewhere are passed over.
pub(crate) fn walk(root: &Root<'_>) -> Result<Vec<(StagedPath, Stat)>> {
    let mut found = Vec::new();
    for kind in Kind::ALL {
        for account in names_in(root, kind.roots())? {
            let above = [kind.roots(), &[account.as_str()]].concat();
            for id in names_in(root, &above)? {
                walk_one(root, kind, &account, &id, &mut found)?;
            }
        }
    }
    Ok(found)
}

fn walk_one(root: &Root<'_>, kind: Kind, account: &str, id: &str, found: &mut Vec<(StagedPath, Stat)>) -> Result<()> {
    let names = [kind.roots(), &[account, id]].concat();
    let dir = match root.find(&names) {
        Ok(Some(dir)) => dir,
        Ok(None) | Err(Error::NotBeneath { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    for name in dir.names()?.into_iter().filter(|name| is_content_name(name)) {
        // Directories whose names are no numbers are not of the layout.
        let Ok(path) = StagedPath::new(kind, account, id, &name) else { return Ok(()) };
        if let Some(stat) = dir.stat(&name)?.filter(is_plain) {
            found.push((path, stat));
        }
    }
    Ok(())
}

fn names_in(root: &Root<'_>, names: &[&str]) -> Result<Vec<String>> {
    match root.find(names) {
        Ok(Some(dir)) => dir.names(),
        Ok(None) | Err(Error::NotBeneath { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
