//! The home of a tenant: its buckets.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use engine::{BucketCreated, BucketName, Durability};
use http::StatusCode;

use crate::ConsoleState;
use crate::auth::{CheckedForm, SignedIn};
use crate::error::{Failure, PageResult, render};
use crate::form::Fields;
use crate::format::{When, count, href, size};
use crate::shell::{Place, Said, Shell};

/// A bucket as a line of the list.
struct Row {
    name: String,
    href: String,
    objects: String,
    size: String,
    size_bytes: u64,
    created: When,
    empty: bool,
    relaxed: bool,
}

#[derive(Template)]
#[template(path = "buckets.html")]
struct BucketsPage<'a> {
    shell: Shell,
    rows: Vec<Row>,
    total: String,
    typed: &'a str,
}

/// `GET /Cloudian/`
pub(crate) async fn home(State(state): State<ConsoleState>, signed: SignedIn, query: Fields) -> PageResult {
    if signed.is_system_admin() {
        return Ok(Redirect::to(&href("connector.htm", &[])).into_response());
    }
    show(&state, &signed, query.text("said"), "", None).await
}

/// `GET /Cloudian/admin.htm`, `explorer.htm` and `dashboard.htm`, which older versions of CloudStack's plug-in name.
pub(crate) async fn to_home(_signed: SignedIn) -> Redirect {
    Redirect::to(sso::CONSOLE_PATH)
}

async fn show(
    state: &ConsoleState,
    signed: &SignedIn,
    said: &str,
    typed: &str,
    problem: Option<Failure>,
) -> PageResult {
    let buckets = state.engine().list_buckets(&signed.caller).await?;
    let total_bytes = buckets.iter().map(|bucket| bucket.usage.size_bytes).sum();
    let rows: Vec<Row> = buckets.iter().map(row).collect();
    let status = problem.as_ref().map_or(StatusCode::OK, |problem| problem.status);
    let page = BucketsPage {
        shell: Shell::signed_in("Buckets", signed, Place::Buckets)
            .saying(said)
            .with_problem(problem.map(|problem| problem.text)),
        total: format!("{}, {}", count(rows.len() as u64, "bucket"), size(total_bytes)),
        rows,
        typed,
    };
    Ok((status, render(&page)).into_response())
}

fn row(bucket: &engine::Bucket) -> Row {
    Row {
        href: href("bucket.htm", &[("bucket", bucket.name.as_str())]),
        objects: count(bucket.usage.object_count, "object"),
        size: size(bucket.usage.size_bytes),
        size_bytes: bucket.usage.size_bytes,
        created: When::from_us(bucket.created_us),
        empty: bucket.usage.object_count == 0,
        relaxed: bucket.durability == Durability::Relaxed,
        name: bucket.name.to_string(),
    }
}

/// `POST /Cloudian/bucket/create` with `name`
pub(crate) async fn create(State(state): State<ConsoleState>, form: CheckedForm) -> PageResult {
    let typed = form.fields.text("name").trim();
    let created = match BucketName::new(typed) {
        Ok(name) => state.engine().create_bucket(&form.signed.caller, &name).await,
        Err(error) => Err(error),
    };
    let said = match created {
        Ok(BucketCreated::New) => Said::BucketCreated,
        Ok(BucketCreated::AlreadyOwned) => Said::BucketThere,
        Err(error) => return show(&state, &form.signed, "", typed, Some(error.into())).await,
    };
    Ok(Redirect::to(&href("", &[("said", said.word())])).into_response())
}

/// `POST /Cloudian/bucket/delete` with `name`
pub(crate) async fn delete(State(state): State<ConsoleState>, form: CheckedForm) -> PageResult {
    let deleted = match BucketName::new(form.fields.text("name")) {
        Ok(name) => state.engine().delete_bucket(&form.signed.caller, &name).await,
        Err(error) => Err(error),
    };
    match deleted {
        Ok(()) => Ok(Redirect::to(&href("", &[("said", Said::BucketDeleted.word())])).into_response()),
        Err(error) => show(&state, &form.signed, "", "", Some(error.into())).await,
    }
}

/// `POST /Cloudian/bucket/durability` with `name` and `durability`: `strict` or `relaxed`
pub(crate) async fn durability(State(state): State<ConsoleState>, form: CheckedForm) -> PageResult {
    let (durability, said) = match form.fields.text("durability") {
        "strict" => (Durability::Strict, Said::BucketStrict),
        "relaxed" => (Durability::Relaxed, Said::BucketRelaxed),
        _ => {
            let failure = Failure::bad_request("The durability is strict or relaxed.");
            return show(&state, &form.signed, "", "", Some(failure)).await;
        }
    };
    let changed = match BucketName::new(form.fields.text("name")) {
        Ok(name) => state.engine().set_durability(&form.signed.caller, &name, durability).await,
        Err(error) => Err(error),
    };
    match changed {
        Ok(()) => Ok(Redirect::to(&href("", &[("said", said.word())])).into_response()),
        Err(error) => show(&state, &form.signed, "", "", Some(error.into())).await,
    }
}
