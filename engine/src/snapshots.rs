//! Snapshots of the metadata in the data directory, for the day on which the database is lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt;

use crate::disk::{Disk, ensure_dir};
use crate::metadata::snapshot::{self, ChangeMark};
use crate::{Caller, Engine, Error, Inner, Result, Settings, bytes, stamp};

/// Where snapshots lie in the data directory.
pub(crate) const FOLDER: &str = "snapshots";
const PREFIX: &str = "metadata-";
const SUFFIX: &str = ".sqlite";
/// The end of the name of a snapshot that is not whole yet.
const PART: &str = ".part";

/// A snapshot of the metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Its file.
    pub path: PathBuf,
    /// When it was taken, in microseconds of the Unix epoch.
    pub taken_us: i64,
}

impl Engine {
    /// Takes a snapshot of the metadata now.
    pub async fn take_snapshot(&self, caller: &Caller) -> Result<SnapshotInfo> {
        caller.must_operate()?;
        take(&self.inner).await
    }

    /// The snapshots that are there, the newest first.
    pub fn snapshots(&self, caller: &Caller) -> Result<Vec<SnapshotInfo>> {
        caller.must_operate()?;
        list(&self.inner.settings)
    }
}

/// The snapshots that are there, the newest first.
pub(crate) fn list(settings: &Settings) -> Result<Vec<SnapshotInfo>> {
    let folder = settings.data_dir.join(FOLDER);
    let names = match settings.disk.read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names.map_err(|e| Error::io("listing snapshots", e))?,
    };
    let info = |name: &std::ffi::OsString| {
        let taken_us = stamp::parse(name.to_str()?.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?)?;
        Some(SnapshotInfo { path: folder.join(name), taken_us })
    };
    let mut snapshots: Vec<_> = names.iter().filter_map(info).collect();
    snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.taken_us));
    Ok(snapshots)
}

/// Takes a snapshot: written aside, synced, then named. Those of which enough newer ones are there are removed.
pub(crate) async fn take(inner: &Arc<Inner>) -> Result<SnapshotInfo> {
    let _turn = inner.snapshots.turn.lock().await;
    let settings = &inner.settings;
    let mark = snapshot::change_mark(&inner.db, settings).await?;
    let folder = settings.data_dir.join(FOLDER);
    let taken_us = settings.clock.now_us();
    let path = folder.join(format!("{PREFIX}{}{SUFFIX}", stamp::of(taken_us)));
    let aside = folder.join(format!("{PREFIX}{}{SUFFIX}{PART}", stamp::of(taken_us)));
    let (disk, data_dir, at) = (settings.disk.clone(), settings.data_dir.clone(), folder.clone());
    bytes::blocking(move || prepare(&*disk, &data_dir, &at)).await?;
    make_room(inner).await?;
    inner.db.journal().begin_anew().await;
    // What was noted before is made now, so that the snapshot has it. A store that takes no writes has made it, or never will.
    let _ = inner.db.write("begin_snapshot", |_| async { Ok(()) }.boxed()).await;
    snapshot::make(settings, &aside).await?;
    let (disk, to) = (settings.disk.clone(), path.clone());
    bytes::blocking(move || {
        disk.rename(&aside, &to).map_err(|e| Error::io("naming a snapshot", e))?;
        sync(&*disk, &folder)
    })
    .await?;
    *inner.snapshots.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(mark);
    let kept = list(settings)?;
    let taken: Vec<i64> = kept.iter().map(|snapshot| snapshot.taken_us).collect();
    let doomed = surplus(&taken, settings.snapshots_kept, settings.snapshot_days_kept);
    remove(inner, kept.into_iter().filter(|one| doomed.contains(&one.taken_us)).collect()).await?;
    // Of an older one, which is used when all newer ones are damaged, it is not told by name what came after.
    if let Some(needed_us) = taken.iter().take(newest_count(settings.snapshots_kept)).min() {
        inner.db.journal().forget_before(*needed_us).await;
    }
    Ok(SnapshotInfo { path, taken_us })
}

/// What is known of the snapshots of this process.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    /// One at a time.
    turn: tokio::sync::Mutex<()>,
    /// How the database was when the last one was taken.
    last: std::sync::Mutex<Option<ChangeMark>>,
}

/// Whether the database may have changed since the last snapshot of this process.
pub(crate) async fn has_changed(inner: &Inner) -> Result<bool> {
    let last = inner.snapshots.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    Ok(last != Some(snapshot::change_mark(&inner.db, &inner.settings).await?))
}

/// Makes the folder, and removes what snapshots that were cut off left there.
fn prepare(disk: &dyn Disk, data_dir: &Path, folder: &Path) -> Result<()> {
    let failed = |e| Error::io("making the folder of the snapshots", e);
    ensure_dir(disk, folder).map_err(failed)?;
    sync(disk, data_dir)?;
    for name in disk.read_dir(folder).map_err(failed)? {
        // SQLite may leave a journal beside its part.
        if name.to_str().is_some_and(|name| name.contains(PART)) {
            disk.remove(&folder.join(name)).map_err(failed)?;
        }
    }
    Ok(())
}

fn sync(disk: &dyn Disk, directory: &Path) -> Result<()> {
    let synced = disk.open_dir(directory).and_then(|directory| directory.sync());
    synced.map_err(|e| Error::io("syncing the folder of the snapshots", e))
}

/// Removes old snapshots when there is no room for another one; two stay in any case.
async fn make_room(inner: &Arc<Inner>) -> Result<()> {
    let settings = &inner.settings;
    let wanted_bytes = snapshot::size_bytes(&inner.db, settings).await?.saturating_add(settings.reserve_bytes);
    let mut old = list(settings)?;
    while inner.store.free_bytes()? < wanted_bytes {
        match old.pop() {
            Some(oldest) if old.len() >= 2 => remove(inner, vec![oldest]).await?,
            Some(_) | None => return Err(Error::DiskFull),
        }
    }
    Ok(())
}

async fn remove(inner: &Arc<Inner>, snapshots: Vec<SnapshotInfo>) -> Result<()> {
    let disk = inner.settings.disk.clone();
    bytes::blocking(move || {
        let removed = snapshots.iter().try_for_each(|snapshot| disk.remove(&snapshot.path));
        removed.map_err(|e| Error::io("removing an old snapshot", e))
    })
    .await
}

/// How many of the newest snapshots stay in any case.
fn newest_count(kept: u32) -> usize {
    usize::try_from(kept.max(1)).unwrap_or(usize::MAX)
}

/// Which snapshots are no longer needed, by their times with the newest first: beside the newest so many, the last of each of the newest
/// so many days stays.
fn surplus(taken_us: &[i64], newest: u32, days: u32) -> Vec<i64> {
    const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;
    let newest = newest_count(newest);
    let (mut day_before, mut days_left, mut surplus) = (None, days, Vec::new());
    for (index, taken) in taken_us.iter().enumerate() {
        let day = taken.div_euclid(DAY_US);
        let is_last_of_day = day_before != Some(day);
        day_before = Some(day);
        let counts = is_last_of_day && days_left > 0;
        days_left -= u32::from(counts);
        if index >= newest && !counts {
            surplus.push(*taken);
        }
    }
    surplus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_and_the_last_of_each_day_stay() {
        const HOUR_US: i64 = 3_600_000_000;
        let hourly: Vec<i64> = (0..24 * 20).rev().map(|hour| hour * HOUR_US + 1).collect();
        let gone = surplus(&hourly, 24, 7);
        let kept: Vec<i64> = hourly.iter().copied().filter(|taken| !gone.contains(taken)).collect();
        assert_eq!(kept[..24], hourly[..24], "a day of hours");
        let days: Vec<i64> = kept[24..].iter().map(|taken| taken / HOUR_US).collect();
        assert_eq!(days, (13..19).rev().map(|day| day * 24 + 23).collect::<Vec<_>>(), "the last of six days before");
        assert!(surplus(&hourly[..5], 24, 7).is_empty());
        assert_eq!(surplus(&hourly[..5], 0, 0).len(), 4, "the newest always stays");
    }
}
