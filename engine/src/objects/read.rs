//! Reading objects: what is there, and its bytes.

use std::ops::Range;

use futures::FutureExt;

use super::{ObjectRead, ObjectView, ReadObject, Selection, info};
use crate::bytes::in_flight::Reading;
use crate::bytes::outflow::{Piece, stream_pieces};
use crate::metadata::contents;
use crate::metadata::objects::{self as rows, Version};
use crate::metadata::{Tx, versions};
use crate::version_ids::VersionIds;
use crate::{BucketName, Caller, Engine, Error, ObjectKey, Result, buckets, selection};

impl Engine {
    /// What a read would answer, without bytes.
    pub async fn head_object(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        read: &ReadObject,
    ) -> Result<ObjectView> {
        if let Some((view, _, _)) = self.find_at_once("head_object", caller, bucket, key, read).await? {
            return Ok(view);
        }
        let (caller, bucket, key, read) = (caller.clone(), bucket.clone(), key.clone(), read.clone());
        let ids = self.inner.version_ids.clone();
        self.inner
            .db
            .read("head_object", |tx| {
                async move { Ok(find_view(tx, &ids, &caller, &bucket, &key, &read).await?.view) }.boxed()
            })
            .await
    }

    /// Reads an object. Dropping the body early is no error and costs nothing.
    pub async fn get_object(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        read: &ReadObject,
    ) -> Result<ObjectRead> {
        let (view, pieces, reading) = match self.find_at_once("get_object", caller, bucket, key, read).await? {
            Some(found) => found,
            None => self.get_in_steps(caller, bucket, key, read).await?,
        };
        let turns = self.inner.reads.turns_of(caller.share());
        let body = stream_pieces(self.inner.store.clone(), turns, pieces, Some(reading));
        Ok(ObjectRead { view, body })
    }

    /// What most reads want is found by one statement: the current version of an object whose bytes lie in one place. `None` when this is
    /// another read.
    async fn find_at_once(
        &self,
        name: &'static str,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        read: &ReadObject,
    ) -> Result<Option<ToRead>> {
        if read.version_id.is_some() || matches!(read.selection, Some(Selection::Part(_))) {
            return Ok(None);
        }
        let in_flight = self.inner.in_flight.clone();
        let found = self
            .inner
            .db
            .read_statement(name, |tx| {
                let (bucket, key) = (bucket.clone(), key.clone());
                async move {
                    let looked = rows::look_up(tx, &bucket, &key).await?;
                    // Freeing waits for a while after the last row is gone, so that this comes in time.
                    let reading = looked
                        .as_ref()
                        .and_then(|looked| looked.current.as_ref())
                        .map(|(version, _)| in_flight.read(version.content_id));
                    Ok((looked, reading))
                }
                .boxed()
            })
            .await?;
        let (Some(looked), reading) = found else { return Err(Error::NoSuchBucket) };
        if looked.trashed {
            return Err(Error::NoSuchBucket);
        }
        caller.must_own(&looked.bucket.owner)?;
        let (Some((version, Some(source))), Some(reading)) = (looked.current, reading) else { return Ok(None) };
        selection::check_read(&version.etag, version.modified_us, &read.conditions)?;
        let range = match read.selection {
            Some(selection) => selection::range(selection, version.size_bytes)?,
            None => 0..version.size_bytes,
        };
        let info = info(key.clone(), version, &looked.bucket, looked.bucket.versioning)?;
        let view = ObjectView { info, range: range.clone(), partial: read.selection.is_some() };
        Ok(Some((view, vec![Piece { source, range }], reading)))
    }

    async fn get_in_steps(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        read: &ReadObject,
    ) -> Result<ToRead> {
        let (caller, bucket, key, read) = (caller.clone(), bucket.clone(), key.clone(), read.clone());
        let (in_flight, ids) = (self.inner.in_flight.clone(), self.inner.version_ids.clone());
        self.inner
            .db
            .read("get_object", |tx| {
                async move {
                    let found = find_view(tx, &ids, &caller, &bucket, &key, &read).await?;
                    let reading = in_flight.read(found.version.content_id);
                    let pieces = pieces_of(tx, &found.version, &found.view.range).await?;
                    Ok((found.view, pieces, reading))
                }
                .boxed()
            })
            .await
    }
}

/// What a read will answer, where its bytes are, and that they are in use.
type ToRead = (ObjectView, Vec<Piece>, Reading);

/// A version that a read found, with what it will answer.
struct Found {
    version: Version,
    view: ObjectView,
}

async fn find_view(
    tx: &mut Tx,
    ids: &VersionIds,
    caller: &Caller,
    bucket: &BucketName,
    key: &ObjectKey,
    read: &ReadObject,
) -> Result<Found> {
    let bucket = buckets::owned(tx, caller, bucket).await?;
    let version = versions::find(tx, ids, bucket.id, key, read.version_id.as_ref()).await?;
    selection::check_read(&version.etag, version.modified_us, &read.conditions)?;
    let range = match read.selection {
        Some(Selection::Part(number)) => part_range(tx, &version, number).await?,
        Some(selection) => selection::range(selection, version.size_bytes)?,
        None => 0..version.size_bytes,
    };
    let view = ObjectView {
        info: info(key.clone(), version.clone(), &bucket, bucket.versioning)?,
        range,
        partial: read.selection.is_some(),
    };
    Ok(Found { version, view })
}

/// The bytes of a part. An object that was not uploaded in parts has one: all of it.
async fn part_range(tx: &mut Tx, version: &Version, number: u32) -> Result<Range<u64>> {
    match (version.parts_count, number) {
        (_, 0) => Err(Error::InvalidPartNumber),
        (None, 1) => Ok(0..version.size_bytes),
        (None, _) => Err(Error::InvalidPartNumber),
        (Some(_), number) => {
            contents::piece_range(tx, version.content_id, number).await?.ok_or(Error::InvalidPartNumber)
        }
    }
}

async fn pieces_of(tx: &mut Tx, version: &Version, range: &Range<u64>) -> Result<Vec<Piece>> {
    match rows::source(tx, version).await? {
        Some(source) => Ok(vec![Piece { source, range: range.clone() }]),
        None => contents::pieces(tx, version.content_id, range.start, range.end).await,
    }
}
