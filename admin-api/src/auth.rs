//! Basic authentication of the service account. The engine checks the password; here it is only read and guesses are
//! slowed down.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use engine::{Caller, Error};
use http::{HeaderMap, header::AUTHORIZATION};
use secrecy::{SecretString, zeroize::Zeroizing};

use crate::{AdminApi, error::Refusal, request::decode_text};

/// A user and password as a client sent them.
#[derive(Debug)]
struct Basic {
    user: String,
    password: SecretString,
}

impl Basic {
    /// Reads the one `Authorization` header; `None` when there is none, more than one, or it is not well formed.
    fn read(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (value, more) = (values.next()?, values.next());
        if more.is_some() {
            return None;
        }
        let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
        let text = Zeroizing::new(decode_text(&decoded));
        let (user, password) = text.split_once(':')?;
        Some(Self { user: user.to_owned(), password: password.into() })
    }
}

/// The caller that the request proves to be.
pub(crate) async fn login(api: &AdminApi, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Caller, Refusal> {
    let Some(basic) = Basic::read(headers) else {
        return Err(Refusal::unauthorized());
    };
    api.throttle.admit(peer)?;
    match api.engine.login_service_account(&basic.user, &basic.password).await {
        Ok(caller) => Ok(caller),
        Err(Error::LoginRefused) => {
            api.throttle.failed(peer).await;
            Err(Refusal::unauthorized())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use secrecy::ExposeSecret;

    use super::*;

    fn read(values: &[&str]) -> Option<(String, String)> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        let basic = Basic::read(&headers)?;
        Some((basic.user, basic.password.expose_secret().to_owned()))
    }

    #[test]
    fn the_recorded_header_is_read() {
        let read = read(&["Basic c3lzYWRtaW46czNjcmV0IHBhc3Mrd29yZA=="]).unwrap();
        assert_eq!(read, ("sysadmin".to_owned(), "s3cret pass+word".to_owned()));
    }

    #[test]
    fn passwords_hold_colons_and_come_in_either_encoding() {
        let with = |bytes: &[u8]| read(&[&format!("bAsIc  {}", STANDARD.encode(bytes))]).unwrap().1;
        assert_eq!(with(b"u:a:b"), "a:b");
        assert_eq!(with("u:é".as_bytes()), "é");
        assert_eq!(with(b"u:\xe9"), "é");
        assert_eq!(with(b"u:"), "");
    }

    #[test]
    fn what_is_not_one_basic_header_is_none() {
        let good = "Basic dTpw";
        assert!(read(&[good]).is_some());
        for bad in [&[][..], &[good, good], &["Bearer dTpw"], &["Basic"], &["Basic ?"], &["Basic dQ=="]] {
            assert!(read(bad).is_none(), "{bad:?}");
        }
    }
}
