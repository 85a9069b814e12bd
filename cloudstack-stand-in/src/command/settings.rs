//! listConfigurations and updateConfiguration.

use super::Call;
use crate::answer::{ApiError, Reply};
use crate::events::{Resource, Story};
use crate::model::RoleKind;
use crate::settings::Setting;

pub(super) fn list(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let name = call.parameters.get("name");
    let keyword = call.parameters.get("keyword");
    // A domain admin may ask, and is told that there is nothing.
    let root = call.caller.role == RoleKind::Admin;
    let wanted = |setting: &&Setting| {
        root && name.is_none_or(|name| setting.name == name)
            && keyword.is_none_or(|keyword| setting.name.contains(keyword))
    };
    let rows: Vec<&Setting> = call.cloud.settings.iter().filter(wanted).collect();
    call.list("configuration", &rows, |setting| Some(*setting))
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let name = call.parameters.required("name")?;
    let value = call.parameters.get("value").unwrap_or_default();
    let by = call.by();
    let setting = call.cloud.settings.iter_mut().find(|setting| setting.name == name);
    let setting =
        setting.ok_or_else(|| ApiError::invalid(format!("Config parameter with name {name} doesn't exist")))?;
    setting.set(value).map_err(ApiError::invalid)?;
    let reply = Call::one("configuration", setting);
    let story = Story {
        kind: "CONFIGURATION.VALUE.EDIT",
        resource: Resource::Configuration,
        what: format!("updating Configuration. Configuration Name: {name}"),
        early_id: None,
        final_id: None,
    };
    call.cloud.tell_completed(by, &story);
    reply
}
