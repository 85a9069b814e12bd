//! What is left after a crash, written to another directory: open connections of the dead process cannot reach it there.
//!
//! After a power cut, what was not synced is dropped, torn or reordered.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use crate::image::Manner;
use crate::names::{Directory, Node};
use crate::random::Random;
use crate::state::{State, is_tracked};

/// What a hole in a file is made of.
const PAGE_BYTES: usize = 4096;

/// Draws what survives; the same seed draws the same.
struct Cut {
    random: Random,
    /// The same manner for everything, or for each file and directory another.
    manner: Option<Manner>,
}

impl Cut {
    fn manner(&mut self) -> Manner {
        self.manner.unwrap_or_else(|| Manner::random(&mut self.random))
    }
}

impl State {
    /// Writes what the medium has after a power cut.
    pub(crate) fn cut_power(&mut self, seed: u64, into: &Path) -> io::Result<()> {
        let mut random = Random::new(seed);
        let manner = random.chance(60).then(|| Manner::random(&mut random));
        let mut cut = Cut { random, manner };
        self.decide_renamings(&mut cut);
        self.write_directory(0, &self.root, into, &mut cut)
    }

    fn decide_renamings(&mut self, cut: &mut Cut) {
        let open: BTreeSet<_> = self.directories.iter().flat_map(|one| one.renamings()).collect();
        for renaming in open {
            let survives = match cut.manner() {
                Manner::Nothing => false,
                Manner::Everything => true,
                Manner::Prefix | Manner::Pages | Manner::Sectors => cut.random.chance(50),
            };
            if survives {
                self.happened.insert(renaming);
            }
        }
    }

    fn write_directory(&self, number: usize, live: &Path, into: &Path, cut: &mut Cut) -> io::Result<()> {
        let directory = &self.directories[number];
        copy_untracked(live, into, directory)?;
        let manner = cut.manner();
        for (name, node) in directory.after_power_cut(manner, &self.happened, &mut cut.random) {
            let to = into.join(&name);
            match node {
                Node::Directory(number) => {
                    make_directory(&to)?;
                    self.write_directory(number, &live.join(&name), &to, cut)?;
                }
                Node::File(number) => {
                    let manner = cut.manner();
                    write_file(&to, &self.files[number].after_power_cut(manner, &mut cut.random))?;
                }
            }
        }
        Ok(())
    }
}

/// Copies files that are written past this disk, such as the key ring: they make their own bytes durable.
fn copy_untracked(live: &Path, into: &Path, directory: &Directory) -> io::Result<()> {
    if !live.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(live)? {
        let entry = entry?;
        let is_known = directory.knows(&entry.file_name()) || !is_tracked(&entry.path());
        if !is_known && entry.file_type()?.is_file() {
            fs::copy(entry.path(), into.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Copies everything that a dead process leaves to the next one.
pub(crate) fn copy_directory(from: &Path, into: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = into.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            make_directory(&to)?;
            copy_directory(&entry.path(), &to)?;
        } else if is_tracked(&entry.path()) {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.set_len(bytes.len() as u64)?;
    // Pages of zeros become holes, as most of a preallocated file is.
    for (number, page) in bytes.chunks(PAGE_BYTES).enumerate() {
        if page.iter().any(|byte| *byte != 0) {
            file.write_all_at(page, (number * PAGE_BYTES) as u64)?;
        }
    }
    Ok(())
}
