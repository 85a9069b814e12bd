//! How many connections each other end has at a door, so that one of them cannot take all places.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The other ends of a door's connections.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    connections_max: usize,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection of a peer.
#[derive(Debug)]
pub(super) struct Counted {
    peers: Peers,
    peer: IpAddr,
}

impl Peers {
    pub(super) fn new(connections_max: usize) -> Self {
        Self { connections_max, counts: Arc::default() }
    }

    /// A poisoned lock only means that a thread panicked between whole changes.
    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection; `None` when its peer has as many as it may.
    pub(super) fn count(&self, peer: IpAddr) -> Option<Counted> {
        let mut counts = self.counts();
        let count = counts.entry(peer).or_default();
        if *count >= self.connections_max {
            return None;
        }
        *count += 1;
        Some(Counted { peers: self.clone(), peer })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.peers.counts();
        if let Some(count) = counts.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn one_peer_cannot_take_the_places_of_another() {
        let peers = Peers::new(2);
        let (one, two) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::BROADCAST));
        let held = [peers.count(one).unwrap(), peers.count(one).unwrap()];
        assert!(peers.count(one).is_none());
        assert!(peers.count(two).is_some());
        drop(held);
        assert!(peers.count(one).is_some());
        assert!(peers.counts().is_empty(), "who has left is forgotten");
    }
}
