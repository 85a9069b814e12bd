//! Which node reconciles: a row that is taken for a while and renewed.
//!
//! A process that was killed leaves its lease behind. Its name says which process it was, so that its successor on the
//! same machine need not wait until the lease runs out.

use std::{fs, path::Path, time::Duration};

use uuid::Uuid;

use super::{State, StateError};

/// How long a lease lasts without being renewed.
pub(crate) const LEASE_FOR: Duration = Duration::from_secs(60);

/// A name for an owner in this process.
pub(crate) fn owner_name() -> String {
    let pid = std::process::id();
    let begun = process_begun(pid).unwrap_or_default();
    format!("{}/{pid}/{begun}/{}", host_name(), Uuid::new_v4())
}

fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().replace('/', "-")
}

/// When a process began, in the kernel's own count; a number is used again, the two together are not.
fn process_begun(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    after_name.split_whitespace().nth(19).map(str::to_owned)
}

/// True when the owner was a process of this machine that is not there any more. In doubt it lives.
fn is_dead(owner: &str) -> bool {
    let parts: Vec<&str> = owner.split('/').collect();
    let [host, pid, begun, _] = parts.as_slice() else { return false };
    let Ok(pid) = pid.parse::<u32>() else { return false };
    let knows = !begun.is_empty() && Path::new("/proc/self/stat").exists();
    knows && *host == host_name() && process_begun(pid).is_none_or(|now| now != *begun)
}

impl State {
    /// Takes the lease away from whoever has it.
    pub(crate) async fn drop_lease(&self) -> Result<(), StateError> {
        sqlx::query("DELETE FROM lease WHERE name = 'reconcile'").execute(&self.pool).await?;
        Ok(())
    }

    /// Takes the lease away from a process that was killed.
    pub(crate) async fn drop_dead_lease(&self) -> Result<(), StateError> {
        let owner: Option<(String,)> =
            sqlx::query_as("SELECT owner FROM lease WHERE name = 'reconcile'").fetch_optional(&self.pool).await?;
        match owner {
            Some((owner,)) if is_dead(&owner) => self.release_lease(&owner).await,
            Some(_) | None => Ok(()),
        }
    }

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
    async fn a_killed_process_does_not_keep_its_lease() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("connector.db"), Clock::system()).await.unwrap();
        let living = owner_name();
        let mut parts: Vec<&str> = living.split('/').collect();
        parts[2] = "1";
        let restarted = parts.join("/");
        let elsewhere = format!("elsewhere/{}", living.split_once('/').unwrap().1);
        for (owner, stays) in [(living.as_str(), true), (&restarted, false), (&elsewhere, true), ("strange", true)] {
            assert!(state.take_lease(owner).await.unwrap());
            state.drop_dead_lease().await.unwrap();
            assert_eq!(!state.take_lease("next").await.unwrap(), stays, "{owner}");
            state.release_lease(owner).await.unwrap();
            state.release_lease("next").await.unwrap();
        }
    }

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
