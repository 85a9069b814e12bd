//! The plain door: it sends browsers to the TLS door, because passwords, links and cookies must not travel in the clear.
//! Behind a proxy that speaks TLS itself it is the console.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::any;
use axum::{Extension, Router};
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode, header};

use crate::auth::BehindProxy;
use crate::error::Failure;
use crate::{ConsoleState, route, security};

/// The console's plain door. `tls_port` is where the TLS door is reached under the same host name.
pub fn plain_router(state: ConsoleState, tls_port: u16) -> Router {
    if state.settings().behind_proxy {
        return route::router(state).layer(Extension(BehindProxy));
    }
    Router::new().fallback(any(to_tls)).layer(axum::middleware::from_fn(security::add_headers)).with_state(tls_port)
}

async fn to_tls(State(tls_port): State<u16>, request: Request) -> Response {
    let target = tls_address(request.headers(), tls_port).filter(|_| is_read(request.method()));
    let Some(address) = target else {
        let text = "This address takes nothing without encryption. Use the https address of the console.";
        return Failure::new(StatusCode::FORBIDDEN, "Use the encrypted address", text).into_response();
    };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    Redirect::temporary(&format!("https://{address}{path}")).into_response()
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// The host that the browser asked for, with the port of the TLS door.
fn tls_address(headers: &HeaderMap, tls_port: u16) -> Option<String> {
    let asked: Authority = headers.get(header::HOST)?.to_str().ok()?.parse().ok()?;
    let plain = !asked.as_str().contains('@') && !asked.host().is_empty();
    plain.then(|| match tls_port {
        443 => asked.host().to_owned(),
        port => format!("{}:{port}", asked.host()),
    })
}
