//! Taking turns by tenant: who waits in a line of a thousand of its own does not keep another one, who waits alone, waiting as long.
//!
//! [`FairQueue`] is the order, [`Slots`] a bounded number of places that are given out in that order.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use crate::names::CanonicalId;
use crate::{Error, Result};

/// On whose account something is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Share {
    /// The store's own work, and that of its administrators.
    #[default]
    Store,
    /// That of everybody who says no name.
    Anonymous,
    /// Look-ups of several that are asked for together.
    Together,
    /// A tenant's.
    Tenant(CanonicalId),
}

/// A line for each share; what is taken comes from the lines in turn.
pub(crate) struct FairQueue<T> {
    lines: HashMap<Share, VecDeque<T>>,
    /// Shares with a line, in the order in which they are served next.
    turns: VecDeque<Share>,
    count: usize,
    count_max: usize,
}

/// What waits need not be shown, and mostly cannot.
impl<T> std::fmt::Debug for FairQueue<T> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("FairQueue").field("count", &self.count).finish_non_exhaustive()
    }
}

impl<T> FairQueue<T> {
    pub(crate) fn new(count_max: usize) -> Self {
        Self { lines: HashMap::new(), turns: VecDeque::new(), count: 0, count_max }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Adds to the end of a line. When too many wait already, the newest of the longest line is given back: that may be the one added.
    pub(crate) fn push(&mut self, share: Share, item: T) -> Option<T> {
        let mut refused = None;
        if self.count >= self.count_max {
            let longest = self.lines.iter().max_by_key(|(_, line)| line.len()).map(|(share, line)| (share, line.len()));
            let own_length = self.lines.get(&share).map_or(0, VecDeque::len);
            match longest {
                Some((longest, length)) if length > own_length + 1 => {
                    let longest = longest.clone();
                    refused = self.lines.get_mut(&longest).and_then(VecDeque::pop_back);
                    self.count -= usize::from(refused.is_some());
                }
                Some(_) | None => return Some(item),
            }
        }
        let line = self.lines.entry(share.clone()).or_default();
        if line.is_empty() {
            self.turns.push_back(share);
        }
        line.push_back(item);
        self.count += 1;
        refused
    }

    /// The next in turn.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.pop_at(0).map(|(_, item)| item)
    }

    /// The place among the turns of the first share that may have one.
    fn position(&self, may_have: impl Fn(&Share) -> bool) -> Option<usize> {
        self.turns.iter().position(may_have)
    }

    /// The first of the line at a place among the turns.
    fn pop_at(&mut self, at: usize) -> Option<(Share, T)> {
        let share = self.turns.remove(at)?;
        let line = self.lines.get_mut(&share)?;
        let item = line.pop_front()?;
        self.count -= 1;
        if line.is_empty() {
            self.lines.remove(&share);
        } else {
            self.turns.push_back(share.clone());
        }
        Some((share, item))
    }

    /// Drops what is not wanted any more.
    fn retain(&mut self, is_wanted: impl Fn(&T) -> bool) {
        self.lines.retain(|_, line| {
            line.retain(&is_wanted);
            !line.is_empty()
        });
        self.turns.retain(|share| self.lines.contains_key(share));
        self.count = self.lines.values().map(VecDeque::len).sum();
    }

    /// Moves up to so many to the end of a list, in turn.
    pub(crate) fn take(&mut self, items: &mut Vec<T>, items_max: usize) {
        items.extend(std::iter::from_fn(|| self.pop()).take(items_max));
    }
}

/// How many places there are, and who may wait for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Places.
    pub(crate) slots: usize,
    /// Whether one share may have only as many places as are free beside them: alone it has half of them, two a third each, and several
    /// together never have all but the last few.
    pub(crate) leaves_room: bool,
    /// How many may wait.
    pub(crate) waiting_max: usize,
    /// How long one waits before it is refused.
    pub(crate) wait_max: Duration,
}

/// A bounded number of places, given to those who wait in turn.
#[derive(Clone, Debug)]
pub(crate) struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    state: Mutex<State>,
    /// Told of each place that comes back once they are closed.
    returned: Notify,
}

#[derive(Debug)]
struct State {
    is_closed: bool,
    free: usize,
    held: HashMap<Share, usize>,
    waiting: FairQueue<oneshot::Sender<Slot>>,
}

/// A place; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    /// `None` once it was given on.
    held: Option<(Arc<Shared>, Share)>,
}

impl Slots {
    pub(crate) fn new(limits: Limits) -> Self {
        let waiting = FairQueue::new(limits.waiting_max);
        let state = State { is_closed: false, free: limits.slots, held: HashMap::new(), waiting };
        Self(Arc::new(Shared { limits, state: Mutex::new(state), returned: Notify::new() }))
    }

    /// Takes a place, waiting for it in turn. [`Error::Busy`] when too many wait, or the wait is too long.
    pub(crate) async fn take(&self, share: &Share) -> Result<Slot> {
        let receiver = match self.take_or_wait(share) {
            Taken::Now(slot) => return Ok(slot),
            Taken::Later(receiver) => receiver,
        };
        // A place that comes too late is given on when the receiver is dropped with it.
        match tokio::time::timeout(self.0.limits.wait_max, receiver).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) | Err(_) => Err(Error::Busy),
        }
    }

    /// Takes a place when one is free now.
    pub(crate) fn try_take(&self, share: &Share) -> Option<Slot> {
        self.0.lock().take_free(&self.0, share)
    }

    /// Gives out no more places, refuses who waits, and waits until all are back.
    pub(crate) async fn close(&self) {
        loop {
            let returned = self.0.returned.notified();
            let waiting = {
                let mut state = self.0.lock();
                state.is_closed = true;
                if state.free == self.0.limits.slots {
                    return;
                }
                std::mem::replace(&mut state.waiting, FairQueue::new(0))
            };
            drop(waiting);
            returned.await;
        }
    }

    fn take_or_wait(&self, share: &Share) -> Taken {
        let mut state = self.0.lock();
        if let Some(slot) = state.take_free(&self.0, share) {
            return Taken::Now(slot);
        }
        if state.waiting.len() >= self.0.limits.waiting_max {
            state.waiting.retain(|sender| !sender.is_closed());
        }
        let (sender, receiver) = oneshot::channel();
        // Who is refused, this one or another in its favour, learns it by its channel, which is closed.
        drop(state.waiting.push(share.clone(), sender));
        Taken::Later(receiver)
    }
}

enum Taken {
    Now(Slot),
    Later(oneshot::Receiver<Slot>),
}

impl Shared {
    /// A poisoned lock only means that a thread panicked between whole changes.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_free(&mut self, shared: &Arc<Shared>, share: &Share) -> Option<Slot> {
        // Who comes now and may have a place is not kept waiting for those who may not.
        if self.is_closed || !self.may_have(shared, share) {
            return None;
        }
        Some(self.give(shared, share.clone()))
    }

    /// Whether a share may have one of the free places.
    fn may_have(&self, shared: &Shared, share: &Share) -> bool {
        let held = self.held.get(share).copied().unwrap_or_default();
        self.free > 0 && (!shared.limits.leaves_room || held < self.free)
    }

    fn give(&mut self, shared: &Arc<Shared>, share: Share) -> Slot {
        self.free -= 1;
        *self.held.entry(share.clone()).or_default() += 1;
        Slot { held: Some((shared.clone(), share)) }
    }

    fn take_back(&mut self, share: &Share) {
        self.free += 1;
        if let Some(count) = self.held.get_mut(share) {
            *count -= 1;
            if *count == 0 {
                self.held.remove(share);
            }
        }
    }

    /// Gives the places that came free to those who wait and may have one. Several may when one came back: it is free, and who gave it
    /// back has one less.
    fn give_free(&mut self, shared: &Arc<Shared>) -> Vec<(oneshot::Sender<Slot>, Slot)> {
        std::iter::from_fn(|| {
            let at = self.waiting.position(|share| self.may_have(shared, share))?;
            let (share, sender) = self.waiting.pop_at(at)?;
            Some((sender, self.give(shared, share)))
        })
        .collect()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut returned: Vec<_> = self.held.take().into_iter().collect();
        while let Some((shared, share)) = returned.pop() {
            let given = {
                let mut state = shared.lock();
                state.take_back(&share);
                state.give_free(&shared)
            };
            if given.is_empty() {
                shared.returned.notify_waiters();
            }
            for (sender, slot) in given {
                // Sent outside of the lock. A receiver that is gone gives the place back.
                if let Err(mut unwanted) = sender.send(slot) {
                    returned.extend(unwanted.held.take());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
