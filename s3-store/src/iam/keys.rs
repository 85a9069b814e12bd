//! Access keys.

use engine::{IamKey, IamListing};
use secrecy::ExposeSecret as _;

use super::answer::{page, text, time, wrap};
use super::dispatch::{Answer, Asked, done};
use super::error::Failure;

fn shown(key: &IamKey) -> String {
    key.user.as_ref().map(|user| text("UserName", user)).unwrap_or_default()
        + &text("AccessKeyId", key.access_key.as_str())
        + &text("Status", if key.active { "Active" } else { "Inactive" })
        + &time("CreateDate", key.created_us)
}

pub(super) async fn create(asked: &Asked<'_>) -> Answer {
    let made = asked.engine.create_iam_key(asked.caller, asked.params.opt("UserName")).await;
    let (key, secret) = made.map_err(Failure::of)?;
    Ok(Some(wrap("AccessKey", &(shown(&key) + &text("SecretAccessKey", secret.expose_secret())))))
}

/// There are so few that a page is cut from all of them.
pub(super) async fn list(asked: &Asked<'_>) -> Answer {
    let wanted = asked.params.page()?;
    let keys = asked.engine.list_iam_keys(asked.caller, asked.params.opt("UserName")).await.map_err(Failure::of)?;
    let after = wanted.marker.unwrap_or_default();
    let mut rest: Vec<IamKey> = keys.into_iter().filter(|key| key.access_key.as_str() > after.as_str()).collect();
    rest.sort_by(|one, other| one.access_key.as_str().cmp(other.access_key.as_str()));
    let items_max = wanted.items_max.unwrap_or(usize::MAX).max(1);
    let more = rest.len() > items_max;
    rest.truncate(items_max);
    let marker = rest.last().filter(|_| more).map(|key| key.access_key.as_str().to_owned());
    let user = asked.params.opt("UserName").map(|name| text("UserName", name)).unwrap_or_default();
    Ok(Some(user + &page("AccessKeyMetadata", &IamListing { items: rest, marker }, shown)))
}

pub(super) async fn update(asked: &Asked<'_>) -> Answer {
    let active = match asked.params.need("Status")? {
        "Active" => true,
        "Inactive" => false,
        _ => return Err(Failure::validation("Status must be Active or Inactive.")),
    };
    let (user, key) = (asked.params.opt("UserName"), asked.params.need("AccessKeyId")?);
    done(asked.engine.set_iam_key_active(asked.caller, user, key, active).await)
}

pub(super) async fn delete(asked: &Asked<'_>) -> Answer {
    let (user, key) = (asked.params.opt("UserName"), asked.params.need("AccessKeyId")?);
    done(asked.engine.delete_iam_key(asked.caller, user, key).await)
}
