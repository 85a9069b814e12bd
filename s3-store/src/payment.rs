//! Who pays for requests, and whether they are accelerated: a private cloud bills and routes in its own ways, so what every bucket has is
//! accepted, and what none can have is refused.

use engine::{Action, Engine};
use s3s::dto::{
    BucketAccelerateStatus, Payer, PutBucketAccelerateConfigurationInput, PutBucketAccelerateConfigurationOutput,
    PutBucketRequestPaymentInput, PutBucketRequestPaymentOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use crate::bucket;
use crate::error::not_implemented;

pub(crate) async fn put_payer(
    engine: &Engine,
    request: S3Request<PutBucketRequestPaymentInput>,
) -> S3Result<S3Response<PutBucketRequestPaymentOutput>> {
    let input = &request.input;
    let expected_owner = input.expected_bucket_owner.as_deref();
    bucket::allowed(engine, &request, Action::PutBucketRequestPayment, &input.bucket, expected_owner).await?;
    match input.request_payment_configuration.payer.as_str() {
        Payer::BUCKET_OWNER => Ok(S3Response::new(PutBucketRequestPaymentOutput::default())),
        Payer::REQUESTER => Err(not_implemented("Letting requesters pay")),
        _ => Err(s3_error!(MalformedXML)),
    }
}

pub(crate) async fn put_acceleration(
    engine: &Engine,
    request: S3Request<PutBucketAccelerateConfigurationInput>,
) -> S3Result<S3Response<PutBucketAccelerateConfigurationOutput>> {
    let input = &request.input;
    let expected_owner = input.expected_bucket_owner.as_deref();
    bucket::allowed(engine, &request, Action::PutAccelerateConfiguration, &input.bucket, expected_owner).await?;
    match input.accelerate_configuration.status.as_ref().map(BucketAccelerateStatus::as_str) {
        Some(BucketAccelerateStatus::SUSPENDED) => {
            Ok(S3Response::new(PutBucketAccelerateConfigurationOutput::default()))
        }
        Some(BucketAccelerateStatus::ENABLED) => Err(not_implemented("Transfer acceleration")),
        Some(_) | None => Err(s3_error!(MalformedXML)),
    }
}
