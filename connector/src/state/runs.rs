//! Runs of the connector and what each did.

use super::{State, StateError};

/// Runs that are kept; older ones go.
const RUNS_KEPT: i64 = 200;

/// How a run ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunEnd {
    pub(crate) outcome: String,
    pub(crate) applied: u64,
    pub(crate) failed: u64,
    pub(crate) held: u64,
}

/// A run as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct RunRow {
    pub(crate) run_id: i64,
    pub(crate) cause: String,
    pub(crate) started_us: i64,
    pub(crate) ended_us: Option<i64>,
    pub(crate) outcome: String,
    pub(crate) applied: u64,
    pub(crate) failed: u64,
    pub(crate) held: u64,
}

impl State {
    /// Begins a run.
    pub(crate) async fn begin_run(&self, cloud_id: &str, cause: &str) -> Result<i64, StateError> {
        let run: (i64,) = sqlx::query_as(
            "INSERT INTO run (cloud_id, cause, started_us, outcome) VALUES ($1, $2, $3, 'under way or cut short') \
             RETURNING run_id",
        )
        .bind(cloud_id)
        .bind(cause)
        .bind(self.now_us())
        .fetch_one(&self.pool)
        .await?;
        Ok(run.0)
    }

    /// Adds what a run did, in order.
    pub(crate) async fn add_run_changes(
        &self,
        run_id: i64,
        first_seq: u64,
        changes: &[(String, String)],
    ) -> Result<(), StateError> {
        let mut tx = self.write().await?;
        for (seq, (change, outcome)) in (first_seq..).zip(changes) {
            sqlx::query("INSERT INTO run_change (run_id, seq, change, outcome) VALUES ($1, $2, $3, $4)")
                .bind(run_id)
                .bind(i64::try_from(seq).unwrap_or(i64::MAX))
                .bind(change)
                .bind(outcome)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Ends a run and forgets the oldest ones.
    pub(crate) async fn end_run(&self, run_id: i64, end: &RunEnd) -> Result<(), StateError> {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE run SET ended_us = $2, outcome = $3, applied = $4, failed = $5, held = $6 WHERE run_id = $1",
        )
        .bind(run_id)
        .bind(self.now_us())
        .bind(&end.outcome)
        .bind(number(end.applied))
        .bind(number(end.failed))
        .bind(number(end.held))
        .execute(&mut *tx)
        .await?;
        for statement in ["DELETE FROM run WHERE run_id <= $1", "DELETE FROM run_change WHERE run_id <= $1"] {
            sqlx::query(statement).bind(run_id - RUNS_KEPT).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// The last runs, newest first.
    pub(crate) async fn last_runs(&self, count: u32) -> Result<Vec<RunRow>, StateError> {
        type Row = (i64, String, i64, Option<i64>, String, i64, i64, i64);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT run_id, cause, started_us, ended_us, outcome, applied, failed, held FROM run \
             ORDER BY run_id DESC LIMIT $1",
        )
        .bind(count)
        .fetch_all(&self.pool)
        .await?;
        let run = |(run_id, cause, started_us, ended_us, outcome, applied, failed, held): Row| RunRow {
            run_id,
            cause,
            started_us,
            ended_us,
            outcome,
            applied: applied.unsigned_abs(),
            failed: failed.unsigned_abs(),
            held: held.unsigned_abs(),
        };
        Ok(rows.into_iter().map(run).collect())
    }

    /// What a run did, in order, at most `count` lines.
    pub(crate) async fn run_changes(&self, run_id: i64, count: u32) -> Result<Vec<(String, String)>, StateError> {
        Ok(sqlx::query_as("SELECT change, outcome FROM run_change WHERE run_id = $1 ORDER BY seq LIMIT $2")
            .bind(run_id)
            .bind(count)
            .fetch_all(&self.pool)
            .await?)
    }
}
