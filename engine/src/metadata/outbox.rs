//! SQL of the outbox: events that wait to be delivered.

use super::many::{Many, Part, execute_many};
use super::{Row, Tx, Value, values};
use crate::events::{Backlog, Event, Happened, Notify, PendingEvent};
use crate::notifications::Notifications;
use crate::rules::{BucketSetting, from_json};
use crate::{Error, Result};

/// Adds events; the values of each are those of [`row`].
pub(super) static ADD: Many = Many::new(
    6,
    &[Part {
        before: "INSERT INTO event_outbox (target, seq, bucket_id, key, event, created_us, attempts, due_us) VALUES ",
        row: "($1, $2, $3, $4, $5, $6, 0, 0)",
        between: ", ",
        after: "",
    }],
);

fn row(bucket_id: i64, target: &str, event: &Event) -> Result<Vec<Value>> {
    let text = serde_json::to_string(event).map_err(|_| Error::Internal("an event cannot be written"))?;
    Ok(values![target, event.seq, bucket_id, event.key.as_bytes(), text, event.time_us])
}

/// The rows of what happened.
pub(super) fn rows(tx: &Tx, bucket_id: i64, notify: &Notify, happened: &Happened<'_>) -> Result<Vec<Vec<Value>>> {
    let events = notify.events(happened, tx.now_us());
    events.iter().map(|(target, event)| row(bucket_id, target, event)).collect()
}

/// Adds what happened, for those who are told of it.
pub(crate) async fn add(tx: &mut Tx, bucket_id: i64, notify: &Notify, happened: &Happened<'_>) -> Result<()> {
    let rows = rows(tx, bucket_id, notify, happened)?;
    execute_many(tx, &ADD, rows).await.map(|_| ())
}

/// Adds an event for one target, with a number of its own.
pub(crate) async fn add_one(tx: &mut Tx, bucket_id: i64, target: &str, event: &Event) -> Result<()> {
    let event = Event { seq: tx.take_seq().await?, ..event.clone() };
    execute_many(tx, &ADD, vec![row(bucket_id, target, &event)?]).await.map(|_| ())
}

/// Who is told of what the store does itself to a bucket.
pub(crate) async fn notify_of(tx: &mut Tx, bucket_id: i64) -> Result<Option<Notify>> {
    let row = tx
        .fetch_optional(
            "SELECT b.name, b.owner_ref, s.value FROM buckets b
             JOIN bucket_settings s ON s.bucket_id = b.id AND s.kind = $2
             WHERE b.id = $1",
            values![bucket_id, Notifications::KIND],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let rules = from_json(Notifications::KIND, &row.text("value")?)?;
    Ok(Some(Notify::of_store(row.text("name")?, row.text("owner_ref")?, rules)))
}

fn pending_from(row: &Row) -> Result<PendingEvent> {
    let event = serde_json::from_str(&row.text("event")?);
    Ok(PendingEvent {
        event: event.map_err(|error| Error::corrupt(format!("an event in the outbox: {error}")))?,
        attempts: u32::try_from(row.int("attempts")?).unwrap_or(u32::MAX),
    })
}

/// The oldest events of a target that are due; of an object, none after one that is not.
pub(crate) async fn pending(tx: &mut Tx, target: &str, rows_max: u32) -> Result<Vec<PendingEvent>> {
    let now_us = tx.now_us();
    let rows = tx
        .fetch_all(
            "SELECT o.event, o.attempts FROM event_outbox o
             WHERE o.target = $1 AND o.due_us <= $2 AND NOT EXISTS (
                 SELECT 1 FROM event_outbox e
                 WHERE e.target = o.target AND e.bucket_id = o.bucket_id AND e.key = o.key
                   AND e.seq < o.seq AND e.due_us > $2)
             ORDER BY o.seq LIMIT $3",
            values![target, now_us, rows_max],
        )
        .await?;
    rows.iter().map(pending_from).collect()
}

/// Forgets events that were delivered.
pub(crate) async fn remove(tx: &mut Tx, target: &str, seqs: &[i64]) -> Result<()> {
    for seq in seqs {
        tx.execute("DELETE FROM event_outbox WHERE target = $1 AND seq = $2", values![target, *seq]).await?;
    }
    Ok(())
}

/// Puts an event off that was not delivered.
pub(crate) async fn put_off(tx: &mut Tx, target: &str, seq: i64, attempts: u32, due_us: i64) -> Result<()> {
    tx.execute(
        "UPDATE event_outbox SET attempts = $3, due_us = $4 WHERE target = $1 AND seq = $2",
        values![target, seq, attempts, due_us],
    )
    .await?;
    Ok(())
}

/// Gives the oldest events up that happened before a time; returns the target of each.
pub(crate) async fn give_up_older(tx: &mut Tx, before_us: i64, rows_max: u32) -> Result<Vec<String>> {
    let rows = tx
        .fetch_all(
            "SELECT target, seq FROM event_outbox WHERE created_us < $1 ORDER BY seq LIMIT $2",
            values![before_us, rows_max],
        )
        .await?;
    let mut targets = Vec::with_capacity(rows.len());
    for row in rows {
        let target = row.text("target")?;
        remove(tx, &target, &[row.int("seq")?]).await?;
        targets.push(target);
    }
    Ok(targets)
}

/// How much waits, by target.
pub(crate) async fn backlog(tx: &mut Tx) -> Result<Vec<Backlog>> {
    let rows = tx
        .fetch_all(
            "SELECT target, COUNT(*) AS count, MIN(created_us) AS oldest_us FROM event_outbox GROUP BY target ORDER BY target",
            Vec::new(),
        )
        .await?;
    let waiting = |row: &Row| {
        Ok(Backlog { target: row.text("target")?, count: row.size("count")?, oldest_us: row.int("oldest_us")? })
    };
    rows.iter().map(waiting).collect()
}
