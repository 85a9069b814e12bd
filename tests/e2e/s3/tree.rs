//! A tree of files that back-up programs carry away and bring back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tests::content;

/// Makes a tree: a file for many parts, an empty one, names that need encoding.
pub(super) fn plant(root: &Path) {
    for (name, size_bytes) in [("large", 17 << 20), ("empty", 0), ("deep/ä b+c", 70_000), ("deep/er/one", 1)] {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content(size_bytes, 7)).unwrap();
    }
}

/// Changes it: one file is other, one is new and one is gone.
pub(super) fn change(root: &Path) {
    fs::write(root.join("deep/er/one"), "two").unwrap();
    fs::write(root.join("new"), content(300_000, 8)).unwrap();
    fs::remove_file(root.join("empty")).unwrap();
}

/// Fails when two trees differ in names or contents.
pub(super) fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (files(one), files(other));
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (name, bytes) in one {
        assert!(bytes == other[&name], "{} differs", name.display());
    }
}

fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                let _ = found.insert(path.strip_prefix(root).unwrap().to_owned(), bytes);
            }
        }
    }
    found
}
