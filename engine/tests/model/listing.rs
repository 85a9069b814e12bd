//! The reference of listings: look at everything, fold, cut.

use engine::{
    BucketName, ListEntry, ListPage, ListRequest, ListedObject, ObjectKey, Result, StorageClass, UploadListRequest,
    UploadPage, VersionId, VersionListRequest,
};

use crate::model::{Model, Version};

/// The common prefix that a key folds into.
fn folded<'k>(key: &'k str, prefix: &str, delimiter: Option<&str>) -> Option<&'k str> {
    let delimiter = delimiter?;
    let at = key.strip_prefix(prefix)?.find(delimiter)?;
    Some(&key[..prefix.len() + at + delimiter.len()])
}

/// Whether all of a key lies behind a marker. A marker that is a common prefix has everything beneath it behind it.
fn is_after(key: &str, after: Option<&str>, prefix: &str, delimiter: Option<&str>) -> bool {
    let Some(after) = after else { return true };
    let is_fold = folded(after, prefix, delimiter) == Some(after);
    key > after && !(is_fold && key.starts_with(after))
}

/// One line of any listing: a key and what is shown of it, or a common prefix.
enum Line<T> {
    Shown(T),
    Prefix(String),
}

/// Folds lines in the order of their keys, and cuts after so many.
fn fold<T>(
    lines: impl Iterator<Item = (String, T)>,
    prefix: &str,
    delimiter: Option<&str>,
    entries_max: usize,
) -> (Vec<Line<T>>, bool) {
    let mut page: Vec<Line<T>> = Vec::new();
    for (key, shown) in lines.filter(|(key, _)| key.starts_with(prefix)) {
        let line = match folded(&key, prefix, delimiter) {
            None => Line::Shown(shown),
            Some(text) if matches!(page.last(), Some(Line::Prefix(last)) if last == text) => continue,
            Some(text) => Line::Prefix(text.to_owned()),
        };
        if page.len() == entries_max {
            return (page, true);
        }
        page.push(line);
    }
    (page, false)
}

fn entries(lines: Vec<Line<ListedObject>>) -> Vec<ListEntry> {
    let entry = |line| match line {
        Line::Shown(object) => ListEntry::Object(object),
        Line::Prefix(prefix) => ListEntry::CommonPrefix(prefix),
    };
    lines.into_iter().map(entry).collect()
}

fn listed(key: &str, version: &Version, latest: bool) -> ListedObject {
    let content = version.object.as_ref().map(|object| &object.content);
    ListedObject {
        key: ObjectKey::new(key).unwrap(),
        version_id: Some(version.id.clone()),
        size_bytes: content.map_or(0, |content| content.bytes.len() as u64),
        etag: content.map_or_else(String::new, |content| content.etag.clone()),
        modified_us: version.modified_us,
        storage_class: StorageClass::Standard,
        latest,
        delete_marker: content.is_none(),
        description: None,
    }
}

impl Model {
    pub(crate) fn list(&self, name: &BucketName, request: &ListRequest) -> Result<ListPage> {
        let bucket = self.bucket(name)?;
        if request.entries_max == 0 {
            return Ok(ListPage { entries: Vec::new(), truncated: false });
        }
        let (prefix, delimiter) = (request.prefix.as_str(), request.delimiter.as_deref());
        let keys = bucket.keys.keys().filter(|key| is_after(key, request.after.as_deref(), prefix, delimiter));
        let shown = |key: &String| Some(ListedObject { version_id: None, ..listed(key, bucket.current(key)?.0, true) });
        let current = keys.filter_map(|key| Some((key.clone(), shown(key)?)));
        let (lines, truncated) = fold(current, prefix, delimiter, request.entries_max);
        Ok(ListPage { entries: entries(lines), truncated })
    }

    pub(crate) fn list_versions(&self, name: &BucketName, request: &VersionListRequest) -> Result<ListPage> {
        let bucket = self.bucket(name)?;
        let list = &request.list;
        if list.entries_max == 0 {
            return Ok(ListPage { entries: Vec::new(), truncated: false });
        }
        let (prefix, delimiter) = (list.prefix.as_str(), list.delimiter.as_deref());
        let after = list.after.as_deref();
        // The key of the marker still has older versions when one of its versions is named.
        let begun = after.filter(|after| *after >= prefix && folded(after, prefix, delimiter) != Some(after));
        let older_than = begun.zip(request.after_version.as_ref()).map(|(key, id)| (key, self.place(name, key, id)));
        let history = bucket.keys.iter().flat_map(|(key, history)| {
            let newest = history.len() - 1;
            history.iter().enumerate().rev().map(move |(at, version)| (key, version, at == newest))
        });
        let behind = history.filter(|(key, version, _)| match older_than {
            Some((begun, ordinal)) if key.as_str() == begun => ordinal.is_none_or(|ordinal| version.ordinal < ordinal),
            Some(_) | None => is_after(key, after, prefix, delimiter),
        });
        let shown = behind.map(|(key, version, latest)| (key.clone(), listed(key, version, latest)));
        let (lines, truncated) = fold(shown, prefix, delimiter, list.entries_max);
        Ok(ListPage { entries: entries(lines), truncated })
    }

    /// The place of a version, which it keeps when it is gone. Only of a `null` that is gone nothing is known.
    fn place(&self, name: &BucketName, key: &str, id: &VersionId) -> Option<usize> {
        let there = self.buckets[name.as_str()].history(key).iter().find(|version| version.id == *id);
        let gone = || self.made.iter().position(|made| made == id && !id.is_null());
        there.map(|version| version.ordinal).or_else(gone)
    }

    pub(crate) fn list_uploads(&self, name: &BucketName, request: &UploadListRequest) -> Result<UploadPage> {
        self.bucket(name)?;
        let (prefix, delimiter) = (request.prefix.as_str(), request.delimiter.as_deref());
        let after = request.after_key.as_deref();
        let mut open: Vec<_> = self.uploads.iter().filter(|upload| upload.open && upload.bucket == *name).collect();
        open.sort_by_key(|upload| (upload.key.to_string(), upload.id.to_string()));
        let begun = after.filter(|after| *after >= prefix && folded(after, prefix, delimiter) != Some(after));
        let behind = open.into_iter().filter(|upload| match (begun, &request.after_upload) {
            (Some(begun), Some(id)) if upload.key.as_str() == begun => upload.id.as_str() > id.as_str(),
            _ => is_after(upload.key.as_str(), after, prefix, delimiter),
        });
        let shown = behind.map(|upload| (upload.key.to_string(), upload.shown()));
        let (lines, truncated) = fold(shown, prefix, delimiter, request.entries_max);
        let mut page = UploadPage { uploads: Vec::new(), common_prefixes: Vec::new(), truncated };
        for line in lines {
            match line {
                Line::Shown(upload) => page.uploads.push(upload),
                Line::Prefix(prefix) => page.common_prefixes.push(prefix),
            }
        }
        Ok(page)
    }
}
