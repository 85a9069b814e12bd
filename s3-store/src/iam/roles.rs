//! Roles.

use engine::{IamEntity, IamKind, NewIamEntity, RoleChange};

use super::answer::{document, page, text, time, wrap};
use super::dispatch::{Answer, Asked, done};
use super::error::Failure;

fn shown(role: &IamEntity) -> String {
    let description = role.description();
    let description = if description.is_empty() { String::new() } else { text("Description", description) };
    text("Path", &role.path)
        + &text("RoleName", &role.name)
        + &text("RoleId", &role.id)
        + &text("Arn", &role.arn())
        + &time("CreateDate", role.created_us)
        + &document("AssumeRolePolicyDocument", role.trust())
        + &description
        + &text("MaxSessionDuration", &role.session_seconds_max().to_string())
}

pub(super) async fn create(asked: &Asked<'_>) -> Answer {
    let new = NewIamEntity {
        name: asked.params.need("RoleName")?.to_owned(),
        path: asked.params.opt("Path").unwrap_or_default().to_owned(),
        description: asked.params.opt("Description").unwrap_or_default().to_owned(),
        document: asked.params.need("AssumeRolePolicyDocument")?.to_owned(),
        session_seconds_max: asked.params.number("MaxSessionDuration")?,
    };
    let role = asked.engine.create_iam_entity(asked.caller, IamKind::Role, new).await.map_err(Failure::of)?;
    Ok(Some(wrap("Role", &shown(&role))))
}

pub(super) async fn get(asked: &Asked<'_>) -> Answer {
    let name = asked.params.need("RoleName")?;
    let role = asked.engine.iam_entity(asked.caller, IamKind::Role, name).await.map_err(Failure::of)?;
    Ok(Some(wrap("Role", &shown(&role))))
}

pub(super) async fn list(asked: &Asked<'_>) -> Answer {
    let wanted = asked.params.page()?;
    let roles = asked.engine.list_iam_entities(asked.caller, IamKind::Role, &wanted).await.map_err(Failure::of)?;
    Ok(Some(page("Roles", &roles, shown)))
}

pub(super) async fn instance_profiles(asked: &Asked<'_>) -> Answer {
    let name = asked.params.need("RoleName")?;
    asked.engine.iam_instance_profiles_of_role(asked.caller, name).await.map_err(Failure::of)?;
    Ok(Some(wrap("InstanceProfiles", "") + &text("IsTruncated", "false")))
}

pub(super) async fn update(asked: &Asked<'_>) -> Answer {
    let change = RoleChange {
        description: asked.params.opt("Description").map(str::to_owned),
        session_seconds_max: asked.params.number("MaxSessionDuration")?,
        trust: None,
    };
    let name = asked.params.need("RoleName")?;
    asked.engine.change_iam_role(asked.caller, name, change).await.map_err(Failure::of)?;
    Ok(Some(String::new()))
}

pub(super) async fn update_trust(asked: &Asked<'_>) -> Answer {
    let trust = asked.params.need("PolicyDocument")?.to_owned();
    let change = RoleChange { trust: Some(trust), ..RoleChange::default() };
    done(asked.engine.change_iam_role(asked.caller, asked.params.need("RoleName")?, change).await)
}

pub(super) async fn delete(asked: &Asked<'_>) -> Answer {
    let name = asked.params.need("RoleName")?;
    done(asked.engine.delete_iam_entity(asked.caller, IamKind::Role, name).await)
}
