//! What a piece of work costs the database, for tests: in steps of SQLite's machine, which no other load on the processors
//! changes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{CONNECTIONS_MAX, State};

/// Steps between two counts.
const GRAIN: u64 = 10;

/// A counter of all steps that a state's database makes.
pub(crate) struct Steps(Arc<AtomicU64>);

impl Steps {
    /// The steps since the last look.
    pub(crate) fn take(&self) -> u64 {
        self.0.swap(0, Ordering::SeqCst) * GRAIN
    }
}

impl State {
    /// Counts steps from now on.
    pub(crate) async fn count_steps(&self) -> Steps {
        let count = Arc::new(AtomicU64::new(0));
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            connections.push(self.pool.acquire().await.unwrap());
        }
        for connection in &mut connections {
            let count = Arc::clone(&count);
            let mut handle = connection.lock_handle().await.unwrap();
            handle.set_progress_handler(i32::try_from(GRAIN).unwrap(), move || {
                count.fetch_add(1, Ordering::SeqCst);
                true
            });
        }
        Steps(count)
    }
}
