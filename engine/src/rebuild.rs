//! Brings a store back whose database was lost or broken: the last snapshot of the metadata, and the blobs that are there.
//!
//! A blob knows only its own making, not the names of its objects. So what was stored after the snapshot does not come back: its blobs go
//! into quarantine, and small objects, which lay in the database, are lost. The [journal](crate::journal) has the names of all of it, and of
//! what was removed meanwhile; [`Unrestored`] lists them.

mod list;
mod unrestored;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use futures::FutureExt;
use serde::{Deserialize, Serialize};

pub use self::unrestored::{Loss, Unrestored};
use crate::bytes::{BlobFacts, blocking};
use crate::install::{self, OldDatabase};
use crate::metadata::logins;
use crate::metadata::snapshot::{self, Snapshot};
use crate::secrets::{KeyRing, RING_CHECK};
use crate::settings::Database;
use crate::work::orphans;
use crate::{
    Caller, CheckOptions, CheckReport, Engine, Error, OnProgress, Problem, Result, Settings, data_dir, journal,
    metadata, snapshots, stamp, store_id,
};

/// How the index is rebuilt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RebuildOptions {
    /// The snapshot; the newest whole one of the data directory when `None`.
    pub snapshot: Option<PathBuf>,
    /// Replaces a database that is whole; one of PostgreSQL when it holds anything.
    pub force: bool,
}

/// What was rebuilt, and what could not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildReport {
    /// The snapshot that was used.
    pub snapshot: PathBuf,
    /// When it was taken, in microseconds of the Unix epoch; `None` when its name does not tell.
    pub snapshot_taken_us: Option<i64>,
    /// Newer snapshots that are damaged.
    pub snapshots_skipped: Vec<PathBuf>,
    /// The last sign of life of the lost database: names and small objects stored between the snapshot and then are lost.
    pub lost_until_us: Option<i64>,
    /// Where the old database is now.
    pub old_database: Option<OldDatabase>,
    /// Objects whose bytes are gone since the snapshot: deleted or overwritten then, or lost.
    pub objects_lost_count: u64,
    /// Blobs that no row of the snapshot knows; they are in quarantine.
    pub blobs_unmatched_count: u64,
    /// Their bytes.
    pub blobs_unmatched_size_bytes: u64,
    /// When the newest of them was made.
    pub blobs_unmatched_newest_us: Option<i64>,
    /// Blobs that came back from quarantine because the snapshot knows them.
    pub blobs_brought_back_count: u64,
    /// All that the check of the rebuilt store found and settled.
    pub check: CheckReport,
    /// What could not be restored, by name.
    pub unrestored: Option<Unrestored>,
    /// Why it could not be named.
    pub unnamed_as: Option<String>,
    /// Where the journal of the old database is now.
    pub old_journal: PathBuf,
}

/// Rebuilds the database of a store that nobody has open.
pub async fn rebuild_index(
    caller: &Caller,
    settings: Settings,
    options: &RebuildOptions,
    on_progress: &OnProgress,
) -> Result<RebuildReport> {
    caller.must_operate()?;
    if !settings.data_dir.is_dir() {
        return Err(Error::Unusable(format!("{} is no data directory", settings.data_dir.display())));
    }
    // What the rebuild does itself is not noted: its journal is the next process's.
    let settings = Settings { background_work: false, journal_size_bytes_max: 0, ..settings };
    let lock = data_dir::make_and_lock(&*settings.disk, &settings.data_dir)?;
    // Before anything looks into the database, which may make an empty log.
    let last_sign_us = last_sign(&settings);
    on_progress.count("looking at the database", 0, None);
    may_replace(&settings, options.force).await?;
    on_progress.count("looking for a snapshot", 0, None);
    let (found, skipped) = find_snapshot(&settings, options.snapshot.as_deref()).await?;
    let (at, from) = (settings.clone(), found.clone());
    blocking(move || copy(&at, &from)).await?;
    let at = settings.clone();
    let journal = blocking(move || journal::put_aside(&at)).await?;
    let old_database = install::install(&settings, options.force).await?;
    // The engine takes the lock itself; what it finds from here on is a store like any other.
    drop(lock);
    let engine = Engine::open(settings.clone()).await?;
    let snapshot_taken_us = taken_us(&found);
    let rebuilt = settle(&engine, snapshot_taken_us, &journal, on_progress).await;
    engine.close().await;
    let Rebuilt { unmatched_size_bytes, unmatched_newest_us: newest_us, check, unrestored, unnamed_as } = rebuilt?;
    // What could not be named is left to another rebuild, when there is room for the names.
    let old_journal = match unnamed_as {
        None => blocking(move || journal::keep_aside(&settings)).await?,
        Some(_) => journal,
    };
    let settled = |problem: Problem| check.found.get(&problem).map_or(0, |tally| tally.repaired);
    let objects_lost_count = check.count(Problem::BytesMissing);
    Ok(RebuildReport {
        snapshot_taken_us,
        snapshot: found,
        snapshots_skipped: skipped,
        lost_until_us: last_sign_us.max(newest_us),
        old_database,
        objects_lost_count,
        blobs_unmatched_count: settled(Problem::BlobWithoutRow),
        blobs_unmatched_size_bytes: unmatched_size_bytes,
        blobs_unmatched_newest_us: newest_us,
        blobs_brought_back_count: settled(Problem::BlobInQuarantine),
        check,
        unrestored,
        unnamed_as,
        old_journal,
    })
}

/// When a snapshot was taken, as its name tells, or that of the back-up in which it is.
fn taken_us(snapshot: &Path) -> Option<i64> {
    let name = snapshot.file_stem()?.to_str()?;
    match name.strip_prefix("metadata-") {
        Some(time) => stamp::parse(time),
        None => stamp::parse(snapshot.parent()?.file_name()?.to_str()?),
    }
}

/// Refuses to replace a database that is whole, unless it is forced. PostgreSQL's structure is its operator's to check: there everything
/// counts as whole.
async fn may_replace(settings: &Settings, force: bool) -> Result<()> {
    match &settings.database {
        Database::Embedded if !force && is_whole(settings).await => Err(Error::Unusable(
            "the database is whole; `cloudhold fsck` compares it with the blobs, and --force replaces it by a snapshot"
                .to_owned(),
        )),
        Database::Embedded => Ok(()),
        Database::Postgres(_) if settings.data_dir.join(metadata::FILE).exists() => Err(Error::Unusable(format!(
            "{} has its metadata in SQLite; `cloudhold migrate-metadata` moves it into the PostgreSQL database",
            settings.data_dir.display()
        ))),
        Database::Postgres(_) => install::may_begin(settings, force).await,
    }
}

/// Whether the embedded database can be opened and its structure is whole.
async fn is_whole(settings: &Settings) -> bool {
    if !settings.data_dir.join(metadata::FILE).exists() {
        return false;
    }
    let Ok(mut database) = Snapshot::open_database(settings).await else { return false };
    let whole = database.integrity().await.is_ok_and(|lines| lines.is_empty())
        && database.info(RING_CHECK).await.is_ok_and(|check| check.is_some());
    database.close().await;
    whole
}

/// The newest snapshot that is whole and fits the key ring, and those newer ones that are not whole.
async fn find_snapshot(settings: &Settings, named: Option<&Path>) -> Result<(PathBuf, Vec<PathBuf>)> {
    let candidates = match named {
        Some(path) => vec![path.to_owned()],
        None => snapshots::list(settings)?.into_iter().map(|snapshot| snapshot.path).collect(),
    };
    let mut skipped = Vec::new();
    for path in candidates {
        match look_into(settings, &path).await {
            Ok(Some(check)) => {
                let key_file = settings.key_file.clone().unwrap_or_else(|| settings.data_dir.join("keys.json"));
                KeyRing::open_or_create(&key_file, false)?.confirm(&check)?;
                store_id::must_fit(settings, install::store_id_of(settings, &path).await?.as_deref())?;
                return Ok((path, skipped));
            }
            Ok(None) => skipped.push(path),
            Err(error) if error.is_unreadable_row() => skipped.push(path),
            Err(error) => return Err(error),
        }
    }
    let folder = settings.data_dir.join(snapshots::FOLDER);
    Err(Error::Unusable(match skipped.len() {
        0 => format!(
            "there is no snapshot in {}: blobs alone do not know the names of their objects; restore a back-up instead \
             (`cloudhold restore`)",
            folder.display()
        ),
        count => format!("all {count} snapshots are damaged; restore a back-up instead (`cloudhold restore`)"),
    }))
}

/// The check value of the key ring that a whole snapshot holds.
async fn look_into(settings: &Settings, path: &Path) -> Result<Option<String>> {
    if !path.is_file() {
        return Err(Error::Unusable(format!("{} is no file", path.display())));
    }
    let mut opened = Snapshot::open(settings, path).await?;
    let whole = opened.integrity().await?.is_empty();
    let check = opened.info(RING_CHECK).await?;
    opened.close().await;
    Ok(check.filter(|_| whole))
}

/// When the files of the database were last written.
fn last_sign(settings: &Settings) -> Option<i64> {
    let written = |path: &PathBuf| {
        let modified = std::fs::metadata(path).ok()?.modified().ok()?;
        let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_micros()).ok()
    };
    // Opening the shared index changes its time, and says nothing.
    snapshot::files(&settings.data_dir)[..2].iter().filter_map(written).max()
}

/// Copies the snapshot to where it becomes the database, durably. What an earlier copy left there is removed.
fn copy(settings: &Settings, from: &Path) -> Result<()> {
    let (disk, to) = (&*settings.disk, install::copy_path(settings));
    let failed = |e| Error::io("copying the snapshot", e);
    match disk.remove(&to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let mut copy = disk.create_new(&to).map_err(failed)?;
    let (mut source, mut buffer) = (File::open(from).map_err(failed)?, vec![0; 1 << 20]);
    loop {
        let count = std::io::Read::read(&mut source, &mut buffer).map_err(failed)?;
        if count == 0 {
            break;
        }
        copy.write(&buffer[..count]).map_err(failed)?;
    }
    copy.sync_data().map_err(failed)
}

/// Blobs that no row knows, by their names.
struct Unmatched {
    blobs: BTreeMap<String, BlobFacts>,
}

/// What came of settling.
struct Rebuilt {
    unmatched_size_bytes: u64,
    unmatched_newest_us: Option<i64>,
    check: CheckReport,
    unrestored: Option<Unrestored>,
    unnamed_as: Option<String>,
}

/// Compares the restored metadata with the blobs, settles what differs, and names what could not be restored.
async fn settle(
    engine: &Engine,
    snapshot_taken_us: Option<i64>,
    journal: &Path,
    on_progress: &OnProgress,
) -> Result<Rebuilt> {
    let begun_us = engine.clock().now_us();
    // Before anything is stored that might get a number of what is lost.
    let known = unrestored::first_look(engine, journal, snapshot_taken_us.unwrap_or_default()).await;
    unrestored::skip_lost_numbers(engine, known.as_ref().unwrap_or(&unrestored::Known::default())).await?;
    on_progress.count("looking at the blobs", 0, None);
    let found = orphans::find(&engine.inner).await?;
    // What was deleted since the snapshot may be much, but not all: then it is the disk with the blobs that is not there.
    let trust_disk = found.all > found.unknown.len();
    let unknown = found.unknown;
    let store = engine.inner.store.clone();
    let unmatched = blocking(move || {
        // One that was being written when everything ended is no blob yet.
        let facts = |id| Some((format!("{id}"), store.open(id).ok()?.facts()));
        Ok(Unmatched { blobs: unknown.into_iter().filter_map(facts).collect() })
    })
    .await?;
    let options = CheckOptions { repair: true, trust_database: true, trust_disk };
    let check = engine.check(&Caller::LocalOperator, options, on_progress).await?;
    on_progress.count("naming what is lost", 0, None);
    let (unmatched_size_bytes, unmatched_newest_us) = (
        unmatched.blobs.values().map(|facts| facts.size_bytes).sum(),
        unmatched.blobs.values().map(|facts| facts.created_us).max(),
    );
    // What was ended or revoked meanwhile is not to go on.
    engine.inner.db.write("end_all_sessions", |tx| logins::end_all_sessions(tx).boxed()).await?;
    // Without names the store is no less rebuilt.
    let named = match known {
        Ok(known) => unrestored::name(engine, known, begun_us, unmatched).await,
        Err(error) => Err(error),
    };
    let (unrestored, unnamed_as) = match named {
        Ok(unrestored) => (Some(unrestored), None),
        Err(error) => (None, Some(error.to_string())),
    };
    Ok(Rebuilt { unmatched_size_bytes, unmatched_newest_us, check, unrestored, unnamed_as })
}
