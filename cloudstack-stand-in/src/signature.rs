//! The signature of a request, by the rules of CloudStack's own server (Java), and its check.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;
use subtle::ConstantTimeEq;

use crate::parameters::Parameters;

/// What Java's URLEncoder leaves as it is, besides letters and digits. So `*` stays and `~` becomes `%7E`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'*').remove(b'_');

/// The text that is signed: every parameter but the signature, sorted by name, values encoded, all in lower case.
pub(crate) fn text_to_sign(parameters: &Parameters) -> String {
    let mut pairs: Vec<(&str, &str)> =
        parameters.pairs().filter(|(name, _)| !name.eq_ignore_ascii_case("signature")).collect();
    pairs.sort_unstable();
    let encoded = |(name, value)| format!("{name}={}", utf8_percent_encode(value, ENCODED));
    pairs.into_iter().map(encoded).collect::<Vec<_>>().join("&").to_lowercase()
}

/// HMAC-SHA1 of a text.
pub(crate) fn hmac_sha1(key: &str, text: &str) -> [u8; 20] {
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of every length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

/// The signature of a request, in base64.
pub(crate) fn sign(secret_key: &str, parameters: &Parameters) -> String {
    STANDARD.encode(hmac_sha1(secret_key, &text_to_sign(parameters)))
}

/// Whether a request carries the right signature.
pub(crate) fn is_right(secret_key: &str, parameters: &Parameters) -> bool {
    let Some(given) = parameters.get("signature") else { return false };
    sign(secret_key, parameters).as_bytes().ct_eq(given.as_bytes()).into()
}
