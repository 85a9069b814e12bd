//! `/user/credentials`: the S3 key pairs of users, their secrets with them.

use axum::response::Response;
use engine::{AccessKeyId, Credential, Error};
use secrecy::SecretString;

use crate::{AdminApi, answer, error::Refusal, request::Call, user, wire};

const MICROS_IN_MILLI: i64 = 1000;

/// A key pair as clients are shown it: times in milliseconds.
fn info(credential: &Credential) -> wire::Credential {
    wire::Credential {
        access_key: credential.access_key.as_str().to_owned(),
        secret_key: credential.secret_key.clone(),
        create_date: Some(credential.created_us / MICROS_IN_MILLI),
        active: credential.active,
        expire_date: credential.expires_us.map(|us| us / MICROS_IN_MILLI),
    }
}

/// A list of key pairs; an empty one is 204.
fn listed(credentials: &[Credential]) -> Result<Response, Refusal> {
    if credentials.is_empty() {
        return Ok(answer::absent());
    }
    answer::json(&credentials.iter().map(info).collect::<Vec<_>>())
}

/// The access key that the query names; one that cannot exist is refused as one that does not.
fn named(call: &Call) -> Result<AccessKeyId, Refusal> {
    AccessKeyId::new(call.params().required("accessKey")?).map_err(|_| Error::NoSuchCredential.into())
}

pub(crate) async fn put(api: &AdminApi, call: &Call) -> Result<Response, Refusal> {
    let owner = user::required(api, call).await?.canonical_id;
    let credential = api.engine.create_credential(call.caller(), &owner).await?;
    answer::json(&info(&credential))
}

pub(crate) async fn post(api: &AdminApi, call: &Call) -> Result<Response, Refusal> {
    let access_key = AccessKeyId::new(call.params().required("accessKey")?)?;
    let secret_key = call.params().required("secretKey")?;
    // A raw `+` arrives as a space here: a broken key must not be stored.
    if !secret_key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')) {
        return Err(Refusal::bad_request("The secretKey has characters outside A-Z a-z 0-9 + / ="));
    }
    let secret_key = SecretString::from(secret_key);
    let owner = user::required(api, call).await?.canonical_id;
    api.engine.import_credential(call.caller(), &owner, access_key, secret_key).await?;
    Ok(answer::done())
}

pub(crate) async fn get(api: &AdminApi, call: &Call) -> Result<Response, Refusal> {
    // An id that no key can have names none.
    let Ok(access_key) = AccessKeyId::new(call.params().required("accessKey")?) else {
        return Ok(answer::absent());
    };
    match api.engine.find_credential(call.caller(), &access_key).await? {
        Some(credential) => answer::json(&info(&credential)),
        None => Ok(answer::absent()),
    }
}

pub(crate) async fn delete(api: &AdminApi, call: &Call) -> Result<Response, Refusal> {
    api.engine.delete_credential(call.caller(), &named(call)?).await?;
    Ok(answer::done())
}

pub(crate) async fn status(api: &AdminApi, call: &Call) -> Result<Response, Refusal> {
    let access_key = named(call)?;
    call.params().required("isActive")?;
    let active = call.params().flag("isActive")?.unwrap_or_default();
    api.engine.set_credential_active(call.caller(), &access_key, active).await?;
    Ok(answer::done())
}

/// All key pairs of a user, oldest first. `isRootAccountOnly` is read and changes nothing while IAM users have no keys.
pub(crate) async fn list(api: &AdminApi, call: &Call) -> Result<Response, Refusal> {
    call.params().flag("isRootAccountOnly")?;
    let owner = user::required(api, call).await?.canonical_id;
    listed(&api.engine.list_credentials(call.caller(), &owner).await?)
}

/// The key pairs that are on and have not ended.
pub(crate) async fn list_active(api: &AdminApi, call: &Call) -> Result<Response, Refusal> {
    let owner = user::required(api, call).await?.canonical_id;
    let mut credentials = api.engine.list_credentials(call.caller(), &owner).await?;
    let now_us = api.engine.clock().now_us();
    credentials.retain(|credential| credential.active && credential.expires_us.is_none_or(|end_us| end_us > now_us));
    listed(&credentials)
}
