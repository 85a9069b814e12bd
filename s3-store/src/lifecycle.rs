//! Lifecycle rules: between their document and the engine's.

use engine::{
    Engine, Expiration, Expiry, Lifecycle, LifecycleFilter, LifecycleRule, MoveSize, NoncurrentExpiration, Tags,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    self, AbortIncompleteMultipartUpload, DeleteBucketLifecycleInput, DeleteBucketLifecycleOutput, ExpirationStatus,
    GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput, LifecycleExpiration,
    LifecycleRuleAndOperator, LifecycleRuleFilter, NoncurrentVersionExpiration, PutBucketLifecycleConfigurationInput,
    PutBucketLifecycleConfigurationOutput, Tag, Timestamp, TransitionDefaultMinimumObjectSize,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use crate::error::{from_engine, none_such, not_implemented};
use crate::headers::{bucket, caller, check_owner, http_date, micros, timestamp};

const DAY_US: i64 = 86_400_000_000;
const X_AMZ_EXPIRATION: HeaderName = HeaderName::from_static("x-amz-expiration");
/// What stays as it is in the name of a rule in a header.
const RULE_ID: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(crate) async fn get(
    engine: &Engine,
    request: S3Request<GetBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let found = engine.bucket_setting::<Lifecycle>(&caller(&request), &name).await.map_err(from_engine)?;
    let found =
        found.ok_or_else(|| none_such("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"))?;
    Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
        rules: Some(found.rules().iter().map(shown).collect()),
        transition_default_minimum_object_size: Some(shown_size(found.move_size())),
    }))
}

pub(crate) async fn put(
    engine: &Engine,
    request: S3Request<PutBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
    let (who, name) = (caller(&request), bucket(&request.input.bucket)?);
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let rules = request.input.lifecycle_configuration.ok_or_else(|| s3_error!(MalformedXML))?.rules;
    let rules = rules.into_iter().map(given).collect::<S3Result<_>>()?;
    let move_size = given_size(request.input.transition_default_minimum_object_size.as_ref())?;
    let lifecycle = Lifecycle::new(rules).map_err(from_engine)?.with_move_size(move_size);
    engine.set_bucket_setting(&who, &name, Some(&lifecycle)).await.map_err(from_engine)?;
    Ok(S3Response::new(PutBucketLifecycleConfigurationOutput {
        transition_default_minimum_object_size: Some(shown_size(move_size)),
    }))
}

pub(crate) async fn delete(
    engine: &Engine,
    request: S3Request<DeleteBucketLifecycleInput>,
) -> S3Result<S3Response<DeleteBucketLifecycleOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    engine.set_bucket_setting::<Lifecycle>(&caller(&request), &name, None).await.map_err(from_engine)?;
    Ok(S3Response::new(DeleteBucketLifecycleOutput::default()))
}

/// Says when an object goes by a rule of its bucket.
pub(crate) fn show(headers: &mut HeaderMap, expiry: Option<&Expiry>) {
    let Some(expiry @ Expiry { at_us, .. }) = expiry else { return };
    let rule_id = named(expiry);
    let text = format!("expiry-date=\"{}\", rule-id=\"{rule_id}\"", http_date(*at_us));
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(X_AMZ_EXPIRATION, value);
    }
}

/// When an open upload is given up by a rule of its bucket, and the name of the rule.
pub(crate) fn shown_end(end: Option<&Expiry>) -> (Option<Timestamp>, Option<String>) {
    end.map(|end| (timestamp(end.at_us), named(end))).unzip()
}

/// The name of a rule as headers have it.
fn named(expiry: &Expiry) -> String {
    utf8_percent_encode(&expiry.rule_id, RULE_ID).to_string()
}

fn given_size(given: Option<&TransitionDefaultMinimumObjectSize>) -> S3Result<MoveSize> {
    let Some(given) = given else { return Ok(MoveSize::default()) };
    MoveSize::parse(given.as_str())
        .ok_or_else(|| s3_error!(InvalidRequest, "Invalid value for x-amz-transition-default-minimum-object-size."))
}

fn shown_size(size: MoveSize) -> TransitionDefaultMinimumObjectSize {
    TransitionDefaultMinimumObjectSize::from_static(size.as_str())
}

fn days(given: Option<i32>) -> S3Result<u32> {
    // What is not positive is refused with the rest of the rule.
    given.map(|days| u32::try_from(days).unwrap_or_default()).ok_or_else(|| s3_error!(MalformedXML))
}

fn given(rule: dto::LifecycleRule) -> S3Result<LifecycleRule> {
    let no_moves = |moves: Option<usize>| moves.is_none_or(|count| count == 0);
    if !no_moves(rule.transitions.map(|list| list.len()))
        || !no_moves(rule.noncurrent_version_transitions.map(|list| list.len()))
    {
        return Err(not_implemented("Moving objects to another storage class"));
    }
    let enabled = match rule.status.as_str() {
        ExpirationStatus::ENABLED => true,
        ExpirationStatus::DISABLED => false,
        _ => return Err(s3_error!(MalformedXML)),
    };
    let noncurrent = rule.noncurrent_version_expiration.map(|given| {
        let keep_newest = given.newer_noncurrent_versions.map(|count| u32::try_from(count).unwrap_or_default());
        Ok::<_, s3s::S3Error>(NoncurrentExpiration { days: days(given.noncurrent_days)?, keep_newest })
    });
    let abort = rule.abort_incomplete_multipart_upload.map(|abort| days(abort.days_after_initiation));
    Ok(LifecycleRule {
        id: rule.id.unwrap_or_default(),
        enabled,
        has_first_form: rule.filter.is_none() && rule.prefix.is_some(),
        filter: filter(rule.filter, rule.prefix)?,
        expiration: rule.expiration.map(expiration).transpose()?,
        noncurrent: noncurrent.transpose()?,
        abort_uploads_days: abort.transpose()?,
    })
}

fn expiration(given: LifecycleExpiration) -> S3Result<Expiration> {
    match (given.days, given.date, given.expired_object_delete_marker.unwrap_or_default()) {
        (Some(count), None, false) => Ok(Expiration::Days(days(Some(count))?)),
        (None, Some(date), false) => {
            let at_us = micros(&date);
            if at_us.rem_euclid(DAY_US) != 0 {
                return Err(s3_error!(InvalidArgument, "'Date' must be at midnight GMT"));
            }
            Ok(Expiration::Date(at_us))
        }
        (None, None, true) => Ok(Expiration::LoneMarkers),
        _ => Err(s3_error!(MalformedXML)),
    }
}

fn filter(given: Option<LifecycleRuleFilter>, old_prefix: Option<String>) -> S3Result<LifecycleFilter> {
    let size = |size: Option<i64>| {
        size.map(|size| u64::try_from(size).map_err(|_| s3_error!(InvalidArgument, "A size must not be negative")))
            .transpose()
    };
    match (given, old_prefix) {
        (Some(_), Some(_)) => Err(s3_error!(MalformedXML)),
        // Without either it would be about everything, which has to be said: by an empty filter.
        (None, None) => Err(s3_error!(MalformedXML)),
        (None, Some(prefix)) => Ok(LifecycleFilter { prefix, ..LifecycleFilter::default() }),
        (Some(filter), None) => {
            // Clients write several things side by side, too. All of them have to fit, wherever they stand.
            let and = filter.and.unwrap_or_default();
            let (larger, smaller) = (
                [filter.object_size_greater_than, and.object_size_greater_than],
                [filter.object_size_less_than, and.object_size_less_than],
            );
            let sizes = |given: [Option<i64>; 2]| given.into_iter().flatten();
            Ok(LifecycleFilter {
                prefix: both(filter.prefix.unwrap_or_default(), and.prefix.unwrap_or_default())?,
                tags: tags(filter.tag.into_iter().chain(and.tags.unwrap_or_default()).collect())?,
                larger_than_bytes: size(sizes(larger).max())?,
                smaller_than_bytes: size(sizes(smaller).min())?,
            })
        }
    }
}

/// The prefix of keys that have both.
fn both(one: String, other: String) -> S3Result<String> {
    match (one.starts_with(&other), other.starts_with(&one)) {
        (true, _) => Ok(one),
        (false, true) => Ok(other),
        (false, false) => Err(s3_error!(MalformedXML)),
    }
}

fn tags(given: Vec<Tag>) -> S3Result<Tags> {
    let pairs = given.into_iter().map(|tag| Some((tag.key?, tag.value?))).collect::<Option<_>>();
    Tags::of_object(pairs.ok_or_else(|| s3_error!(MalformedXML))?).map_err(from_engine)
}

fn shown(rule: &LifecycleRule) -> dto::LifecycleRule {
    let count = |days: u32| i32::try_from(days).ok();
    let none = LifecycleExpiration { date: None, days: None, expired_object_delete_marker: None };
    let expiration = rule.expiration.map(|expiration| match expiration {
        Expiration::Days(days) => LifecycleExpiration { days: count(days), ..none },
        Expiration::Date(at_us) => LifecycleExpiration { date: Some(timestamp(at_us)), ..none },
        Expiration::LoneMarkers => LifecycleExpiration { expired_object_delete_marker: Some(true), ..none },
    });
    let status = if rule.enabled { ExpirationStatus::ENABLED } else { ExpirationStatus::DISABLED };
    dto::LifecycleRule {
        abort_incomplete_multipart_upload: rule
            .abort_uploads_days
            .map(|days| AbortIncompleteMultipartUpload { days_after_initiation: count(days) }),
        expiration,
        filter: (!rule.has_first_form).then(|| shown_filter(&rule.filter)),
        id: Some(rule.id.clone()),
        noncurrent_version_expiration: rule.noncurrent.map(|noncurrent| NoncurrentVersionExpiration {
            newer_noncurrent_versions: noncurrent.keep_newest.and_then(count),
            noncurrent_days: count(noncurrent.days),
        }),
        noncurrent_version_transitions: None,
        prefix: rule.has_first_form.then(|| rule.filter.prefix.clone()),
        status: ExpirationStatus::from_static(status),
        transitions: None,
    }
}

fn shown_filter(filter: &LifecycleFilter) -> LifecycleRuleFilter {
    let size = |bytes: Option<u64>| bytes.and_then(|bytes| i64::try_from(bytes).ok());
    let tags: Vec<Tag> = filter
        .tags
        .pairs()
        .iter()
        .map(|(key, value)| Tag { key: Some(key.clone()), value: Some(value.clone()) })
        .collect();
    let (larger, smaller) = (size(filter.larger_than_bytes), size(filter.smaller_than_bytes));
    let prefix = Some(filter.prefix.clone()).filter(|prefix| !prefix.is_empty());
    let parts = tags.len() + [prefix.is_some(), larger.is_some(), smaller.is_some()].iter().filter(|is| **is).count();
    if parts > 1 {
        let and = LifecycleRuleAndOperator {
            object_size_greater_than: larger,
            object_size_less_than: smaller,
            prefix,
            tags: Some(tags).filter(|tags| !tags.is_empty()),
        };
        return LifecycleRuleFilter { and: Some(and), ..LifecycleRuleFilter::default() };
    }
    LifecycleRuleFilter {
        object_size_greater_than: larger,
        object_size_less_than: smaller,
        // A filter that is about everything names the empty prefix.
        prefix: if parts == 0 { Some(String::new()) } else { prefix },
        tag: tags.into_iter().next(),
        ..LifecycleRuleFilter::default()
    }
}
