//! The clock, passed in so that tests can move it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time in microseconds of the Unix epoch.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Arc::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        }))
    }

    /// A clock that runs with the machine's but can be moved forward: the clock and the hand that moves it.
    pub fn movable() -> (Self, ClockHand) {
        let hand = ClockHand(Arc::new(AtomicI64::new(0)));
        let offset_us = hand.0.clone();
        let base = Self::system();
        (Self(Arc::new(move || base.now_us() + offset_us.load(Ordering::SeqCst))), hand)
    }

    /// Now, in microseconds of the Unix epoch.
    pub fn now_us(&self) -> i64 {
        (self.0)()
    }

    /// Now, in milliseconds of the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        self.now_us() / 1000
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Clock")
    }
}

/// Moves a [`Clock::movable`].
#[derive(Clone, Debug)]
pub struct ClockHand(Arc<AtomicI64>);

impl ClockHand {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(micros(by), Ordering::SeqCst);
    }
}

/// A duration as whole microseconds, as times are stored.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
