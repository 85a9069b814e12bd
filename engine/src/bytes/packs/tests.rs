//! Tests of packs: slots, damage, rotation, holes, sealing, quarantine.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::PackLimits;
use super::place::Place;
use crate::bytes::blobs::Blobs;
use crate::bytes::format::{self, HEAD_BYTES, PAGE_BYTES};
use crate::bytes::pool::Pool;
use crate::bytes::whole::WholeRead;
use crate::bytes::{ByteStore, format::slot_length};
use crate::disk::LocalDisk;
use crate::names::BlobId;
use crate::read_only::ReadOnly;
use crate::{Clock, Error, Result};

const PACK_BYTES: u64 = 1 << 20;

fn open(directory: &TempDir) -> Blobs {
    let packs = PackLimits { size_bytes_max: 256 << 10, pack_bytes: PACK_BYTES };
    Blobs::open(Arc::new(LocalDisk), directory.path(), Clock::system(), ReadOnly::default(), packs, 0).unwrap()
}

fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 31 % 251) as u8 | 1).collect()
}

fn write(store: &dyn ByteStore, content: &[u8]) -> BlobId {
    let (id, mut writer) = store.pack(content.len() as u64).unwrap().expect("a place in a pack");
    content.chunks(10_000).for_each(|chunk| writer.write(chunk).unwrap());
    writer.finish().unwrap();
    id
}

fn read(store: &dyn ByteStore, id: BlobId) -> Result<Vec<u8>> {
    let reader = store.open(id)?;
    let (mut whole, mut all) = (WholeRead::new(id, &*reader), Vec::new());
    while let Some(bytes) = whole.next()? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

fn all(store: &dyn ByteStore) -> Vec<BlobId> {
    (0..=u8::MAX).flat_map(|shard| store.list_shard(shard).unwrap().ids).collect()
}

fn packs(directory: &TempDir) -> Vec<PathBuf> {
    fs::read_dir(directory.path().join("packs")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn pack_of(directory: &TempDir, id: BlobId) -> (fs::File, Place) {
    let place = Place::of(id).unwrap();
    let path = directory.path().join("packs").join(place.pack.name());
    (OpenOptions::new().read(true).write(true).open(path).unwrap(), place)
}

#[test]
fn blobs_of_all_sizes_come_back_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let sizes = [1, 4023, 4024, 4025, 4096, 20_000, 131_071, 131_072, 131_073, 262_144];
    let ids = sizes.map(|size| write(&store, &bytes(size)));
    assert!(store.pack(0).unwrap().is_none() && store.pack(262_145).unwrap().is_none());
    store.close();
    for store in [&store, &open(&directory)] {
        for (size, id) in sizes.into_iter().zip(ids) {
            assert!(read(store, id).unwrap() == bytes(size) && store.contains(id).unwrap(), "{size}");
            let reader = store.open(id).unwrap();
            assert_eq!(reader.read(size as u64 / 2, 1).unwrap(), bytes(size)[size / 2..=size / 2]);
            assert!(matches!(reader.read(size as u64, 1), Err(Error::Corrupt(_))));
        }
        let (mut listed, mut expected) = (all(store), ids.to_vec());
        listed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(listed, expected);
    }
}

#[test]
fn a_blob_must_have_the_size_that_was_announced() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let (id, mut writer) = store.pack(20_000).unwrap().unwrap();
    writer.write(&bytes(19_999)).unwrap();
    assert!(writer.finish().is_err());
    store.remove(id).unwrap();
    assert!(!store.contains(id).unwrap() && all(&store).is_empty());
}

#[test]
fn damage_of_a_slot_is_found_and_hides_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let content = bytes(140_000);
    let (_, id, next) = (write(&store, &content), write(&store, &content), write(&store, &content));
    let (file, place) = pack_of(&directory, id);
    // Checksums and foot are at the end, and what fills the slot before them.
    let checks_at = place.length_bytes - 64 - 8;
    let places = (0..checks_at).step_by(499).chain(checks_at..place.length_bytes);
    for at in places {
        let mut byte = [0];
        file.read_exact_at(&mut byte, place.start + at).unwrap();
        file.write_all_at(&[byte[0] ^ 1 << (at % 8)], place.start + at).unwrap();
        assert!(matches!(read(&store, id), Err(Error::Corrupt(_))), "a flipped bit of byte {at} went unseen");
        assert!(store.contains(id).unwrap(), "it is damaged, not missing");
        assert!(all(&store).contains(&next), "damage at {at} hides another one");
        file.write_all_at(&byte, place.start + at).unwrap();
    }
    assert_eq!(read(&store, id).unwrap(), content);
}

#[test]
fn a_full_pack_is_sealed_and_the_next_one_begins() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let ids: Vec<_> = (0..12).map(|_| write(&store, &bytes(200_000))).collect();
    let lengths: Vec<u64> = packs(&directory).iter().map(|pack| pack.metadata().unwrap().len()).collect();
    // Five slots and the head fit into one.
    assert_eq!(lengths.len(), 3);
    assert_eq!(lengths.iter().filter(|length| **length == HEAD_BYTES + 5 * slot_length(200_000)).count(), 2);
    assert_eq!(lengths.iter().filter(|length| **length == PACK_BYTES).count(), 1, "{lengths:?}");
    store.close();
    assert!(packs(&directory).iter().all(|pack| pack.metadata().unwrap().len() < PACK_BYTES));
    assert!(ids.iter().all(|id| read(&store, *id).unwrap() == bytes(200_000)));
}

#[test]
fn a_pack_waits_for_those_who_write_to_it_before_it_goes() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let (id, mut late) = store.pack(200_000).unwrap().unwrap();
    let others: Vec<_> = (0..7).map(|_| write(&store, &bytes(200_000))).collect();
    others.iter().for_each(|id| store.remove(*id).unwrap());
    store.close();
    late.write(&bytes(200_000)).unwrap();
    late.finish().unwrap();
    assert_eq!((read(&store, id).unwrap(), all(&store)), (bytes(200_000), vec![id]));
    assert_eq!(packs(&directory).len(), 1, "the other pack was empty and is gone");
    store.remove(id).unwrap();
    assert!(packs(&directory).is_empty() && store.open(id).is_err() && store.remove(id).is_ok());
}

#[test]
fn what_is_removed_leaves_room_and_its_neighbours() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let ids = [20_000, 100_000, 30_000].map(|size| write(&store, &bytes(size)));
    store.remove(ids[1]).unwrap();
    let (file, place) = pack_of(&directory, ids[1]);
    let mut slot = vec![1; usize::try_from(place.length_bytes).unwrap()];
    file.read_exact_at(&mut slot, place.start).unwrap();
    assert!(slot.iter().all(|byte| *byte == 0));
    assert!(!store.contains(ids[1]).unwrap() && store.open(ids[1]).is_err());
    assert_eq!(all(&store), [ids[0], ids[2]]);
    assert_eq!((read(&store, ids[0]).unwrap(), read(&store, ids[2]).unwrap()), (bytes(20_000), bytes(30_000)));
    // An id that says the place of another blob takes nothing away.
    let other = Place::of(ids[0]).unwrap().new_id().unwrap();
    store.remove(other).unwrap();
    assert!(!store.contains(other).unwrap() && matches!(store.open(other), Err(Error::Corrupt(_))));
    assert_eq!(read(&store, ids[0]).unwrap(), bytes(20_000));
}

#[test]
fn a_pack_that_was_left_unsealed_is_sealed_and_nothing_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let ids = [20_000, 100_000].map(|size| write(&store, &bytes(size)));
    let unwritten = store.pack(50_000).unwrap().unwrap();
    // As if its process had been killed.
    std::mem::forget(unwritten);
    std::mem::forget(store);
    let end = HEAD_BYTES + slot_length(20_000) + slot_length(100_000);
    let path = packs(&directory).remove(0);
    // Whoever copies the file may fill its holes with zeros.
    let mut copy = fs::read(&path).unwrap();
    // And a power cut may have left something of the trial that is made of a new pack.
    *copy.last_mut().unwrap() = 1;
    for filled in [false, true] {
        if filled {
            fs::write(&path, &copy).unwrap();
        }
        assert_eq!(path.metadata().unwrap().len(), PACK_BYTES);
        let store = open(&directory);
        assert_eq!(path.metadata().unwrap().len(), end);
        assert_eq!((read(&store, ids[0]).unwrap(), read(&store, ids[1]).unwrap()), (bytes(20_000), bytes(100_000)));
        assert_eq!(all(&store), ids);
        let next = write(&store, &bytes(20_000));
        assert_ne!(Place::of(next).unwrap().pack, Place::of(ids[0]).unwrap().pack);
        store.remove(next).unwrap();
        store.close();
    }
}

#[test]
fn packs_without_blobs_are_removed_at_the_start_and_damaged_ones_stay() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let id = write(&store, &bytes(20_000));
    let folder = directory.path().join("packs");
    // Two were cut off while they were made, and one has nothing but holes.
    fs::write(folder.join("8000000001"), b"").unwrap();
    fs::write(folder.join("8000000002"), vec![0; 4096]).unwrap();
    fs::write(folder.join("8000000003"), vec![0; 1 << 20]).unwrap();
    fs::write(folder.join("other"), b"not a pack").unwrap();
    let (file, _) = pack_of(&directory, id);
    file.write_all_at(&[0xff], 100).unwrap();
    drop(store);
    let store = open(&directory);
    assert_eq!(packs(&directory).len(), 2);
    assert_eq!((read(&store, id).unwrap(), all(&store)), (bytes(20_000), vec![id]));
}

#[test]
fn a_head_inside_a_body_is_not_listed() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let first = write(&store, &bytes(20_000));
    // The worst case: somebody knows the number of the pack, and which places come next.
    let place = Place::of(first).unwrap();
    let forged: Vec<BlobId> = (1..20)
        .map(|page| Place { start: place.start + page * PAGE_BYTES, length_bytes: 2 * PAGE_BYTES, ..place })
        .map(|place| place.new_id().unwrap())
        .collect();
    let body: Vec<u8> = forged.iter().flat_map(|id| format::head(*id)).collect();
    let second = write(&store, &body);
    assert_eq!(all(&store), [first, second]);
    // Where the head before them is damaged, heads count that say another place than where they are no more than others.
    let (file, place) = pack_of(&directory, second);
    file.write_all_at(&[0], place.start).unwrap();
    let wrong = Place { start: place.start + 3 * PAGE_BYTES, length_bytes: PAGE_BYTES, ..place }.new_id().unwrap();
    file.write_all_at(&format::head(wrong), place.start + 4 * PAGE_BYTES).unwrap();
    assert!(!all(&store).contains(&wrong));
}

#[test]
fn a_blob_comes_back_from_quarantine_as_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let (kept, id) = (write(&store, &bytes(20_000)), write(&store, &bytes(100_001)));
    // A copy that was cut off by a crash is made anew, and one that is whole may be there already.
    fs::write(directory.path().join(format!("quarantine/{id}.part")), b"half").unwrap();
    store.quarantine(id).unwrap();
    assert!(store.is_quarantined(id).unwrap() && !store.contains(id).unwrap() && store.open(id).is_err());
    assert_eq!(all(&store), [kept]);
    store.quarantine(id).unwrap();
    assert!(store.bring_back(id).unwrap() && !store.is_quarantined(id).unwrap());
    assert!(!store.bring_back(id).unwrap());
    let path = directory.path().join(format!("blobs/{}/{}/{id}", &id.to_string()[..2], &id.to_string()[2..4]));
    assert!(path.exists() && store.contains(id).unwrap());
    assert_eq!((read(&store, id).unwrap(), all(&store).len()), (bytes(100_001), 2));
    store.quarantine(id).unwrap();
    assert!(store.bring_back(id).unwrap(), "a file goes there and comes back, too");
    store.remove(id).unwrap();
    assert_eq!(all(&store), [kept]);
}

#[test]
fn a_copy_in_a_back_up_is_a_plain_file() {
    let (directory, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(&directory);
    let id = write(&store, &bytes(140_000));
    let pool = Pool::open(Arc::new(LocalDisk), backup.path()).unwrap();
    let facts = pool.add(id, &*store.open(id).unwrap()).unwrap();
    pool.sync().unwrap();
    assert_eq!(pool.list_shard(id.as_bytes()[0]).unwrap(), [id]);
    assert_eq!(pool.reader(id).unwrap().unwrap().facts(), facts);
    let restored = open(&backup);
    assert_eq!((read(&restored, id).unwrap(), all(&restored)), (bytes(140_000), vec![id]));
}

#[test]
fn many_append_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let ids = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let store = &store;
                scope.spawn(move || {
                    let mut ids = Vec::new();
                    for round in 0..20 {
                        let size = 1000 * (1 + thread) + round;
                        let id = write(store, &bytes(size));
                        if round % 5 == 4 {
                            store.remove(id).unwrap();
                        } else {
                            ids.push((id, size));
                        }
                    }
                    ids
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    store.close();
    assert!(packs(&directory).len() > 1);
    let mut listed = all(&store);
    listed.sort_unstable();
    let mut expected: Vec<_> = ids.iter().map(|(id, _)| *id).collect();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    assert!(ids.iter().all(|(id, size)| read(&store, *id).unwrap() == bytes(*size)));
}
