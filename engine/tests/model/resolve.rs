//! What the picks of an operation mean where it happens.

use engine::{
    BucketName, CompleteUpload, CompletedPart, CopySource, Digests, ListRequest, ObjectHeaders, ObjectKey,
    ReadConditions, VersionId, WriteConditions,
};

use crate::content::etag_of;
use crate::model::{Model, Version};
use crate::operation::{
    BucketPick, ListPick, PartsPick, ReadConditionPick, Source, TagPick, VersionPick, WriteConditionPick,
};

pub(crate) fn bucket(pick: BucketPick) -> BucketName {
    BucketName::new(&format!("bucket-{pick}")).unwrap()
}

pub(crate) fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

pub(crate) fn list(pick: &ListPick) -> ListRequest {
    let ListPick { prefix, delimiter, after, entries_max } = pick.clone();
    ListRequest { prefix, delimiter, after, entries_max, described: false }
}

/// Headers and metadata that differ by their seed.
pub(crate) fn metadata(seed: u8) -> (ObjectHeaders, Vec<(String, String)>) {
    let content_type = (!seed.is_multiple_of(3)).then(|| format!("type/{seed}"));
    let headers = ObjectHeaders { content_type, ..ObjectHeaders::default() };
    let user = if seed.is_multiple_of(2) { Vec::new() } else { vec![("seed".to_owned(), seed.to_string())] };
    (headers, user)
}

impl Model {
    fn history(&self, bucket: &BucketName, key: &ObjectKey) -> &[Version] {
        self.bucket(bucket).map_or(&[], |bucket| bucket.history(key.as_str()))
    }

    pub(crate) fn version(&self, bucket: &BucketName, key: &ObjectKey, pick: &VersionPick) -> Option<VersionId> {
        let history = self.history(bucket, key);
        let nth = |count: usize, at: usize| (count > 0).then(|| at % count);
        match pick {
            VersionPick::Unnamed => None,
            VersionPick::Null => Some(VersionId::null()),
            VersionPick::Made(at) => nth(self.made.len(), *at).map(|at| self.made[at].clone()),
            VersionPick::OfKey(at) => nth(history.len(), *at).map(|at| history[at].id.clone()),
            VersionPick::Unknown => Some(VersionId::new(&"0123456789abcdef".repeat(2)).unwrap()),
        }
    }

    fn tag(&self, bucket: &BucketName, key: &ObjectKey, pick: TagPick) -> String {
        let tag_of = |version: &Version| Some(version.object.as_ref()?.content.etag.clone());
        let history = self.history(bucket, key);
        let nonsense = || "0".repeat(32);
        match pick {
            TagPick::Current => history.last().and_then(tag_of).unwrap_or_else(nonsense),
            TagPick::Oldest => history.first().and_then(tag_of).unwrap_or_else(nonsense),
            TagPick::Nonsense => nonsense(),
            TagPick::Any => "*".to_owned(),
        }
    }

    pub(crate) fn if_match(&self, bucket: &BucketName, key: &ObjectKey, pick: Option<TagPick>) -> Option<String> {
        pick.map(|pick| self.tag(bucket, key, pick))
    }

    pub(crate) fn write_conditions(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        pick: &WriteConditionPick,
    ) -> WriteConditions {
        WriteConditions {
            if_match: self.if_match(bucket, key, pick.if_match),
            if_none_match: self.if_match(bucket, key, pick.if_none_match),
        }
    }

    /// Times are relative to the version that is read, so that all three outcomes come often.
    fn read_conditions(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        id: Option<&VersionId>,
        pick: &ReadConditionPick,
    ) -> ReadConditions {
        let history = self.history(bucket, key);
        let found = id.map_or_else(|| history.last(), |id| history.iter().find(|version| version.id == *id));
        let time = |offset_s: Option<i64>| Some(found?.modified_us + offset_s? * 1_000_000);
        ReadConditions {
            if_match: self.if_match(bucket, key, pick.if_match).into_iter().collect(),
            if_none_match: self.if_match(bucket, key, pick.if_none_match).into_iter().collect(),
            if_modified_since_us: time(pick.modified_since_s),
            if_unmodified_since_us: time(pick.unmodified_since_s),
        }
    }

    pub(crate) fn source_of(&self, source: &Source) -> CopySource {
        let (bucket, key) = (bucket(source.bucket), key(&source.key));
        let version_id = self.version(&bucket, &key, &source.version);
        let conditions = self.read_conditions(&bucket, &key, version_id.as_ref(), &source.conditions);
        CopySource { bucket, key, version_id, conditions, customer_key: None }
    }

    /// What a Complete of the upload at a place is asked.
    pub(crate) fn complete_of(&self, at: usize, pick: PartsPick, conditions: &WriteConditionPick) -> CompleteUpload {
        let upload = &self.uploads[at];
        let part = |number: u32, etag: String| CompletedPart { number, etag, checksums: Digests::default() };
        let mut parts: Vec<_> =
            upload.parts.iter().map(|(number, stored)| part(*number, etag_of(&stored.bytes))).collect();
        let mut size_bytes = None;
        match pick {
            PartsPick::All => {}
            PartsPick::Later => parts = parts.split_off(parts.len().min(1)),
            PartsPick::Backwards => parts.reverse(),
            PartsPick::WrongTag => parts.iter_mut().for_each(|part| part.etag = "0".repeat(32)),
            PartsPick::Missing => parts.push(part(77, "0".repeat(32))),
            PartsPick::None => parts.clear(),
            PartsPick::WrongSize => size_bytes = Some(1_000_000),
        }
        let conditions = self.write_conditions(&upload.bucket, &upload.key, conditions);
        CompleteUpload { parts, conditions, size_bytes, ..CompleteUpload::default() }
    }
}
