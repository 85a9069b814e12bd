//! The signature of CloudStack's API, version 3.
//!
//! Names are sorted as they are sent, values are encoded as Java's `URLEncoder` does (with `%20` for a space), the whole
//! string is lower-cased and signed with HMAC-SHA1. The server computes the same from the decoded values, so how the
//! request itself is encoded does not matter.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;

/// What Java escapes: all but letters, digits and these four. `~` is escaped and `*` is not, unlike RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'*').remove(b'_');

/// The text that is signed, from all parameters but `signature`.
pub(crate) fn string_to_sign(parameters: &[(String, String)]) -> String {
    let mut sorted: Vec<_> = parameters.iter().filter(|(name, _)| name != "signature").collect();
    sorted.sort();
    let joined: Vec<String> =
        sorted.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, ESCAPED))).collect();
    joined.join("&").to_lowercase()
}

/// The signature of the parameters in base64.
pub(crate) fn signature(secret_key: &SecretString, parameters: &[(String, String)]) -> String {
    let mut mac =
        Hmac::<Sha1>::new_from_slice(secret_key.expose_secret().as_bytes()).expect("HMAC takes keys of every length");
    mac.update(string_to_sign(parameters).as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::recorded;

    fn parameters(request: &Value) -> Vec<(String, String)> {
        let fields = request["parameters"].as_object().unwrap();
        fields.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
    }

    #[test]
    fn every_request_that_was_accepted_has_the_same_string_and_signature() {
        let file = recorded::json("signed-requests.json");
        let secret = SecretString::from(file["secret_key"].as_str().unwrap());
        let accepted: Vec<_> =
            file["requests"].as_array().unwrap().iter().filter(|request| request["status"] == 200).collect();
        assert!(accepted.len() >= 5, "the recording has accepted requests");
        for request in accepted {
            let parameters = parameters(request);
            assert_eq!(string_to_sign(&parameters), request["string_to_sign"], "{}", request["what"]);
            assert_eq!(signature(&secret, &parameters), request["signature"], "{}", request["what"]);
        }
    }

    #[test]
    fn the_worked_example_with_every_odd_character() {
        let pairs = [
            ("apiKey", "K"),
            ("command", "listAccounts"),
            ("response", "json"),
            ("listall", "true"),
            ("isrecursive", "true"),
            ("keyword", "Acme Corp/R&D ~x*"),
            ("domainid", "9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d"),
            ("page", "1"),
            ("pagesize", "500"),
            ("signatureVersion", "3"),
            ("expires", "2030-01-01T00:00:00+0000"),
        ];
        let parameters: Vec<_> = pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        assert_eq!(signature(&SecretString::from("SECRET"), &parameters), "BHeBXwFOnqyN+fmp/FQ5DXBapak=");
    }
}
