//! What can be asked for on the control socket.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use connector::Connector;
use engine::{Caller, CanonicalId, Damage, Engine, ScrubProgress};
use nfs_staging::{EvictScope, PullRequest, PushRequest, Staging, Step};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::wire::{Progress, Refused, Reporter, with_progress};
use super::{VERSION, quota};
use crate::config::Config;
use crate::doors::Doors;
use crate::first_credentials::{self, Which};
use crate::metrics_door::HealthReport;
use crate::secondary_storage::{self, Prepare, Prepared};
use crate::upkeep::{Backup, Fsck, Scrub};

/// Everybody on this socket is the one who owns the machine.
pub(super) const CALLER: Caller = Caller::LocalOperator;

/// What commands work on.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) staging: Staging,
    pub(crate) connector: Option<Connector>,
    pub(crate) doors: Doors,
    pub(crate) config: Arc<Config>,
}

pub(super) type Answer<T> = Result<Json<T>, Refused>;

/// Every command.
pub(crate) fn router(parts: Parts) -> Router {
    let commands = Router::new()
        .route("/status", get(status))
        .route("/connector", get(connector_status))
        .route("/connector/plan", post(connector_plan))
        .route("/connector/sync", post(connector_sync))
        .route("/connector/check", post(connector_check))
        .route("/staging", get(staging_list))
        .route("/staging/pull", post(staging_pull))
        .route("/staging/push", post(staging_push))
        .route("/staging/evict", post(staging_evict))
        .route("/fsck", post(fsck))
        .route("/scrub", post(scrub))
        .route("/backup", post(backup))
        .route("/bucket/quota", post(quota::show))
        .route("/bucket/quota/set", post(quota::set))
        .route("/trash", get(trash_list))
        .route("/trash/restore", post(trash_restore))
        .route("/trash/purge", post(trash_purge))
        .route("/secondary-storage/prepare", post(prepare))
        .route("/credentials/reset", post(credentials_reset))
        .with_state(parts);
    Router::new().nest(&format!("/{VERSION}"), commands)
}

/// How the store is doing.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StatusReport {
    pub(crate) pid: u32,
    pub(crate) data_dir: PathBuf,
    pub(crate) health: HealthReport,
    pub(crate) doors: Doors,
    /// Whether a CloudStack is configured.
    pub(crate) has_cloudstack: bool,
    /// What the scrubber found damaged.
    pub(crate) damage: Vec<Damage>,
    /// How far it has come with the pass that is under way.
    pub(crate) scrub: Option<ScrubProgress>,
}

async fn status(State(parts): State<Parts>) -> Answer<StatusReport> {
    Ok(Json(StatusReport {
        pid: std::process::id(),
        data_dir: parts.config.data.dir.clone(),
        health: HealthReport::of(&parts.engine).await,
        doors: parts.doors,
        has_cloudstack: parts.connector.is_some(),
        damage: parts.engine.damage(&CALLER).await?,
        scrub: parts.engine.scrub_under_way(&CALLER).await?,
    }))
}

async fn fsck(State(parts): State<Parts>, Json(request): Json<Fsck>) -> Response {
    with_progress(|report| async move {
        Ok(serde_json::to_value(request.run(&parts.engine, &report.engine_progress()).await?)?)
    })
}

async fn scrub(State(parts): State<Parts>, Json(request): Json<Scrub>) -> Response {
    with_progress(|report| async move {
        Ok(serde_json::to_value(request.run(&parts.engine, &report.engine_progress()).await?)?)
    })
}

async fn backup(State(parts): State<Parts>, Json(request): Json<Backup>) -> Response {
    with_progress(|report| async move {
        Ok(serde_json::to_value(request.run(&parts.engine, &report.engine_progress()).await?)?)
    })
}

impl Parts {
    fn connector(&self) -> Result<Connector, Refused> {
        self.connector.clone().ok_or_else(|| {
            Refused::new(
                StatusCode::CONFLICT,
                "no CloudStack is configured: set cloudstack.url, cloudstack.api_key and cloudstack.secret_key, and restart",
            )
        })
    }
}

async fn connector_status(State(parts): State<Parts>) -> Answer<Value> {
    let connector = parts.connector()?;
    let status = connector.status().await;
    connector.note_shown(&status.held);
    Ok(Json(serde_json::to_value(status)?))
}

async fn connector_plan(State(parts): State<Parts>) -> Result<Response, Refused> {
    let connector = parts.connector()?;
    Ok(with_progress(|report| async move {
        report.report(Progress { what: "reading CloudStack".to_owned(), ..Progress::default() });
        let plan = connector.plan().await?;
        connector.note_shown(&plan.held);
        Ok(json!({ "text": plan.to_string(), "plan": plan }))
    }))
}

/// What a `sync` asks for.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct SyncRequest {
    /// Lets removals pass that are held back for being many and that a plan or status showed last.
    pub(crate) confirm: bool,
}

async fn connector_sync(State(parts): State<Parts>, Json(request): Json<SyncRequest>) -> Result<Response, Refused> {
    let connector = parts.connector()?;
    Ok(with_progress(move |report| async move {
        let tell = move |progress: connector::Progress| {
            let connector::Progress { step, done, total } = progress;
            report.report(Progress { what: step, done, total: (total > 0).then_some(total), is_bytes: false });
        };
        let shown = request.confirm.then(|| connector.shown().unwrap_or_default());
        let done = connector.sync(shown.as_deref(), &tell).await?;
        Ok(serde_json::to_value(done)?)
    }))
}

async fn connector_check(State(parts): State<Parts>) -> Answer<Value> {
    let lines = parts.connector()?.check().await;
    let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
    Ok(Json(json!({ "text": text.join("\n"), "lines": lines })))
}

fn staging_progress(report: Reporter) -> Arc<dyn nfs_staging::Progress> {
    Arc::new(move |step: Step| {
        let stage = match step.stage {
            nfs_staging::Stage::Hook => "hook",
            nfs_staging::Stage::Checking => "checking",
            nfs_staging::Stage::Copying => "copying",
            nfs_staging::Stage::Finishing => "finishing",
        };
        report.report(Progress {
            what: format!("{stage} {}", step.path),
            done: step.done_bytes,
            total: Some(step.total_bytes),
            is_bytes: true,
        });
    })
}

async fn staging_list(State(parts): State<Parts>) -> Answer<Value> {
    let files = parts.staging.list().await?;
    Ok(Json(json!({ "dir": parts.staging.dir(), "files": files })))
}

async fn staging_pull(State(parts): State<Parts>, Json(request): Json<PullRequest>) -> Response {
    with_progress(|report| async move {
        let progress = staging_progress(report);
        let pulled = parts.staging.pull(&CALLER, &request, &progress).await?;
        Ok(json!({ "dir": parts.staging.dir(), "pulled": pulled }))
    })
}

async fn staging_push(State(parts): State<Parts>, Json(request): Json<PushRequest>) -> Response {
    with_progress(|report| async move {
        let progress = staging_progress(report);
        Ok(serde_json::to_value(parts.staging.push(&CALLER, &request, &progress).await?)?)
    })
}

async fn staging_evict(State(parts): State<Parts>, Json(scope): Json<EvictScope>) -> Response {
    with_progress(|report| async move {
        let progress = staging_progress(report);
        Ok(serde_json::to_value(parts.staging.evict(&CALLER, &scope, &progress).await?)?)
    })
}

/// A deleted user as it is shown.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TrashedUser {
    pub(crate) canonical_id: String,
    pub(crate) group_id: String,
    pub(crate) group_name: String,
    pub(crate) user_id: String,
    pub(crate) full_name: String,
    pub(crate) bucket_count: u64,
    pub(crate) size_bytes: u64,
    /// Microseconds of the Unix epoch.
    pub(crate) trashed_us: i64,
    /// Microseconds of the Unix epoch.
    pub(crate) purge_after_us: i64,
}

async fn trash_list(State(parts): State<Parts>) -> Answer<Vec<TrashedUser>> {
    let trashed = parts.engine.list_trash(&CALLER).await?;
    let shown = |user: engine::TrashedUser| TrashedUser {
        canonical_id: user.canonical_id.to_string(),
        group_id: user.group_id.to_string(),
        group_name: user.group_name,
        user_id: user.user_id.to_string(),
        full_name: user.full_name,
        bucket_count: user.bucket_count,
        size_bytes: user.size_bytes,
        trashed_us: user.trashed_us,
        purge_after_us: user.purge_after_us,
    };
    Ok(Json(trashed.into_iter().map(shown).collect()))
}

/// Which deleted user is meant.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TrashRequest {
    pub(crate) canonical_id: String,
}

async fn trash_restore(State(parts): State<Parts>, Json(request): Json<TrashRequest>) -> Answer<Value> {
    let user = parts.engine.restore_user(&CALLER, &CanonicalId::new(&request.canonical_id)?).await?;
    Ok(Json(json!({ "group_id": user.group_id.as_str(), "user_id": user.user_id.as_str() })))
}

async fn trash_purge(State(parts): State<Parts>, Json(request): Json<TrashRequest>) -> Answer<Value> {
    parts.engine.purge_user(&CALLER, &CanonicalId::new(&request.canonical_id)?).await?;
    Ok(Json(json!({})))
}

async fn prepare(State(parts): State<Parts>, Json(request): Json<Prepare>) -> Answer<Prepared> {
    Ok(Json(secondary_storage::prepare(&parts, &request).await?))
}

/// Which password is to be replaced.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ResetRequest {
    pub(crate) which: Which,
}

async fn credentials_reset(State(parts): State<Parts>, Json(request): Json<ResetRequest>) -> Answer<Value> {
    let password = first_credentials::reset(&parts.engine, &parts.config.data.dir, request.which).await?;
    Ok(Json(json!({ "password": password.expose_secret() })))
}
