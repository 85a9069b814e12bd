//! Gives events up that no target took for too long, and says how many wait.

use std::sync::Arc;

use futures::FutureExt;

use super::ROWS_MAX;
use crate::clock::micros;
use crate::metadata::outbox;
use crate::{Inner, Result};

pub(super) async fn run(inner: &Arc<Inner>) -> Result<String> {
    let before_us = inner.settings.clock.now_us() - micros(inner.settings.event_age_max);
    let mut given_up = 0;
    loop {
        let gone =
            inner.db.write("give_up_events", move |tx| outbox::give_up_older(tx, before_us, ROWS_MAX).boxed()).await?;
        if gone.is_empty() {
            break;
        }
        given_up += gone.len();
        for target in gone {
            tracing::warn!(target_name = target, "an event was given up: the target took none of its age");
            metrics::counter!("cloudhold_events_given_up_total", "target" => target).increment(1);
        }
    }
    let backlog = inner.db.read_statement("event_backlog", |tx| outbox::backlog(tx).boxed()).await?;
    for target in &inner.settings.event_targets {
        let waiting = backlog.iter().find(|waiting| waiting.target == *target).map_or(0, |waiting| waiting.count);
        metrics::gauge!("cloudhold_events_waiting", "target" => target.clone()).set(waiting as f64);
    }
    let waiting: Vec<String> =
        backlog.iter().map(|waiting| format!("{} wait for {}", waiting.count, waiting.target)).collect();
    let waiting = if waiting.is_empty() { "none wait".to_owned() } else { waiting.join(", ") };
    Ok(format!("{waiting}; {given_up} given up"))
}
