//! What is on record of staged files: which object each is a proven copy of, and what is half done.
//!
//! One small JSON file per staged path beneath the data directory, out of reach of the export's clients. A record is
//! replaced as a whole (written aside, synced, renamed), so a crash leaves the old or the new one. Losing records loses no
//! data: a file without one is merely not evicted until it is pushed or pulled again. So a damaged record is an error for whoever works
//! on its path, and is left out where all are looked at.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Result, StagedPath};

/// The version of the records' shape.
const FORMAT: u32 = 1;

/// How a file looks from outside; when none of this changed, its content most likely did not either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Look {
    pub(crate) inode: u64,
    pub(crate) size_bytes: u64,
    /// Nanoseconds of the Unix epoch.
    pub(crate) modified_ns: i64,
    /// Nanoseconds of the Unix epoch.
    pub(crate) changed_ns: i64,
}

impl Look {
    pub(crate) fn of(stat: &Stat) -> Self {
        let nanos = |s: i64, ns: i64| s.saturating_mul(1_000_000_000).saturating_add(ns);
        let (modified, changed) = (stat.st_mtime_nsec, stat.st_ctime_nsec);
        Self {
            inode: stat.st_ino,
            size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
            modified_ns: nanos(stat.st_mtime, i64::try_from(modified).unwrap_or(0)),
            changed_ns: nanos(stat.st_ctime, i64::try_from(changed).unwrap_or(0)),
        }
    }

    /// Whether it is the same file with the same content, its name and rights aside.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        (self.inode, self.size_bytes, self.modified_ns) == (other.inode, other.size_bytes, other.modified_ns)
    }

    pub(crate) fn of_file(file: &File, path: &str) -> Result<Self> {
        let stat = rustix::fs::fstat(file).map_err(|error| Error::file("looking at", path, error))?;
        Ok(Self::of(&stat))
    }
}

/// An object version, as far as it must be told from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectMark {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) version_id: String,
    pub(crate) etag: String,
    pub(crate) size_bytes: u64,
}

/// That a file had the content of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProvenCopy {
    pub(crate) object: ObjectMark,
    /// Hexadecimal.
    pub(crate) sha256: String,
    pub(crate) crc64nvme: u64,
    pub(crate) look: Look,
    /// Microseconds of the Unix epoch.
    pub(crate) proven_us: i64,
}

/// A pull that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenPull {
    pub(crate) object: ObjectMark,
    /// The inode of the file written aside.
    pub(crate) part_inode: u64,
    /// How much of it is durable.
    pub(crate) written_bytes: u64,
    /// The SHA-256 of so much, hexadecimal.
    pub(crate) written_sha256: String,
}

/// A push that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenPush {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) upload_id: String,
    pub(crate) size_bytes: u64,
    pub(crate) part_size_bytes: u64,
}

/// What is on record of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    format: u32,
    pub(crate) path: String,
    pub(crate) copy: Option<ProvenCopy>,
    pub(crate) pull: Option<OpenPull>,
    pub(crate) push: Option<OpenPush>,
    /// The name that a file has while it is evicted.
    pub(crate) evicting: Option<String>,
    /// SHA-256 of the template.properties that we wrote beside it, hexadecimal.
    pub(crate) properties_sha256: Option<String>,
}

impl Record {
    pub(crate) fn new(path: &str) -> Self {
        Self {
            format: FORMAT,
            path: path.to_owned(),
            copy: None,
            pull: None,
            push: None,
            evicting: None,
            properties_sha256: None,
        }
    }

    /// Whether a file of another name in the same directory is the one on record, as it looks. CloudStack gives staged templates
    /// random names, which changes neither their inode nor the time of their last change.
    pub(crate) fn is_of_renamed(&self, path: &StagedPath, look: &Look) -> bool {
        let same = self.copy.as_ref().is_some_and(|copy| copy.look.same_content(look));
        same && StagedPath::parse(&self.path).is_ok_and(|own| own != *path && own.is_beside(path))
    }

    fn is_empty(&self) -> bool {
        *self == Self::new(&self.path)
    }
}

/// The directory of the records.
#[derive(Debug)]
pub(crate) struct Records {
    dir: PathBuf,
}

impl Records {
    pub(crate) fn open(dir: PathBuf) -> Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.map_err(|error| Error::file("making", dir.display().to_string(), error))?;
        Ok(Self { dir })
    }

    /// The record of a path; an empty one when there is none.
    pub(crate) fn load(&self, path: &str) -> Result<Record> {
        Ok(self.read(&self.file_of(path))?.unwrap_or_else(|| Record::new(path)))
    }

    /// The record of a file: its path's, else with what is known of it from a name that it had before.
    pub(crate) fn of_file(&self, path: &StagedPath, look: &Look) -> Result<Record> {
        let file = self.file_of(&path.to_string());
        let mut record = self.read_or_tell(&file)?.unwrap_or_else(|| Record::new(&path.to_string()));
        if record.copy.is_none() {
            record.copy =
                self.all()?.into_iter().find(|other| other.is_of_renamed(path, look)).and_then(|other| other.copy);
        }
        Ok(record)
    }

    /// Replaces the record of its path; one that says nothing is removed.
    pub(crate) fn save(&self, record: &Record) -> Result<()> {
        let file = self.file_of(&record.path);
        let saved = if record.is_empty() { remove(&file) } else { self.replace(&file, record) };
        saved
            .and_then(|()| File::open(&self.dir)?.sync_all())
            .map_err(|error| Error::file("saving", file.display().to_string(), error))
    }

    /// Every record that can be read; what cannot is told in the log.
    pub(crate) fn all(&self) -> Result<Vec<Record>> {
        let failed = |error| Error::file("reading", self.dir.display().to_string(), error);
        let mut records = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            if file.extension().is_some_and(|end| end == "json") {
                records.extend(self.read_or_tell(&file)?);
            }
        }
        Ok(records)
    }

    fn file_of(&self, path: &str) -> PathBuf {
        self.dir.join(format!("{}.json", hex::encode(Sha256::digest(path))))
    }

    /// Leaves out a record that cannot be read. It stays where it is: a newer program may know it.
    fn read_or_tell(&self, file: &PathBuf) -> Result<Option<Record>> {
        match self.read(file) {
            Err(error @ Error::Record { .. }) => {
                tracing::warn!(%error, "a record of the staging store is left out");
                Ok(None)
            }
            read => read,
        }
    }

    fn read(&self, file: &PathBuf) -> Result<Option<Record>> {
        let refuse = |why: String| Error::Record { file: file.display().to_string(), why };
        let text = match fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refuse(error.to_string())),
        };
        let raw: serde_json::Value = serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))?;
        match raw.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => (),
            other => return Err(refuse(format!("its format is {other:?}, this program knows {FORMAT}"))),
        }
        let record: Record = serde_json::from_value(raw).map_err(|error| refuse(error.to_string()))?;
        if self.file_of(&record.path) != *file {
            return Err(refuse("it speaks of another path".to_owned()));
        }
        Ok(Some(record))
    }

    fn replace(&self, file: &PathBuf, record: &Record) -> io::Result<()> {
        let aside = file.with_extension("new");
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        out.write_all(&serde_json::to_vec_pretty(record)?)?;
        out.sync_all()?;
        fs::rename(&aside, file)
    }
}

fn remove(file: &PathBuf) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(path: &str) -> Record {
        let push = OpenPush {
            bucket: "b".into(),
            key: "k".into(),
            upload_id: "u".into(),
            size_bytes: 7,
            part_size_bytes: 5 << 20,
        };
        Record { push: Some(push), ..Record::new(path) }
    }

    #[test]
    fn records_come_back_and_empty_ones_vanish() {
        let temp = tempfile::tempdir().unwrap();
        let records = Records::open(temp.path().join("state")).unwrap();
        let path = "volumes/1/2/a b?%ü";
        assert_eq!(records.load(path).unwrap(), Record::new(path));
        records.save(&sample(path)).unwrap();
        assert_eq!(records.load(path).unwrap(), sample(path));
        assert_eq!(records.all().unwrap(), vec![sample(path)]);
        records.save(&Record::new(path)).unwrap();
        assert_eq!(records.all().unwrap(), vec![]);
        assert_eq!(fs::read_dir(temp.path().join("state")).unwrap().count(), 0);
    }

    #[test]
    fn what_a_crash_left_aside_does_no_harm() {
        let temp = tempfile::tempdir().unwrap();
        let records = Records::open(temp.path().to_owned()).unwrap();
        records.save(&sample("volumes/1/2/a")).unwrap();
        let file = records.file_of("volumes/1/2/a");
        fs::write(file.with_extension("new"), b"{\"format\": 1, \"pa").unwrap();
        assert_eq!(records.load("volumes/1/2/a").unwrap(), sample("volumes/1/2/a"));
        assert_eq!(records.all().unwrap().len(), 1);
        records.save(&sample("volumes/1/2/a")).unwrap();
        assert!(!file.with_extension("new").exists());
    }

    #[test]
    fn unknown_formats_and_foreign_records_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let records = Records::open(temp.path().to_owned()).unwrap();
        records.save(&sample("volumes/1/2/a")).unwrap();
        fs::rename(records.file_of("volumes/1/2/a"), records.file_of("volumes/1/2/b")).unwrap();
        assert!(records.load("volumes/1/2/b").unwrap_err().to_string().contains("another path"));
        fs::write(records.file_of("volumes/1/2/c"), b"{\"format\": 2}").unwrap();
        assert!(records.load("volumes/1/2/c").unwrap_err().to_string().contains("format"));
        records.save(&sample("volumes/1/2/d")).unwrap();
        assert_eq!(records.all().unwrap(), vec![sample("volumes/1/2/d")], "the others are not in the way");
    }
}
