//! Evict: staged files whose content is proven to be in the bucket make room.
//!
//! A file goes only when the object version on record is the bucket's current one, the file read now has the SHA-256 on
//! record, and the bucket still has that version after the reading. The file is renamed aside first, looked at once more
//! and only then removed, so that nothing that was put in its place meanwhile is lost. Directories that become empty go too,
//! but never those of the layout itself; `template.properties` goes with the last file that it can describe.
//!
//! CloudStack is not told: where its database says that a copy is staged, it may look for the file. Its own eviction goes by
//! age alone (30 days by default); evicting younger files is best left to when CloudStack does not use the store.

use std::fmt;
use std::sync::Arc;

use engine::Caller;
use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

use crate::beneath::{Dir, Root};
use crate::digest::Cut;
use crate::hooks::{self, Occasion, Point};
use crate::layout::{RESERVED_PREFIX, TEMPLATE_PROPERTIES};
use crate::list::walk;
use crate::object::ObjectName;
use crate::progress::Stage;
use crate::pull::discard_part;
use crate::state::{Look, ProvenCopy, Record};
use crate::work::Job;
use crate::{Error, Inner, Progress, Result, StagedPath, Staging, properties};

/// Which files to evict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvictScope {
    /// The file of a path beneath the staging directory.
    Path(String),
    /// Every file.
    All,
    /// Files that were neither written, read, renamed nor proven for so many seconds.
    OlderThanS(u64),
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evicted {
    /// Its path beneath the staging directory.
    pub path: String,
    /// Its size.
    pub size_bytes: u64,
    /// What was done.
    pub outcome: EvictOutcome,
    /// What is worth knowing all the same: failed hooks.
    pub warnings: Vec<String>,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvictOutcome {
    /// It was removed.
    Evicted,
    /// It was half of an interrupted pull, which was given up.
    Discarded,
    /// It stays.
    Kept(Kept),
}

/// Why a file stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// Nothing on record says that it is in a bucket.
    Unproven,
    /// Its content is no longer what is on record.
    FileChanged,
    /// The object is gone.
    ObjectGone,
    /// The object is another one now.
    ObjectChanged,
    /// Another action works on it.
    Busy,
    /// The hook before it said no, or something failed.
    Failed(String),
}

impl fmt::Display for Kept {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unproven => out.write_str("it is not known to be in a bucket: push it first"),
            Self::FileChanged => out.write_str("it changed since it was last equal to its object: push it first"),
            Self::ObjectGone => out.write_str("its object is no longer in the bucket"),
            Self::ObjectChanged => out.write_str("its object was replaced since they were last equal"),
            Self::Busy => out.write_str("another staging action works on it"),
            Self::Failed(why) => out.write_str(why),
        }
    }
}

impl Staging {
    /// Removes staged files whose content is proven to be in the bucket, and says of each other one why it stays.
    /// [`Error::NotStaged`] when one path was named and nothing is there.
    pub async fn evict(
        &self,
        caller: &Caller,
        scope: &EvictScope,
        progress: &Arc<dyn Progress>,
    ) -> Result<Vec<Evicted>> {
        let inner = self.inner.clone();
        let wanted = scope.clone();
        let paths = crate::work::blocking(move || choose(&inner, &wanted)).await?;
        let mut answers = Vec::new();
        for path in paths {
            let mut answer =
                Evicted { path: path.to_string(), size_bytes: 0, outcome: EvictOutcome::Evicted, warnings: Vec::new() };
            answer.outcome = match self.evict_one(caller, &path, progress, &mut answer).await {
                Ok(outcome) => outcome,
                Err(error @ Error::NotStaged { .. }) if matches!(scope, EvictScope::Path(_)) => return Err(error),
                // It went by itself between listing and now.
                Err(Error::NotStaged { .. }) => continue,
                Err(error) => EvictOutcome::Kept(kept(&error)),
            };
            tracing::info!(path = answer.path, outcome = ?answer.outcome, "evict");
            answers.push(answer);
        }
        Ok(answers)
    }

    async fn evict_one(
        &self,
        caller: &Caller,
        path: &StagedPath,
        progress: &Arc<dyn Progress>,
        answer: &mut Evicted,
    ) -> Result<EvictOutcome> {
        let job = self.begin(path, progress)?;
        let (record, look) = job.run(look_up).await?;
        let Some(look) = look else { return discard(&job, record).await };
        answer.size_bytes = look.size_bytes;
        let Some(copy) = record.copy else { return Ok(EvictOutcome::Kept(Kept::Unproven)) };
        if look.size_bytes != copy.object.size_bytes {
            return Ok(EvictOutcome::Kept(Kept::FileChanged));
        }
        if let Some(why) = self.object_differs(caller, &copy).await? {
            return Ok(EvictOutcome::Kept(why));
        }
        let ProvenCopy { object, sha256, .. } = copy.clone();
        let root = self.inner.dir.as_path();
        let occasion =
            Occasion { root, bucket: &object.bucket, key: &object.key, path: &job.path, size_bytes: look.size_bytes };
        job.at(Stage::Hook, 0, look.size_bytes);
        hooks::run(&self.inner.settings.hooks, Point::BeforeEvict, occasion).await?;
        let Some(look) = job.run(move |job| still_proven(job, &sha256)).await? else {
            return Ok(EvictOutcome::Kept(Kept::FileChanged));
        };
        if let Some(why) = self.object_differs(caller, &copy).await? {
            return Ok(EvictOutcome::Kept(why));
        }
        if !job.run(move |job| remove(job, &look)).await? {
            return Ok(EvictOutcome::Kept(Kept::FileChanged));
        }
        job.at(Stage::Hook, look.size_bytes, look.size_bytes);
        hooks::run_after(&self.inner.settings.hooks, Point::AfterEvict, occasion, &mut answer.warnings).await;
        Ok(EvictOutcome::Evicted)
    }

    /// Why the bucket does not have what is on record; `None` when it does.
    async fn object_differs(&self, caller: &Caller, copy: &ProvenCopy) -> Result<Option<Kept>> {
        let name = ObjectName::new(&copy.object.bucket, &copy.object.key)?;
        let object = match self.inner.find_object(caller, &name).await {
            Ok(Some(object)) => object,
            Ok(None) | Err(Error::Object { source: engine::Error::NoSuchBucket, .. }) => {
                return Ok(Some(Kept::ObjectGone));
            }
            Err(error) => return Err(error),
        };
        let checksum_differs = object.info.checksums.crc64nvme.is_some_and(|crc| crc != copy.crc64nvme);
        Ok((object.mark() != copy.object || checksum_differs).then_some(Kept::ObjectChanged))
    }
}

fn kept(error: &Error) -> Kept {
    match error {
        Error::Busy { .. } => Kept::Busy,
        Error::FileChanged { .. } => Kept::FileChanged,
        other => Kept::Failed(other.to_string()),
    }
}

/// The paths that a scope names.
fn choose(inner: &Inner, scope: &EvictScope) -> Result<Vec<StagedPath>> {
    let age_s_min = match scope {
        EvictScope::Path(path) => return Ok(vec![StagedPath::parse(path)?]),
        EvictScope::All => None,
        EvictScope::OlderThanS(age_s) => Some(*age_s),
    };
    let staged = walk(&inner.root()?)?;
    let mut chosen = Vec::new();
    for record in inner.records.all()? {
        let path = StagedPath::parse(&record.path)?;
        let there = staged.iter().any(|(staged, _)| *staged == path);
        match (there, &record.pull) {
            (true, _) => (),
            (false, Some(_)) => chosen.push(path),
            // CloudStack renamed the file: what is on record still tells what it is.
            (false, None) if staged.iter().any(|(other, stat)| record.is_of_renamed(other, &Look::of(stat))) => (),
            // CloudStack removed the file. An open upload stays on record until it is resumed or replaced.
            (false, None) if record.push.is_none() && record.evicting.is_none() => forget(inner, &record.path)?,
            (false, None) => (),
        }
    }
    let now_us = inner.engine.clock().now_us();
    for (path, stat) in staged {
        let proven_us = inner.records.of_file(&path, &Look::of(&stat))?.copy.map_or(0, |copy| copy.proven_us);
        let age_us = now_us.saturating_sub(last_use_us(&stat).max(proven_us));
        if age_s_min.is_none_or(|age_s| age_us >= i64::try_from(age_s).unwrap_or(i64::MAX).saturating_mul(1_000_000)) {
            chosen.push(path);
        }
    }
    Ok(chosen)
}

fn last_use_us(stat: &Stat) -> i64 {
    stat.st_atime.max(stat.st_mtime).max(stat.st_ctime).saturating_mul(1_000_000)
}

/// Forgets a path that no action holds.
fn forget(inner: &Inner, path: &str) -> Result<()> {
    match inner.busy.hold(path) {
        Ok(_held) => inner.records.save(&Record::new(path)),
        Err(_) => Ok(()),
    }
}

fn look_up(job: &Job) -> Result<(Record, Option<Look>)> {
    let look = job.find_file()?.map(|file| Look::of_file(&file, &job.path)).transpose()?;
    let record = match &look {
        Some(look) => job.inner.records.of_file(&job.staged, look)?,
        None => job.inner.records.load(&job.path)?,
    };
    Ok((record, look))
}

async fn discard(job: &Job, mut record: Record) -> Result<EvictOutcome> {
    job.run(move |job| {
        if !discard_part(job, &mut record)? {
            return Err(Error::NotStaged { path: job.path.clone() });
        }
        remove_empty(&job.inner.root()?, &job.staged)?;
        Ok(EvictOutcome::Discarded)
    })
    .await
}

/// Reads the file; how it looks when it still has the content on record.
fn still_proven(job: &Job, sha256: &str) -> Result<Option<Look>> {
    let Some(file) = job.find_file()? else { return Err(Error::NotStaged { path: job.path.clone() }) };
    let (found, look) = job.fingerprint(&file, Cut::Untagged)?;
    Ok((hex::encode(found.sha256) == sha256).then_some(look))
}

/// Removes the file that was read, when it is still that one.
fn remove(job: &Job, proven: &Look) -> Result<bool> {
    job.at(Stage::Finishing, 0, proven.size_bytes);
    let names = job.staged.directories();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let root = job.inner.root()?;
    let Some(dir) = root.find(&names)? else { return Ok(false) };
    let name = job.staged.file.as_str();
    if dir.stat(name)?.is_none_or(|stat| Look::of(&stat) != *proven) {
        return Ok(false);
    }
    let aside = format!("{RESERVED_PREFIX}evict-{}", uuid::Uuid::new_v4().simple());
    let mut record = job.inner.records.load(&job.path)?;
    record.evicting = Some(aside.clone());
    job.inner.records.save(&record)?;
    dir.rename(name, &aside)?;
    // Renaming changes nothing but the time of the last change of attributes.
    let same = dir.stat(&aside)?.is_some_and(|stat| Look::of(&stat).same_content(proven));
    if !same {
        put_back(&dir, name, &aside)?;
        record.evicting = None;
        job.inner.records.save(&record)?;
        return Ok(false);
    }
    dir.unlink(&aside)?;
    dir.sync()?;
    let ours = record.properties_sha256.take();
    (record.copy, record.evicting) = (None, None);
    job.inner.records.save(&record)?;
    let tidied = remove_description(&dir, name, ours.as_deref());
    if let Err(error) = tidied.and_then(|()| remove_empty(&root, &job.staged)) {
        // The file is gone, which is what was asked for; an empty directory more does no harm.
        tracing::warn!(path = job.path, %error, "what stood beside an evicted file could not be removed");
    }
    Ok(true)
}

/// Gives a file its name back. When something took the name meanwhile, that stays, and so does the file aside: both are there
/// to be looked at.
fn put_back(dir: &Dir, name: &str, aside: &str) -> Result<()> {
    if !dir.rename_to_free(aside, name)? {
        tracing::warn!(
            file = dir.path_of(aside),
            "a staged file that changed during its eviction was left aside, its name was taken"
        );
    }
    dir.sync()
}

/// Removes `template.properties` when no other file is left in the directory and it is ours or describes the evicted file.
fn remove_description(dir: &Dir, name: &str, ours: Option<&str>) -> Result<()> {
    if dir.names()?.iter().any(|other| other != TEMPLATE_PROPERTIES) {
        return Ok(());
    }
    let Some(there) = properties::read(dir)? else { return Ok(()) };
    if ours == Some(there.sha256.as_str()) || there.file_name.as_deref() == Some(name) {
        dir.unlink(TEMPLATE_PROPERTIES)?;
        dir.sync()?;
    }
    Ok(())
}

/// Removes the directories of an id and an account when they are empty.
fn remove_empty(root: &Root<'_>, path: &StagedPath) -> Result<()> {
    let names = path.directories();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if root.remove_empty(&names)? {
        root.remove_empty(&names[..names.len() - 1])?;
    }
    Ok(())
}

/// After a crash: files that stand aside get their names back, and may be evicted again. What a client of the export planted in
/// the way must not keep the store from starting, so such a file is left to be looked at.
pub(crate) fn finish_interrupted(inner: &Inner) -> Result<()> {
    let root = inner.root()?;
    for mut record in inner.records.all()? {
        let Some(aside) = record.evicting.take() else { continue };
        match give_name_back(&root, &record.path, &aside) {
            Ok(()) => inner.records.save(&record)?,
            Err(error) => {
                tracing::error!(path = record.path, aside, %error, "a file whose eviction was interrupted could not be put back");
            }
        }
    }
    Ok(())
}

fn give_name_back(root: &Root<'_>, path: &str, aside: &str) -> Result<()> {
    let path = StagedPath::parse(path)?;
    let names = path.directories();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let Some(dir) = root.find(&names)? else { return Ok(()) };
    if dir.stat(aside)?.is_none() {
        return Ok(());
    }
    put_back(&dir, &path.file, aside)
}
