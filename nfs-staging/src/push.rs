//! Push: a staged file becomes an object.
//!
//! A file is cut as CloudStack's own uploads are (one PUT up to 16 MiB, else parts of at least 5 MiB and at most 10,000), so
//! the same content gets the same entity tag whoever uploads it. It is hashed while it is read; when it changed meanwhile,
//! no object appears. An interrupted push goes on: its upload is on record, and a part that the bucket has already is only
//! read here and compared by its MD5.

use std::fs::File;
use std::sync::Arc;

use engine::{Body, Caller, ChecksumAlgorithm, NewObject, ObjectHeaders, WriteConditions};
use serde::{Deserialize, Serialize};

use crate::digest::{ContentHasher, Cut, Fingerprint};
use crate::hooks::{self, Occasion, Point};
use crate::object::{Object, ObjectName};
use crate::progress::Stage;
use crate::state::{Look, ProvenCopy};
use crate::upload::{PartReader, Upload, drop_recorded};
use crate::work::{CHUNK_SIZE_BYTES, Job};
use crate::{Error, Kind, LayoutKey, Progress, Result, StagedPath, Staging, properties};

/// Largest file that is stored by one PUT, as CloudStack's uploads do it.
const WHOLE_SIZE_BYTES_MAX: u64 = 16 << 20;
/// What to push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRequest {
    /// The path beneath the staging directory.
    pub path: String,
    /// The bucket; the one on record of the path when `None`.
    #[serde(default)]
    pub bucket: Option<String>,
    /// The key, of the same template or volume as the path. When `None`: the one on record, else the one that the layout gives
    /// (for a template by the `uniquename` of its `template.properties`).
    #[serde(default)]
    pub key: Option<String>,
    /// Whether an object is replaced that is not the one on record of the path.
    #[serde(default)]
    pub overwrite: bool,
}

/// What a push did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The path beneath the staging directory.
    pub path: String,
    /// The size of the file.
    pub size_bytes: u64,
    /// The entity tag of the object, without quotes.
    pub etag: String,
    /// What was done.
    pub outcome: PushOutcome,
    /// What is worth knowing though the object is there: failed hooks.
    pub warnings: Vec<String>,
}

/// What a push found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "did")]
pub enum PushOutcome {
    /// The object was stored.
    Stored {
        /// Bytes of it that an interrupted push had stored.
        resumed_bytes: u64,
    },
    /// The object was there with the same content.
    AlreadyThere,
}

/// The file as it was found.
struct Local {
    file: Arc<File>,
    look: Look,
    copy: Option<ProvenCopy>,
    unique_name: Option<String>,
}

impl Staging {
    /// Stores a staged file under its key. An object with the same content stays; one with other content is replaced when it is
    /// the one on record (the file was pulled from it, then changed) or the request says to overwrite, else it is
    /// [`Error::ObjectExists`]. When this is interrupted (also by dropping it), the next push of the same file goes on where
    /// it stopped.
    pub async fn push(&self, caller: &Caller, request: &PushRequest, progress: &Arc<dyn Progress>) -> Result<Pushed> {
        let staged = StagedPath::parse(&request.path)?;
        let job = self.begin(&staged, progress)?;
        let local = job.run(find_local).await?;
        let name = target(request, &staged, &local)?;
        let existing = self.inner.find_object(caller, &name).await?;
        let (root, size_bytes) = (self.inner.dir.as_path(), local.look.size_bytes);
        let (bucket, key, path) = (name.bucket.to_string(), name.key.to_string(), job.path.clone());
        let occasion = Occasion { root, bucket: &bucket, key: &key, path: &path, size_bytes };
        job.at(Stage::Hook, 0, size_bytes);
        hooks::run(&self.inner.settings.hooks, Point::BeforePush, occasion).await?;
        // The hook may have worked on the file.
        let local = job.run(find_local).await?;
        let size_bytes = local.look.size_bytes;
        let (etag, outcome) = self.store(caller, &job, &name, local, existing, request.overwrite).await?;
        let mut warnings = Vec::new();
        job.at(Stage::Hook, size_bytes, size_bytes);
        hooks::run_after(
            &self.inner.settings.hooks,
            Point::AfterPush,
            Occasion { size_bytes, ..occasion },
            &mut warnings,
        )
        .await;
        tracing::info!(bucket, key, path, size_bytes, ?outcome, "pushed");
        Ok(Pushed { bucket, key, path, size_bytes, etag, outcome, warnings })
    }

    async fn store(
        &self,
        caller: &Caller,
        job: &Job,
        name: &ObjectName,
        local: Local,
        existing: Option<Object>,
        overwrite: bool,
    ) -> Result<(String, PushOutcome)> {
        if let Some(object) = &existing
            && self.is_same(caller, job, &local, object).await?
        {
            return Ok((object.info.etag.clone(), PushOutcome::AlreadyThere));
        }
        let new = new_object(name, &local, existing.as_ref(), overwrite)?;
        if local.look.size_bytes <= WHOLE_SIZE_BYTES_MAX {
            drop_recorded(caller, job).await?;
            let etag = self.put_whole(caller, job, name, local, new).await?;
            return Ok((etag, PushOutcome::Stored { resumed_bytes: 0 }));
        }
        self.put_parts(caller, job, name, local, new).await
    }

    /// Whether an object has the content of the file; then that goes on record.
    async fn is_same(&self, caller: &Caller, job: &Job, local: &Local, object: &Object) -> Result<bool> {
        if local.look.size_bytes != object.info.size_bytes {
            return Ok(false);
        }
        let mark = object.mark();
        if local.copy.as_ref().is_some_and(|copy| copy.object == mark && copy.look == local.look) {
            return Ok(true);
        }
        let cut = self.inner.cut_of(caller, object).await?;
        let (file, object) = (local.file.clone(), object.clone());
        job.run(move |job| {
            let (found, look) = job.fingerprint(&file, cut)?;
            let same = object.difference(&found).is_none();
            if same {
                remember(job, job.proof(object.mark(), &found, look))?;
            }
            Ok(same)
        })
        .await
    }

    async fn put_whole(
        &self,
        caller: &Caller,
        job: &Job,
        name: &ObjectName,
        local: Local,
        new: NewObject,
    ) -> Result<String> {
        let (content, found, look) = job.run(move |job| read_whole(job, &local)).await?;
        let mut body = Body::from_bytes(content);
        body.expected.crc64nvme = Some(found.crc64nvme);
        body.keep.push(ChecksumAlgorithm::Crc64Nvme);
        let stored = self.inner.engine.put_object(caller, &name.bucket, &name.key, new, body).await;
        let info = stored.map_err(|error| name.refused(error))?;
        conclude(job, Object { name: name.clone(), info }, found, look).await
    }

    async fn put_parts(
        &self,
        caller: &Caller,
        job: &Job,
        name: &ObjectName,
        local: Local,
        new: NewObject,
    ) -> Result<(String, PushOutcome)> {
        let conditions = new.conditions.clone();
        let upload = Upload::open(caller, job, name, local.look.size_bytes, new).await?;
        let reader = PartReader::new(job, local.file, local.look, upload.part_size_bytes);
        match upload.store_all(reader, conditions).await {
            Ok(done) => {
                let resumed_bytes = done.resumed_bytes;
                let etag = conclude(job, Object { name: name.clone(), info: done.info }, done.found, done.look).await?;
                Ok((etag, PushOutcome::Stored { resumed_bytes }))
            }
            Err(error @ (Error::FileChanged { .. } | Error::ObjectChanged { .. })) => {
                // Going on would make an object of two contents, or replace somebody else's.
                drop_recorded(caller, job).await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }
}

fn find_local(job: &Job) -> Result<Local> {
    let names = job.staged.directories();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let not_staged = || Error::NotStaged { path: job.path.clone() };
    let dir = job.inner.root()?.find(&names)?.ok_or_else(not_staged)?;
    let file = dir.find_file(&job.staged.file)?.ok_or_else(not_staged)?;
    let unique_name = match job.staged.kind {
        Kind::Template => properties::read(&dir)?.and_then(|found| found.unique_name),
        Kind::Snapshot | Kind::Volume => None,
    };
    let look = Look::of_file(&file, &job.path)?;
    let copy = job.inner.records.of_file(&job.staged, &look)?.copy;
    Ok(Local { file: Arc::new(file), look, copy, unique_name })
}

/// Where the file belongs: what the request says, else what is on record, else what the layout gives.
fn target(request: &PushRequest, staged: &StagedPath, local: &Local) -> Result<ObjectName> {
    let unknown = |what| Error::TargetUnknown { path: request.path.clone(), what };
    let recorded = local.copy.as_ref().map(|copy| &copy.object);
    let bucket = request.bucket.as_ref().or(recorded.map(|object| &object.bucket)).ok_or_else(|| unknown("bucket"))?;
    let key = match (&request.key, recorded, staged.kind) {
        (Some(key), _, _) => LayoutKey::parse(key)?,
        (None, Some(object), _) => LayoutKey::parse(&object.key)?,
        (None, None, Kind::Template) => {
            let unique = local.unique_name.as_deref().ok_or_else(|| unknown("key"))?;
            staged.key(Some(unique))?
        }
        (None, None, Kind::Snapshot | Kind::Volume) => staged.key(None)?,
    };
    if !key.staged().is_beside(staged) {
        let why = "the key is of another template, volume or account than the staged file";
        return Err(Error::Layout { name: key.to_string(), why });
    }
    ObjectName::new(bucket, &key.to_string())
}

/// The object to be made, and under which condition it may appear.
fn new_object(name: &ObjectName, local: &Local, existing: Option<&Object>, overwrite: bool) -> Result<NewObject> {
    let recorded = local.copy.as_ref().map(|copy| &copy.object);
    let conditions = match existing {
        _ if overwrite => WriteConditions::default(),
        None => WriteConditions { if_none_match: Some("*".to_owned()), ..WriteConditions::default() },
        Some(object) if recorded == Some(&object.mark()) => {
            WriteConditions { if_match: Some(object.info.etag.clone()), ..WriteConditions::default() }
        }
        Some(_) => return Err(Error::ObjectExists { bucket: name.bucket.to_string(), key: name.key.to_string() }),
    };
    let fresh = ObjectHeaders { content_type: Some("application/octet-stream".to_owned()), ..ObjectHeaders::default() };
    Ok(NewObject {
        headers: existing.map_or(fresh, |object| object.info.headers.clone()),
        user_metadata: existing.map(|object| object.info.user_metadata.clone()).unwrap_or_default(),
        storage_class: existing.map(|object| object.info.storage_class).unwrap_or_default(),
        conditions,
        ..NewObject::default()
    })
}

fn read_whole(job: &Job, local: &Local) -> Result<(Vec<u8>, Fingerprint, Look)> {
    let size_bytes = local.look.size_bytes;
    let mut content = vec![0; usize::try_from(size_bytes).map_err(|_| Error::Internal("a small file is large"))?];
    let mut hasher = ContentHasher::new(Cut::Whole);
    while hasher.size_bytes() < size_bytes {
        let offset = hasher.size_bytes();
        job.at(Stage::Copying, offset, size_bytes);
        let start = content.len() - usize::try_from(size_bytes - offset).unwrap_or(0);
        let end = content.len().min(start + CHUNK_SIZE_BYTES);
        let read = job.read_at(&local.file, &mut content[start..end], offset, size_bytes)?;
        hasher.update(&content[start..start + read]);
    }
    if Look::of_file(&local.file, &job.path)? != local.look {
        return Err(Error::FileChanged { path: job.path.clone() });
    }
    Ok((content, hasher.finish(), local.look))
}

/// Checks what was stored, and puts on record that it is what the file has.
async fn conclude(job: &Job, object: Object, found: Fingerprint, look: Look) -> Result<String> {
    job.at(Stage::Finishing, look.size_bytes, look.size_bytes);
    if let Some(what) = object.difference(&found) {
        return Err(Error::NotEqual { path: job.path.clone(), what });
    }
    let etag = found.etag.clone();
    job.run(move |job| remember(job, job.proof(object.mark(), &found, look))).await?;
    Ok(etag)
}

fn remember(job: &Job, copy: ProvenCopy) -> Result<()> {
    let mut record = job.inner.records.load(&job.path)?;
    record.copy = Some(copy);
    record.push = None;
    job.inner.records.save(&record)
}
