//! Restores a back-up into a data directory, and into a PostgreSQL database where the metadata is to be there.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::list::{Damaged, open};
use super::manifest::{self, BLOBS, Blobs, METADATA, Manifest};
use super::target;
use crate::bytes::blocking;
use crate::bytes::pool::{NotCopied, Pool};
use crate::install::{self, OldDatabase};
use crate::secrets::KeyRing;
use crate::{Caller, Error, OnProgress, Result, Settings, data_dir, stamp};

/// A back-up that was restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The back-up.
    pub backup: PathBuf,
    /// The state of the store that is restored, in microseconds of the Unix epoch.
    pub taken_us: i64,
    /// Blobs that were restored.
    pub blob_count: u64,
    /// Their bytes.
    pub size_bytes: u64,
    /// What could not be restored.
    pub damaged: Vec<Damaged>,
    /// Where what was in the data directory is now.
    pub moved_aside: Option<PathBuf>,
    /// Where the tables are now that were in the PostgreSQL database.
    pub old_database: Option<OldDatabase>,
    /// Where the key ring is; `None` when it has to be brought before the store can start.
    pub key_file: Option<PathBuf>,
    /// What the back-up does not have.
    pub left_out: Vec<String>,
}

/// Restores a back-up (the one that is named, or the newest of a directory) into the data directory of the settings, which must be
/// empty or absent, and so must be the database when that is PostgreSQL; with `force` what is there is moved aside. Every byte is verified
/// on the way. With a key ring given, it must fit, and is copied to its place.
pub async fn restore_backup(
    caller: &Caller,
    settings: &Settings,
    path: &Path,
    key_file: Option<&Path>,
    force: bool,
    on_progress: &OnProgress,
) -> Result<Restored> {
    caller.must_operate()?;
    let (path, key_file) = (path.to_owned(), key_file.map(Path::to_owned));
    let source = blocking(move || Source::find(&path, key_file)).await?;
    install::may_begin(settings, force).await?;
    let (at, on_progress) = (settings.clone(), on_progress.clone());
    let (mut restored, _lock) = blocking(move || source.restore(&at, force, &on_progress)).await?;
    // Last of all: without its database this is no store, whenever this is cut off.
    restored.old_database = install::install(settings, force).await?;
    Ok(restored)
}

/// A back-up with all that it takes to restore it.
struct Source {
    backup: PathBuf,
    /// The directory that has its blobs.
    target: PathBuf,
    manifest: Manifest,
    blobs: Blobs,
    /// The key ring, which fits.
    key_file: Option<PathBuf>,
}

impl Source {
    fn find(path: &Path, key_file: Option<PathBuf>) -> Result<Self> {
        let (backup, target) = target::find(path)?;
        let manifest = Manifest::read(&backup)?;
        let Some(blobs) = manifest.blobs.clone() else {
            return Err(Error::Unusable(format!(
                "{} has the metadata only; `cloudhold rebuild-index --snapshot {}` brings it together with the blobs of a store",
                backup.display(),
                backup.join(METADATA).display()
            )));
        };
        if manifest::check(&backup.join(BLOBS))? != blobs.list {
            return Err(Error::corrupt("the back-up's list of blobs does not match its checksum"));
        }
        if let Some(key_file) = &key_file {
            KeyRing::open_or_create(key_file, false)?.confirm(&manifest.key_ring_check)?;
        }
        Ok(Self { backup, target, manifest, blobs, key_file })
    }

    /// Restores everything but the database, a copy of which lies beside its place then. Returns the lock of the data directory, too.
    fn restore(self, settings: &Settings, force: bool, on_progress: &OnProgress) -> Result<(Restored, data_dir::Lock)> {
        let to = &settings.data_dir;
        let moved_aside = make_way(settings, force)?;
        let lock = data_dir::make_and_lock(&*settings.disk, to)?;
        let mut restored = Restored {
            backup: self.backup.clone(),
            taken_us: self.manifest.taken_us,
            blob_count: 0,
            size_bytes: 0,
            damaged: Vec::new(),
            moved_aside,
            old_database: None,
            key_file: settings.key_file.clone().filter(|path| path.exists()),
            left_out: self.manifest.left_out.clone(),
        };
        for what in &self.manifest.damaged {
            let subject = "left out when the back-up was made".to_owned();
            restored.damaged.push(Damaged { subject, detail: what.clone() });
        }
        restored.blobs(settings, &self.target, self.blobs.size_bytes, on_progress)?;
        if let Some(key_file) = &self.key_file {
            let place = settings.key_file.clone().unwrap_or_else(|| to.join("keys.json"));
            if !place.exists() {
                KeyRing::copy(key_file, &place)?;
            }
            restored.key_file = Some(place);
        }
        let (metadata, copy) = (self.backup.join(METADATA), install::copy_path(settings));
        manifest::copy_checked(&metadata, &*settings.disk, &copy, &self.manifest.metadata)?;
        Ok((restored, lock))
    }
}

impl Restored {
    fn blobs(&mut self, settings: &Settings, target: &Path, total: u64, on_progress: &OnProgress) -> Result<()> {
        let from = Pool::open(settings.disk.clone(), target)?;
        let to = Pool::open(settings.disk.clone(), &settings.data_dir)?;
        for line in manifest::blobs(&self.backup)? {
            let line = line?;
            let copied = open(&from, &line).map_err(NotCopied::unread);
            match copied.and_then(|reader| to.add(line.id, &*reader)) {
                Ok(_) => {
                    self.blob_count += 1;
                    self.size_bytes += line.size_bytes;
                }
                Err(NotCopied::Damaged(detail)) => {
                    self.damaged.push(Damaged { subject: format!("blob {}", line.id), detail });
                }
                Err(NotCopied::Failed(error)) => return Err(error),
            }
            on_progress.bytes("restoring", self.size_bytes, Some(total));
        }
        to.sync()
    }
}

/// Moves what is in the data directory aside, when that is asked for; refuses it otherwise.
fn make_way(settings: &Settings, force: bool) -> Result<Option<PathBuf>> {
    let to = &settings.data_dir;
    let is_empty = match settings.disk.read_dir(to) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        names => names.map_err(|e| Error::io("looking at the data directory", e))?.is_empty(),
    };
    if is_empty {
        return Ok(None);
    }
    if !force {
        return Err(Error::Unusable(format!("{} is not empty; --force moves what is there aside", to.display())));
    }
    // Nobody may be using it.
    let _lock = data_dir::lock(to)?;
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(format!(".before-{}", stamp::of(settings.clock.now_us())));
    let aside = to.with_file_name(name);
    settings.disk.rename(to, &aside).map_err(|e| Error::io("moving the data directory aside", e))?;
    Ok(Some(aside))
}
