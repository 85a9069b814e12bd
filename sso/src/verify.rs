//! Checking a link.

use std::time::Duration;

use crate::query::Query;
use crate::sign::{check_name, sign};
use crate::{Error, Login, Parameter, SharedKey, Signature};

/// How much longer than its window a used link is remembered: a clock may be set back by a day, or the window be made an hour long.
const REMEMBERED_BEYOND_MS: i64 = 26 * 60 * 60 * 1000;

/// Checks links against a key and a clock window.
#[derive(Debug, Clone)]
pub struct Verifier {
    /// The key that both sides share.
    pub key: SharedKey,
    /// How far the link's time may be from ours, in both directions.
    pub window: Duration,
}

/// A link that was made with our key and is within its window. It may have been used before: that is the caller's to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Who logs in.
    pub login: Login,
    /// What the caller remembers, to refuse the link a second time.
    pub signature: Signature,
    /// Where to go afterwards, decoded but not checked: it is not signed. See [`crate::safe_redirect`].
    pub redirect: Option<String>,
    /// Until when (milliseconds since 1970) the signature is to be remembered: so long that neither a wider window nor a clock that is
    /// set back by up to a day brings the link to life again.
    pub remember_until_ms: i64,
}

impl Verifier {
    /// A verifier with the given window; five minutes is the usual one.
    #[must_use]
    pub fn new(key: SharedKey, window: Duration) -> Self {
        Self { key, window }
    }

    /// Checks the raw query string of a link (what stands after the `?`, not decoded) at the time `now_ms`.
    ///
    /// The order of the parameters does not matter, and unknown ones are ignored: nothing reads them.
    ///
    /// # Errors
    /// Each refusal has its own [`Error`]. That the link is too old is only said of one that is authentic.
    pub fn verify(&self, raw_query: &str, now_ms: i64) -> Result<Verified, Error> {
        let query = Query::parse(raw_query)?;
        let user = query.user.ok_or(Error::Missing(Parameter::User))?;
        let group = query.group.ok_or(Error::Missing(Parameter::Group))?;
        let timestamp = query.timestamp.ok_or(Error::Missing(Parameter::Timestamp))?;
        let signature = query.signature.ok_or(Error::Missing(Parameter::Signature))?;
        check_name(Parameter::User, &user)?;
        check_name(Parameter::Group, &group)?;

        let login = Login { user, group, timestamp_ms: parse_timestamp(&timestamp)? };
        let signature = Signature::from_base64(&signature)?;
        if sign(&self.key, &login)? != signature {
            return Err(Error::WrongSignature);
        }

        let window_ms = u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX);
        if now_ms.abs_diff(login.timestamp_ms) > window_ms {
            return Err(Error::OutsideWindow);
        }
        let latest_ms = login.timestamp_ms.max(now_ms);
        let remember_until_ms = latest_ms.saturating_add_unsigned(window_ms).saturating_add(REMEMBERED_BEYOND_MS);
        Ok(Verified { login, signature, redirect: query.redirect, remember_until_ms })
    }
}

/// Decimal digits only, and as a number is written: no sign, no leading zero, no blank.
fn parse_timestamp(text: &str) -> Result<i64, Error> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if !plain {
        return Err(Error::MalformedTimestamp);
    }
    text.parse().map_err(|_| Error::MalformedTimestamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConsoleAddress;

    const NOW_MS: i64 = 1_725_937_474_949;
    const GOOD: &str =
        "user=abc-def-ghi&group=uvw-xyz&timestamp=1725937474949&signature=Wu1hjafeyE82mGwd1MIwrp5hPt4%3D";

    fn verifier() -> Verifier {
        Verifier::new(SharedKey::new("randomkey".to_owned()).unwrap(), Duration::from_secs(300))
    }

    fn refusal(raw_query: &str) -> Error {
        verifier().verify(raw_query, NOW_MS).unwrap_err()
    }

    #[test]
    fn a_good_link_says_who_and_how_long_it_is_remembered() {
        let verified = verifier().verify(GOOD, NOW_MS).unwrap();
        assert_eq!((verified.login.user.as_str(), verified.login.group.as_str()), ("abc-def-ghi", "uvw-xyz"));
        let day_ms = 24 * 60 * 60 * 1000;
        assert!(verified.remember_until_ms > NOW_MS + 300_000 + day_ms);
        let wide = Verifier { window: Duration::from_secs(60 * 60), ..verifier() };
        assert!(wide.verify(GOOD, verified.remember_until_ms - day_ms).is_err(), "a clock set back finds it too old");
        assert_eq!(verified.redirect, None);
        assert_eq!(verified.signature.to_base64(), "Wu1hjafeyE82mGwd1MIwrp5hPt4=");
    }

    #[test]
    fn the_order_does_not_matter_and_unknown_parameters_are_ignored() {
        let turned = "redirect=%2F&signature=Wu1hjafeyE82mGwd1MIwrp5hPt4%3D&x=1&timestamp=1725937474949\
                      &group=uvw-xyz&&user=abc%2Ddef-ghi";
        assert_eq!(verifier().verify(turned, NOW_MS).unwrap().redirect.as_deref(), Some("/"));
    }

    #[test]
    fn the_window_is_closed_on_both_sides() {
        for off_ms in [-300_000, 300_000] {
            assert!(verifier().verify(GOOD, NOW_MS + off_ms).is_ok());
        }
        for off_ms in [-300_001, 300_001] {
            assert_eq!(verifier().verify(GOOD, NOW_MS + off_ms), Err(Error::OutsideWindow));
        }
        assert_eq!(verifier().verify(GOOD, i64::MIN), Err(Error::OutsideWindow));
    }

    #[test]
    fn each_parameter_is_there_exactly_once() {
        for (parameter, part) in [
            (Parameter::User, "user=abc-def-ghi"),
            (Parameter::Group, "group=uvw-xyz"),
            (Parameter::Timestamp, "timestamp=1725937474949"),
            (Parameter::Signature, "signature=Wu1hjafeyE82mGwd1MIwrp5hPt4%3D"),
        ] {
            let without = GOOD.split('&').filter(|pair| *pair != part).collect::<Vec<_>>().join("&");
            assert_eq!(refusal(&without), Error::Missing(parameter));
            assert_eq!(refusal(&format!("{GOOD}&{part}")), Error::Repeated(parameter));
        }
        assert_eq!(refusal(&format!("{GOOD}&redirect=/&redirect=/")), Error::Repeated(Parameter::Redirect));
        assert_eq!(refusal(&format!("{GOOD}&%75ser=other")), Error::Repeated(Parameter::User));
        assert_eq!(refusal(""), Error::Missing(Parameter::User));
    }

    #[test]
    fn names_that_could_smuggle_a_parameter_are_refused() {
        let smuggled = GOOD.replace("user=abc-def-ghi", "user=abc%26group%3D0");
        assert_eq!(refusal(&smuggled), Error::UnsignableName(Parameter::User));
        assert_eq!(refusal(&GOOD.replace("uvw-xyz", "")), Error::UnsignableName(Parameter::Group));
        assert_eq!(refusal(&GOOD.replace("uvw-xyz", "a%00")), Error::UnsignableName(Parameter::Group));
        // Decoded once: what is still encoded afterwards is just another name.
        assert_eq!(refusal(&GOOD.replace("abc-def", "abc%252Ddef")), Error::WrongSignature);
    }

    #[test]
    fn the_timestamp_is_plain_digits() {
        let bad =
            ["", "+1725937474949", "-1", "%201725937474949", "01725937474949", "1e3", "99999999999999999999", "１"];
        for bad in bad {
            assert_eq!(refusal(&GOOD.replace("1725937474949", bad)), Error::MalformedTimestamp, "{bad}");
        }
    }

    #[test]
    fn the_signature_is_strict_base64_of_twenty_bytes() {
        let bad = [
            "",
            "Wu1hjafeyE82mGwd1MIwrp5hPt4",
            "Wu1hjafeyE82mGwd1MIwrp5hPt5%3D",
            "Wu1h",
            "!!!!",
            "Wu1hjafeyE82mGwd1MIwrp5hPt4AAAA%3D",
        ];
        for bad in bad {
            let changed = GOOD.replace("Wu1hjafeyE82mGwd1MIwrp5hPt4%3D", bad);
            assert_eq!(refusal(&changed), Error::MalformedSignature, "{bad}");
        }
    }

    #[test]
    fn a_changed_value_or_another_key_is_refused() {
        assert_eq!(refusal(&GOOD.replace("uvw", "uvv")), Error::WrongSignature);
        assert_eq!(refusal(&GOOD.replace("4949", "4948")), Error::WrongSignature);
        assert_eq!(refusal(&GOOD.replace("Wu1h", "Xu1h")), Error::WrongSignature);
        let other = Verifier::new(SharedKey::new("otherkey".to_owned()).unwrap(), Duration::from_secs(300));
        assert_eq!(other.verify(GOOD, NOW_MS), Err(Error::WrongSignature));
    }

    #[test]
    fn malformed_encoding_is_refused() {
        for bad in ["%", "%4", "%zz", "%ff", "a=%+1"] {
            assert_eq!(refusal(&format!("{GOOD}&{bad}")), Error::MalformedQuery, "{bad}");
        }
    }

    #[test]
    fn a_raw_plus_is_a_space_and_never_part_of_a_signature() {
        let key = SharedKey::new("Kr7-example-shared-key".to_owned()).unwrap();
        let console = ConsoleAddress::new("https", "c.example", 8443).unwrap();
        let verifier = Verifier::new(key, Duration::from_secs(300));
        let link = (0..)
            .map(|timestamp_ms| Login { user: "u".to_owned(), group: "g".to_owned(), timestamp_ms })
            .map(|login| console.login_url(&verifier.key, &login, "/").unwrap())
            .find(|link| link.contains("%2B"))
            .unwrap();
        let query = link.split_once('?').unwrap().1;
        assert!(verifier.verify(query, 0).is_ok());
        assert_eq!(verifier.verify(&query.replace("%2B", "+"), 0), Err(Error::MalformedSignature));
    }

    #[test]
    fn every_name_that_can_be_signed_comes_back() {
        let key = SharedKey::new("another-key".to_owned()).unwrap();
        let console = ConsoleAddress::new("https", "c.example", 8443).unwrap();
        let verifier = Verifier::new(key, Duration::from_secs(300));
        for name in ["r d lab", "東京", "a+b", "a%2Bb", "josé?#/", "\"'<>"] {
            let login = Login { user: name.to_owned(), group: name.to_owned(), timestamp_ms: 7 };
            let link = console.login_url(&verifier.key, &login, "explorer.htm").unwrap();
            let verified = verifier.verify(link.split_once('?').unwrap().1, 7).unwrap();
            assert_eq!(verified.login, login);
            assert_eq!(verified.redirect.as_deref(), Some("explorer.htm"));
        }
    }
}
