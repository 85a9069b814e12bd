//! `/system`: the version, and what the buckets hold.

use axum::response::Response;
use engine::{Error, UserId, UserUsage};

use crate::{
    AdminApi, answer,
    error::Refusal,
    group,
    request::Call,
    wire::{BucketName, BucketUsage, UserBucketUsage, UserBuckets},
};

/// The only storage policy there is: every bucket lies in this store.
const POLICY_NAME: &str = "default";

pub(crate) fn version(api: &AdminApi) -> Response {
    answer::text(&api.settings.version)
}

/// The usage of the users that the query names: of one when it names one.
async fn usage(api: &AdminApi, call: &Call) -> Result<Vec<UserUsage>, Refusal> {
    let group_id = group::named(call)?;
    let user_id = match call.params().get("userId") {
        Some(text) => Some(UserId::new(text).map_err(|_| Error::NoSuchUser)?),
        None => None,
    };
    Ok(api.engine.usage_of_group(call.caller(), &group_id, user_id.as_ref()).await?)
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) async fn bucket_usage(api: &AdminApi, call: &Call) -> Result<Response, Refusal> {
    let bucket = call.params().get("bucket");
    if bucket.is_some() {
        call.params().required("userId")?;
    }
    let mut users = usage(api, call).await?;
    if let Some(bucket) = bucket {
        users.iter_mut().for_each(|user| user.buckets.retain(|found| found.bucket == bucket));
        if users.iter().all(|user| user.buckets.is_empty()) {
            return Err(Error::NoSuchBucket.into());
        }
    }
    let shown = users.into_iter().map(|user| UserBucketUsage {
        user_id: user.user_id.as_str().to_owned(),
        buckets: user
            .buckets
            .into_iter()
            .map(|found| BucketUsage {
                bucket_name: found.bucket,
                size_bytes: count(found.usage.size_bytes),
                object_count: count(found.usage.object_count),
                policy_name: Some(POLICY_NAME.to_owned()),
            })
            .collect(),
    });
    answer::json(&shown.collect::<Vec<_>>())
}

pub(crate) async fn bucket_list(api: &AdminApi, call: &Call) -> Result<Response, Refusal> {
    let shown = usage(api, call).await?.into_iter().map(|user| UserBuckets {
        user_id: user.user_id.as_str().to_owned(),
        buckets: user.buckets.into_iter().map(|found| BucketName { bucket_name: found.bucket }).collect(),
    });
    answer::json(&shown.collect::<Vec<_>>())
}
