//! What was asked of the stand-in, for tests that look at it afterwards.

use crate::parameters::Parameters;

/// One request and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    /// The command as it was sent; empty when there was none.
    pub command: String,
    /// The parameters without any key, signature or password, in the order in which they were sent.
    pub parameters: Vec<(String, String)>,
    /// `GET` or `POST`.
    pub method: String,
    /// The status of the answer.
    pub status: u16,
}

impl RequestRecord {
    /// The value of a parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

/// Whether a parameter must not be kept.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    ["apikey", "signature", "sessionkey", "password", "secret"].iter().any(|secret| name.contains(secret))
        && name != "signatureversion"
}

pub(crate) fn record(method: &str, parameters: &Parameters, status: u16) -> RequestRecord {
    let kept = parameters.pairs().filter(|(name, _)| !is_secret(name));
    RequestRecord {
        command: parameters.command().to_owned(),
        parameters: kept.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        method: method.to_owned(),
        status,
    }
}
