//! Object lock: of buckets, of versions, and in the headers of what is stored.

use engine::{DefaultRetention, Engine, LockMode, LockPeriod, NewLock, ObjectInfo, ObjectLock, Retention};
use http::HeaderMap;
use s3s::dto::{
    self, GetObjectLegalHoldInput, GetObjectLegalHoldOutput, GetObjectLockConfigurationInput,
    GetObjectLockConfigurationOutput, GetObjectRetentionInput, GetObjectRetentionOutput, ObjectLockConfiguration,
    ObjectLockEnabled, ObjectLockLegalHold, ObjectLockLegalHoldStatus, ObjectLockRetention, ObjectLockRetentionMode,
    ObjectLockRule, PutObjectLegalHoldInput, PutObjectLegalHoldOutput, PutObjectLockConfigurationInput,
    PutObjectLockConfigurationOutput, PutObjectRetentionInput, PutObjectRetentionOutput, Timestamp,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use crate::acl::object;
use crate::elements;
use crate::error::{from_engine, none_such};
use crate::headers::{bucket, caller, check_owner, micros, text};

const MODE: &str = "x-amz-object-lock-mode";
const UNTIL: &str = "x-amz-object-lock-retain-until-date";
const HOLD: &str = "x-amz-object-lock-legal-hold";

/// The lock that the headers of a request give to what is stored.
pub(crate) fn of_headers(headers: &HeaderMap) -> S3Result<NewLock> {
    let retention = match (text(headers, MODE), text(headers, UNTIL)) {
        (None, None) => None,
        (Some(mode), Some(until)) => Some(Retention { mode: mode_named(&mode)?, until_us: time_named(&until)? }),
        (Some(_), None) | (None, Some(_)) => {
            return Err(s3_error!(
                InvalidArgument,
                "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
            ));
        }
    };
    let legal_hold = match text(headers, HOLD).as_deref() {
        None | Some(ObjectLockLegalHoldStatus::OFF) => false,
        Some(ObjectLockLegalHoldStatus::ON) => true,
        Some(_) => return Err(s3_error!(InvalidArgument, "Legal Hold must be either of 'ON' or 'OFF'")),
    };
    Ok(NewLock { retention, legal_hold })
}

fn mode_named(name: &str) -> S3Result<LockMode> {
    LockMode::parse(name).ok_or_else(|| s3_error!(InvalidArgument, "Unknown wormMode directive."))
}

fn time_named(text: &str) -> S3Result<i64> {
    let time = Timestamp::parse(dto::TimestampFormat::DateTime, text);
    time.map(|time| micros(&time))
        .map_err(|_| s3_error!(InvalidArgument, "The retain until date must be provided in ISO 8601 format"))
}

/// Whether a request asks to pass a governance lock.
pub(crate) fn bypasses(asked: Option<bool>) -> bool {
    asked.unwrap_or_default()
}

/// A time to the millisecond, as S3 shows when locks end.
fn shown_time(us: i64) -> Timestamp {
    let since = std::time::Duration::from_millis(u64::try_from(us / 1_000).unwrap_or_default());
    Timestamp::from(std::time::SystemTime::UNIX_EPOCH + since)
}

/// What an answer shows of the lock of an object: mode, until when, and whether it is held.
pub(crate) fn shown(
    info: &ObjectInfo,
) -> (Option<dto::ObjectLockMode>, Option<Timestamp>, Option<ObjectLockLegalHoldStatus>) {
    let mode = info.retention.map(|retention| dto::ObjectLockMode::from_static(retention.mode.as_str()));
    let until = info.retention.map(|retention| shown_time(retention.until_us));
    let held = info.legal_hold.then(|| ObjectLockLegalHoldStatus::from_static(ObjectLockLegalHoldStatus::ON));
    (mode, until, held)
}

pub(crate) async fn configuration(
    engine: &Engine,
    request: S3Request<GetObjectLockConfigurationInput>,
) -> S3Result<S3Response<GetObjectLockConfigurationOutput>> {
    let name = bucket(&request.input.bucket)?;
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let lock = engine.bucket_setting::<ObjectLock>(&caller(&request), &name).await.map_err(from_engine)?;
    let lock = lock.ok_or_else(|| {
        none_such("ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket")
    })?;
    let rule = lock.default.map(|default| {
        let (days, years) = match default.period {
            LockPeriod::Days(days) => (i32::try_from(days).ok(), None),
            LockPeriod::Years(years) => (None, i32::try_from(years).ok()),
        };
        let mode = Some(ObjectLockRetentionMode::from_static(default.mode.as_str()));
        ObjectLockRule { default_retention: Some(dto::DefaultRetention { days, mode, years }) }
    });
    let object_lock_enabled = Some(ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED));
    let configuration = ObjectLockConfiguration { object_lock_enabled, rule };
    Ok(S3Response::new(GetObjectLockConfigurationOutput { object_lock_configuration: Some(configuration) }))
}

pub(crate) async fn put_configuration(
    engine: &Engine,
    request: S3Request<PutObjectLockConfigurationInput>,
) -> S3Result<S3Response<PutObjectLockConfigurationOutput>> {
    let (who, name) = (caller(&request), bucket(&request.input.bucket)?);
    check_owner(engine, &name, request.input.expected_bucket_owner.as_deref()).await?;
    let malformed = || s3_error!(MalformedXML);
    let given = request.input.object_lock_configuration.ok_or_else(malformed)?;
    if given.object_lock_enabled.as_ref().map(ObjectLockEnabled::as_str) != Some(ObjectLockEnabled::ENABLED) {
        return Err(malformed());
    }
    let default = given.rule.map(|rule| default_retention(rule.default_retention)).transpose()?;
    let lock = ObjectLock::new(default).map_err(from_engine)?;
    engine.set_object_lock(&who, &name, &lock).await.map_err(from_engine)?;
    Ok(S3Response::new(PutObjectLockConfigurationOutput::default()))
}

fn default_retention(given: Option<dto::DefaultRetention>) -> S3Result<DefaultRetention> {
    let malformed = || s3_error!(MalformedXML);
    let given = given.ok_or_else(malformed)?;
    let mode = given.mode.and_then(|mode| LockMode::parse(mode.as_str())).ok_or_else(malformed)?;
    // A length that is not positive is refused by its own name.
    let length = |given: i32| u32::try_from(given).unwrap_or_default();
    let period = match (given.days, given.years) {
        (Some(days), None) => LockPeriod::Days(length(days)),
        (None, Some(years)) => LockPeriod::Years(length(years)),
        (None, None) | (Some(_), Some(_)) => return Err(malformed()),
    };
    Ok(DefaultRetention { mode, period })
}

pub(crate) async fn retention(
    engine: &Engine,
    request: S3Request<GetObjectRetentionInput>,
) -> S3Result<S3Response<GetObjectRetentionOutput>> {
    let input = &request.input;
    let object = object(&input.bucket, &input.key, input.version_id.as_deref())?;
    check_owner(engine, &object.bucket, input.expected_bucket_owner.as_deref()).await?;
    let kept = engine.object_retention(&caller(&request), &object).await.map_err(from_engine)?;
    let retention = ObjectLockRetention {
        mode: Some(ObjectLockRetentionMode::from_static(kept.mode.as_str())),
        retain_until_date: Some(shown_time(kept.until_us)),
    };
    Ok(S3Response::new(GetObjectRetentionOutput { retention: Some(retention) }))
}

pub(crate) async fn put_retention(
    engine: &Engine,
    request: S3Request<PutObjectRetentionInput>,
) -> S3Result<S3Response<PutObjectRetentionOutput>> {
    let who = caller(&request);
    let input = request.input;
    let object = object(&input.bucket, &input.key, input.version_id.as_deref())?;
    check_owner(engine, &object.bucket, input.expected_bucket_owner.as_deref()).await?;
    // What an event holds would else end the lock, as an empty document does.
    elements::refuse_others(&elements::kept(&request.extensions), "Retention", &["Mode", "RetainUntilDate"])?;
    let retention = match input.retention {
        // An empty document ends the lock.
        None | Some(ObjectLockRetention { mode: None, retain_until_date: None }) => None,
        Some(ObjectLockRetention { mode: Some(mode), retain_until_date: Some(until) }) => {
            let mode = LockMode::parse(mode.as_str()).ok_or_else(|| s3_error!(MalformedXML))?;
            Some(Retention { mode, until_us: micros(&until) })
        }
        Some(_) => return Err(s3_error!(MalformedXML)),
    };
    let bypass = bypasses(input.bypass_governance_retention);
    engine.set_object_retention(&who, &object, retention, bypass).await.map_err(from_engine)?;
    Ok(S3Response::new(PutObjectRetentionOutput::default()))
}

pub(crate) async fn legal_hold(
    engine: &Engine,
    request: S3Request<GetObjectLegalHoldInput>,
) -> S3Result<S3Response<GetObjectLegalHoldOutput>> {
    let input = &request.input;
    let object = object(&input.bucket, &input.key, input.version_id.as_deref())?;
    check_owner(engine, &object.bucket, input.expected_bucket_owner.as_deref()).await?;
    let held = engine.object_legal_hold(&caller(&request), &object).await.map_err(from_engine)?;
    let status = if held { ObjectLockLegalHoldStatus::ON } else { ObjectLockLegalHoldStatus::OFF };
    let legal_hold = Some(ObjectLockLegalHold { status: Some(ObjectLockLegalHoldStatus::from_static(status)) });
    Ok(S3Response::new(GetObjectLegalHoldOutput { legal_hold }))
}

pub(crate) async fn put_legal_hold(
    engine: &Engine,
    request: S3Request<PutObjectLegalHoldInput>,
) -> S3Result<S3Response<PutObjectLegalHoldOutput>> {
    let who = caller(&request);
    let input = request.input;
    let object = object(&input.bucket, &input.key, input.version_id.as_deref())?;
    check_owner(engine, &object.bucket, input.expected_bucket_owner.as_deref()).await?;
    let status = input.legal_hold.and_then(|hold| hold.status);
    let held = match status.as_ref().map(ObjectLockLegalHoldStatus::as_str) {
        Some(ObjectLockLegalHoldStatus::ON) => true,
        Some(ObjectLockLegalHoldStatus::OFF) => false,
        Some(_) | None => return Err(s3_error!(MalformedXML)),
    };
    engine.set_object_legal_hold(&who, &object, held).await.map_err(from_engine)?;
    Ok(S3Response::new(PutObjectLegalHoldOutput::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_lock_with_mode_and_time() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value")));
            of_headers(&pairs.collect())
        };
        assert!(of(&[]).expect("none").is_none());
        let locked = of(&[(MODE, "GOVERNANCE"), (UNTIL, "2030-01-01T00:00:00Z"), (HOLD, "ON")]).expect("a lock");
        let retention = Retention { mode: LockMode::Governance, until_us: 1_893_456_000_000_000 };
        assert_eq!(locked, NewLock { retention: Some(retention), legal_hold: true });
        for bad in [
            &[(MODE, "GOVERNANCE")][..],
            &[(UNTIL, "2030-01-01T00:00:00Z")],
            &[(MODE, "governance"), (UNTIL, "2030-01-01T00:00:00Z")],
            &[(MODE, "GOVERNANCE"), (UNTIL, "tomorrow")],
            &[(HOLD, "on")],
        ] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }
}
