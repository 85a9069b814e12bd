//! Look-ups of single keys, asked for together.
//!
//! On its way to the database a question wakes another thread, and its answer wakes this one: that costs more than the look-up. So those
//! that arrive while others are being answered wait for the next round, which asks for all of them at once. Nobody waits when nobody else
//! reads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use tokio::sync::oneshot;

use super::Row;
use super::db::Backend;
use super::objects::{self, Located, Place};
use crate::fair::{FairQueue, Share};
use crate::{Error, Result};

/// Most look-ups in one round: no more than one statement has.
const TOGETHER_MAX: usize = 64;
/// Most rounds at a time.
const ROUNDS_MAX: usize = 3;
/// How many wait for each round that is under way before another one begins.
const WAITING_PER_ROUND: usize = 16;
/// Most look-ups that may wait.
const WAITING_MAX: usize = 8192;

/// Where look-ups wait, and who answers them.
#[derive(Debug)]
pub(super) struct LookUps {
    backend: Arc<Backend>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    waiting: FairQueue<Waiting>,
    rounds: usize,
}

/// A look-up that waits.
#[derive(Debug)]
struct Waiting {
    place: Place,
    answer: oneshot::Sender<Result<Row>>,
}

impl LookUps {
    pub(super) fn new(backend: Arc<Backend>) -> Arc<Self> {
        let state = Mutex::new(State { waiting: FairQueue::new(WAITING_MAX), rounds: 0 });
        Arc::new(Self { backend, state })
    }

    /// A poisoned lock only means that a thread panicked between whole changes.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is at a place, with the next round. [`Error::Busy`] when too many wait.
    pub(super) async fn find(self: &Arc<Self>, share: Share, place: Place) -> Result<Option<Located>> {
        let (answer, row) = oneshot::channel();
        self.add(share, Waiting { place: place.clone(), answer });
        // Who is refused, this one or another in its favour, learns it by its channel, which is closed.
        let row = row.await.map_err(|_| Error::Busy)??;
        objects::located(&row, &place)
    }

    fn add(self: &Arc<Self>, share: Share, look_up: Waiting) {
        let (refused, round) = {
            let mut state = self.lock();
            let refused = state.waiting.push(share, look_up);
            let is_due = state.rounds == 0 || state.waiting.len() > state.rounds * WAITING_PER_ROUND;
            (refused, (is_due && state.rounds < ROUNDS_MAX).then(|| self.begin(&mut state)))
        };
        drop(refused);
        if let Some(round) = round {
            tokio::spawn(round.run());
        }
    }

    fn begin(self: &Arc<Self>, state: &mut State) -> Round {
        state.rounds += 1;
        Round { look_ups: self.clone(), is_ended: false }
    }
}

/// Somebody who answers as long as somebody waits. It is a task of its own: whoever waits may go away.
struct Round {
    look_ups: Arc<LookUps>,
    is_ended: bool,
}

impl Round {
    async fn run(mut self) {
        while let Some(batch) = self.next() {
            self.answer(batch).await;
        }
    }

    /// Those who wait, in turn. The round has ended when there are none.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let mut state = self.look_ups.lock();
        let mut batch = Vec::new();
        state.waiting.take(&mut batch, TOGETHER_MAX);
        if batch.is_empty() {
            state.rounds -= 1;
            self.is_ended = true;
            return None;
        }
        Some(batch)
    }

    async fn answer(&self, mut batch: Vec<Waiting>) {
        batch.retain(|look_up| !look_up.answer.is_closed());
        let places = batch.iter().map(|look_up| look_up.place.clone()).collect();
        match self.look_up(places).await {
            Ok(rows) => batch.into_iter().zip(rows).for_each(|(look_up, row)| look_up.tell(Ok(row))),
            Err(error) => self.answer_apart(batch, error).await,
        }
    }

    /// Answers after a question failed: each by itself, as what is damaged at one place is no concern of the others. When it is the
    /// database that fails, it is not asked again: one learns why, the others that they may try again.
    async fn answer_apart(&self, mut batch: Vec<Waiting>, error: Error) {
        if batch.len() == 1 || !error.is_unreadable_row() {
            if let Some(first) = batch.pop() {
                first.tell(Err(error));
            }
            return;
        }
        for look_up in batch {
            let found = self.look_up(vec![look_up.place.clone()]).await;
            look_up.tell(found.and_then(|mut rows| rows.pop().ok_or(Error::Internal("a look-up lost a key"))));
        }
    }

    async fn look_up(&self, places: Vec<Place>) -> Result<Vec<Row>> {
        metrics::counter!("cloudhold_metadata_look_ups_total").increment(1);
        self.look_ups
            .backend
            .read_statement(&Share::Together, "look_up", |tx| async move { objects::locate(tx, &places).await }.boxed())
            .await
    }
}

impl Drop for Round {
    /// A round that is dropped in the middle must not be counted for ever.
    fn drop(&mut self) {
        if !self.is_ended {
            self.look_ups.lock().rounds -= 1;
        }
    }
}

impl Waiting {
    /// Nobody listens any more when the client went away.
    fn tell(self, row: Result<Row>) {
        let _ = self.answer.send(row);
    }
}
