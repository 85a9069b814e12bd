//! Buckets.

use engine::{Action, Bucket, BucketCreated, Engine, Identity, NewBucket, Versioning};
use s3s::dto::{
    BucketVersioningStatus, CreateBucketInput, CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput,
    GetBucketLocationInput, GetBucketLocationOutput, GetBucketVersioningInput, GetBucketVersioningOutput,
    HeadBucketInput, HeadBucketOutput, ListBucketsInput, ListBucketsOutput, MFADelete, Owner, PutBucketVersioningInput,
    PutBucketVersioningOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use crate::durability;
use crate::error::{custom, from_engine, not_implemented};
use crate::headers::{bucket as bucket_name, caller, check_owner, refuse_unsupported, text, timestamp};
use crate::{Settings, acl, elements, settings_of_bucket};

/// The region that S3 reports by an empty answer.
const REGION_UNNAMED: &str = "us-east-1";
/// Most buckets in one answer.
const BUCKETS_MAX: usize = 10_000;

pub(crate) async fn create(
    engine: &Engine,
    request: S3Request<CreateBucketInput>,
) -> S3Result<S3Response<CreateBucketOutput>> {
    refuse_unsupported(&request.headers)?;
    let name = bucket_name(&request.input.bucket)?;
    let durability = durability::asked_for(&request.headers)?;
    let who = caller(&request);
    let ownership = text(&request.headers, "x-amz-object-ownership");
    let ownership = ownership.map(|name| settings_of_bucket::ownership_named(&name)).transpose()?;
    let location = request.input.create_bucket_configuration.as_ref().and_then(|at| at.location_constraint.as_ref());
    let new = NewBucket {
        acl: acl::of_headers(&request.headers)?,
        ownership,
        object_lock: request.input.object_lock_enabled_for_bucket.unwrap_or_default(),
        location: location.map(|location| location.as_str().to_owned()),
        tags: elements::tags_of_new_bucket(&elements::kept(&request.extensions))?,
    };
    // Making an own bucket again is no error: CloudStack repeats it.
    match engine.create_bucket_with(&who, &name, new).await.map_err(from_engine)? {
        BucketCreated::New | BucketCreated::AlreadyOwned => {}
    }
    let mut response = S3Response::new(CreateBucketOutput { location: Some(format!("/{name}")) });
    if let Some(durability) = durability {
        engine.set_durability(&who, &name, durability).await.map_err(from_engine)?;
        durability::show(&mut response.headers, durability);
    }
    Ok(response)
}

pub(crate) async fn head(
    engine: &Engine,
    settings: &Settings,
    request: S3Request<HeadBucketInput>,
) -> S3Result<S3Response<HeadBucketOutput>> {
    let bucket = allowed(
        engine,
        &request,
        Action::ListBucket,
        &request.input.bucket,
        request.input.expected_bucket_owner.as_deref(),
    )
    .await?;
    let output = HeadBucketOutput { bucket_region: Some(settings.region.clone()), ..HeadBucketOutput::default() };
    let mut response = S3Response::new(output);
    durability::show(&mut response.headers, bucket.durability);
    Ok(response)
}

pub(crate) async fn location(
    engine: &Engine,
    settings: &Settings,
    request: S3Request<GetBucketLocationInput>,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    allowed(
        engine,
        &request,
        Action::GetBucketLocation,
        &request.input.bucket,
        request.input.expected_bucket_owner.as_deref(),
    )
    .await?;
    let region = (settings.region != REGION_UNNAMED).then(|| settings.region.clone().into());
    Ok(S3Response::new(GetBucketLocationOutput { location_constraint: region }))
}

pub(crate) async fn versioning(
    engine: &Engine,
    request: S3Request<GetBucketVersioningInput>,
) -> S3Result<S3Response<GetBucketVersioningOutput>> {
    let bucket = allowed(
        engine,
        &request,
        Action::GetBucketVersioning,
        &request.input.bucket,
        request.input.expected_bucket_owner.as_deref(),
    )
    .await?;
    // A bucket that never kept versions has an empty answer.
    let status = match bucket.versioning {
        Versioning::Off => None,
        Versioning::Enabled => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED)),
        Versioning::Suspended => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::SUSPENDED)),
    };
    Ok(S3Response::new(GetBucketVersioningOutput { mfa_delete: None, status }))
}

pub(crate) async fn put_versioning(
    engine: &Engine,
    request: S3Request<PutBucketVersioningInput>,
) -> S3Result<S3Response<PutBucketVersioningOutput>> {
    let who = caller(&request);
    let input = request.input;
    check_owner(engine, &bucket_name(&input.bucket)?, input.expected_bucket_owner.as_deref()).await?;
    let asked = input.versioning_configuration;
    if asked.mfa_delete.is_some_and(|mfa_delete| mfa_delete.as_str() != MFADelete::DISABLED) {
        return Err(not_implemented("MFA delete"));
    }
    let versioning = match asked.status.as_ref().map(BucketVersioningStatus::as_str) {
        Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
        Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
        Some(_) => return Err(s3_error!(MalformedXML)),
        None => {
            return Err(custom(
                "IllegalVersioningConfigurationException",
                http::StatusCode::BAD_REQUEST,
                "The Versioning element must be specified",
            ));
        }
    };
    engine.set_versioning(&who, &bucket_name(&input.bucket)?, versioning).await.map_err(from_engine)?;
    Ok(S3Response::new(PutBucketVersioningOutput::default()))
}

pub(crate) async fn delete(
    engine: &Engine,
    request: S3Request<DeleteBucketInput>,
) -> S3Result<S3Response<DeleteBucketOutput>> {
    let who = caller(&request);
    let name = bucket_name(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    engine.delete_bucket(&who, &name).await.map_err(from_engine)?;
    Ok(S3Response::new(DeleteBucketOutput::default()))
}

pub(crate) async fn list(
    engine: &Engine,
    request: S3Request<ListBucketsInput>,
) -> S3Result<S3Response<ListBucketsOutput>> {
    let who = caller(&request);
    let input = request.input;
    let entries_max = match input.max_buckets {
        None => BUCKETS_MAX,
        Some(asked) => usize::try_from(asked)
            .ok()
            .filter(|asked| (1..=BUCKETS_MAX).contains(asked))
            .ok_or_else(|| s3_error!(InvalidArgument, "The max-buckets must be between 1 and {BUCKETS_MAX}."))?,
    };
    let after = input.continuation_token.as_deref().map(crate::listing::read_token).transpose()?;
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let mut buckets = engine.list_buckets(&who).await.map_err(from_engine)?;
    buckets.retain(|bucket| bucket.name.as_str().starts_with(prefix));
    if let Some(after) = after {
        buckets.retain(|bucket| bucket.name.as_str() > after.as_str());
    }
    let truncated = buckets.len() > entries_max;
    buckets.truncate(entries_max);
    let next = buckets.last().filter(|_| truncated).map(|last| crate::listing::token(last.name.as_str()));
    let output = ListBucketsOutput {
        buckets: Some(buckets.iter().map(shown).collect()),
        continuation_token: next,
        owner: who.account().map(|account| owner_of(account.canonical_id.as_str(), Some(account))),
        prefix: input.prefix,
    };
    Ok(S3Response::new(output))
}

/// The bucket, when it exists and the caller may do something with it.
pub(crate) async fn allowed<T>(
    engine: &Engine,
    request: &S3Request<T>,
    action: Action,
    name: &str,
    expected_owner: Option<&str>,
) -> S3Result<Bucket> {
    let name = bucket_name(name)?;
    check_owner(engine, &name, expected_owner).await?;
    engine.bucket_for(&caller(request), &name, action).await.map_err(from_engine)
}

/// An owner: the id, and the name when it is the caller's own.
pub(crate) fn owner_of(id: &str, identity: Option<&Identity>) -> Owner {
    let own = identity.filter(|identity| identity.canonical_id.as_str() == id);
    Owner { id: Some(id.to_owned()), display_name: own.map(|identity| identity.display_name.clone()) }
}

fn shown(bucket: &Bucket) -> s3s::dto::Bucket {
    s3s::dto::Bucket {
        bucket_region: None,
        creation_date: Some(timestamp(bucket.created_us)),
        name: Some(bucket.name.as_str().to_owned()),
    }
}
