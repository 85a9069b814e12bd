//! The settings in use, kept for a while: they are asked for at every sign-in, and CloudStack may be away.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::time::Instant;

use super::Inner;
use crate::settings::{KEYWORD, Settings};

/// How old settings may be before they are read again.
pub(crate) const SETTINGS_FRESH: Duration = Duration::from_secs(30);
/// How long after a failure nobody tries again: whoever waits for settings must not wait for a dead CloudStack each time.
const FAILURE_FRESH: Duration = Duration::from_secs(5);

/// The settings, when they were read, and when reading them last failed.
#[derive(Default)]
pub(super) struct Kept(RwLock<Inside>);

#[derive(Default)]
struct Inside {
    read: Option<(Instant, Arc<Settings>)>,
    failed: Option<Instant>,
}

impl Inner {
    /// The settings, read again when they are older than `fresh`. When they cannot be read, the last ones stay; when
    /// there are none, only our configuration counts, and [`Settings::known`] is false.
    pub(crate) async fn settings(&self, fresh: Duration) -> Arc<Settings> {
        let (read, failed) = self.kept();
        let may_wait = failed.is_some_and(|at| at.elapsed() < FAILURE_FRESH.min(fresh));
        if let Some((at, settings)) = &read
            && (at.elapsed() < fresh || may_wait)
        {
            return Arc::clone(settings);
        }
        if may_wait {
            return self.settings_at_hand();
        }
        match self.cloud.configurations(KEYWORD).await {
            // The empty answer of a key that lost its rights must not wipe what was read with them.
            Ok(page) if page.items.is_empty() && read.is_some() => self.settings_at_hand(),
            Ok(page) => {
                let settings = Arc::new(Settings::resolve(&self.config.cloudstack, Some(&page.items)));
                self.use_settings(&settings);
                settings
            }
            Err(error) => {
                tracing::warn!(%error, "CloudStack's settings cannot be read");
                self.settings.0.write().unwrap_or_else(PoisonError::into_inner).failed = Some(Instant::now());
                self.settings_at_hand()
            }
        }
    }

    /// The settings that were read last, without asking anybody.
    pub(crate) fn settings_at_hand(&self) -> Arc<Settings> {
        match self.kept().0 {
            Some((_, settings)) => settings,
            None => Arc::new(Settings::resolve(&self.config.cloudstack, None)),
        }
    }

    fn kept(&self) -> (Option<(Instant, Arc<Settings>)>, Option<Instant>) {
        let inside = self.settings.0.read().unwrap_or_else(PoisonError::into_inner);
        (inside.read.clone(), inside.failed)
    }

    fn use_settings(&self, settings: &Arc<Settings>) {
        let mut inside = self.settings.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = inside.read.replace((Instant::now(), Arc::clone(settings)));
        inside.failed = None;
        drop(inside);
        let changed = before.is_none_or(|(_, old)| old.admin_timeout_s != settings.admin_timeout_s);
        if changed && let Err(error) = self.target.set_timeout(Duration::from_secs(settings.admin_timeout_s)) {
            tracing::warn!(%error, "the time limit of the Admin API stays as it was");
        }
    }
}
