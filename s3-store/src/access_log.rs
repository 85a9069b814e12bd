//! Logs of accesses that a bucket's owner asks for: between their document and the engine's setting, and the line of a request in them.

mod follow;
mod line;

use engine::{AccessLogging, Engine, LogDate, LogKeyFormat};
use s3s::dto::{
    BucketLoggingStatus, GetBucketLoggingInput, GetBucketLoggingOutput, LoggingEnabled, PartitionDateSource,
    PartitionedPrefix, PutBucketLoggingInput, PutBucketLoggingOutput, SimplePrefix, TargetObjectKeyFormat,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use crate::Settings;
use crate::error::{from_engine, not_implemented};
use crate::headers::{bucket, caller, check_owner};

pub(crate) use follow::follow;
pub(crate) use line::{Asked, DeletedKey, Line};

pub(crate) async fn get(
    engine: &Engine,
    request: S3Request<GetBucketLoggingInput>,
) -> S3Result<S3Response<GetBucketLoggingOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let found = engine.bucket_setting::<AccessLogging>(&caller(&request), &name).await.map_err(from_engine)?;
    Ok(S3Response::new(GetBucketLoggingOutput { logging_enabled: found.map(shown) }))
}

pub(crate) async fn put(
    engine: &Engine,
    settings: &Settings,
    request: S3Request<PutBucketLoggingInput>,
) -> S3Result<S3Response<PutBucketLoggingOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let BucketLoggingStatus { logging_enabled } = &request.input.bucket_logging_status;
    let logging = logging_enabled.as_ref().map(|given| read(given, settings)).transpose()?;
    engine.set_access_logging(&caller(&request), &name, logging.as_ref()).await.map_err(from_engine)?;
    Ok(S3Response::new(PutBucketLoggingOutput::default()))
}

fn read(given: &LoggingEnabled, settings: &Settings) -> S3Result<AccessLogging> {
    if given.target_grants.as_ref().is_some_and(|grants| !grants.is_empty()) {
        return Err(not_implemented("Giving logs to others by TargetGrants; a policy of the target bucket does that"));
    }
    let key_format = match given.target_object_key_format.as_ref() {
        None => LogKeyFormat::Simple,
        Some(TargetObjectKeyFormat { partitioned_prefix: None, simple_prefix: Some(_) }) => LogKeyFormat::Simple,
        Some(TargetObjectKeyFormat { partitioned_prefix: Some(partitioned), simple_prefix: None }) => {
            let date = match partitioned.partition_date_source.as_ref().map(PartitionDateSource::as_str) {
                Some(PartitionDateSource::EVENT_TIME) => LogDate::Event,
                Some(PartitionDateSource::DELIVERY_TIME) | None => LogDate::Delivery,
                Some(_) => return Err(s3_error!(MalformedXML)),
            };
            LogKeyFormat::Partitioned { date, region: settings.region.clone() }
        }
        Some(_) => return Err(s3_error!(MalformedXML)),
    };
    Ok(AccessLogging {
        target_bucket: given.target_bucket.clone(),
        target_prefix: given.target_prefix.clone(),
        key_format,
    })
}

fn shown(logging: AccessLogging) -> LoggingEnabled {
    let target_object_key_format = match logging.key_format {
        LogKeyFormat::Simple => {
            TargetObjectKeyFormat { partitioned_prefix: None, simple_prefix: Some(SimplePrefix::default()) }
        }
        LogKeyFormat::Partitioned { date, .. } => {
            let source = match date {
                LogDate::Event => PartitionDateSource::EVENT_TIME,
                LogDate::Delivery => PartitionDateSource::DELIVERY_TIME,
            };
            let partition_date_source = Some(PartitionDateSource::from_static(source));
            TargetObjectKeyFormat {
                partitioned_prefix: Some(PartitionedPrefix { partition_date_source }),
                simple_prefix: None,
            }
        }
    };
    LoggingEnabled {
        target_bucket: logging.target_bucket,
        target_grants: None,
        target_object_key_format: Some(target_object_key_format),
        target_prefix: logging.target_prefix,
    }
}
