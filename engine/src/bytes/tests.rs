//! Tests of the blob store, and of what a request that goes away leaves behind; `flips` beneath.

mod flips;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::blobs::Blobs;
use super::bounds::{Bounds, CHUNK_BYTES, CHUNK_BYTES_MIN};
use super::in_flight::InFlight;
use super::intake::{Intake, Kept, TakenIn};
use super::packs::PackLimits;
use super::{BLOCK_BYTES, BlobReader, BlobWriter, ByteStore, Listed};
use crate::body::Body;
use crate::disk::{Disk, DiskDir, DiskFile, LocalDisk};
use crate::fair::Share;
use crate::names::{BlobId, CanonicalId};
use crate::read_only::ReadOnly;
use crate::{Clock, Error, Result};

/// A store that has no packs.
fn disk(directory: &TempDir) -> Blobs {
    disk_with_packs(directory, 0)
}

fn disk_with_packs(directory: &TempDir, size_bytes_max: u64) -> Blobs {
    let packs = PackLimits { size_bytes_max, pack_bytes: 1 << 20 };
    Blobs::open(Arc::new(LocalDisk), directory.path(), Clock::system(), ReadOnly::default(), packs, 0).unwrap()
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
    (0..=u8::MAX).flat_map(|shard| store.list_shard(shard).unwrap().ids).collect()
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
struct Slow(Blobs);

impl ByteStore for Slow {
    fn create(&self, id: BlobId, size_bytes: Option<u64>) -> Result<Box<dyn BlobWriter>> {
        std::thread::sleep(Duration::from_millis(200));
        self.0.create(id, size_bytes)
    }

    fn pack_size_bytes_max(&self) -> u64 {
        self.0.pack_size_bytes_max()
    }

    fn pack(&self, size_bytes: u64) -> Result<Option<(BlobId, Box<dyn BlobWriter>)>> {
        std::thread::sleep(Duration::from_millis(200));
        self.0.pack(size_bytes)
    }

    fn open(&self, id: BlobId) -> Result<Arc<dyn BlobReader>> {
        self.0.open(id)
    }

    fn remove(&self, id: BlobId) -> Result<()> {
        self.0.remove(id)
    }

    fn sync_removed(&self) -> Result<()> {
        self.0.sync_removed()
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

    fn list_shard(&self, shard: u8) -> Result<Listed> {
        self.0.list_shard(shard)
    }

    fn free_bytes(&self) -> Result<u64> {
        self.0.free_bytes()
    }

    fn close(&self) {
        self.0.close();
    }
}

fn intake(store: Arc<dyn ByteStore>) -> Intake {
    let bounds = Bounds { pause_max: Duration::from_millis(20), ..Bounds::new(600, 4 * CHUNK_BYTES) };
    Intake { store, in_flight: InFlight::default(), inline_size_bytes_max: 1000, bounds }
}

/// Waits, for a while, until something holds that another thread brings about; says whether it does.
async fn comes_to_hold(mut holds: impl FnMut() -> bool) -> bool {
    for _ in 0..500 {
        if holds() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    holds()
}

fn is_empty(folder: &std::path::Path) -> bool {
    folder.read_dir().unwrap().next().is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_goes_away_while_its_blob_is_made_leaves_none() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn ByteStore> = Arc::new(Slow(disk(&directory)));
    let intake = intake(store.clone());
    let given_up = tokio::time::timeout(
        Duration::from_millis(50),
        intake.take(&Share::Store, Body::from_bytes(bytes(50_000)), 1 << 20, None),
    );
    assert!(given_up.await.is_err());
    // The file is made after the request is gone, and removed after it was made.
    let folder = directory.path().join("blobs");
    let is_gone = comes_to_hold(|| !is_empty(&folder) && all(&*store).is_empty()).await;
    assert!(is_gone, "a blob is left behind: {:?}", all(&*store));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_goes_away_while_its_slot_is_written_leaves_a_hole() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn ByteStore> = Arc::new(Slow(disk_with_packs(&directory, 100_000)));
    let intake = intake(store.clone());
    let given_up = tokio::time::timeout(
        Duration::from_millis(50),
        intake.take(&Share::Store, Body::from_bytes(bytes(50_000)), 1 << 20, None),
    );
    assert!(given_up.await.is_err());
    let folder = directory.path().join("packs");
    let is_gone = comes_to_hold(|| !is_empty(&folder) && all(&*store).is_empty() && intake.in_flight.is_idle()).await;
    assert!(is_gone, "a blob is left behind: {:?}", all(&*store));
    store.close();
    // Whoever wrote the slot may still hold it for a moment, and seals the pack then, which is empty.
    assert!(comes_to_hold(|| is_empty(&folder)).await, "a pack is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn small_bodies_go_to_packs_while_there_is_memory_and_their_clients_do_not_pause() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn ByteStore> = Arc::new(disk_with_packs(&directory, 200_000));
    let intake = Intake {
        bounds: Bounds { memory: Arc::new(Semaphore::new(0)), ..intake(store.clone()).bounds },
        ..intake(store.clone())
    };
    let is_packed = |taken: &TakenIn| {
        let Kept::Blob(blob) = &taken.kept else { panic!("it is too large to be inline") };
        blob.id().as_bytes()[0] >= 0x80
    };
    let streamed = |size: usize, pause: Duration| {
        use futures::StreamExt;
        let items: Vec<_> = bytes(size).chunks(8 << 10).map(|item| Ok(Bytes::copy_from_slice(item))).collect();
        let late = futures::stream::once(async move {
            tokio::time::sleep(pause).await;
            Ok(Bytes::from_static(b"late"))
        });
        Body::new(Box::pin(futures::stream::iter(items).chain(late)))
    };
    let no_pause = Duration::ZERO;
    let mut kept = Vec::new();
    for (body, size, goes_to_a_pack) in [
        (streamed(60_000, no_pause), 60_004, true),
        (streamed(100_000, no_pause), 100_004, false),
        (streamed(60_000, Duration::from_millis(300)), 60_004, false),
        (streamed(300_000, no_pause), 300_004, false),
    ] {
        let taken = intake.take(&Share::Store, body, 1 << 20, None).await.unwrap();
        assert_eq!((taken.size_bytes, is_packed(&taken)), (size, goes_to_a_pack));
        kept.push(taken);
    }
    intake.bounds.memory.add_permits(4);
    let taken = intake.take(&Share::Store, streamed(199_000, no_pause), 1 << 20, None).await.unwrap();
    assert!(is_packed(&taken));
    assert_eq!(intake.bounds.memory.available_permits(), 4, "the memory is given back");
    assert_eq!(all(&*store).len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_stays_once_it_was_handed_over_and_goes_when_it_was_not() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn ByteStore> = Arc::new(disk(&directory));
    let intake = intake(store.clone());
    let take = async || {
        let taken = intake.take(&Share::Store, Body::from_bytes(bytes(50_000)), 1 << 20, None).await.unwrap();
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
    let are_gone = comes_to_hold(|| all(&*store) == [id]).await;
    assert!(are_gone, "blobs are left behind: {:?}", all(&*store));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_tiny_items_are_put_together() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn ByteStore> = Arc::new(disk(&directory));
    let intake = intake(store.clone());
    let content = bytes(70_001);
    let items: Vec<_> = content.chunks(7).map(|item| Ok(Bytes::copy_from_slice(item))).collect();
    let taken =
        intake.take(&Share::Store, Body::new(Box::pin(futures::stream::iter(items))), 1 << 20, None).await.unwrap();
    let Kept::Blob(blob) = &taken.kept else { panic!("it is too large to be inline") };
    assert_eq!(store.open(blob.id()).unwrap().read(0, 70_001).unwrap(), content);
}

fn tenant(name: &str) -> Share {
    Share::Tenant(CanonicalId::stored(name.to_owned()))
}

/// A body that sends what it has in items of 8 KiB, and then nothing more for ever.
fn stalling(content: &[u8]) -> Body {
    use futures::StreamExt;
    let items: Vec<_> = content.chunks(8 << 10).map(|item| Ok(Bytes::copy_from_slice(item))).collect();
    Body::new(Box::pin(futures::stream::iter(items).chain(futures::stream::pending())))
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_hold_no_memory_and_no_turn_while_they_are_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn ByteStore> = Arc::new(disk(&directory));
    let intake = Arc::new(intake(store.clone()));
    let content = bytes(3 * CHUNK_BYTES_MIN + 100);
    let mut slow = Vec::new();
    for _ in 0..200 {
        let (intake, body) = (intake.clone(), stalling(&content));
        slow.push(tokio::spawn(async move { intake.take(&tenant("slow"), body, 1 << 40, None).await.map(drop) }));
    }
    let written = || {
        let lengths = all(&*store).into_iter().map(|id| {
            let hex = id.to_string();
            let path = directory.path().join(format!("blobs/{}/{}/{hex}", &hex[..2], &hex[2..4]));
            path.metadata().map_or(0, |file| file.len())
        });
        lengths.sum::<u64>()
    };
    // All that came is on its way to the disk, though the clients go on sending nothing.
    while written() < 200 * content.len() as u64 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    while intake.bounds.memory.available_permits() < 4 * CHUNK_BYTES / CHUNK_BYTES_MIN {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let whole = bytes(5 * CHUNK_BYTES);
    let taken = intake.take(&tenant("quick"), Body::from_bytes(whole.clone()), 1 << 40, None).await.unwrap();
    let Kept::Blob(blob) = &taken.kept else { panic!("it is too large to be inline") };
    assert_eq!(store.open(blob.id()).unwrap().read(0, whole.len()).unwrap(), whole);
    assert!(slow.iter().all(|one| !one.is_finished()));
    slow.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_beyond_the_places_wait_and_one_tenant_never_has_all() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn ByteStore> = Arc::new(disk(&directory));
    let bounds = Bounds::new(4, 0);
    let intake = Arc::new(Intake { bounds, ..intake(store.clone()) });
    let begin = |name: &'static str| {
        let intake = intake.clone();
        tokio::spawn(async move { intake.take(&tenant(name), stalling(&bytes(50_000)), 1 << 40, None).await.map(drop) })
    };
    let greedy: Vec<_> = (0..6).map(|_| begin("greedy")).collect();
    while all(&*store).len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let other = intake.take(&tenant("other"), Body::from_bytes(bytes(300_000)), 1 << 40, None).await.unwrap();
    assert_eq!((other.size_bytes, all(&*store).len()), (300_000, 3), "two of the greedy one, and the other's");
    // Four wait, which is as many as may; of two more, two are refused.
    let more: Vec<_> = (0..2).map(|_| begin("greedy")).collect();
    for one in more {
        assert!(matches!(one.await.unwrap(), Err(Error::Busy)));
    }
    greedy.iter().for_each(tokio::task::JoinHandle::abort);
}

/// A disk that remembers what it was told.
#[derive(Clone, Debug, Default)]
struct Watched {
    /// For which bytes it was told to begin writing.
    hints: Arc<Mutex<Vec<(u64, u64)>>>,
    /// Files are made only while this is open.
    gate: Arc<Mutex<()>>,
    /// How many writes past the page cache it still takes.
    direct_left: Arc<AtomicUsize>,
}

struct WatchedFile(Box<dyn DiskFile>, Watched);

impl Disk for Watched {
    fn create_dir(&self, path: &std::path::Path) -> std::io::Result<()> {
        LocalDisk.create_dir(path)
    }
    fn open_dir(&self, path: &std::path::Path) -> std::io::Result<Box<dyn DiskDir>> {
        LocalDisk.open_dir(path)
    }
    fn read_dir(&self, path: &std::path::Path) -> std::io::Result<Vec<std::ffi::OsString>> {
        LocalDisk.read_dir(path)
    }
    fn create_new(&self, path: &std::path::Path) -> std::io::Result<Box<dyn DiskFile>> {
        let file = WatchedFile(LocalDisk.create_new(path)?, self.clone());
        drop(self.gate.lock().unwrap());
        Ok(Box::new(file))
    }
    fn open(&self, path: &std::path::Path) -> std::io::Result<Box<dyn DiskFile>> {
        LocalDisk.open(path)
    }
    fn open_to_change(&self, path: &std::path::Path) -> std::io::Result<Box<dyn DiskFile>> {
        LocalDisk.open_to_change(path)
    }
    fn remove(&self, path: &std::path::Path) -> std::io::Result<()> {
        LocalDisk.remove(path)
    }
    fn rename(&self, from: &std::path::Path, to: &std::path::Path) -> std::io::Result<()> {
        LocalDisk.rename(from, to)
    }
    fn free_bytes(&self, path: &std::path::Path) -> std::io::Result<u64> {
        LocalDisk.free_bytes(path)
    }
}

impl DiskFile for WatchedFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write(bytes)
    }
    fn write_direct(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let left = self.1.direct_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map_err(|_| std::io::ErrorKind::Unsupported)?;
        self.0.write_direct(bytes)
    }
    fn write_at(&self, bytes: &[u8], start: u64) -> std::io::Result<()> {
        self.0.write_at(bytes, start)
    }
    fn set_len(&self, length_bytes: u64) -> std::io::Result<()> {
        self.0.set_len(length_bytes)
    }
    fn reserve(&mut self, start: u64, length_bytes: u64) -> std::io::Result<()> {
        self.0.reserve(start, length_bytes)
    }
    fn start_writeback(&self, start: u64, length_bytes: u64) {
        self.1.hints.lock().unwrap().push((start, length_bytes));
        self.0.start_writeback(start, length_bytes);
    }
    fn allocate(&self, length_bytes: u64) -> std::io::Result<()> {
        self.0.allocate(length_bytes)
    }
    fn punch_hole(&self, start: u64, length_bytes: u64) -> std::io::Result<()> {
        self.0.punch_hole(start, length_bytes)
    }
    fn next_data(&self, start: u64) -> std::io::Result<Option<std::ops::Range<u64>>> {
        self.0.next_data(start)
    }
    fn sync_data(&self) -> std::io::Result<()> {
        self.0.sync_data()
    }
    fn length_bytes(&self) -> std::io::Result<u64> {
        self.0.length_bytes()
    }
    fn read_exact_at(&self, buffer: &mut [u8], start: u64) -> std::io::Result<()> {
        self.0.read_exact_at(buffer, start)
    }
}

#[test]
fn nobody_waits_for_a_new_pack_to_learn_what_goes_to_packs() {
    let (directory, gated) = (tempfile::tempdir().unwrap(), Watched::default());
    let gate = gated.gate.clone();
    let packs = PackLimits { size_bytes_max: 50_000, pack_bytes: 1 << 20 };
    let store = Blobs::open(Arc::new(gated), directory.path(), Clock::system(), ReadOnly::default(), packs, 0).unwrap();
    let store = Arc::new(store);
    let closed = gate.lock().unwrap();
    let making = {
        let store = store.clone();
        std::thread::spawn(move || store.pack(20_000).unwrap().is_some())
    };
    while is_empty(&directory.path().join("packs")) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(store.pack_size_bytes_max()));
    assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(50_000));
    drop(closed);
    assert!(making.join().unwrap());
}

#[test]
fn a_large_blob_leaves_little_to_its_sync() {
    const STEP: u64 = 8 << 20;
    let (directory, hinted) = (tempfile::tempdir().unwrap(), Watched::default());
    let hints = hinted.hints.clone();
    let packs = PackLimits { size_bytes_max: 0, pack_bytes: 1 << 20 };
    let store =
        Blobs::open(Arc::new(hinted), directory.path(), Clock::system(), ReadOnly::default(), packs, 0).unwrap();
    let content = bytes(3 * STEP as usize + 500_000);
    let id = write(&store, &content, Some(content.len() as u64));
    let hints = hints.lock().unwrap().clone();
    assert_eq!(hints.len(), 3, "{hints:?}");
    assert!(hints.iter().all(|(_, length)| *length < STEP + 100_000), "{hints:?}");
    assert!(hints.windows(2).all(|two| two[0].0 + two[0].1 == two[1].0), "they follow each other: {hints:?}");
    assert_eq!(store.open(id).unwrap().read(STEP, 100).unwrap(), content[STEP as usize..STEP as usize + 100]);
}

/// Lengths around those at which something is written past the page cache, which is done a MiB at a time.
const AROUND_STEPS: [usize; 6] = [1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20, (3 << 20) + 12_345];

/// A store whose blobs go past the page cache from the first byte on, as far as the disk takes that.
fn direct(directory: &TempDir, disk: Arc<dyn Disk>) -> Blobs {
    let packs = PackLimits { size_bytes_max: 0, pack_bytes: 1 << 20 };
    Blobs::open(disk, directory.path(), Clock::system(), ReadOnly::default(), packs, 1).unwrap()
}

fn are_written_whole(store: &Blobs, how: &str) {
    for size in AROUND_STEPS {
        let content = bytes(size);
        let id = write(store, &content, Some(size as u64));
        let reader = store.open(id).unwrap();
        assert_eq!(reader.facts().size_bytes, size as u64);
        assert!(reader.read(0, size).unwrap() == content, "{size} bytes, {how}");
        reader.forget_cached();
        assert!(reader.read(0, size).unwrap() == content, "{size} bytes, {how}, of the disk itself");
    }
}

#[test]
fn blobs_that_go_past_the_page_cache_are_read_back() {
    // A disk, and where there is one, memory, which is not a disk.
    let directories = [tempfile::tempdir(), tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())];
    for directory in directories.map(std::result::Result::unwrap) {
        are_written_whole(&direct(&directory, Arc::new(LocalDisk)), &format!("in {}", directory.path().display()));
    }
}

#[test]
fn where_the_disk_does_not_take_it_blobs_go_by_the_page_cache() {
    let directory = tempfile::tempdir().unwrap();
    for takes in 0..4 {
        let watched = Watched::default();
        watched.direct_left.store(takes, Ordering::Relaxed);
        let store = direct(&directory, Arc::new(watched.clone()));
        are_written_whole(&store, &format!("{takes} writes taken"));
        assert_eq!(watched.direct_left.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn more_blobs_than_may_go_past_the_page_cache_are_written_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = direct(&directory, Arc::new(LocalDisk));
    let content = bytes((1 << 20) + 77);
    let ids: Vec<_> = (0..40).map(|_| BlobId::random()).collect();
    let mut writers: Vec<_> = ids.iter().map(|id| store.create(*id, Some(content.len() as u64)).unwrap()).collect();
    for chunk in content.chunks(300_000) {
        writers.iter_mut().for_each(|writer| writer.write(chunk).unwrap());
    }
    writers.into_iter().for_each(|writer| writer.finish().unwrap());
    for id in ids {
        assert!(store.open(id).unwrap().read(0, content.len()).unwrap() == content);
    }
}
