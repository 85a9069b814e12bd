//! Restores a back-up into a data directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::list::Damaged;
use super::manifest::{self, BLOBS, METADATA, Manifest};
use super::target;
use crate::bytes::blocking;
use crate::bytes::pool::Pool;
use crate::disk::Disk;
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
    /// Where the key ring is; `None` when it has to be brought before the store can start.
    pub key_file: Option<PathBuf>,
    /// What the back-up does not have.
    pub left_out: Vec<String>,
}

/// Restores a back-up (the one that is named, or the newest of a directory) into the data directory of the settings, which must be
/// empty or absent; with `force` what is there is moved aside. Every byte is verified on the way. With a key ring given, it must fit, and
/// is copied to its place.
pub async fn restore_backup(
    caller: &Caller,
    settings: &Settings,
    path: &Path,
    key_file: Option<&Path>,
    force: bool,
    on_progress: &OnProgress,
) -> Result<Restored> {
    caller.must_operate()?;
    let (settings, path) = (settings.clone(), path.to_owned());
    let (key_file, on_progress) = (key_file.map(Path::to_owned), on_progress.clone());
    blocking(move || restore(&settings, &path, key_file.as_deref(), force, &on_progress)).await
}

fn restore(
    settings: &Settings,
    path: &Path,
    key_file: Option<&Path>,
    force: bool,
    on_progress: &OnProgress,
) -> Result<Restored> {
    let (backup, target) = target::find(path)?;
    let manifest = Manifest::read(&backup)?;
    let Some(blobs) = &manifest.blobs else {
        return Err(Error::Unusable(format!(
            "{} has the metadata only; `cloudhold rebuild-index --snapshot {}` brings it together with the blobs of a store",
            backup.display(),
            backup.join(METADATA).display()
        )));
    };
    if manifest::check(&backup.join(BLOBS))? != blobs.list {
        return Err(Error::corrupt("the back-up's list of blobs does not match its checksum"));
    }
    if let Some(key_file) = key_file {
        KeyRing::open_or_create(key_file, false)?.confirm(&manifest.key_ring_check)?;
    }
    let to = &settings.data_dir;
    let moved_aside = make_way(settings, force)?;
    let _lock = data_dir::make_and_lock(&*settings.disk, to)?;
    let mut restored = Restored {
        backup: backup.clone(),
        taken_us: manifest.taken_us,
        blob_count: 0,
        size_bytes: 0,
        damaged: Vec::new(),
        moved_aside,
        key_file: settings.key_file.clone().filter(|path| path.exists()),
        left_out: manifest.left_out.clone(),
    };
    for what in &manifest.damaged {
        let subject = "left out when the back-up was made".to_owned();
        restored.damaged.push(Damaged { subject, detail: what.clone() });
    }
    restored.blobs(settings, &target, blobs.size_bytes, on_progress)?;
    if let Some(key_file) = key_file {
        let place = settings.key_file.clone().unwrap_or_else(|| to.join("keys.json"));
        if !place.exists() {
            KeyRing::copy(key_file, &place)?;
        }
        restored.key_file = Some(place);
    }
    // Last of all: without its database this is no store, whenever this is cut off.
    let aside = to.join(format!("{METADATA}.part"));
    manifest::copy_checked(&backup.join(METADATA), &*settings.disk, &aside, &manifest.metadata)?;
    place(&*settings.disk, &aside, to)?;
    Ok(restored)
}

impl Restored {
    fn blobs(&mut self, settings: &Settings, target: &Path, total: u64, on_progress: &OnProgress) -> Result<()> {
        let from = Pool::open(settings.disk.clone(), target)?;
        let to = Pool::open(settings.disk.clone(), &settings.data_dir)?;
        for line in manifest::blobs(&self.backup)? {
            let line = line?;
            let copied = from.reader(line.id).and_then(|reader| {
                let reader: Arc<_> = reader.ok_or_else(|| Error::corrupt("it is missing"))?;
                let facts = reader.facts();
                if (facts.size_bytes, facts.crc64nvme) != (line.size_bytes, line.crc64nvme) {
                    return Err(Error::corrupt("it is another blob than was backed up"));
                }
                to.add(line.id, &*reader)
            });
            match copied {
                Ok(_) => {
                    self.blob_count += 1;
                    self.size_bytes += line.size_bytes;
                }
                Err(Error::Corrupt(detail)) => {
                    self.damaged.push(Damaged { subject: format!("blob {}", line.id), detail });
                }
                Err(error) => return Err(error),
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

/// Names the database and makes that durable.
pub(crate) fn place(disk: &dyn Disk, aside: &Path, data_dir: &Path) -> Result<()> {
    let placed = disk.rename(aside, &data_dir.join(METADATA)).and_then(|()| disk.open_dir(data_dir)?.sync());
    placed.map_err(|e| Error::io("placing the database", e))
}
