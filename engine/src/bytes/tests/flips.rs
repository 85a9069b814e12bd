//! Every single bit of small blobs is flipped, one at a time, and each is found by who reads the blob: those of the bytes and of their
//! checksums, of head and foot, of the zeros that fill the head, and of those that fill a slot.

use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use tempfile::TempDir;

use super::{bytes, disk, disk_with_packs, write};
use crate::bytes::ByteStore;
use crate::bytes::blobs::Blobs;
use crate::bytes::format::slot_length;
use crate::bytes::whole::WholeRead;
use crate::names::BlobId;
use crate::{Error, Result};

/// A directory in memory where there is one: it is read some hundred thousand times.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Opens a blob and reads all of it.
fn read_whole(store: &Blobs, id: BlobId) -> Result<()> {
    let reader = store.open(id)?;
    let mut whole = WholeRead::new(id, &*reader);
    while whole.next()?.is_some() {}
    Ok(())
}

/// Flips each bit of a part of a file that is all of a blob.
fn every_flip_is_found(store: &Blobs, id: BlobId, file: &File, blob: Range<u64>) {
    let mut stored = vec![0; usize::try_from(blob.end - blob.start).unwrap()];
    file.read_exact_at(&mut stored, blob.start).unwrap();
    for (at, byte) in stored.iter().enumerate() {
        let place = blob.start + at as u64;
        for bit in 0..8 {
            file.write_all_at(&[byte ^ 1 << bit], place).unwrap();
            let read = read_whole(store, id);
            assert!(matches!(read, Err(Error::Corrupt(_))), "bit {bit} of byte {at} was flipped: {read:?}");
        }
        file.write_all_at(&[*byte], place).unwrap();
    }
    read_whole(store, id).unwrap();
}

fn to_change(path: std::path::PathBuf) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

#[test]
fn every_flipped_bit_of_a_file_is_found() {
    let directory = scratch();
    let store = disk(&directory);
    let id = write(&store, &bytes(20 << 10), None);
    let hex = id.to_string();
    let file = to_change(directory.path().join("blobs").join(&hex[..2]).join(&hex[2..4]).join(&hex));
    let length_bytes = file.metadata().unwrap().len();
    assert_eq!(length_bytes, 4096 + (20 << 10) + 4 + 64, "head, bytes, one checksum and foot are all of it");
    every_flip_is_found(&store, id, &file, 0..length_bytes);
}

#[test]
fn every_flipped_bit_of_a_slot_is_found() {
    let directory = scratch();
    let store = disk_with_packs(&directory, 100_000);
    // Between two others, whose bytes are not its own.
    let ids = [(); 3].map(|()| {
        let (id, mut writer) = store.pack(20_000).unwrap().unwrap();
        writer.write(&bytes(20_000)).unwrap();
        writer.finish().unwrap();
        id
    });
    let pack = directory.path().join("packs").read_dir().unwrap().next().unwrap().unwrap().path();
    let length_bytes = slot_length(20_000);
    assert_eq!(length_bytes - (4096 + 20_000 + 4 + 64), 412, "so many zeros fill the slot");
    let start = 4096 + length_bytes;
    every_flip_is_found(&store, ids[1], &to_change(pack), start..start + length_bytes);
    ids.into_iter().for_each(|id| read_whole(&store, id).unwrap());
}
