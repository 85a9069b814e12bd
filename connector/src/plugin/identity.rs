//! Who asks: the caller's own CloudStack session, shown to CloudStack itself.
//!
//! The session is worth more than anything that this door gives, so it is handled with care: it goes to the configured
//! address only, with nothing else of the caller's, and never with a key that does not match, because CloudStack would
//! destroy the session for that.

use axum::http::{HeaderMap, header::COOKIE};
use subtle::ConstantTimeEq;

use super::answer::Refusal;
use crate::{
    cloudstack::{Account, CallerCookies, CloudError, Page},
    reconciler::Inner,
};

/// The parameters of a request, in order, repeated ones included.
pub(super) struct Parameters(pub(super) Vec<(String, String)>);

impl Parameters {
    /// The value of a parameter that stands exactly once.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        match self.all(name).as_slice() {
            [value] => Some(value),
            _ => None,
        }
    }

    fn all(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }
}

/// The caller's session, checked as far as it can be without asking CloudStack.
pub(super) fn session(parameters: &Parameters, headers: &HeaderMap) -> Result<CallerCookies, Refusal> {
    if parameters.has("apiKey") || parameters.has("signature") {
        return Err(Refusal::unclear(
            "this door knows its callers by their CloudStack session; with an API key call CloudStack's own command",
        ));
    }
    let session_id = cookie(headers, "JSESSIONID").ok_or_else(Refusal::no_session)?;
    let session_key = cookie(headers, "sessionkey").ok_or_else(Refusal::no_session)?;
    let given = parameters.get("sessionkey").ok_or_else(Refusal::no_session)?;
    if !bool::from(given.as_bytes().ct_eq(session_key.as_bytes())) {
        return Err(Refusal::no_session());
    }
    Ok(CallerCookies { session_id, session_key })
}

/// A cookie's value, when there is one of that name and it can be passed on as it is.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values: Vec<&str> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(found, _)| *found == name)
        .map(|(_, value)| value)
        .collect();
    values.dedup();
    match values.as_slice() {
        [value] if !value.is_empty() && value.bytes().all(is_cookie_byte) => Some((*value).to_owned()),
        _ => None,
    }
}

fn is_cookie_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'!' | b'*' | b'~' | b'+' | b'/' | b'=')
}

/// The accounts that the caller's session shows; at least one.
pub(super) async fn accounts(inner: &Inner, caller: &CallerCookies) -> Result<Page<Account>, Refusal> {
    match inner.cloud.accounts_of_caller(caller).await {
        Ok(page) if page.items.is_empty() => {
            Err(Refusal::unclear("CloudStack shows no account for this session, so it is not clear who asks"))
        }
        Ok(page) => Ok(page),
        Err(CloudError::Unauthorized { .. }) => Err(Refusal::no_session()),
        Err(
            error @ (CloudError::NotAllowed { .. }
            | CloudError::NotThere
            | CloudError::LoginRefused
            | CloudError::SecondFactor
            | CloudError::Refused { .. }),
        ) => {
            tracing::info!(%error, "CloudStack does not say who a caller is");
            Err(Refusal::unclear("CloudStack does not say whose session this is"))
        }
        Err(error @ (CloudError::Unreachable(_) | CloudError::Odd { .. } | CloudError::Config(_))) => {
            tracing::warn!(%error, "CloudStack cannot be asked who a caller is");
            Err(Refusal::failed("CloudStack cannot be asked whose session this is, please try again"))
        }
    }
}

/// The caller's own account: the one that its session shows, when it is the only one.
pub(super) async fn own_account(inner: &Inner, caller: &CallerCookies) -> Result<Account, Refusal> {
    let page = accounts(inner, caller).await?;
    let mut items = page.items.into_iter();
    match (items.next(), items.next(), page.count) {
        (Some(account), None, Some(1)) if account.state == "enabled" => Ok(account),
        (Some(_), None, Some(1)) => Err(Refusal::unclear("this account is not enabled")),
        _ => Err(Refusal::unclear(
            "CloudStack shows several accounts to this session (a setting lets users see their whole domain), so it is \
             not clear whose it is; call CloudStack's own command",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        Parameters(pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect())
    }

    fn headers(cookies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, cookie.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_key_must_equal_the_cookie_before_anything_is_sent() {
        let cookies = headers(&["other=1; JSESSIONID=node0abc.node0; sessionkey=4RhSoX8f8pljKt6sLlAVxctCf6w"]);
        let good = parameters(&[("command", "x"), ("sessionkey", "4RhSoX8f8pljKt6sLlAVxctCf6w")]);
        let caller = session(&good, &cookies).unwrap();
        assert_eq!((caller.session_id.as_str(), caller.session_key.len()), ("node0abc.node0", 27));
        for bad in [
            parameters(&[]),
            parameters(&[("sessionkey", "")]),
            parameters(&[("sessionkey", "4RhSoX8f8pljKt6sLlAVxctCf6W")]),
            parameters(&[("sessionkey", "4RhSoX8f8pljKt6sLlAVxctCf6w"), ("sessionKey", "other")]),
        ] {
            assert_eq!(session(&bad, &cookies).err(), Some(Refusal::no_session()));
        }
        for cookies in [
            headers(&[]),
            headers(&["JSESSIONID=a"]),
            headers(&["sessionkey=4RhSoX8f8pljKt6sLlAVxctCf6w"]),
            headers(&["JSESSIONID=a; JSESSIONID=b; sessionkey=4RhSoX8f8pljKt6sLlAVxctCf6w"]),
            headers(&["JSESSIONID=a b; sessionkey=4RhSoX8f8pljKt6sLlAVxctCf6w"]),
        ] {
            assert_eq!(session(&good, &cookies).err(), Some(Refusal::no_session()));
        }
    }

    #[test]
    fn api_keys_are_sent_to_cloudstack_itself() {
        let cookies = headers(&["JSESSIONID=a; sessionkey=b"]);
        let signed = parameters(&[("sessionkey", "b"), ("apiKey", "k"), ("signature", "s")]);
        assert!(session(&signed, &cookies).is_err());
    }
}
