//! The staging store for CloudStack's secondary storage, and its hooks.
//!
//! CloudStack keeps templates, snapshots and volumes in a bucket, but its hypervisors read and write files: they work on a
//! staging directory that an NFS server exports. This crate moves files between the two, so that an operator can fill and
//! empty the staging directory instead of waiting for CloudStack to:
//!
//! - [`Staging::pull`] writes an object to the path where CloudStack expects it;
//! - [`Staging::push`] stores a staged file under the key that CloudStack would give it;
//! - [`Staging::list`] shows what is staged, and of which objects the files are proven copies;
//! - [`Staging::evict`] removes files whose content is proven to be in the bucket.
//!
//! # Which path pull writes
//!
//! CloudStack's own way to stage a template `template/tmpl/<account>/<template>/<unique name>/<file>` is to copy it to
//! `template/tmpl/<account>/<template>/<file>`, to unpack it if it is packed and rename it to a random name, and to describe
//! it in `template.properties` beside it. Pull stops after the first step: the file keeps its name and its bytes, because
//! only then it stays a provable copy of the object, and `template.properties` is written where the format is one that needs
//! no unpacking. Snapshots and volumes have the same path in both. See [`LayoutKey`] and [`StagedPath`].
//!
//! # What holds at any time
//!
//! - A file appears under its name only whole, verified and (with [`Settings::sync`]) durable; see `pull`.
//! - An object appears in the bucket only whole and only when the file did not change while it was read; see `push`.
//! - A file is removed only when the object has its very content now; see `evict`.
//! - Nothing outside the staging directory is read or written, whatever clients of the export plant in it; see `beneath`.
//! - An interrupted pull or push goes on where it stopped when it is asked for again; see `state`.

mod beneath;
mod digest;
mod error;
mod evict;
mod hooks;
mod layout;
mod list;
mod object;
mod progress;
mod properties;
mod pull;
mod push;
mod settings;
mod state;
mod upload;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::Engine;

pub use error::{Error, Result};
pub use evict::{EvictOutcome, EvictScope, Evicted, Kept};
pub use layout::{Kind, LayoutKey, StagedPath};
pub use list::{FileState, StagedFile};
pub use progress::{Progress, Silent, Stage, Step};
pub use pull::{PullOutcome, PullRequest, Pulled};
pub use push::{PushOutcome, PushRequest, Pushed};
pub use settings::{HookSettings, Settings};

use beneath::{Resolver, Root};
use state::Records;
use work::{Busy, blocking};

/// The staging store: cheap to clone, safe to share.
#[derive(Clone, Debug)]
pub struct Staging {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Engine,
    settings: Settings,
    dir: PathBuf,
    resolver: Resolver,
    records: Records,
    busy: Busy,
}

impl Staging {
    /// Opens the staging store of an engine: makes the directory when it is missing, and finishes what a crash interrupted.
    /// [`Error::Settings`] when the settings are not valid, or the directory would export the store's own data.
    pub async fn open(engine: Engine, settings: Settings) -> Result<Self> {
        settings.validate()?;
        let data_dir = engine.settings().data_dir.clone();
        let inner = blocking(move || {
            let dir = prepare_dir(&data_dir, settings.dir.as_deref())?;
            let records = Records::open(data_dir.join("staging-state"))?;
            let inner = Inner { engine, settings, dir, resolver: Resolver::new(), records, busy: Busy::default() };
            evict::finish_interrupted(&inner)?;
            Ok(inner)
        })
        .await?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The staging directory.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }
}

impl Inner {
    /// Opens the staging directory anew, so that what is mounted there now is used.
    fn root(&self) -> Result<Root<'_>> {
        Root::open(&self.dir, &self.resolver)
    }
}

/// Makes the directory, and refuses one through which clients of the export could reach the store's own data.
fn prepare_dir(data_dir: &Path, dir: Option<&Path>) -> Result<PathBuf> {
    let own = data_dir.join("staging");
    let dir = dir.unwrap_or(&own);
    std::fs::create_dir_all(dir).map_err(|error| Error::file("making", dir.display().to_string(), error))?;
    let real =
        |path: &Path| path.canonicalize().map_err(|error| Error::file("opening", path.display().to_string(), error));
    let (dir, data_dir) = (real(dir)?, real(data_dir)?);
    let beside_own_data = dir.starts_with(&data_dir) && !dir.starts_with(data_dir.join("staging"));
    if data_dir.starts_with(&dir) || beside_own_data {
        return Err(Error::Settings(format!("dir = {dir:?} would export the store's own data in {data_dir:?}")));
    }
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_export_never_holds_the_stores_own_data() {
        let temp = tempfile::tempdir().unwrap();
        let data = temp.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let inside = data.join("blobs");
        std::os::unix::fs::symlink(&data, temp.path().join("link")).unwrap();
        for bad in [temp.path(), &data, &inside, Path::new("/"), &temp.path().join("link")] {
            assert!(matches!(prepare_dir(&data, Some(bad)), Err(Error::Settings(_))), "{bad:?}");
        }
        let real = data.canonicalize().unwrap();
        assert_eq!(prepare_dir(&data, None).unwrap(), real.join("staging"));
        let other = temp.path().join("other");
        assert_eq!(prepare_dir(&data, Some(&other)).unwrap(), other.canonicalize().unwrap());
    }
}
