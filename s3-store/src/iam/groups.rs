//! Groups and who is in them.

use engine::{IamEntity, IamKind, NewIamEntity};

use super::answer::{page, text, time, wrap};
use super::dispatch::{Answer, Asked, done};
use super::error::Failure;
use super::users;

fn shown(group: &IamEntity) -> String {
    text("Path", &group.path)
        + &text("GroupName", &group.name)
        + &text("GroupId", &group.id)
        + &text("Arn", &group.arn())
        + &time("CreateDate", group.created_us)
}

pub(super) async fn create(asked: &Asked<'_>) -> Answer {
    let new = NewIamEntity {
        name: asked.params.need("GroupName")?.to_owned(),
        path: asked.params.opt("Path").unwrap_or_default().to_owned(),
        ..NewIamEntity::default()
    };
    let group = asked.engine.create_iam_entity(asked.caller, IamKind::Group, new).await.map_err(Failure::of)?;
    Ok(Some(wrap("Group", &shown(&group))))
}

pub(super) async fn get(asked: &Asked<'_>) -> Answer {
    let (name, wanted) = (asked.params.need("GroupName")?, asked.params.page()?);
    let (group, members) = asked.engine.iam_group(asked.caller, name, &wanted).await.map_err(Failure::of)?;
    Ok(Some(wrap("Group", &shown(&group)) + &users::shown_page("Users", members)))
}

pub(super) async fn list(asked: &Asked<'_>) -> Answer {
    let wanted = asked.params.page()?;
    let groups = asked.engine.list_iam_entities(asked.caller, IamKind::Group, &wanted).await.map_err(Failure::of)?;
    Ok(Some(page("Groups", &groups, shown)))
}

pub(super) async fn update(asked: &Asked<'_>) -> Answer {
    let (name, new_name) = (asked.params.need("GroupName")?, asked.params.opt("NewGroupName"));
    let new_path = asked.params.opt("NewPath");
    done(asked.engine.rename_iam_entity(asked.caller, IamKind::Group, name, new_name, new_path).await)
}

pub(super) async fn delete(asked: &Asked<'_>) -> Answer {
    let name = asked.params.need("GroupName")?;
    done(asked.engine.delete_iam_entity(asked.caller, IamKind::Group, name).await)
}

pub(super) async fn add_user(asked: &Asked<'_>) -> Answer {
    let (group, user) = (asked.params.need("GroupName")?, asked.params.need("UserName")?);
    done(asked.engine.add_user_to_iam_group(asked.caller, group, user).await)
}

pub(super) async fn remove_user(asked: &Asked<'_>) -> Answer {
    let (group, user) = (asked.params.need("GroupName")?, asked.params.need("UserName")?);
    done(asked.engine.remove_user_from_iam_group(asked.caller, group, user).await)
}

pub(super) async fn of_user(asked: &Asked<'_>) -> Answer {
    let (user, wanted) = (asked.params.need("UserName")?, asked.params.page()?);
    let groups = asked.engine.iam_groups_of_user(asked.caller, user, &wanted).await.map_err(Failure::of)?;
    Ok(Some(page("Groups", &groups, shown)))
}
