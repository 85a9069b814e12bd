//! Log-ins, sessions and who makes a request.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::Cloud;
use crate::answer::{ApiError, Reply};
use crate::clock::parse_with_offset;
use crate::cloud::{DEFAULT_PASSWORD, ROOT_DOMAIN};
use crate::command::Caller;
use crate::events::By;
use crate::model::{RoleKind, User};
use crate::parameters::Parameters;
use crate::signature;

/// After this long without a request a session is over.
const TIMEOUT_S: i64 = 1800;

#[derive(Debug)]
struct Session {
    user: u32,
    key: String,
    last_used_s: i64,
}

/// The sessions that are open, by their JSESSIONID.
#[derive(Debug, Default)]
pub(crate) struct Sessions(HashMap<String, Session>);

/// The cookies of a request that matter.
#[derive(Debug, Default)]
pub(crate) struct Cookies {
    pub(crate) session: Option<String>,
}

impl Cookies {
    pub(crate) fn parse(header: &str) -> Self {
        let pairs = header.split(';').filter_map(|pair| pair.trim().split_once('='));
        let session = pairs.filter(|(name, _)| *name == "JSESSIONID").map(|(_, value)| value.to_owned()).next();
        Self { session }
    }
}

/// Who makes a request, by its signature or else by its session.
pub(crate) fn authenticate(
    cloud: &Cloud,
    sessions: &mut Sessions,
    parameters: &Parameters,
    cookies: &Cookies,
    now_s: i64,
) -> Result<Caller, ApiError> {
    if let Some(id) = &cookies.session
        && sessions.0.contains_key(id)
        && parameters.get("signature").is_none()
    {
        return sessions.caller(cloud, id, parameters, now_s);
    }
    let key = parameters.get("apiKey").ok_or_else(ApiError::unauthorized)?;
    let user = cloud.key_owners.get(key).and_then(|user| cloud.users.get(*user)).ok_or_else(ApiError::unauthorized)?;
    let keys = user.keys.as_ref().ok_or_else(ApiError::unauthorized)?;
    let in_time = match parameters.get("signatureVersion") {
        Some("3") => parameters.get("expires").and_then(parse_with_offset).is_some_and(|expires_s| expires_s >= now_s),
        Some(_) | None => true,
    };
    if !in_time || !signature::is_right(&keys.secret_key, parameters) || !cloud.may_act(user) {
        return Err(ApiError::unauthorized());
    }
    caller(cloud, user)
}

fn caller(cloud: &Cloud, user: &User) -> Result<Caller, ApiError> {
    let account = cloud.accounts.get(user.account).ok_or_else(ApiError::unauthorized)?;
    let role = cloud.role_of(account);
    Ok(Caller { user: user.number, account: account.number, domain: account.domain, role })
}

impl Sessions {
    fn caller(&mut self, cloud: &Cloud, id: &str, parameters: &Parameters, now_s: i64) -> Result<Caller, ApiError> {
        let session = self.0.get_mut(id).ok_or_else(ApiError::unauthorized)?;
        let given = parameters.get("sessionkey").unwrap_or_default();
        if !bool::from(given.as_bytes().ct_eq(session.key.as_bytes())) {
            self.0.remove(id);
            return Err(ApiError::wrong_session_key());
        }
        let user = cloud.users.get(session.user).filter(|user| cloud.may_act(user));
        let Some(user) = user.filter(|_| now_s - session.last_used_s <= TIMEOUT_S) else {
            self.0.remove(id);
            return Err(ApiError::unauthorized());
        };
        session.last_used_s = now_s;
        caller(cloud, user)
    }

    /// `command=login`: name, password and domain become a session.
    pub(crate) fn log_in(&mut self, cloud: &mut Cloud, parameters: &Parameters, now_s: i64) -> Result<Reply, ApiError> {
        let id = format!("node0{}.node0", random_text(18));
        let cookie = format!("JSESSIONID={id}; Path=/client");
        let number = check_password(cloud, parameters).map_err(|error| error.with_cookie(&cookie))?;
        let key = random_text(20);
        let answer = describe(cloud, number, &key).ok_or_else(ApiError::unauthorized)?;
        self.0.insert(id, Session { user: number, key: key.clone(), last_used_s: now_s });
        let uuid = cloud.users.get(number).map(|user| user.uuid).unwrap_or_default();
        let by = By { user: number, at_s: now_s };
        cloud.tell_plainly(by, "USER.LOGIN", uuid, "user has logged in from IP Address /127.0.0.1");
        let cookies = vec![cookie, format!("sessionkey={key};HttpOnly;SameSite=Lax")];
        Ok(Reply { inner: answer.to_string(), cookies })
    }

    /// `command=logout`: the session is over.
    pub(crate) fn log_out(
        &mut self,
        cloud: &mut Cloud,
        parameters: &Parameters,
        cookies: &Cookies,
        now_s: i64,
    ) -> Result<Reply, ApiError> {
        let id = cookies.session.as_deref().ok_or_else(ApiError::unauthorized)?;
        let caller = self.caller(cloud, id, parameters, now_s)?;
        self.0.remove(id);
        let uuid = cloud.users.get(caller.user).map(|user| user.uuid).unwrap_or_default();
        cloud.tell_plainly(By { user: caller.user, at_s: now_s }, "USER.LOGOUT", uuid, "user has logged out");
        Ok(Reply::object(&json!({ "description": "success" })))
    }
}

fn check_password(cloud: &Cloud, parameters: &Parameters) -> Result<u32, ApiError> {
    let name = parameters.required("username")?;
    let password = parameters.required("password")?;
    let domain = login_domain(cloud, parameters)?;
    let in_domain = |user: &&User| {
        user.username == name && cloud.accounts.get(user.account).is_some_and(|account| account.domain == domain)
    };
    let user = cloud.users.rows().iter().find(in_domain);
    let right = |user: &&User| {
        let expected = user.password.as_deref().unwrap_or(DEFAULT_PASSWORD);
        bool::from(expected.as_bytes().ct_eq(password.as_bytes()))
    };
    let Some(user) = user.filter(right) else {
        let text = format!("Failed to authenticate user {name} in domain {domain}; please provide valid credentials");
        return Err(ApiError::account(text));
    };
    if cloud.may_act(user) {
        return Ok(user.number);
    }
    let account = cloud.accounts.get(user.account).map_or("", |account| account.name.as_str());
    Err(ApiError::account(format!(
        r#"User UserAccount {{"accountName":{},"id":{},"username":{}}}. (or their account) in domain {} is disabled/locked. Please contact the administrator."#,
        Value::from(account),
        user.number,
        Value::from(name),
        cloud.domain_in_words(domain)
    )))
}

fn login_domain(cloud: &Cloud, parameters: &Parameters) -> Result<u32, ApiError> {
    if let Some(id) = parameters.get("domainId") {
        let number = Uuid::parse_str(id).ok().and_then(|uuid| cloud.domains.by_uuid(&uuid)).map(|domain| domain.number);
        return number.ok_or_else(|| ApiError::account(format!("Unable to find the domain by its id {id}")));
    }
    let path = parameters.get("domain").unwrap_or_default();
    if path.is_empty() {
        return Ok(ROOT_DOMAIN);
    }
    cloud.domain_at(path).ok_or_else(|| ApiError::account(format!("Unable to find the domain from the path {path}")))
}

fn describe(cloud: &Cloud, user: u32, key: &str) -> Option<Value> {
    let user = cloud.users.get(user)?;
    let account = cloud.accounts.get(user.account)?;
    let domain = cloud.domains.get(account.domain)?;
    let role = cloud.role_of(account);
    let mut answer = json!({
        "username": user.username,
        "userid": user.uuid.to_string(),
        "domainid": domain.uuid.to_string(),
        "timeout": TIMEOUT_S,
        "account": account.name,
        "firstname": user.first_name,
        "lastname": user.last_name,
        "type": role.account_type().to_string(),
        "timezone": "UTC",
        "timezoneoffset": "0.0",
        "registered": "false",
        "sessionkey": key,
        "is2faenabled": "false",
        "is2faverified": "true",
        "issuerfor2fa": "CloudStack",
    });
    if role == RoleKind::Admin {
        answer["managementserverid"] = cloud.management_server.to_string().into();
    }
    Some(answer)
}

/// This many random bytes in URL-safe base64.
fn random_text(length_bytes: usize) -> String {
    let bytes: Vec<u8> = (0..length_bytes).map(|_| rand::random()).collect();
    URL_SAFE_NO_PAD.encode(bytes)
}
