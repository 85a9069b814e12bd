//! Where a blob lies in a pack, as its id says.

use std::ops::RangeInclusive;

use crate::bytes::format::PAGE_BYTES;
use crate::names::BlobId;

/// Bytes of an id that are the number of a pack.
const NUMBER_BYTES: usize = 5;
/// Set in the first byte of a pack's number, and clear in the ids of blobs that have a file of their own.
const PACKED: u8 = 0x80;

/// The number of a pack. It is random: no number that a removed pack had is met again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::bytes) struct PackNumber([u8; NUMBER_BYTES]);

impl PackNumber {
    pub(super) fn random() -> Self {
        let mut bytes: [u8; NUMBER_BYTES] = rand::random();
        bytes[0] |= PACKED;
        Self(bytes)
    }

    /// Reads the name of a pack's file.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let bytes: [u8; NUMBER_BYTES] = hex::decode(name).ok()?.try_into().ok()?;
        (bytes[0] & PACKED != 0).then_some(Self(bytes))
    }

    /// The name of the pack's file.
    pub(super) fn name(self) -> String {
        hex::encode(self.0)
    }

    pub(super) fn as_bytes(&self) -> &[u8; NUMBER_BYTES] {
        &self.0
    }

    /// The shard in which all blobs of the pack are listed: their first byte is the number's.
    pub(super) fn shard(self) -> u8 {
        self.0[0]
    }
}

/// A slot of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bytes) struct Place {
    pub(super) pack: PackNumber,
    /// Where the slot begins.
    pub(super) start: u64,
    pub(super) length_bytes: u64,
}

impl Place {
    /// The place that an id says; `None` for a blob that has a file of its own.
    pub(in crate::bytes) fn of(id: BlobId) -> Option<Self> {
        let [a, b, c, d, e, start_high, start_low, length_high, length_low, ..] = *id.as_bytes();
        let pages = |high, low| u64::from(u16::from_be_bytes([high, low])) * PAGE_BYTES;
        (a & PACKED != 0).then(|| Self {
            pack: PackNumber([a, b, c, d, e]),
            start: pages(start_high, start_low),
            length_bytes: pages(length_high, length_low),
        })
    }

    /// Whether some byte is in both.
    fn meets(&self, other: &Self) -> bool {
        let (end, other_end) = (self.start + self.length_bytes, other.start + other.length_bytes);
        self.pack == other.pack && self.start < other_end && other.start < end
    }

    /// A new id that says this place. `None` when an id has no room for it.
    pub(super) fn new_id(&self) -> Option<BlobId> {
        self.id_from(rand::random())
    }

    /// The id by which bytes in this place are told that are no blob's: always the same.
    pub(super) fn fragment_id(&self) -> Option<BlobId> {
        self.id_from([0; 16])
    }

    fn id_from(&self, mut bytes: [u8; 16]) -> Option<BlobId> {
        let pages = |bytes: u64| u16::try_from(bytes / PAGE_BYTES).ok().map(u16::to_be_bytes);
        bytes[..5].copy_from_slice(&self.pack.0);
        bytes[5..7].copy_from_slice(&pages(self.start)?);
        bytes[7..9].copy_from_slice(&pages(self.length_bytes)?);
        Some(BlobId::from_bytes(bytes))
    }
}

/// Whether two ids say places that have bytes in common.
pub(crate) fn meet(one: BlobId, other: BlobId) -> bool {
    Place::of(one).zip(Place::of(other)).is_some_and(|(one, other)| one.meets(&other))
}

/// The least and the greatest id that say a place in the pack of another one.
pub(crate) fn ids_of_pack(of: BlobId) -> RangeInclusive<BlobId> {
    let filled = |fill: u8| {
        let mut bytes = [fill; 16];
        bytes[..NUMBER_BYTES].copy_from_slice(&of.as_bytes()[..NUMBER_BYTES]);
        BlobId::from_bytes(bytes)
    };
    filled(0)..=filled(u8::MAX)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    #[test]
    fn an_id_says_its_place_and_that_of_a_file_says_none() {
        let pack = PackNumber::random();
        for (start, length_bytes) in [(PAGE_BYTES, 6 * PAGE_BYTES), (65_535 * PAGE_BYTES, 65_535 * PAGE_BYTES)] {
            let place = Place { pack, start, length_bytes };
            let (one, other) = (place.new_id().unwrap(), place.new_id().unwrap());
            assert_ne!(one, other);
            assert_eq!((Place::of(one), Place::of(other)), (Some(place), Some(place)));
            assert_eq!(one.as_bytes()[0], pack.shard());
        }
        assert_eq!(Place { pack, start: 65_536 * PAGE_BYTES, length_bytes: PAGE_BYTES }.new_id(), None);
        assert_eq!(PackNumber::from_name(&pack.name()), Some(pack));
        let id = |pack, pages: Range<u64>| {
            let (start, length_bytes) = (pages.start * PAGE_BYTES, (pages.end - pages.start) * PAGE_BYTES);
            Place { pack, start, length_bytes }.new_id().unwrap()
        };
        let one = id(pack, 4..8);
        for (pages, met) in [(1..4, false), (1..5, true), (5..6, true), (4..8, true), (7..9, true), (8..9, false)] {
            assert_eq!(meet(one, id(pack, pages.clone())), met, "{pages:?}");
        }
        assert!(!meet(one, id(PackNumber::random(), 4..8)));
        assert!(!meet(one, BlobId::random()));
        assert!(ids_of_pack(one).contains(&one) && ids_of_pack(one).contains(&id(pack, 65_534..65_535)));
        assert!(!ids_of_pack(one).contains(&id(PackNumber::random(), 4..8)));
        for name in ["7f00000000", "8f000000", "8f0000000000", "probe"] {
            assert_eq!(PackNumber::from_name(name), None, "{name}");
        }
        for _ in 0..100 {
            assert_eq!(Place::of(BlobId::random()), None);
        }
    }
}
