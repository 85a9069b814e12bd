//! Makes a back-up of a store that is open.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::list::read_whole;
use super::manifest::{self, BLOBS, BlobLine, BlobList, Blobs, FORMAT, LEFT_OUT, METADATA, Manifest};
use super::target::{self, PART, Target};
use crate::bytes::pool::{NotCopied, Pool};
use crate::bytes::{BlobFacts, ByteStore, blocking};
use crate::metadata::scan::go_on;
use crate::metadata::snapshot::{self, BlobRow, Snapshot};
use crate::names::BlobId;
use crate::secrets::RING_CHECK;
use crate::store_id::NAME as STORE_ID;
use crate::{Caller, Engine, Error, OnProgress, Result, stamp};

/// Blobs that are copied at the same time.
const COPIES: usize = 4;
/// Back-ups after which every copy was read back once.
const SHARES: u8 = 32;

/// How a back-up is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupOptions {
    /// Keeps the metadata and small objects only.
    pub metadata_only: bool,
    /// Reads every copy that is there already, where otherwise each back-up reads some.
    pub verify_pool: bool,
}

/// A back-up that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReport {
    /// Its directory.
    pub path: PathBuf,
    /// The state of the store that it keeps, in microseconds of the Unix epoch.
    pub taken_us: i64,
    /// Bytes of the metadata.
    pub metadata_size_bytes: u64,
    /// Blobs that belong to it.
    pub blob_count: u64,
    /// Their bytes.
    pub blobs_size_bytes: u64,
    /// Blobs that were copied; the others were there already.
    pub copied_count: u64,
    /// Their bytes.
    pub copied_size_bytes: u64,
    /// Copies that were there already and were read back.
    pub verified_count: u64,
    /// Their bytes.
    pub verified_size_bytes: u64,
    /// What was wrong with copies that were there already; they were made anew, and are among those that were copied.
    pub replaced: Vec<String>,
    /// Blobs that are damaged or missing in the store: they are not in the back-up.
    pub damaged: Vec<String>,
    /// What is not in it.
    pub left_out: Vec<String>,
}

impl Engine {
    /// Backs the store up into a directory of back-ups, which is made when it is empty or absent. Writers go on meanwhile. What a
    /// back-up that was cut off has copied is not copied again.
    pub async fn back_up(
        &self,
        caller: &Caller,
        directory: &Path,
        options: BackupOptions,
        on_progress: &OnProgress,
    ) -> Result<BackupReport> {
        caller.must_operate()?;
        let settings = &self.inner.settings;
        if directory.starts_with(&settings.data_dir) {
            return Err(Error::invalid("directory", "must not lie in the data directory"));
        }
        // Before the snapshot: nothing that it refers to is freed from here on.
        let _hold = self.inner.backups.begin();
        let store_id = self.store_info(STORE_ID).await?;
        let (disk, path) = (settings.disk.clone(), directory.to_owned());
        let (target, share) = blocking(move || {
            let target = Target::make(disk, &path, &store_id)?;
            target.remove_parts()?;
            let share = next_share(&target.path)?;
            Ok((Arc::new(target), share))
        })
        .await?;
        let reads = Reads { all: options.verify_pool, share };
        let taken_us = settings.clock.now_us();
        let part = target.path.join(format!("{}{PART}", stamp::of(taken_us)));
        target.disk.create_dir(&part).map_err(|e| Error::io("making a back-up", e))?;
        on_progress.count("copying the metadata", 0, None);
        snapshot::make(settings, &part.join(METADATA)).await?;
        let mut making = Making {
            store: self.inner.store.clone(),
            target,
            part,
            on_progress: on_progress.clone(),
            reads,
            copied: (0, 0),
            verified: (0, 0),
            replaced: Vec::new(),
            damaged: Vec::new(),
        };
        let blobs = making.blobs(self, options).await?;
        making.finish(self, taken_us, blobs).await
    }

    async fn store_info(&self, name: &'static str) -> Result<String> {
        use futures::FutureExt;
        let find = self.inner.db.read("store_info", |tx| crate::metadata::store_info::find(tx, name).boxed());
        find.await?.ok_or_else(|| Error::corrupt(format!("the store's {name} is missing")))
    }
}

/// A back-up that is being made.
struct Making {
    store: Arc<dyn ByteStore>,
    target: Arc<Target>,
    part: PathBuf,
    on_progress: OnProgress,
    reads: Reads,
    /// Blobs and bytes.
    copied: (u64, u64),
    /// Copies that were there and were read back, and their bytes.
    verified: (u64, u64),
    replaced: Vec<String>,
    damaged: Vec<String>,
}

/// Which copies that are there already are read back: a copy that rots in the pool would be damaged in all back-ups that rest on it, and
/// no other would know.
#[derive(Clone, Copy, Debug)]
struct Reads {
    all: bool,
    share: u8,
}

impl Reads {
    /// The last byte of an id is random, wherever the blob lies.
    fn wants(self, id: BlobId) -> bool {
        self.all || id.as_bytes()[15] % SHARES == self.share
    }
}

/// The share that comes after that of the last back-up with blobs.
fn next_share(target: &Path) -> Result<u8> {
    let backups = target::backups(target)?;
    // A manifest that cannot be read costs nothing here but a turn.
    let last = backups.iter().find_map(|(_, path)| Manifest::read(path).ok()?.verified_share);
    Ok(last.map_or(0, |last| last.wrapping_add(1) % SHARES))
}

/// What became of a blob.
enum Copied {
    Now(BlobLine),
    /// It was there, and maybe it was read.
    Before(BlobLine, bool),
    /// It was there and damaged.
    Anew(BlobLine, String),
    Damaged(String),
}

impl Making {
    /// Copies the blobs that the metadata refers to and that are not there yet.
    async fn blobs(&mut self, engine: &Engine, options: BackupOptions) -> Result<Option<Blobs>> {
        if options.metadata_only {
            return Ok(None);
        }
        let mut snapshot = Snapshot::open(&engine.inner.settings, &self.part.join(METADATA)).await?;
        let (_, total_bytes) = snapshot.blob_totals().await?;
        let pool = Arc::new(Pool::open(self.target.disk.clone(), &self.target.path)?);
        let mut list = BlobList::create(&*self.target.disk, &self.part.join(BLOBS))?;
        let (store, reads) = (self.store.clone(), self.reads);
        let (mut after, mut done_bytes) = (Vec::new(), 0);
        loop {
            let mut rows = snapshot.blobs(&after).await?;
            let Some(last) = rows.last() else { break };
            go_on(&mut after, last.id.as_bytes().to_vec())?;
            // Several rows with one blob are a fault that the check finds; here it is one blob.
            rows.dedup_by_key(|row| row.id);
            let mut copies = stream::iter(rows)
                .map(|row| {
                    let (store, pool, reads) = (store.clone(), pool.clone(), reads.wants(row.id));
                    async move { blocking(move || copy(&*store, &pool, &row, reads)).await }
                })
                .buffered(COPIES);
            while let Some(copied) = copies.try_next().await? {
                if let Some(line) = self.count(copied) {
                    done_bytes += line.size_bytes;
                    list.add(&[line])?;
                }
                self.on_progress.bytes("copying blobs", done_bytes, Some(total_bytes.max(done_bytes)));
            }
        }
        snapshot.close().await;
        blocking(move || {
            pool.sync()?;
            list.finish().map(Some)
        })
        .await
    }

    /// Counts what became of a blob; returns its line when the back-up has it.
    fn count(&mut self, copied: Copied) -> Option<BlobLine> {
        let add = |sum: &mut (u64, u64), line: &BlobLine| *sum = (sum.0 + 1, sum.1 + line.size_bytes);
        match copied {
            Copied::Now(line) => {
                add(&mut self.copied, &line);
                Some(line)
            }
            Copied::Before(line, is_verified) => {
                if is_verified {
                    add(&mut self.verified, &line);
                }
                Some(line)
            }
            Copied::Anew(line, what) => {
                tracing::warn!(what, "a copy in the back-ups was damaged and is made anew");
                add(&mut self.copied, &line);
                self.replaced.push(what);
                Some(line)
            }
            Copied::Damaged(what) => {
                self.damaged.push(what);
                None
            }
        }
    }

    /// Writes the manifest and gives the back-up its name: from here on it counts.
    async fn finish(self, engine: &Engine, taken_us: i64, blobs: Option<Blobs>) -> Result<BackupReport> {
        let key_ring_check = engine.store_info(RING_CHECK).await?;
        let store_id = engine.store_info(STORE_ID).await?;
        let path = self.target.path.join(stamp::of(taken_us));
        blocking(move || {
            let metadata = manifest::check(&self.part.join(METADATA))?;
            let made = Manifest {
                format: FORMAT,
                program: env!("CARGO_PKG_VERSION").to_owned(),
                store_id,
                taken_us,
                metadata,
                verified_share: blobs.as_ref().map(|_| self.reads.share),
                blobs,
                damaged: self.damaged,
                key_ring_check,
                left_out: LEFT_OUT.map(str::to_owned).into(),
            };
            made.write(&*self.target.disk, &self.part)?;
            self.target.sync(&self.part)?;
            self.target.disk.rename(&self.part, &path).map_err(|e| Error::io("naming a back-up", e))?;
            self.target.sync(&self.target.path)?;
            let (blob_count, blobs_size_bytes) = made.blobs.map_or((0, 0), |blobs| (blobs.count, blobs.size_bytes));
            Ok(BackupReport {
                path,
                taken_us,
                metadata_size_bytes: made.metadata.size_bytes,
                blob_count,
                blobs_size_bytes,
                copied_count: self.copied.0,
                copied_size_bytes: self.copied.1,
                verified_count: self.verified.0,
                verified_size_bytes: self.verified.1,
                replaced: self.replaced,
                damaged: made.damaged,
                left_out: made.left_out,
            })
        })
        .await
    }
}

/// Copies a blob unless a copy is there that is what its row says. A copy that is not is made anew.
fn copy(store: &dyn ByteStore, pool: &Pool, row: &BlobRow, reads: bool) -> Result<Copied> {
    let line = |facts: &BlobFacts| BlobLine { id: row.id, size_bytes: facts.size_bytes, crc64nvme: facts.crc64nvme };
    let wrong = match there(pool, row, reads) {
        Ok(Some(facts)) => return Ok(Copied::Before(line(&facts), reads)),
        Ok(None) => None,
        Err(error) => Some(error.damage()?),
    };
    let reader = store.open(row.id).map_err(NotCopied::unread);
    let copied = reader.and_then(|reader| pool.add(row.id, &*reader));
    match copied {
        Ok(facts) if manifest::fits(row, facts.size_bytes, facts.crc64nvme) => Ok(match wrong {
            Some(what) => Copied::Anew(line(&facts), what),
            None => Copied::Now(line(&facts)),
        }),
        Ok(_) => Ok(Copied::Damaged(format!("blob {} is not what its row says", row.id))),
        Err(NotCopied::Damaged(what)) => Ok(Copied::Damaged(what)),
        Err(NotCopied::Failed(error)) => Err(error),
    }
}

/// What a copy that is there says of itself; [`Error::Corrupt`] or [`Error::Io`] when it is damaged.
fn there(pool: &Pool, row: &BlobRow, reads: bool) -> Result<Option<BlobFacts>> {
    let Some(reader) = pool.reader(row.id)? else { return Ok(None) };
    let facts = reader.facts();
    if !manifest::fits(row, facts.size_bytes, facts.crc64nvme) {
        return Err(Error::corrupt(format!("the copy of blob {} is not what its row says", row.id)));
    }
    if reads {
        read_whole(row.id, &*reader)?;
    }
    Ok(Some(facts))
}
