//! Every reason for which a key, a link, a redirect or an origin is refused.

use std::fmt;

/// A parameter of a log-in link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter {
    /// Who logs in.
    User,
    /// The group of that user.
    Group,
    /// When the link was made, in milliseconds since 1970.
    Timestamp,
    /// The base64 of the HMAC.
    Signature,
    /// Where to go after the log-in; not covered by the signature.
    Redirect,
}

impl Parameter {
    /// The parameter's name in the query string.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Timestamp => "timestamp",
            Self::Signature => "signature",
            Self::Redirect => "redirect",
        }
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Why something was refused. The texts never hold a key, a signature or what a stranger wrote into a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The shared key is empty or blank: single sign-on is off.
    #[error("the single-sign-on key is empty")]
    EmptyKey,
    /// The shared key is one that stands in public manuals or sources.
    #[error("the single-sign-on key is a published default; choose one of your own")]
    PublishedKey,
    /// A user or group that would make the signed text ambiguous: empty, or with `&`, `=` or a control character.
    #[error("the {0} is empty or holds a character that cannot be signed")]
    UnsignableName(Parameter),
    /// A time before 1970 cannot be written in a link.
    #[error("the time is before 1970")]
    NegativeTimestamp,
    /// The query string is no well-formed percent-encoded UTF-8.
    #[error("the query string is malformed")]
    MalformedQuery,
    /// A parameter that must be there is not.
    #[error("the parameter {0} is missing")]
    Missing(Parameter),
    /// A parameter that may be there once is there more often.
    #[error("the parameter {0} is there more than once")]
    Repeated(Parameter),
    /// The timestamp is not a plain decimal number of milliseconds.
    #[error("the timestamp is not a number of milliseconds")]
    MalformedTimestamp,
    /// The signature is not the base64 of 20 bytes.
    #[error("the signature is malformed")]
    MalformedSignature,
    /// The signature was not made with our key over these values.
    #[error("the signature does not fit: the keys of the two sides differ, or the link was changed")]
    WrongSignature,
    /// The link is too old, or its maker's clock is ahead of ours.
    #[error("the link is outside its time window: it is old, or the clocks of the two sides differ")]
    OutsideWindow,
    /// The redirect leads out of the console.
    #[error("the redirect leads out of the console")]
    UnsafeRedirect,
    /// What was given as an origin is no absolute http or https URL without user and password.
    #[error("an origin must be an http or https URL with a host and without user and password")]
    InvalidOrigin,
    /// The parts given do not make up a console address.
    #[error("a console address needs http or https, a plain host name or address, and a port that is not 0")]
    InvalidAddress,
}
