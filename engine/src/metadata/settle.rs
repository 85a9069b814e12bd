//! Changes that are made one by one, and what is told of them.

use super::changes::{Change, Done, NewObject, Wanted};
use super::objects::Given;
use super::{Tx, objects, outbox, versions};
use crate::Result;
use crate::events::{EventKind, Happened};
use crate::names::{ObjectKey, VersionId};
use crate::objects::Deleted;
use crate::version_ids::VersionIds;

/// Makes one change by itself.
pub(super) async fn settle(tx: &mut Tx, ids: &VersionIds, change: &Change) -> Result<Done> {
    match &change.wanted {
        Wanted::Put(new) => put(tx, ids, change, new).await,
        Wanted::Delete { version_id: Some(version_id), if_match, bypass } => {
            delete_version(tx, ids, change, (version_id, *bypass), if_match.as_deref()).await.map(Done::Deleted)
        }
        Wanted::Delete { version_id: None, if_match, bypass: _ } => {
            delete(tx, ids, change, if_match.as_deref()).await.map(Done::Deleted)
        }
    }
}

async fn put(tx: &mut Tx, ids: &VersionIds, change: &Change, new: &NewObject) -> Result<Done> {
    let Change { bucket_id, key, notify, .. } = change;
    let NewObject { version, content, conditions, .. } = new;
    let made = objects::put(tx, ids, *bucket_id, key, version, Given::New(content), conditions).await?;
    if let Some(notify) = notify {
        outbox::add(tx, *bucket_id, notify, &Happened::to_version(new.told_as, key, &made.version)).await?;
    }
    Ok(Done::Put(Box::new(made)))
}

async fn delete_version(
    tx: &mut Tx,
    ids: &VersionIds,
    change: &Change,
    (version_id, bypass): (&VersionId, bool),
    if_match: Option<&str>,
) -> Result<Deleted> {
    let Change { bucket_id, key, notify, .. } = change;
    // What is not there is deleted without a word.
    let was_there = notify.is_some() && versions::by_id(tx, ids, *bucket_id, key, version_id).await?.is_some();
    let deleted = versions::delete_version(tx, ids, *bucket_id, key, version_id, if_match, bypass).await?;
    if was_there {
        tell(tx, change, EventKind::Removed, key, Some(version_id)).await?;
    }
    Ok(deleted)
}

async fn delete(tx: &mut Tx, ids: &VersionIds, change: &Change, if_match: Option<&str>) -> Result<Deleted> {
    let Change { bucket_id, key, notify, .. } = change;
    let was_there = notify.is_some() && objects::current(tx, *bucket_id, key).await?.is_some();
    let deleted = versions::delete(tx, ids, *bucket_id, key, if_match).await?;
    match &deleted.marker {
        Some(marker) => tell(tx, change, EventKind::MarkerCreated, key, Some(marker)).await?,
        None if was_there => tell(tx, change, EventKind::Removed, key, None).await?,
        None => {}
    }
    Ok(deleted)
}

async fn tell(
    tx: &mut Tx,
    change: &Change,
    kind: EventKind,
    key: &ObjectKey,
    version_id: Option<&VersionId>,
) -> Result<()> {
    let Some(notify) = &change.notify else { return Ok(()) };
    let seq = tx.take_seq().await?;
    outbox::add(tx, change.bucket_id, notify, &Happened::deletion(kind, key, seq, version_id)).await
}
