//! What is set on buckets: policies, what is blocked of the world, ownership, and rules for other origins.

use engine::{CorsRule, CorsRules, Engine, ObjectOwnership, PublicAccessBlock};
use s3s::dto::{
    self, DeleteBucketCorsInput, DeleteBucketCorsOutput, DeleteBucketOwnershipControlsInput,
    DeleteBucketOwnershipControlsOutput, DeleteBucketPolicyInput, DeleteBucketPolicyOutput,
    DeletePublicAccessBlockInput, DeletePublicAccessBlockOutput, GetBucketCorsInput, GetBucketCorsOutput,
    GetBucketOwnershipControlsInput, GetBucketOwnershipControlsOutput, GetBucketPolicyInput, GetBucketPolicyOutput,
    GetBucketPolicyStatusInput, GetBucketPolicyStatusOutput, GetPublicAccessBlockInput, GetPublicAccessBlockOutput,
    OwnershipControls, OwnershipControlsRule, PolicyStatus, PublicAccessBlockConfiguration, PutBucketCorsInput,
    PutBucketCorsOutput, PutBucketOwnershipControlsInput, PutBucketOwnershipControlsOutput, PutBucketPolicyInput,
    PutBucketPolicyOutput, PutPublicAccessBlockInput, PutPublicAccessBlockOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use crate::error::{from_engine, none_such};
use crate::headers::{bucket, caller, check_owner};

pub(crate) async fn policy(
    engine: &Engine,
    request: S3Request<GetBucketPolicyInput>,
) -> S3Result<S3Response<GetBucketPolicyOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let policy = engine.bucket_policy(&caller(&request), &name).await.map_err(from_engine)?;
    Ok(S3Response::new(GetBucketPolicyOutput { policy: Some(policy) }))
}

pub(crate) async fn policy_status(
    engine: &Engine,
    request: S3Request<GetBucketPolicyStatusInput>,
) -> S3Result<S3Response<GetBucketPolicyStatusOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let is_public = engine.is_bucket_public(&caller(&request), &name).await.map_err(from_engine)?;
    let policy_status = Some(PolicyStatus { is_public: Some(is_public) });
    Ok(S3Response::new(GetBucketPolicyStatusOutput { policy_status }))
}

pub(crate) async fn put_policy(
    engine: &Engine,
    request: S3Request<PutBucketPolicyInput>,
) -> S3Result<S3Response<PutBucketPolicyOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    engine.set_bucket_policy(&caller(&request), &name, &request.input.policy).await.map_err(from_engine)?;
    Ok(S3Response::new(PutBucketPolicyOutput::default()))
}

pub(crate) async fn delete_policy(
    engine: &Engine,
    request: S3Request<DeleteBucketPolicyInput>,
) -> S3Result<S3Response<DeleteBucketPolicyOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    engine.delete_bucket_policy(&caller(&request), &name).await.map_err(from_engine)?;
    Ok(S3Response::new(DeleteBucketPolicyOutput::default()))
}

pub(crate) async fn public_access(
    engine: &Engine,
    request: S3Request<GetPublicAccessBlockInput>,
) -> S3Result<S3Response<GetPublicAccessBlockOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let found = engine.bucket_setting::<PublicAccessBlock>(&caller(&request), &name).await.map_err(from_engine)?;
    let block = found.ok_or_else(|| {
        none_such("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found")
    })?;
    let configuration = PublicAccessBlockConfiguration {
        block_public_acls: Some(block.block_public_acls),
        ignore_public_acls: Some(block.ignore_public_acls),
        block_public_policy: Some(block.block_public_policy),
        restrict_public_buckets: Some(block.restrict_public_buckets),
    };
    Ok(S3Response::new(GetPublicAccessBlockOutput { public_access_block_configuration: Some(configuration) }))
}

pub(crate) async fn put_public_access(
    engine: &Engine,
    request: S3Request<PutPublicAccessBlockInput>,
) -> S3Result<S3Response<PutPublicAccessBlockOutput>> {
    let (who, name) = (caller(&request), bucket(&request.input.bucket)?);
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let given = request.input.public_access_block_configuration;
    let block = PublicAccessBlock {
        block_public_acls: given.block_public_acls.unwrap_or_default(),
        ignore_public_acls: given.ignore_public_acls.unwrap_or_default(),
        block_public_policy: given.block_public_policy.unwrap_or_default(),
        restrict_public_buckets: given.restrict_public_buckets.unwrap_or_default(),
    };
    engine.set_bucket_setting(&who, &name, Some(&block)).await.map_err(from_engine)?;
    Ok(S3Response::new(PutPublicAccessBlockOutput::default()))
}

pub(crate) async fn delete_public_access(
    engine: &Engine,
    request: S3Request<DeletePublicAccessBlockInput>,
) -> S3Result<S3Response<DeletePublicAccessBlockOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    engine.set_bucket_setting::<PublicAccessBlock>(&caller(&request), &name, None).await.map_err(from_engine)?;
    Ok(S3Response::new(DeletePublicAccessBlockOutput::default()))
}

/// The ownership that a request names.
pub(crate) fn ownership_named(name: &str) -> S3Result<ObjectOwnership> {
    let found = ObjectOwnership::ALL.into_iter().find(|known| known.as_str() == name);
    found.ok_or_else(|| s3_error!(MalformedXML))
}

pub(crate) async fn ownership(
    engine: &Engine,
    request: S3Request<GetBucketOwnershipControlsInput>,
) -> S3Result<S3Response<GetBucketOwnershipControlsOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let found = engine.bucket_setting::<ObjectOwnership>(&caller(&request), &name).await.map_err(from_engine)?;
    let found = found
        .ok_or_else(|| none_such("OwnershipControlsNotFoundError", "The bucket ownership controls were not found"))?;
    let rule = OwnershipControlsRule { object_ownership: dto::ObjectOwnership::from_static(found.as_str()) };
    let ownership_controls = Some(OwnershipControls { rules: vec![rule] });
    Ok(S3Response::new(GetBucketOwnershipControlsOutput { ownership_controls }))
}

pub(crate) async fn put_ownership(
    engine: &Engine,
    request: S3Request<PutBucketOwnershipControlsInput>,
) -> S3Result<S3Response<PutBucketOwnershipControlsOutput>> {
    let (who, name) = (caller(&request), bucket(&request.input.bucket)?);
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let rules = request.input.ownership_controls.rules;
    let [OwnershipControlsRule { object_ownership }] = rules.as_slice() else { return Err(s3_error!(MalformedXML)) };
    let ownership = ownership_named(object_ownership.as_str())?;
    engine.set_bucket_ownership(&who, &name, ownership).await.map_err(from_engine)?;
    Ok(S3Response::new(PutBucketOwnershipControlsOutput::default()))
}

pub(crate) async fn delete_ownership(
    engine: &Engine,
    request: S3Request<DeleteBucketOwnershipControlsInput>,
) -> S3Result<S3Response<DeleteBucketOwnershipControlsOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    engine.set_bucket_setting::<ObjectOwnership>(&caller(&request), &name, None).await.map_err(from_engine)?;
    Ok(S3Response::new(DeleteBucketOwnershipControlsOutput::default()))
}

pub(crate) async fn cors(
    engine: &Engine,
    request: S3Request<GetBucketCorsInput>,
) -> S3Result<S3Response<GetBucketCorsOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let found = engine.bucket_setting::<CorsRules>(&caller(&request), &name).await.map_err(from_engine)?;
    let rules = found.ok_or_else(|| none_such("NoSuchCORSConfiguration", "The CORS configuration does not exist"))?;
    let cors_rules = Some(rules.rules().iter().cloned().map(shown_rule).collect());
    Ok(S3Response::new(GetBucketCorsOutput { cors_rules }))
}

pub(crate) async fn put_cors(
    engine: &Engine,
    request: S3Request<PutBucketCorsInput>,
) -> S3Result<S3Response<PutBucketCorsOutput>> {
    let (who, name) = (caller(&request), bucket(&request.input.bucket)?);
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let given = request.input.cors_configuration.cors_rules.into_iter().map(given_rule).collect::<S3Result<_>>()?;
    let rules = CorsRules::new(given).map_err(|error| match error {
        engine::Error::Invalid { .. } => s3_error!(MalformedXML),
        other => from_engine(other),
    })?;
    engine.set_bucket_setting(&who, &name, Some(&rules)).await.map_err(from_engine)?;
    Ok(S3Response::new(PutBucketCorsOutput::default()))
}

pub(crate) async fn delete_cors(
    engine: &Engine,
    request: S3Request<DeleteBucketCorsInput>,
) -> S3Result<S3Response<DeleteBucketCorsOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    engine.set_bucket_setting::<CorsRules>(&caller(&request), &name, None).await.map_err(from_engine)?;
    Ok(S3Response::new(DeleteBucketCorsOutput::default()))
}

fn given_rule(rule: dto::CORSRule) -> S3Result<CorsRule> {
    let max_age_seconds = rule.max_age_seconds.map(u32::try_from).transpose();
    Ok(CorsRule {
        id: rule.id,
        allowed_origins: rule.allowed_origins,
        allowed_methods: rule.allowed_methods,
        allowed_headers: rule.allowed_headers.unwrap_or_default(),
        expose_headers: rule.expose_headers.unwrap_or_default(),
        max_age_seconds: max_age_seconds.map_err(|_| s3_error!(MalformedXML))?,
    })
}

fn shown_rule(rule: CorsRule) -> dto::CORSRule {
    let some = |texts: Vec<String>| Some(texts).filter(|texts| !texts.is_empty());
    dto::CORSRule {
        allowed_headers: some(rule.allowed_headers),
        allowed_methods: rule.allowed_methods,
        allowed_origins: rule.allowed_origins,
        expose_headers: some(rule.expose_headers),
        id: rule.id,
        max_age_seconds: rule.max_age_seconds.and_then(|seconds| i32::try_from(seconds).ok()),
    }
}
