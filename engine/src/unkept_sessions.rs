//! Console sessions of a store that takes no writes: they are in memory, so that whoever is to look after it can sign in and out all the
//! same. The process takes them along when it ends.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Identity;

/// Most that are kept of each kind.
const COUNT_MAX: usize = 1_000;

/// A session that is in memory only.
#[derive(Clone, Debug)]
pub(crate) struct UnkeptSession {
    pub(crate) identity: Identity,
    /// What the password was then: with another one the session is over.
    pub(crate) password_hash: Option<String>,
    pub(crate) csrf_token: String,
    pub(crate) expires_us: i64,
}

/// Sessions by the hashes of their tokens.
#[derive(Debug, Default)]
pub(crate) struct UnkeptSessions(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    open: HashMap<Vec<u8>, UnkeptSession>,
    /// Sessions of the metadata that were ended and are still there.
    ended: HashSet<Vec<u8>>,
}

impl UnkeptSessions {
    /// A poisoned lock only means that a thread panicked between whole changes.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a session; says whether there was room.
    pub(crate) fn open(&self, hash: Vec<u8>, session: UnkeptSession, now_us: i64) -> bool {
        let mut state = self.state();
        state.open.retain(|_, session| session.expires_us > now_us);
        let has_room = state.open.len() < COUNT_MAX;
        if has_room {
            state.open.insert(hash, session);
        }
        has_room
    }

    /// The session of the first hash that names one.
    pub(crate) fn find(&self, hashes: &[Vec<u8>]) -> Option<UnkeptSession> {
        let state = self.state();
        hashes.iter().find_map(|hash| state.open.get(hash).cloned())
    }

    /// Whether a session of the metadata was ended.
    pub(crate) fn has_ended(&self, hashes: &[Vec<u8>]) -> bool {
        let state = self.state();
        hashes.iter().any(|hash| state.ended.contains(hash))
    }

    /// Ends a session that is in memory only; says whether there was one.
    pub(crate) fn close(&self, hashes: &[Vec<u8>]) -> bool {
        let mut state = self.state();
        hashes.iter().filter(|hash| state.open.remove(*hash).is_some()).count() > 0
    }

    /// Ends a session that stays in the metadata; says whether there was room to remember that.
    pub(crate) fn end(&self, hashes: Vec<Vec<u8>>) -> bool {
        let mut state = self.state();
        let has_room = state.ended.len() + hashes.len() <= COUNT_MAX;
        if has_room {
            state.ended.extend(hashes);
        }
        has_room
    }
}
