//! listAccounts and what changes accounts.

use super::Call;
use crate::answer::{ApiError, Reply};
use crate::change::{Named, NewAccount};
use crate::cloud::{Person, USER_ROLE, roles};
use crate::jobs::JobKind;
use crate::model::{Account, RoleKind};
use crate::settings::VIEW_WHOLE_DOMAIN;

pub(super) fn list(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let rows = match call.parameters.get("id") {
        Some(id) => vec![by_id(call, id)?],
        None => by_filter(call)?,
    };
    let full = !call.parameters.wants_minimum();
    let root = call.caller.role == RoleKind::Admin;
    call.list("account", &rows, |account| Some(call.cloud.view_account(account, full, root)))
}

fn by_id<'a>(call: &'a Call<'_>, id: &str) -> Result<&'a Account, ApiError> {
    let number = call.number(&call.cloud.accounts, "id", id)?;
    let gone = || ApiError::invalid(format!("Unable to find account by id {number}"));
    let account = call.cloud.accounts.get(number).ok_or_else(gone)?;
    let mine = call.caller.role != RoleKind::User || account.number == call.caller.account;
    if mine && call.sees_domain(account.domain) { Ok(account) } else { Err(call.out_of_reach(account.domain, gone())) }
}

fn by_filter<'a>(call: &'a Call<'_>) -> Result<Vec<&'a Account>, ApiError> {
    let parameters = call.parameters;
    let list_all = parameters.is_true("listall");
    let domain = call.optional_domain("domainid")?;
    let deep = list_all || parameters.is_true("isrecursive");
    let (name, keyword) = (parameters.get("name"), parameters.get("keyword"));
    let state = parameters.get("state");
    let kind = parameters.get("accounttype").and_then(|kind| kind.parse::<u8>().ok());
    let own_only = match call.caller.role {
        RoleKind::User => call.cloud.setting(VIEW_WHOLE_DOMAIN) != "true",
        RoleKind::Admin | RoleKind::ResourceAdmin | RoleKind::DomainAdmin => !list_all && domain.is_none(),
    };
    let cloud = &*call.cloud;
    let in_domain =
        |account: &Account, domain: u32| account.domain == domain || (deep && cloud.is_within(account.domain, domain));
    let wanted = |account: &&Account| {
        (!own_only || account.number == call.caller.account)
            && domain.is_none_or(|domain| in_domain(account, domain))
            && name.is_none_or(|name| account.name == name)
            && keyword.is_none_or(|keyword| account.name.contains(keyword))
            && state.is_none_or(|state| format!("{:?}", account.state).eq_ignore_ascii_case(state))
            && kind.is_none_or(|kind| cloud.role_of(account).account_type() == kind)
            && call.sees_domain(account.domain)
    };
    let mut rows: Vec<&Account> = cloud.accounts.rows().iter().filter(wanted).collect();
    // A list of everything without paging comes by domain; every other one in the order of creation.
    if list_all && domain.is_none() && parameters.get("page").is_none() && call.caller.role == RoleKind::Admin {
        rows.sort_by_key(|account| account.domain);
    }
    Ok(rows)
}

pub(super) fn create(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let parameters = call.parameters;
    let person = Person {
        username: parameters.required("username")?.to_owned(),
        first_name: parameters.required("firstname")?.to_owned(),
        last_name: parameters.required("lastname")?.to_owned(),
        email: parameters.required("email")?.to_owned(),
    };
    let password = Some(parameters.required("password")?.to_owned());
    let domain = call.optional_domain("domainid")?.unwrap_or(call.caller.domain);
    let role = match parameters.get("roleid") {
        Some(id) => roles().iter().position(|role| role.id == id),
        None => Some(by_account_type(parameters.get("accounttype"))),
    };
    let role = role.ok_or_else(|| {
        ApiError::unknown_entity(parameters.command(), "roleid", parameters.get("roleid").unwrap_or_default())
    })?;
    let name = parameters.get("account").unwrap_or(&person.username).to_owned();
    let new = NewAccount { name, domain, role, person, password };
    let number = call.cloud.create_account(call.by(), new)?;
    show(call, number, true)
}

fn by_account_type(kind: Option<&str>) -> usize {
    let wanted = kind.and_then(|kind| kind.parse::<u8>().ok()).unwrap_or(0);
    roles().iter().position(|role| role.kind.account_type() == wanted).unwrap_or(USER_ROLE)
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let target = named(call)?;
    if let Some(name) = call.parameters.get("newname") {
        call.cloud.rename_account(call.by(), target.account, name)?;
    }
    show(call, target.account, false)
}

pub(super) fn disable(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let lock = call.parameters.required("lock")?.eq_ignore_ascii_case("true");
    let target = named(call)?;
    let by = call.by();
    call.cloud.disable_account(by, target, lock)?;
    let root = call.caller.role == RoleKind::Admin;
    let account = call.cloud.accounts.get(target.account).map(|account| call.cloud.view_account(account, true, root));
    let outcome = serde_json::json!({ "account": account });
    let kind = JobKind { class: "account.DisableAccountCmd", instance: None };
    Ok(Reply::job(call.cloud.note_job(by, kind, call.pending_polls, Ok(outcome))))
}

pub(super) fn enable(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let target = named(call)?;
    call.cloud.enable_account(call.by(), target)?;
    show(call, target.account, true)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let id = call.parameters.required("id")?;
    let account = by_id(call, id)?;
    let (number, uuid) = (account.number, account.uuid);
    let by = call.by();
    call.cloud.delete_account(by, number)?;
    let kind = JobKind { class: "account.DeleteAccountCmd", instance: Some(("Account", Some(uuid))) };
    let outcome = Ok(serde_json::json!({ "success": true }));
    Ok(Reply::job(call.cloud.note_job(by, kind, call.pending_polls, outcome)))
}

/// The account that is meant by `id`, or by `account` and `domainid`.
fn named(call: &Call<'_>) -> Result<Named, ApiError> {
    if let Some(id) = call.parameters.get("id") {
        return Ok(Named { account: by_id(call, id)?.number, by_name: false });
    }
    let name = call.parameters.required("account")?;
    let domain = call.domain("domainid", call.parameters.required("domainid")?)?;
    let unknown = || ApiError::invalid(format!("Unable to find account {name} in domain {domain}"));
    let account = call.cloud.account_in(domain, name).ok_or_else(unknown)?;
    Ok(Named { account: account.number, by_name: true })
}

fn show(call: &Call<'_>, number: u32, key_access: bool) -> Result<Reply, ApiError> {
    let account = call.cloud.accounts.get(number);
    let account = account.ok_or_else(|| ApiError::internal(format!("account {number} is gone")))?;
    let root = call.caller.role == RoleKind::Admin;
    Call::one("account", &call.cloud.view_account(account, true, root && key_access))
}
