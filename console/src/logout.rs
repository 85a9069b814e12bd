//! Signing out, by our own button or by the link that CloudStack's page opens when somebody signs out there.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use http::{HeaderMap, Method, StatusCode};
use sso::LogoutOrigins;

use crate::ConsoleState;
use crate::auth::{CheckedForm, SESSION_COOKIE, find_session, removal};
use crate::error::{PageResult, render};
use crate::form::Fields;
use crate::shell::Shell;

#[derive(Template)]
#[template(path = "signed_out.html")]
struct SignedOutPage {
    shell: Shell,
}

/// `GET /Cloudian/logout.htm?redirect=`. CloudStack's page opens it, so it cannot carry a token: the worst that another site
/// can do with it is to sign somebody out.
pub(crate) async fn by_link(
    State(state): State<ConsoleState>,
    method: Method,
    headers: HeaderMap,
    query: Fields,
) -> PageResult {
    if method == Method::HEAD {
        return Ok(StatusCode::OK.into_response());
    }
    if let Some(signed) = find_session(&state, &headers).await? {
        signed.sign_out(&state).await?;
    }
    let mut wanted = query.all("redirect");
    let target = match (wanted.next(), wanted.next()) {
        (Some(only), None) => allowed(&state, only),
        (None | Some(_), _) => None,
    };
    Ok(signed_out(target))
}

/// `POST /Cloudian/logout.htm`
pub(crate) async fn by_form(State(state): State<ConsoleState>, form: CheckedForm) -> PageResult {
    form.signed.sign_out(&state).await?;
    Ok(signed_out(None))
}

fn signed_out(target: Option<String>) -> Response {
    let jar = CookieJar::new().add(removal(SESSION_COOKIE));
    match target {
        Some(target) => (jar, Redirect::to(&target)).into_response(),
        None => (jar, render(&SignedOutPage { shell: Shell::anonymous("Signed out") })).into_response(),
    }
}

/// A page of a known CloudStack, or one of ours. Everything else would make this an open redirect.
fn allowed(state: &ConsoleState, wanted: &str) -> Option<String> {
    let configured = state.settings().logout_origins.iter().cloned();
    let known = configured.chain(state.sso().logout_origins());
    let outside = known.filter_map(|url| LogoutOrigins::new([url]).ok()).find_map(|origin| origin.target(wanted));
    match outside {
        Some(url) => Some(url.into()),
        None => sso::safe_redirect(Some(wanted)).ok(),
    }
}
