//! Security credentials: the access keys with which programs reach the buckets.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use engine::{AccessKeyId, Credential};
use http::StatusCode;
use secrecy::ExposeSecret;

use crate::ConsoleState;
use crate::auth::{CheckedForm, SignedIn};
use crate::error::{Failure, PageResult, render};
use crate::form::Fields;
use crate::format::{When, href};
use crate::shell::{Place, Said, Shell};

/// An access key as a line of the list.
struct Row {
    access_key: String,
    active: bool,
    created: When,
    expires: Option<When>,
    /// Only of the key whose secret was asked for.
    secret: Option<String>,
}

#[derive(Template)]
#[template(path = "credentials.html")]
struct CredentialsPage<'a> {
    shell: Shell,
    rows: Vec<Row>,
    s3_urls: &'a [String],
}

/// What a page shows beside the keys.
#[derive(Default)]
struct View<'a> {
    said: &'a str,
    /// The key whose secret is shown.
    revealed: Option<AccessKeyId>,
    problem: Option<Failure>,
}

/// `GET /Cloudian/credentials.htm`
pub(crate) async fn page(State(state): State<ConsoleState>, signed: SignedIn, query: Fields) -> PageResult {
    let view = View { said: query.text("said"), ..View::default() };
    show_page(&state, &signed, view).await
}

async fn show_page(state: &ConsoleState, signed: &SignedIn, view: View<'_>) -> PageResult {
    let owner = &signed.identity().canonical_id;
    let credentials = state.engine().list_credentials(&signed.caller, owner).await?;
    let status = view.problem.as_ref().map_or(StatusCode::OK, |problem| problem.status);
    let page = CredentialsPage {
        shell: Shell::signed_in("Security credentials", signed, Place::Credentials)
            .saying(view.said)
            .with_problem(view.problem.map(|problem| problem.text)),
        rows: credentials.into_iter().map(|credential| row(&credential, view.revealed.as_ref())).collect(),
        s3_urls: state.s3_urls(),
    };
    Ok((status, render(&page)).into_response())
}

fn row(credential: &Credential, revealed: Option<&AccessKeyId>) -> Row {
    let shown = revealed == Some(&credential.access_key);
    Row {
        access_key: credential.access_key.to_string(),
        active: credential.active,
        created: When::from_us(credential.created_us),
        expires: credential.expires_us.map(When::from_us),
        secret: shown.then(|| credential.secret_key.expose_secret().to_owned()),
    }
}

/// `POST /Cloudian/credentials/create`
pub(crate) async fn create(State(state): State<ConsoleState>, form: CheckedForm) -> PageResult {
    let owner = &form.signed.identity().canonical_id;
    let done = state.engine().create_credential(&form.signed.caller, owner).await.map(|_| Said::KeyCreated);
    finish(&state, &form, done).await
}

/// `POST /Cloudian/credentials/show` with `access_key`. The answer to a form and not a page of its own, so that no secret
/// is behind an address.
pub(crate) async fn show(State(state): State<ConsoleState>, form: CheckedForm) -> PageResult {
    let access_key = AccessKeyId::new(form.fields.text("access_key"))?;
    show_page(&state, &form.signed, View { revealed: Some(access_key), ..View::default() }).await
}

/// `POST /Cloudian/credentials/switch` with `access_key` and `active` (`true` or `false`)
pub(crate) async fn switch(State(state): State<ConsoleState>, form: CheckedForm) -> PageResult {
    let (active, said) = match form.fields.text("active") {
        "true" => (true, Said::KeyOn),
        "false" => (false, Said::KeyOff),
        _ => return Err(Failure::bad_request("A key is switched on or off.")),
    };
    let done = match AccessKeyId::new(form.fields.text("access_key")) {
        Ok(key) => state.engine().set_credential_active(&form.signed.caller, &key, active).await,
        Err(error) => Err(error),
    };
    finish(&state, &form, done.map(|()| said)).await
}

/// `POST /Cloudian/credentials/delete` with `access_key`
pub(crate) async fn delete(State(state): State<ConsoleState>, form: CheckedForm) -> PageResult {
    let done = match AccessKeyId::new(form.fields.text("access_key")) {
        Ok(key) => state.engine().delete_credential(&form.signed.caller, &key).await,
        Err(error) => Err(error),
    };
    finish(&state, &form, done.map(|()| Said::KeyDeleted)).await
}

async fn finish(state: &ConsoleState, form: &CheckedForm, done: engine::Result<Said>) -> PageResult {
    match done {
        Ok(said) => Ok(Redirect::to(&href("credentials.htm", &[("said", said.word())])).into_response()),
        Err(error) => {
            let view = View { problem: Some(error.into()), ..View::default() };
            show_page(state, &form.signed, view).await
        }
    }
}
