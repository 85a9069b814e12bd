//! Who asks. In front of the protocol layer, which checks signatures, this looks the access key up before anything else, and refuses
//! what that layer would let pass: headers that a link did not sign, stale version 2 requests, links that live too long, and tokens of
//! sessions that are not the key's.

use std::borrow::Cow;

use std::sync::Arc;

use engine::{Engine, KeyLogin};
use http::header::{DATE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use s3s::{S3Error, S3Result, s3_error};
use time::{OffsetDateTime, UtcOffset};

use crate::chunk_signatures::Signatures;
use crate::error::{custom, from_engine};
use crate::operations::is_unsigned_by_v2;
use crate::region::{Resigned, with_plain_region};
use crate::scheme::{Scheme, query_error, scheme_of};
use crate::slash::{Signed, with_signed_slash};
use crate::{Settings, region};

/// Longest life of a link signed with signature version 4, in seconds: 7 days.
const V4_EXPIRES_SECONDS_MAX: u64 = 7 * 24 * 60 * 60;
pub(crate) const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");

/// An access key that exists, and whose it is. The signature is not checked yet.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) access_key: String,
    pub(crate) login: KeyLogin,
}

/// A request that may go on to the protocol layer.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) claim: Claim,
    /// The header to go on with, where it is another than the one that came.
    pub(crate) authorization: Option<HeaderValue>,
    /// The target to go on with, where it is another than the one that came.
    pub(crate) target: Option<Uri>,
    /// What the signatures of its chunks are to be replaced by, where they are.
    pub(crate) signatures: Option<Signatures>,
    /// The `x-amz-date` to go on with, where `Date` stood in its place.
    pub(crate) date: Option<HeaderValue>,
}

impl Checked {
    /// A request that goes on as it came.
    fn new(claim: Claim) -> Self {
        Self { claim, authorization: None, target: None, signatures: None, date: None }
    }
}

/// What a request is checked with before the protocol layer sees it.
#[derive(Clone, Debug)]
pub(crate) struct FrontCheck {
    pub(crate) engine: Engine,
    pub(crate) settings: Arc<Settings>,
}

impl FrontCheck {
    /// The claim of a signed request, `None` for an unsigned one, or why it is refused. An unknown key is refused first of all.
    pub(crate) async fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> S3Result<Option<Checked>> {
        let query = uri.query().unwrap_or_default();
        let query: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let Some(scheme) = scheme_of(headers, &query)? else { return Ok(None) };
        let access_key = scheme.access_key().to_owned();
        let token = session_token(headers, &query)?;
        let login = self.engine.key_login_with_token(&access_key, token).await.map_err(from_engine)?;
        let login = login.ok_or_else(|| s3_error!(InvalidAccessKeyId))?;
        let time = time_of(&scheme, headers);
        self.check_scheme(&scheme, time.as_ref(), headers, &query)?;
        let resigned = signed_v4(&scheme, time.as_ref(), method, uri, headers)
            .and_then(|signed| with_plain_region(&signed, &login.secret_key));
        let slashed =
            signed_v2(&scheme, method, uri, headers).and_then(|signed| with_signed_slash(&signed, &login.secret_key));
        let by_date = matches!(scheme, Scheme::V4Header { .. }) && !headers.contains_key(X_AMZ_DATE);
        let date = time.filter(|_| by_date).and_then(|time| HeaderValue::try_from(&*time.basic).ok());
        let as_it_came = Checked { date, ..Checked::new(Claim { access_key, login }) };
        Ok(Some(match resigned {
            Some(Resigned::Header(authorization, signatures)) => {
                Checked { authorization: Some(authorization), signatures, ..as_it_came }
            }
            Some(Resigned::Target(target)) => Checked { target: Some(target), ..as_it_came },
            None => Checked { target: slashed, ..as_it_came },
        }))
    }

    fn check_scheme(
        &self,
        scheme: &Scheme,
        time: Option<&SignedTime<'_>>,
        headers: &HeaderMap,
        query: &[(String, String)],
    ) -> S3Result {
        match scheme {
            Scheme::V4Header { credential, signed_headers, .. } => {
                check_scope(credential).ok_or_else(|| {
                    s3_error!(
                        AuthorizationHeaderMalformed,
                        "The credential must be <access key>/<date>/<region>/s3/aws4_request."
                    )
                })?;
                time.ok_or_else(no_date)?;
                check_signed_headers(signed_headers, headers)
            }
            Scheme::V4Query { credential, date, signed_headers, expires, .. } => {
                check_scope(credential).ok_or_else(|| {
                    query_error("The X-Amz-Credential must be <access key>/<date>/<region>/s3/aws4_request.")
                })?;
                parse_basic_date(date).ok_or_else(|| {
                    query_error("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
                })?;
                check_v4_expires(expires)?;
                check_signed_headers(signed_headers, headers)
            }
            Scheme::V2Header { .. } => self.check_v2_date(headers),
            Scheme::V2Query { expires, .. } => {
                check_v2_subresources(query)?;
                self.check_v2_expires(expires)
            }
        }
    }

    fn now_s(&self) -> i64 {
        self.engine.clock().now_us() / 1_000_000
    }

    fn check_v2_date(&self, headers: &HeaderMap) -> S3Result {
        let date = headers.get(X_AMZ_DATE).or_else(|| headers.get(DATE)).and_then(|value| value.to_str().ok());
        let Some(sent) = date.and_then(parse_date).filter(|sent| sent.unix_timestamp() >= 0) else {
            return Err(no_date());
        };
        if self.now_s().abs_diff(sent.unix_timestamp()) > u64::from(self.settings.skew_seconds_max) {
            return Err(s3_error!(RequestTimeTooSkewed));
        }
        Ok(())
    }

    fn check_v2_expires(&self, expires: &str) -> S3Result {
        let at_s: i64 = expires
            .parse()
            .map_err(|_| s3_error!(AccessDenied, "Invalid date (should be seconds since epoch): {expires}"))?;
        if at_s > self.now_s() + i64::from(self.settings.v2_expires_seconds_max) {
            let days = self.settings.v2_expires_seconds_max / 86_400;
            return Err(s3_error!(AccessDenied, "Expires is too far in the future: a link may live {days} days."));
        }
        Ok(())
    }
}

/// Refuses a link to an operation that its signature says nothing of: whoever was given it to store an object would lock one with it.
fn check_v2_subresources(query: &[(String, String)]) -> S3Result {
    match query.iter().find(|(name, _)| is_unsigned_by_v2(name)) {
        Some((name, _)) => Err(s3_error!(
            AccessDenied,
            "A link of signature version 2 does not cover the parameter {name}: use signature version 4."
        )),
        None => Ok(()),
    }
}

/// When a version 4 signature was made.
#[derive(Clone, Debug)]
pub(crate) struct SignedTime<'a> {
    /// In the form of version 4.
    pub(crate) basic: Cow<'a, str>,
    /// As the request says it.
    pub(crate) said: Cow<'a, str>,
}

impl SignedTime<'_> {
    pub(crate) fn into_owned(self) -> SignedTime<'static> {
        SignedTime { basic: Cow::Owned(self.basic.into_owned()), said: Cow::Owned(self.said.into_owned()) }
    }
}

fn time_of<'a>(scheme: &'a Scheme, headers: &'a HeaderMap) -> Option<SignedTime<'a>> {
    match scheme {
        Scheme::V4Header { .. } => time_of_v4(headers),
        Scheme::V4Query { date, .. } => Some(SignedTime { basic: date.into(), said: date.into() }),
        Scheme::V2Header { .. } | Scheme::V2Query { .. } => None,
    }
}

/// When a version 4 signature in a header was made: `x-amz-date` says it, and where that is not there, `Date` does, in one of its forms.
pub(crate) fn time_of_v4(headers: &HeaderMap) -> Option<SignedTime<'_>> {
    let name = if headers.contains_key(X_AMZ_DATE) { X_AMZ_DATE } else { DATE };
    let mut values = headers.get_all(&name).iter();
    let said = values.next()?.to_str().ok().filter(|_| values.next().is_none())?;
    let basic = if name == DATE {
        parse_date(said)?.to_offset(UtcOffset::UTC).format(BASIC_DATE).ok()?.into()
    } else {
        parse_basic_date(said).map(|_| said)?.into()
    };
    Some(SignedTime { basic, said: said.into() })
}

/// The request as a version 4 signature sees it.
fn signed_v4<'a>(
    scheme: &'a Scheme,
    time: Option<&'a SignedTime<'_>>,
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
) -> Option<region::Signed<'a>> {
    let (credential, signed_headers, signature, in_query) = match scheme {
        Scheme::V2Header { .. } | Scheme::V2Query { .. } => return None,
        Scheme::V4Header { credential, signed_headers, signature } => (credential, signed_headers, signature, false),
        Scheme::V4Query { credential, signed_headers, signature, .. } => (credential, signed_headers, signature, true),
    };
    let SignedTime { basic: time, said: said_time } = time?;
    Some(region::Signed { method, uri, headers, credential, signed_headers, signature, time, said_time, in_query })
}

/// The request as a version 2 signature sees it.
fn signed_v2<'a>(scheme: &'a Scheme, method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap) -> Option<Signed<'a>> {
    let (date, signature) = match scheme {
        Scheme::V4Header { .. } | Scheme::V4Query { .. } => return None,
        Scheme::V2Header { signature, .. } if headers.contains_key(X_AMZ_DATE) => ("", signature),
        Scheme::V2Header { signature, .. } => (headers.get(DATE)?.to_str().ok()?, signature),
        Scheme::V2Query { expires, signature, .. } => (expires.as_str(), signature),
    };
    Some(Signed { method, uri, headers, date, signature })
}

/// The token of a session, from where it stands. Two of them, or one that is no text, can be nobody's.
pub(crate) fn session_token<'a>(headers: &'a HeaderMap, query: &'a [(String, String)]) -> S3Result<Option<&'a str>> {
    const NAME: &str = "x-amz-security-token";
    let invalid = || s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid.");
    let mut found = Vec::new();
    for value in headers.get_all(NAME) {
        found.push(value.to_str().map_err(|_| invalid())?);
    }
    found.extend(query.iter().filter(|(name, _)| name.eq_ignore_ascii_case(NAME)).map(|(_, value)| value.as_str()));
    found.retain(|token| !token.is_empty());
    match found.as_slice() {
        [] => Ok(None),
        [token] => Ok(Some(token)),
        _ => Err(invalid()),
    }
}

fn no_date() -> S3Error {
    s3_error!(AccessDenied, "AWS authentication requires a valid Date or x-amz-date header")
}

/// The protocol layer cannot take a date that is not of digits: it stumbles over it.
fn check_scope(credential: &str) -> Option<()> {
    let fields: Vec<&str> = credential.split('/').collect();
    let is_date = |date: &str| date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
    matches!(fields.as_slice(), [_, date, _, "s3", "aws4_request"] if is_date(date)).then_some(())
}

fn check_v4_expires(expires: &str) -> S3Result {
    let refuse =
        |message: &'static str| Err(custom("AuthorizationQueryParametersError", StatusCode::FORBIDDEN, message));
    match expires.parse::<i64>() {
        Ok(seconds) if seconds < 0 => refuse("X-Amz-Expires must be non-negative"),
        Ok(0) => Err(s3_error!(AccessDenied, "Request has expired")),
        Ok(seconds) if seconds.unsigned_abs() > V4_EXPIRES_SECONDS_MAX => refuse(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds",
        ),
        Ok(_) => Ok(()),
        Err(_) => refuse("X-Amz-Expires should be a number"),
    }
}

/// Every `x-amz-*` header must be signed, else whoever holds a link could add what its maker did not mean. The hash of the payload may
/// stand beside a link unsigned: the body is compared with it, which can only refuse more.
pub(crate) fn check_signed_headers(signed_headers: &str, headers: &HeaderMap) -> S3Result {
    let signed: Vec<String> = signed_headers.split(';').map(str::to_ascii_lowercase).collect();
    let is_signed = |name: &str| signed.iter().any(|signed| signed == name);
    let unsigned = headers
        .keys()
        .map(HeaderName::as_str)
        .find(|name| name.starts_with("x-amz-") && *name != "x-amz-content-sha256" && !is_signed(name));
    if unsigned.is_some() || !is_signed("host") {
        let name = unsigned.unwrap_or("host");
        return Err(s3_error!(AccessDenied, "There were headers present in the request which were not signed: {name}"));
    }
    Ok(())
}

/// Reads the dates that version 2 clients send: RFC 2822 with `GMT` or an offset, or the form of version 4.
pub(crate) fn parse_date(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &time::format_description::well_known::Rfc2822).ok().or_else(|| parse_basic_date(text))
}

/// The form of the dates of version 4: `yyyyMMdd'T'HHmmss'Z'`.
const BASIC_DATE: &[time::format_description::BorrowedFormatItem<'_>] =
    time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");

/// Reads the dates of version 4.
pub(crate) fn parse_basic_date(text: &str) -> Option<OffsetDateTime> {
    // The parser takes signs, too.
    let is_plain = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'T' | b'Z'));
    is_plain.then(|| Some(time::PrimitiveDateTime::parse(text, BASIC_DATE).ok()?.assume_utc())).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::try_from(*name).expect("a header name");
            map.append(name, http::HeaderValue::try_from(*value).expect("a header value"));
        }
        map
    }

    fn code(result: &S3Result) -> String {
        result.as_ref().map_or_else(|error| error.code().as_str().to_owned(), |()| "OK".to_owned())
    }

    #[test]
    fn unsigned_amz_headers_are_refused() {
        let plain = headers(&[("host", "h"), ("x-amz-date", "d"), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")]);
        assert_eq!(code(&check_signed_headers("host;x-amz-date", &plain)), "OK");
        assert_eq!(code(&check_signed_headers("host", &plain)), "AccessDenied");
        assert_eq!(code(&check_signed_headers("x-amz-date", &plain)), "AccessDenied");
        let smuggled = headers(&[("x-amz-copy-source", "other/key")]);
        assert_eq!(code(&check_signed_headers("host", &smuggled)), "AccessDenied");
        assert_eq!(code(&check_signed_headers("host;x-amz-copy-source", &smuggled)), "OK");
    }

    #[test]
    fn links_live_seven_days_at_most() {
        assert_eq!(code(&check_v4_expires("604800")), "OK");
        assert_eq!(code(&check_v4_expires("604801")), "AuthorizationQueryParametersError");
        assert_eq!(code(&check_v4_expires("-7")), "AuthorizationQueryParametersError");
        assert_eq!(code(&check_v4_expires("x")), "AuthorizationQueryParametersError");
        assert_eq!(code(&check_v4_expires("0")), "AccessDenied");
    }

    #[test]
    fn dates_of_old_clients_are_read() {
        let at = 1_727_776_800;
        for text in [
            "Tue, 01 Oct 2024 10:00:00 +0000",
            "Tue, 01 Oct 2024 10:00:00 GMT",
            "20241001T100000Z",
            "Tue, 01 Oct 2024 12:00:00 +0200",
        ] {
            assert_eq!(parse_date(text).map(OffsetDateTime::unix_timestamp), Some(at), "{text}");
        }
        assert_eq!(parse_date("yesterday"), None);
    }

    #[test]
    fn dates_of_version_4_are_of_digits() {
        assert!(parse_basic_date("20241001T100000Z").is_some());
        for text in [
            "",
            "/0241001T100000Z",
            "-0241001T100000Z",
            "+0241001T100000Z",
            "20241001T100000",
            "20241301T100000Z",
            "2024100TT10000ZZ",
        ] {
            assert_eq!(parse_basic_date(text), None, "{text}");
        }
    }

    #[test]
    fn the_scope_names_this_service() {
        assert!(check_scope("AK/20241001/auto/s3/aws4_request").is_some());
        assert!(check_scope("AK/20241001//s3/aws4_request").is_some());
        assert!(check_scope("AK/20241001/auto/sts/aws4_request").is_none());
        assert!(check_scope("AK/20241001/auto/s3").is_none());
        assert!(check_scope("AK/..241001/auto/s3/aws4_request").is_none());
        assert!(check_scope("AK//auto/s3/aws4_request").is_none());
    }
}
