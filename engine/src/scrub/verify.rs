//! Verifies one thing: bytes of a row, or a blob.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::Instant;

use crate::bytes::whole::WholeRead;
use crate::bytes::{BlobReader, blocking, digest};
use crate::metadata::scrub::{self as rows, Bytes, Item};
use crate::names::BlobId;
use crate::{Error, Inner, Result};

/// Bytes that are read between two rests.
const BETWEEN_RESTS_BYTES: u64 = 2 << 20;

/// Keeps reading below a rate.
pub(super) struct Pace {
    rate_bytes_per_second: u64,
    started: Instant,
    bytes: u64,
}

impl Pace {
    /// Zero sets no limit.
    pub(super) fn new(rate_bytes_per_second: u64) -> Self {
        Self { rate_bytes_per_second, started: Instant::now(), bytes: 0 }
    }

    /// Rests after so many bytes as long as the rate asks for.
    pub(super) async fn rest_after(&mut self, bytes: u64) {
        self.bytes += bytes;
        if self.rate_bytes_per_second == 0 {
            return;
        }
        let due = Duration::from_secs_f64(self.bytes as f64 / self.rate_bytes_per_second as f64);
        tokio::time::sleep_until(self.started + due).await;
    }
}

/// What is wrong with something; `None` when nothing is, or when it is gone meanwhile.
pub(super) async fn verify(inner: &Arc<Inner>, item: &Item, pace: &mut Pace) -> Result<Option<String>> {
    let wrong = match &item.bytes {
        Bytes::Inline(data) => {
            pace.rest_after(data.len() as u64).await;
            inline(item, data)
        }
        Bytes::Blob(id) => blob(inner, item, *id, pace).await?,
        Bytes::Pieces => None,
    };
    match wrong {
        Some(wrong) if is_there(inner, item).await? => Ok(Some(wrong)),
        Some(_) | None => Ok(None),
    }
}

async fn is_there(inner: &Arc<Inner>, item: &Item) -> Result<bool> {
    let (content_id, upload_id, number) = (item.content_id, item.upload_id.clone(), item.number);
    let found = inner
        .db
        .read("scrub_again", |tx| {
            async move { rows::is_there(tx, content_id, upload_id.as_deref().map(|id| (id, number))).await }.boxed()
        })
        .await;
    match found {
        // A row that can no longer be read is not gone.
        Err(error) if error.is_unreadable_row() => Ok(true),
        found => found,
    }
}

fn inline(item: &Item, data: &[u8]) -> Option<String> {
    if data.len() as u64 != item.size_bytes {
        return Some(format!("{} bytes are there, {} should be", data.len(), item.size_bytes));
    }
    let differs = item.crc64nvme.is_some_and(|crc| crc != digest::crc64nvme(data));
    differs.then(|| "the bytes in the database do not match their checksum".to_owned())
}

async fn blob(inner: &Arc<Inner>, item: &Item, id: BlobId, pace: &mut Pace) -> Result<Option<String>> {
    let store = inner.store.clone();
    let reader = match blocking(move || store.open(id)).await {
        Ok(reader) => reader,
        Err(error) => return error.damage().map(Some),
    };
    let facts = reader.facts();
    if facts.size_bytes != item.size_bytes {
        return Ok(Some(format!("blob {id} has {} bytes, its row says {}", facts.size_bytes, item.size_bytes)));
    }
    if item.crc64nvme.is_some_and(|crc| crc != facts.crc64nvme) {
        return Ok(Some(format!("blob {id} has another checksum than its row")));
    }
    // What memory holds may be whole while the disk is not.
    reader.forget_cached();
    let read = read_whole(id, &reader, pace).await;
    reader.forget_cached();
    match read {
        Ok(()) => Ok(None),
        Err(error) => error.damage().map(Some),
    }
}

/// Reads in steps, so that a rest is never long and other work comes in between.
async fn read_whole(id: BlobId, reader: &Arc<dyn BlobReader>, pace: &mut Pace) -> Result<()> {
    let (sender, mut read) = tokio::sync::mpsc::channel::<u64>(1);
    let reader = reader.clone();
    let work = tokio::task::spawn_blocking(move || {
        let (mut whole, mut since_rest) = (WholeRead::new(id, &*reader), 0);
        while let Some(bytes) = whole.next()? {
            since_rest += bytes.len() as u64;
            if since_rest >= BETWEEN_RESTS_BYTES {
                // Nobody takes it when the scrub was stopped.
                if sender.blocking_send(since_rest).is_err() {
                    return Err(Error::Internal("a scrub was stopped"));
                }
                since_rest = 0;
            }
        }
        Ok(since_rest)
    });
    while let Some(bytes) = read.recv().await {
        metrics::counter!("cloudhold_scrubbed_bytes_total").increment(bytes);
        pace.rest_after(bytes).await;
    }
    let rest = work.await.map_err(|_| Error::Internal("a scrub panicked or was cancelled"))??;
    metrics::counter!("cloudhold_scrubbed_bytes_total").increment(rest);
    pace.rest_after(rest).await;
    Ok(())
}
