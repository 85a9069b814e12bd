//! The key ring: the file that opens the secrets of a database.
//!
//! It is a versioned JSON file, readable by its owner only, made at the first start. It holds several keys: new values are sealed
//! under the current one, older values still open with theirs. It is never part of a backup of the database.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::{hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use secrecy::zeroize::{Zeroize, Zeroizing};
use serde::{Deserialize, Serialize};

use super::seal::{self, Place};
use crate::{Error, Result};

/// The version of the file's format.
const VERSION: u32 = 1;
/// A ring is a few keys; a larger file is none.
const FILE_SIZE_BYTES_MAX: u64 = 1 << 20;
/// What the check value of a database says when it is opened.
const CHECK: &[u8] = b"cloudhold key ring";
const CHECK_PLACE: Place<'static> = Place { table: "store_info", column: "value", row: "ring_check" };

/// What a keyed hash is for: hashes of different kinds never agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HashLabel {
    /// Tokens of console sessions.
    Session,
    /// Tokens of temporary keys.
    TemporaryKey,
    /// Generated passwords of service accounts.
    ServiceAccount,
}

impl HashLabel {
    fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Session => b"session",
            Self::TemporaryKey => b"temporary key",
            Self::ServiceAccount => b"service account",
        }
    }
}

/// The keys of a store. Its `Debug` shows only key ids.
pub(crate) struct KeyRing {
    path: PathBuf,
    current: u32,
    /// Never empty; holds `current`.
    keys: Vec<RingKey>,
}

struct RingKey {
    id: u32,
    bytes: Zeroizing<[u8; 32]>,
    cipher: LessSafeKey,
    hash: hmac::Key,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RingFile {
    version: u32,
    current: u32,
    keys: Vec<KeyEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    id: u32,
    /// 32 bytes in base64.
    key: String,
}

impl Drop for KeyEntry {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl KeyRing {
    /// Reads the ring, or makes one when there is none and the database is new. An existing database without its ring is refused: its
    /// secrets would be lost for good as soon as another ring took its place.
    pub(crate) fn open_or_create(path: &Path, database_is_new: bool) -> Result<Self> {
        match File::open(path) {
            Ok(file) => Self::read(path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound && database_is_new => Self::create(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::Unusable(format!(
                "the key ring {} is missing; the secrets in the database open only with it, so put it back",
                path.display()
            ))),
            Err(error) => Err(Error::io("opening the key ring", error)),
        }
    }

    /// Reads a ring that must be there, and copies it to a place where there is none.
    pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
        let ring = Self::open_or_create(from, false)?;
        let ring = Self { path: to.to_owned(), ..ring };
        ring.write(|aside| {
            fs::hard_link(aside, to)?;
            fs::remove_file(aside)
        })
    }

    fn create(path: &Path) -> Result<Self> {
        let ring = Self { path: path.to_owned(), current: 1, keys: vec![RingKey::new(1, rand::random())?] };
        // A hard link never replaces a file, so that two first starts with one key file cannot overwrite each other's ring.
        ring.write(|aside| {
            fs::hard_link(aside, path)?;
            fs::remove_file(aside)
        })?;
        Ok(ring)
    }

    fn read(path: &Path, file: File) -> Result<Self> {
        let meta = file.metadata().map_err(|e| Error::io("reading the key ring", e))?;
        if !meta.is_file() {
            return Err(unusable(path, "is not a regular file"));
        }
        if meta.mode() & 0o077 != 0 {
            return Err(unusable(path, "is open to other users; set its mode to 0600"));
        }
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(FILE_SIZE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| Error::io("reading the key ring", e))?;
        if bytes.len() as u64 > FILE_SIZE_BYTES_MAX {
            return Err(unusable(path, "is too large to be a key ring"));
        }
        check_version(path, &bytes)?;
        let ring: RingFile = serde_json::from_slice(&bytes).map_err(|_| unusable(path, "is not a key ring"))?;
        Self::decode(path, &ring)
    }

    fn decode(path: &Path, file: &RingFile) -> Result<Self> {
        let mut keys: Vec<RingKey> = Vec::with_capacity(file.keys.len());
        for entry in &file.keys {
            if keys.iter().any(|key| key.id == entry.id) {
                return Err(unusable(path, "holds two keys of one id"));
            }
            let bytes = STANDARD.decode(entry.key.as_bytes()).map(Zeroizing::new).ok();
            let key = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
            keys.push(RingKey::new(entry.id, key.ok_or_else(|| unusable(path, "holds a key that is not 32 bytes"))?)?);
        }
        if !keys.iter().any(|key| key.id == file.current) {
            return Err(unusable(path, "lacks its current key"));
        }
        Ok(Self { path: path.to_owned(), current: file.current, keys })
    }

    /// Adds a random key under which all new values are sealed; the older ones stay for older values.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the command that rotates keys comes with the maintenance commands")
    )]
    pub(crate) fn add_key_and_make_current(&mut self) -> Result<u32> {
        let highest = self.keys.iter().map(|key| key.id).max().unwrap_or(0);
        let id = highest.checked_add(1).ok_or(Error::Internal("the key ring has no key id left"))?;
        let before = self.current;
        self.keys.push(RingKey::new(id, rand::random())?);
        self.current = id;
        let written = self.write(|aside| fs::rename(aside, &self.path));
        if let Err(error) = written {
            self.keys.pop();
            self.current = before;
            return Err(error);
        }
        Ok(id)
    }

    /// Writes the ring durably aside and lets `place` put it where it belongs.
    fn write(&self, place: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
        let entries = self.keys.iter().map(|key| KeyEntry { id: key.id, key: STANDARD.encode(key.bytes.as_slice()) });
        let file = RingFile { version: VERSION, current: self.current, keys: entries.collect() };
        let text =
            serde_json::to_vec_pretty(&file).map_err(|_| Error::Internal("the key ring could not be written"))?;
        write_aside(&self.path, &Zeroizing::new(text), place).map_err(|e| Error::io("writing the key ring", e))
    }

    fn current(&self) -> Result<&RingKey> {
        self.key(self.current).ok_or(Error::Internal("the key ring lacks its current key"))
    }

    fn key(&self, id: u32) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Seals a value for a place under the current key.
    pub(crate) fn seal(&self, place: Place<'_>, value: &[u8]) -> Result<Vec<u8>> {
        let key = self.current()?;
        seal::seal(&key.cipher, key.id, place, value)
    }

    /// Opens a value sealed for that place.
    pub(crate) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let id = seal::key_id(place, sealed)?;
        let key = self.key(id).ok_or_else(|| {
            let Place { table, column, row } = place;
            Error::corrupt(format!("{table}.{column} of row {row} needs key {id}, which the key ring lacks"))
        })?;
        seal::open(&key.cipher, place, sealed)
    }

    /// Opens a value that is text.
    pub(crate) fn open_text(&self, place: Place<'_>, sealed: &[u8]) -> Result<SecretString> {
        let bytes = self.open(place, sealed)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            Error::corrupt(format!("{}.{} of row {} is not text", place.table, place.column, place.row))
        })?;
        Ok(SecretString::from(text))
    }

    /// The hash of a secret that is only ever compared, under the current key. 32 bytes.
    pub(crate) fn keyed_hash(&self, label: HashLabel, parts: &[&[u8]]) -> Result<Vec<u8>> {
        Ok(self.current()?.keyed_hash(label, parts))
    }

    /// The hashes of a secret under every key, the current one first: what was hashed before a rotation still compares.
    pub(crate) fn keyed_hashes(&self, label: HashLabel, parts: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut keys: Vec<&RingKey> = self.keys.iter().collect();
        keys.sort_by_key(|key| key.id != self.current);
        keys.into_iter().map(|key| key.keyed_hash(label, parts)).collect()
    }

    /// A value for the database by which a later start sees whether ring and database belong together.
    pub(crate) fn check_value(&self) -> Result<String> {
        self.seal(CHECK_PLACE, CHECK).map(hex::encode)
    }

    /// Refuses a check value that another ring made.
    pub(crate) fn confirm(&self, check_value: &str) -> Result<()> {
        let opened = hex::decode(check_value).ok().and_then(|sealed| self.open(CHECK_PLACE, &sealed).ok());
        match opened {
            Some(text) if text.as_slice() == CHECK => Ok(()),
            Some(_) | None => Err(unusable(
                &self.path,
                "does not fit the database; its secrets open only with the ring they were made with",
            )),
        }
    }
}

impl RingKey {
    fn new(id: u32, bytes: [u8; 32]) -> Result<Self> {
        let bytes = Zeroizing::new(bytes);
        // The sealing key itself is never used for hashing: a derived key keeps the two uses apart.
        let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, b"cloudhold").extract(bytes.as_slice());
        let mut hash_key = Zeroizing::new([0; 32]);
        derived
            .expand(&[b"keyed hash"], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(hash_key.as_mut_slice()))
            .map_err(|_| Error::Internal("no key could be derived"))?;
        let cipher = seal::cipher(&bytes)?;
        Ok(Self { id, bytes, cipher, hash: hmac::Key::new(hmac::HMAC_SHA256, hash_key.as_slice()) })
    }

    fn keyed_hash(&self, label: HashLabel, parts: &[&[u8]]) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.hash);
        for part in std::iter::once(label.as_bytes()).chain(parts.iter().copied()) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign().as_ref().to_vec()
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<u32> = self.keys.iter().map(|key| key.id).collect();
        out.debug_struct("KeyRing")
            .field("path", &self.path)
            .field("current", &self.current)
            .field("key_ids", &ids)
            .finish()
    }
}

fn unusable(path: &Path, why: &str) -> Error {
    Error::Unusable(format!("the key ring {} {why}", path.display()))
}

/// An unknown version is named before anything else of the file is looked at.
fn check_version(path: &Path, bytes: &[u8]) -> Result<()> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let found: Versioned = serde_json::from_slice(bytes).map_err(|_| unusable(path, "is not a key ring"))?;
    if found.version == VERSION {
        return Ok(());
    }
    Err(unusable(path, &format!("has format {}, and this program knows format {VERSION}", found.version)))
}

/// Writes a file of mode 0600 beside `path`, makes it durable, lets `place` put it in place, and makes that durable.
fn write_aside(path: &Path, bytes: &[u8], place: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let aside = dir.join(format!(".keys-{}.tmp", hex::encode(rand::random::<[u8; 8]>())));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let placed = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| place(&aside));
    if let Err(error) = placed {
        // The half-written file holds nothing that anybody uses; the first error is the one to report.
        let _ = fs::remove_file(&aside);
        return Err(error);
    }
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests;
