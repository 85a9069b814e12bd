//! What a bucket must hold: operations, applied to plain maps.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use md5::Digest;
use simulated_disk::Random;

/// Bytes that an operation stores.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) bytes: Arc<Vec<u8>>,
    pub(crate) seen: Seen,
}

/// What is seen of bytes: their number and their MD5.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) size_bytes: u64,
    pub(crate) md5: String,
}

impl fmt::Debug for Seen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} bytes {}", self.size_bytes, &self.md5[..6])
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.seen.fmt(out)
    }
}

impl Seen {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { size_bytes: bytes.len() as u64, md5: hex::encode(md5::Md5::digest(bytes)) }
    }
}

impl Content {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { seen: Seen::of(&bytes), bytes: Arc::new(bytes) }
    }

    /// Bytes that no other content has.
    pub(crate) fn noise(size: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let words = (0..size.div_ceil(8)).flat_map(|_| random.next_u64().to_le_bytes());
        Self::new(words.take(size).collect())
    }
}

/// A bucket, if there is one.
pub(crate) type Model = Option<Bucket>;

/// What a bucket holds. There is at most one open upload of a key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bucket {
    keeps_versions: bool,
    /// Whether objects that are stored or deleted may be lost by a power cut for a moment.
    pub(crate) is_relaxed: bool,
    /// Whether its client has objects sealed.
    pub(crate) is_sealed: bool,
    /// The versions of each key, the oldest first; `None` is a delete marker. Without versions, there is one of each.
    pub(crate) versions: BTreeMap<String, Vec<Option<Content>>>,
    pub(crate) uploads: BTreeMap<String, BTreeMap<u32, Content>>,
}

impl Bucket {
    fn current(&self, key: &str) -> Option<&Content> {
        self.versions.get(key)?.last()?.as_ref()
    }

    /// The keys of current objects.
    fn keys(&self) -> Vec<String> {
        self.versions.keys().filter(|key| self.current(key).is_some()).cloned().collect()
    }

    fn put(&mut self, key: &str, content: Content) {
        let versions = self.versions.entry(key.to_owned()).or_default();
        if !self.keeps_versions {
            versions.clear();
        }
        versions.push(Some(content));
    }

    fn delete(&mut self, key: &str) {
        match self.versions.get_mut(key) {
            Some(versions) if self.keeps_versions => versions.push(None),
            Some(_) | None => drop(self.versions.remove(key)),
        }
    }

    fn delete_version(&mut self, key: &str, number: usize) {
        if let Some(versions) = self.versions.get_mut(key) {
            versions.remove(number);
            if versions.is_empty() {
                self.versions.remove(key);
            }
        }
    }
}

/// What is seen of a bucket, if there is one.
pub(crate) type View = Option<BucketView>;

/// What is seen of a bucket: every version's bytes, and the parts of open uploads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BucketView {
    pub(crate) keeps_versions: bool,
    pub(crate) is_relaxed: bool,
    pub(crate) objects: BTreeMap<String, Seen>,
    pub(crate) versions: BTreeMap<String, Vec<Option<Seen>>>,
    pub(crate) uploads: BTreeMap<String, BTreeMap<u32, Seen>>,
}

/// What the model says must be seen.
pub(crate) fn view(model: &Model) -> View {
    let parts = |contents: &BTreeMap<u32, Content>| contents.iter().map(|(n, c)| (*n, c.seen.clone())).collect();
    let history = |versions: &Vec<Option<Content>>| {
        versions.iter().map(|version| version.as_ref().map(|content| content.seen.clone())).collect()
    };
    model.as_ref().map(|bucket| BucketView {
        keeps_versions: bucket.keeps_versions,
        is_relaxed: bucket.is_relaxed,
        objects: bucket
            .versions
            .keys()
            .filter_map(|key| Some((key.clone(), bucket.current(key)?.seen.clone())))
            .collect(),
        versions: bucket.versions.iter().map(|(key, versions)| (key.clone(), history(versions))).collect(),
        uploads: bucket.uploads.iter().map(|(key, contents)| (key.clone(), parts(contents))).collect(),
    })
}

/// Something that one client does to its bucket.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    CreateBucket,
    DeleteBucket,
    /// From now on every write makes a version.
    KeepVersions,
    /// From now on objects that are stored or deleted are answered before they are durable.
    Relax,
    /// From now on objects are stored sealed. The client asks for that with each; nothing is set in the store.
    Seal,
    Put {
        key: String,
        content: Content,
    },
    Delete {
        keys: Vec<String>,
    },
    /// Deletes one version for good, or a delete marker; the oldest is number 0.
    DeleteVersion {
        key: String,
        number: usize,
    },
    Copy {
        from: String,
        to: String,
    },
    CreateUpload {
        key: String,
    },
    PutPart {
        key: String,
        number: u32,
        content: Content,
    },
    /// Stores the bytes of an object as a part of an upload.
    CopyPart {
        from: String,
        key: String,
        number: u32,
    },
    Complete {
        key: String,
    },
    Abort {
        key: String,
    },
    /// Garbage collection, orphan sweep and all other background work.
    Clean,
    /// The log of commits is written into the file of the database.
    Checkpoint,
}

impl Operation {
    /// Does it to the model. It must be possible there.
    pub(crate) fn apply(&self, model: &Model) -> Model {
        let mut bucket = match (self, model) {
            (Self::CreateBucket, _) => return Some(Bucket::default()),
            (Self::Clean | Self::Checkpoint, model) => return model.clone(),
            (Self::DeleteBucket, _) => return None,
            (_, bucket) => bucket.clone().unwrap(),
        };
        match self {
            Self::CreateBucket | Self::DeleteBucket | Self::Clean | Self::Checkpoint => {}
            Self::KeepVersions => bucket.keeps_versions = true,
            Self::Relax => bucket.is_relaxed = true,
            Self::Seal => bucket.is_sealed = true,
            Self::Put { key, content } => bucket.put(key, content.clone()),
            Self::Delete { keys } => keys.iter().for_each(|key| bucket.delete(key)),
            Self::DeleteVersion { key, number } => bucket.delete_version(key, *number),
            Self::Copy { from, to } => {
                let content = bucket.current(from).unwrap().clone();
                bucket.put(to, content);
            }
            Self::CreateUpload { key } => drop(bucket.uploads.insert(key.clone(), BTreeMap::new())),
            Self::PutPart { key, number, content } => {
                bucket.uploads.get_mut(key).unwrap().insert(*number, content.clone());
            }
            Self::CopyPart { from, key, number } => {
                let content = bucket.current(from).unwrap().clone();
                bucket.uploads.get_mut(key).unwrap().insert(*number, content);
            }
            Self::Complete { key } => {
                let parts = bucket.uploads.remove(key).unwrap();
                let bytes: Vec<_> = parts.values().flat_map(|part| part.bytes.iter().copied()).collect();
                bucket.put(key, Content::new(bytes));
            }
            Self::Abort { key } => drop(bucket.uploads.remove(key)),
        }
        Some(bucket)
    }

    /// Whether it is durable when it is answered, in a bucket as it was before.
    pub(crate) fn is_durable(&self, model: &Model) -> bool {
        match self {
            Self::Put { .. } | Self::Delete { .. } | Self::DeleteVersion { .. } => {
                !model.as_ref().is_some_and(|bucket| bucket.is_relaxed)
            }
            // They change nothing that is seen.
            Self::Clean | Self::Checkpoint | Self::Seal => false,
            Self::CreateBucket
            | Self::DeleteBucket
            | Self::KeepVersions
            | Self::Relax
            | Self::Copy { .. }
            | Self::CreateUpload { .. }
            | Self::PutPart { .. }
            | Self::CopyPart { .. }
            | Self::Complete { .. }
            | Self::Abort { .. } => true,
        }
    }

    /// Something that can be done to a bucket.
    pub(crate) fn random(random: &mut Random, model: &Model) -> Self {
        let Some(bucket) = model else { return Self::CreateBucket };
        let key = format!("k{}", random.below(4));
        let objects = bucket.keys();
        let uploads: Vec<_> = bucket.uploads.keys().cloned().collect();
        match random.below(100) {
            0..8 if !objects.is_empty() => Self::Copy { from: objects[random.index(objects.len())].clone(), to: key },
            8..22 if !objects.is_empty() => Self::Delete { keys: vec![objects[random.index(objects.len())].clone()] },
            22..25 if !objects.is_empty() => Self::Delete { keys: objects },
            25..40 if !bucket.uploads.contains_key(&key) => Self::CreateUpload { key },
            40..70 if !uploads.is_empty() => Self::on_upload(random, bucket, &uploads),
            70..75 if bucket.versions.is_empty() => Self::DeleteBucket,
            70..75 => Self::random_version(random, bucket),
            75..79 => Self::Checkpoint,
            79..82 => Self::Clean,
            82..85 if !bucket.keeps_versions => Self::KeepVersions,
            85..91 if !bucket.is_relaxed => Self::Relax,
            91..93 if !bucket.is_sealed => Self::Seal,
            _ => Self::Put { key, content: random_content(random) },
        }
    }

    fn random_version(random: &mut Random, bucket: &Bucket) -> Self {
        let keys: Vec<_> = bucket.versions.keys().cloned().collect();
        let key = keys[random.index(keys.len())].clone();
        Self::DeleteVersion { number: random.index(bucket.versions[&key].len()), key }
    }

    fn on_upload(random: &mut Random, bucket: &Bucket, uploads: &[String]) -> Self {
        let key = uploads[random.index(uploads.len())].clone();
        match random.below(10) {
            0 => Self::Abort { key },
            1..4 if !bucket.uploads[&key].is_empty() => Self::Complete { key },
            part => {
                let number = 1 + u32::try_from(random.below(3)).unwrap();
                // All but the last part must have the least size, so all have.
                let is_part = |from: &String| bucket.current(from).is_some_and(|content| content.bytes.len() >= 1024);
                match bucket.keys().into_iter().find(is_part) {
                    Some(from) if part == 9 => Self::CopyPart { from, key, number },
                    Some(_) | None => {
                        let content = Content::noise(1024 + random.index(9000), random.next_u64());
                        Self::PutPart { key, number, content }
                    }
                }
            }
        }
    }
}

/// Mostly small, in rows and in blobs; sometimes more than a block, and sometimes too large for a pack.
fn random_content(random: &mut Random) -> Content {
    let size = match random.below(20) {
        0 => 0,
        1 => 100_000 + random.index(100_000),
        2..4 => 20_000 + random.index(80_000),
        4..10 => random.index(4000),
        _ => 4097 + random.index(8000),
    };
    Content::noise(size, random.next_u64())
}
