//! What the Admin API can be told.

use std::time::Duration;

/// Settings of the Admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What `/system/version` answers: the version of the API that is spoken, then who speaks it.
    pub version: String,
    /// Failed log-ins of one peer that are answered at once.
    pub failed_logins_free: u32,
    /// The longest that the answer to a failed log-in is held back.
    pub failed_login_delay_max: Duration,
}

/// A setting has a value that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} {why}")]
pub struct InvalidSettings {
    /// The setting.
    pub name: &'static str,
    /// Why its value is refused, as the end of a sentence.
    pub why: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: concat!("8.1 Cloudhold ", env!("CARGO_PKG_VERSION")).to_owned(),
            failed_logins_free: 5,
            failed_login_delay_max: Duration::from_secs(2),
        }
    }
}

impl Settings {
    /// Checks the values.
    ///
    /// # Errors
    /// When the version is not one line of text, or failed log-ins would be held longer than clients wait.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        if self.version.trim().is_empty() || self.version.chars().any(char::is_control) {
            return Err(InvalidSettings { name: "version", why: "must be one line of text" });
        }
        if self.failed_login_delay_max > Duration::from_secs(5) {
            return Err(InvalidSettings {
                name: "failed_login_delay_max",
                why: "must not be more than the 5 seconds that CloudStack waits",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_nonsense_is_not() {
        assert_eq!(Settings::default().validate(), Ok(()));
        let settings = Settings { version: "a\nb".to_owned(), ..Settings::default() };
        assert_eq!(settings.validate().unwrap_err().name, "version");
        let settings = Settings { failed_login_delay_max: Duration::from_secs(6), ..Settings::default() };
        assert_eq!(settings.validate().unwrap_err().name, "failed_login_delay_max");
    }
}
