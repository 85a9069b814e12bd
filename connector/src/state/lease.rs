//! Which node reconciles: a row that is taken for a while and renewed.

use std::time::Duration;

use super::{State, StateError};

/// How long a lease lasts without being renewed.
pub(crate) const LEASE_FOR: Duration = Duration::from_secs(60);

impl State {
    /// Takes or renews the lease; false when another owner has it.
    pub(crate) async fn take_lease(&self, owner: &str) -> Result<bool, StateError> {
        let now_us = self.now_us();
        let until_us = now_us.saturating_add(i64::try_from(LEASE_FOR.as_micros()).unwrap_or(i64::MAX));
        let taken = sqlx::query(
            "INSERT INTO lease (name, owner, until_us) VALUES ('reconcile', $1, $2) \
             ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until_us = excluded.until_us \
             WHERE lease.owner = excluded.owner OR lease.until_us <= $3",
        )
        .bind(owner)
        .bind(until_us)
        .bind(now_us)
        .execute(&self.pool)
        .await?;
        Ok(taken.rows_affected() == 1)
    }

    /// Gives the lease up, if it is this owner's.
    pub(crate) async fn release_lease(&self, owner: &str) -> Result<(), StateError> {
        sqlx::query("DELETE FROM lease WHERE name = 'reconcile' AND owner = $1")
            .bind(owner)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use super::*;
    use crate::{Clock, clock::from_us};

    #[tokio::test]
    async fn a_lease_has_one_owner_until_it_runs_out() {
        let folder = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicI64::new(1_000_000));
        let hand = Arc::clone(&now);
        let clock = Clock::from_fn(move || from_us(hand.load(Ordering::SeqCst)));
        let state = State::open(&folder.path().join("connector.db"), clock).await.unwrap();
        assert!(state.take_lease("a").await.unwrap());
        assert!(state.take_lease("a").await.unwrap());
        assert!(!state.take_lease("b").await.unwrap());
        now.fetch_add(61_000_000, Ordering::SeqCst);
        assert!(state.take_lease("b").await.unwrap());
        state.release_lease("b").await.unwrap();
        assert!(state.take_lease("a").await.unwrap());
    }
}
