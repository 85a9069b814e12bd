//! What must be known of the whole journal before any of it is believed: which of the commits that it notes were not made, and where
//! notes are missing.

use std::collections::{HashSet, VecDeque};
use std::path::Path;

use super::note::{Event, Line};
use super::read::{Gap, read_lines};
use crate::Result;
use crate::disk::Disk;

/// The longest time whose commits a crash undoes: those of relaxed buckets become durable within a second. A database that lacks more is an
/// old one that was put in the place of the other, and what it lacks is lost.
const UNDONE_MAX_US: i64 = 2_000_000;

/// What the starts of processes tell of the commits before them.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// Numbers of lines whose commits were not made.
    pub(super) undone: HashSet<u64>,
    /// Where the database had commits that nobody noted, or whose notes a power cut took.
    pub(super) gaps: Vec<Gap>,
}

/// A number that the database was to take next.
struct Noted {
    line: u64,
    at_us: i64,
    next: i64,
    /// Whether a start said so: then it was so, and no crash undoes it.
    is_start: bool,
}

impl Outline {
    /// Looks at the journal in a folder, from a time on.
    pub(crate) fn look(disk: &dyn Disk, folder: &Path, needed_us: i64) -> Result<Self> {
        let (mut outline, mut last) = (Self::default(), VecDeque::new());
        read_lines(disk, folder, needed_us, |number, line| {
            outline.take(number, &line, &mut last);
            Ok(())
        })?;
        Ok(outline)
    }

    /// `last` has the commits of the last moments, and one before them.
    fn take(&mut self, number: u64, line: &Line<'_>, last: &mut VecDeque<Noted>) {
        let Line { at_us, event, before, next: Some(next), notes: _ } = *line else { return };
        match event {
            Event::Commit => {
                if let Some(noted) = last.back().filter(|noted| Some(noted.next) != before) {
                    self.gaps.push(Gap { from_us: noted.at_us, until_us: Some(at_us) });
                }
                last.push_back(Noted { line: number, at_us, next, is_start: false });
                while last.get(1).is_some_and(|second| at_us - second.at_us > UNDONE_MAX_US) {
                    last.pop_front();
                }
            }
            Event::Failed => {
                if let Some(failed) = last.pop_back_if(|noted| noted.next == next) {
                    self.undone.insert(failed.line);
                }
            }
            Event::Started => {
                self.start(at_us, next, last);
                last.clear();
                last.push_back(Noted { line: number, at_us, next, is_start: true });
            }
            Event::Continued => {}
        }
    }

    /// Judges the commits before a start, at which the database takes a number next.
    fn start(&mut self, at_us: i64, next: i64, last: &VecDeque<Noted>) {
        let is_undone = |noted: &&Noted| noted.next > next;
        let newest_us = last.back().map_or(at_us, |noted| noted.at_us);
        match last.iter().rfind(|noted| noted.next <= next) {
            Some(made) if made.next < next => self.gaps.push(Gap { from_us: made.at_us, until_us: Some(at_us) }),
            Some(_) | None => {}
        }
        let is_old = last.iter().find(is_undone).is_some_and(|first| newest_us - first.at_us > UNDONE_MAX_US)
            || last.iter().any(|noted| noted.is_start && noted.next > next);
        if !is_old {
            self.undone.extend(last.iter().filter(is_undone).map(|noted| noted.line));
        }
    }
}
