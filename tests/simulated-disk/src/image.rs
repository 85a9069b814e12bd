//! What of a file is on the medium, and what is only in memory.

use std::collections::HashMap;
use std::ops::Range;

use crate::random::Random;

/// A disk writes a sector whole or not at all.
pub(crate) const SECTOR_BYTES: u64 = 512;
/// The page cache is written in pages, so their sectors often have one age.
const PAGE_BYTES: u64 = 4096;

/// How much of what was not synced survives a power cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// Nothing.
    Nothing,
    /// All of it: the kernel had just written it by itself.
    Everything,
    /// Everything up to some change, which is torn.
    Prefix,
    /// Each page is as it was after some change.
    Pages,
    /// Each sector is as it was after some change.
    Sectors,
}

impl Manner {
    pub(crate) fn random(random: &mut Random) -> Self {
        const ALL: [Manner; 5] = [Manner::Nothing, Manner::Everything, Manner::Prefix, Manner::Pages, Manner::Sectors];
        ALL[random.index(ALL.len())]
    }
}

/// A change that was not synced yet.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Write {
        start: u64,
        bytes: Vec<u8>,
    },
    /// Bytes that were taken away: they are zero.
    Hole {
        start: u64,
        length_bytes: u64,
    },
    Length(u64),
}

/// A file: what the medium has, and the changes since the last sync.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

impl Image {
    pub(crate) fn durable(bytes: Vec<u8>) -> Self {
        Self { durable: bytes, unsynced: Vec::new() }
    }

    pub(crate) fn change(&mut self, change: Change) {
        self.unsynced.push(change);
    }

    /// Everything reaches the medium.
    pub(crate) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            apply(&mut self.durable, &change);
        }
    }

    /// A sync failed: as Linux does, the pages count as clean from now on, so that no later sync writes them.
    pub(crate) fn lose(&mut self) {
        self.unsynced.clear();
    }

    /// What the medium has after a power cut.
    pub(crate) fn after_power_cut(&self, manner: Manner, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let mut fate = Fate::new(manner, self.unsynced.len(), random.clone());
        for (number, change) in self.unsynced.iter().enumerate() {
            match change {
                Change::Write { start, bytes: new } => write_sectors(&mut bytes, *start, new, number, &mut fate),
                Change::Hole { start, length_bytes } => {
                    let inside = hole(*start, *length_bytes, bytes.len());
                    punch_pages(&mut bytes, inside, number, &mut fate);
                }
                Change::Length(_) if fate.spares_length(number) => apply(&mut bytes, change),
                Change::Length(_) => {}
            }
        }
        fate.grow(&mut bytes, self.final_length());
        *random = fate.random;
        bytes
    }

    fn final_length(&self) -> usize {
        self.unsynced.iter().fold(self.durable.len(), |length, change| match change {
            Change::Write { start, bytes } => length.max(to_usize(*start) + bytes.len()),
            Change::Hole { .. } => length,
            Change::Length(length) => to_usize(*length),
        })
    }
}

/// Decides what survives. Every sector has an age: it holds what all changes before that age left in it.
struct Fate {
    manner: Manner,
    random: Random,
    count: usize,
    /// With [`Manner::Prefix`]: the change that is torn.
    torn: usize,
    ages: HashMap<u64, usize>,
}

impl Fate {
    fn new(manner: Manner, count: usize, mut random: Random) -> Self {
        let torn = random.index(count + 1);
        Self { manner, random, count, torn, ages: HashMap::new() }
    }

    fn spares(&mut self, sector: u64, number: usize) -> bool {
        let unit = match self.manner {
            Manner::Nothing => return false,
            Manner::Everything => return true,
            Manner::Prefix if number != self.torn => return number < self.torn,
            Manner::Pages => sector / (PAGE_BYTES / SECTOR_BYTES),
            Manner::Prefix | Manner::Sectors => sector,
        };
        let oldest = if matches!(self.manner, Manner::Prefix) { self.torn } else { 0 };
        let (random, count) = (&mut self.random, self.count);
        let age = *self.ages.entry(unit).or_insert_with(|| oldest + random.index(count + 1 - oldest));
        number < age
    }

    fn spares_length(&mut self, number: usize) -> bool {
        match self.manner {
            Manner::Nothing => false,
            Manner::Everything => true,
            Manner::Prefix => number < self.torn,
            Manner::Pages | Manner::Sectors => self.random.chance(50),
        }
    }

    /// The length may have reached the medium before the bytes did; what stands there then may be anything.
    fn grow(&mut self, bytes: &mut Vec<u8>, length: usize) {
        if bytes.len() >= length || matches!(self.manner, Manner::Nothing) || self.random.chance(50) {
            return;
        }
        let filled = self.random.chance(30);
        while bytes.len() < length {
            let noise = if filled { self.random.next_u64() } else { 0 };
            bytes.extend_from_slice(&noise.to_le_bytes());
        }
        bytes.truncate(length);
    }
}

fn write_sectors(bytes: &mut Vec<u8>, start: u64, new: &[u8], number: usize, fate: &mut Fate) {
    let end = start + new.len() as u64;
    let mut at = start;
    while at < end {
        let sector = at / SECTOR_BYTES;
        let next = ((sector + 1) * SECTOR_BYTES).min(end);
        if fate.spares(sector, number) {
            put(bytes, at, &new[to_usize(at - start)..to_usize(next - start)]);
        }
        at = next;
    }
}

/// A file system takes pages away, not sectors.
fn punch_pages(bytes: &mut [u8], hole: Range<usize>, number: usize, fate: &mut Fate) {
    let mut at = hole.start as u64;
    while at < hole.end as u64 {
        let next = ((at / PAGE_BYTES + 1) * PAGE_BYTES).min(hole.end as u64);
        if fate.spares(at / SECTOR_BYTES, number) {
            bytes[to_usize(at)..to_usize(next)].fill(0);
        }
        at = next;
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { start, bytes: new } => put(bytes, *start, new),
        Change::Hole { start, length_bytes } => {
            let inside = hole(*start, *length_bytes, bytes.len());
            bytes[inside].fill(0);
        }
        Change::Length(length) => bytes.resize(to_usize(*length), 0),
    }
}

/// A hole does not change the length of a file.
fn hole(start: u64, length_bytes: u64, file_bytes: usize) -> Range<usize> {
    to_usize(start).min(file_bytes)..to_usize(start + length_bytes).min(file_bytes)
}

fn put(bytes: &mut Vec<u8>, start: u64, new: &[u8]) {
    let (start, end) = (to_usize(start), to_usize(start) + new.len());
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[start..end].copy_from_slice(new);
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(start: u64, byte: u8, length: usize) -> Change {
        Change::Write { start, bytes: vec![byte; length] }
    }

    #[test]
    fn what_was_synced_survives_and_nothing_else_must() {
        for manner in [Manner::Nothing, Manner::Everything, Manner::Prefix, Manner::Pages, Manner::Sectors] {
            for seed in 0..200 {
                let mut image = Image::default();
                image.change(write(0, 1, 2000));
                image.sync();
                image.change(write(1000, 2, 5000));
                image.change(write(700, 3, 600));
                let bytes = image.after_power_cut(manner, &mut Random::new(seed));
                assert!(bytes.len() >= 2000 && bytes.len() <= 6000);
                assert!(bytes[..700].iter().all(|byte| *byte == 1), "{manner:?} {seed}: synced bytes changed");
                for at in (0..2000).step_by(100) {
                    assert!([1, 2, 3].contains(&bytes[at]), "{manner:?} {seed}: byte {at} was never written");
                }
            }
        }
    }

    #[test]
    fn sectors_are_whole_and_of_different_ages() {
        let (mut old, mut new, mut mixed) = (0, 0, 0);
        for seed in 0..300 {
            let mut image = Image::durable(vec![1; 4096]);
            image.change(write(0, 2, 4096));
            let bytes = image.after_power_cut(Manner::Sectors, &mut Random::new(seed));
            for sector in bytes.chunks(512) {
                assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is torn");
            }
            let count = bytes.chunks(512).filter(|sector| sector[0] == 2).count();
            match count {
                0 => old += 1,
                8 => new += 1,
                _ => mixed += 1,
            }
        }
        assert!(mixed > 200 && old + new < 100, "{old} {mixed} {new}");
    }

    #[test]
    fn a_hole_that_was_not_synced_may_have_taken_some_bytes_away_and_no_others() {
        let mut seen = HashMap::new();
        for seed in 0..200 {
            let mut image = Image::durable(vec![1; 16_384]);
            image.change(Change::Hole { start: 4096, length_bytes: 8192 });
            let bytes = image.after_power_cut(Manner::Sectors, &mut Random::new(seed));
            assert_eq!(bytes.len(), 16_384);
            assert!(bytes[..4096].iter().chain(&bytes[12_288..]).all(|byte| *byte == 1), "{seed}");
            assert!(bytes.chunks(4096).all(|page| page.iter().all(|byte| *byte == page[0])), "{seed}");
            *seen.entry((bytes[4096], bytes[8192])).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 4, "{seen:?}");
        let mut image = Image::default();
        image.change(Change::Length(4096));
        image.change(write(1024, 7, 1024));
        image.change(Change::Hole { start: 1024, length_bytes: 8192 });
        image.sync();
        assert_eq!(image.after_power_cut(Manner::Nothing, &mut Random::new(1)), vec![0; 4096]);
    }

    #[test]
    fn a_failed_sync_loses_what_it_should_have_written_for_good() {
        let mut image = Image::default();
        image.change(write(0, 1, 10));
        image.lose();
        image.change(write(10, 2, 10));
        image.sync();
        let bytes = image.after_power_cut(Manner::Everything, &mut Random::new(1));
        assert_eq!(bytes, [vec![0; 10], vec![2; 10]].concat());
    }
}
