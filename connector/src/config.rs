//! The sections `[cloudstack]` and `[connector]` of the configuration.

use std::{fs, path::PathBuf, time::Duration};

use admin_api::client::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

/// Section `[cloudstack]`: which CloudStack to follow, how, and what of its settings to override.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CloudStackConfig {
    /// The API's address, such as `https://cloud.example.com:8443/client/api`.
    pub url: String,
    /// The API key of a root admin.
    pub api_key: Option<String>,
    /// The secret key that belongs to it.
    pub secret_key: Option<SecretString>,
    /// A file that holds the secret key.
    pub secret_key_file: Option<PathBuf>,
    /// A root admin's user name, in place of an API key.
    pub username: Option<String>,
    /// That user's password.
    pub password: Option<SecretString>,
    /// A file that holds the password.
    pub password_file: Option<PathBuf>,
    /// The path of that user's domain; `/` is ROOT.
    pub domain: String,
    /// A file with certificates (PEM) to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Seconds between two looks at the events.
    pub poll_interval_s: u64,
    /// Seconds between two full passes.
    pub pass_interval_s: u64,
    /// Milliseconds of rest for CloudStack between two pages of a full pass.
    pub page_pause_ms: u64,
    /// Seconds that CloudStack may take for one answer; a page of 500 accounts was seen to take 14.
    pub request_timeout_s: u64,
    /// So many deletions and deactivations within a day are made without asking, whatever share they are.
    pub max_removals: u64,
    /// Up to this share (percent of the groups and users owned), more of them are made without asking.
    pub max_removals_percent: u64,
    /// Overrides `cloudian.connector.enabled`.
    pub enabled: Option<bool>,
    /// Overrides `cloudian.sso.key`.
    pub sso_key: Option<SecretString>,
    /// A file that holds the key for single sign-on.
    pub sso_key_file: Option<PathBuf>,
    /// Overrides `cloudian.cmc.protocol`: how browsers reach the console.
    pub cmc_protocol: Option<String>,
    /// Overrides `cloudian.cmc.host`.
    pub cmc_host: Option<String>,
    /// Overrides `cloudian.cmc.port`.
    pub cmc_port: Option<u16>,
    /// Overrides `cloudian.cmc.admin.user`: whom CloudStack's own `admin` becomes.
    pub cmc_admin_user: Option<String>,
    /// Overrides `cloudian.api.request.timeout`: seconds that one call to the Admin API may take.
    pub admin_timeout_s: Option<u64>,
}

impl Default for CloudStackConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            api_key: None,
            secret_key: None,
            secret_key_file: None,
            username: None,
            password: None,
            password_file: None,
            domain: "/".to_owned(),
            ca_file: None,
            poll_interval_s: 5,
            pass_interval_s: 3600,
            page_pause_ms: 100,
            request_timeout_s: 120,
            max_removals: 5,
            max_removals_percent: 10,
            enabled: None,
            sso_key: None,
            sso_key_file: None,
            cmc_protocol: None,
            cmc_host: None,
            cmc_port: None,
            cmc_admin_user: None,
            admin_timeout_s: None,
        }
    }
}

impl CloudStackConfig {
    /// Says what is wrong with the section, naming the key.
    ///
    /// # Errors
    /// One sentence for an operator; it holds no secret.
    pub fn validate(&self) -> Result<(), String> {
        self.endpoint()?;
        match (&self.api_key, &self.username) {
            (Some(_), None) => drop(self.secret_key_value()?),
            (None, Some(_)) => drop(self.password_value()?),
            (Some(_), Some(_)) => return Err("cloudstack: set either api_key or username, not both".to_owned()),
            (None, None) => {
                return Err("cloudstack: set api_key and secret_key, or username and password".to_owned());
            }
        }
        self.sso_key_value()?;
        for (name, value) in [
            ("poll_interval_s", self.poll_interval_s),
            ("pass_interval_s", self.pass_interval_s),
            ("request_timeout_s", self.request_timeout_s),
            ("admin_timeout_s", self.admin_timeout_s.unwrap_or(1)),
        ] {
            if value == 0 {
                return Err(format!("cloudstack.{name} must be at least 1"));
            }
        }
        if self.max_removals_percent > 100 {
            return Err("cloudstack.max_removals_percent must be 0 to 100".to_owned());
        }
        Ok(())
    }

    /// The API's address, checked.
    pub(crate) fn endpoint(&self) -> Result<Url, String> {
        if self.url.is_empty() {
            return Err("cloudstack.url is missing".to_owned());
        }
        let url = Url::parse(&self.url).map_err(|error| format!("cloudstack.url is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err("cloudstack.url must begin with http:// or https:// and name a host".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err("cloudstack.url must hold no user, password or query".to_owned());
        }
        Ok(url)
    }

    pub(crate) fn secret_key_value(&self) -> Result<SecretString, String> {
        secret("cloudstack.secret_key", self.secret_key.as_ref(), self.secret_key_file.as_ref())?
            .ok_or_else(|| "cloudstack.secret_key or cloudstack.secret_key_file is missing".to_owned())
    }

    pub(crate) fn password_value(&self) -> Result<SecretString, String> {
        secret("cloudstack.password", self.password.as_ref(), self.password_file.as_ref())?
            .ok_or_else(|| "cloudstack.password or cloudstack.password_file is missing".to_owned())
    }

    pub(crate) fn sso_key_value(&self) -> Result<Option<SecretString>, String> {
        secret("cloudstack.sso_key", self.sso_key.as_ref(), self.sso_key_file.as_ref())
    }
}

/// Section `[connector]`: where groups and users are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectorConfig {
    /// Where groups and users are kept.
    pub target: TargetConfig,
    /// In front of another HyperStore, which has no trash: days between the deactivation of a deleted account's user
    /// and its deletion.
    pub grace_days: u32,
    /// Seconds after which a full pass also compares what the target really holds with what the connector remembers.
    pub verify_interval_s: u64,
}

impl Default for ConnectorConfig {
    fn default() -> Self {
        Self { target: TargetConfig::default(), grace_days: 7, verify_interval_s: 86_400 }
    }
}

impl ConnectorConfig {
    /// Says what is wrong with the section, naming the key.
    ///
    /// # Errors
    /// One sentence for an operator; it holds no secret.
    pub fn validate(&self) -> Result<(), String> {
        match self.target.kind {
            TargetKind::Own => self.target.refuse_address(),
            TargetKind::Hyperstore => self.target.client_config().map(drop),
        }
    }
}

/// Whose groups and users are kept in step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// This process's own, through its Admin API: deleted users lie in its trash for a while.
    #[default]
    Own,
    /// Those of another HyperStore-compatible system, which has no trash.
    Hyperstore,
}

/// Section `[connector.target]`: all of the target's address comes from here, or none of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetConfig {
    /// `own` (the default) or `hyperstore`.
    pub kind: TargetKind,
    /// `http` or `https`; `https` unless said otherwise.
    pub protocol: Option<String>,
    /// The host of its Admin API.
    pub host: Option<String>,
    /// The port of its Admin API; 19443 unless said otherwise.
    pub port: Option<u16>,
    /// The service account of its Admin API.
    pub user: Option<String>,
    /// That account's password.
    pub password: Option<SecretString>,
    /// A file that holds the password.
    pub password_file: Option<PathBuf>,
    /// A file with certificates (PEM) to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// False trusts every certificate; true unless said otherwise.
    pub validate_tls: Option<bool>,
}

impl TargetConfig {
    fn refuse_address(&self) -> Result<(), String> {
        let named = self.protocol.is_some()
            || self.host.is_some()
            || self.port.is_some()
            || self.user.is_some()
            || self.password.is_some()
            || self.password_file.is_some()
            || self.ca_file.is_some()
            || self.validate_tls.is_some();
        if named {
            return Err("connector.target: an address needs kind = \"hyperstore\"; our own is known".to_owned());
        }
        Ok(())
    }

    /// The address and credentials of another HyperStore.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, String> {
        let missing = |name: &str| format!("connector.target.{name} is missing for kind = \"hyperstore\"");
        let host = self.host.as_ref().ok_or_else(|| missing("host"))?;
        let user = self.user.as_ref().ok_or_else(|| missing("user"))?;
        let password = secret("connector.target.password", self.password.as_ref(), self.password_file.as_ref())?
            .ok_or_else(|| missing("password or password_file"))?;
        let protocol = self.protocol.as_deref().unwrap_or("https");
        let address = format!("{protocol}://{host}:{}", self.port.unwrap_or(19443));
        let url = Url::parse(&address).map_err(|error| format!("connector.target is no address: {error}"))?;
        let mut config = ClientConfig::new(url, user.clone(), password);
        config.ca_file.clone_from(&self.ca_file);
        config.validate_tls = self.validate_tls.unwrap_or(true);
        config.timeout = Duration::from_secs(30);
        Ok(config)
    }
}

/// A secret given directly or in a file; both at once would hide a mistake.
fn secret(name: &str, given: Option<&SecretString>, file: Option<&PathBuf>) -> Result<Option<SecretString>, String> {
    let value = match (given, file) {
        (Some(_), Some(_)) => return Err(format!("{name} and {name}_file are both set")),
        (None, None) => return Ok(None),
        (Some(value), None) => value.clone(),
        (None, Some(path)) => {
            let text = fs::read_to_string(path)
                .map_err(|error| format!("{name}_file {} cannot be read: {error}", path.display()))?;
            SecretString::from(text.trim_end_matches(['\r', '\n']))
        }
    };
    if value.expose_secret().is_empty() { Err(format!("{name} is empty")) } else { Ok(Some(value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<CloudStackConfig, toml::de::Error> {
        toml::from_str(text)
    }

    const WHOLE: &str = "url = \"https://c.example/client/api\"\napi_key = \"k\"\nsecret_key = \"tell nobody\"\n";

    #[test]
    fn a_small_section_is_enough_and_shows_no_secret() {
        let config = parse(WHOLE).unwrap();
        config.validate().unwrap();
        assert_eq!((config.poll_interval_s, config.pass_interval_s), (5, 3600));
        assert_eq!((config.max_removals, config.max_removals_percent), (5, 10));
        assert!(!format!("{config:?}").contains("tell nobody"));
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_key_named() {
        assert!(parse("urll = \"x\"").is_err());
        for (text, word) in [
            ("", "url"),
            ("url = \"ftp://x\"", "url"),
            ("url = \"http://a:b@x/\"", "url"),
            ("url = \"http://x\"", "api_key"),
            ("url = \"http://x\"\napi_key = \"k\"", "secret_key"),
            ("url = \"http://x\"\napi_key = \"k\"\nsecret_key_file = \"/nonexistent\"", "secret_key_file"),
            ("url = \"http://x\"\nusername = \"u\"", "password"),
            ("url = \"http://x\"\napi_key = \"k\"\nusername = \"u\"\nsecret_key = \"s\"", "not both"),
            (&format!("{WHOLE}poll_interval_s = 0"), "poll_interval_s"),
            (&format!("{WHOLE}max_removals_percent = 101"), "max_removals_percent"),
            (&format!("{WHOLE}sso_key = \"a\"\nsso_key_file = \"b\""), "sso_key"),
        ] {
            let error = parse(text).unwrap().validate().unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn a_target_is_whole_or_not_there() {
        let parse = |text: &str| toml::from_str::<ConnectorConfig>(text).unwrap().validate();
        assert!(parse("").is_ok());
        assert!(parse("[target]\nhost = \"elsewhere\"").unwrap_err().contains("kind"));
        assert!(parse("[target]\nkind = \"hyperstore\"\nhost = \"h\"").unwrap_err().contains("user"));
        assert!(parse("[target]\nkind = \"hyperstore\"\nhost = \"h\"\nuser = \"u\"\npassword = \"p\"").is_ok());
    }

    #[test]
    fn a_secret_in_a_file_loses_its_newline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "abc \n").unwrap();
        assert_eq!(secret("x", None, Some(&path)).unwrap().unwrap().expose_secret(), "abc ");
    }
}
