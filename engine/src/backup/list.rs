//! Back-ups that are there: which, whether they are whole, and removing old ones.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::manifest::{self, BLOBS, BlobLine, METADATA, Manifest};
use super::target::{self, Target};
use crate::bytes::pool::Pool;
use crate::bytes::whole::WholeRead;
use crate::bytes::{BlobReader, blocking};
use crate::names::BlobId;
use crate::{Caller, Error, OnProgress, Result, Settings};

/// A back-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupInfo {
    /// Its directory.
    pub path: PathBuf,
    /// The state of the store that it keeps, in microseconds of the Unix epoch.
    pub taken_us: i64,
    /// Bytes of its metadata.
    pub metadata_size_bytes: u64,
    /// Its blobs, many of them shared with others; `None` when it has only metadata.
    pub blob_count: Option<u64>,
    /// Their bytes.
    pub blobs_size_bytes: u64,
    /// Blobs that were damaged already in the store.
    pub damaged_count: u64,
}

/// A part of a back-up that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damaged {
    /// What.
    pub subject: String,
    /// What is wrong with it.
    pub detail: String,
}

/// What verifying a back-up found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// The back-up.
    pub path: PathBuf,
    /// Blobs that were read.
    pub blob_count: u64,
    /// Their bytes.
    pub size_bytes: u64,
    /// What is damaged.
    pub damaged: Vec<Damaged>,
}

/// The back-ups in a directory, the newest first. A back-up whose manifest cannot be read is an error.
pub async fn list_backups(caller: &Caller, directory: &Path) -> Result<Vec<BackupInfo>> {
    caller.must_operate()?;
    let directory = directory.to_owned();
    blocking(move || {
        let (_, path) = target::find(&directory)?;
        target::backups(&path)?.into_iter().map(|(_, path)| info(path)).collect()
    })
    .await
}

fn info(path: PathBuf) -> Result<BackupInfo> {
    let manifest = Manifest::read(&path)?;
    Ok(BackupInfo {
        path,
        taken_us: manifest.taken_us,
        metadata_size_bytes: manifest.metadata.size_bytes,
        blob_count: manifest.blobs.as_ref().map(|blobs| blobs.count),
        blobs_size_bytes: manifest.blobs.as_ref().map_or(0, |blobs| blobs.size_bytes),
        damaged_count: manifest.damaged.len() as u64,
    })
}

/// Reads a whole back-up and compares it with its checksums: the one that is named, or the newest of a directory.
pub async fn verify_backup(
    caller: &Caller,
    settings: &Settings,
    path: &Path,
    on_progress: &OnProgress,
) -> Result<VerifyReport> {
    caller.must_operate()?;
    let (path, disk, on_progress) = (path.to_owned(), settings.disk.clone(), on_progress.clone());
    blocking(move || {
        let (backup, target) = target::find(&path)?;
        let manifest = Manifest::read(&backup)?;
        let mut report = VerifyReport { path: backup.clone(), blob_count: 0, size_bytes: 0, damaged: Vec::new() };
        for what in &manifest.damaged {
            report.add("left out when it was made", what);
        }
        if manifest::check(&backup.join(METADATA))? != manifest.metadata {
            report.add(METADATA, "it does not match its checksum");
        }
        let Some(blobs) = &manifest.blobs else { return Ok(report) };
        if manifest::check(&backup.join(BLOBS))? != blobs.list {
            report.add(BLOBS, "it does not match its checksum");
            return Ok(report);
        }
        let pool = Pool::open(disk, &target)?;
        for line in manifest::blobs(&backup)? {
            let line = line?;
            if let Err(error) = verify_blob(&pool, &line) {
                report.add(&format!("blob {}", line.id), &error.damage()?);
            }
            report.blob_count += 1;
            report.size_bytes += line.size_bytes;
            on_progress.bytes("verifying", report.size_bytes, Some(blobs.size_bytes));
        }
        Ok(report)
    })
    .await
}

impl VerifyReport {
    fn add(&mut self, subject: &str, detail: &str) {
        self.damaged.push(Damaged { subject: subject.to_owned(), detail: detail.to_owned() });
    }
}

fn verify_blob(pool: &Pool, line: &BlobLine) -> Result<()> {
    read_whole(line.id, &*open(pool, line)?)
}

/// Opens the copy of a blob that a back-up has.
pub(super) fn open(pool: &Pool, line: &BlobLine) -> Result<Arc<dyn BlobReader>> {
    let reader = pool.reader(line.id)?.ok_or_else(|| Error::corrupt("it is missing"))?;
    let facts = reader.facts();
    if (facts.size_bytes, facts.crc64nvme) != (line.size_bytes, line.crc64nvme) {
        return Err(Error::corrupt("it is another blob than was backed up"));
    }
    Ok(reader)
}

/// Reads all of a copy and compares it with its checksums. What memory holds of it may be whole while the disk is not.
pub(super) fn read_whole(id: BlobId, reader: &dyn BlobReader) -> Result<()> {
    reader.forget_cached();
    let mut whole = WholeRead::new(id, reader);
    while whole.next()?.is_some() {}
    Ok(())
}

/// Removes all but so many of the newest back-ups, the blobs that no other needs, and what was left half written. Returns the removed ones and how many blobs went.
pub async fn prune_backups(
    caller: &Caller,
    settings: &Settings,
    directory: &Path,
    keep: usize,
) -> Result<(Vec<PathBuf>, u64)> {
    caller.must_operate()?;
    if keep == 0 {
        return Err(Error::invalid("keep", "must be at least 1"));
    }
    let (directory, disk) = (directory.to_owned(), settings.disk.clone());
    blocking(move || {
        let target = Target::open(disk.clone(), &directory)?;
        target.remove_parts()?;
        let mut backups = target::backups(&directory)?;
        let old = backups.split_off(keep.min(backups.len()));
        // All lists are read before anything is removed: a list that cannot be read must cost no blob.
        let needed = needed(&backups)?;
        for (_, path) in &old {
            target.remove(path)?;
        }
        target.sync(&directory)?;
        let pool = Pool::open(disk, &directory)?;
        let mut removed = 0;
        for shard in 0..=u8::MAX {
            // Back-ups are made under the lock that is held here, so these are of none that still runs.
            pool.remove_parts(shard)?;
            for id in pool.list_shard(shard)?.into_iter().filter(|id| !needed.contains(id)) {
                pool.remove(id)?;
                removed += 1;
            }
        }
        Ok((old.into_iter().map(|(_, path)| path).collect(), removed))
    })
    .await
}

fn needed(backups: &[(i64, PathBuf)]) -> Result<HashSet<BlobId>> {
    let mut needed = HashSet::new();
    for (_, path) in backups {
        let Some(blobs) = Manifest::read(path)?.blobs else { continue };
        if manifest::check(&path.join(BLOBS))? != blobs.list {
            return Err(Error::corrupt(format!("the list of blobs in {} does not match its checksum", path.display())));
        }
        for line in manifest::blobs(path)? {
            needed.insert(line?.id);
        }
    }
    Ok(needed)
}
