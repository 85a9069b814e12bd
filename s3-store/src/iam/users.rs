//! Users.

use engine::{IamEntity, IamKind, IamListing, IamUserShown, NewIamEntity};

use super::answer::{page, text, time, wrap};
use super::dispatch::{Answer, Asked, done};
use super::error::Failure;

/// A user as it is shown.
pub(super) fn shown(user: &IamUserShown) -> String {
    let name = user.name.as_ref().map(|name| text("UserName", name)).unwrap_or_default();
    text("Path", &user.path)
        + &name
        + &text("UserId", &user.id)
        + &text("Arn", &user.arn)
        + &time("CreateDate", user.created_us)
}

/// Users of a page.
pub(super) fn shown_page(name: &str, listing: IamListing<IamEntity>) -> String {
    let items = listing.items.into_iter().map(IamUserShown::from).collect();
    page(name, &IamListing { items, marker: listing.marker }, shown)
}

pub(super) async fn create(asked: &Asked<'_>) -> Answer {
    let new = NewIamEntity {
        name: asked.params.need("UserName")?.to_owned(),
        path: asked.params.opt("Path").unwrap_or_default().to_owned(),
        ..NewIamEntity::default()
    };
    let user = asked.engine.create_iam_entity(asked.caller, IamKind::User, new).await.map_err(Failure::of)?;
    Ok(Some(wrap("User", &shown(&user.into()))))
}

pub(super) async fn get(asked: &Asked<'_>) -> Answer {
    let user = asked.engine.iam_user(asked.caller, asked.params.opt("UserName")).await.map_err(Failure::of)?;
    Ok(Some(wrap("User", &shown(&user))))
}

pub(super) async fn list(asked: &Asked<'_>) -> Answer {
    let wanted = asked.params.page()?;
    let users = asked.engine.list_iam_entities(asked.caller, IamKind::User, &wanted).await.map_err(Failure::of)?;
    Ok(Some(shown_page("Users", users)))
}

pub(super) async fn update(asked: &Asked<'_>) -> Answer {
    let (name, new_name) = (asked.params.need("UserName")?, asked.params.opt("NewUserName"));
    let new_path = asked.params.opt("NewPath");
    done(asked.engine.rename_iam_entity(asked.caller, IamKind::User, name, new_name, new_path).await)
}

pub(super) async fn delete(asked: &Asked<'_>) -> Answer {
    let name = asked.params.need("UserName")?;
    done(asked.engine.delete_iam_entity(asked.caller, IamKind::User, name).await)
}

pub(super) async fn summary(asked: &Asked<'_>) -> Answer {
    let summary = asked.engine.iam_summary(asked.caller).await.map_err(Failure::of)?;
    let entry = |key: &str, value: &str| wrap("entry", &(text("key", key) + &text("value", value)));
    let mut entries = entry("AccessKeysPerUserQuota", &summary.keys_per_user_max.to_string());
    for (kind, count, count_max) in summary.counts {
        let name = match kind {
            IamKind::User => "Users",
            IamKind::Group => "Groups",
            IamKind::Role => "Roles",
            IamKind::Policy => "Policies",
        };
        entries += &entry(name, &count.to_string());
        entries += &entry(&format!("{name}Quota"), &count_max.to_string());
    }
    Ok(Some(wrap("SummaryMap", &entries)))
}

pub(super) fn account_aliases(asked: &Asked<'_>) -> Answer {
    asked.engine.iam_account_aliases(asked.caller).map_err(Failure::of)?;
    Ok(Some(wrap("AccountAliases", "") + &text("IsTruncated", "false")))
}

pub(super) fn identity_providers(asked: &Asked<'_>) -> Answer {
    asked.engine.iam_identity_providers(asked.caller).map_err(Failure::of)?;
    Ok(Some(wrap("OpenIDConnectProviderList", "")))
}
