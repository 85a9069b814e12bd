//! Who asks for identities: signature version 4, in the header or, of a GET, in the query, over the whole body.

use engine::{Caller, Engine, Facts, IamAction, IamError, KeyLogin};
use http::Method;
use http::request::Parts;
use sha2::{Digest, Sha256};

use super::error::Failure;
use crate::Settings;
use crate::auth::{SignedTime, check_signed_headers, parse_basic_date, session_token, time_of_v4};
use crate::region::{Signed, fits};
use crate::scheme::{Scheme, scheme_of};

/// The services that such requests are signed for.
const SERVICES: [&str; 2] = ["iam", "sts"];

/// A key that exists, and what a request that names it says of its signature, which is not checked yet.
#[derive(Debug)]
pub(super) struct Claim {
    login: KeyLogin,
    credential: String,
    signed_headers: String,
    signature: String,
    service: &'static str,
    time: SignedTime<'static>,
    in_query: bool,
}

/// Looks the key of a request up, before its body is read.
pub(super) async fn claim(engine: &Engine, settings: &Settings, parts: &Parts) -> Result<Claim, Failure> {
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let scheme = scheme_of(&parts.headers, &query).map_err(|_| Failure::incomplete_signature())?;
    let access_key = scheme.as_ref().map(|scheme| scheme.access_key().to_owned());
    let access_key = access_key.ok_or_else(Failure::missing_token)?;
    let token = session_token(&parts.headers, &query).map_err(|_| Failure::unknown_key())?;
    let login = engine.key_login_with_token(&access_key, token).await;
    let login = login.map_err(|error| match error {
        engine::Error::Iam(IamError::InvalidToken) => Failure::unknown_key(),
        error => Failure::of(error),
    })?;
    let login = login.ok_or_else(Failure::unknown_key)?;
    let now_s = engine.clock().now_us() / 1_000_000;
    let (credential, signed_headers, signature, time, in_query) = match scheme {
        Some(Scheme::V4Header { credential, signed_headers, signature }) => {
            let time = time_of_v4(&parts.headers).ok_or_else(Failure::incomplete_signature)?;
            (credential, signed_headers, signature, time.into_owned(), false)
        }
        Some(Scheme::V4Query { credential, date, signed_headers, expires, signature })
            if parts.method == Method::GET =>
        {
            check_expires(now_s, &date, &expires)?;
            (credential, signed_headers, signature, SignedTime { basic: date.clone().into(), said: date.into() }, true)
        }
        Some(Scheme::V4Query { .. } | Scheme::V2Header { .. } | Scheme::V2Query { .. }) | None => {
            return Err(Failure::incomplete_signature());
        }
    };
    check_signed_headers(&signed_headers, &parts.headers).map_err(|_| Failure::incomplete_signature())?;
    let service = service_of(&credential, &time.basic)?;
    check_time(now_s, settings.skew_seconds_max, &time.basic)?;
    Ok(Claim { login, credential, signed_headers, signature, service, time, in_query })
}

impl Claim {
    /// Refuses a request whose signature does not fit, or whose body is another than its header says.
    pub(super) fn must_fit(&self, parts: &Parts, body: &[u8]) -> Result<(), Failure> {
        let hash = hex::encode(Sha256::digest(body));
        let announced = parts.headers.get("x-amz-content-sha256").map(|value| value.as_bytes());
        let request = Signed {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            credential: &self.credential,
            signed_headers: &self.signed_headers,
            signature: &self.signature,
            time: &self.time.basic,
            said_time: &self.time.said,
            in_query: self.in_query,
        };
        // Without this a body could be changed on the way, whatever a header says of it.
        let is_hashed = announced.is_none_or(|announced| announced == hash.as_bytes());
        if is_hashed && fits(&request, &self.login.secret_key, self.service, &hash) {
            return Ok(());
        }
        Err(Failure::signature())
    }

    /// Refuses an operation of another service than the one that was signed for.
    pub(super) fn must_be_for(&self, action: IamAction) -> Result<(), Failure> {
        if action.service().name() == self.service { Ok(()) } else { Err(Failure::scope(action.service())) }
    }

    /// The caller; only after the signature was seen to fit.
    pub(super) fn caller(&self, facts: Facts) -> Caller {
        self.login.caller(facts)
    }
}

/// The service in `<access key>/<date>/<region>/<service>/aws4_request`, whose date must be that of the request.
fn service_of(credential: &str, time: &str) -> Result<&'static str, Failure> {
    let fields: Vec<&str> = credential.split('/').collect();
    let [_, date, _, service, "aws4_request"] = fields.as_slice() else { return Err(Failure::incomplete_signature()) };
    let service = SERVICES.into_iter().find(|known| known == service).ok_or_else(Failure::incomplete_signature)?;
    if time.get(..8) == Some(date) { Ok(service) } else { Err(Failure::signature()) }
}

/// Refuses what was signed too long ago, or too far ahead: the same bytes are worth nothing later. A link lives no longer than that either.
fn check_time(now_s: i64, skew_seconds_max: u32, time: &str) -> Result<(), Failure> {
    let off = signed_s(time)?.abs_diff(now_s);
    if off <= u64::from(skew_seconds_max) { Ok(()) } else { Err(Failure::skewed()) }
}

/// Refuses a link that has ended by what it says itself.
fn check_expires(now_s: i64, time: &str, expires: &str) -> Result<(), Failure> {
    let lives_s: u32 = expires.parse().map_err(|_| Failure::incomplete_signature())?;
    let ends_s = signed_s(time)?.saturating_add(i64::from(lives_s));
    if now_s <= ends_s { Ok(()) } else { Err(Failure::skewed()) }
}

/// When something was signed, in seconds of the Unix epoch.
fn signed_s(time: &str) -> Result<i64, Failure> {
    Ok(parse_basic_date(time).ok_or_else(Failure::incomplete_signature)?.unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_names_one_of_both_services_and_the_day() {
        assert_eq!(service_of("AK/20261128/r/iam/aws4_request", "20261128T000000Z").expect("a service"), "iam");
        assert_eq!(service_of("AK/20261128//sts/aws4_request", "20261128T000000Z").expect("a service"), "sts");
        for (credential, time) in [
            ("AK/20261128/r/s3/aws4_request", "20261128T000000Z"),
            ("AK/20261127/r/iam/aws4_request", "20261128T000000Z"),
            ("AK/20261128/r/iam", "20261128T000000Z"),
            ("AK/20261128/r/iam/aws4_request", ""),
        ] {
            assert!(service_of(credential, time).is_err(), "{credential} {time}");
        }
    }

    #[test]
    fn old_and_future_requests_are_refused() {
        let now_s = 1_795_824_000;
        assert!(check_time(now_s, 900, "20261128T000000Z").is_ok());
        assert!(check_time(now_s + 900, 900, "20261128T000000Z").is_ok());
        assert!(check_time(now_s + 901, 900, "20261128T000000Z").is_err());
        assert!(check_time(now_s - 901, 900, "20261128T000000Z").is_err());
        assert!(check_time(now_s, 900, "yesterday").is_err());
        assert!(check_expires(now_s + 60, "20261128T000000Z", "60").is_ok());
        assert!(check_expires(now_s + 61, "20261128T000000Z", "60").is_err());
        assert!(check_expires(now_s, "20261128T000000Z", "-1").is_err());
    }
}
