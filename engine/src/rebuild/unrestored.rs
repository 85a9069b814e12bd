//! What a rebuild could not restore, by name: the journal says what was changed, the rebuilt database what is there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::Unmatched;
use super::list::{Line, List};
use crate::bytes::blocking;
use crate::journal::{self, How, Note, Outline, Told};
use crate::metadata::buckets::BUCKET;
use crate::metadata::check::{VersionPlace, bucket_name};
use crate::metadata::compare::{LostVersion, Standing, lost_since, standing};
use crate::metadata::multipart::UPLOAD;
use crate::metadata::scan::go_on;
use crate::names::BlobId;
use crate::{Engine, Error, Result};

/// Notes that are compared in one transaction.
const BATCH: usize = 500;
/// Numbers of versions that are left out beyond the last that is known.
const SEQ_MARGIN: i64 = 1_000_000;

/// What a rebuild could not restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unrestored {
    /// The file that names each of it, a JSON object a line.
    pub file: PathBuf,
    /// How often each kind was found.
    pub counts: BTreeMap<Loss, u64>,
    /// The first ones, for people.
    pub first: Vec<String>,
    /// What time the journal tells of. What was changed when it was not written has no name here.
    pub told: Told,
}

impl Unrestored {
    /// How often a kind was found.
    pub fn count(&self, loss: Loss) -> u64 {
        self.counts.get(&loss).copied().unwrap_or_default()
    }
}

/// A kind of thing that is not as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// An object version that was stored after the snapshot.
    ObjectLost,
    /// A delete marker that was made after it.
    MarkerLost,
    /// A part that was stored after it.
    PartLost,
    /// An object version of the snapshot whose bytes are gone, although nobody removed it.
    BytesLost,
    /// An object version or a delete marker that was removed after the snapshot, and is there again.
    Returned,
    /// Another change that was made after it: it is undone.
    ChangeLost,
    /// A blob in quarantine of which nobody knows what it was.
    BlobUnnamed,
}

impl Loss {
    /// A few words for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::ObjectLost => "objects stored after the snapshot are lost",
            Self::MarkerLost => "delete markers made after it are lost",
            Self::PartLost => "parts of uploads stored after it are lost",
            Self::BytesLost => "objects have lost their bytes",
            Self::Returned => "objects or delete markers that were removed after it are back",
            Self::ChangeLost => "other changes made after it are undone",
            Self::BlobUnnamed => "blobs in quarantine have no name",
        }
    }
}

/// Names what could not be restored, in a file and in the report. `begun_us` is when the rebuild began.
pub(super) async fn name(engine: &Engine, known: Known, begun_us: i64, unmatched: Unmatched) -> Result<Unrestored> {
    let list = List::begin(engine).await?;
    let mut naming = Naming { engine, known, unmatched, list };
    let told = naming.compare().await?;
    naming.lost_bytes(begun_us).await?;
    naming.unnamed_blobs().await?;
    naming.list.end(engine, told).await
}

/// What must be known of the whole journal before any of it is judged.
#[derive(Default)]
pub(super) struct Known {
    /// Where the journal is, and since when it is needed.
    folder: PathBuf,
    since_us: i64,
    outline: Arc<Outline>,
    /// Versions and markers that were removed.
    removed: HashSet<Place>,
    /// Uploads that were begun, and those that were completed or given up.
    begun: HashSet<String>,
    ended: HashSet<String>,
    /// Names of buckets that were made or deleted.
    buckets: HashMap<i64, String>,
    last_seq: i64,
}

/// Where a version or marker is: bucket, number, and what its key hashes to. A number alone may be given twice where a rebuild was cut off.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place(i64, i64, u64);

impl Place {
    fn new(bucket_id: i64, key: &[u8], seq: i64) -> Self {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        Self(bucket_id, seq, hasher.finish())
    }
}

/// Has what is stored from here on get other numbers than what is lost; those of the last second may not be known.
pub(super) async fn skip_lost_numbers(engine: &Engine, known: &Known) -> Result<()> {
    let last_seq = known.last_seq;
    let skip = engine.inner.db.write("skip_lost_numbers", move |tx| tx.skip_beyond(last_seq, SEQ_MARGIN).boxed());
    skip.await
}

/// Looks at the journal in a folder, which is needed since the snapshot was taken, or the first one that was tried.
pub(super) async fn first_look(engine: &Engine, journal: &Path, snapshot_taken_us: i64) -> Result<Known> {
    let (settings, folder) = (engine.settings().clone(), journal.to_owned());
    blocking(move || {
        let disk = &settings.disk;
        let since_us = journal::needed_since(&settings, &folder, snapshot_taken_us)?;
        let outline = Arc::new(Outline::look(&**disk, &folder, since_us)?);
        let mut known = Known { folder: folder.clone(), since_us, outline: outline.clone(), ..Known::default() };
        journal::read(&**disk, &folder, since_us, &outline, |_, note| {
            match note {
                Note::Removed { bucket, key, seq } => {
                    known.last_seq = known.last_seq.max(seq);
                    known.removed.insert(Place::new(bucket, key.as_bytes(), seq));
                }
                Note::Stored { seq, .. } | Note::Marked { seq, .. } => known.last_seq = known.last_seq.max(seq),
                Note::Other { what, name, bucket: Some(id), .. } if what == BUCKET => {
                    known.buckets.insert(id, name);
                }
                Note::Other { how: How::Made, what, name, .. } if what == UPLOAD => {
                    known.begun.insert(upload_of(&name).to_owned());
                }
                Note::Other { how: How::Deleted, what, name, .. } if what == UPLOAD => {
                    known.ended.insert(name);
                }
                Note::Part { .. } | Note::Other { .. } => {}
            }
            Ok(())
        })?;
        Ok(known)
    })
    .await
}

/// The id in the name of an upload, after which its key stands.
fn upload_of(name: &str) -> &str {
    name.split(' ').next().unwrap_or(name)
}

struct Naming<'e> {
    engine: &'e Engine,
    known: Known,
    unmatched: Unmatched,
    list: List,
}

impl Naming<'_> {
    /// Compares all that the journal says with what is there.
    async fn compare(&mut self) -> Result<Told> {
        let disk = self.engine.inner.settings.disk.clone();
        let Known { folder, since_us, outline, .. } = &self.known;
        let (folder, since_us, outline) = (folder.clone(), *since_us, outline.clone());
        let (sender, mut batches) = mpsc::channel(2);
        let reading = blocking(move || {
            let mut batch = Vec::with_capacity(BATCH);
            // Nobody takes them any more when the comparison failed, which says why itself.
            let send = |batch| sender.blocking_send(batch).map_err(|_| Error::Internal("the comparison ended"));
            let told = journal::read(&*disk, &folder, since_us, &outline, |at_us, note| {
                batch.push((at_us, note));
                if batch.len() < BATCH { Ok(()) } else { send(std::mem::take(&mut batch)) }
            })?;
            send(batch)?;
            Ok(told)
        });
        let reading = tokio::spawn(reading);
        while let Some(batch) = batches.recv().await {
            self.compare_batch(batch).await?;
        }
        reading.await.map_err(|_| Error::Internal("reading the journal panicked"))?
    }

    async fn compare_batch(&mut self, batch: Vec<(i64, Note)>) -> Result<()> {
        let places: Vec<VersionPlace> = batch.iter().filter_map(|(_, note)| self.place(note)).collect();
        let standings = self.engine.inner.db.read("compare_with_journal", move |tx| {
            async move {
                let mut standings = HashMap::with_capacity(places.len());
                for place in &places {
                    standings.insert(Place::new(place.bucket_id, &place.key, place.seq), standing(tx, place).await?);
                }
                Ok(standings)
            }
            .boxed()
        });
        let standings = standings.await?;
        for (at_us, note) in batch {
            if let Some(line) = self.judge(at_us, note, &standings).await? {
                self.list.add(line).await?;
            }
        }
        Ok(())
    }

    /// The place of a version or marker of which must be known whether it is there.
    fn place(&self, note: &Note) -> Option<VersionPlace> {
        let place = |bucket_id: &i64, key: &str, seq: &i64| VersionPlace {
            bucket_id: *bucket_id,
            key: key.as_bytes().to_vec(),
            seq: *seq,
        };
        match note {
            Note::Stored { bucket, key, seq, .. } | Note::Marked { bucket, key, seq, .. } => {
                let is_removed = self.known.removed.contains(&Place::new(*bucket, key.as_bytes(), *seq));
                (!is_removed).then(|| place(bucket, key, seq))
            }
            Note::Removed { bucket, key, seq } => Some(place(bucket, key, seq)),
            Note::Part { .. } | Note::Other { .. } => None,
        }
    }

    /// What is to be told of a change, when it is not as it was left by it.
    async fn judge(&mut self, at_us: i64, note: Note, standings: &HashMap<Place, Standing>) -> Result<Option<Line>> {
        match note {
            Note::Stored { bucket, key, seq, version, size_bytes, blob } => {
                let blob = self.kept_blob(blob).await?;
                if !self.is_missed(Place::new(bucket, key.as_bytes(), seq), standings) {
                    return Ok(None);
                }
                let line = self.line(Loss::ObjectLost, at_us, bucket, key).await?;
                Ok(Some(Line { version: Some(version), size_bytes: Some(size_bytes), blob, ..line }))
            }
            Note::Marked { bucket, key, seq, version } => {
                if !self.is_missed(Place::new(bucket, key.as_bytes(), seq), standings) {
                    return Ok(None);
                }
                let line = self.line(Loss::MarkerLost, at_us, bucket, key).await?;
                Ok(Some(Line { version: Some(version), ..line }))
            }
            Note::Removed { bucket, key, seq } => match standings.get(&Place::new(bucket, key.as_bytes(), seq)) {
                Some(Standing::There(version)) => {
                    let line = self.line(Loss::Returned, at_us, bucket, key).await?;
                    Ok(Some(Line { version: Some(version.clone()), ..line }))
                }
                // Whoever removed it did not want its bytes either.
                Some(Standing::PutAside | Standing::Gone) | None => Ok(None),
            },
            Note::Part { bucket, key, upload, number, blob } => {
                let blob = self.kept_blob(blob).await?;
                let is_open = at_us >= self.known.since_us && !self.known.ended.contains(&upload);
                if blob.is_none() && !is_open {
                    return Ok(None);
                }
                let line = self.line(Loss::PartLost, at_us, bucket, key).await?;
                Ok(Some(Line { upload: Some(upload), part: Some(number), blob, ..line }))
            }
            // What was made while the snapshot was, it may have: it is told all the same.
            Note::Other { .. } if at_us < self.known.since_us => Ok(None),
            // One that came and went since is what became of it, its object or nothing.
            Note::Other { how: How::Made, ref what, ref name, .. }
                if what == UPLOAD && self.known.ended.contains(upload_of(name)) =>
            {
                Ok(None)
            }
            Note::Other { how: How::Deleted, ref what, ref name, .. }
                if what == UPLOAD && self.known.begun.contains(name) =>
            {
                Ok(None)
            }
            Note::Other { how, what, name, bucket } => {
                let change = Some(format!("{} {what}", how.as_str()));
                let line = match bucket {
                    Some(id) if what != BUCKET => self.line(Loss::ChangeLost, at_us, id, name).await?,
                    Some(_) | None => Line { key: Some(name), ..Line::new(Loss::ChangeLost, at_us) },
                };
                Ok(Some(Line { change, ..line }))
            }
        }
    }

    /// Whether a version or marker that was made should be there, and is not.
    fn is_missed(&self, place: Place, standings: &HashMap<Place, Standing>) -> bool {
        !self.known.removed.contains(&place) && standings.get(&place) == Some(&Standing::Gone)
    }

    /// The blob when it lies in quarantine, by this rebuild or by one before. It has a name then: that of something that is lost, or that was
    /// removed, so that nobody misses its bytes.
    async fn kept_blob(&mut self, blob: Option<String>) -> Result<Option<String>> {
        let Some(blob) = blob else { return Ok(None) };
        self.unmatched.blobs.remove(&blob);
        let id = hex::decode(&blob).map_err(|_| Error::corrupt("the journal names a blob that can be none"))?;
        let (store, id) = (self.engine.inner.store.clone(), BlobId::stored(&id)?);
        let is_kept = blocking(move || store.is_quarantined(id)).await?;
        Ok(is_kept.then_some(blob))
    }

    /// A line of something in a bucket.
    async fn line(&mut self, what: Loss, at_us: i64, bucket_id: i64, key: String) -> Result<Line> {
        let bucket = Some(self.bucket(bucket_id).await?);
        Ok(Line { bucket, key: Some(key), ..Line::new(what, at_us) })
    }

    async fn bucket(&mut self, id: i64) -> Result<String> {
        if let Some(name) = self.known.buckets.get(&id) {
            return Ok(name.clone());
        }
        let found = self.engine.inner.db.read("bucket_name", move |tx| bucket_name(tx, id).boxed()).await?;
        let name = found.unwrap_or_else(|| format!("bucket number {id}"));
        self.known.buckets.insert(id, name.clone());
        Ok(name)
    }

    /// Names the versions that the check put aside.
    async fn lost_bytes(&mut self, begun_us: i64) -> Result<()> {
        let mut after = VersionPlace::first();
        loop {
            let from = after.clone();
            let db = &self.engine.inner.db;
            let rows =
                db.read("lost_versions", move |tx| async move { lost_since(tx, &from, begun_us, BATCH).await }.boxed());
            let rows = rows.await?;
            let Some(last) = rows.last() else { return Ok(()) };
            go_on(&mut after, last.place.clone())?;
            for LostVersion { place, version_id, size_bytes, modified_us } in rows {
                if self.known.removed.contains(&Place::new(place.bucket_id, &place.key, place.seq)) {
                    continue;
                }
                let key = String::from_utf8_lossy(&place.key).into_owned();
                let line = self.line(Loss::BytesLost, modified_us, place.bucket_id, key).await?;
                self.list.add(Line { version: Some(version_id), size_bytes: Some(size_bytes), ..line }).await?;
            }
        }
    }

    /// Names the blobs that no note has by what is known of them.
    async fn unnamed_blobs(&mut self) -> Result<()> {
        for (blob, facts) in std::mem::take(&mut self.unmatched.blobs) {
            let line = Line::new(Loss::BlobUnnamed, facts.created_us);
            self.list.add(Line { blob: Some(blob), size_bytes: Some(facts.size_bytes), ..line }).await?;
        }
        Ok(())
    }
}
