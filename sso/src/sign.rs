//! Making a signature and a link.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;
use url::Url;
use url::form_urlencoded::byte_serialize;

use crate::{ConsoleAddress, Error, Parameter, SharedKey, safe_redirect};

/// Who logs in, and when the link was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user id: an account's uuid, or the console's admin user.
    pub user: String,
    /// The group id: a domain's uuid, or `0` for the system administrators.
    pub group: String,
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
}

impl Login {
    /// The text that is signed: the plain values in this order, without any encoding.
    fn signed_text(&self) -> String {
        format!("user={}&group={}&timestamp={}", self.user, self.group, self.timestamp_ms)
    }
}

/// The 20 bytes of an HMAC-SHA1. `Debug` does not show them: within the window they are as good as a password.
#[derive(Clone, Copy)]
pub struct Signature([u8; 20]);

impl Signature {
    /// The raw bytes, as a table of used signatures keeps them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// Standard base64 with padding: 28 characters.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// The inverse of [`Self::to_base64`]; no other spelling of the same bytes is taken.
    pub(crate) fn from_base64(text: &str) -> Result<Self, Error> {
        let bytes = STANDARD.decode(text).map_err(|_| Error::MalformedSignature)?;
        bytes.try_into().map(Self).map_err(|_| Error::MalformedSignature)
    }
}

impl PartialEq for Signature {
    /// Takes the same time whichever byte differs.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Signature {}

impl std::fmt::Debug for Signature {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Signature(..)")
    }
}

/// Signs a log-in.
///
/// # Errors
/// [`Error::UnsignableName`] when user or group are empty or hold `&`, `=` or a control character, because two different
/// log-ins could then have the same signed text; [`Error::NegativeTimestamp`] for a time before 1970.
pub fn sign(key: &SharedKey, login: &Login) -> Result<Signature, Error> {
    check_name(Parameter::User, &login.user)?;
    check_name(Parameter::Group, &login.group)?;
    if login.timestamp_ms < 0 {
        return Err(Error::NegativeTimestamp);
    }
    Ok(Signature(key.mac(&login.signed_text())))
}

/// The link that logs a browser in, byte for byte as CloudStack's connector makes it, with the port always written out.
///
/// `cmc_base` is the console's address and ends in `/Cloudian/`; `redirect` is where to go inside the console, usually `/`.
///
/// # Errors
/// Those of [`sign`]; [`Error::InvalidAddress`] when `cmc_base` is no console address; [`Error::UnsafeRedirect`].
pub fn login_url(cmc_base: &Url, key: &SharedKey, login: &Login, redirect: &str) -> Result<String, Error> {
    ConsoleAddress::from_url(cmc_base)?.login_url(key, login, redirect)
}

impl ConsoleAddress {
    /// The same link as [`login_url`] makes, from the parts as they stand in CloudStack's settings.
    ///
    /// # Errors
    /// Those of [`sign`]; [`Error::UnsafeRedirect`] when `redirect` leads out of the console or would need encoding.
    pub fn login_url(&self, key: &SharedKey, login: &Login, redirect: &str) -> Result<String, Error> {
        let signature = sign(key, login)?;
        safe_redirect(Some(redirect))?;
        let needs_encoding = |character| matches!(character, '&' | '#' | '%' | '+');
        if redirect.contains(needs_encoding) {
            return Err(Error::UnsafeRedirect);
        }
        Ok(format!(
            "{base}ssosecurelogin.htm?{user_and_group}&timestamp={timestamp}&signature={signature}&redirect={redirect}",
            base = self.base_url(),
            user_and_group = spelled(login),
            timestamp = login.timestamp_ms,
            signature = byte_serialize(signature.to_base64().as_bytes()).collect::<String>(),
        ))
    }
}

/// User and group as they stand in the link. CloudStack writes them plainly, because they are uuids; anything else is
/// encoded, so that the link is one URL whatever the names are.
fn spelled(login: &Login) -> String {
    let encoded = |value: &str| byte_serialize(value.as_bytes()).collect::<String>();
    format!("user={}&group={}", encoded(&login.user), encoded(&login.group))
}

/// Refuses what would make the signed text ambiguous.
pub(crate) fn check_name(parameter: Parameter, name: &str) -> Result<(), Error> {
    let unsignable = |character: char| character.is_control() || matches!(character, '&' | '=');
    if name.is_empty() || name.contains(unsignable) {
        return Err(Error::UnsignableName(parameter));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(user: &str, group: &str, timestamp_ms: i64) -> Login {
        Login { user: user.to_owned(), group: group.to_owned(), timestamp_ms }
    }

    fn key() -> SharedKey {
        SharedKey::new("randomkey".to_owned()).unwrap()
    }

    #[test]
    fn names_that_make_the_text_ambiguous_are_refused() {
        for bad in ["", "a&group=0", "a=b", "a\nb", "a\u{7f}", "a\u{85}"] {
            assert_eq!(sign(&key(), &login(bad, "g", 1)), Err(Error::UnsignableName(Parameter::User)), "{bad:?}");
            assert_eq!(sign(&key(), &login("u", bad, 1)), Err(Error::UnsignableName(Parameter::Group)), "{bad:?}");
        }
        assert_eq!(sign(&key(), &login("u", "g", -1)), Err(Error::NegativeTimestamp));
    }

    #[test]
    fn a_default_port_stays_in_the_link() {
        let base = Url::parse("https://host.example:443/Cloudian/").unwrap();
        let link = login_url(&base, &key(), &login("u", "g", 1), "/").unwrap();
        assert!(link.starts_with("https://host.example:443/Cloudian/ssosecurelogin.htm?user=u&group=g&timestamp=1&"));
    }

    #[test]
    fn redirects_that_leave_the_console_or_break_the_link_are_refused() {
        let base = Url::parse("https://host.example:8443/Cloudian/").unwrap();
        for bad in ["//evil.example", "https://evil.example/", "a&user=b", "a#b", "a%2e", "../x"] {
            assert_eq!(login_url(&base, &key(), &login("u", "g", 1), bad), Err(Error::UnsafeRedirect), "{bad}");
        }
    }

    #[test]
    fn debug_does_not_show_the_signature() {
        let signature = sign(&key(), &login("u", "g", 1)).unwrap();
        assert_eq!(format!("{signature:?}"), "Signature(..)");
    }
}
