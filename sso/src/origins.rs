//! Where a browser may be sent after a log-out: back to the CloudStack pages it came from, and nowhere else.

use url::{Origin, Url};

use crate::Error;

/// The origins (scheme, host and port) of the CloudStack user interfaces that were configured. None means that no
/// absolute target is allowed.
#[derive(Debug, Clone, Default)]
pub struct LogoutOrigins(Vec<Origin>);

impl LogoutOrigins {
    /// Takes URLs such as `https://cloud.example.com` or `http://10.0.0.1:8080/client/`; only their origins count.
    ///
    /// # Errors
    /// [`Error::InvalidOrigin`] when one is no absolute http or https URL, or carries a user or password.
    pub fn new<Item: AsRef<str>>(urls: impl IntoIterator<Item = Item>) -> Result<Self, Error> {
        let origin = |url: Item| parse(url.as_ref()).map(|url| url.origin()).ok_or(Error::InvalidOrigin);
        urls.into_iter().map(origin).collect::<Result<Vec<_>, _>>().map(Self)
    }

    /// Whether `target` is an absolute http or https URL of exactly one of these origins; its path, query and fragment are
    /// free.
    #[must_use]
    pub fn allows(&self, target: &str) -> bool {
        self.target(target).is_some()
    }

    /// The target as a URL to put into a `Location` header, when it is allowed.
    #[must_use]
    pub fn target(&self, target: &str) -> Option<Url> {
        parse(target).filter(|url| self.0.contains(&url.origin()))
    }
}

/// An absolute http or https URL without the spellings that browsers forgive: blanks, backslashes, missing slashes, a
/// user in front of the host.
fn parse(text: &str) -> Option<Url> {
    if text.contains(|character: char| character.is_control() || character.is_whitespace() || character == '\\') {
        return None;
    }
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    if !web || authority.is_empty() || authority.contains('@') {
        return None;
    }
    Url::parse(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> LogoutOrigins {
        LogoutOrigins::new(["https://mgmt.example.com/client/", "http://10.0.0.1:8080"]).unwrap()
    }

    #[test]
    fn path_query_and_fragment_of_a_configured_origin_are_free() {
        for good in [
            "https://mgmt.example.com/client/#/dashboard",
            "https://mgmt.example.com:443/x?y=z",
            "HTTPS://MGMT.example.com",
            "http://10.0.0.1:8080/client/?a=b#c@d",
        ] {
            assert!(origins().allows(good), "{good}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "http://mgmt.example.com/client/",
            "https://mgmt.example.com:8443/",
            "https://mgmt.example.com.evil.example/",
            "https://mgmt.example.com@evil.example/",
            "https://user@mgmt.example.com/",
            "https://@mgmt.example.com/",
            "https:\\\\mgmt.example.com/",
            "https:mgmt.example.com/",
            "https:///mgmt.example.com/",
            "//mgmt.example.com/",
            "/client/",
            "javascript://mgmt.example.com/%0aalert(1)",
            " https://mgmt.example.com/",
            "https://mgmt.example.com/\r\nX: y",
            "https://sub.mgmt.example.com/",
            "",
        ] {
            assert!(!origins().allows(bad), "{bad:?}");
        }
        assert!(!LogoutOrigins::default().allows("https://mgmt.example.com/"));
    }

    #[test]
    fn what_is_no_origin_cannot_be_configured() {
        for bad in ["mgmt.example.com", "ftp://mgmt.example.com", "https://u:p@mgmt.example.com", "https://", ""] {
            assert_eq!(LogoutOrigins::new([bad]).unwrap_err(), Error::InvalidOrigin, "{bad}");
        }
    }
}
