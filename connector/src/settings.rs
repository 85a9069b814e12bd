//! The thirteen `cloudian.*` settings: what CloudStack says, what our configuration overrides, what is used and where it
//! came from.
//!
//! The `cloudian.admin.*` ones tell CloudStack's own plug-in how to reach us. They are compared with our doors and
//! reported; nothing is ever sent to them.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sso::{ConsoleAddress, SharedKey};

use crate::{cloudstack::Configuration, config::CloudStackConfig};

/// The word by which the settings are found.
pub(crate) const KEYWORD: &str = "cloudian";

/// Where a value in use came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Our configuration.
    Configuration,
    /// CloudStack's settings.
    CloudStack,
    /// Neither says anything.
    Default,
}

/// A value in use, as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// CloudStack's name of it.
    pub name: String,
    /// The value; of a secret only whether there is one.
    pub value: String,
    /// Where it came from.
    pub source: Source,
}

/// How CloudStack's own plug-in reaches the Admin API.
#[derive(Debug, Clone, Default)]
pub(crate) struct AdminSettings {
    pub(crate) protocol: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<SecretString>,
    pub(crate) validate_tls: Option<String>,
}

/// The settings in use.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) enabled: bool,
    /// The key for single sign-on, or why there is none.
    pub(crate) sso_key: Result<SharedKey, String>,
    /// How browsers reach the console, or why that is not known.
    pub(crate) console: Result<ConsoleAddress, String>,
    /// The same as text, as the plug-in answers it whatever is in the settings.
    pub(crate) console_url: String,
    pub(crate) cmc_admin_user: String,
    pub(crate) admin_timeout_s: u64,
    pub(crate) admin: AdminSettings,
    /// How many of the settings CloudStack gave.
    pub(crate) given: usize,
    /// False while CloudStack was never asked with success: then it is not known whether it wants us at all.
    pub(crate) known: bool,
    pub(crate) shown: Vec<Setting>,
}

/// Collects values with where they came from.
struct Resolver<'a> {
    cloud: &'a BTreeMap<String, String>,
    shown: Vec<Setting>,
}

impl Resolver<'_> {
    fn pick(&mut self, name: &str, ours: Option<String>, default: &str) -> String {
        let (value, source) = match (ours, self.cloud.get(name)) {
            (Some(value), _) => (value, Source::Configuration),
            (None, Some(value)) => (value.clone(), Source::CloudStack),
            (None, None) => (default.to_owned(), Source::Default),
        };
        self.shown.push(Setting { name: name.to_owned(), value: value.clone(), source });
        value
    }

    fn pick_secret(&mut self, name: &str, ours: Option<&SecretString>) -> Option<SecretString> {
        let (value, source) = match (ours, self.cloud.get(name)) {
            (Some(value), _) => (Some(value.clone()), Source::Configuration),
            (None, Some(value)) => (Some(SecretString::from(value.as_str())), Source::CloudStack),
            (None, None) => (None, Source::Default),
        };
        let shown = if value.is_some() { "(set)" } else { "(not set)" };
        self.shown.push(Setting { name: name.to_owned(), value: shown.to_owned(), source });
        value
    }

    /// A setting that is only CloudStack's.
    fn theirs(&mut self, name: &str) -> Option<String> {
        let value = self.cloud.get(name)?.clone();
        self.shown.push(Setting { name: name.to_owned(), value: value.clone(), source: Source::CloudStack });
        Some(value)
    }
}

impl Settings {
    /// Puts the settings together. `given` is what listConfigurations gave, `None` when it could not be asked. Nothing in
    /// it is no reason to stand still, because a CloudStack without the plug-in has none of them.
    pub(crate) fn resolve(config: &CloudStackConfig, given: Option<&[Configuration]>) -> Self {
        let cloud: BTreeMap<String, String> = given
            .unwrap_or_default()
            .iter()
            .filter(|setting| setting.name.starts_with("cloudian."))
            .filter_map(|setting| {
                let value = setting.value.clone().or_else(|| setting.default_value.clone())?;
                Some((setting.name.clone(), value))
            })
            .collect();
        let mut from = Resolver { cloud: &cloud, shown: Vec::new() };
        let enabled = from.pick("cloudian.connector.enabled", config.enabled.map(|on| on.to_string()), "true");
        let protocol = from.pick("cloudian.cmc.protocol", config.cmc_protocol.clone(), "https");
        let host = from.pick("cloudian.cmc.host", config.cmc_host.clone(), "");
        let port = from.pick("cloudian.cmc.port", config.cmc_port.map(|port| port.to_string()), "8443");
        let cmc_admin_user = from.pick("cloudian.cmc.admin.user", config.cmc_admin_user.clone(), "admin");
        let timeout_s =
            from.pick("cloudian.api.request.timeout", config.admin_timeout_s.map(|limit| limit.to_string()), "5");
        let sso_key = sso_key(config, &mut from);
        let admin = AdminSettings {
            protocol: from.theirs("cloudian.admin.protocol"),
            host: from.theirs("cloudian.admin.host"),
            port: from.theirs("cloudian.admin.port"),
            user: from.theirs("cloudian.admin.user"),
            validate_tls: from.theirs("cloudian.validate.ssl"),
            password: from.pick_secret("cloudian.admin.password", None),
        };
        let shown = from.shown;
        Self {
            enabled: enabled.eq_ignore_ascii_case("true"),
            sso_key,
            console: console(&protocol, &host, &port),
            console_url: format!("{protocol}://{host}:{port}{}", sso::CONSOLE_PATH),
            cmc_admin_user,
            admin_timeout_s: timeout_s.parse().ok().filter(|limit| *limit > 0).unwrap_or(5),
            admin,
            given: cloud.len(),
            known: given.is_some() || config.enabled.is_some(),
            shown,
        }
    }
}

fn sso_key(config: &CloudStackConfig, from: &mut Resolver<'_>) -> Result<SharedKey, String> {
    let ours = config.sso_key_value()?;
    let value = from
        .pick_secret("cloudian.sso.key", ours.as_ref())
        .ok_or_else(|| "neither cloudstack.sso_key nor CloudStack's cloudian.sso.key is set".to_owned())?;
    SharedKey::new(value.expose_secret().to_owned()).map_err(|error| error.to_string())
}

fn console(protocol: &str, host: &str, port: &str) -> Result<ConsoleAddress, String> {
    if host.is_empty() {
        return Err("neither cloudstack.cmc_host nor CloudStack's cloudian.cmc.host is set".to_owned());
    }
    let port: u16 = port.trim().parse().map_err(|_| "cloudian.cmc.port is no port".to_owned())?;
    ConsoleAddress::new(protocol, host, port)
        .map_err(|_| "cloudian.cmc.protocol, .host and .port are no address of a console".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded;

    fn recorded_settings(name: &str) -> Vec<Configuration> {
        let recording = recorded::json(name);
        let list = &recording["answer"]["body"]["listconfigurationsresponse"]["configuration"];
        serde_json::from_value(list.clone()).unwrap()
    }

    fn shown(settings: &Settings, name: &str) -> (String, Source) {
        let setting = settings.shown.iter().find(|setting| setting.name == name).unwrap();
        (setting.value.clone(), setting.source)
    }

    #[test]
    fn the_recorded_settings_are_used_and_shown_without_secrets() {
        let cloud = recorded_settings("cloudstack-4.23/list-configurations-set.json");
        let settings = Settings::resolve(&CloudStackConfig::default(), Some(&cloud));
        assert_eq!(settings.given, 13);
        assert_eq!(settings.shown.len(), 13);
        assert!(settings.enabled);
        assert!(settings.sso_key.is_ok());
        assert_eq!(settings.console_url, "https://storage.example.com:8443/Cloudian/");
        assert_eq!(settings.console.unwrap().base_url(), "https://storage.example.com:8443/Cloudian/");
        let all = format!("{:?}", settings.shown);
        assert!(!all.contains("Kr7-example-shared-key") && !all.contains("s3cret pass+word"), "{all}");
    }

    #[test]
    fn defaults_are_off_and_their_key_is_refused() {
        let cloud = recorded_settings("cloudstack-4.23/list-configurations-default.json");
        let settings = Settings::resolve(&CloudStackConfig::default(), Some(&cloud));
        assert!(!settings.enabled);
        assert!(settings.sso_key.unwrap_err().contains("published"));
        assert_eq!(settings.console_url, "https://cmc.cloudian.com:8443/Cloudian/");
    }

    #[test]
    fn our_configuration_comes_first() {
        let cloud = recorded_settings("cloudstack-4.23/list-configurations-default.json");
        let config = CloudStackConfig {
            enabled: Some(true),
            sso_key: Some("a key of our own".into()),
            cmc_host: Some("console.example.org".into()),
            cmc_port: Some(443),
            admin_timeout_s: Some(9),
            ..CloudStackConfig::default()
        };
        let settings = Settings::resolve(&config, Some(&cloud));
        assert!(settings.enabled && settings.sso_key.is_ok());
        assert_eq!(settings.console_url, "https://console.example.org:443/Cloudian/");
        assert_eq!(settings.admin_timeout_s, 9);
        assert_eq!(shown(&settings, "cloudian.sso.key"), ("(set)".into(), Source::Configuration));
        assert_eq!(shown(&settings, "cloudian.cmc.protocol"), ("https".into(), Source::CloudStack));
    }

    #[test]
    fn a_cloud_without_the_plug_in_has_none_of_them() {
        let settings = Settings::resolve(&CloudStackConfig::default(), Some(&[]));
        assert!(settings.enabled && settings.known && settings.given == 0);
        assert!(!Settings::resolve(&CloudStackConfig::default(), None).known);
        assert!(settings.sso_key.is_err() && settings.console.is_err());
        assert_eq!(shown(&settings, "cloudian.cmc.admin.user"), ("admin".into(), Source::Default));
    }
}
