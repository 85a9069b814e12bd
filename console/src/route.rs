//! Every address of the console, what it asks of a request, and who answers.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::Redirect;
use axum::routing::{MethodRouter, get, post};
use http::{Method, StatusCode};

use crate::error::Failure;
use crate::{ConsoleState, assets, buckets, connector, credentials, download, login, logout, objects, people};
use crate::{security, sso_login, upload};

/// Largest form that is not an upload. A form that deletes a full page of objects is the largest one.
const FORM_SIZE_BYTES_MAX: usize = 1 << 20;

/// What a request must prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Open,
    /// That it comes from our log-in page: nobody is signed in yet.
    LoginForm,
    /// A session.
    Session,
    /// A session, and the token of its forms.
    SessionAndToken,
    /// The session of a system administrator.
    Administrator,
    /// The session of a system administrator, and the token of its forms.
    AdministratorAndToken,
}

/// An address of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `GET` (which answers `HEAD`, too) or `POST`.
    pub method: Method,
    /// The path, with axum's placeholders.
    pub path: &'static str,
    /// What a request must prove.
    pub access: Access,
}

/// All addresses, in no particular order.
pub fn endpoints() -> Vec<Endpoint> {
    routes().into_iter().map(|(endpoint, _)| endpoint).collect()
}

/// The console, for a door that speaks TLS. For a plain door see [`crate::plain_router`].
pub fn router(state: ConsoleState) -> Router {
    routes()
        .into_iter()
        .fold(Router::new(), |router, (endpoint, handler)| router.route(endpoint.path, handler))
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(FORM_SIZE_BYTES_MAX))
        .layer(axum::middleware::from_fn(security::add_headers))
        .with_state(state)
}

type Route = (Endpoint, MethodRouter<ConsoleState>);

fn routes() -> Vec<Route> {
    [open_routes(), tenant_routes(), administrator_routes()].concat()
}

fn open_routes() -> Vec<Route> {
    use Access::{LoginForm, Open};
    vec![
        route(Method::GET, "/", Open, get(to_console)),
        route(Method::GET, "/Cloudian", Open, get(to_console)),
        route(Method::GET, "/Cloudian/assets/{version}/{name}", Open, get(assets::asset)),
        route(Method::GET, "/Cloudian/login.htm", Open, get(login::page).options(login::options)),
        route(Method::POST, "/Cloudian/login.htm", LoginForm, post(login::login)),
        route(Method::GET, "/Cloudian/ssosecurelogin.htm", Open, get(sso_login::login)),
        route(Method::GET, "/Cloudian/logout.htm", Open, get(logout::by_link)),
    ]
}

fn tenant_routes() -> Vec<Route> {
    use Access::{Session, SessionAndToken};
    vec![
        route(Method::POST, "/Cloudian/logout.htm", SessionAndToken, post(logout::by_form)),
        route(Method::GET, "/Cloudian/", Session, get(buckets::home)),
        route(Method::GET, "/Cloudian/admin.htm", Session, get(buckets::to_home)),
        route(Method::GET, "/Cloudian/explorer.htm", Session, get(buckets::to_home)),
        route(Method::GET, "/Cloudian/dashboard.htm", Session, get(buckets::to_home)),
        route(Method::POST, "/Cloudian/bucket/create", SessionAndToken, post(buckets::create)),
        route(Method::POST, "/Cloudian/bucket/delete", SessionAndToken, post(buckets::delete)),
        route(Method::POST, "/Cloudian/bucket/durability", SessionAndToken, post(buckets::durability)),
        route(Method::GET, "/Cloudian/bucket.htm", Session, get(objects::page)),
        route(Method::POST, "/Cloudian/folder/create", SessionAndToken, post(objects::create_folder)),
        route(Method::POST, "/Cloudian/object/delete", SessionAndToken, post(objects::delete)),
        route(Method::POST, "/Cloudian/object/upload", SessionAndToken, uploading()),
        route(Method::GET, "/Cloudian/object/download", Session, get(download::download)),
        route(Method::GET, "/Cloudian/credentials.htm", Session, get(credentials::page)),
        route(Method::POST, "/Cloudian/credentials/create", SessionAndToken, post(credentials::create)),
        route(Method::POST, "/Cloudian/credentials/show", SessionAndToken, post(credentials::show)),
        route(Method::POST, "/Cloudian/credentials/switch", SessionAndToken, post(credentials::switch)),
        route(Method::POST, "/Cloudian/credentials/delete", SessionAndToken, post(credentials::delete)),
        route(Method::GET, "/Cloudian/groups.htm", Session, get(people::groups)),
        route(Method::GET, "/Cloudian/users.htm", Session, get(people::users)),
    ]
}

fn administrator_routes() -> Vec<Route> {
    use Access::{Administrator, AdministratorAndToken};
    vec![
        route(Method::GET, "/Cloudian/connector.htm", Administrator, get(connector::page)),
        route(Method::POST, "/Cloudian/connector/look", AdministratorAndToken, post(connector::look)),
        route(Method::POST, "/Cloudian/connector/apply", AdministratorAndToken, post(connector::apply)),
    ]
}

fn route(method: Method, path: &'static str, access: Access, handler: MethodRouter<ConsoleState>) -> Route {
    (Endpoint { method, path, access }, handler)
}

/// Uploads have no limit here: they are streamed, and the engine limits the size of an object.
fn uploading() -> MethodRouter<ConsoleState> {
    post(upload::upload).layer(DefaultBodyLimit::disable())
}

async fn to_console() -> Redirect {
    Redirect::to(sso::CONSOLE_PATH)
}

async fn not_found() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "There is no such page", "The address may be mistyped or out of date.")
}
