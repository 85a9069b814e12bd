//! Which names of a directory are on the medium, and which only in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use crate::image::Manner;
use crate::random::Random;

/// What a name stands for: a file or a directory, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    File(usize),
    Directory(usize),
}

/// Both halves of a renaming have one of these: it reaches the medium whole or not at all.
pub(crate) type Renaming = u64;

#[derive(Clone, Debug)]
struct Change {
    name: OsString,
    node: Option<Node>,
    renaming: Option<Renaming>,
}

/// A directory: the names that the medium has, those that programs see, and the changes since the last sync.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    durable: BTreeMap<OsString, Node>,
    live: BTreeMap<OsString, Node>,
    unsynced: Vec<Change>,
}

impl Directory {
    pub(crate) fn durable(names: BTreeMap<OsString, Node>) -> Self {
        Self { durable: names.clone(), live: names, unsynced: Vec::new() }
    }

    pub(crate) fn find(&self, name: &OsString) -> Option<Node> {
        self.live.get(name).copied()
    }

    /// Whether it ever had a name.
    pub(crate) fn knows(&self, name: &OsString) -> bool {
        self.live.contains_key(name)
            || self.durable.contains_key(name)
            || self.unsynced.iter().any(|change| change.name == *name)
    }

    /// Names something, or takes the name away.
    pub(crate) fn change(&mut self, name: OsString, node: Option<Node>, renaming: Option<Renaming>) {
        match node {
            Some(node) => self.live.insert(name.clone(), node),
            None => self.live.remove(&name),
        };
        self.unsynced.push(Change { name, node, renaming });
    }

    /// All names reach the medium; returns the renamings of which this is one half.
    pub(crate) fn sync(&mut self) -> Vec<Renaming> {
        self.durable = self.live.clone();
        self.unsynced.drain(..).filter_map(|change| change.renaming).collect()
    }

    /// The renamings of which a half waits here.
    pub(crate) fn renamings(&self) -> impl Iterator<Item = Renaming> {
        self.unsynced.iter().filter_map(|change| change.renaming)
    }

    /// The names that the medium has after a power cut; of the renamings, those happened that are given.
    pub(crate) fn after_power_cut(
        &self,
        manner: Manner,
        happened: &BTreeSet<Renaming>,
        random: &mut Random,
    ) -> BTreeMap<OsString, Node> {
        let mut changes: BTreeMap<&OsString, Vec<&Change>> = BTreeMap::new();
        for change in &self.unsynced {
            changes.entry(&change.name).or_default().push(change);
        }
        let mut names = self.durable.clone();
        for (name, changes) in changes {
            let is_sure = |change: &&Change| change.renaming.is_some_and(|renaming| happened.contains(&renaming));
            let is_out = |change: &&Change| change.renaming.is_some_and(|renaming| !happened.contains(&renaming));
            let least = changes.iter().rposition(is_sure).map_or(0, |at| at + 1);
            let most = changes.iter().skip(least).position(is_out).map_or(changes.len(), |at| least + at);
            let count = match manner {
                Manner::Nothing => least,
                Manner::Everything => most,
                Manner::Prefix | Manner::Pages | Manner::Sectors => least + random.index(most - least + 1),
            };
            let Some(last) = count.checked_sub(1).map(|at| changes[at]) else { continue };
            match last.node {
                Some(node) => names.insert(name.clone(), node),
                None => names.remove(name),
            };
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_were_not_synced_may_be_there_or_not() {
        let mut directory = Directory::durable(BTreeMap::from([("old".into(), Node::File(0))]));
        directory.change("old".into(), None, None);
        directory.change("new".into(), Some(Node::File(1)), None);
        assert_eq!((directory.find(&"old".into()), directory.find(&"new".into())), (None, Some(Node::File(1))));
        let mut seen = BTreeSet::new();
        for seed in 0..100 {
            let names = directory.after_power_cut(Manner::Sectors, &BTreeSet::new(), &mut Random::new(seed));
            seen.insert((names.contains_key(&OsString::from("old")), names.contains_key(&OsString::from("new"))));
        }
        assert_eq!(seen.len(), 4, "each of the two by itself: {seen:?}");
        directory.sync();
        let names = directory.after_power_cut(Manner::Nothing, &BTreeSet::new(), &mut Random::new(1));
        assert_eq!(names, BTreeMap::from([("new".into(), Node::File(1))]));
    }

    #[test]
    fn a_renaming_happens_whole_or_not_at_all() {
        let (mut from, mut to) = (Directory::default(), Directory::default());
        from.change("a".into(), Some(Node::File(0)), None);
        from.sync();
        from.change("a".into(), None, Some(7));
        to.change("b".into(), Some(Node::File(0)), Some(7));
        for seed in 0..100 {
            for happened in [BTreeSet::new(), BTreeSet::from([7])] {
                let mut random = Random::new(seed);
                let from = from.after_power_cut(Manner::Sectors, &happened, &mut random);
                let to = to.after_power_cut(Manner::Sectors, &happened, &mut random);
                assert_eq!((from.len(), to.len()), if happened.is_empty() { (1, 0) } else { (0, 1) });
            }
        }
    }
}
