//! The journal: what was changed, by name, in files of its own. For the day on which the database is lost: `rebuild-index` says by it what
//! came after the snapshot that it restores.
//!
//! A commit is noted before anybody is answered. With the embedded database that is before it is made, together with the number that the
//! database takes next after it; each start notes which number the database takes, and so whoever reads the journal sees which of the
//! last commits were not made, and whether notes are missing. With PostgreSQL it is noted afterwards: a process that dies in between, or a
//! connection that breaks, leaves a change without a note that nobody was told of.
//!
//! The files are synced within a second: a process that dies loses nothing of them, a power cut the last second. The journal is no part of
//! what is durable: where it cannot be written the store goes on, and a file's name says that it broke off.
//!
//! `journal/changes-TIME.log` in the data directory. Each start and each snapshot begins another file, and those that no snapshot needs are
//! removed. Nothing is ever taken out of a file.

mod note;
mod outline;
mod read;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::note::{Event, Line};
pub(crate) use self::note::{How, Note};
pub(crate) use self::outline::Outline;
pub(crate) use self::read::read;
pub use self::read::{Gap, Told};
use crate::bytes::blocking;
use crate::disk::{Disk, DiskFile, ensure_dir};
use crate::{Clock, Error, Result, Settings, stamp};

/// Where it lies in the data directory.
pub(crate) const FOLDER: &str = "journal";
const PREFIX: &str = "changes-";
const SUFFIX: &str = ".log";
/// The end of the name of a file after which something was not noted.
const BROKEN: &str = ".broken.log";
/// How long what is noted may stay without being synced.
const SYNC_WITHIN: Duration = Duration::from_secs(1);
/// A file has at most this part of all that the journal may take.
const FILES_LEAST: u64 = 64;
/// How long nothing is noted after that failed: a full disk is not asked with each commit.
const PAUSE_US: i64 = 5_000_000;

/// Writes the journal. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    clock: Clock,
    size_bytes_max: u64,
    state: Mutex<State>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Journal").field("folder", &self.folder).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    segment: Option<Segment>,
    /// Files that were ended and are to be synced.
    ended: Vec<Segment>,
    /// Whether somebody is about to do that.
    is_sync_due: bool,
    /// The time of the last line: it never goes back, whatever the clock does.
    last_us: i64,
    /// When nothing could be noted.
    failed_us: Option<i64>,
}

impl State {
    fn end_segment(&mut self) {
        self.ended.extend(self.segment.take());
    }

    /// A clock that was set back ends the pause.
    fn is_paused(&self, now_us: i64) -> bool {
        self.failed_us.is_some_and(|failed_us| (failed_us..failed_us + PAUSE_US).contains(&now_us))
    }
}

/// The numbers that the embedded database takes next, before and after a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) before: i64,
    pub(crate) next: i64,
}

/// A file that is written.
#[derive(Clone)]
struct Segment {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    size_bytes: u64,
}

impl Journal {
    pub(crate) fn new(settings: &Settings) -> Self {
        let inner = Inner {
            disk: settings.disk.clone(),
            folder: settings.data_dir.join(FOLDER),
            clock: settings.clock.clone(),
            size_bytes_max: settings.journal_size_bytes_max,
            state: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Notes that a process began; `next` is the number that the embedded database takes next. Removes what is there when nothing is to
    /// be noted: it would keep silent about what comes.
    pub(crate) async fn start(&self, next: Option<i64>) {
        if self.inner.size_bytes_max > 0 {
            return self.append(Event::Started, None, next, Vec::new()).await;
        }
        let inner = self.inner.clone();
        let removed = blocking(move || inner.remove_before(i64::MAX, 0)).await;
        if let Err(error) = removed {
            tracing::error!(%error, "the old journal could not be removed, and keeps silent about what comes");
        }
    }

    /// Notes a commit.
    pub(crate) async fn write(&self, notes: Vec<Note>) {
        if !notes.is_empty() {
            self.append(Event::Commit, None, None, notes).await;
        }
    }

    /// Notes a commit of the embedded database, with its numbers. It blocks the thread.
    pub(crate) fn write_blocking(&self, notes: &[Note], Numbers { before, next }: Numbers) {
        self.append_blocking(Event::Commit, Some(before), Some(next), notes);
    }

    /// Notes that the commit with a number, which was noted last, failed. It blocks the thread.
    pub(crate) fn take_back_blocking(&self, next: i64) {
        self.append_blocking(Event::Failed, None, Some(next), &[]);
    }

    /// Begins another file.
    pub(crate) async fn begin_anew(&self) {
        self.beside(|journal| {
            journal.inner.lock().end_segment();
            journal.append_blocking(Event::Continued, None, None, &[]);
        })
        .await;
    }

    /// Makes what was noted durable.
    pub(crate) async fn close(&self) {
        self.beside(|journal| journal.inner.sync()).await;
    }

    /// Removes files that end before a time.
    pub(crate) async fn forget_before(&self, needed_us: i64) {
        let inner = self.inner.clone();
        if let Err(error) = blocking(move || inner.remove_before(needed_us, inner.size_bytes_max)).await {
            tracing::warn!(%error, "old files of the journal could not be removed");
        }
    }

    async fn append(&self, event: Event, before: Option<i64>, next: Option<i64>, notes: Vec<Note>) {
        self.beside(move |journal| journal.append_blocking(event, before, next, &notes)).await;
    }

    /// Does what blocks beside the async runtime.
    async fn beside(&self, work: impl FnOnce(&Self) + Send + 'static) {
        let journal = self.clone();
        // It fails only when the runtime ends, which is a kill.
        let _ = blocking(move || {
            work(&journal);
            Ok(())
        })
        .await;
    }

    fn append_blocking(&self, event: Event, before: Option<i64>, next: Option<i64>, notes: &[Note]) {
        if self.inner.size_bytes_max == 0 {
            return;
        }
        let must_sync = self.inner.append(Line { at_us: 0, event, before, next, notes: Cow::Borrowed(notes) });
        if must_sync {
            let journal = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(SYNC_WITHIN).await;
                journal.beside(|journal| journal.inner.sync()).await;
            });
        }
    }
}

impl Inner {
    /// A poisoned lock only means that a thread panicked between whole changes.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a line with the time; says whether the caller must see to it that it is synced.
    fn append(&self, line: Line<'_>) -> bool {
        let mut state = self.lock();
        if state.is_paused(self.clock.now_us()) {
            metrics::counter!("cloudhold_journal_failures_total").increment(1);
            return false;
        }
        match self.try_append(&mut state, line) {
            Ok(()) => !std::mem::replace(&mut state.is_sync_due, true),
            Err(error) => {
                self.give_up(&mut state, &error);
                false
            }
        }
    }

    fn try_append(&self, state: &mut State, line: Line<'_>) -> io::Result<()> {
        if state.segment.as_ref().is_some_and(|segment| segment.size_bytes >= self.size_bytes_max / FILES_LEAST) {
            state.end_segment();
        }
        state.last_us = state.last_us.max(self.clock.now_us());
        if state.segment.is_none() {
            state.segment = Some(self.begin_segment(&mut state.last_us)?);
        }
        let bytes = Line { at_us: state.last_us, ..line }.to_bytes()?;
        let Some(segment) = &mut state.segment else { return Ok(()) };
        segment.file.write_at(&bytes, segment.size_bytes)?;
        segment.size_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Begins a file, whose time is after that of all others, also where the clock was set back.
    fn begin_segment(&self, last_us: &mut i64) -> io::Result<Segment> {
        ensure_dir(&*self.disk, &self.folder)?;
        if let Some(data_dir) = self.folder.parent() {
            self.disk.open_dir(data_dir)?.sync()?;
        }
        if let Some(last) = list(&*self.disk, &self.folder)?.last() {
            *last_us = (*last_us).max(last.begun_us + 1);
        }
        let path = self.folder.join(format!("{PREFIX}{}{SUFFIX}", stamp::of(*last_us)));
        let file = self.disk.create_new(&path)?;
        if let Err(error) = self.disk.open_dir(&self.folder).and_then(|folder| folder.sync()) {
            self.disk.remove(&path)?;
            return Err(error);
        }
        if let Err(error) = self.remove_before(i64::MIN, self.size_bytes_max) {
            tracing::warn!(%error, "old files of the journal could not be removed");
        }
        Ok(Segment { path, file: file.into(), size_bytes: 0 })
    }

    /// What could not be noted is not noted: the name of the file says so, for which a full disk has room.
    fn give_up(&self, state: &mut State, error: &io::Error) {
        metrics::counter!("cloudhold_journal_failures_total").increment(1);
        tracing::warn!(%error, "changes could not be noted in the journal; if the database is lost, they cannot be named");
        state.failed_us = Some(self.clock.now_us());
        let segment = state.segment.take();
        self.mark_broken(segment.as_ref());
    }

    /// Marks the file that was being written, or, where it is empty or none could be begun, the one before.
    fn mark_broken(&self, segment: Option<&Segment>) {
        if let Err(error) = self.try_mark_broken(segment) {
            tracing::error!(%error, "the journal broke off, and the name of its file could not be changed");
        }
    }

    fn try_mark_broken(&self, segment: Option<&Segment>) -> io::Result<()> {
        if let Some(empty) = segment.filter(|segment| segment.size_bytes == 0) {
            self.disk.remove(&empty.path)?;
        }
        let path = match segment.filter(|segment| segment.size_bytes > 0) {
            Some(segment) => Some(segment.path.clone()),
            None => list(&*self.disk, &self.folder)?.pop().filter(|last| !last.is_broken).map(|last| last.path),
        };
        if let Some(path) = path {
            self.disk.rename(&path, &path.with_extension(BROKEN.trim_start_matches('.')))?;
            self.disk.open_dir(&self.folder)?.sync()?;
        }
        Ok(())
    }

    /// Syncs what was written, while others go on.
    fn sync(&self) {
        let (ended, current) = {
            let mut state = self.lock();
            state.is_sync_due = false;
            (std::mem::take(&mut state.ended), state.segment.clone())
        };
        for segment in ended {
            if let Err(error) = segment.file.sync_data() {
                tracing::warn!(%error, "a file of the journal could not be synced");
                self.mark_broken(Some(&segment));
            }
        }
        if let Some(Err(error)) = current.map(|segment| segment.file.sync_data()) {
            self.give_up(&mut self.lock(), &error);
        }
    }

    /// Removes the oldest files: those that end before a time, and as many as are too much. The one that is being written stays.
    fn remove_before(&self, needed_us: i64, size_bytes_max: u64) -> Result<()> {
        let failed = |e| Error::io("removing old files of the journal", e);
        let segments = list(&*self.disk, &self.folder).map_err(failed)?;
        let mut size_bytes: u64 = segments.iter().map(|segment| segment.size_bytes).sum();
        for (segment, end_us) in segments.iter().zip(ends_us(&segments)) {
            let is_needed = end_us.is_none_or(|end_us| end_us > needed_us) && size_bytes <= size_bytes_max;
            if size_bytes_max > 0 && (is_needed || end_us.is_none()) {
                break;
            }
            self.disk.remove(&segment.path).map_err(failed)?;
            size_bytes -= segment.size_bytes;
        }
        Ok(())
    }
}

/// When each file was followed by the next one.
fn ends_us(segments: &[Listed]) -> impl Iterator<Item = Option<i64>> {
    segments.iter().skip(1).map(|next| Some(next.begun_us)).chain([None])
}

/// A file of the journal.
struct Listed {
    path: PathBuf,
    begun_us: i64,
    /// Whether something after its end was not noted.
    is_broken: bool,
    /// Its length; nothing where it cannot be opened.
    size_bytes: u64,
}

/// The files of the journal in a folder, the oldest first.
fn list(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<Listed>> {
    let names = match disk.read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names?,
    };
    let mut segments = Vec::new();
    for name in names {
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        let (time, is_broken) = match (rest.strip_suffix(BROKEN), rest.strip_suffix(SUFFIX)) {
            (Some(time), _) => (time, true),
            (None, Some(time)) => (time, false),
            (None, None) => continue,
        };
        let Some(begun_us) = stamp::parse(time) else { continue };
        let path = folder.join(&name);
        let size_bytes = match disk.open(&path).and_then(|file| file.length_bytes()) {
            // It got another name, or was removed, since the folder was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            length => length.unwrap_or_default(),
        };
        segments.push(Listed { path, begun_us, is_broken, size_bytes });
    }
    segments.sort_by_key(|segment| segment.begun_us);
    Ok(segments)
}

/// The folder of the journal while its database is rebuilt.
const REBUILDING: &str = "journal-rebuilding";

/// Puts the journal of a lost database aside, beside what a rebuild put there that did not end; returns where it is.
pub(crate) fn put_aside(settings: &Settings) -> Result<PathBuf> {
    let (disk, data_dir) = (&*settings.disk, &settings.data_dir);
    let (folder, aside) = (data_dir.join(FOLDER), data_dir.join(REBUILDING));
    let moved = ensure_dir(disk, &aside).and_then(|()| {
        for segment in list(disk, &folder)? {
            disk.rename(&segment.path, &aside.join(segment.path.file_name().unwrap_or_default()))?;
        }
        disk.open_dir(&aside)?.sync()
    });
    moved.map_err(|e| Error::io("putting the journal aside", e))?;
    crate::data_dir::sync(disk, data_dir)?;
    Ok(aside)
}

/// Since when the journal that was put aside must be read: since the snapshot that the first rebuild took of those that did not end. That time
/// is kept, as a store that went on after one has newer snapshots.
pub(crate) fn needed_since(settings: &Settings, aside: &Path, snapshot_taken_us: i64) -> Result<i64> {
    const SINCE: &str = "since-";
    let disk = &*settings.disk;
    let failed = |e| Error::io("looking at the journal that was put aside", e);
    let names = disk.read_dir(aside).map_err(failed)?;
    let kept = names.iter().filter_map(|name| stamp::parse(name.to_str()?.strip_prefix(SINCE)?)).min();
    if kept.is_none() {
        let made = disk.create_new(&aside.join(format!("{SINCE}{}", stamp::of(snapshot_taken_us))));
        made.and_then(|_| disk.open_dir(aside)?.sync()).map_err(failed)?;
    }
    Ok(kept.map_or(snapshot_taken_us, |kept_us| kept_us.min(snapshot_taken_us)))
}

/// Names the journal that was put aside for good; returns where it is.
pub(crate) fn keep_aside(settings: &Settings) -> Result<PathBuf> {
    let (disk, data_dir) = (&*settings.disk, &settings.data_dir);
    let kept = data_dir.join(format!("{FOLDER}-before-{}", stamp::of(settings.clock.now_us())));
    disk.rename(&data_dir.join(REBUILDING), &kept).map_err(|e| Error::io("keeping the old journal", e))?;
    crate::data_dir::sync(disk, data_dir)?;
    Ok(kept)
}
