//! What an access key stands for, remembered between requests, and forgotten by every change of identity before it is answered.
//!
//! A generation counter keeps a slow reader from bringing back what was just revoked: a reader notes the generation before it reads
//! the database, its entry carries that number, and an entry of an older generation counts for nothing. A change commits first and
//! moves the generation then, so whoever read the state of before the commit has noted an older one.

use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::BoxFuture;
use moka::sync::Cache;

use crate::metadata::Tx;
use crate::{Engine, Error, KeyLogin, Result};

/// Most access keys that are remembered.
const KEYS_MAX: u64 = 100_000;

/// The log-ins of access keys.
pub(crate) struct IdentityCache {
    generation: AtomicU64,
    logins: Cache<String, Entry>,
}

#[derive(Clone)]
struct Entry {
    generation: Generation,
    found: FoundLogin,
}

/// The state of all identities that a reader saw, or an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u64);

/// An access key that is on, of an active user in an active group; it may have ended by the clock.
#[derive(Clone, Debug)]
pub(crate) struct FoundLogin {
    pub(crate) login: KeyLogin,
    pub(crate) expires_us: Option<i64>,
}

impl FoundLogin {
    /// The log-in, unless the key has ended.
    pub(crate) fn at(self, now_us: i64) -> Option<KeyLogin> {
        match self.expires_us {
            Some(expires_us) if expires_us <= now_us => None,
            Some(_) | None => Some(self.login),
        }
    }
}

impl IdentityCache {
    pub(crate) fn new() -> Self {
        Self { generation: AtomicU64::new(0), logins: Cache::new(KEYS_MAX) }
    }

    /// To be noted before the database is read.
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::SeqCst))
    }

    pub(crate) fn get(&self, access_key: &str) -> Option<FoundLogin> {
        let entry = self.logins.get(access_key)?;
        (entry.generation == self.generation()).then_some(entry.found)
    }

    /// Remembers what was read after `seen` was noted.
    pub(crate) fn insert(&self, seen: Generation, access_key: &str, found: FoundLogin) {
        if seen == self.generation() {
            self.logins.insert(access_key.to_owned(), Entry { generation: seen, found });
        }
    }

    /// Forgets everything; called after each commit that changes an identity.
    pub(crate) fn clear(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        // Entries of the old generation count for nothing already; this only frees their memory.
        self.logins.invalidate_all();
    }
}

impl std::fmt::Debug for IdentityCache {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("IdentityCache").field("generation", &self.generation()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Runs a named transaction that changes identities and forgets what was remembered, whatever its result: a commit that seemed to
    /// fail may be durable all the same. It runs in a task of its own, because the change is committed even when the caller goes away
    /// while it waits, and must take effect then, too.
    pub(crate) async fn change_identity<T, F>(&self, name: &'static str, body: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        let engine = self.clone();
        let writes = self.inner.writes.clone();
        let change = writes.spawn(async move {
            let result = engine.inner.db.write(name, body).await;
            engine.inner.identities.clear();
            result
        });
        change.await.map_err(|_| Error::Internal("a change of identities stopped"))?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use secrecy::SecretString;

    use super::*;
    use crate::{CanonicalId, GroupId, Identity, Role, UserId};

    fn found(expires_us: Option<i64>) -> FoundLogin {
        let identity = Identity {
            canonical_id: CanonicalId::random(),
            group_id: GroupId::system(),
            user_id: UserId::new("somebody").expect("a user id"),
            display_name: "Some Body".into(),
            role: Role::User,
        };
        FoundLogin {
            login: KeyLogin { secret_key: SecretString::from("secret"), identity: Arc::new(identity) },
            expires_us,
        }
    }

    #[test]
    fn what_was_read_stays_until_the_next_change() {
        let cache = IdentityCache::new();
        assert!(cache.get("key").is_none());
        cache.insert(cache.generation(), "key", found(None));
        assert!(cache.get("key").is_some());
        assert!(cache.get("KEY").is_none());
        cache.clear();
        assert!(cache.get("key").is_none());
    }

    #[test]
    fn a_slow_reader_brings_nothing_back() {
        let cache = IdentityCache::new();
        let seen = cache.generation();
        cache.clear();
        cache.insert(seen, "key", found(None));
        assert!(cache.get("key").is_none());
    }

    #[test]
    fn a_reader_between_check_and_insert_brings_nothing_back_either() {
        let cache = IdentityCache::new();
        let seen = cache.generation();
        cache.clear();
        // As if the clear had come between the check of the generation and the insertion.
        cache.logins.insert("key".into(), Entry { generation: seen, found: found(None) });
        assert!(cache.get("key").is_none());
    }

    #[test]
    fn a_key_ends_at_its_time() {
        assert!(found(Some(100)).at(99).is_some());
        assert!(found(Some(100)).at(100).is_none());
        assert!(found(None).at(i64::MAX).is_some());
    }
}
