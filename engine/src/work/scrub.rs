//! Runs a pass of the scrubber when one is due, and goes on with one that was cut off.

use std::sync::Arc;

use crate::clock::micros;
use crate::scrub::{damage, keep, run_pass, state};
use crate::{Inner, OnProgress, Result, stamp};

pub(super) async fn run(inner: &Arc<Inner>) -> Result<String> {
    let settings = &inner.settings;
    let damaged = damage(inner).await?.len();
    if settings.scrub_interval.is_zero() {
        return Ok("switched off".to_owned());
    }
    let mut state = state(inner).await?;
    let now_us = settings.clock.now_us();
    let Some(since_us) = state.since_us else {
        // What is new needs no verifying yet.
        state.since_us = Some(now_us);
        keep(inner, &state, Vec::new()).await?;
        return Ok("the first pass is not due yet".to_owned());
    };
    if state.pass.is_none() && now_us < since_us.saturating_add(micros(settings.scrub_interval)) {
        let last = state.last.map_or_else(
            || "no pass yet".to_owned(),
            |last| format!("last pass ended {}, {} bytes", stamp::of(last.ended_us), last.size_bytes),
        );
        return Ok(format!("{last}; {damaged} damaged"));
    }
    let turns = &inner.scrubs;
    let _turn = turns.take().await;
    let nobody = OnProgress::nobody();
    let done = run_pass(inner, settings.scrub_rate_bytes_per_second, &nobody, || !turns.is_wanted()).await?;
    let damaged = damage(inner).await?.len();
    Ok(match done {
        Some(report) => format!("{} bytes verified; {damaged} damaged", report.size_bytes),
        None => format!("stepped back for a scrub that was asked for; {damaged} damaged"),
    })
}
