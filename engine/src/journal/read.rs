//! Reads the journal.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::note::{Line, Note, parse};
use super::{Listed, Outline, ends_us, list};
use crate::disk::{Disk, DiskFile};
use crate::{Error, Result};

/// Bytes of one read.
const READ_BYTES: usize = 1 << 20;

/// A time in which not all changes were noted, or what was noted cannot be read; in microseconds of the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The last change before it that is known.
    pub from_us: i64,
    /// Since when changes are known again; `None` when they are not.
    pub until_us: Option<i64>,
}

/// What time the journal tells of, and where it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Since when it names changes, in microseconds of the Unix epoch; `None` when there is no journal.
    pub since_us: Option<i64>,
    /// When the last change was made that it names.
    pub until_us: Option<i64>,
    /// Where changes are missing in between.
    pub gaps: Vec<Gap>,
    /// Lines of it, mostly commits, that are damaged.
    pub damaged_line_count: u64,
}

impl Told {
    /// Whether all changes since a time are named.
    pub fn is_whole_since(&self, us: i64) -> bool {
        self.since_us.is_some_and(|since_us| since_us <= us) && self.gaps.is_empty() && self.damaged_line_count == 0
    }
}

/// Hands the notes on that were made since a time, and some from before it, in their order, each with the time of its commit. What was noted
/// and not made is left out.
pub(crate) fn read(
    disk: &dyn Disk,
    folder: &Path,
    needed_us: i64,
    outline: &Outline,
    mut take: impl FnMut(i64, Note) -> Result<()>,
) -> Result<Told> {
    let mut told = read_lines(disk, folder, needed_us, |number, line| {
        if outline.undone.contains(&number) {
            return Ok(());
        }
        line.notes.into_owned().into_iter().try_for_each(|note| take(line.at_us, note))
    })?;
    told.gaps.extend(&outline.gaps);
    told.gaps.sort_by_key(|gap| gap.from_us);
    Ok(told)
}

/// Hands the lines on, each with its number.
pub(super) fn read_lines(
    disk: &dyn Disk,
    folder: &Path,
    needed_us: i64,
    mut take: impl FnMut(u64, Line<'static>) -> Result<()>,
) -> Result<Told> {
    let mut told = Told::default();
    let segments = list(disk, folder).map_err(|e| Error::io("listing the journal", e))?;
    let mut number = 0;
    for (segment, end_us) in segments.iter().zip(ends_us(&segments)) {
        if end_us.is_some_and(|end_us| end_us <= needed_us) {
            continue;
        }
        told.since_us.get_or_insert(segment.begun_us);
        let is_read = read_segment(disk, segment, &mut told, &mut |line| {
            number += 1;
            take(number, line)
        })?;
        if segment.is_broken || !is_read {
            let from_us = told.until_us.map_or(segment.begun_us, |until_us| until_us.max(segment.begun_us));
            told.gaps.push(Gap { from_us, until_us: end_us });
        }
    }
    Ok(told)
}

/// Reads a file; says whether the disk gave it back.
fn read_segment(
    disk: &dyn Disk,
    segment: &Listed,
    told: &mut Told,
    take: &mut impl FnMut(Line<'static>) -> Result<()>,
) -> Result<bool> {
    let mut lines = match Lines::open(disk, segment) {
        Ok(lines) => lines,
        Err(error) => return Ok(unread(segment, &error)),
    };
    loop {
        let line = match lines.next() {
            Ok(Some(line)) => parse(line),
            Ok(None) => return Ok(true),
            Err(error) => return Ok(unread(segment, &error)),
        };
        let Some(line) = line else {
            told.damaged_line_count += 1;
            continue;
        };
        if !line.notes.is_empty() {
            told.until_us = told.until_us.max(Some(line.at_us));
        }
        take(line)?;
    }
}

fn unread(segment: &Listed, error: &io::Error) -> bool {
    tracing::error!(%error, path = %segment.path.display(), "a file of the journal cannot be read");
    false
}

/// The lines of a file. What has no end is none: whoever wrote it died before anybody was answered, or the power failed before it was synced.
struct Lines {
    file: Box<dyn DiskFile>,
    /// How far it was read.
    at: u64,
    end: u64,
    /// What was read last, and how much of it was handed out.
    held: Vec<u8>,
    handed: usize,
}

impl Lines {
    fn open(disk: &dyn Disk, segment: &Listed) -> io::Result<Self> {
        let file = disk.open(&segment.path)?;
        Ok(Self { file, at: 0, end: segment.size_bytes, held: Vec::new(), handed: 0 })
    }

    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let mut looked = self.handed;
        loop {
            if let Some(length) = self.held[looked..].iter().position(|byte| *byte == b'\n') {
                let line = self.handed..looked + length;
                self.handed = line.end + 1;
                return Ok(Some(&self.held[line]));
            }
            self.held.drain(..self.handed);
            self.handed = 0;
            looked = self.held.len();
            let count = READ_BYTES.min(usize::try_from(self.end - self.at).unwrap_or(READ_BYTES));
            if count == 0 {
                return Ok(None);
            }
            self.held.resize(looked + count, 0);
            self.file.read_exact_at(&mut self.held[looked..], self.at)?;
            self.at += count as u64;
        }
    }
}
