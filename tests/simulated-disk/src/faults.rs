//! What is to go wrong without a crash.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::state::{failed, full};

/// What is synced or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A blob, or any other file that is neither the database's nor the journal's.
    Blob,
    /// The journal of changes.
    Journal,
    /// The file of the database.
    Database,
    /// The database's log of commits.
    Log,
    /// The names in a directory.
    Directory,
}

impl Target {
    pub(crate) fn of_file(path: &Path) -> Self {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match name {
            name if name.ends_with("-wal") || name.ends_with("-journal") => Self::Log,
            name if name.ends_with(".sqlite") => Self::Database,
            name if name.starts_with("changes-") => Self::Journal,
            _ => Self::Blob,
        }
    }
}

/// How a sync fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The disk fails: EIO.
    Broken,
    /// There is no room for what was written before, which some file systems find out only now: ENOSPC.
    Full,
}

impl Failure {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Broken, Self::Full];

    fn error(self) -> io::Error {
        match self {
            Self::Broken => failed(),
            Self::Full => full(),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    sync: Option<(Target, u64)>,
    sync_failure: Option<Failure>,
    read: Option<(Target, u64)>,
    write: Option<(Target, u64)>,
    /// Writes until the disk is full; zero: it is.
    room_for_writes: Option<u64>,
    /// How often there was no room.
    refused: BTreeMap<Target, u64>,
}

impl Faults {
    /// The sync of that kind with that number from now on fails, once; the next is number one.
    pub(crate) fn fail_sync(&mut self, target: Target, number: u64, failure: Failure) {
        self.sync = Some((target, number));
        self.sync_failure = Some(failure);
    }

    pub(crate) fn fail_read(&mut self, target: Target, number: u64) {
        self.read = Some((target, number));
    }

    pub(crate) fn fail_write(&mut self, target: Target, number: u64) {
        self.write = Some((target, number));
    }

    pub(crate) fn fill_after(&mut self, writes: u64) {
        self.room_for_writes = Some(writes);
    }

    pub(crate) fn free_space(&mut self) {
        self.room_for_writes = None;
    }

    /// Whether the fault that was asked for has happened.
    pub(crate) fn is_over(&self) -> bool {
        self.sync.is_none() && self.read.is_none() && self.write.is_none()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.room_for_writes == Some(0)
    }

    /// What a sync says that is to fail.
    pub(crate) fn failed_sync(&mut self, target: Target) -> Option<io::Error> {
        let failure = self.sync_failure?;
        is_due(&mut self.sync, target).then(|| failure.error())
    }

    pub(crate) fn read_fails(&mut self, target: Target) -> bool {
        is_due(&mut self.read, target)
    }

    pub(crate) fn refused(&self, target: Target) -> u64 {
        self.refused.get(&target).copied().unwrap_or_default()
    }

    /// Refuses a write that is to fail, and to let a file grow on a full disk. What it has already may be written over, as on a real one.
    pub(crate) fn write(
        &mut self,
        target: Target,
        length_bytes: impl FnOnce() -> u64,
        wanted_bytes: u64,
    ) -> io::Result<()> {
        if is_due(&mut self.write, target) {
            return Err(failed());
        }
        if let Some(left) = &mut self.room_for_writes {
            if *left == 0 && wanted_bytes > length_bytes() {
                *self.refused.entry(target).or_default() += 1;
                return Err(full());
            }
            *left = left.saturating_sub(1);
        }
        Ok(())
    }
}

fn is_due(fault: &mut Option<(Target, u64)>, target: Target) -> bool {
    match fault {
        Some((wanted, left)) if *wanted == target => {
            *left = left.saturating_sub(1);
            let due = *left == 0;
            if due {
                *fault = None;
            }
            due
        }
        Some(_) | None => false,
    }
}
