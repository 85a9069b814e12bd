//! The landing of a signed link from CloudStack: checked, used once, and turned into a session.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect};
use engine::{Error, GroupId, Identity, UserId};
use http::{HeaderMap, Method, StatusCode};
use sso::{Verified, Verifier};
use std::sync::Arc;

use crate::ConsoleState;
use crate::auth::open_session;
use crate::error::{Failure, PageResult};

/// Where the key of the signed links comes from: the configuration, a file, or CloudStack's setting.
pub trait SsoKeySource: Send + Sync {
    /// The key; `None` when single sign-on is not set up.
    fn shared_key(&self) -> Option<sso::SharedKey>;

    /// Pages of CloudStack, beside the configured ones, to which a browser may be sent after signing out.
    fn logout_origins(&self) -> Vec<String>;
}

/// `GET /Cloudian/ssosecurelogin.htm?user=&group=&timestamp=&signature=&redirect=`
pub(crate) async fn login(
    State(state): State<ConsoleState>,
    method: Method,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> PageResult {
    if method == Method::HEAD {
        // Whoever only looks at a link (a mail filter, a preview) must not use it up.
        return Ok(StatusCode::OK.into_response());
    }
    let verified = verify(&state, query.as_deref().unwrap_or_default())?;
    let target = sso::safe_redirect(verified.redirect.as_deref()).map_err(|error| refused(error, &state))?;
    let remember_until_us = verified.remember_until_ms.saturating_mul(1000);
    state.engine().claim_link(verified.signature.as_bytes(), remember_until_us).await?;
    let identity = identify(&state, &verified).await?;
    let jar = open_session(&state, &headers, &identity).await?;
    Ok((jar, Redirect::to(&target)).into_response())
}

fn verify(state: &ConsoleState, query: &str) -> Result<Verified, Failure> {
    let Some(key) = state.sso().shared_key() else {
        let text = "Sign-in from CloudStack is not set up here. Sign in with your password, or ask your administrator.";
        return Err(Failure::new(StatusCode::FORBIDDEN, "Sign-in from CloudStack is off", text));
    };
    let verifier = Verifier::new(key, state.settings().sso_window());
    verifier.verify(query, state.engine().clock().now_ms()).map_err(|error| refused(error, state))
}

async fn identify(state: &ConsoleState, verified: &Verified) -> Result<Arc<Identity>, Failure> {
    let found = match (GroupId::new(&verified.login.group), UserId::new(&verified.login.user)) {
        (Ok(group_id), Ok(user_id)) => state.engine().login_by_proof(&group_id, &user_id).await,
        (Err(error), _) | (_, Err(error)) => Err(error),
    };
    found.map_err(|error| match error {
        Error::LoginRefused | Error::Invalid { .. } => {
            let text = "Your account is not known to the store yet, or it is switched off. New accounts appear within \
                        minutes; if it lasts, ask your administrator.";
            Failure::new(StatusCode::FORBIDDEN, "Your account is not ready", text)
        }
        other => other.into(),
    })
}

/// Says what people can do about it, and nothing that helps in forging a link. The reason goes to the log.
fn refused(error: sso::Error, state: &ConsoleState) -> Failure {
    tracing::info!(reason = %error, "a sign-on link was refused");
    match error {
        sso::Error::MalformedQuery | sso::Error::Missing(_) | sso::Error::Repeated(_) => Failure::new(
            StatusCode::BAD_REQUEST,
            "This link is not complete",
            "Go back to CloudStack and open the storage from there.",
        ),
        sso::Error::OutsideWindow => Failure::new(
            StatusCode::FORBIDDEN,
            "This link has expired",
            format!(
                "A link works for {}. Go back to CloudStack and open the storage from there. If that fails each time, \
                 the clocks of the two systems differ: tell your administrator.",
                window_words(state.settings().sso_window_s)
            ),
        ),
        sso::Error::UnsafeRedirect => Failure::new(
            StatusCode::BAD_REQUEST,
            "This link leads somewhere else",
            "It asks to be sent to an address outside this console. Go back to CloudStack and open the storage from there.",
        ),
        sso::Error::UnsignableName(_)
        | sso::Error::NegativeTimestamp
        | sso::Error::MalformedTimestamp
        | sso::Error::MalformedSignature
        | sso::Error::WrongSignature
        | sso::Error::EmptyKey
        | sso::Error::PublishedKey
        | sso::Error::InvalidOrigin
        | sso::Error::InvalidAddress => Failure::new(
            StatusCode::FORBIDDEN,
            "This link is not valid",
            "Go back to CloudStack and open the storage from there. If that fails each time, tell your administrator.",
        ),
    }
}

fn window_words(window_s: u64) -> String {
    if window_s < 120 {
        return crate::format::count(window_s, "second");
    }
    crate::format::count(window_s / 60, "minute")
}
