//! listDomains and what changes domains.

use super::Call;
use crate::answer::{ApiError, Reply};
use crate::cloud::ROOT_DOMAIN;
use crate::jobs::JobKind;
use crate::misbehaviour::Lie;
use crate::model::Domain;
use crate::view::Detail;

pub(super) fn list(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let id = call.optional_domain("id")?;
    let parameters = call.parameters;
    let name = parameters.get("name");
    let keyword = parameters.get("keyword");
    let level = parameters.get("level").and_then(|level| level.parse::<u32>().ok());
    let cloud = &*call.cloud;
    let wanted = |domain: &&Domain| {
        id.is_none_or(|id| domain.number == id)
            && name.is_none_or(|name| domain.name == name)
            && keyword.is_none_or(|keyword| domain.name.contains(keyword))
            && level.is_none_or(|level| cloud.level(domain) == level)
            && call.sees_domain(domain.number)
            && !(domain.number == ROOT_DOMAIN && call.lies.contains(&Lie::WithoutRoot))
    };
    let rows: Vec<&Domain> = cloud.domains.rows().iter().filter(wanted).collect();
    show(call, &rows)
}

pub(super) fn list_children(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let top = call.optional_domain("id")?.unwrap_or(call.caller.domain);
    let deep = call.parameters.is_true("isrecursive");
    let cloud = &*call.cloud;
    let below = |domain: &&Domain| {
        let child = domain.parent == Some(top) || (deep && domain.number != top && cloud.is_within(domain.number, top));
        child && call.sees_domain(domain.number)
    };
    let rows: Vec<&Domain> = cloud.domains.rows().iter().filter(below).collect();
    show(call, &rows)
}

fn show(call: &Call<'_>, rows: &[&Domain]) -> Result<Reply, ApiError> {
    let detail = if call.parameters.wants_minimum() { Detail::Minimal } else { Detail::Full };
    call.list("domain", rows, |domain| Some(call.cloud.view_domain(domain, detail)))
}

pub(super) fn create(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let name = call.parameters.required("name")?;
    let parent = call.optional_domain("parentdomainid")?.unwrap_or(ROOT_DOMAIN);
    let number = call.cloud.create_domain(call.by(), name, parent)?;
    changed(call, number, false)
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let number = call.domain("id", call.parameters.required("id")?)?;
    if let Some(name) = call.parameters.get("name") {
        call.cloud.rename_domain(call.by(), number, name)?;
    }
    changed(call, number, true)
}

pub(super) fn relocate(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let number = call.domain("domainid", call.parameters.required("domainid")?)?;
    let parent = call.domain("parentdomainid", call.parameters.required("parentdomainid")?)?;
    let before = call.cloud.domains.get(number).and_then(|domain| domain.parent);
    call.cloud.move_domain(call.by(), number, parent)?;
    let reply = changed(call, number, true);
    if call.cloud.moves_do_not_stick
        && let (Some(domain), Some(before)) = (call.cloud.domains.get_mut(number), before)
    {
        // The answer has the new path, and the next reader sees the old one.
        domain.parent = Some(before);
    }
    reply
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let number = call.domain("id", call.parameters.required("id")?)?;
    let by = call.by();
    let outcome = call.cloud.delete_domain(by, number, call.parameters.is_true("cleanup"));
    let outcome = outcome.map(|()| serde_json::json!({ "success": true }));
    let kind = JobKind { class: "domain.DeleteDomainCmd", instance: Some(("Domain", None)) };
    Ok(Reply::job(call.cloud.note_job(by, kind, call.pending_polls, outcome)))
}

fn changed(call: &Call<'_>, number: u32, with_created: bool) -> Result<Reply, ApiError> {
    let domain = call.cloud.domains.get(number);
    let domain = domain.ok_or_else(|| ApiError::internal(format!("domain {number} is gone")))?;
    Call::one("domain", &call.cloud.view_domain(domain, Detail::Changed { with_created }))
}
