//! listEvents, in CloudStack's own order.

use uuid::Uuid;

use super::Call;
use crate::answer::{ApiError, Reply};
use crate::clock::parse_date;
use crate::events::Event;
use crate::model::RoleKind;

pub(super) fn list(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let mut rows = select(call)?;
    // Pages are cut from the newest to the oldest, but shown by the user who acted and then by age.
    rows.reverse();
    rows.sort_by_key(|event| std::cmp::Reverse(event.created_s));
    let part = call.part_of(rows.len())?;
    let mut rows = rows[part.from..part.to].to_vec();
    rows.reverse();
    rows.sort_by_key(|event| event.user);
    call.render("event", part.count, &rows, |event| Some(call.cloud.view_event(event)))
}

fn select<'a>(call: &'a Call<'_>) -> Result<Vec<&'a Event>, ApiError> {
    let parameters = call.parameters;
    let after = date(call, "startdate")?;
    let before = date(call, "enddate")?;
    let id = |name: &str| parameters.get(name).and_then(|id| Uuid::parse_str(id).ok());
    let (event_id, resource_id) = (id("id"), id("resourceid"));
    let domain = call.optional_domain("domainid")?;
    let list_all = parameters.is_true("listall");
    let cloud = &*call.cloud;
    let wanted = |event: &&Event| {
        let same =
            |name: &str, value: &str| parameters.get(name).is_none_or(|wanted| wanted.eq_ignore_ascii_case(value));
        same("type", event.kind)
            && same("level", if event.failed { "ERROR" } else { "INFO" })
            && same("resourcetype", event.resource.name())
            && after.is_none_or(|after| event.created_s >= after)
            && before.is_none_or(|before| event.created_s <= before)
            && event_id.is_none_or(|id| event.id == id)
            && resource_id.is_none_or(|id| event.resource_id == Some(id))
            && may_see(call, event, list_all, domain)
    };
    Ok(cloud.events.iter().filter(wanted).collect())
}

fn may_see(call: &Call<'_>, event: &Event, list_all: bool, domain: Option<u32>) -> bool {
    let Some(account) = call.cloud.accounts.get_or_gone(event.account) else { return false };
    let own = account.number == call.caller.account;
    let reach = match call.caller.role {
        RoleKind::User => own,
        RoleKind::Admin | RoleKind::ResourceAdmin | RoleKind::DomainAdmin => {
            (list_all || domain.is_some() || own) && call.sees_domain(account.domain)
        }
    };
    reach && domain.is_none_or(|domain| account.domain == domain || call.cloud.is_within(account.domain, domain))
}

fn date(call: &Call<'_>, name: &str) -> Result<Option<i64>, ApiError> {
    let Some(text) = call.parameters.get(name) else { return Ok(None) };
    parse_date(text).map(Some).ok_or_else(|| {
        let command = call.parameters.command().to_lowercase();
        ApiError::parameter(format!(
            "Unable to parse date {text} for command {command}, please pass dates in the format yyyy-MM-dd or \
             yyyy-MM-dd HH:mm:ss"
        ))
    })
}
