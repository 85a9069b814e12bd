//! Secondary storage: stores are noted and listed, so that the calls which an operator makes can be tried out.

use serde_json::{Value, json};

use super::Call;
use crate::answer::{ApiError, Reply};

const IMAGE_STORE: &str = "imagestore";
const STAGING_STORE: &str = "secondarystorage";

pub(super) fn add_image_store(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let provider = call.parameters.required("provider")?.to_owned();
    let protocol = if provider.eq_ignore_ascii_case("S3") { "s3" } else { "nfs" };
    let id = call.cloud.ids.uuid().to_string();
    let details: Vec<Value> = details(call);
    if protocol == "s3" && details.is_empty() {
        return Err(ApiError::missing(call.parameters.command(), "details"));
    }
    let shown = json!({
        "id": id,
        "name": call.parameters.get("name").unwrap_or(&id),
        "url": call.parameters.get("url").unwrap_or_default(),
        "protocol": protocol,
        "providername": provider,
        "scope": "REGION",
        "readonly": false,
    });
    note(call, IMAGE_STORE, &shown)
}

pub(super) fn create_staging_store(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let url = call.parameters.required("url")?.to_owned();
    let id = call.cloud.ids.uuid().to_string();
    let shown = json!({
        "id": id,
        "zoneid": call.parameters.get("zoneid").unwrap_or_default(),
        "name": url,
        "url": url,
        "protocol": "nfs",
        "providername": "NFS",
        "scope": "ZONE",
    });
    note(call, STAGING_STORE, &shown)
}

pub(super) fn list_image_stores(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    list(call, IMAGE_STORE)
}

pub(super) fn list_staging_stores(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    list(call, STAGING_STORE)
}

fn note(call: &mut Call<'_>, kind: &str, shown: &Value) -> Result<Reply, ApiError> {
    let given: serde_json::Map<String, Value> = call
        .parameters
        .pairs()
        .filter(|(name, _)| !crate::log::is_secret(name))
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    call.cloud.stores.push(json!({ "kind": kind, "shown": shown, "given": given }));
    Call::one(kind, shown)
}

fn list(call: &Call<'_>, kind: &str) -> Result<Reply, ApiError> {
    let rows: Vec<&Value> = call.cloud.stores.iter().filter(|store| store["kind"] == kind).collect();
    call.list(kind, &rows, |store| Some(&store["shown"]))
}

/// The values of the `details[...]` parameters.
fn details(call: &Call<'_>) -> Vec<Value> {
    call.parameters.pairs().filter(|(name, _)| name.starts_with("details[")).map(|(_, value)| value.into()).collect()
}
