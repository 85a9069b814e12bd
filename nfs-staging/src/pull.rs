//! Pull: an object becomes a staged file.
//!
//! The bytes are written aside in the same directory while they are hashed, and only a content that equals the object's by
//! size, entity tag (over the object's own parts) and CRC-64/NVME is made durable and gets its name. Every 64 MiB what is
//! written so far is made durable and goes on record with its SHA-256. A pull that was interrupted reads so much again,
//! and when it is still what was written and the object is still the same version, asks the bucket for the rest only.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use engine::Caller;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::beneath::{Dir, FILE_MODE};
use crate::digest::{ContentHasher, Cut};
use crate::hooks::{self, Occasion, Point};
use crate::layout::RESERVED_PREFIX;
use crate::object::{Object, ObjectName};
use crate::progress::Stage;
use crate::state::{Look, OpenPull, Record};
use crate::work::{Job, blocking};
use crate::{Error, Kind, LayoutKey, Progress, Result, Staging, properties};

/// How much may be lost to an interruption.
const CHECKPOINT_BYTES: u64 = 64 << 20;
/// How many pieces of the body wait for the disk.
const PIECES_WAITING_MAX: usize = 8;

/// What to pull.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// The bucket.
    pub bucket: String,
    /// The key, which must be one of the layout.
    pub key: String,
    /// Whether a staged file with other content is replaced.
    #[serde(default)]
    pub overwrite: bool,
}

/// What a pull did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulled {
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
    pub outcome: PullOutcome,
    /// What is worth knowing though the file is there: failed hooks, a description that was not written.
    pub warnings: Vec<String>,
}

/// What a pull found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "did")]
pub enum PullOutcome {
    /// The file was written.
    Written {
        /// Bytes of it that an interrupted pull had left.
        resumed_bytes: u64,
    },
    /// The file was there with the same content.
    AlreadyThere,
}

impl Staging {
    /// Writes an object to the path where CloudStack expects it. A file with the same content stays; one with other content is
    /// [`Error::FileExists`] unless the request says to overwrite. When this is interrupted (also by dropping it), the next
    /// pull of the same object goes on where it stopped.
    pub async fn pull(&self, caller: &Caller, request: &PullRequest, progress: &Arc<dyn Progress>) -> Result<Pulled> {
        let key = LayoutKey::parse(&request.key)?;
        let name = ObjectName::new(&request.bucket, &request.key)?;
        let job = self.begin(key.staged(), progress)?;
        let missing = || name.refused(engine::Error::NoSuchKey { marker: None });
        let object = self.inner.find_object(caller, &name).await?.ok_or_else(missing)?;
        let path = job.path.clone();
        let (root, size_bytes) = (self.inner.dir.as_path(), object.info.size_bytes);
        let occasion = Occasion { root, bucket: &request.bucket, key: &request.key, path: &path, size_bytes };
        job.at(Stage::Hook, 0, size_bytes);
        hooks::run(&self.inner.settings.hooks, Point::BeforePull, occasion).await?;
        let outcome = self.bring(caller, &job, &object, request.overwrite).await?;
        let mut warnings = Vec::new();
        if key.staged().kind == Kind::Template {
            warnings.extend(job.run(move |job| describe(job, &key)).await?);
        }
        job.at(Stage::Hook, size_bytes, size_bytes);
        hooks::run_after(&self.inner.settings.hooks, Point::AfterPull, occasion, &mut warnings).await;
        let Object { info, .. } = object;
        let (bucket, key) = (request.bucket.clone(), request.key.clone());
        tracing::info!(bucket, key, path, size_bytes, ?outcome, "pulled");
        Ok(Pulled { bucket, key, path, size_bytes, etag: info.etag, outcome, warnings })
    }

    async fn bring(&self, caller: &Caller, job: &Job, object: &Object, overwrite: bool) -> Result<PullOutcome> {
        let cut = self.inner.cut_of(caller, object).await?;
        let (theirs, for_check) = (object.clone(), cut.clone());
        match job.run(move |job| compare(job, &theirs, for_check)).await? {
            Existing::Same => return Ok(PullOutcome::AlreadyThere),
            Existing::Different if !overwrite => return Err(Error::FileExists { path: job.path.clone() }),
            Existing::Different | Existing::Nothing => (),
        }
        let theirs = object.clone();
        let part = job.run(move |job| PartFile::open(job, theirs, cut)).await?;
        let resumed_bytes = part.hasher.size_bytes();
        let part = self.fetch(caller, object, part).await?;
        blocking(move || part.finish(overwrite)).await?;
        Ok(PullOutcome::Written { resumed_bytes })
    }

    /// Moves the bytes that are missing.
    async fn fetch(&self, caller: &Caller, object: &Object, mut part: PartFile) -> Result<PartFile> {
        let offset = part.hasher.size_bytes();
        if offset == object.info.size_bytes {
            return Ok(part);
        }
        let ObjectName { bucket, key } = &object.name;
        let read = self.inner.engine.get_object(caller, bucket, key, &object.read_from(offset)).await;
        let mut body = read.map_err(|error| object.name.refused(error))?.body;
        let (pieces, waiting) = mpsc::channel(PIECES_WAITING_MAX);
        let writer = tokio::task::spawn_blocking(move || part.write_all(waiting).map(|()| part));
        let mut broken = None;
        while let Some(piece) = body.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            };
            if pieces.send(piece).await.is_err() {
                // The writer failed, and says why itself.
                break;
            }
        }
        drop(pieces);
        part = writer.await.unwrap_or(Err(Error::Internal("the writing thread stopped")))?;
        match broken {
            Some(error) => Err(object.name.refused(engine::Error::Body(error))),
            None => Ok(part),
        }
    }
}

/// What lies where the file shall be.
enum Existing {
    Nothing,
    Same,
    Different,
}

fn compare(job: &Job, object: &Object, cut: Cut) -> Result<Existing> {
    let Some(file) = job.find_file()? else { return Ok(Existing::Nothing) };
    let look = Look::of_file(&file, &job.path)?;
    if look.size_bytes != object.info.size_bytes {
        return Ok(Existing::Different);
    }
    let mut record = job.inner.records.load(&job.path)?;
    if record.copy.as_ref().is_some_and(|copy| copy.look == look && copy.object == object.mark()) {
        return Ok(Existing::Same);
    }
    let (found, look) = job.fingerprint(&file, cut)?;
    if object.difference(&found).is_some() {
        return Ok(Existing::Different);
    }
    record.copy = Some(job.proof(object.mark(), &found, look));
    discard_part(job, &mut record)?;
    Ok(Existing::Same)
}

/// Describes a template to CloudStack; gives why not, if it did not.
fn describe(job: &Job, key: &LayoutKey) -> Result<Option<String>> {
    let dir = directory(job)?;
    let not_staged = || Error::NotStaged { path: job.path.clone() };
    let file = dir.find_file(&job.staged.file)?.ok_or_else(not_staged)?;
    let mut record = job.inner.records.load(&job.path)?;
    match properties::describe(&dir, key, &file, record.properties_sha256.as_deref())? {
        Ok(sha256) => {
            record.properties_sha256 = Some(sha256);
            job.inner.records.save(&record)?;
            Ok(None)
        }
        Err(why) => Ok(Some(why)),
    }
}

/// Saves the record without its open pull, and removes what that wrote aside. Whether there was anything.
pub(crate) fn discard_part(job: &Job, record: &mut Record) -> Result<bool> {
    let open = record.pull.take();
    if open.is_some() {
        directory(job)?.unlink(&part_name(&job.path))?;
    }
    job.inner.records.save(record)?;
    Ok(open.is_some())
}

/// What the file is called while it is written: one name for each path, of bounded length.
fn part_name(path: &str) -> String {
    format!("{RESERVED_PREFIX}part-{}", &hex::encode(Sha256::digest(path))[..32])
}

/// The directory of the job's file, made if it is missing.
fn directory(job: &Job) -> Result<Dir> {
    let names = job.staged.directories();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    job.inner.root()?.make(&names)
}

/// The file that is written aside.
struct PartFile {
    job: Job,
    object: Object,
    dir: Dir,
    name: String,
    file: File,
    hasher: ContentHasher,
    /// How much is durable and on record.
    checkpoint_bytes: u64,
    record: Record,
}

impl PartFile {
    /// Opens what an interrupted pull of the same object version left, or a new file.
    fn open(job: &Job, object: Object, cut: Cut) -> Result<Self> {
        let dir = directory(job)?;
        let name = part_name(&job.path);
        let record = job.inner.records.load(&job.path)?;
        let resumed = match &record.pull {
            Some(open) if open.object == object.mark() => resume(job, &dir, &name, open, &cut)?,
            Some(_) | None => None,
        };
        let written_bytes = resumed.as_ref().map_or(0, |(_, hasher)| hasher.size_bytes());
        check_space(job, object.info.size_bytes - written_bytes)?;
        let (file, hasher) = match resumed {
            Some(resumed) => resumed,
            None => {
                dir.unlink(&name)?;
                (dir.create(&name)?, ContentHasher::new(cut))
            }
        };
        Ok(Self { job: job.clone(), object, dir, name, file, hasher, checkpoint_bytes: written_bytes, record })
    }

    /// Writes pieces until their sender is dropped, and puts on record how far it came.
    fn write_all(&mut self, mut pieces: mpsc::Receiver<Bytes>) -> Result<()> {
        let total_bytes = self.object.info.size_bytes;
        self.job.at(Stage::Copying, self.hasher.size_bytes(), total_bytes);
        let mut reported_bytes = self.hasher.size_bytes();
        while let Some(piece) = pieces.blocking_recv() {
            let offset = self.hasher.size_bytes();
            self.file.write_all_at(&piece, offset).map_err(|error| Error::file("writing", &self.job.path, error))?;
            self.hasher.update(&piece);
            let done_bytes = self.hasher.size_bytes();
            if done_bytes - reported_bytes >= 1 << 20 {
                self.job.at(Stage::Copying, done_bytes, total_bytes);
                reported_bytes = done_bytes;
            }
            if done_bytes - self.checkpoint_bytes >= CHECKPOINT_BYTES {
                self.checkpoint()?;
            }
        }
        self.job.at(Stage::Copying, self.hasher.size_bytes(), total_bytes);
        self.checkpoint()
    }

    fn checkpoint(&mut self) -> Result<()> {
        if self.job.inner.settings.sync {
            self.file.sync_data().map_err(|error| Error::file("syncing", &self.job.path, error))?;
        }
        self.record.pull = Some(OpenPull {
            object: self.object.mark(),
            part_inode: Look::of_file(&self.file, &self.job.path)?.inode,
            written_bytes: self.hasher.size_bytes(),
            written_sha256: hex::encode(self.hasher.sha256_so_far()),
        });
        self.job.inner.records.save(&self.record)?;
        self.checkpoint_bytes = self.hasher.size_bytes();
        Ok(())
    }

    /// Proves the content, makes it durable and gives it its name.
    fn finish(self, overwrite: bool) -> Result<()> {
        let Self { job, object, dir, name, file, hasher, mut record, .. } = self;
        job.at(Stage::Finishing, 0, object.info.size_bytes);
        let found = hasher.finish();
        record.pull = None;
        if let Some(what) = object.difference(&found) {
            dir.unlink(&name)?;
            job.inner.records.save(&record)?;
            return Err(Error::NotEqual { path: job.path, what });
        }
        let sync = job.inner.settings.sync;
        let ready = rustix::fs::fchmod(&file, FILE_MODE).map_err(Into::into);
        let ready = if sync { ready.and_then(|()| file.sync_all()) } else { ready };
        ready.map_err(|error| Error::file("syncing", &job.path, error))?;
        if overwrite {
            dir.rename(&name, &job.staged.file)?;
        } else if !dir.rename_to_free(&name, &job.staged.file)? {
            return Err(Error::FileExists { path: job.path });
        }
        if sync {
            dir.sync()?;
        }
        let look = Look::of_file(&file, &job.path)?;
        record.copy = Some(job.proof(object.mark(), &found, look));
        job.inner.records.save(&record)?;
        job.at(Stage::Finishing, object.info.size_bytes, object.info.size_bytes);
        Ok(())
    }
}

/// What an interrupted pull left, when it is still exactly that. Clients of the export may have replaced, linked or changed it.
fn resume(job: &Job, dir: &Dir, name: &str, open: &OpenPull, cut: &Cut) -> Result<Option<(File, ContentHasher)>> {
    let ours = |stat: &rustix::fs::Stat| {
        stat.st_ino == open.part_inode && stat.st_nlink == 1 && crate::beneath::is_plain(stat)
    };
    if open.written_bytes == 0 || !dir.stat(name)?.as_ref().is_some_and(ours) {
        return Ok(None);
    }
    let Some(file) = dir.find_file_to_write(name)? else { return Ok(None) };
    let look = Look::of_file(&file, &job.path)?;
    if look.inode != open.part_inode || look.size_bytes < open.written_bytes {
        return Ok(None);
    }
    let mut hasher = ContentHasher::new(cut.clone());
    job.hash_to(&file, &mut hasher, open.written_bytes, open.object.size_bytes)?;
    if hex::encode(hasher.sha256_so_far()) != open.written_sha256 {
        return Ok(None);
    }
    file.set_len(open.written_bytes).map_err(|error| Error::file("truncating", &job.path, error))?;
    Ok(Some((file, hasher)))
}

fn check_space(job: &Job, needed_bytes: u64) -> Result<()> {
    let free_bytes = job.inner.root()?.free_bytes()?;
    if free_bytes < needed_bytes {
        return Err(Error::NoSpace { needed_bytes, free_bytes });
    }
    Ok(())
}
