//! What was set and where, for `cloudhold config show`; secrets are not shown.

use std::path::Path;

use figment::value::Value;
use figment::{Figment, Metadata};

use super::load::{self, Overrides};

/// Endings of the keys whose values are secrets.
const SECRET_ENDINGS: [&str; 6] = ["secret_key", "api_key", "password", "token", "sso_key", "postgres_url"];

/// Something that was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The path of the key, such as `doors.s3.port`.
    pub key: String,
    /// The value as TOML, or `(secret)`.
    pub value: String,
    /// The file or variable that it came from.
    pub source: String,
}

/// Whether the value of a key is never shown. Names of files that hold secrets are no secrets.
pub(super) fn is_secret(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key);
    SECRET_ENDINGS.iter().any(|ending| last.ends_with(ending))
}

/// The file that a value or an error comes from.
pub(super) fn source_file(metadata: &Metadata) -> Option<&Path> {
    metadata.source.as_ref().and_then(|source| source.file_path())
}

/// All that file and environment set.
///
/// # Errors
/// When the file cannot be read.
pub fn settings_given(overrides: &Overrides) -> anyhow::Result<Vec<Setting>> {
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let figment = load::sources(overrides, environment)?;
    let mut found = Vec::new();
    let data = figment.extract::<figment::value::Dict>().map_err(|error| super::unknown::explain(&error))?;
    for (key, value) in &data {
        collect(&figment, key, value, &mut found);
    }
    Ok(found)
}

fn collect(figment: &Figment, key: &str, value: &Value, found: &mut Vec<Setting>) {
    if let Value::Dict(_, dict) = value {
        for (name, value) in dict {
            collect(figment, &format!("{key}.{name}"), value, found);
        }
        return;
    }
    let source = figment.get_metadata(value.tag()).map_or_else(
        || "default".to_owned(),
        |metadata| source_file(metadata).map_or_else(|| metadata.name.to_string(), |path| path.display().to_string()),
    );
    let value = if is_secret(key) { "(secret)".to_owned() } else { shown(value) };
    found.push(Setting { key: key.to_owned(), value, source });
}

fn shown(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "(not shown)".to_owned())
}
