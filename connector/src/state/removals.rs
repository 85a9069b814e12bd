//! Removals for the limit on a rolling day. Each is written down before the target is asked for it and settled after its
//! answer: whatever cuts a run short, what was removed stays counted.

use sqlx::SqliteConnection;

use super::{State, StateError};

/// What is removed: a user, or a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Removed {
    pub(crate) group_id: String,
    /// Empty for the group itself.
    pub(crate) user_id: String,
    /// True for a deletion, false for a deactivation.
    pub(crate) deletes: bool,
}

impl Removed {
    fn what(&self) -> String {
        let verb = if self.deletes { "delete" } else { "deactivate" };
        if self.user_id.is_empty() {
            return format!("{verb} group {}", self.group_id);
        }
        format!("{verb} user {}", self.user_id)
    }
}

impl State {
    /// Removals of which it is not known whether the target made them.
    pub(crate) async fn open_removals(&self, cloud_id: &str) -> Result<Vec<Removed>, StateError> {
        let rows: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT group_id, user_id, deletes FROM removal WHERE cloud_id = $1 AND open = 1 ORDER BY group_id, user_id",
        )
        .bind(cloud_id)
        .fetch_all(&self.pool)
        .await?;
        let removed = |(group_id, user_id, deletes)| Removed { group_id, user_id, deletes: deletes != 0 };
        Ok(rows.into_iter().map(removed).collect())
    }

    /// Settled deletions and deactivations since a time that no operator confirmed.
    pub(crate) async fn removals_since(&self, cloud_id: &str, since_us: i64) -> Result<u64, StateError> {
        let found: (i64,) = sqlx::query_as(
            "SELECT count(*) FROM removal WHERE cloud_id = $1 AND at_us > $2 AND confirmed = 0 AND open = 0",
        )
        .bind(cloud_id)
        .bind(since_us)
        .fetch_one(&self.pool)
        .await?;
        Ok(found.0.unsigned_abs())
    }
}

/// Counts a removal that is about to be asked for. One that is open already is the same one, tried again.
pub(super) async fn count_one(
    tx: &mut SqliteConnection,
    cloud_id: &str,
    removed: &Removed,
    confirmed: bool,
    now_us: i64,
) -> Result<(), StateError> {
    drop_open(tx, cloud_id, &removed.group_id, &removed.user_id).await?;
    insert(tx, cloud_id, removed, (confirmed, true), now_us).await
}

/// The target made it. The row is there, unless somebody else settled it meanwhile.
pub(super) async fn settle(
    tx: &mut SqliteConnection,
    cloud_id: &str,
    removed: &Removed,
    confirmed: bool,
    now_us: i64,
) -> Result<(), StateError> {
    let settled =
        sqlx::query("UPDATE removal SET open = 0 WHERE cloud_id = $1 AND group_id = $2 AND user_id = $3 AND open = 1")
            .bind(cloud_id)
            .bind(&removed.group_id)
            .bind(&removed.user_id)
            .execute(&mut *tx)
            .await?;
    if settled.rows_affected() > 0 {
        return Ok(());
    }
    insert(tx, cloud_id, removed, (confirmed, false), now_us).await
}

/// The target did not make it.
pub(super) async fn drop_open(
    tx: &mut SqliteConnection,
    cloud_id: &str,
    group_id: &str,
    user_id: &str,
) -> Result<(), StateError> {
    sqlx::query("DELETE FROM removal WHERE cloud_id = $1 AND group_id = $2 AND user_id = $3 AND open = 1")
        .bind(cloud_id)
        .bind(group_id)
        .bind(user_id)
        .execute(tx)
        .await?;
    Ok(())
}

async fn insert(
    tx: &mut SqliteConnection,
    cloud_id: &str,
    removed: &Removed,
    (confirmed, open): (bool, bool),
    now_us: i64,
) -> Result<(), StateError> {
    sqlx::query(
        "INSERT INTO removal (cloud_id, at_us, what, confirmed, group_id, user_id, deletes, open) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(cloud_id)
    .bind(now_us)
    .bind(removed.what())
    .bind(i64::from(confirmed))
    .bind(&removed.group_id)
    .bind(&removed.user_id)
    .bind(i64::from(removed.deletes))
    .bind(i64::from(open))
    .execute(tx)
    .await?;
    Ok(())
}
