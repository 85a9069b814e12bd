//! Tests of the blob store, and of what a request that goes away leaves behind.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use super::files::BlobFiles;
use super::in_flight::InFlight;
use super::intake::{Intake, Kept};
use super::{BLOCK_BYTES, BlobReader, BlobWriter, ByteStore};
use crate::body::Body;
use crate::disk::LocalDisk;
use crate::names::BlobId;
use crate::read_only::ReadOnly;
use crate::{Clock, Error, Result};

fn disk(directory: &TempDir) -> BlobFiles {
    BlobFiles::open(Arc::new(LocalDisk), directory.path(), Clock::system(), ReadOnly::default()).unwrap()
}

fn write(store: &dyn ByteStore, bytes: &[u8], announced: Option<u64>) -> BlobId {
    let id = BlobId::random();
    let mut writer = store.create(id, announced).unwrap();
    for chunk in bytes.chunks(100_000) {
        writer.write(chunk).unwrap();
    }
    writer.finish().unwrap();
    id
}

fn all(store: &dyn ByteStore) -> Vec<BlobId> {
    (0..=u8::MAX).flat_map(|shard| store.list_shard(shard).unwrap()).collect()
}

fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 31 % 251) as u8).collect()
}

#[test]
fn a_blob_is_read_back_in_any_range() {
    let directory = tempfile::tempdir().unwrap();
    let store = disk(&directory);
    let block = BLOCK_BYTES as usize;
    for size in [1, block - 1, block, block + 1, 3 * block + 17] {
        let content = bytes(size);
        // Announced or not, and announced wrongly: the length is that of the bytes.
        for announced in [None, Some(size as u64), Some(size as u64 * 2)] {
            let id = write(&store, &content, announced);
            let reader = store.open(id).unwrap();
            for (start, end) in [(0, size), (size - 1, size), (size / 2, size), (0, 1), (size / 3, size / 2)] {
                assert_eq!(
                    reader.read(start as u64, end - start).unwrap(),
                    content[start..end],
                    "{size} {start}-{end}"
                );
            }
            assert!(matches!(reader.read(size as u64, 1), Err(Error::Corrupt(_))));
        }
    }
    assert_eq!(all(&store).len(), 15);
}

#[test]
fn a_missing_cut_or_foreign_blob_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let store = disk(&directory);
    let missing = BlobId::random();
    assert!(matches!(store.open(missing), Err(Error::Corrupt(_))));
    assert!(store.remove(missing).is_ok() && store.quarantine(missing).is_ok(), "what is gone needs no cleaning");
    let (one, two) = (write(&store, &bytes(300_000), None), write(&store, &bytes(400_000), None));
    let path =
        |id: BlobId| directory.path().join(format!("blobs/{}/{}/{id}", &id.to_string()[..2], &id.to_string()[2..4]));
    std::fs::copy(path(one), path(two)).unwrap();
    assert!(matches!(store.open(two), Err(Error::Corrupt(_))), "a blob knows its own name");
    std::fs::OpenOptions::new().write(true).open(path(one)).unwrap().set_len(200_000).unwrap();
    assert!(matches!(store.open(one), Err(Error::Corrupt(_))));
    store.quarantine(one).unwrap();
    assert_eq!(all(&store), [two]);
}

/// A disk that takes its time to make a file.
#[derive(Debug)]
struct Slow(BlobFiles);

impl ByteStore for Slow {
    fn create(&self, id: BlobId, size_bytes: Option<u64>) -> Result<Box<dyn BlobWriter>> {
        std::thread::sleep(Duration::from_millis(200));
        self.0.create(id, size_bytes)
    }

    fn open(&self, id: BlobId) -> Result<Arc<dyn BlobReader>> {
        self.0.open(id)
    }

    fn remove(&self, id: BlobId) -> Result<()> {
        self.0.remove(id)
    }

    fn quarantine(&self, id: BlobId) -> Result<()> {
        self.0.quarantine(id)
    }

    fn bring_back(&self, id: BlobId) -> Result<bool> {
        self.0.bring_back(id)
    }

    fn is_quarantined(&self, id: BlobId) -> Result<bool> {
        self.0.is_quarantined(id)
    }

    fn contains(&self, id: BlobId) -> Result<bool> {
        self.0.contains(id)
    }

    fn list_shard(&self, shard: u8) -> Result<Vec<BlobId>> {
        self.0.list_shard(shard)
    }

    fn free_bytes(&self) -> Result<u64> {
        self.0.free_bytes()
    }
}

fn intake(store: Arc<dyn ByteStore>) -> Intake {
    Intake { store, in_flight: InFlight::default(), inline_size_bytes_max: 1000 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_goes_away_while_its_blob_is_made_leaves_none() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn ByteStore> = Arc::new(Slow(disk(&directory)));
    let intake = intake(store.clone());
    let given_up =
        tokio::time::timeout(Duration::from_millis(50), intake.take(Body::from_bytes(bytes(50_000)), 1 << 20));
    assert!(given_up.await.is_err());
    // The file is made after the request is gone, and removed after it was made.
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let made = directory.path().join("blobs").read_dir().unwrap().next().is_some();
        if made && all(&*store).is_empty() {
            return;
        }
    }
    panic!("a blob is left behind: {:?}", all(&*store));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_stays_once_it_was_handed_over_and_goes_when_it_was_not() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn ByteStore> = Arc::new(disk(&directory));
    let intake = intake(store.clone());
    let take = async || {
        let taken = intake.take(Body::from_bytes(bytes(50_000)), 1 << 20).await.unwrap();
        let Kept::Blob(blob) = taken.kept else { panic!("it is too large to be inline") };
        blob
    };
    let mut stays = take().await;
    stays.hand_over();
    let id = stays.id();
    drop(stays);
    assert_eq!(all(&*store), [id]);
    let mut refused = take().await;
    refused.hand_over();
    refused.remove();
    drop(take().await);
    for _ in 0..100 {
        if all(&*store) == [id] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("blobs are left behind: {:?}", all(&*store));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_tiny_items_are_put_together() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn ByteStore> = Arc::new(disk(&directory));
    let intake = intake(store.clone());
    let content = bytes(70_001);
    let items: Vec<_> = content.chunks(7).map(|item| Ok(Bytes::copy_from_slice(item))).collect();
    let taken = intake.take(Body::new(Box::pin(futures::stream::iter(items))), 1 << 20).await.unwrap();
    let Kept::Blob(blob) = &taken.kept else { panic!("it is too large to be inline") };
    assert_eq!(store.open(blob.id()).unwrap().read(0, 70_001).unwrap(), content);
}
