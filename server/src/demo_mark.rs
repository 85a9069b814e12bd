//! The mark of a demo's data directory. A demo has a made-up cloud behind it, so nothing real may ever be kept there.

use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::files;

/// The file that marks a demo's directory.
pub(crate) const FILE_NAME: &str = "DEMO";
const TEXT: &[u8] =
    b"This directory belongs to `cloudhold demo`. `cloudhold serve` refuses it. Remove it when you are done.\n";

/// Whether the directory fits what is to run on it.
pub(crate) fn check(data_dir: &Path, demo: bool) -> anyhow::Result<()> {
    let marked = data_dir.join(FILE_NAME).exists();
    ensure!(
        demo || !marked,
        "{} belongs to a demo, whose tenants are made up: choose another --data-dir for a store of your own",
        data_dir.display()
    );
    let used = data_dir.is_dir() && std::fs::read_dir(data_dir).is_ok_and(|mut entries| entries.next().is_some());
    ensure!(
        !demo || marked || !used,
        "{} is not empty and belongs to no demo: choose another --data-dir for the demo",
        data_dir.display()
    );
    Ok(())
}

/// Marks a new directory.
pub(crate) fn mark(data_dir: &Path) -> anyhow::Result<()> {
    check(data_dir, true)?;
    files::make_private_folder(data_dir).with_context(|| format!("{} cannot be made", data_dir.display()))?;
    files::write_atomic(&data_dir.join(FILE_NAME), TEXT, files::PUBLIC).context("the demo's directory cannot be marked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_and_a_store_never_share_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        let (demo, store) = (folder.path().join("demo"), folder.path().join("store"));
        mark(&demo).unwrap();
        check(&demo, true).unwrap();
        assert!(check(&demo, false).unwrap_err().to_string().contains("belongs to a demo"));
        check(&store, false).unwrap();
        std::fs::create_dir(&store).unwrap();
        std::fs::write(store.join("metadata.sqlite"), "").unwrap();
        check(&store, false).unwrap();
        assert!(check(&store, true).is_err() && mark(&store).is_err());
    }
}
