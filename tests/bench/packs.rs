//! Whether small blobs should share files: durable writes and reads of one file for each object, beside those of objects that are appended
//! to one preallocated file and share its syncs.
//!
//! This is outside of the store: no metadata, no HTTP, threads in place of tasks. It tells what the disk and the kernel ask for each way,
//! which is what a decision between them turns on.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rustix::fs::{FallocateFlags, fallocate};

use crate::content::{Content, Piece};
use crate::drive::{histogram, nanoseconds};
use crate::measure::{Name, one_of};
use crate::report::{self, Latency, Phase, Report};
use crate::sizes;

/// Size of a pack; a full one is followed by the next.
const PACK_BYTES: u64 = 512 << 20;
/// Folders for files, as the store has them.
const FOLDERS: u64 = 256;

/// What is compared.
#[derive(Clone, Debug, Args)]
pub(crate) struct Arguments {
    #[arg(long, value_delimiter = ',', default_value = "4KiB,16KiB,32KiB,64KiB,128KiB,256KiB,1MiB", value_parser = sizes::parse)]
    sizes: Vec<u64>,
    /// Threads that write or read at once
    #[arg(long, default_value_t = 64)]
    threads: u64,
    /// How long each phase lasts
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

/// Compares both ways.
///
/// # Errors
/// When the disk refuses.
pub(crate) async fn run(arguments: &Arguments, directory: &Path, report: &mut Report) -> anyhow::Result<()> {
    println!("{}", report::head());
    for &size_bytes in &arguments.sizes {
        ensure!(size_bytes > 0 && size_bytes <= 1 << 20, "sizes up to 1 MiB");
        for way in ["file each", "pack"] {
            let folder = tempfile::Builder::new().prefix("bench-packs-").tempdir_in(directory)?;
            let (path, arguments) = (folder.path().to_owned(), arguments.clone());
            let measured = tokio::task::spawn_blocking(move || measure(way, &path, size_bytes, &arguments)).await??;
            for phase in measured {
                phase.lines().iter().for_each(|line| println!("{line}"));
                report.phases.push(phase);
            }
        }
    }
    Ok(())
}

fn measure(way: &str, folder: &Path, size_bytes: u64, arguments: &Arguments) -> anyhow::Result<Vec<Phase>> {
    let store: Arc<dyn Store> =
        if way == "pack" { Arc::new(Packs::open(folder)?) } else { Arc::new(Files::open(folder)?) };
    let bodies = Content::new();
    let next = AtomicU64::new(0);
    let put = |_: &mut StdRng| {
        let object = next.fetch_add(1, Ordering::Relaxed);
        let body = bodies.blocks(Piece::whole(object, size_bytes)).next().unwrap_or_default();
        store.write(object, &body)
    };
    let written = threads(arguments, &put)?;
    // An operation that was begun is ended, so every number below this was written.
    let objects = next.load(Ordering::Relaxed);
    let get = |random: &mut StdRng| {
        let object = random.random_range(0..objects);
        let mut body = vec![0; usize::try_from(size_bytes)?];
        store.read(object, &mut body)?;
        ensure!(bodies.verifier(object).accepts(&body), "object {object} has other bytes than were written");
        Ok(())
    };
    let read = threads(arguments, &get)?;
    let name = |operation| Name { level: way, operation, payload: "", size_bytes };
    let clients = usize::try_from(arguments.threads)?;
    Ok(vec![one_of(name("PUT"), clients, written), one_of(name("GET"), clients, read)])
}

/// Runs an operation on many threads for the time that is given.
fn threads(
    arguments: &Arguments,
    operation: &(dyn Fn(&mut StdRng) -> anyhow::Result<()> + Sync),
) -> anyhow::Result<(Latency, u64, f64)> {
    let time = Duration::from_secs(arguments.seconds);
    let begin = Instant::now();
    let one = |seed: u64| {
        let mut times = histogram()?;
        let mut random = StdRng::seed_from_u64(seed);
        while begin.elapsed() < time {
            let start = Instant::now();
            operation(&mut random)?;
            times.saturating_record(nanoseconds(start.elapsed()));
        }
        anyhow::Ok(times)
    };
    let mut all = histogram()?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..arguments.threads).map(|seed| scope.spawn(move || one(seed))).collect();
        for thread in threads {
            let times = thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
            all.add(times)?;
        }
        anyhow::Ok(())
    })?;
    Ok((Latency::of(&all), all.len(), begin.elapsed().as_secs_f64()))
}

/// A way to keep objects. What was written is durable when `write` returns.
trait Store: Send + Sync {
    fn write(&self, object: u64, body: &[u8]) -> anyhow::Result<()>;
    fn read(&self, object: u64, body: &mut [u8]) -> anyhow::Result<()>;
}

/// A file for each object, as blobs are: written, synced, and then its folder synced.
struct Files {
    folder: PathBuf,
    /// Syncs of each folder are shared by those that wait.
    folders: Vec<Shared>,
}

impl Files {
    fn open(folder: &Path) -> anyhow::Result<Self> {
        let make = |at: u64| {
            let path = folder.join(format!("{at:02x}"));
            fs::create_dir(&path)?;
            Ok(Shared::new(File::open(&path)?))
        };
        let folders = (0..FOLDERS).map(make).collect::<anyhow::Result<_>>()?;
        File::open(folder)?.sync_all()?;
        Ok(Self { folder: folder.to_owned(), folders })
    }

    fn path(&self, object: u64) -> PathBuf {
        self.folder.join(format!("{:02x}/{object:x}", object % FOLDERS))
    }
}

impl Store for Files {
    fn write(&self, object: u64, body: &[u8]) -> anyhow::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).open(self.path(object))?;
        fallocate(&file, FallocateFlags::empty(), 0, body.len() as u64)?;
        file.write_all_at(body, 0)?;
        file.sync_data()?;
        self.folders[usize::try_from(object % FOLDERS)?].sync()
    }

    fn read(&self, object: u64, body: &mut [u8]) -> anyhow::Result<()> {
        Ok(File::open(self.path(object))?.read_exact_at(body, 0)?)
    }
}

/// Objects one after the other in a few large files.
struct Packs {
    folder: PathBuf,
    state: Mutex<PackState>,
}

struct PackState {
    packs: Vec<Arc<Shared>>,
    /// Where the last pack goes on.
    end: u64,
    /// Pack and offset of each object.
    places: Vec<(usize, u64)>,
}

impl Packs {
    fn open(folder: &Path) -> anyhow::Result<Self> {
        let state = PackState { packs: vec![new_pack(folder, 0)?], end: 0, places: Vec::new() };
        Ok(Self { folder: folder.to_owned(), state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, PackState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for an object.
    fn reserve(&self, object: u64, size_bytes: u64) -> anyhow::Result<(Arc<Shared>, u64)> {
        let mut state = self.lock();
        if state.end + size_bytes > PACK_BYTES {
            let pack = new_pack(&self.folder, state.packs.len())?;
            state.packs.push(pack);
            state.end = 0;
        }
        let place = (state.packs.len() - 1, state.end);
        state.end += size_bytes;
        let index = usize::try_from(object)?;
        if state.places.len() <= index {
            state.places.resize(index + 1, (0, 0));
        }
        state.places[index] = place;
        Ok((state.packs[place.0].clone(), place.1))
    }
}

fn new_pack(folder: &Path, number: usize) -> anyhow::Result<Arc<Shared>> {
    let path = folder.join(format!("pack-{number}"));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    fallocate(&file, FallocateFlags::empty(), 0, PACK_BYTES)?;
    file.sync_all()?;
    File::open(folder)?.sync_all()?;
    Ok(Arc::new(Shared::new(file)))
}

impl Store for Packs {
    fn write(&self, object: u64, body: &[u8]) -> anyhow::Result<()> {
        let (pack, offset) = self.reserve(object, body.len() as u64)?;
        pack.file.write_all_at(body, offset)?;
        pack.sync()
    }

    fn read(&self, object: u64, body: &mut [u8]) -> anyhow::Result<()> {
        let (pack, offset) = {
            let state = self.lock();
            let (pack, offset) = *state.places.get(usize::try_from(object)?).context("no such object")?;
            (state.packs[pack].clone(), offset)
        };
        Ok(pack.file.read_exact_at(body, offset)?)
    }
}

/// A file or folder whose syncs are shared: one of those who wait syncs for all that came before it began.
struct Shared {
    file: File,
    state: Mutex<Syncs>,
    done: Condvar,
}

#[derive(Default)]
struct Syncs {
    /// How many asked so far.
    asked: u64,
    /// How many of them are on disk.
    synced: u64,
    under_way: bool,
}

impl Shared {
    fn new(file: File) -> Self {
        Self { file, state: Mutex::default(), done: Condvar::new() }
    }

    /// Returns when everything that was written before is on disk.
    fn sync(&self) -> anyhow::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked += 1;
        let mine = state.asked;
        while state.synced < mine {
            if state.under_way {
                state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.under_way = true;
            let until = state.asked;
            drop(state);
            let result = self.file.sync_data();
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.under_way = false;
            self.done.notify_all();
            result?;
            state.synced = until;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_give_back_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let bodies = Content::new();
        let stores: [Box<dyn Store>; 2] = [
            Box::new(Files::open(&folder.path().join(".")).unwrap()),
            Box::new(Packs::open(&folder.path().join(".")).unwrap()),
        ];
        for store in stores {
            std::thread::scope(|scope| {
                for thread in 0..4 {
                    let (store, bodies) = (&store, &bodies);
                    scope.spawn(move || {
                        for object in (0..10).map(|at| at * 4 + thread) {
                            store.write(object, &bodies.block(object, 0, 5000)).unwrap();
                        }
                    });
                }
            });
            for object in 0..40 {
                let mut body = vec![0; 5000];
                store.read(object, &mut body).unwrap();
                assert!(bodies.verifier(object).accepts(&body), "object {object}");
            }
        }
    }
}
