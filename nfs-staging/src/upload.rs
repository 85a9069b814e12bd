//! The multipart upload of a large staged file: begun, resumed, completed, given up.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use engine::{
    Body, BoxError, Caller, CompleteUpload, CompletedPart, Digests, NewObject, ObjectInfo, Part, UploadId,
    WriteConditions,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::digest::{ContentHasher, Cut, Fingerprint};
use crate::object::ObjectName;
use crate::progress::Stage;
use crate::state::{Look, OpenPush};
use crate::work::{CHUNK_SIZE_BYTES, Job};
use crate::{Error, Result};

/// Most parts of an upload.
const PARTS_MAX: u64 = 10_000;
/// How many pieces of the file wait for the engine.
const PIECES_WAITING_MAX: usize = 4;
/// How many parts are listed at once.
const PART_PAGE: usize = 1000;

/// An upload that is open.
pub(crate) struct Upload<'a> {
    caller: &'a Caller,
    job: &'a Job,
    name: &'a ObjectName,
    id: UploadId,
    pub(crate) part_size_bytes: u64,
    /// Parts that an interrupted push left.
    stored: BTreeMap<u32, Part>,
}

/// A completed upload.
pub(crate) struct Done {
    pub(crate) info: ObjectInfo,
    pub(crate) found: Fingerprint,
    pub(crate) look: Look,
    pub(crate) resumed_bytes: u64,
}

impl<'a> Upload<'a> {
    /// Goes on with the upload on record when it is of the same target and cut, else begins one and puts it on record.
    pub(crate) async fn open(
        caller: &'a Caller,
        job: &'a Job,
        name: &'a ObjectName,
        size_bytes: u64,
        new: NewObject,
    ) -> Result<Self> {
        let part_size_bytes = job.inner.settings.part_size_bytes.max(size_bytes.div_ceil(PARTS_MAX));
        let mut upload = Self {
            caller,
            job,
            name,
            id: UploadId::new(&"0".repeat(32)).map_err(|error| name.refused(error))?,
            part_size_bytes,
            stored: BTreeMap::new(),
        };
        let recorded = job.run(|job| Ok(job.inner.records.load(&job.path)?.push)).await?;
        if let Some(open) = &recorded
            && open.is_for(name, size_bytes, part_size_bytes)
        {
            upload.id = UploadId::new(&open.upload_id).map_err(|error| name.refused(error))?;
            if let Some(stored) = upload.list_stored().await? {
                upload.stored = stored;
                return Ok(upload);
            }
        }
        drop_recorded(caller, job).await?;
        let begun = job.inner.engine.create_upload(caller, &name.bucket, &name.key, new, None).await;
        upload.id = begun.map_err(|error| name.refused(error))?.upload_id;
        let (bucket, key, upload_id) = (name.bucket.to_string(), name.key.to_string(), upload.id.to_string());
        set_recorded(job, Some(OpenPush { bucket, key, upload_id, size_bytes, part_size_bytes })).await?;
        Ok(upload)
    }

    /// The parts that are stored; `None` when the upload is gone.
    async fn list_stored(&self) -> Result<Option<BTreeMap<u32, Part>>> {
        let mut stored = BTreeMap::new();
        loop {
            let after = stored.last_key_value().map_or(0, |(&number, _)| number);
            let ObjectName { bucket, key } = self.name;
            match self.job.inner.engine.list_parts(self.caller, bucket, key, &self.id, after, PART_PAGE).await {
                Ok(page) => {
                    stored.extend(page.parts.into_iter().map(|part| (part.number, part)));
                    if !page.truncated {
                        return Ok(Some(stored));
                    }
                }
                Err(engine::Error::NoSuchUpload) => return Ok(None),
                Err(error) => return Err(self.name.refused(error)),
            }
        }
    }

    /// Stores what is missing, and makes the object.
    pub(crate) async fn store_all(&self, mut reader: PartReader, conditions: WriteConditions) -> Result<Done> {
        let mut complete = CompleteUpload { conditions, ..CompleteUpload::default() };
        let mut resumed_bytes = 0;
        for number in 1..=reader.count()? {
            let (back, part) = match self.reuse(reader, number).await? {
                (back, Some(part)) => {
                    resumed_bytes += part.size_bytes;
                    (back, part)
                }
                (back, None) => self.store(back, number).await?,
            };
            reader = back;
            complete.parts.push(CompletedPart { number, etag: part.etag, checksums: Digests::default() });
        }
        let (reader, look) = reader.on_thread(self.job, |reader| reader.must_be_unchanged()).await?;
        let ObjectName { bucket, key } = self.name;
        let done = self.job.inner.engine.complete_upload(self.caller, bucket, key, &self.id, complete).await;
        let info = done.map_err(|error| self.name.refused(error))?;
        Ok(Done { info, found: reader.hasher.finish(), look, resumed_bytes })
    }

    /// A part that was stored by an interrupted push, if it is what the file has now.
    async fn reuse(&self, reader: PartReader, number: u32) -> Result<(PartReader, Option<Part>)> {
        let Some(part) = self.stored.get(&number).filter(|part| part.size_bytes == reader.part_len(number)) else {
            return Ok((reader, None));
        };
        let (reader, md5) = reader.on_thread(self.job, move |reader| reader.hash_part(number)).await?;
        Ok((reader, (md5 == part.etag).then(|| part.clone())))
    }

    async fn store(&self, reader: PartReader, number: u32) -> Result<(PartReader, Part)> {
        let (pieces, waiting) = mpsc::channel(PIECES_WAITING_MAX);
        let mut body = Body::new(Box::pin(ReceiverStream::new(waiting)));
        body.size_bytes = Some(reader.part_len(number));
        let ObjectName { bucket, key } = self.name;
        let reading = reader.on_thread(self.job, move |reader| reader.send_part(number, &pieces));
        let storing = self.job.inner.engine.put_part(self.caller, bucket, key, &self.id, number, body);
        let (read, stored) = tokio::join!(reading, storing);
        // When the file could not be read that is why the engine refused the body, so it is told first.
        let (reader, md5) = read?;
        let part = stored.map_err(|error| self.name.refused(error))?;
        if part.etag != md5 {
            return Err(Error::FileChanged { path: self.job.path.clone() });
        }
        Ok((reader, part))
    }
}

impl OpenPush {
    fn is_for(&self, name: &ObjectName, size_bytes: u64, part_size_bytes: u64) -> bool {
        self.bucket == name.bucket.as_str()
            && self.key == name.key.as_str()
            && (self.size_bytes, self.part_size_bytes) == (size_bytes, part_size_bytes)
    }
}

/// Gives the upload on record up, if there is one. That it is gone already is fine.
pub(crate) async fn drop_recorded(caller: &Caller, job: &Job) -> Result<()> {
    let Some(open) = job.run(|job| Ok(job.inner.records.load(&job.path)?.push)).await? else { return Ok(()) };
    let name = ObjectName::new(&open.bucket, &open.key)?;
    if let Ok(id) = UploadId::new(&open.upload_id) {
        match job.inner.engine.abort_upload(caller, &name.bucket, &name.key, &id).await {
            Ok(()) | Err(engine::Error::NoSuchUpload | engine::Error::NoSuchBucket) => (),
            Err(error) => return Err(name.refused(error)),
        }
    }
    set_recorded(job, None).await
}

async fn set_recorded(job: &Job, push: Option<OpenPush>) -> Result<()> {
    job.run(move |job| {
        let mut record = job.inner.records.load(&job.path)?;
        record.push = push;
        job.inner.records.save(&record)
    })
    .await
}

/// Reads the parts of a file in order.
pub(crate) struct PartReader {
    job: Job,
    file: Arc<File>,
    look: Look,
    part_size_bytes: u64,
    hasher: ContentHasher,
}

impl PartReader {
    pub(crate) fn new(job: &Job, file: Arc<File>, look: Look, part_size_bytes: u64) -> Self {
        let hasher = ContentHasher::new(Cut::even(look.size_bytes, part_size_bytes));
        Self { job: job.clone(), file, look, part_size_bytes, hasher }
    }

    /// Does work that may block, and comes back.
    async fn on_thread<T: Send + 'static>(
        mut self,
        job: &Job,
        work: impl FnOnce(&mut Self) -> Result<T> + Send + 'static,
    ) -> Result<(Self, T)> {
        job.run(move |_| {
            let found = work(&mut self)?;
            Ok((self, found))
        })
        .await
    }

    fn count(&self) -> Result<u32> {
        let count = self.look.size_bytes.div_ceil(self.part_size_bytes);
        u32::try_from(count).map_err(|_| Error::Internal("a file has too many parts"))
    }

    /// Where a part begins and ends.
    fn range(&self, number: u32) -> (u64, u64) {
        let end = u64::from(number) * self.part_size_bytes;
        (end - self.part_size_bytes, end.min(self.look.size_bytes))
    }

    fn part_len(&self, number: u32) -> u64 {
        let (start, end) = self.range(number);
        end - start
    }

    /// The MD5 of a part that was read, as an entity tag.
    fn tag(&self, number: u32) -> Result<String> {
        let md5 = usize::try_from(number).ok().and_then(|number| self.hasher.part_md5(number));
        md5.map(hex::encode).ok_or(Error::Internal("a part was not read to its end"))
    }

    fn hash_part(&mut self, number: u32) -> Result<String> {
        let (_, end) = self.range(number);
        self.job.hash_to(&self.file, &mut self.hasher, end, self.look.size_bytes)?;
        self.tag(number)
    }

    /// Sends a part, and gives its MD5. Stops when nobody takes it any more.
    fn send_part(
        &mut self,
        number: u32,
        pieces: &mpsc::Sender<std::result::Result<Bytes, BoxError>>,
    ) -> Result<String> {
        let (mut offset, end) = self.range(number);
        while offset < end {
            self.job.at(Stage::Copying, offset, self.look.size_bytes);
            let mut piece = vec![0; CHUNK_SIZE_BYTES];
            let read = match self.job.read_at(&self.file, &mut piece, offset, end) {
                Ok(read) => read,
                Err(error) => {
                    // The engine must not take what it got for the whole part; whether it still listens does not matter.
                    let _ = pieces.blocking_send(Err(error.to_string().into()));
                    return Err(error);
                }
            };
            piece.truncate(read);
            // A part whose stored content is another one was hashed already.
            if self.hasher.size_bytes() == offset {
                self.hasher.update(&piece);
            }
            offset += read as u64;
            if pieces.blocking_send(Ok(piece.into())).is_err() {
                return Ok(String::new());
            }
        }
        self.job.at(Stage::Copying, end, self.look.size_bytes);
        self.tag(number)
    }

    /// The file must look as it did before the first byte was read.
    fn must_be_unchanged(&mut self) -> Result<Look> {
        if Look::of_file(&self.file, &self.job.path)? != self.look {
            return Err(Error::FileChanged { path: self.job.path.clone() });
        }
        Ok(self.look)
    }
}
