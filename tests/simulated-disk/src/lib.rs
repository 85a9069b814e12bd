//! A disk for tests that dies, loses power, fills up or fails where it is told to.
//!
//! It writes through to a real directory, so that reads and SQLite's shared memory are the real ones, and keeps an account of what a
//! medium would have: of each file the content at its last sync and the changes since, of each directory the names at its last sync and
//! the changes since. The engine's files come through [`engine::disk::Disk`], SQLite's through a VFS around its own.
//!
//! Every effect is a step. A process may die before or after any step: all calls fail from then on, and what was done stays in the
//! page cache ([`SimulatedDisk::restart`]). The power may fail ([`SimulatedDisk::cut_power`]): then what was not synced is dropped, torn
//! between sectors or written in another order, as a seed says. Nothing is ever synced for real, which makes it quick.

mod faults;
mod files;
mod image;
mod names;
mod power;
mod random;
mod state;
mod vfs;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use faults::{Failure, Target};
pub use random::Random;
pub use state::Moment;

use state::State;

/// A disk beneath a directory. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    vfs: vfs::Registration,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the state has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimulatedDisk {
    /// A disk that holds what is beneath a directory, all of it durable. What is made outside of the directory is refused.
    pub fn open(root: &Path) -> io::Result<Self> {
        let state = State::load(root)?;
        let shared =
            Arc::new_cyclic(|shared| Shared { state: Mutex::new(state), vfs: vfs::Registration::new(shared.clone()) });
        Ok(Self { shared })
    }

    /// Lets the process die, or the power fail, at a step: the next one is number 1.
    pub fn crash_in(&self, steps: u64, moment: Moment) {
        self.shared.state().crash_in(steps, moment);
    }

    /// Counts what the process does elsewhere among the steps, such as a request to a server. When the crash comes at this one, tells whether
    /// it comes before it, and nothing may be done any more, or after it: then who asks does it, and lets the process die.
    pub fn step_elsewhere(&self, what: &str) -> Option<Moment> {
        self.shared.state().step_elsewhere(what)
    }

    /// Lets the process die, or the power fail, now.
    pub fn crash_now(&self) {
        self.shared.state().dead = true;
    }

    /// Whether the crash has come.
    pub fn is_dead(&self) -> bool {
        self.shared.state().dead
    }

    /// The steps that were taken, one a line, the last one being that at which it died.
    pub fn trail(&self) -> Vec<String> {
        self.shared.state().trail().to_vec()
    }

    /// Another process comes on this very disk and finds everything that the last one did, synced or not. The last one must have closed
    /// all its files.
    pub fn restart(&self) {
        self.shared.state().restart();
    }

    /// The machine comes back after a power cut: what the medium has is written to an empty directory. The same seed gives the same.
    pub fn cut_power(&self, seed: u64, into: &Path) -> io::Result<()> {
        let mut state = self.shared.state();
        state.dead = true;
        state.cut_power(seed, into)
    }

    /// What the next process finds after this one died is written to an empty directory.
    pub fn leave(&self, into: &Path) -> io::Result<()> {
        let mut state = self.shared.state();
        state.dead = true;
        power::copy_directory(&state.root, into)
    }

    /// The disk is full after so many more writes: no file grows any more.
    pub fn fill_after(&self, writes: u64) {
        self.shared.state().faults.fill_after(writes);
    }

    /// There is room again.
    pub fn free_space(&self) {
        self.shared.state().faults.free_space();
    }

    /// Lets a sync fail with EIO, once; the next of that kind is number 1. What it should have written is lost for good.
    pub fn fail_sync(&self, target: Target, number: u64) {
        self.fail_sync_as(target, number, Failure::Broken);
    }

    /// As [`SimulatedDisk::fail_sync`], with another error.
    pub fn fail_sync_as(&self, target: Target, number: u64, failure: Failure) {
        self.shared.state().faults.fail_sync(target, number, failure);
    }

    /// Lets a read fail with EIO, once; the next of that kind is number 1.
    pub fn fail_read(&self, target: Target, number: u64) {
        self.shared.state().faults.fail_read(target, number);
    }

    /// Lets a write fail with EIO, once; the next of that kind is number 1. Nothing of it arrives.
    pub fn fail_write(&self, target: Target, number: u64) {
        self.shared.state().faults.fail_write(target, number);
    }

    /// How often a file of that kind found no room.
    pub fn refused(&self, target: Target) -> u64 {
        self.shared.state().faults.refused(target)
    }

    /// Whether no failure that was asked for is outstanding.
    pub fn has_failed(&self) -> bool {
        self.shared.state().faults.is_over()
    }
}
