//! listUsers, what changes users, and their keys.

use serde_json::{Value, json};

use super::Call;
use crate::answer::{ApiError, Reply};
use crate::change::UserChange;
use crate::clock::shown;
use crate::cloud::{Person, roles};
use crate::jobs::JobKind;
use crate::model::{Account, Keys, RoleKind, User};
use crate::view::UserView;

pub(super) fn list(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let rows = select(call)?;
    let root = call.caller.role == RoleKind::Admin;
    call.list("user", &rows, |user| view(call, user, root))
}

fn view<'a>(call: &'a Call<'_>, user: &'a User, key_access: bool) -> Option<UserView<'a>> {
    let domain = call.cloud.accounts.get(user.account).map_or(0, |account| account.domain);
    let below = domain != call.caller.domain && call.cloud.is_within(domain, call.caller.domain);
    call.cloud.view_user(user, below, key_access)
}

fn select<'a>(call: &'a Call<'_>) -> Result<Vec<&'a User>, ApiError> {
    let parameters = call.parameters;
    let id = parameters.get("id").map(|id| call.number(&call.cloud.users, "id", id)).transpose()?;
    let domain = call.optional_domain("domainid")?;
    let account_name = parameters.get("account");
    let list_all = parameters.is_true("listall");
    let deep = list_all || parameters.is_true("isrecursive");
    let (username, keyword) = (parameters.get("username"), parameters.get("keyword"));
    let own_account = !list_all && id.is_none() && domain.is_none();
    let cloud = &*call.cloud;
    let right_domain = |account: &Account| {
        domain.is_none_or(|domain| account.domain == domain || (deep && cloud.is_within(account.domain, domain)))
    };
    let wanted = |user: &&User| {
        let Some(account) = cloud.accounts.get(user.account) else { return false };
        id.is_none_or(|id| user.number == id)
            && (call.caller.role != RoleKind::User || user.number == call.caller.user)
            && (!own_account || user.account == call.caller.account)
            && account_name.is_none_or(|name| account.name == name)
            && right_domain(account)
            && username.is_none_or(|name| user.username == name)
            && keyword.is_none_or(|keyword| mentions(user, account, keyword))
            && call.sees_domain(account.domain)
    };
    Ok(cloud.users.rows().iter().filter(wanted).collect())
}

fn mentions(user: &User, account: &Account, keyword: &str) -> bool {
    [&user.username, &user.first_name, &user.last_name, &user.email, &account.name]
        .into_iter()
        .any(|text| text.contains(keyword))
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let key = call.parameters.required("userapikey")?;
    let unknown = || ApiError::invalid("User not found".to_owned());
    let number = call.cloud.key_owners.get(key).ok_or_else(unknown)?;
    let user = call.cloud.users.get(*number).ok_or_else(unknown)?;
    Call::one("user", &view(call, user, false))
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
    let name = parameters.required("account")?;
    let domain = call.optional_domain("domainid")?.unwrap_or(call.caller.domain);
    let unknown = || ApiError::invalid(format!("Unable to find account {name} in domain id={domain} to create user"));
    let account = call.cloud.account_in(domain, name).ok_or_else(unknown)?.number;
    let number = call.cloud.create_user(call.by(), account, person, password)?;
    show(call, number)
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let number = target(call)?;
    let given = |name: &str| call.parameters.get(name).map(str::to_owned);
    let change = UserChange {
        first_name: given("firstname"),
        last_name: given("lastname"),
        email: given("email"),
        password: given("password"),
    };
    call.cloud.update_user(call.by(), number, change)?;
    show(call, number)
}

pub(super) fn disable(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let number = target(call)?;
    let by = call.by();
    call.cloud.disable_user(by, number)?;
    let user = call.cloud.users.get(number).and_then(|user| call.cloud.view_user(user, false, false));
    let outcome = json!({ "user": user });
    let kind = JobKind { class: "user.DisableUserCmd", instance: None };
    Ok(Reply::job(call.cloud.note_job(by, kind, call.pending_polls, Ok(outcome))))
}

pub(super) fn enable(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let number = target(call)?;
    call.cloud.enable_user(call.by(), number)?;
    show(call, number)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let number = target(call)?;
    call.cloud.delete_user(call.by(), number)?;
    Ok(Reply::object(&json!({ "success": "true" })))
}

pub(super) fn register_keys(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let number = target(call)?;
    let by = call.by();
    let keys = call.cloud.register_keys(by, number)?;
    let uuid = call.cloud.users.get(number).map(|user| user.uuid);
    let outcome = json!({ "userkeys": key_pair(call, number, &keys) });
    let kind = JobKind { class: "user.RegisterUserKeysCmd", instance: Some(("User", uuid)) };
    Ok(Reply::job(call.cloud.note_job(by, kind, call.pending_polls, Ok(outcome))))
}

/// A new key pair with its owner, as the job's result shows it.
fn key_pair(call: &mut Call<'_>, number: u32, keys: &Keys) -> Option<Value> {
    let id = call.cloud.ids.uuid();
    let user = call.cloud.users.get(number)?;
    let account = call.cloud.accounts.get(user.account)?;
    let domain = call.cloud.domains.get(account.domain)?;
    let role = roles().get(account.role)?;
    let kind = match role.kind {
        RoleKind::User => "NORMAL",
        RoleKind::Admin => "ADMIN",
        RoleKind::DomainAdmin => "DOMAIN_ADMIN",
        RoleKind::ResourceAdmin => "RESOURCE_DOMAIN_ADMIN",
    };
    Some(json!({
        "name": format!("{number} - API key pair"),
        "apikey": keys.api_key,
        "secretkey": keys.secret_key,
        "userid": user.uuid.to_string(),
        "username": user.username,
        "id": id.to_string(),
        "created": shown(call.by().at_s),
        "accounttype": kind,
        "accountid": account.uuid.to_string(),
        "accountname": account.name,
        "roleid": role.id,
        "roletype": role.kind,
        "rolename": role.name,
        "domainid": domain.uuid.to_string(),
        "domain": domain.name,
        "domainpath": call.cloud.path(domain.number),
        "state": "ENABLED",
    }))
}

pub(super) fn keys(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let number = target(call)?;
    let keys = call.cloud.users.get(number).and_then(|user| user.keys.as_ref());
    let mut shown = json!({});
    if let Some(keys) = keys {
        shown["apikey"] = keys.api_key.as_str().into();
        shown["secretkey"] = keys.secret_key.as_str().into();
    }
    shown["apikeyaccess"] = true.into();
    Ok(Reply::object(&json!({ "userkeys": shown })))
}

/// The user that `id` names, if the caller may touch it: users only themselves.
fn target(call: &Call<'_>) -> Result<u32, ApiError> {
    let id = call.parameters.required("id")?;
    let number = call.number(&call.cloud.users, "id", id)?;
    let user =
        call.cloud.users.get(number).ok_or_else(|| ApiError::invalid(format!("Unable to find user by id {id}")))?;
    let domain = call.cloud.accounts.get(user.account).map_or(0, |account| account.domain);
    let own = call.caller.role != RoleKind::User || number == call.caller.user;
    if own && call.sees_domain(domain) { Ok(number) } else { Err(call.out_of_reach(domain, ApiError::unauthorized())) }
}

fn show(call: &Call<'_>, number: u32) -> Result<Reply, ApiError> {
    let user = call.cloud.users.get(number);
    let user = user.ok_or_else(|| ApiError::internal(format!("user {number} is gone")))?;
    Call::one("user", &call.cloud.view_user(user, false, false))
}
