//! The file in which a rebuild names what it could not restore, a JSON object a line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::unrestored::{Loss, Unrestored};
use crate::bytes::blocking;
use crate::disk::DiskFile;
use crate::journal::Told;
use crate::{Engine, Error, Result, stamp};

/// Things that a report names itself; all of them are in its file.
const SHOWN_MAX: usize = 20;
/// Bytes that are written to the file in one go.
const WRITE_BYTES: usize = 64 << 10;

/// A line of the file.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    pub(super) what: Loss,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bucket: Option<String>,
    /// The object's key, or the name of another thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) upload: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) part: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) size_bytes: Option<u64>,
    /// What was changed, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) change: Option<String>,
    /// The blob with its bytes, in quarantine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) blob: Option<String>,
    /// When it was made or changed.
    pub(super) at_us: i64,
}

impl Line {
    pub(super) fn new(what: Loss, at_us: i64) -> Self {
        Self {
            what,
            bucket: None,
            key: None,
            version: None,
            upload: None,
            part: None,
            size_bytes: None,
            change: None,
            blob: None,
            at_us,
        }
    }

    /// As people read it.
    fn shown(&self) -> String {
        let place: Vec<&str> =
            [&self.change, &self.bucket, &self.key].into_iter().flatten().map(String::as_str).collect();
        let name = visible(&if self.change.is_some() { place.join(" ") } else { place.join("/") });
        match (&self.blob, name.is_empty()) {
            (Some(blob), true) => format!("blob {blob}"),
            (Some(blob), false) => format!("{name} (its bytes: blob {blob})"),
            (None, _) => name,
        }
    }
}

/// A name that may hold anything, as it can be shown on a terminal.
fn visible(name: &str) -> String {
    name.chars().fold(String::new(), |mut shown, c| {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
        shown
    })
}

/// The file of all that is named, and what the report has of it.
pub(super) struct List {
    path: PathBuf,
    /// `None` while some of it is being written.
    file: Option<Box<dyn DiskFile>>,
    unwritten: Vec<u8>,
    counts: BTreeMap<Loss, u64>,
    first: Vec<String>,
}

impl List {
    pub(super) async fn begin(engine: &Engine) -> Result<Self> {
        let settings = &engine.inner.settings;
        let path = settings.data_dir.join(format!("rebuilt-{}.jsonl", stamp::of(settings.clock.now_us())));
        let (disk, at) = (settings.disk.clone(), path.clone());
        let file = blocking(move || disk.create_new(&at).map_err(failed)).await?;
        let (counts, first) = (BTreeMap::new(), Vec::new());
        Ok(Self { path, file: Some(file), unwritten: Vec::new(), counts, first })
    }

    pub(super) async fn add(&mut self, line: Line) -> Result<()> {
        *self.counts.entry(line.what).or_default() += 1;
        if self.first.len() < SHOWN_MAX {
            self.first.push(line.shown());
        }
        serde_json::to_writer(&mut self.unwritten, &line).map_err(|error| failed(error.into()))?;
        self.unwritten.push(b'\n');
        if self.unwritten.len() < WRITE_BYTES { Ok(()) } else { self.write().await }
    }

    async fn write(&mut self) -> Result<()> {
        let bytes = std::mem::take(&mut self.unwritten);
        let mut file = self.file.take().ok_or(Error::Internal("a list of what was lost could not be written"))?;
        let written = blocking(move || {
            file.write(&bytes).map_err(failed)?;
            Ok(file)
        });
        self.file = Some(written.await?);
        Ok(())
    }

    pub(super) async fn end(mut self, engine: &Engine, told: Told) -> Result<Unrestored> {
        self.write().await?;
        let (disk, data_dir) = (engine.inner.settings.disk.clone(), engine.inner.settings.data_dir.clone());
        let file = self.file.take();
        blocking(move || {
            file.map_or(Ok(()), |file| file.sync_data()).map_err(failed)?;
            crate::data_dir::sync(&*disk, &data_dir)
        })
        .await?;
        Ok(Unrestored { file: self.path, counts: self.counts, first: self.first, told })
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::io("writing the list of what was lost", error)
}
