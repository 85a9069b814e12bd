//! Reading objects: what is there, and its bytes.

use std::ops::Range;
use std::sync::Arc;

use futures::FutureExt;

use super::{ObjectRead, ObjectView, ReadObject, Selection, info};
use crate::access::Wanted;
use crate::access::action::Action;
use crate::body::Digests;
use crate::bytes::cipher::{DataKey, Nonce};
use crate::bytes::in_flight::Reading;
use crate::bytes::outflow::{Piece, stream_pieces};
use crate::metadata::contents;
use crate::metadata::objects::{self as rows, Place, Version};
use crate::metadata::{Tx, versions};
use crate::rules::KnownBucket;
use crate::version_ids::VersionIds;
use crate::{BucketName, Caller, Engine, Error, ObjectKey, Result, selection};

impl Engine {
    /// What a read would answer, without bytes.
    pub async fn head_object(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        read: &ReadObject,
    ) -> Result<ObjectView> {
        let known = self.known_bucket(bucket).await?;
        if let Some(found) = self.find_at_once("head_object", caller, &known, key, read).await? {
            return Ok(found.view);
        }
        let (found, wanted) = (known.clone(), (key.clone(), read.clone()));
        let ids = self.inner.version_ids.clone();
        let found = self
            .inner
            .db
            .read_for(caller.share(), "head_object", |tx| {
                async move { find_view(tx, &ids, &found, &wanted).await }.boxed()
            })
            .await;
        let found = admit(&known, caller, key, read, found)?;
        // A part or range that is not there needs no key to say so.
        let view = found.view?;
        self.data_key(&found.version.meta, read.customer_key.as_ref())?;
        Ok(view)
    }

    /// Reads an object. Dropping the body early is no error and costs nothing.
    pub async fn get_object(
        &self,
        caller: &Caller,
        bucket: &BucketName,
        key: &ObjectKey,
        read: &ReadObject,
    ) -> Result<ObjectRead> {
        let known = self.known_bucket(bucket).await?;
        let found = match self.find_at_once("get_object", caller, &known, key, read).await? {
            Some(found) => found,
            None => self.get_in_steps(caller, &known, key, read).await?,
        };
        let ToRead { view, pieces, key, reading } = found;
        let turns = self.inner.reads.turns_of(caller.share());
        let body = stream_pieces(self.inner.store.clone(), turns, pieces, key, Some(reading));
        Ok(ObjectRead { view, body })
    }

    /// What most reads want is found by one statement: the current version of an object whose bytes lie in one place. `None` when this is
    /// another read.
    async fn find_at_once(
        &self,
        name: &'static str,
        caller: &Caller,
        known: &KnownBucket,
        key: &ObjectKey,
        read: &ReadObject,
    ) -> Result<Option<ToRead>> {
        if read.version_id.is_some() || matches!(read.selection, Some(Selection::Part(_))) {
            return Ok(None);
        }
        let place = Place { bucket_id: known.bucket.id, key: key.clone() };
        let found = self.inner.db.look_up(caller.share(), name, place).await?;
        let Some((version, Some(source))) = found else { return Ok(None) };
        // Freeing waits for a while after the last row is gone, so that this comes in time.
        let reading = self.inner.in_flight.read(version.content_id);
        known.must_allow(caller, &Wanted::on_object(Action::GetObject, key, known.side_of(&version.meta)))?;
        selection::check_read(&version.etag, version.modified_us, &read.conditions)?;
        let range = match read.selection {
            Some(selection) => selection::range(selection, version.size_bytes)?,
            None => 0..version.size_bytes,
        };
        let data_key = self.data_key(&version.meta, read.customer_key.as_ref())?;
        let info = info(key.clone(), version, known, known.bucket.versioning)?;
        let view = ObjectView { info, range: range.clone(), part_checksums: None, partial: read.selection.is_some() };
        let pieces = vec![Piece { source, range, nonce: Nonce::ONLY }];
        Ok(Some(ToRead { view, pieces, key: data_key, reading }))
    }

    async fn get_in_steps(
        &self,
        caller: &Caller,
        known: &Arc<KnownBucket>,
        key: &ObjectKey,
        read: &ReadObject,
    ) -> Result<ToRead> {
        let (bucket, wanted) = (known.clone(), (key.clone(), read.clone()));
        let (in_flight, ids) = (self.inner.in_flight.clone(), self.inner.version_ids.clone());
        let found = self
            .inner
            .db
            .read_for(caller.share(), "get_object", |tx| {
                async move {
                    let found = find_view(tx, &ids, &bucket, &wanted).await?;
                    let reading = in_flight.read(found.version.content_id);
                    let pieces = match &found.view {
                        Ok(view) => pieces_of(tx, &found.version, &view.range).await?,
                        Err(_) => Vec::new(),
                    };
                    Ok((found, pieces, reading))
                }
                .boxed()
            })
            .await;
        let (found, pieces, reading) = match found {
            Ok((found, pieces, reading)) => (Ok(found), pieces, Some(reading)),
            Err(error) => (Err(error), Vec::new(), None),
        };
        let found = admit(known, caller, key, read, found)?;
        let view = found.view?;
        let key = self.data_key(&found.version.meta, read.customer_key.as_ref())?;
        Ok(ToRead { view, pieces, key, reading: reading.ok_or(Error::Internal("a read was lost"))? })
    }
}

/// Lets a caller see what was found for it, or why nothing was.
fn admit(
    known: &KnownBucket,
    caller: &Caller,
    key: &ObjectKey,
    read: &ReadObject,
    found: Result<Found>,
) -> Result<Found> {
    let action = if read.version_id.is_some() { Action::GetObjectVersion } else { Action::GetObject };
    let found = found.map_err(|error| known.hide_absence(caller, key, error))?;
    known.must_allow(caller, &Wanted::on_object(action, key, known.side_of(&found.version.meta)))?;
    Ok(found)
}

/// What a read will answer, where its bytes are and under which key, and that they are in use.
struct ToRead {
    view: ObjectView,
    pieces: Vec<Piece>,
    key: Option<DataKey>,
    reading: Reading,
}

/// A version that a read found, with what it will answer to who may see it.
struct Found {
    version: Version,
    view: Result<ObjectView>,
}

async fn find_view(
    tx: &mut Tx,
    ids: &VersionIds,
    known: &KnownBucket,
    (key, read): &(ObjectKey, ReadObject),
) -> Result<Found> {
    let version = versions::find(tx, ids, known.bucket.id, key, read.version_id.as_ref()).await?;
    let range = match (selection::check_read(&version.etag, version.modified_us, &read.conditions), read.selection) {
        (Err(error), _) => Err(error),
        (Ok(()), Some(Selection::Part(number))) => part(tx, &version, number).await,
        (Ok(()), Some(selection)) => selection::range(selection, version.size_bytes).map(|range| (range, None)),
        (Ok(()), None) => Ok((0..version.size_bytes, None)),
    };
    let view = match range {
        Ok((range, part_checksums)) => {
            let mut info = info(key.clone(), version.clone(), known, known.bucket.versioning)?;
            info.expiry = info.expiry.filter(|_| read.version_id.is_none());
            Ok(ObjectView { info, range, part_checksums, partial: read.selection.is_some() })
        }
        Err(error) => Err(error),
    };
    Ok(Found { version, view })
}

/// Which bytes a part is, and its checksums. An object that was not uploaded in parts has one: all of it.
async fn part(tx: &mut Tx, version: &Version, number: u32) -> Result<(Range<u64>, Option<Digests>)> {
    match (version.parts_count, number) {
        (_, 0) => Err(Error::InvalidPartNumber),
        (None, 1) => Ok((0..version.size_bytes, None)),
        (None, _) => Err(Error::InvalidPartNumber),
        (Some(_), number) => {
            let part = contents::part_at(tx, version.content_id, number).await?.ok_or(Error::InvalidPartNumber)?;
            Ok((part.range, Some(part.checksums)))
        }
    }
}

pub(super) async fn pieces_of(tx: &mut Tx, version: &Version, range: &Range<u64>) -> Result<Vec<Piece>> {
    match rows::source(tx, version).await? {
        Some(source) => Ok(vec![Piece { source, range: range.clone(), nonce: Nonce::ONLY }]),
        None => contents::pieces(tx, version.content_id, range.clone(), version.meta.encryption().is_some()).await,
    }
}
