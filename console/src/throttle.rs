//! Slows down guessing of passwords: so many wrong ones from one address, and fewer for one user, then a pause.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::Clock;

/// Wrong passwords of one address for one user.
const PER_USER_MAX: u32 = 8;
/// Wrong passwords of one address for whatever users.
const PER_PEER_MAX: u32 = 60;
/// How long a wrong password counts.
const WINDOW_US: i64 = 5 * 60 * 1_000_000;
/// How many counters are kept; so an attacker cannot fill the memory.
const COUNTERS_MAX: usize = 50_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Counted {
    Peer(Option<IpAddr>),
    User(Option<IpAddr>, String, String),
}

#[derive(Clone, Copy, Debug)]
struct Count {
    since_us: i64,
    tries: u32,
}

/// Counts attempts. An attempt counts from its beginning, so that many at once do not slip through; a successful one is
/// taken back.
#[derive(Debug)]
pub(crate) struct Throttle {
    clock: Clock,
    counts: Mutex<HashMap<Counted, Count>>,
}

/// An attempt that was let through.
#[derive(Debug)]
pub(crate) struct Attempt {
    peer: Counted,
    user: Counted,
}

impl Throttle {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, counts: Mutex::default() }
    }

    /// Counts an attempt, or says after how many seconds to try again.
    pub(crate) fn begin(&self, peer: Option<IpAddr>, group_id: &str, user_id: &str) -> Result<Attempt, u64> {
        let attempt =
            Attempt { peer: Counted::Peer(peer), user: Counted::User(peer, group_id.to_owned(), user_id.to_owned()) };
        let now_us = self.clock.now_us();
        let mut counts = self.lock();
        make_room(&mut counts, now_us);
        for (counted, most) in [(&attempt.peer, PER_PEER_MAX), (&attempt.user, PER_USER_MAX)] {
            if let Some(wait_s) = must_wait(&counts, counted, most, now_us) {
                return Err(wait_s);
            }
        }
        for counted in [&attempt.peer, &attempt.user] {
            let count = counts.entry(counted.clone()).or_insert(Count { since_us: now_us, tries: 0 });
            if now_us - count.since_us >= WINDOW_US {
                *count = Count { since_us: now_us, tries: 0 };
            }
            count.tries += 1;
        }
        Ok(attempt)
    }

    /// The password was right: the user's count begins anew, and the address is not held responsible for this one.
    pub(crate) fn succeeded(&self, attempt: &Attempt) {
        let mut counts = self.lock();
        counts.remove(&attempt.user);
        if let Some(count) = counts.get_mut(&attempt.peer) {
            count.tries = count.tries.saturating_sub(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Counted, Count>> {
        // Counters are whole after every statement, so a panic elsewhere leaves nothing half done.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn must_wait(counts: &HashMap<Counted, Count>, counted: &Counted, most: u32, now_us: i64) -> Option<u64> {
    let count = counts.get(counted)?;
    let left_us = count.since_us + WINDOW_US - now_us;
    let full = count.tries >= most && left_us > 0;
    full.then(|| u64::try_from(left_us / 1_000_000 + 1).unwrap_or(1))
}

/// Forgets what no longer counts, and when that is not enough, everything about single users: the count of each address
/// still holds.
fn make_room(counts: &mut HashMap<Counted, Count>, now_us: i64) {
    if counts.len() < COUNTERS_MAX {
        return;
    }
    counts.retain(|_, count| now_us - count.since_us < WINDOW_US);
    if counts.len() >= COUNTERS_MAX {
        counts.retain(|counted, _| matches!(counted, Counted::Peer(_)));
    }
    if counts.len() >= COUNTERS_MAX {
        counts.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn peer(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn after_eight_wrong_passwords_one_user_waits_and_others_do_not() {
        let (clock, hand) = Clock::movable();
        let throttle = Throttle::new(clock);
        for _ in 0..PER_USER_MAX {
            assert!(throttle.begin(peer(1), "g", "ada").is_ok());
        }
        let wait_s = throttle.begin(peer(1), "g", "ada").unwrap_err();
        assert!((295..=301).contains(&wait_s), "{wait_s}");
        assert!(throttle.begin(peer(1), "g", "bob").is_ok());
        assert!(throttle.begin(peer(2), "g", "ada").is_ok(), "another address is not locked out");
        hand.advance(Duration::from_secs(301));
        assert!(throttle.begin(peer(1), "g", "ada").is_ok());
    }

    #[test]
    fn a_right_password_clears_the_count() {
        let throttle = Throttle::new(Clock::movable().0);
        for _ in 0..100 {
            let attempt = throttle.begin(peer(1), "g", "ada").unwrap();
            throttle.succeeded(&attempt);
        }
    }

    #[test]
    fn one_address_cannot_try_many_users() {
        let throttle = Throttle::new(Clock::movable().0);
        for user in 0..PER_PEER_MAX {
            assert!(throttle.begin(peer(1), "g", &user.to_string()).is_ok());
        }
        assert!(throttle.begin(peer(1), "g", "one-more").is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::new(Clock::movable().0);
        for number in 0..COUNTERS_MAX {
            let address = IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
            let _ = throttle.begin(Some(address), "g", "ada");
        }
        assert!(throttle.lock().len() <= COUNTERS_MAX + 2);
    }
}
