//! The commands of the stock connector plug-in. They only answer; this stand-in talks to no storage.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use url::form_urlencoded::byte_serialize;

use super::Call;
use crate::answer::{ApiError, Reply};
use crate::cloud::ROOT_ADMIN_ROLE;
use crate::signature::hmac_sha1;

pub(super) fn is_enabled(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let enabled = call.cloud.setting("cloudian.connector.enabled") == "true";
    Ok(Reply::object(&json!({ "cloudianisenabled": { "enabled": enabled, "url": console(call) } })))
}

pub(super) fn sso_login(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let (user, group) = mapped(call)?;
    let text = format!("user={user}&group={group}&timestamp={}", call.now_ms);
    let signature = STANDARD.encode(hmac_sha1(call.cloud.setting("cloudian.sso.key"), &text));
    let signature: String = byte_serialize(signature.as_bytes()).collect();
    let url = format!("{}ssosecurelogin.htm?{text}&signature={signature}&redirect=/", console(call));
    Ok(Reply::object(&json!({ "cloudianssologin": { "url": url } })))
}

/// The storage user and group of the caller. The root admin is known by its account's name and its role, whatever its
/// domain.
fn mapped(call: &Call<'_>) -> Result<(String, String), ApiError> {
    let gone = || ApiError::internal("the caller is gone".to_owned());
    let account = call.cloud.accounts.get(call.caller.account).ok_or_else(gone)?;
    if account.name == "admin" && account.role == ROOT_ADMIN_ROLE {
        return Ok((call.cloud.setting("cloudian.cmc.admin.user").to_owned(), "0".to_owned()));
    }
    let domain = call.cloud.domains.get(account.domain).ok_or_else(gone)?;
    Ok((account.uuid.to_string(), domain.uuid.to_string()))
}

fn console(call: &Call<'_>) -> String {
    let part = |name: &str| call.cloud.setting(&format!("cloudian.cmc.{name}"));
    format!("{}://{}:{}/Cloudian/", part("protocol"), part("host"), part("port"))
}
