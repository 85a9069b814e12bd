//! The connections that read SQLite: a few, made when they are needed and kept.
//!
//! The driver's own pool asks a connection whether it lives each time it comes back, which costs as much as a lookup; a local file does
//! not go away.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;

use super::link::{self, Link};
use crate::Result;
use crate::fair::{Limits, Share, Slot, Slots};

/// How long a read waits for a connection before it is refused as too much.
const QUEUE_WAIT: Duration = Duration::from_secs(10);
/// Most reads that may wait for a connection.
const WAITING_MAX: usize = 4096;

/// The reading connections of a database file.
#[derive(Debug)]
pub(super) struct Readers {
    options: Box<SqliteConnectOptions>,
    turns: Slots,
    idle: Arc<Idle>,
}

/// Connections that nobody uses at the moment.
#[derive(Debug, Default)]
struct Idle(Mutex<Vec<Link>>);

impl Idle {
    /// A poisoned lock only means that a thread panicked between whole changes of the list.
    fn lock(&self) -> MutexGuard<'_, Vec<Link>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readers {
    pub(super) fn new(options: SqliteConnectOptions, count_max: u32) -> Self {
        let slots = usize::try_from(count_max).unwrap_or(usize::MAX);
        let turns = Slots::new(Limits { slots, leaves_room: false, waiting_max: WAITING_MAX, wait_max: QUEUE_WAIT });
        Self { options: Box::new(options), turns, idle: Arc::default() }
    }

    /// A connection to read with; those who wait have them in turn. [`Error::Busy`](crate::Error::Busy) when too many wait, none becomes
    /// free for a while, or they are closed.
    pub(super) async fn take(&self, share: &Share, transaction: &'static str) -> Result<Reader> {
        let slot = self.turns.take(share).await?;
        let idle = self.idle.lock().pop();
        let link = match idle {
            Some(link) => link,
            None => Link::new(link::connect(transaction, &self.options).await?),
        };
        Ok(Reader { link: Some(link), idle: self.idle.clone(), returns: true, _slot: slot })
    }

    /// Waits for what reads, and closes the connections.
    pub(super) async fn close(&self) {
        self.turns.close().await;
        let idle = std::mem::take(&mut *self.idle.lock());
        for link in idle {
            link.close().await;
        }
    }
}

/// A connection that somebody reads with; it goes back when this is dropped.
#[derive(Debug)]
pub(super) struct Reader {
    /// Always there until the drop.
    link: Option<Link>,
    idle: Arc<Idle>,
    returns: bool,
    /// Given back last, when the connection lies among the idle ones.
    _slot: Slot,
}

impl Reader {
    pub(super) fn link(&mut self) -> &mut Link {
        self.link.as_mut().expect("a reader has its connection until it is dropped")
    }

    /// Closes the connection instead of giving it back: nobody knows what state it is in.
    pub(super) fn close_on_drop(&mut self) {
        self.returns = false;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let (true, Some(link)) = (self.returns, self.link.take()) {
            self.idle.lock().push(link);
        }
    }
}
