//! Sessions (STS).

use engine::{AssumeRole, SessionKey};
use secrecy::ExposeSecret as _;

use super::answer::{text, time, wrap};
use super::dispatch::{Answer, Asked};
use super::error::Failure;

fn credentials(key: &SessionKey) -> String {
    let inner = text("AccessKeyId", &key.access_key)
        + &text("SecretAccessKey", key.secret_key.expose_secret())
        + &text("SessionToken", key.token.expose_secret())
        + &time("Expiration", key.expires_us);
    wrap("Credentials", &inner)
}

pub(super) async fn assume_role(asked: &Asked<'_>) -> Answer {
    let wanted = AssumeRole {
        role_arn: asked.params.need("RoleArn")?.to_owned(),
        session_name: asked.params.need("RoleSessionName")?.to_owned(),
        policy: asked.params.opt("Policy").map(str::to_owned),
        duration_seconds: asked.params.number("DurationSeconds")?,
        external_id: asked.params.opt("ExternalId").map(str::to_owned),
    };
    let key = asked.engine.assume_role(asked.caller, wanted).await.map_err(Failure::of)?;
    let user = wrap("AssumedRoleUser", &(text("AssumedRoleId", &key.user_id) + &text("Arn", &key.arn)));
    Ok(Some(credentials(&key) + &user))
}

pub(super) async fn session_token(asked: &Asked<'_>) -> Answer {
    let seconds = asked.params.number("DurationSeconds")?;
    let key = asked.engine.session_key(asked.caller, seconds).await.map_err(Failure::of)?;
    Ok(Some(credentials(&key)))
}

pub(super) fn caller_identity(asked: &Asked<'_>) -> Answer {
    let who = asked.engine.caller_identity(asked.caller).map_err(Failure::of)?;
    Ok(Some(text("UserId", &who.user_id) + &text("Account", &who.account) + &text("Arn", &who.arn)))
}
