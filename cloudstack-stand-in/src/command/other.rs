//! Jobs, roles, projects, capabilities and the names of events.

use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Call;
use crate::answer::{ApiError, Reply};
use crate::clock::shown as time;
use crate::model::{Project, Role, RoleKind};
use crate::view::counters;

pub(super) fn job_result(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let text = call.parameters.required("jobid")?;
    let status = Uuid::parse_str(text).ok().and_then(|id| call.cloud.job_status(id));
    let status = status.ok_or_else(|| ApiError::unknown_entity(call.parameters.command(), "jobid", text))?;
    Ok(Reply::object(&status))
}

pub(super) fn event_types(_call: &mut Call<'_>) -> Result<Reply, ApiError> {
    #[derive(Deserialize)]
    struct File {
        names: Vec<String>,
    }
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        let text = include_str!("../../data/event-types.json");
        let file: File = serde_json::from_str(text).expect("the embedded event types are well-formed");
        file.names
    });
    let types: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
    Ok(Reply::object(&json!({ "count": types.len(), "eventtype": types })))
}

pub(super) fn capabilities(_call: &mut Call<'_>) -> Result<Reply, ApiError> {
    #[derive(Deserialize)]
    struct File {
        capability: Map<String, Value>,
    }
    let text = include_str!("../../data/capabilities.json");
    let file: File = serde_json::from_str(text).expect("the embedded capabilities are well-formed");
    Ok(Reply::object(&json!({ "capability": file.capability })))
}

pub(super) fn roles(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let name = call.parameters.get("name");
    let wanted = |role: &&Role| name.is_none_or(|name| role.name == name);
    let rows: Vec<&Role> = crate::cloud::roles().iter().filter(wanted).collect();
    call.list("role", &rows, |role| Some(*role))
}

pub(super) fn projects(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let reach = |project: &&Project| {
        let Some(owner) = call.cloud.accounts.get(project.owner) else { return false };
        match call.caller.role {
            RoleKind::User => owner.number == call.caller.account,
            RoleKind::Admin | RoleKind::ResourceAdmin | RoleKind::DomainAdmin => call.sees_domain(owner.domain),
        }
    };
    let rows: Vec<&Project> = call.cloud.projects.iter().filter(reach).collect();
    call.list("project", &rows, |project| view(call, project))
}

fn view(call: &Call<'_>, project: &Project) -> Option<Value> {
    let owner = call.cloud.accounts.get(project.owner)?;
    let domain = call.cloud.domains.get(owner.domain)?;
    let mut shown = json!({
        "id": project.uuid.to_string(),
        "name": project.name,
        "displaytext": project.display_text,
        "domainid": domain.uuid.to_string(),
        "domain": domain.name,
        "owner": [{ "account": owner.name }],
        "projectaccountname": format!("PrjAcct-{}-{}", project.name, domain.number),
        "state": "Active",
        "tags": [],
    });
    if let Value::Object(fields) = &mut shown {
        fields.extend(counters().project.clone());
        fields.insert("created".to_owned(), time(project.created_s).into());
    }
    Some(shown)
}
