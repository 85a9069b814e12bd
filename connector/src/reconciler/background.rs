//! The timers: a full pass at the start and every hour, a look at the events every few seconds.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Inner, SETTINGS_FRESH, work::Cause};
use crate::error::Error;

/// The first pause after a pass that failed; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest one: a pass asks a lot of a CloudStack that may be in trouble.
const PAUSE_MAX: Duration = Duration::from_secs(300);

const UNKNOWN: &str = "CloudStack's settings cannot be read, so it is not known whether the connector is to work: \
                       nothing is done by itself";
const OFF: &str = "cloudian.connector.enabled is false: nothing is done by itself";

/// Works until it is told to stop; what is under way then is dropped.
pub(super) async fn work(inner: Arc<Inner>) {
    let stop = inner.stop.clone();
    tokio::select! {
        () = stop.cancelled() => {}
        () = forever(&inner) => {}
    }
}

async fn forever(inner: &Inner) {
    let config = &inner.config.cloudstack;
    let (poll_every, pass_every) =
        (Duration::from_secs(config.poll_interval_s), Duration::from_secs(config.pass_interval_s));
    let (mut next_pass, mut pause) = (Instant::now(), FIRST_PAUSE);
    let mut told = String::new();
    loop {
        let settings = inner.settings(SETTINGS_FRESH).await;
        if !settings.known {
            inner.show_error(Some(UNKNOWN.to_owned()));
        } else if !settings.enabled {
            inner.show_error(Some(OFF.to_owned()));
        } else if Instant::now() >= next_pass {
            match inner.sync_now(Cause::Timer, None, &|_| ()).await {
                Ok(_) => {
                    told.clear();
                    (next_pass, pause) = (Instant::now() + pass_every, FIRST_PAUSE);
                }
                Err(error) => {
                    tell("full pass", &error, &mut told);
                    next_pass = Instant::now() + pause;
                    pause = (pause * 2).min(PAUSE_MAX).min(pass_every);
                }
            }
        } else if let Err(error) = inner.poll_now(false).await {
            tell("events", &error, &mut told);
        }
        let wake_at = (Instant::now() + poll_every).min(next_pass.max(Instant::now() + Duration::from_millis(100)));
        tokio::select! {
            () = tokio::time::sleep_until(wake_at) => {}
            () = inner.wake.notified() => next_pass = Instant::now(),
        }
    }
}

/// Says what is wrong, and once only while it stays the same: a CloudStack that is away for a night fills no log.
fn tell(what: &'static str, error: &Error, told: &mut String) {
    metrics::counter!("cloudhold_connector_failures_total", "what" => what).increment(1);
    let text = error.to_string();
    if *told != text {
        tracing::warn!(what, error = text, "the connector could not do its work and will try again");
        *told = text;
    }
}
