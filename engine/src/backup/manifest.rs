//! The files that describe a back-up.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use crc_fast::{CrcAlgorithm, Digest};
use serde::{Deserialize, Serialize};

use crate::disk::{Disk, DiskFile};
use crate::metadata::snapshot::BlobRow;
use crate::names::BlobId;
use crate::{Error, Result};

/// The format of a back-up.
pub(super) const FORMAT: u32 = 1;
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const METADATA: &str = crate::metadata::FILE;
pub(super) const BLOBS: &str = "blobs.txt";

/// What a back-up leaves out, in words for whoever restores it.
pub(super) const LEFT_OUT: [&str; 4] = [
    "the key ring (keys.json): access keys cannot be read without it; keep a copy elsewhere",
    "certificates (tls/): made anew, or as configured",
    "the connector's own state (connector.db): it adopts what it finds",
    "staged files (staging/) and the configuration file",
];

/// A file of a back-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checked {
    pub(super) size_bytes: u64,
    /// In hexadecimal.
    pub(super) crc64nvme: String,
}

/// The blobs of a back-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Blobs {
    pub(super) count: u64,
    pub(super) size_bytes: u64,
    pub(super) list: Checked,
}

/// What a back-up is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    pub(super) program: String,
    pub(super) store_id: String,
    /// In microseconds of the Unix epoch.
    pub(super) taken_us: i64,
    pub(super) metadata: Checked,
    /// `None` when only the metadata was kept.
    pub(super) blobs: Option<Blobs>,
    /// Blobs that the metadata refers to and that could not be read.
    pub(super) damaged: Vec<String>,
    /// Which share of the copies that were there before was read back; `None` without blobs, and from programs that read none.
    #[serde(default)]
    pub(super) verified_share: Option<u8>,
    /// By this a key ring is known to fit.
    pub(super) key_ring_check: String,
    pub(super) left_out: Vec<String>,
}

impl Manifest {
    pub(super) fn read(backup: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let path = backup.join(MANIFEST);
        let unusable = |why: String| Error::Unusable(format!("{}: {why}", path.display()));
        let text = std::fs::read(&path).map_err(|error| unusable(format!("this is no whole back-up: {error}")))?;
        let versioned: Versioned = serde_json::from_slice(&text).map_err(|_| unusable("this is no manifest".into()))?;
        if versioned.format != FORMAT {
            return Err(unusable(format!("it has format {}, this program knows {FORMAT}", versioned.format)));
        }
        serde_json::from_slice(&text).map_err(|error| unusable(format!("it cannot be read: {error}")))
    }

    pub(super) fn write(&self, disk: &dyn Disk, backup: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(|_| Error::Internal("a manifest could not be written"))?;
        write_file(disk, &backup.join(MANIFEST), &text)
    }
}

/// Writes a new file durably; its name is durable when its directory is synced.
pub(super) fn write_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<()> {
    let written = disk.create_new(path).and_then(|mut file| {
        file.write(bytes)?;
        file.sync_data()
    });
    written.map_err(|e| Error::io("writing a file of a back-up", e))
}

/// Reads a file and computes its checksum.
pub(super) fn check(path: &Path) -> Result<Checked> {
    let failed = |e| Error::io("reading a file of a back-up", e);
    let mut file = File::open(path).map_err(failed)?;
    let (mut crc, mut size_bytes, mut buffer) = (Digest::new(CrcAlgorithm::Crc64Nvme), 0, vec![0; 1 << 20]);
    loop {
        let count = file.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            return Ok(Checked { size_bytes, crc64nvme: format!("{:016x}", crc.finalize()) });
        }
        crc.update(&buffer[..count]);
        size_bytes += count as u64;
    }
}

/// Copies a file and compares it with its checksum.
pub(super) fn copy_checked(from: &Path, disk: &dyn Disk, to: &Path, expected: &Checked) -> Result<()> {
    let failed = |e| Error::io("copying a file of a back-up", e);
    let mut file = File::open(from).map_err(failed)?;
    let mut made = disk.create_new(to).map_err(failed)?;
    let (mut crc, mut size_bytes, mut buffer) = (Digest::new(CrcAlgorithm::Crc64Nvme), 0, vec![0; 1 << 20]);
    loop {
        let count = file.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            break;
        }
        crc.update(&buffer[..count]);
        size_bytes += count as u64;
        made.write(&buffer[..count]).map_err(failed)?;
    }
    if (Checked { size_bytes, crc64nvme: format!("{:016x}", crc.finalize()) }) != *expected {
        return Err(Error::corrupt(format!("{} does not match its checksum", from.display())));
    }
    made.sync_data().map_err(failed)
}

/// A blob of a back-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlobLine {
    pub(super) id: BlobId,
    pub(super) size_bytes: u64,
    pub(super) crc64nvme: u64,
}

/// Writes the list of the blobs as they are learned.
pub(super) struct BlobList {
    file: Box<dyn DiskFile>,
    crc: Digest,
    written: Blobs,
}

impl BlobList {
    pub(super) fn create(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let file = disk.create_new(path).map_err(|e| Error::io("writing the list of blobs", e))?;
        let list = Checked { size_bytes: 0, crc64nvme: String::new() };
        Ok(Self { file, crc: Digest::new(CrcAlgorithm::Crc64Nvme), written: Blobs { count: 0, size_bytes: 0, list } })
    }

    pub(super) fn add(&mut self, blobs: &[BlobLine]) -> Result<()> {
        let mut text = Vec::with_capacity(blobs.len() * 64);
        for BlobLine { id, size_bytes, crc64nvme } in blobs {
            // Writing to memory does not fail.
            let _ = writeln!(text, "{id} {size_bytes} {crc64nvme:016x}");
            self.written.size_bytes += size_bytes;
        }
        self.written.count += blobs.len() as u64;
        self.written.list.size_bytes += text.len() as u64;
        self.crc.update(&text);
        self.file.write(&text).map_err(|e| Error::io("writing the list of blobs", e))
    }

    pub(super) fn finish(mut self) -> Result<Blobs> {
        self.file.sync_data().map_err(|e| Error::io("writing the list of blobs", e))?;
        self.written.list.crc64nvme = format!("{:016x}", self.crc.finalize());
        Ok(self.written)
    }
}

/// Reads the list of the blobs of a back-up, which was compared with its checksum before.
pub(super) fn blobs(backup: &Path) -> Result<impl Iterator<Item = Result<BlobLine>>> {
    let file = File::open(backup.join(BLOBS)).map_err(|e| Error::io("opening the list of blobs", e))?;
    Ok(BufReader::new(file).lines().map(|line| {
        let line = line.map_err(|e| Error::io("reading the list of blobs", e))?;
        parse_line(&line).ok_or_else(|| Error::corrupt("a line of the list of blobs is malformed"))
    }))
}

fn parse_line(line: &str) -> Option<BlobLine> {
    let mut words = line.split(' ');
    let id = BlobId::from_hex(words.next()?)?;
    let size_bytes = words.next()?.parse().ok()?;
    let crc64nvme = u64::from_str_radix(words.next()?, 16).ok()?;
    words.next().is_none().then_some(BlobLine { id, size_bytes, crc64nvme })
}

/// Whether a blob is what a row of the metadata says.
pub(super) fn fits(row: &BlobRow, size_bytes: u64, crc64nvme: u64) -> bool {
    row.size_bytes == size_bytes && row.crc64nvme.is_none_or(|crc| crc == crc64nvme)
}
