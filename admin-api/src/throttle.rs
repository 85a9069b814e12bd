//! Slows down whoever guesses passwords: after a few failed log-ins from one address each further one is answered late,
//! and only a handful may wait at a time.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::StatusCode;
use tokio::time::{Instant, sleep};

use crate::{Settings, error::Refusal};

/// The first delay; each further failure doubles it.
const DELAY_FIRST: Duration = Duration::from_millis(100);
/// Failed log-ins of one peer that may wait for their answer at a time.
const WAITING_MAX: u32 = 16;
/// A peer without a failure for so long starts anew.
const FORGET_AFTER: Duration = Duration::from_secs(60);
/// Peers remembered before old ones are dropped.
const PEERS_MAX: usize = 4096;

#[derive(Debug)]
struct Failures {
    count: u32,
    waiting: u32,
    last: Instant,
}

/// Failed log-ins by peer. A peer without an address (a listener that tells none) is one peer, too.
#[derive(Debug)]
pub(crate) struct Throttle {
    peers: Mutex<HashMap<Option<IpAddr>, Failures>>,
    free_count: u32,
    delay_max: Duration,
}

/// A failed log-in that waits for its answer; it stops to count when it is dropped, also when the client goes away.
struct Waiting<'a> {
    throttle: &'a Throttle,
    peer: Option<IpAddr>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(failures) = self.throttle.lock().get_mut(&self.peer) {
            failures.waiting = failures.waiting.saturating_sub(1);
        }
    }
}

impl Throttle {
    pub(crate) fn new(settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            peers: Mutex::default(),
            free_count: settings.failed_logins_free,
            delay_max: settings.failed_login_delay_max,
        })
    }

    /// Refuses a log-in before it is checked while too many failed ones of the peer wait.
    pub(crate) fn admit(&self, peer: Option<IpAddr>) -> Result<(), Refusal> {
        let waiting = self.lock().get(&network(peer)).map_or(0, |failures| failures.waiting);
        if waiting >= WAITING_MAX {
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "Too many failed log-ins, try again later"));
        }
        Ok(())
    }

    /// Remembers a failed log-in and waits until it may be answered.
    pub(crate) async fn failed(&self, peer: Option<IpAddr>) {
        let peer = network(peer);
        let delay = self.count(peer, Instant::now());
        if !delay.is_zero() {
            let _waiting = Waiting { throttle: self, peer };
            sleep(delay).await;
        }
    }

    /// Counts a failure; a delay that is not zero is counted as waiting.
    fn count(&self, peer: Option<IpAddr>, now: Instant) -> Duration {
        let mut peers = self.lock();
        if peers.len() >= PEERS_MAX {
            peers.retain(|_, failures| failures.waiting > 0 || now - failures.last < FORGET_AFTER);
        }
        let failures = peers.entry(peer).or_insert(Failures { count: 0, waiting: 0, last: now });
        if now - failures.last >= FORGET_AFTER {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        let beyond = failures.count.saturating_sub(self.free_count);
        if beyond == 0 {
            return Duration::ZERO;
        }
        let delay = DELAY_FIRST.saturating_mul(1 << (beyond - 1).min(16)).min(self.delay_max);
        if !delay.is_zero() {
            failures.waiting += 1;
        }
        delay
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, Failures>> {
        // The map is whole after every statement, so a panic elsewhere leaves nothing half done.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One customer usually has a whole /64 of IPv6.
fn network(peer: Option<IpAddr>) -> Option<IpAddr> {
    peer.map(|address| match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle() -> Arc<Throttle> {
        Throttle::new(&Settings::default())
    }

    fn peer(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn some_failures_are_free_and_then_each_waits_longer_up_to_a_limit() {
        let throttle = throttle();
        let now = Instant::now();
        let waits_ms: Vec<_> = (0..12).map(|_| throttle.count(peer(1), now).as_millis()).collect();
        assert_eq!(waits_ms, [0, 0, 0, 0, 0, 100, 200, 400, 800, 1600, 2000, 2000]);
        assert!(throttle.count(peer(2), now).is_zero(), "another peer is not slowed down");
    }

    #[test]
    fn a_minute_of_quiet_is_a_new_start() {
        let throttle = throttle();
        let now = Instant::now();
        let last_of = |count: u32, at: Instant| {
            (0..count).map(|_| throttle.count(peer(1), at)).fold(Duration::ZERO, |_, wait| wait)
        };
        assert!(!last_of(8, now).is_zero());
        assert!(!last_of(1, now + FORGET_AFTER / 2).is_zero());
        assert!(last_of(1, now + FORGET_AFTER * 2).is_zero());
    }

    #[tokio::test]
    async fn only_so_many_wait_at_a_time_and_who_leaves_makes_room() {
        let throttle = throttle();
        (0..10).for_each(|_| _ = throttle.count(peer(1), Instant::now()));
        throttle.lock().values_mut().for_each(|failures| failures.waiting = 0);
        let waiting: Vec<_> = (0..WAITING_MAX)
            .map(|_| {
                let throttle = throttle.clone();
                tokio::spawn(async move { throttle.failed(peer(1)).await })
            })
            .collect();
        while throttle.lock().values().all(|failures| failures.waiting < WAITING_MAX) {
            tokio::task::yield_now().await;
        }
        assert!(throttle.admit(peer(1)).is_err());
        assert!(throttle.admit(peer(2)).is_ok());
        for task in waiting {
            task.abort();
            assert!(task.await.is_err());
        }
        assert!(throttle.admit(peer(1)).is_ok());
    }

    #[test]
    fn neighbours_in_ipv6_are_one_peer() {
        let a = network(Some("2001:db8:1:2::1".parse().unwrap()));
        assert_eq!(a, network(Some("2001:db8:1:2:ffff::9".parse().unwrap())));
        assert_ne!(a, network(Some("2001:db8:1:3::1".parse().unwrap())));
        assert_eq!(network(Some("::ffff:192.0.2.1".parse().unwrap())), peer(1));
    }
}
