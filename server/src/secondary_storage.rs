//! Makes what CloudStack needs to use this store as its secondary storage: a bucket, and a user with a key of its own.
//!
//! CloudStack never makes the bucket and caches its client by access key alone, so the key belongs to this use only.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use engine::{
    BucketCreated, BucketName, Caller, CanonicalId, Credential, Engine, GroupId, NewGroup, NewUser, Profile, Role,
    UserId,
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use crate::control::Parts;

const CALLER: Caller = Caller::LocalOperator;
/// What people read in the lists of groups and users.
const TITLE: &str = "CloudStack secondary storage";

/// What is to be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Prepare {
    /// The bucket.
    pub(crate) bucket: String,
    /// The group, and the user in it.
    pub(crate) group: String,
    /// Whether CloudStack is to use TLS.
    pub(crate) https: bool,
}

/// What was made or found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Prepared {
    pub(crate) bucket: String,
    pub(crate) group: String,
    pub(crate) user: String,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    /// Host and port of the S3 door.
    pub(crate) endpoint: String,
    pub(crate) https: bool,
    /// Whether the door is reached from this machine only, so that CloudStack's machines cannot use it yet.
    pub(crate) is_loopback: bool,
    pub(crate) staging_dir: PathBuf,
}

/// Makes what is missing and leaves what is there.
pub(crate) async fn prepare(parts: &Parts, request: &Prepare) -> anyhow::Result<Prepared> {
    let door = if request.https { &parts.doors.s3_tls } else { &parts.doors.s3 };
    let door = door.as_ref().context("the S3 door that CloudStack would use is not enabled")?;
    let url = url::Url::parse(door).context("the S3 door has no address")?;
    let host = url.host_str().context("the S3 door has no host")?;
    let port = url.port_or_known_default().context("the S3 door has no port")?;
    let bucket = BucketName::new(&request.bucket)?;
    let group = GroupId::new(&request.group)?;
    let user = UserId::new(&request.group)?;
    let owner = ensure_user(&parts.engine, &group, &user).await?;
    ensure_bucket(&parts.engine, &owner, &bucket).await?;
    let key = ensure_key(&parts.engine, &owner).await?;
    let is_loopback =
        host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    Ok(Prepared {
        bucket: bucket.to_string(),
        group: group.to_string(),
        user: user.to_string(),
        access_key: key.access_key.to_string(),
        secret_key: key.secret_key.expose_secret().to_owned(),
        endpoint: format!("{host}:{port}"),
        https: request.https,
        is_loopback,
        staging_dir: parts.staging.dir().to_owned(),
    })
}

async fn ensure_user(engine: &Engine, group: &GroupId, user: &UserId) -> anyhow::Result<CanonicalId> {
    match engine.find_group(&CALLER, group).await? {
        Some(found) if !found.active => bail!("the group {group} is there but not active"),
        Some(_) => {}
        None => {
            let group_name = TITLE.to_owned();
            let new = NewGroup { group_id: group.clone(), group_name, active: true, profile: Profile::new() };
            engine.create_group(&CALLER, new).await?;
        }
    }
    match engine.find_user(&CALLER, group, user).await? {
        Some(found) if !found.active => bail!("the user {user} is there but not active"),
        Some(found) => Ok(found.canonical_id),
        None => {
            let new = NewUser {
                group_id: group.clone(),
                user_id: user.clone(),
                role: Role::User,
                full_name: TITLE.to_owned(),
                email: String::new(),
                active: true,
                profile: Profile::new(),
                with_credential: true,
            };
            Ok(engine.create_user(&CALLER, new).await?.canonical_id)
        }
    }
}

async fn ensure_bucket(engine: &Engine, owner: &CanonicalId, bucket: &BucketName) -> anyhow::Result<()> {
    match engine.create_bucket_for(&CALLER, owner, bucket).await {
        Ok(BucketCreated::New | BucketCreated::AlreadyOwned) | Err(engine::Error::BucketExists { owned: true }) => {
            Ok(())
        }
        Err(engine::Error::BucketExists { owned: false }) => {
            bail!("the bucket {bucket} belongs to somebody else: choose another with --bucket")
        }
        Err(error) => Err(error.into()),
    }
}

async fn ensure_key(engine: &Engine, owner: &CanonicalId) -> anyhow::Result<Credential> {
    let found = engine.list_credentials(&CALLER, owner).await?.into_iter().find(|key| key.active);
    match found {
        Some(key) => Ok(key),
        None => Ok(engine.create_credential(&CALLER, owner).await?),
    }
}
