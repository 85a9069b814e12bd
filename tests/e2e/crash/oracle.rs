//! What the store has acknowledged, kept outside of it. Each key has one client, so its history is known exactly, but for the one change
//! that may have been under way when the store was killed.

use std::collections::{BTreeMap, BTreeSet};

use md5::{Digest as _, Md5};
use tests::content;

/// Content that can be made again from what it is named by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// Size and seed of each part; one for a single PUT.
    pub(crate) parts: Vec<(usize, u64)>,
    pub(crate) is_multipart: bool,
}

impl Content {
    pub(crate) fn part(&self, at: usize) -> Vec<u8> {
        content(self.parts[at].0, self.parts[at].1)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        (0..self.parts.len()).flat_map(|at| self.part(at)).collect()
    }

    pub(crate) fn etag(&self) -> String {
        if !self.is_multipart {
            return hex::encode(Md5::digest(self.bytes()));
        }
        let md5s: Vec<u8> = (0..self.parts.len()).flat_map(|at| Md5::digest(self.part(at)).to_vec()).collect();
        format!("{}-{}", hex::encode(Md5::digest(md5s)), self.parts.len())
    }
}

/// A version of a key, or a delete marker without content.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// `None` when the store was killed before it could tell.
    pub(crate) id: Option<String>,
    pub(crate) content: Option<Content>,
}

/// A change of a key.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Put(Content),
    Delete,
    /// Deletes a version for good.
    Remove(String),
}

/// The history of a key, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Key {
    pub(crate) history: Vec<Version>,
    /// A change that was asked for and not answered yet.
    pub(crate) pending: Option<Change>,
    /// Whether its bytes are to be read once more.
    pub(crate) is_touched: bool,
    /// Versions and markers that were made or removed without an answer.
    pub(crate) unanswered: BTreeSet<String>,
}

/// What the store lists of a key: version and tag of each object, version of each marker, and whether a marker is the newest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) objects: Vec<(String, String)>,
    pub(crate) markers: Vec<String>,
    pub(crate) is_deleted: bool,
}

/// The keys of a bucket.
pub(crate) type Keys = BTreeMap<String, Key>;

impl Key {
    pub(crate) fn current(&self) -> Option<&Content> {
        self.history.last()?.content.as_ref()
    }

    /// The history after a change, with the id of what it made.
    pub(crate) fn after(&self, change: &Change, id: Option<&str>, keeps_versions: bool) -> Vec<Version> {
        let mut history = self.history.clone();
        let made = |content| Version { id: id.map(str::to_owned), content };
        match (change, keeps_versions) {
            (Change::Put(content), true) => history.push(made(Some(content.clone()))),
            (Change::Put(content), false) => history = vec![made(Some(content.clone()))],
            (Change::Delete, true) => history.push(made(None)),
            (Change::Delete, false) => history.clear(),
            (Change::Remove(id), _) => history.retain(|version| version.id.as_ref() != Some(id)),
        }
        history
    }

    /// Takes what the store has for true when it is what was acknowledged, or that with the pending change; else says what is wrong.
    pub(crate) fn settle(&mut self, listed: &Listed, keeps_versions: bool) -> Result<(), String> {
        let pending = self.pending.take();
        if let Some(history) = fit(&self.history, listed) {
            self.history = history;
            return Ok(());
        }
        let changed = pending.as_ref().map(|change| self.after(change, None, keeps_versions));
        match changed.and_then(|history| fit(&history, listed)) {
            Some(history) => {
                let ids =
                    |history: &[Version]| history.iter().filter_map(|one| one.id.clone()).collect::<BTreeSet<_>>();
                let (before, after) = (ids(&self.history), ids(&history));
                self.unanswered.extend(before.symmetric_difference(&after).cloned());
                // Without versions what replaces another one has its id.
                self.unanswered.extend((!keeps_versions).then(|| "null".to_owned()));
                self.history = history;
                Ok(())
            }
            None => Err(format!("acknowledged: {:?}\npending: {pending:?}\nthere: {listed:?}", self.history)),
        }
    }
}

/// The history with every id known, when it is what is listed.
fn fit(history: &[Version], listed: &Listed) -> Option<Vec<Version>> {
    let (mut objects, mut markers) = (listed.objects.iter().rev(), listed.markers.iter().rev());
    let mut known = Vec::with_capacity(history.len());
    for version in history {
        let id = match &version.content {
            Some(content) => objects.next().filter(|(_, etag)| *etag == content.etag()).map(|(id, _)| id)?,
            None => markers.next()?,
        };
        if version.id.as_ref().is_some_and(|acknowledged| acknowledged != id) {
            return None;
        }
        known.push(Version { id: Some(id.clone()), content: version.content.clone() });
    }
    let is_deleted = history.last().is_some_and(|newest| newest.content.is_none());
    let all_fit = objects.next().is_none() && markers.next().is_none() && is_deleted == listed.is_deleted;
    all_fit.then_some(known)
}

#[cfg(test)]
mod itself {
    use super::*;

    fn content_of(seed: u64) -> Content {
        Content { parts: vec![(10, seed)], is_multipart: false }
    }

    fn version(id: &str, seed: Option<u64>) -> Version {
        Version { id: Some(id.to_owned()), content: seed.map(content_of) }
    }

    fn there(objects: &[(&str, u64)], markers: &[&str], is_deleted: bool) -> Listed {
        let object = |(id, seed): &(&str, u64)| ((*id).to_owned(), content_of(*seed).etag());
        let markers = markers.iter().map(|id| (*id).to_owned()).collect();
        Listed { objects: objects.iter().map(object).collect(), markers, is_deleted }
    }

    #[test]
    fn what_was_acknowledged_must_be_there_and_what_was_not_may_be() {
        let history = vec![version("a", Some(1)), version("m", None), version("b", Some(2))];
        let settle = |pending: Option<Change>, listed: Listed| {
            let mut key = Key { history: history.clone(), pending, ..Key::default() };
            key.settle(&listed, true).map(|()| key.history.len())
        };
        let put = || Some(Change::Put(content_of(3)));
        assert_eq!(settle(None, there(&[("b", 2), ("a", 1)], &["m"], false)), Ok(3));
        assert_eq!(settle(put(), there(&[("b", 2), ("a", 1)], &["m"], false)), Ok(3));
        assert_eq!(settle(put(), there(&[("c", 3), ("b", 2), ("a", 1)], &["m"], false)), Ok(4));
        assert_eq!(settle(Some(Change::Delete), there(&[("b", 2), ("a", 1)], &["n", "m"], true)), Ok(4));
        assert_eq!(settle(Some(Change::Remove("a".to_owned())), there(&[("b", 2)], &["m"], false)), Ok(2));
        for (pending, listed) in [
            (None, there(&[("b", 2)], &["m"], false)),
            (None, there(&[("b", 2), ("a", 1)], &[], false)),
            (None, there(&[("b", 2), ("a", 1)], &["m"], true)),
            (None, there(&[("b", 2), ("a", 2)], &["m"], false)),
            (None, there(&[("x", 2), ("a", 1)], &["m"], false)),
            (None, there(&[("c", 3), ("b", 2), ("a", 1)], &["m"], false)),
            (put(), there(&[("c", 4), ("b", 2), ("a", 1)], &["m"], false)),
            (put(), there(&[("c", 3), ("a", 1)], &["m"], false)),
        ] {
            assert!(settle(pending.clone(), listed.clone()).is_err(), "{pending:?} {listed:?}");
        }
    }
}
