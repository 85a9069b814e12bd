//! Makes a back-up of a store that is open.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::manifest::{self, BLOBS, BlobLine, BlobList, Blobs, FORMAT, LEFT_OUT, METADATA, Manifest};
use super::target::{PART, Target};
use crate::bytes::pool::{NotCopied, Pool};
use crate::bytes::{ByteStore, blocking};
use crate::metadata::scan::go_on;
use crate::metadata::snapshot::{self, BlobRow, Snapshot};
use crate::secrets::RING_CHECK;
use crate::store_id::NAME as STORE_ID;
use crate::{Caller, Engine, Error, OnProgress, Result, stamp};

/// Blobs that are copied at the same time.
const COPIES: usize = 4;

/// How a back-up is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupOptions {
    /// Keeps the metadata and small objects only.
    pub metadata_only: bool,
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
        let target = Arc::new(
            blocking(move || {
                let target = Target::make(disk, &path, &store_id)?;
                target.remove_parts()?;
                Ok(target)
            })
            .await?,
        );
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
            copied: (0, 0),
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
    /// Blobs and bytes.
    copied: (u64, u64),
    damaged: Vec<String>,
}

/// What became of a blob.
enum Copied {
    Now(BlobLine),
    Before(BlobLine),
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
        let (mut after, mut done_bytes) = (Vec::new(), 0);
        loop {
            let mut rows = snapshot.blobs(&after).await?;
            let Some(last) = rows.last() else { break };
            go_on(&mut after, last.id.as_bytes().to_vec())?;
            // Several rows with one blob are a fault that the check finds; here it is one blob.
            rows.dedup_by_key(|row| row.id);
            let mut copies = stream::iter(rows)
                .map(|row| {
                    let (store, pool) = (self.store.clone(), pool.clone());
                    async move { blocking(move || copy(&*store, &pool, &row)).await }
                })
                .buffered(COPIES);
            while let Some(copied) = copies.try_next().await? {
                match copied {
                    Copied::Now(line) => {
                        self.copied = (self.copied.0 + 1, self.copied.1 + line.size_bytes);
                        done_bytes += line.size_bytes;
                        list.add(&[line])?;
                    }
                    Copied::Before(line) => {
                        done_bytes += line.size_bytes;
                        list.add(&[line])?;
                    }
                    Copied::Damaged(what) => self.damaged.push(what),
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
                damaged: made.damaged,
                left_out: made.left_out,
            })
        })
        .await
    }
}

/// Copies a blob unless a copy is there that is what its row says. A copy that is not is made anew.
fn copy(store: &dyn ByteStore, pool: &Pool, row: &BlobRow) -> Result<Copied> {
    let line = |size_bytes, crc64nvme| BlobLine { id: row.id, size_bytes, crc64nvme };
    let there = match pool.reader(row.id) {
        Err(error) => error.damage().map(|_| None)?,
        Ok(reader) => reader,
    };
    if let Some(facts) = there.map(|reader| reader.facts())
        && manifest::fits(row, facts.size_bytes, facts.crc64nvme)
    {
        return Ok(Copied::Before(line(facts.size_bytes, facts.crc64nvme)));
    }
    let reader = store.open(row.id).map_err(NotCopied::unread);
    let copied = reader.and_then(|reader| pool.add(row.id, &*reader));
    match copied {
        Ok(facts) if manifest::fits(row, facts.size_bytes, facts.crc64nvme) => {
            Ok(Copied::Now(line(facts.size_bytes, facts.crc64nvme)))
        }
        Ok(_) => Ok(Copied::Damaged(format!("blob {} is not what its row says", row.id))),
        Err(NotCopied::Damaged(what)) => Ok(Copied::Damaged(what)),
        Err(NotCopied::Failed(error)) => Err(error),
    }
}
