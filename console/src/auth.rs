//! Who is behind a request: the session cookie becomes a caller, and every form must carry the token of its session.

use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use bytes::Bytes;
use engine::{Caller, Identity, Role, Session};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use subtle::ConstantTimeEq;

use crate::ConsoleState;
use crate::error::Failure;
use crate::form::Fields;
use crate::format::href;

/// The cookie that carries the session's token. The prefix makes browsers refuse it without `Secure`, with a `Domain`, or
/// from another path than `/`.
pub const SESSION_COOKIE: &str = "__Host-cloudhold";

/// The header in which scripts may send the session's token instead of the field [`crate::form::TOKEN_FIELD`].
pub(crate) const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");
/// Says that htmx made the request, which cannot follow a redirect to a whole other page.
pub(crate) const HTMX_HEADER: HeaderName = HeaderName::from_static("hx-request");

/// Somebody who is signed in.
#[derive(Debug)]
pub(crate) struct SignedIn {
    token: SecretString,
    pub(crate) session: Session,
    pub(crate) caller: Caller,
}

impl SignedIn {
    pub(crate) fn identity(&self) -> &Identity {
        &self.session.identity
    }

    pub(crate) fn is_system_admin(&self) -> bool {
        self.identity().role == Role::SystemAdmin
    }

    /// Whether a form or request carries this session's token. Takes the same time whichever character differs.
    pub(crate) fn owns_token(&self, token: &str) -> bool {
        tokens_equal(&self.session.csrf_token, token)
    }

    /// Ends the session.
    pub(crate) async fn sign_out(&self, state: &ConsoleState) -> Result<(), Failure> {
        Ok(state.engine().close_session(self.token.expose_secret()).await?)
    }
}

/// Equal and not empty, in a time that does not depend on where they differ.
pub(crate) fn tokens_equal(expected: &str, given: &str) -> bool {
    !expected.is_empty() && bool::from(expected.as_bytes().ct_eq(given.as_bytes()))
}

/// The session of a cookie, when it is a valid one.
pub(crate) async fn find_session(state: &ConsoleState, headers: &HeaderMap) -> Result<Option<SignedIn>, Failure> {
    let jar = CookieJar::from_headers(headers);
    let Some(cookie) = jar.get(SESSION_COOKIE) else { return Ok(None) };
    let session = state.engine().session(cookie.value()).await?;
    Ok(session.map(|session| SignedIn {
        token: SecretString::from(cookie.value().to_owned()),
        caller: Caller::user(session.identity.clone()),
        session,
    }))
}

/// Opens a new session (always a new id, so that nobody can plant one) and gives its cookie.
pub(crate) async fn open_session(
    state: &ConsoleState,
    headers: &HeaderMap,
    identity: &Identity,
) -> Result<CookieJar, Failure> {
    if let Some(former) = find_session(state, headers).await? {
        former.sign_out(state).await?;
    }
    let (token, _) = state.engine().open_session(identity, state.settings().session_lifetime()).await?;
    Ok(CookieJar::new().add(cookie(SESSION_COOKIE, token.expose_secret().to_owned())))
}

/// A cookie as all of ours are: only over TLS, not for scripts, and not sent along by other sites' forms.
///
/// `Lax` and not `Strict`, because people come by a link from CloudStack's page.
pub(crate) fn cookie(name: &'static str, value: String) -> Cookie<'static> {
    Cookie::build((name, value)).path("/").secure(true).http_only(true).same_site(SameSite::Lax).build()
}

/// Takes a cookie back.
pub(crate) fn removal(name: &'static str) -> Cookie<'static> {
    let mut cookie = cookie(name, String::new());
    cookie.make_removal();
    cookie
}

/// Why nobody is let in.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Nobody is signed in: to the log-in page, and from there back to `next`.
    Anonymous { scripted: bool, next: String },
    /// Something else.
    Failure(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Failure(failure) => failure.into_response(),
            Self::Anonymous { scripted, next } => {
                let page = href("login.htm", &[("next", &next)]);
                if !scripted {
                    return Redirect::to(&page).into_response();
                }
                let mut response = StatusCode::UNAUTHORIZED.into_response();
                if let Ok(page) = HeaderValue::from_str(&page) {
                    response.headers_mut().insert("hx-redirect", page);
                }
                response
            }
        }
    }
}

impl FromRequestParts<ConsoleState> for SignedIn {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &ConsoleState) -> Result<Self, Refusal> {
        match find_session(state, &parts.headers).await? {
            Some(signed) => Ok(signed),
            None => Err(Refusal::Anonymous { scripted: is_scripted(&parts.headers), next: page_to_return_to(parts) }),
        }
    }
}

fn is_scripted(headers: &HeaderMap) -> bool {
    headers.contains_key(HTMX_HEADER) || headers.contains_key(TOKEN_HEADER)
}

/// Only a page that was opened can be opened again; a form that was sent cannot.
fn page_to_return_to(parts: &Parts) -> String {
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let opened = parts.method == Method::GET && !parts.headers.contains_key(HTMX_HEADER);
    let page = path.strip_prefix(sso::CONSOLE_PATH).filter(|_| opened);
    page.unwrap_or_default().to_owned()
}

/// A system administrator. The engine guards its own data; what the server shows through this crate is guarded here.
#[derive(Debug)]
pub(crate) struct Administrator(pub(crate) SignedIn);

impl FromRequestParts<ConsoleState> for Administrator {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &ConsoleState) -> Result<Self, Refusal> {
        let signed = SignedIn::from_request_parts(parts, state).await?;
        if signed.is_system_admin() { Ok(Self(signed)) } else { Err(Failure::forbidden().into()) }
    }
}

/// A form that was sent by a page of the same session.
#[derive(Debug)]
pub(crate) struct CheckedForm {
    pub(crate) signed: SignedIn,
    pub(crate) fields: Fields,
}

impl FromRequest<ConsoleState> for CheckedForm {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &ConsoleState) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let signed = SignedIn::from_request_parts(&mut parts, state).await?;
        let header = parts.headers.get(TOKEN_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = Bytes::from_request(Request::from_parts(parts, body), state).await;
        let body = body.map_err(|_| Failure::bad_request("The form could not be read."))?;
        let fields = Fields::parse(&body);
        if !signed.owns_token(header.as_deref().unwrap_or_else(|| fields.token())) {
            return Err(Failure::forged_form().into());
        }
        Ok(Self { signed, fields })
    }
}

/// Marks requests of a door that stands behind a proxy, whose own address would be everybody's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BehindProxy;

/// The address that a request comes from, as far as it is known; for counting wrong passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer(pub(crate) Option<IpAddr>);

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let direct = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let proxied = parts.extensions.get::<BehindProxy>().and_then(|_| forwarded_for(&parts.headers));
        Ok(Self(proxied.or(direct).map(network)))
    }
}

/// The address that the proxy saw: the last one, because those before it were sent by the client.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

/// One household has a whole /64 of IPv6 addresses, so they count as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_compared_and_an_empty_one_never_fits() {
        assert!(tokens_equal("abc", "abc"));
        for (expected, given) in [("abc", "abd"), ("abc", "ab"), ("abc", ""), ("", "")] {
            assert!(!tokens_equal(expected, given));
        }
    }

    #[test]
    fn the_last_forwarded_address_counts() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("1.2.3.4, 10.0.0.7"));
        assert_eq!(forwarded_for(&headers), Some(IpAddr::from([10, 0, 0, 7])));
        headers.append("x-forwarded-for", HeaderValue::from_static("10.0.0.8"));
        assert_eq!(forwarded_for(&headers), Some(IpAddr::from([10, 0, 0, 8])));
    }

    #[test]
    fn neighbours_of_ipv6_count_as_one() {
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        let two: IpAddr = "2001:db8::ffff:2".parse().unwrap();
        assert_eq!(network(one), network(two));
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()), IpAddr::from([10, 0, 0, 1]));
    }
}
