//! What the console sees of the connector: small traits of the console, filled from the connector.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use connector::{Change, CloudStackConfig, Connector, RunSummary, Status};
use console::{
    ChangeKind, ConnectorFailure, ConnectorState, ConnectorView, Held, PendingChange, Run, RunOutcome, SsoKeySource,
};
use secrecy::{ExposeSecret as _, SecretString};
use sso::SharedKey;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_util::sync::CancellationToken;

/// How often the key is asked for again, so that a change in CloudStack's settings is followed.
const KEY_INTERVAL: Duration = Duration::from_secs(30);
/// What the connector says when it does nothing.
const IDLE: &str = "waiting";

/// The key of the sign-on links, kept for those who cannot wait for CloudStack.
pub(crate) struct SsoKey {
    key: RwLock<Option<SharedKey>>,
    connector: Option<Connector>,
}

impl SsoKey {
    /// Without a connector, the key is that of the configuration or there is none.
    pub(crate) fn new(config: &CloudStackConfig, connector: Option<Connector>) -> anyhow::Result<Self> {
        let own = match (&config.sso_key, &config.sso_key_file) {
            (Some(key), _) => Some(key.clone()),
            (None, Some(path)) => {
                Some(SecretString::from(std::fs::read_to_string(path)?.trim_end_matches(['\r', '\n'])))
            }
            (None, None) => None,
        };
        let key = own.map(|key| SharedKey::new(key.expose_secret().to_owned())).transpose()?;
        Ok(Self { key: RwLock::new(key), connector })
    }

    /// Asks once.
    pub(crate) async fn refresh(&self) {
        let Some(connector) = &self.connector else { return };
        // None is an answer, too: a key that was taken away must not open the console any longer.
        let key = connector.sso_key().await;
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = key;
    }

    /// Asks again and again until `stop`.
    pub(crate) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(KEY_INTERVAL)).await.is_some() {
            self.refresh().await;
        }
    }
}

impl SsoKeySource for SsoKey {
    fn shared_key(&self) -> Option<SharedKey> {
        self.key.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn logout_origins(&self) -> Vec<String> {
        self.connector.iter().map(Connector::cloudstack_origin).collect()
    }
}

/// The connector on the console's page.
pub(crate) struct ConnectorPage(pub(crate) Option<Connector>);

impl ConnectorPage {
    fn connector(&self) -> Result<&Connector, ConnectorFailure> {
        self.0.as_ref().ok_or(ConnectorFailure::NotConfigured)
    }
}

#[async_trait]
impl ConnectorView for ConnectorPage {
    async fn status(&self) -> Result<ConnectorState, ConnectorFailure> {
        match &self.0 {
            Some(connector) => Ok(state(connector.status().await)),
            None => Ok(ConnectorState::default()),
        }
    }

    async fn look_now(&self) -> Result<(), ConnectorFailure> {
        let connector = self.connector()?;
        if connector.status().await.doing != IDLE {
            return Err(ConnectorFailure::AlreadyRunning);
        }
        connector.trigger();
        Ok(())
    }

    async fn apply_held(&self, token: &str) -> Result<(), ConnectorFailure> {
        let connector = self.connector()?.clone();
        let status = connector.status().await;
        if status.doing != IDLE {
            return Err(ConnectorFailure::AlreadyRunning);
        }
        if token.is_empty() || held_token(&status) != token {
            return Err(ConnectorFailure::Changed);
        }
        let token = token.to_owned();
        tokio::spawn(async move {
            // The pass compares once more: what is gone meanwhile was not shown, and is not confirmed.
            if let Err(error) = connector.sync(Some(&token), &|_| ()).await {
                tracing::error!(%error, "the confirmed changes could not be made");
            }
        });
        Ok(())
    }
}

fn state(status: Status) -> ConnectorState {
    let held = held(&status);
    let last_pass = status.last_pass.as_ref().map(|pass| Run {
        started_us: micros(&pass.started).unwrap_or_default(),
        duration_ms: duration_ms(&pass.started, Some(&pass.ended)),
        trigger: "full pass".to_owned(),
        outcome: if pass.trusted { RunOutcome::Done } else { RunOutcome::Held },
        summary: format!("{} domains, {} accounts: {}", pass.domains, pass.accounts, pass.outcome),
    });
    ConnectorState {
        configured: true,
        cloud_url: Some(status.cloudstack_url),
        running: status.doing != IDLE,
        problem: status.stopped.or(status.last_error),
        last_pass,
        pending: status.pending_changes.into_iter().map(pending).collect(),
        pending_count: status.pending.total(),
        held,
        runs: status.runs.into_iter().map(run).collect(),
    }
}

/// What waits for an administrator. Of very many changes only the first ones are known one by one; the others are counted as
/// deletions, which is the worse that they can be.
fn held(status: &Status) -> Option<Held> {
    if status.held.is_empty() {
        return None;
    }
    let count: u64 = status.held.iter().map(|held| held.count).sum();
    let deactivations =
        status.pending_changes.iter().filter(|change| change.held && kind(change.kind) == ChangeKind::Deactivate);
    let deactivation_count = u64::try_from(deactivations.count()).unwrap_or(u64::MAX).min(count);
    Some(Held {
        why: status.held.iter().map(|held| held.why.as_str()).collect::<Vec<_>>().join(" "),
        token: held_token(status),
        deletion_count: count - deactivation_count,
        deactivation_count,
    })
}

/// The console's word for what the connector would do.
fn kind(kind: connector::ChangeKind) -> ChangeKind {
    match kind {
        connector::ChangeKind::CreateGroup | connector::ChangeKind::CreateUser => ChangeKind::Create,
        connector::ChangeKind::RenameGroup | connector::ChangeKind::UpdateUser => ChangeKind::Update,
        connector::ChangeKind::Reactivate | connector::ChangeKind::CancelDeletion => ChangeKind::Reactivate,
        connector::ChangeKind::Deactivate | connector::ChangeKind::ScheduleDeletion => ChangeKind::Deactivate,
        connector::ChangeKind::DeleteUser | connector::ChangeKind::DeleteGroup => ChangeKind::Delete,
    }
}

fn pending(change: Change) -> PendingChange {
    PendingChange {
        kind: kind(change.kind),
        what: if change.user_id.is_some() { "user" } else { "group" },
        name: change.name,
        id: change.user_id.unwrap_or(change.group_id),
        why: change.reason,
        held: change.held,
    }
}

fn run(summary: RunSummary) -> Run {
    let outcome = match (&summary.ended, summary.failed, summary.held) {
        (None, _, _) => RunOutcome::Running,
        (Some(_), 0, 0) => RunOutcome::Done,
        (Some(_), 0, _) => RunOutcome::Held,
        (Some(_), _, _) => RunOutcome::Failed,
    };
    Run {
        started_us: micros(&summary.started).unwrap_or_default(),
        duration_ms: duration_ms(&summary.started, summary.ended.as_deref()),
        trigger: summary.cause,
        outcome,
        summary: summary.outcome,
    }
}

/// Names what is held back, so that a confirmation is of nothing else.
fn held_token(status: &Status) -> String {
    status.held.first().map(|held| held.token.clone()).unwrap_or_default()
}

fn micros(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos() / 1000).ok()
}

fn duration_ms(started: &str, ended: Option<&str>) -> Option<u64> {
    let micros = micros(ended?)?.checked_sub(micros(started)?)?;
    u64::try_from(micros / 1000).ok()
}

#[cfg(test)]
mod tests {
    use connector::Held as ConnectorHeld;

    use super::*;

    fn status(token: &str, count: u64) -> Status {
        let held = ConnectorHeld { count, token: token.to_owned(), why: "too many".to_owned() };
        Status { doing: IDLE.to_owned(), held: vec![held], ..Status::default() }
    }

    #[test]
    fn a_confirmation_is_of_exactly_what_was_shown() {
        let shown = state(status("these seven", 7)).held.unwrap();
        assert_eq!((shown.deletion_count, shown.token.as_str()), (7, "these seven"));
        assert!(state(Status::default()).held.is_none());
    }

    #[test]
    fn held_changes_are_shown_one_by_one() {
        let change = |kind, id: &str| Change {
            kind,
            group_id: "g".to_owned(),
            user_id: Some(id.to_owned()),
            name: "Ada".to_owned(),
            reason: "its account is gone".to_owned(),
            held: true,
        };
        let shown = state(Status {
            pending_changes: vec![
                change(connector::ChangeKind::DeleteUser, "u1"),
                change(connector::ChangeKind::Deactivate, "u2"),
            ],
            ..status("these two", 2)
        });
        let held = shown.held.unwrap();
        assert_eq!((held.deletion_count, held.deactivation_count), (1, 1));
        assert_eq!(
            (shown.pending[0].kind, shown.pending[0].what, shown.pending[0].held),
            (ChangeKind::Delete, "user", true)
        );
    }

    #[test]
    fn times_come_back_as_numbers() {
        assert_eq!(micros("1970-01-01T00:00:02Z"), Some(2_000_000));
        assert_eq!(duration_ms("1970-01-01T00:00:02Z", Some("1970-01-01T00:00:05Z")), Some(3000));
        assert_eq!(duration_ms("1970-01-01T00:00:02Z", None), None);
    }

    #[test]
    fn without_a_connector_the_key_is_that_of_the_configuration() {
        let config = CloudStackConfig { sso_key: Some("Kr7-example-shared-key".into()), ..CloudStackConfig::default() };
        assert!(SsoKey::new(&config, None).unwrap().shared_key().is_some());
        assert!(SsoKey::new(&CloudStackConfig::default(), None).unwrap().shared_key().is_none());
        let published = CloudStackConfig { sso_key: Some("ss0sh5r3dk3y".into()), ..CloudStackConfig::default() };
        assert!(SsoKey::new(&published, None).is_err());
    }
}
