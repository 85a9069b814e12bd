//! The life of a pack: it is begun, sealed when it is full or its process ends, and removed when nothing is left in it.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::append::Appending;
use super::file;
use super::place::PackNumber;
use super::{Held, Shared};
use crate::bytes::format::{HEAD_BYTES, PAGE_BYTES};
use crate::disk::DiskFile;
use crate::{Error, Result};

/// What a pack is that is found at the start.
enum Left {
    Sealed,
    Empty,
    /// It ends with its data.
    Unsealed(u64),
    /// Its head is damaged, so that it does not say whether it was sealed.
    Unknown,
}

impl Shared {
    /// Makes a pack and everything of it durable; `None` when the disk has no room for one, or cannot do what packs need.
    pub(super) fn begin_pack(&self, is_fit: &mut bool) -> Result<Option<Appending>> {
        if self.is_unfit.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let number = PackNumber::random();
        let path = self.path(number);
        let file = self.disk.create_new(&path).map_err(|e| Error::io("making a pack", e))?;
        let prepared = prepare(&*file, number, self.limits.pack_bytes, !*is_fit);
        if let Err(error) = prepared {
            let removed = self.disk.remove(&path);
            return match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Ok(None),
                io::ErrorKind::Unsupported => {
                    tracing::warn!("the file system has no holes in files: small objects get a file each");
                    self.is_unfit.store(true, Ordering::Relaxed);
                    removed.map_err(|e| Error::io("removing a pack", e)).map(|()| None)
                }
                _ => Err(Error::io("making a pack", error)),
            };
        }
        *is_fit = true;
        let pack = Appending::new(number, file, self.syncs.clone());
        pack.sync()?;
        self.syncs.directory(&self.directory)?;
        Ok(Some(pack))
    }

    /// Seals a pack from which no more slots are taken, once all are finished that were.
    pub(super) fn seal_if_idle(&self, number: PackNumber) {
        let (pack, end) = {
            let mut state = self.state();
            let is_current = state.current == Some(number);
            match state.appending.get_mut(&number) {
                Some(Held { pack, end, reserved: 0 }) if !is_current && *end > 0 => {
                    // Nobody else seals it.
                    (pack.clone(), std::mem::take(end))
                }
                Some(_) | None => return,
            }
        };
        if let Err(error) = seal(&pack, end) {
            tracing::warn!(pack = number.name(), %error, "a pack could not be sealed; the next start will do it");
        }
        self.state().appending.remove(&number);
        if let Err(error) = self.remove_if_empty(number, &*pack.file) {
            tracing::warn!(pack = number.name(), %error, "an empty pack could not be removed");
        }
    }

    /// Removes a sealed pack in which no blob is left. Who punches asks afterwards, and so does who seals: one of them sees that both are
    /// done.
    pub(super) fn remove_if_empty(&self, number: PackNumber, file: &dyn DiskFile) -> io::Result<()> {
        let is_appended_to = self.state().appending.contains_key(&number);
        if is_appended_to || file::has_data(file, HEAD_BYTES, file.length_bytes()?)? {
            return Ok(());
        }
        self.open.invalidate(&number);
        match self.disk.remove(&self.path(number)) {
            // Another one came first.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map(|()| self.removed().packs = true),
        }
    }

    /// Seals what a process left that was killed or lost its power, and removes what has nothing in it.
    pub(super) fn seal_left(&self) -> Result<()> {
        for number in self.numbers()? {
            let path = self.path(number);
            match self.disk.open(&path).and_then(|file| look(&*file, number)) {
                Ok(Left::Sealed) => {}
                Ok(Left::Empty) => self.disk.remove(&path).map_err(|e| Error::io("removing an empty pack", e))?,
                Ok(Left::Unsealed(end)) => self.cut(&path, end)?,
                Ok(Left::Unknown) => {
                    tracing::warn!(
                        pack = number.name(),
                        "the head of a pack is damaged; its blobs are read all the same"
                    );
                }
                // A bad sector must not keep the store from starting: other blobs of the pack can be read.
                Err(error) => tracing::warn!(pack = number.name(), %error, "a pack could not be looked at"),
            }
        }
        Ok(())
    }

    fn cut(&self, path: &Path, end: u64) -> Result<()> {
        let failed = |e| Error::io("sealing a pack", e);
        let file = self.disk.open_to_change(path).map_err(failed)?;
        file.set_len(end).map_err(failed)?;
        self.syncs.check(file.sync_data())
    }
}

fn look(file: &dyn DiskFile, number: PackNumber) -> io::Result<Left> {
    let length_bytes = file.length_bytes()?;
    if length_bytes <= HEAD_BYTES {
        return Ok(Left::Empty);
    }
    let full_bytes = file::full_bytes(file, number)?;
    let is_unsealed = full_bytes == Some(length_bytes);
    // The last page has never a blob, only what a power cut may have left there of the trial.
    let end = if is_unsealed { length_bytes - PAGE_BYTES } else { length_bytes };
    if !file::has_data(file, HEAD_BYTES, end)? {
        return Ok(Left::Empty);
    }
    Ok(match full_bytes {
        Some(_) if is_unsealed => Left::Unsealed(file::data_end(file, end)?),
        Some(_) => Left::Sealed,
        None => Left::Unknown,
    })
}

/// Writes the head, takes the room, and with `probes` tries whether the file system can do what packs need: holes that it tells from data,
/// tried on the last page, which is never used. [`io::ErrorKind::Unsupported`] when it cannot.
fn prepare(file: &dyn DiskFile, number: PackNumber, pack_bytes: u64, probes: bool) -> io::Result<()> {
    file.write_at(&file::head(number, pack_bytes), 0)?;
    file.allocate(pack_bytes)?;
    if !probes {
        return Ok(());
    }
    let last = pack_bytes - PAGE_BYTES;
    let is_hole = file.next_data(HEAD_BYTES)?.is_none();
    file.write_at(&[1], last)?;
    let is_data = file.next_data(HEAD_BYTES)?.is_some_and(|data| data.start == last);
    file.punch_hole(last, PAGE_BYTES)?;
    match is_hole && is_data && file.next_data(HEAD_BYTES)?.is_none() {
        true => Ok(()),
        false => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Cuts a pack to what is used of it. One whose sync failed is left as it is: another sync would say that all is well.
fn seal(pack: &Appending, end: u64) -> Result<()> {
    if pack.failed().is_some() {
        return Ok(());
    }
    pack.file.set_len(end).map_err(|e| Error::io("sealing a pack", e))?;
    pack.sync()
}
