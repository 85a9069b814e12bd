//! The sign-in link for a caller, and the group and user that it needs, made on demand as CloudStack's own plug-in does.

use sso::Login;

use super::answer::Refusal;
use crate::{
    cloudstack::Account,
    names,
    reconciler::Inner,
    settings::Settings,
    state::{Fact, Fold, KnownGroup, KnownUser, Origin},
    target::found_user,
};

/// Where the link leads inside the console.
const REDIRECT: &str = "/";
/// The group of the console's own admins.
const ADMIN_GROUP: &str = "0";

const NO_GROUP: &str = "Aborting Cloudian SSO, failed to add group to Cloudian.";
const NO_USER: &str = "Aborting Cloudian SSO, failed to add user to Cloudian.";
const NO_MAPPED_USER: &str =
    "Aborting Cloudian SSO, failed to find mapped Cloudian user, please fix integration issues.";
const NO_LINK: &str = "Failed to generate Cloudian single-sign on URL for the user";

/// Makes the link.
pub(super) async fn sign_in(inner: &Inner, settings: &Settings, account: &Account) -> Result<String, Refusal> {
    if let Some(why) = inner.stopped() {
        tracing::warn!(why, "no one is signed in while the connector stands still");
        return Err(Refusal::failed(NO_MAPPED_USER));
    }
    // Another CloudStack behind the address has other people: none of them gets a link, and nothing is made for them.
    if let Err(error) = inner.confirm_cloud().await {
        tracing::warn!(%error, "no one is signed in by a CloudStack that is not known to be ours");
        return Err(Refusal::failed(NO_MAPPED_USER));
    }
    let (user, group) = if names::is_root_admin(account) {
        check_admin(inner, &settings.cmc_admin_user).await?;
        (settings.cmc_admin_user.clone(), ADMIN_GROUP.to_owned())
    } else {
        check_user(inner, account).await?;
        (account.id.clone(), account.domain_id.clone())
    };
    let timestamp_ms = inner.clock.now_us() / 1000;
    let (Ok(key), Ok(console)) = (&settings.sso_key, &settings.console) else {
        let why = settings.sso_key.as_ref().err().or(settings.console.as_ref().err());
        tracing::warn!(why, "no sign-in link can be made");
        return Err(Refusal::failed(NO_LINK));
    };
    console.login_url(key, &Login { user, group, timestamp_ms }, REDIRECT).map_err(|error| {
        tracing::warn!(%error, "no sign-in link can be made");
        Refusal::failed(NO_LINK)
    })
}

/// The console's admin must be there already; nothing is made in its place.
async fn check_admin(inner: &Inner, user_id: &str) -> Result<(), Refusal> {
    match inner.target.user(ADMIN_GROUP, user_id).await {
        Ok(Some(user)) if user.active => Ok(()),
        Ok(_) => Err(Refusal::failed(NO_MAPPED_USER)),
        Err(error) => Err(failed(&error, NO_MAPPED_USER)),
    }
}

/// The caller's user, brought up to date, or made.
async fn check_user(inner: &Inner, account: &Account) -> Result<(), Refusal> {
    let wanted = KnownUser {
        user_id: account.id.clone(),
        group_id: account.domain_id.clone(),
        full_name: names::full_name(account),
        email: names::email(account),
        active: true,
        origin: Origin::Made,
        deactivated_by_us: false,
        delete_after_us: None,
    };
    let found = inner.target.user(&wanted.group_id, &wanted.user_id).await;
    match found.map_err(|error| failed(&error, NO_MAPPED_USER))? {
        Some(user) if user.active => {
            if user.full_name != wanted.full_name || user.email_addr != wanted.email {
                update(inner, &wanted).await;
            }
            Ok(())
        }
        Some(_) => reactivate(inner, &wanted).await,
        None => make(inner, account, &wanted).await,
    }
}

/// Name and address are brought up to date; that it fails is no reason to keep the caller out.
async fn update(inner: &Inner, wanted: &KnownUser) {
    match inner.target.update_user(wanted, &wanted.full_name, &wanted.email).await {
        Ok(()) => remember_found(inner, wanted).await,
        Err(error) => tracing::warn!(%error, "a user is not brought up to date at its sign-in"),
    }
}

/// A user that somebody deactivated stays so: that is how an operator blocks it. What we deactivated ourselves, for an
/// account that was disabled and is enabled again, need not wait for the next look.
async fn reactivate(inner: &Inner, wanted: &KnownUser) -> Result<(), Refusal> {
    let cloud = inner.state.cloud().await.ok().flatten();
    let known = match &cloud {
        Some(row) => inner.state.known_user(&row.cloud_id, &wanted.group_id, &wanted.user_id).await.ok().flatten(),
        None => None,
    };
    if !known.is_some_and(|known| known.deactivated_by_us) {
        return Err(Refusal::failed(NO_USER));
    }
    inner.target.set_active(wanted, true).await.map_err(|error| failed(&error, NO_USER))?;
    remember(inner, &[Fact::User(wanted.clone())]).await;
    Ok(())
}

/// Makes the group, when it is not there, and the user.
async fn make(inner: &Inner, account: &Account, wanted: &KnownUser) -> Result<(), Refusal> {
    let mut facts = Vec::new();
    let group = inner.target.group(&wanted.group_id).await.map_err(|error| failed(&error, NO_GROUP))?;
    if group.is_none() {
        let path = account.domain_path.as_deref().ok_or_else(|| Refusal::failed(NO_GROUP))?;
        let known =
            KnownGroup { group_id: wanted.group_id.clone(), group_name: names::group_name(path), origin: Origin::Made };
        let made = inner.target.make_group(&known.group_id, &known.group_name).await;
        if made.map_err(|error| failed(&error, NO_GROUP))? {
            facts.push(Fact::Group(known));
        }
    }
    let made = inner.target.make_user(wanted).await.map_err(|error| failed(&error, NO_USER))?;
    let found = inner.target.user(&wanted.group_id, &wanted.user_id).await;
    match found.map_err(|error| failed(&error, NO_MAPPED_USER))? {
        Some(user) if user.active => {
            let known = if made { wanted.clone() } else { found_user(&user, None) };
            facts.push(Fact::User(known));
            fold(inner, account).await;
            remember(inner, &facts).await;
            Ok(())
        }
        _ => Err(Refusal::failed(NO_MAPPED_USER)),
    }
}

/// After an update the row says what the target has now, and keeps whose it is.
async fn remember_found(inner: &Inner, wanted: &KnownUser) {
    let Ok(Some(row)) = inner.state.cloud().await else { return };
    if let Ok(Some(known)) = inner.state.known_user(&row.cloud_id, &wanted.group_id, &wanted.user_id).await {
        let (full_name, email) = (wanted.full_name.clone(), wanted.email.clone());
        remember(inner, &[Fact::User(KnownUser { full_name, email, ..known })]).await;
    }
}

/// What was made on demand is remembered as ours; when that fails, the next comparison adopts it.
async fn remember(inner: &Inner, facts: &[Fact]) {
    let result = match inner.state.cloud().await {
        Ok(Some(row)) => inner.state.record(&row.cloud_id, facts).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        tracing::warn!(%error, "what a sign-in made is not remembered");
    }
}

/// The account was shown by CloudStack, so the snapshot may hold it before the next pass does.
async fn fold(inner: &Inner, account: &Account) {
    if let Ok(Some(row)) = inner.state.cloud().await
        && let Err(error) = inner.state.fold_accounts(&row.cloud_id, std::slice::from_ref(account), Fold::Alone).await
    {
        tracing::warn!(%error, "an account seen at its sign-in is not remembered");
    }
}

fn failed(error: &admin_api::client::Error, text: &str) -> Refusal {
    tracing::warn!(%error, "a sign-in failed at the Admin API");
    Refusal::failed(text)
}
