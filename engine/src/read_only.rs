//! The switch that takes no more writes: thrown where a sync fails or the connection that writes breaks off, for as long as the process runs.

use std::sync::{Arc, Mutex, PoisonError};

/// Why the store takes no writes, once it does not. Shared by everything that syncs.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadOnly(Arc<Mutex<Option<String>>>);

impl ReadOnly {
    /// Takes no more writes; the first reason stays.
    pub(crate) fn begin(&self, why: &str) {
        let mut reason = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reason.is_none() {
            tracing::error!(why, "the store is read-only until it is restarted");
            *reason = Some(why.to_owned());
        }
    }

    /// The reason, when no writes are taken.
    pub(crate) fn reason(&self) -> Option<String> {
        // A poisoned lock only means that a thread panicked between two plain assignments; the value is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
