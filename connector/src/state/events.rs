//! The event cursor and the events already taken in.

use std::collections::HashSet;

use sqlx::{QueryBuilder, Sqlite};

use super::{State, StateError};
use crate::cloudstack::Event;

/// Ids in one statement: well below SQLite's limit of bound values.
const IDS_PER_STATEMENT: usize = 500;

impl State {
    /// Those of the events that were not taken in before.
    pub(crate) async fn unseen(&self, cloud_id: &str, events: Vec<Event>) -> Result<Vec<Event>, StateError> {
        let mut seen = HashSet::new();
        for chunk in events.chunks(IDS_PER_STATEMENT) {
            let mut query = QueryBuilder::<Sqlite>::new("SELECT event_id FROM event_seen WHERE cloud_id = ");
            query.push_bind(cloud_id).push(" AND event_id IN (");
            let mut ids = query.separated(", ");
            for event in chunk {
                ids.push_bind(&event.id);
            }
            query.push(")");
            let rows: Vec<(String,)> = query.build_query_as().fetch_all(&self.pool).await?;
            seen.extend(rows.into_iter().map(|(id,)| id));
        }
        Ok(events.into_iter().filter(|event| seen.insert(event.id.clone())).collect())
    }

    /// Remembers events as taken in, moves the cursor, and forgets those from before `forget_before_us`.
    pub(crate) async fn take_events(
        &self,
        cloud_id: &str,
        events: &[(String, i64)],
        cursor: Option<&str>,
        forget_before_us: i64,
    ) -> Result<(), StateError> {
        let mut tx = self.write().await?;
        for chunk in events.chunks(IDS_PER_STATEMENT) {
            let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO event_seen (cloud_id, event_id, at_us) ");
            query.push_values(chunk, |mut row, (id, at_us)| {
                row.push_bind(cloud_id).push_bind(id).push_bind(*at_us);
            });
            query.push(" ON CONFLICT (cloud_id, event_id) DO NOTHING");
            query.build().execute(&mut *tx).await?;
        }
        if let Some(cursor) = cursor {
            sqlx::query("UPDATE cloud SET event_cursor = $1 WHERE one = 1").bind(cursor).execute(&mut *tx).await?;
        }
        sqlx::query("DELETE FROM event_seen WHERE cloud_id = $1 AND at_us < $2")
            .bind(cloud_id)
            .bind(forget_before_us)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}
