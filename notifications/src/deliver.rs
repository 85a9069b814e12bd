//! Takes events out of the outbox, target by target, and delivers them: those of one object one after the other, those of several at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine::{Caller, Engine, PendingEvent, pause_after};
use futures::StreamExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::amqp::Exchange;
use crate::webhook::{Webhook, secret};
use crate::{Error, Settings, Target, TargetKind, message};

/// Events of a target that are looked at together.
const EVENTS_MAX: u32 = 200;
/// Objects whose events are delivered at one time.
const OBJECTS_AT_ONCE: usize = 8;
/// How often it is looked whether something is due again.
const TICK: Duration = Duration::from_secs(1);

/// Delivers events.
pub struct Notifier {
    targets: Vec<Arc<Receiver>>,
    engine: Engine,
}

/// A target that is delivered to.
struct Receiver {
    name: String,
    way: Way,
    region: String,
    /// Rung when there may be something to deliver.
    ring: Notify,
}

enum Way {
    Webhook(Webhook),
    Amqp(Box<Exchange>),
}

impl Notifier {
    /// Makes what the targets need; nothing is sent yet.
    ///
    /// # Errors
    /// When a file that a target names cannot be read.
    pub fn new(settings: &Settings, region: &str, engine: Engine) -> Result<Self, Error> {
        let timeout = Duration::from_secs(settings.timeout_seconds);
        let receiver = |target: &Target| Ok(Arc::new(Receiver::new(target, region, timeout)?));
        Ok(Self { targets: settings.targets.iter().map(receiver).collect::<Result<_, Error>>()?, engine })
    }

    /// Delivers until `stop`.
    pub fn start(self, stop: &CancellationToken, tracker: &TaskTracker) {
        if self.targets.is_empty() {
            return;
        }
        let (engine, targets, ending) = (self.engine.clone(), self.targets.clone(), stop.clone());
        tracker.spawn(async move {
            while ending.run_until_cancelled(engine.events_added()).await.is_some() {
                targets.iter().for_each(|target| target.ring.notify_one());
            }
        });
        for target in self.targets {
            let (engine, stop) = (self.engine.clone(), stop.clone());
            tracker.spawn(async move { stop.run_until_cancelled(target.deliver_all(&engine)).await });
        }
    }
}

/// What came of delivering some events.
#[derive(Default)]
struct Round {
    delivered: Vec<i64>,
    failed: Vec<PendingEvent>,
    /// The first failure, in words.
    failure: Option<String>,
    /// Whether the target itself seems to be away.
    is_away: bool,
}

impl Round {
    fn add(&mut self, other: Self) {
        self.delivered.extend(other.delivered);
        self.failed.extend(other.failed);
        self.failure = self.failure.take().or(other.failure);
    }

    /// A target that took something is there, whatever else it refuses; one that takes nothing of several objects is to be left alone for a
    /// while, whatever the reason.
    fn shows_nobody(&self, is_unreachable: bool) -> bool {
        self.delivered.is_empty() && (is_unreachable || self.failed.len() > 1)
    }
}

impl Receiver {
    fn new(target: &Target, region: &str, timeout: Duration) -> Result<Self, Error> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let way = match target.kind {
            TargetKind::Webhook => Way::Webhook(Webhook::new(&text(&target.url), target.token_file.as_ref(), timeout)?),
            TargetKind::Amqp => {
                let url = secret(target.url_file.as_deref().unwrap_or_else(|| std::path::Path::new("")))?;
                let exchange = Exchange::new(url, &text(&target.exchange), &text(&target.routing_key), timeout);
                Way::Amqp(Box::new(exchange))
            }
        };
        Ok(Self { name: target.name.clone(), way, region: region.to_owned(), ring: Notify::new() })
    }

    /// Delivers for ever what there is.
    async fn deliver_all(&self, engine: &Engine) {
        let mut failures = 0;
        loop {
            match self.round(engine).await {
                // Something is left when a round was full.
                Ok(Some(round)) if !round.is_away => failures = 0,
                Ok(Some(_)) => {
                    failures += 1;
                    tokio::time::sleep(pause_after(failures)).await;
                }
                Ok(None) => {
                    failures = 0;
                    let _ = tokio::time::timeout(TICK, self.ring.notified()).await;
                }
                Err(error) => {
                    tracing::warn!(target_name = self.name, %error, "the outbox cannot be used");
                    tokio::time::sleep(TICK).await;
                }
            }
        }
    }

    /// Delivers what is due; `None` when nothing is.
    async fn round(&self, engine: &Engine) -> engine::Result<Option<Round>> {
        let pending = engine.pending_events(&Caller::LocalOperator, &self.name, EVENTS_MAX).await?;
        if pending.is_empty() {
            return Ok(None);
        }
        let mut objects: BTreeMap<(String, String), Vec<PendingEvent>> = BTreeMap::new();
        for one in pending {
            objects.entry((one.event.bucket.clone(), one.event.key.clone())).or_default().push(one);
        }
        let is_away = AtomicBool::new(false);
        let done = futures::stream::iter(objects.into_values().map(|events| self.deliver_object(events, &is_away)));
        let rounds: Vec<Round> = done.buffer_unordered(OBJECTS_AT_ONCE).collect().await;
        let mut all = Round::default();
        for round in rounds {
            all.add(round);
        }
        all.is_away = all.shows_nobody(is_away.into_inner());
        if let Some(failure) = &all.failure {
            tracing::warn!(target_name = self.name, failed = all.failed.len(), failure, "events were not delivered");
        }
        self.count("delivered", all.delivered.len());
        self.count("failed", all.failed.len());
        engine.settle_events(&Caller::LocalOperator, &self.name, &all.delivered, &all.failed).await?;
        Ok(Some(all))
    }

    /// Delivers events of one object, in their order: after one that failed, the others wait with it. Once the target is found to be away,
    /// nothing more is tried.
    async fn deliver_object(&self, events: Vec<PendingEvent>, is_away: &AtomicBool) -> Round {
        let mut round = Round::default();
        for pending in events {
            if is_away.load(Ordering::Relaxed) {
                break;
            }
            match self.deliver(&pending).await {
                Ok(()) => round.delivered.push(pending.event.seq),
                Err(error) => {
                    let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
                    round.failure.get_or_insert_with(|| format!("{error}{}", source.unwrap_or_default()));
                    is_away.fetch_or(error.is_of_target(), Ordering::Relaxed);
                    round.failed.push(pending);
                    break;
                }
            }
        }
        round
    }

    async fn deliver(&self, pending: &PendingEvent) -> Result<(), Error> {
        let message = message::of(&pending.event, &self.region)?;
        match &self.way {
            Way::Webhook(webhook) => webhook.deliver(message).await,
            Way::Amqp(exchange) => exchange.deliver(message).await,
        }
    }

    fn count(&self, outcome: &'static str, events: usize) {
        let count = u64::try_from(events).unwrap_or(u64::MAX);
        metrics::counter!("cloudhold_events_total", "target" => self.name.clone(), "outcome" => outcome)
            .increment(count);
    }
}

#[cfg(test)]
mod tests {
    use engine::{Event, EventKind};

    use super::*;

    fn round(delivered: usize, failed: usize) -> Round {
        let event = Event {
            kind: EventKind::Test,
            bucket: String::new(),
            bucket_owner: String::new(),
            key: String::new(),
            seq: 0,
            time_us: 0,
            size_bytes: None,
            etag: None,
            version_id: None,
            rule_id: String::new(),
            principal: None,
            source_ip: None,
            request_id: None,
        };
        Round {
            delivered: vec![0; delivered],
            failed: vec![PendingEvent { event, attempts: 0 }; failed],
            ..Round::default()
        }
    }

    #[test]
    fn one_object_that_fails_keeps_nobody_waiting() {
        assert!(!round(0, 1).shows_nobody(false), "others may be taken");
        assert!(!round(1, 100).shows_nobody(true), "somebody was there");
        assert!(round(0, 2).shows_nobody(false), "all that was tried was refused");
        assert!(round(0, 1).shows_nobody(true));
    }
}
