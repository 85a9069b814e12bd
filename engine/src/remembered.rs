//! What is looked up with each request, remembered between requests, and forgotten by every change of it before that is answered.
//!
//! A generation counter keeps a slow reader from bringing back what was just revoked: a reader notes the generation before it reads
//! the database, its entry carries that number, and an entry of an older generation counts for nothing. A change commits first and
//! moves the generation then, so whoever read the state of before the commit has noted an older one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::BoxFuture;
use moka::sync::Cache;

use crate::fair::Share;
use crate::metadata::Tx;
use crate::objects::may_be_committed;
use crate::{Engine, Error, Inner, Result};

/// Most entries that are remembered of one kind.
const ENTRIES_MAX: u64 = 100_000;

/// Values of one kind by their names.
pub(crate) struct Remembered<V> {
    generation: AtomicU64,
    entries: Cache<String, Entry<V>>,
}

#[derive(Clone)]
struct Entry<V> {
    generation: Generation,
    value: V,
}

/// The state of all values that a reader saw, or an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u64);

impl<V: Clone + Send + Sync + 'static> Remembered<V> {
    pub(crate) fn new() -> Self {
        Self { generation: AtomicU64::new(0), entries: Cache::new(ENTRIES_MAX) }
    }

    /// To be noted before the database is read.
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::SeqCst))
    }

    pub(crate) fn get(&self, name: &str) -> Option<V> {
        let entry = self.entries.get(name)?;
        (entry.generation == self.generation()).then_some(entry.value)
    }

    /// Remembers what was read after `seen` was noted.
    pub(crate) fn insert(&self, seen: Generation, name: &str, value: V) {
        if seen == self.generation() {
            self.entries.insert(name.to_owned(), Entry { generation: seen, value });
        }
    }

    /// Forgets everything; called after each commit that changes a value.
    pub(crate) fn clear(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        // Entries of the old generation count for nothing already; this only frees their memory.
        self.entries.invalidate_all();
    }
}

impl<V: Clone + Send + Sync + 'static> std::fmt::Debug for Remembered<V> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Remembered").field("generation", &self.generation()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Runs a named transaction that changes identities, and with them who has which buckets.
    pub(crate) async fn change_identity<T, F>(&self, share: Share, name: &'static str, body: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        let forget = |inner: &Inner| {
            inner.identities.clear();
            inner.buckets.clear();
        };
        self.change_and_forget(share, name, body, forget).await
    }

    /// Runs a named transaction that changes what a bucket is.
    pub(crate) async fn change_bucket<T, F>(&self, share: Share, name: &'static str, body: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        self.change_and_forget(share, name, body, |inner| inner.buckets.clear()).await
    }

    /// Forgets unless it is certain that nothing was changed: a commit that seemed to fail may be durable all the same. What was refused
    /// must not make everybody look things up again. It runs in a task of its own, because the change is committed even when the caller
    /// goes away while it waits, and must take effect then, too.
    async fn change_and_forget<T, F>(&self, share: Share, name: &'static str, body: F, forget: fn(&Inner)) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        let inner: Arc<Inner> = self.inner.clone();
        let change = self.inner.writes.spawn(async move {
            let result = inner.db.write_for(share, name, body).await;
            if result.as_ref().err().is_none_or(may_be_committed) {
                forget(&inner);
            }
            result
        });
        change.await.map_err(|_| Error::Internal("a change of what is remembered stopped"))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_stays_until_the_next_change() {
        let remembered = Remembered::new();
        assert_eq!(remembered.get("name"), None);
        remembered.insert(remembered.generation(), "name", 1);
        assert_eq!(remembered.get("name"), Some(1));
        assert_eq!(remembered.get("NAME"), None);
        remembered.clear();
        assert_eq!(remembered.get("name"), None);
    }

    #[test]
    fn a_slow_reader_brings_nothing_back() {
        let remembered = Remembered::new();
        let seen = remembered.generation();
        remembered.clear();
        remembered.insert(seen, "name", 1);
        assert_eq!(remembered.get("name"), None);
    }

    #[test]
    fn a_reader_between_check_and_insert_brings_nothing_back_either() {
        let remembered = Remembered::new();
        let seen = remembered.generation();
        remembered.clear();
        // As if the clear had come between the check of the generation and the insertion.
        remembered.entries.insert("name".into(), Entry { generation: seen, value: 1 });
        assert_eq!(remembered.get("name"), None);
    }
}
