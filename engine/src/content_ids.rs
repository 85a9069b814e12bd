//! Ids of new contents, made in runs, so that contents that are stored one after the other stand side by side in the index of contents.
//!
//! Where all ids are random, each PUT changes a page of that index that nobody else changes: more than a third of what small objects
//! write into the log of the database, and again into its file. Ids of one run differ in their first half by one, so a commit changes one
//! page for all of them, or one for each thread that made some. Each run begins at random, because a check adds contents up in slots by
//! the first bytes of their ids (`check/shares.rs`), which are to be about even; the second half is random always.

use std::cell::Cell;

use crate::names::ContentId;

/// Ids in a run: some pages of the index.
const RUN_LENGTH: u16 = 1024;

thread_local! {
    /// The run of each thread, so that none waits for another.
    static RUN: Cell<Run> = const { Cell::new(Run { next: 0, left: 0 }) };
}

/// Where a run goes on.
#[derive(Clone, Copy)]
struct Run {
    next: u64,
    left: u16,
}

impl Run {
    fn begin() -> Self {
        Self { next: rand::random(), left: RUN_LENGTH }
    }

    fn go_on(self) -> Self {
        Self { next: self.next.wrapping_add(1), left: self.left - 1 }
    }
}

impl ContentId {
    /// An id that no other content has.
    pub(crate) fn next() -> Self {
        let run = RUN.get();
        let run = if run.left == 0 { Run::begin() } else { run };
        RUN.set(run.go_on());
        let id = u128::from(run.next) << 64 | u128::from(rand::random::<u64>());
        Self::from_bytes(id.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_of_a_run_are_neighbours_and_runs_are_spread() {
        let runs = 32;
        let ids: Vec<ContentId> = (0..usize::from(RUN_LENGTH) * runs).map(|_| ContentId::next()).collect();
        let jumps = ids.windows(2).filter(|pair| first_half(pair[1]).wrapping_sub(first_half(pair[0])) != 1).count();
        assert_eq!(jumps, runs - 1, "a test has a thread of its own");
        let slots: BTreeSet<[u8; 2]> = ids.iter().map(|id| [id.as_bytes()[0], id.as_bytes()[1]]).collect();
        assert!(slots.len() > runs / 2, "{} slots", slots.len());
    }

    #[test]
    fn second_halves_are_random() {
        let halves: BTreeSet<Vec<u8>> = (0..1000).map(|_| ContentId::next().as_bytes()[8..].to_vec()).collect();
        assert_eq!(halves.len(), 1000);
    }

    fn first_half(id: ContentId) -> u64 {
        (u128::from_be_bytes(*id.as_bytes()) >> 64) as u64
    }
}
