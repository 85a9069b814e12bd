//! Quotas of buckets on the control socket.

use axum::Json;
use axum::extract::State;
use engine::{BucketName, Quota};
use serde::{Deserialize, Serialize};

use super::route::{Answer, CALLER, Parts};

/// Which bucket is meant, and what it may hold; no limit at all takes the quota away.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct QuotaRequest {
    pub(crate) bucket: String,
    pub(crate) size_bytes_max: Option<u64>,
    pub(crate) objects_max: Option<u64>,
}

/// What a bucket may hold, and what it holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct QuotaReport {
    pub(crate) bucket: String,
    /// The canonical id.
    pub(crate) owner: String,
    pub(crate) size_bytes_max: Option<u64>,
    pub(crate) objects_max: Option<u64>,
    pub(crate) object_count: u64,
    pub(crate) size_bytes: u64,
    pub(crate) upload_size_bytes: u64,
}

pub(super) async fn show(State(parts): State<Parts>, Json(request): Json<QuotaRequest>) -> Answer<QuotaReport> {
    let name = BucketName::new(&request.bucket)?;
    report(&parts, &name).await
}

pub(super) async fn set(State(parts): State<Parts>, Json(request): Json<QuotaRequest>) -> Answer<QuotaReport> {
    let name = BucketName::new(&request.bucket)?;
    let quota = Quota { size_bytes_max: request.size_bytes_max, objects_max: request.objects_max };
    parts.engine.set_bucket_quota(&CALLER, &name, Some(quota)).await?;
    report(&parts, &name).await
}

async fn report(parts: &Parts, name: &BucketName) -> Answer<QuotaReport> {
    let found = parts.engine.bucket_quota(&CALLER, name).await?;
    let quota = found.quota.unwrap_or_default();
    Ok(Json(QuotaReport {
        bucket: name.to_string(),
        owner: found.owner.to_string(),
        size_bytes_max: quota.size_bytes_max,
        objects_max: quota.objects_max,
        object_count: found.usage.object_count,
        size_bytes: found.usage.size_bytes,
        upload_size_bytes: found.usage.upload_size_bytes,
    }))
}
