//! The section `[console]` of the configuration.

use std::time::Duration;

use serde::Deserialize;

/// How the console is set up. Only the server reads it from files and environment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long somebody stays signed in, in seconds.
    pub session_lifetime_s: u64,
    /// How far the time in a sign-on link may be from ours, in both directions, in seconds.
    pub sso_window_s: u64,
    /// CloudStack pages to which a browser may be sent after signing out, such as `https://cloud.example.com`; only
    /// protocol, host and port count.
    pub logout_origins: Vec<String>,
    /// Whether a proxy that speaks TLS stands in front of the plain door. Otherwise the plain door only sends browsers to
    /// the TLS door. The proxy must set `X-Forwarded-For`.
    pub behind_proxy: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { session_lifetime_s: 8 * 60 * 60, sso_window_s: 5 * 60, logout_origins: Vec::new(), behind_proxy: false }
    }
}

/// Why a setting is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A number is outside what makes sense.
    #[error("console.{name} must be between {least} and {most} seconds")]
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// The least value.
        least: u64,
        /// The largest value.
        most: u64,
    },
    /// A page for signing out is no http or https URL.
    #[error("console.logout_origins: {0:?} is not an http or https URL with a host")]
    Origin(String),
}

impl Settings {
    /// Checks what a person may have written wrong.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn validate(&self) -> Result<(), SettingsError> {
        in_range("session_lifetime_s", self.session_lifetime_s, 60, 30 * 24 * 60 * 60)?;
        in_range("sso_window_s", self.sso_window_s, 1, 60 * 60)?;
        match self.logout_origins.iter().find(|url| sso::LogoutOrigins::new([url]).is_err()) {
            Some(url) => Err(SettingsError::Origin(url.clone())),
            None => Ok(()),
        }
    }

    pub(crate) fn session_lifetime(&self) -> Duration {
        Duration::from_secs(self.session_lifetime_s)
    }

    pub(crate) fn sso_window(&self) -> Duration {
        Duration::from_secs(self.sso_window_s)
    }
}

fn in_range(name: &'static str, value: u64, least: u64, most: u64) -> Result<(), SettingsError> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(SettingsError::OutOfRange { name, least, most }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_nonsense_is_not() {
        assert_eq!(Settings::default().validate(), Ok(()));
        let short = Settings { session_lifetime_s: 1, ..Settings::default() };
        assert!(matches!(short.validate(), Err(SettingsError::OutOfRange { name: "session_lifetime_s", .. })));
        let origin = Settings { logout_origins: vec!["cloud.example.com".to_owned()], ..Settings::default() };
        assert_eq!(origin.validate(), Err(SettingsError::Origin("cloud.example.com".to_owned())));
    }
}
