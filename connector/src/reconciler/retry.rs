//! What was left undone and is to be tried again soon: changes that the target did not take, and ids about which CloudStack
//! had no usable answer. The pauses grow, so that what never works costs little until the next full pass.

use std::time::Duration;

use tokio::time::Instant;

use crate::{events::Hints, scope::Scope};

/// The first pause.
const PAUSE_MIN: Duration = Duration::from_secs(5);
/// The longest pause while nothing can be done at all.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Tries that come to their end after which what is left is left to the next full pass.
const TRIES_MAX: u32 = 12;

/// What is left undone.
#[derive(Debug, Default)]
pub(super) struct Retry {
    /// Ids to read again.
    hints: Hints,
    /// Where changes are planned that were not made.
    changes: Scope,
    tries: u32,
    due: Option<Instant>,
}

impl Retry {
    /// True when there is something to do again at this time, or whatever the time when somebody asks for it.
    pub(super) fn is_due(&self, now: Instant, asked: bool) -> bool {
        (!self.changes.is_empty() || !self.hints.is_empty()) && (asked || self.due.is_none_or(|due| due <= now))
    }

    /// The ids to read again.
    pub(super) fn hints(&self) -> Hints {
        self.hints.clone()
    }

    /// Where to plan again.
    pub(super) fn changes(&self) -> Scope {
        self.changes.clone()
    }

    /// Notes that changes are on their way: when whoever makes them is dropped, they are left.
    pub(super) fn changes_begin(&mut self, scope: Scope) {
        self.changes.extend(scope);
    }

    /// Notes what is left after a try that came to its end.
    pub(super) fn left(&mut self, hints: Hints, changes: Scope, now: Instant) {
        if self.tries >= TRIES_MAX || (hints.is_empty() && changes.is_empty()) {
            *self = Self::default();
            return;
        }
        (self.hints, self.changes) = (hints, changes);
        self.wait(now);
    }

    /// Notes that nothing could be done, because somebody is away: that is tried until it works.
    pub(super) fn stuck(&mut self, hints: Hints, now: Instant) {
        self.hints.extend(hints);
        self.wait(now);
        self.tries = self.tries.min(TRIES_MAX / 2);
    }

    fn wait(&mut self, now: Instant) {
        let pause = PAUSE_MIN.saturating_mul(2_u32.saturating_pow(self.tries.min(10))).min(PAUSE_MAX);
        self.tries += 1;
        self.due = Some(now + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_tried_again_with_growing_pauses_until_it_is_done() {
        let (mut retry, start) = (Retry::default(), Instant::now());
        assert!(!retry.is_due(start, true), "there is nothing to do");
        retry.left(Hints::default(), Scope::All, start);
        assert!(retry.is_due(start, true) && !retry.is_due(start + Duration::from_secs(4), false));
        assert!(retry.is_due(start + Duration::from_secs(5), false));
        retry.stuck(Hints::default(), start);
        assert!(!retry.is_due(start + Duration::from_secs(9), false));
        assert!(retry.is_due(start + Duration::from_secs(10), false));
        for _ in 0..100 {
            retry.stuck(Hints::default(), start);
        }
        assert!(retry.is_due(start + PAUSE_MAX, false));
        assert_eq!(retry.changes(), Scope::All);
        retry.left(Hints::default(), Scope::default(), start);
        assert!(!retry.is_due(start + PAUSE_MAX, true));
    }

    #[test]
    fn what_never_works_is_left_to_the_next_full_pass() {
        let (mut retry, start) = (Retry::default(), Instant::now());
        let hints = Hints { all_domains: true, ..Hints::default() };
        for _ in 0..TRIES_MAX {
            retry.left(hints.clone(), Scope::default(), start);
            assert!(retry.is_due(start + PAUSE_MAX, false));
        }
        retry.left(hints, Scope::default(), start);
        assert!(!retry.is_due(start + PAUSE_MAX, true));
    }
}
