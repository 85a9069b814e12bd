//! Rows against the disk, in both directions.

use futures::FutureExt;

use super::{Checker, Fix, Problem};
use crate::bytes::outflow::Source;
use crate::bytes::{BlobFacts, ByteStore};
use crate::metadata::check::{self, Held, VersionPlace};
use crate::metadata::repair::{self, RowFix};
use crate::names::{BlobId, ContentId};
use crate::work::orphans;
use crate::{Result, bytes};

/// Whose bytes a blob has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Content(ContentId),
    Part,
}

/// A blob that a row refers to.
pub(super) struct BlobCheck {
    id: BlobId,
    size_bytes: u64,
    crc64nvme: Option<u64>,
    owner: Owner,
    subject: String,
}

/// What was found on the disk.
enum State {
    Fine,
    Missing,
    Damaged(String),
}

impl Checker {
    /// Looks at what a row says of its blob, and notes the blob to be looked at.
    pub(super) fn held(&mut self, held: &Held, owner: Owner, subject: &str) -> Result<Option<BlobCheck>> {
        let Some(id) = &held.blob_id else { return Ok(None) };
        let id = BlobId::stored(id)?;
        if held.blob_users != 1 {
            let detail = format!("{} rows refer to blob {id}", held.blob_users);
            self.found(Problem::BlobShared, subject, detail, Fix::Nothing);
        }
        if held.blob_is_garbage {
            let fix = Fix::Row(RowFix::KeepBlob(id));
            self.found(Problem::BlobUsedAndGarbage, subject, format!("blob {id} is noted to be freed"), fix);
        }
        let size_bytes = u64::try_from(held.size_bytes).unwrap_or_default();
        let crc64nvme = held.crc64nvme;
        Ok(Some(BlobCheck { id, size_bytes, crc64nvme, owner, subject: subject.to_owned() }))
    }

    /// Looks at the blobs of a page of rows.
    pub(super) async fn look_at_blobs(&mut self, blobs: Vec<BlobCheck>) -> Result<()> {
        self.blobs.0 += blobs.len();
        let store = self.inner.store.clone();
        let looked = bytes::blocking(move || {
            let states = blobs.into_iter().map(|blob| match state(&*store, &blob) {
                // What the disk does not give back is damage of this blob, and says nothing of the others.
                Err(error) => error.damage().map(|what| (blob, State::Damaged(what))),
                Ok(state) => Ok((blob, state)),
            });
            states.collect::<Result<Vec<_>>>()
        });
        for (blob, state) in looked.await? {
            match state {
                State::Fine => {}
                State::Damaged(detail) => {
                    if self.is_used(blob.id).await? {
                        self.found(Problem::BlobDamaged, blob.subject, detail, Fix::Nothing);
                    }
                }
                State::Missing => self.missing(blob).await?,
            }
        }
        Ok(())
    }

    /// A blob that its row does not find. The row may be gone meanwhile, and the blob with it.
    async fn missing(&mut self, blob: BlobCheck) -> Result<()> {
        let (store, id) = (self.inner.store.clone(), blob.id);
        if !self.is_used(id).await? || bytes::blocking(move || store.contains(id)).await? {
            return Ok(());
        }
        let store = self.inner.store.clone();
        if bytes::blocking(move || store.is_quarantined(id)).await? {
            let detail = format!("blob {id} lies in quarantine");
            self.found(Problem::BlobInQuarantine, blob.subject, detail, Fix::BringBack(id));
            return Ok(());
        }
        self.blobs.1 += 1;
        let detail = format!("blob {id} is missing");
        match blob.owner {
            Owner::Content(content) => {
                self.broken.insert(content, detail);
            }
            Owner::Part => self.found(Problem::PartBytesMissing, blob.subject, detail, Fix::Nothing),
        }
        Ok(())
    }

    async fn is_used(&self, id: BlobId) -> Result<bool> {
        self.read(|tx| check::is_used(tx, id).boxed()).await
    }

    /// Blobs that no row knows.
    pub(super) async fn unknown_blobs(&mut self) -> Result<()> {
        let found = orphans::find(&self.inner).await?;
        self.report.examined.blobs = found.all as u64;
        for what in &found.unread {
            self.found(Problem::DiskFailed, "while listing blobs", what, Fix::Nothing);
        }
        let may_move = self.options.trust_database || !found.are_too_many();
        for id in found.unknown {
            let (detail, fix) = match may_move {
                true => ("no row knows it".to_owned(), Fix::Quarantine(id)),
                false => {
                    ("no row knows it; there are so many that the database may be an old one".to_owned(), Fix::Nothing)
                }
            };
            self.found(Problem::BlobWithoutRow, format!("blob {id}"), detail, fix);
        }
        self.settle().await
    }

    /// A version that was put aside: whether it could come back.
    pub(super) async fn look_at_lost(&mut self, place: VersionPlace, content_id: Option<Vec<u8>>) -> Result<()> {
        let Some(content_id) = content_id else { return Ok(()) };
        let content_id = ContentId::stored(&content_id)?;
        let from = place.clone();
        let (sources, has_place) = self
            .read(|tx| {
                async move { Ok((repair::sources(tx, content_id).await?, repair::may_return(tx, &from).await?)) }
                    .boxed()
            })
            .await?;
        let Some(sources) = sources.filter(|_| has_place) else { return Ok(()) };
        let store = self.inner.store.clone();
        let whole = bytes::blocking(move || {
            for source in sources {
                if let Source::Blob { id, .. } = source
                    && !store.contains(id).or_else(|error| error.damage().map(|_| false))?
                {
                    return Ok(false);
                }
            }
            Ok(true)
        });
        if whole.await? {
            let name = self.name_of(&place).await?;
            let fix = Fix::Row(RowFix::Return(place));
            self.found(Problem::LostVersionWhole, name, "its bytes are there again", fix);
        }
        Ok(())
    }
}

fn state(store: &dyn ByteStore, blob: &BlobCheck) -> Result<State> {
    if !store.contains(blob.id)? {
        return Ok(State::Missing);
    }
    let reader = store.open(blob.id)?;
    let BlobFacts { size_bytes, crc64nvme, created_us: _ } = reader.facts();
    if size_bytes != blob.size_bytes {
        let detail = format!("blob {} has {size_bytes} bytes, its row says {}", blob.id, blob.size_bytes);
        return Ok(State::Damaged(detail));
    }
    if blob.crc64nvme.is_some_and(|crc| crc != crc64nvme) {
        return Ok(State::Damaged(format!("blob {} has another checksum than its row", blob.id)));
    }
    Ok(State::Fine)
}
