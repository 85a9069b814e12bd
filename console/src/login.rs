//! The log-in page: group, user and password.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use bytes::Bytes;
use engine::{Error, GroupId, UserId};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use secrecy::SecretString;

use crate::ConsoleState;
use crate::auth::{Peer, cookie, find_session, open_session, removal, tokens_equal};
use crate::error::{Failure, PageResult, render};
use crate::form::Fields;
use crate::shell::Shell;

/// Proves that a log-in was typed into our page: its value stands in the page's form as well, and other sites can neither
/// read nor set it.
const FORM_COOKIE: &str = "__Host-cloudhold-form";

/// What HyperStore calls the group of the system administrators on its log-in page.
const SYSTEM_GROUP_LABEL: &str = "System Admin";

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    shell: Shell,
    form_token: &'a str,
    group: &'a str,
    user: &'a str,
    next: &'a str,
}

/// `OPTIONS /Cloudian/login.htm`: load balancers ask whether the console lives.
pub(crate) async fn options() -> impl IntoResponse {
    [(header::ALLOW, "GET, HEAD, OPTIONS, POST")]
}

/// `GET /Cloudian/login.htm?next=`
pub(crate) async fn page(State(state): State<ConsoleState>, headers: HeaderMap, query: Fields) -> PageResult {
    if find_session(&state, &headers).await?.is_some() {
        return Ok(Redirect::to(&after_login(query.text("next"))).into_response());
    }
    let typed = Typed { group: query.text("group"), user: "", next: query.text("next") };
    Ok(show(&headers, &typed, None))
}

/// What stays in the form when the page is shown again: everything but the password.
struct Typed<'a> {
    group: &'a str,
    user: &'a str,
    next: &'a str,
}

fn show(headers: &HeaderMap, typed: &Typed<'_>, problem: Option<String>) -> Response {
    let form_token = form_token(headers).unwrap_or_else(|| hex::encode(rand::random::<[u8; 16]>()));
    let page = LoginPage {
        shell: Shell::anonymous("Sign in").with_problem(problem),
        form_token: &form_token,
        group: typed.group,
        user: typed.user,
        next: typed.next,
    };
    (CookieJar::new().add(cookie(FORM_COOKIE, form_token.clone())), render(&page)).into_response()
}

fn form_token(headers: &HeaderMap) -> Option<String> {
    let jar = CookieJar::from_headers(headers);
    let token = jar.get(FORM_COOKIE)?.value();
    let ours = token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    ours.then(|| token.to_owned())
}

/// `POST /Cloudian/login.htm` with `groupid`, `userid`, `password`, `next`
pub(crate) async fn login(
    State(state): State<ConsoleState>,
    peer: Peer,
    headers: HeaderMap,
    body: Bytes,
) -> PageResult {
    let fields = Fields::parse(&body);
    if !tokens_equal(&form_token(&headers).unwrap_or_default(), fields.token()) {
        return Err(Failure::forged_form());
    }
    let typed = Typed { group: fields.text("groupid"), user: fields.text("userid"), next: fields.text("next") };
    let Some((group_id, user_id)) = ids(&typed) else { return Ok(refused(&headers, &typed)) };
    let attempt = match state.throttle().begin(peer.0, group_id.as_str(), user_id.as_str()) {
        Ok(attempt) => attempt,
        Err(wait_s) => return Ok(too_many(&headers, &typed, wait_s)),
    };
    let password = SecretString::from(fields.text("password").to_owned());
    match state.engine().login_with_password(&group_id, &user_id, &password).await {
        Ok(identity) => {
            state.throttle().succeeded(&attempt);
            let jar = open_session(&state, &headers, &identity).await?.add(removal(FORM_COOKIE));
            Ok((jar, Redirect::to(&after_login(typed.next))).into_response())
        }
        Err(Error::LoginRefused) => Ok(refused(&headers, &typed)),
        Err(other) => Err(other.into()),
    }
}

/// What was typed, when somebody could have such ids at all. Other texts are not even counted, so that nobody fills the
/// memory with long ones.
fn ids(typed: &Typed<'_>) -> Option<(GroupId, UserId)> {
    Some((GroupId::new(group_meant(typed.group)).ok()?, UserId::new(typed.user.trim()).ok()?))
}

/// Says the same whatever was wrong.
fn refused(headers: &HeaderMap, typed: &Typed<'_>) -> Response {
    let problem = "Group, user or password is not right, or the account is switched off.";
    (StatusCode::UNAUTHORIZED, show(headers, typed, Some(problem.to_owned()))).into_response()
}

fn group_meant(typed: &str) -> &str {
    let typed = typed.trim();
    if typed.eq_ignore_ascii_case(SYSTEM_GROUP_LABEL) { GroupId::SYSTEM } else { typed }
}

fn too_many(headers: &HeaderMap, typed: &Typed<'_>, wait_s: u64) -> Response {
    let minutes = crate::format::count(wait_s.div_ceil(60), "minute");
    let page = show(headers, typed, Some(format!("Too many wrong passwords. Try again in {minutes}.")));
    let mut response = (StatusCode::TOO_MANY_REQUESTS, page).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait_s));
    response
}

/// Where to go after the log-in: never out of the console, whatever the link to the log-in page said.
fn after_login(next: &str) -> String {
    sso::safe_redirect(Some(next)).unwrap_or_else(|_| sso::CONSOLE_PATH.to_owned())
}
