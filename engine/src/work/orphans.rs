//! Finds blobs that no row knows, which a crash between writing a blob and committing its row leaves, and fragments of blobs, which a power
//! cut leaves while one is written, and puts them into quarantine. It never deletes: a sweep that guesses wrong must not cost data.

use std::sync::Arc;

use futures::FutureExt;

use crate::bytes::Listed;
use crate::bytes::packs::place::{ids_of_pack, meet};
use crate::names::BlobId;
use crate::{Error, Inner, Result, bytes, metadata};

/// More blobs without rows than this, and than [`SHARE_MAX_PERCENT`] of all, are no leftovers of a crash, and more rows without blobs are
/// none that were lost: rows and blobs do not belong together.
const STRAY_MAX: usize = 1000;
const SHARE_MAX_PERCENT: usize = 1;

/// What a look at all blobs found.
pub(crate) struct Found {
    /// How many blobs there are.
    pub(crate) all: usize,
    /// Those that no row knows.
    pub(crate) unknown: Vec<BlobId>,
    /// What could not be read: there may be more.
    pub(crate) unread: Vec<String>,
}

impl Found {
    /// Whether so many are unknown that the database may be an old one.
    pub(crate) fn are_too_many(&self) -> bool {
        are_too_many(self.unknown.len(), self.all)
    }
}

/// Whether so many of all stand alone that rows and blobs may not belong together.
pub(crate) fn are_too_many(count: usize, all: usize) -> bool {
    count > STRAY_MAX && count * 100 > all * SHARE_MAX_PERCENT
}

pub(super) async fn run(inner: &Arc<Inner>) -> Result<String> {
    let found = find(inner).await?;
    let (count, all) = (found.unknown.len(), found.all);
    if found.are_too_many() {
        tracing::error!(count, all, "the database knows so few of the blobs that it may be an old one; none is moved");
        return Ok(format!("{count} of {all} blobs are unknown, which is too many to be leftovers; none was moved"));
    }
    if let Some(why) = inner.db.read_only() {
        return Err(Error::ReadOnly(why));
    }
    let (store, mut unread) = (inner.store.clone(), found.unread);
    let (count, unread) = bytes::blocking(move || {
        let mut count: u64 = 0;
        for id in found.unknown {
            tracing::warn!(%id, "a blob that no row knows is put into quarantine");
            match store.quarantine(id) {
                Ok(()) => count += 1,
                // It stays where it is, and must not keep the others there.
                Err(error) => unread.push(format!("blob {id}: {}", error.damage()?)),
            }
        }
        Ok((count, unread))
    })
    .await?;
    metrics::counter!("cloudhold_blobs_quarantined_total").increment(count);
    for what in &unread {
        tracing::error!(what, "the orphan sweep met a failure of the disk");
    }
    let failed = if unread.is_empty() { String::new() } else { format!("; the disk failed {} times", unread.len()) };
    Ok(format!("{count} blobs put into quarantine{failed}"))
}

/// Looks at all blobs.
pub(crate) async fn find(inner: &Arc<Inner>) -> Result<Found> {
    let mut found = Found { all: 0, unknown: Vec::new(), unread: Vec::new() };
    for shard in 0..=u8::MAX {
        look(inner, shard, &mut found).await?;
    }
    Ok(found)
}

/// Looks at the blobs of a shard.
async fn look(inner: &Arc<Inner>, shard: u8, found: &mut Found) -> Result<()> {
    let store = inner.store.clone();
    let Listed { ids, fragments, unread } = bytes::blocking(move || store.list_shard(shard)).await?;
    found.unread.extend(unread);
    if ids.is_empty() && fragments.is_empty() {
        return Ok(());
    }
    found.all += ids.len() + fragments.len();
    // A blob whose row is being committed is in flight until after the commit, so this order misses none: listed, then not in flight,
    // then not known.
    let idle: Vec<BlobId> = ids.into_iter().filter(|id| !inner.in_flight.is_writing(*id)).collect();
    let unknown = inner.db.read("unknown_blobs", |tx| {
        async move {
            let mut unknown = unknown_of(tx, idle).await?;
            unknown.extend(nobodys(tx, fragments).await?);
            Ok(unknown)
        }
        .boxed()
    });
    let unknown = unknown.await?;
    // One that was freed since it was listed is known no more, and there no more.
    let store = inner.store.clone();
    let still_there = bytes::blocking(move || {
        let there = unknown.into_iter().map(|id| match store.contains(id) {
            // What cannot be read is there.
            Err(error) => error.damage().map(|_| Some(id)),
            Ok(there) => Ok(there.then_some(id)),
        });
        Ok(there.collect::<Result<Vec<_>>>()?.into_iter().flatten())
    });
    found.unknown.extend(still_there.await?);
    Ok(())
}

async fn unknown_of(tx: &mut metadata::Tx, ids: Vec<BlobId>) -> Result<Vec<BlobId>> {
    let mut unknown = Vec::new();
    for id in ids {
        if !metadata::garbage::is_known(tx, id).await? {
            unknown.push(id);
        }
    }
    Ok(unknown)
}

/// The fragments that lie in no place of a blob that a row knows: where one does, the head is damaged, and that is for the check to tell.
async fn nobodys(tx: &mut metadata::Tx, fragments: Vec<BlobId>) -> Result<Vec<BlobId>> {
    let mut nobodys = Vec::new();
    // Those of a pack stand together.
    for of_pack in fragments.chunk_by(|one, other| ids_of_pack(*one) == ids_of_pack(*other)) {
        let known = metadata::garbage::known_between(tx, &ids_of_pack(of_pack[0])).await?;
        let is_nobodys = |fragment: &&BlobId| !known.iter().any(|blob| meet(*blob, **fragment));
        nobodys.extend(of_pack.iter().filter(is_nobodys));
    }
    Ok(nobodys)
}
