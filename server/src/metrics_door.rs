//! The metrics door: `/metrics` for Prometheus and `/health` for people and load balancers.

use std::sync::OnceLock;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use engine::Engine;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

/// Bounds of the histograms of durations, in seconds.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
/// How often the histograms are folded, so that they do not grow between two readings.
pub(crate) const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The one recorder of the process: the library allows no more.
static RECORDER: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();

/// The recorder, installed at the first call.
pub(crate) fn recorder() -> anyhow::Result<PrometheusHandle> {
    let installed = RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new().set_buckets(&SECONDS).map_err(|error| error.to_string())?;
        builder.install_recorder().map_err(|error| error.to_string())
    });
    installed.clone().map_err(|error| anyhow::anyhow!("metrics cannot be recorded: {error}"))
}

/// What the door shows.
#[derive(Clone)]
pub(crate) struct MetricsDoor {
    pub(crate) engine: Engine,
    pub(crate) recorder: PrometheusHandle,
    /// What the door asks for, when one is configured.
    pub(crate) token: Option<SecretString>,
}

impl MetricsDoor {
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/metrics", get(metrics))
            .route("/health", get(health))
            .layer(middleware::from_fn_with_state(self.clone(), guard))
            .with_state(self)
    }
}

async fn guard(State(door): State<MetricsDoor>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    match &door.token {
        Some(token) if !same(token.expose_secret(), given) => {
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], "a bearer token is needed\n")
                .into_response()
        }
        Some(_) | None => next.run(request).await,
    }
}

/// Compares without telling by the time taken where the first difference is.
fn same(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

async fn metrics(State(door): State<MetricsDoor>) -> Response {
    let health = door.engine.health().await;
    metrics::gauge!("cloudhold_disk_free_bytes").set(health.free_bytes as f64);
    metrics::gauge!("cloudhold_read_only").set(if health.read_only.is_some() { 1.0 } else { 0.0 });
    for worker in door.engine.workers() {
        if let Some(last_run_us) = worker.last_run_us {
            metrics::gauge!("cloudhold_worker_last_run_seconds", "worker" => worker.name).set(last_run_us as f64 / 1e6);
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], door.recorder.render()).into_response()
}

/// How the store is doing, as `/health` and `cloudhold status` tell it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HealthReport {
    /// `ok` or `read-only`.
    pub(crate) status: String,
    /// Why no writes are taken.
    pub(crate) read_only: Option<String>,
    /// Free bytes of the disk.
    pub(crate) free_bytes: u64,
    /// The program's version.
    pub(crate) version: String,
    /// The background workers.
    pub(crate) workers: Vec<WorkerReport>,
}

/// What a background worker did last.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WorkerReport {
    pub(crate) name: String,
    /// Microseconds of the Unix epoch.
    pub(crate) last_run_us: Option<i64>,
    pub(crate) last_result: String,
}

impl HealthReport {
    pub(crate) async fn of(engine: &Engine) -> Self {
        let health = engine.health().await;
        let workers = engine.workers().into_iter();
        Self {
            status: if health.read_only.is_some() { "read-only" } else { "ok" }.to_owned(),
            read_only: health.read_only,
            free_bytes: health.free_bytes,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            workers: workers
                .map(|worker| WorkerReport {
                    name: worker.name.to_owned(),
                    last_run_us: worker.last_run_us,
                    last_result: worker.last_result,
                })
                .collect(),
        }
    }
}

/// 200 while writes are taken, 503 while they are not; JSON for those who ask for it, a few lines otherwise.
async fn health(State(door): State<MetricsDoor>, headers: HeaderMap) -> Response {
    let report = HealthReport::of(&door.engine).await;
    let status = if report.read_only.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let wants_json =
        headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("json"));
    if wants_json {
        return (status, axum::Json(report)).into_response();
    }
    let reason = report.read_only.map(|why| format!(": {why}")).unwrap_or_default();
    (status, format!("{}{reason}\n", report.status)).into_response()
}
