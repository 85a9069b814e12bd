//! `/group` and `/group/list`.

use axum::response::Response;
use engine::{Error, Group, GroupChange, GroupId, NewGroup, Profile};
use serde_json::{Map, Value};

use crate::{
    AdminApi, answer,
    audit::Trail,
    error::Refusal,
    page,
    request::Call,
    wire::{GroupInfo, GroupUpdate},
};

/// Fields of a group that are kept and given back, and mean nothing to the store.
const PROFILE: [&str; 10] = [
    "ldapGroup",
    "ldapEnabled",
    "ldapServerURL",
    "ldapUserDNTemplate",
    "ldapSearch",
    "ldapSearchUserBase",
    "ldapMatchAttribute",
    "s3endpointshttp",
    "s3endpointshttps",
    "s3websiteendpoints",
];

/// A group as a client sent it: what is set, checked.
struct Sent {
    group_id: GroupId,
    update: GroupUpdate,
    profile: Profile,
}

impl Sent {
    fn read(call: &Call, trail: &mut Trail) -> Result<Self, Refusal> {
        let sent: Map<String, Value> = call.json()?;
        let malformed = |error: serde_json::Error| Refusal::bad_request(format!("The group is malformed: {error}"));
        let update: GroupUpdate = serde_json::from_value(Value::Object(sent.clone())).map_err(malformed)?;
        trail.about(Some(&update.group_id), None);
        if update.group_id.is_empty() {
            return Err(Refusal::bad_request("The group has no groupId"));
        }
        let group_id = GroupId::new(&update.group_id)?;
        let typed: GroupInfo = serde_json::from_value(Value::Object(sent.clone())).map_err(malformed)?;
        let mut typed = serde_json::to_value(typed).map_err(malformed)?;
        let is_set = |name: &str| sent.get(name).is_some_and(|value| !value.is_null());
        let profile =
            PROFILE.into_iter().filter(|name| is_set(name)).map(|name| (name.to_owned(), typed[name].take())).collect();
        Ok(Self { group_id, update, profile })
    }
}

/// A group as clients are shown it.
fn info(group: &Group) -> Result<GroupInfo, Refusal> {
    let mut fields = group.profile.clone();
    fields.insert("groupId".to_owned(), group.group_id.as_str().into());
    fields.insert("groupName".to_owned(), group.group_name.as_str().into());
    fields.insert("active".to_owned(), group.active.into());
    serde_json::from_value(Value::Object(fields)).map_err(|error| {
        tracing::error!(group = %group.group_id, %error, "the kept fields of a group are malformed");
        Refusal::internal()
    })
}

pub(crate) async fn put(api: &AdminApi, call: &Call, trail: &mut Trail) -> Result<Response, Refusal> {
    let Sent { group_id, update, profile } = Sent::read(call, trail)?;
    let group = NewGroup {
        group_id,
        group_name: update.group_name.unwrap_or_default(),
        active: update.active.unwrap_or(true),
        profile,
    };
    api.engine.create_group(call.caller(), group).await?;
    Ok(answer::done())
}

pub(crate) async fn post(api: &AdminApi, call: &Call, trail: &mut Trail) -> Result<Response, Refusal> {
    let Sent { group_id, update, profile } = Sent::read(call, trail)?;
    let change = GroupChange { group_name: update.group_name, active: update.active, profile };
    api.engine.change_group(call.caller(), &group_id, change).await?;
    Ok(answer::done())
}

pub(crate) async fn get(api: &AdminApi, call: &Call) -> Result<Response, Refusal> {
    // An id that no group can have names none.
    let Ok(group_id) = GroupId::new(call.params().required("groupId")?) else {
        return Ok(answer::absent());
    };
    match api.engine.find_group(call.caller(), &group_id).await? {
        Some(group) => answer::json(&info(&group)?),
        None => Ok(answer::absent()),
    }
}

pub(crate) async fn delete(api: &AdminApi, call: &Call) -> Result<Response, Refusal> {
    let group_id = named(call)?;
    api.engine.delete_group(call.caller(), &group_id).await?;
    Ok(answer::done())
}

pub(crate) async fn list(api: &AdminApi, call: &Call) -> Result<Response, Refusal> {
    let groups = api.engine.list_groups(call.caller(), page::requested(call.params())?).await?;
    let groups = groups.iter().map(info).collect::<Result<Vec<_>, _>>()?;
    answer::json(&groups)
}

/// The group that the query names; one that cannot exist is refused as one that does not.
pub(crate) fn named(call: &Call) -> Result<GroupId, Refusal> {
    GroupId::new(call.params().required("groupId")?).map_err(|_| Error::NoSuchGroup.into())
}
