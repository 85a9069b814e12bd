//! A bucket: its objects, shown as folders and files.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use engine::{Body, BucketName, DeleteTarget, ListEntry, ListPage, ListRequest, ListedObject, NewObject, ObjectKey};
use http::StatusCode;

use crate::ConsoleState;
use crate::auth::{CheckedForm, SignedIn};
use crate::error::{Failure, PageResult, render};
use crate::form::Fields;
use crate::format::{When, count, href, size};
use crate::shell::{Place, Said, Shell};

/// What separates folders in a key.
const DELIMITER: char = '/';
/// Lines of a page.
const ENTRIES_MAX: usize = 200;

/// A bucket and a folder in it (empty, or with a slash at its end).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) bucket: BucketName,
    pub(crate) prefix: String,
}

impl Location {
    /// From the fields `bucket` and `prefix`.
    pub(crate) fn parse(fields: &Fields) -> Result<Self, Failure> {
        let bucket = BucketName::new(fields.text("bucket"))?;
        Ok(Self { bucket, prefix: fields.text("prefix").to_owned() })
    }

    /// The page of this folder.
    pub(crate) fn href(&self, said: Option<Said>) -> String {
        let said = said.map_or("", Said::word);
        href("bucket.htm", &[("bucket", self.bucket.as_str()), ("prefix", &self.prefix), ("said", said)])
    }

    /// The key of a name in this folder.
    pub(crate) fn key(&self, name: &str) -> Result<ObjectKey, engine::Error> {
        ObjectKey::new(format!("{}{name}", self.prefix))
    }
}

struct Crumb {
    label: String,
    href: String,
}

enum Row {
    Folder { label: String, href: String },
    File { label: String, key: String, size: String, size_bytes: u64, modified: When, href: String },
}

#[derive(Template)]
#[template(path = "objects.html")]
struct ObjectsPage {
    shell: Shell,
    location: Location,
    /// The bucket and its folders down to the one above this.
    crumbs: Vec<Crumb>,
    /// The name of this folder; the bucket's at the top.
    here: String,
    total: String,
    find: String,
    rows: Vec<Row>,
    file_count: usize,
    /// Whether this folder is a stored, empty one that can be removed as such.
    removable: bool,
    first_page: Option<String>,
    next_page: Option<String>,
    upload_href: String,
}

/// Which part of a folder is shown.
#[derive(Debug, Default)]
struct View<'a> {
    find: &'a str,
    after: &'a str,
    said: &'a str,
}

/// `GET /Cloudian/bucket.htm?bucket=&prefix=&find=&after=`
pub(crate) async fn page(State(state): State<ConsoleState>, signed: SignedIn, query: Fields) -> PageResult {
    let location = Location::parse(&query)?;
    let view = View { find: query.text("find"), after: query.text("after"), said: query.text("said") };
    show(&state, &signed, location, &view, None).await
}

/// The page of a folder, with what could not be done in it. A folder that cannot be shown is a failure of its own.
pub(crate) async fn show_problem(
    state: &ConsoleState,
    signed: &SignedIn,
    location: Location,
    problem: Failure,
) -> PageResult {
    show(state, signed, location, &View::default(), Some(problem)).await
}

async fn show(
    state: &ConsoleState,
    signed: &SignedIn,
    location: Location,
    view: &View<'_>,
    problem: Option<Failure>,
) -> PageResult {
    let bucket = state.engine().bucket(&signed.caller, &location.bucket).await?;
    let request = ListRequest {
        prefix: format!("{}{}", location.prefix, view.find),
        delimiter: Some(DELIMITER.to_string()),
        after: Some(view.after.to_owned()).filter(|after| !after.is_empty()),
        entries_max: ENTRIES_MAX,
        described: false,
    };
    let list = state.engine().list_objects(&signed.caller, &location.bucket, &request).await?;
    let status = problem.as_ref().map_or(StatusCode::OK, |problem| problem.status);
    let here = here(&location);
    let rows: Vec<Row> = list.entries.iter().filter_map(|entry| row(&location, entry)).collect();
    let whole = view.find.is_empty() && view.after.is_empty();
    let page = ObjectsPage {
        shell: Shell::signed_in(&here, signed, Place::Buckets)
            .saying(view.said)
            .with_problem(problem.map(|problem| problem.text)),
        crumbs: crumbs(&location),
        here,
        total: format!("{}, {}", count(bucket.usage.object_count, "object"), size(bucket.usage.size_bytes)),
        find: view.find.to_owned(),
        file_count: rows.iter().filter(|row| matches!(row, Row::File { .. })).count(),
        removable: whole && rows.is_empty() && !list.entries.is_empty(),
        rows,
        first_page: (!view.after.is_empty()).then(|| page_href(&location, view.find, "")),
        next_page: next_after(&list).map(|after| page_href(&location, view.find, after)),
        upload_href: href("object/upload", &[("bucket", location.bucket.as_str()), ("prefix", &location.prefix)]),
        location,
    };
    Ok((status, render(&page)).into_response())
}

fn page_href(location: &Location, find: &str, after: &str) -> String {
    let parameters =
        [("bucket", location.bucket.as_str()), ("prefix", &location.prefix), ("find", find), ("after", after)];
    href("bucket.htm", &parameters)
}

fn next_after(list: &ListPage) -> Option<&str> {
    let last = list.entries.last().filter(|_| list.truncated)?;
    Some(match last {
        ListEntry::Object(object) => object.key.as_str(),
        ListEntry::CommonPrefix(prefix) => prefix,
    })
}

fn row(location: &Location, entry: &ListEntry) -> Option<Row> {
    match entry {
        ListEntry::CommonPrefix(prefix) => {
            let folder = Location { prefix: prefix.clone(), ..location.clone() };
            Some(Row::Folder { label: here(&folder), href: folder.href(None) })
        }
        // The stored form of the folder itself is not one of the things in it.
        ListEntry::Object(object) if object.key.as_str() == location.prefix => None,
        ListEntry::Object(object) => Some(file_row(location, object)),
    }
}

fn file_row(location: &Location, object: &ListedObject) -> Row {
    let key = object.key.as_str();
    Row::File {
        label: key.strip_prefix(&location.prefix).unwrap_or(key).to_owned(),
        key: key.to_owned(),
        size: size(object.size_bytes),
        size_bytes: object.size_bytes,
        modified: When::from_us(object.modified_us),
        href: href("object/download", &[("bucket", location.bucket.as_str()), ("key", key)]),
    }
}

/// The last name of a folder's path.
fn here(location: &Location) -> String {
    if location.prefix.is_empty() {
        return location.bucket.to_string();
    }
    let path = location.prefix.strip_suffix(DELIMITER).unwrap_or(&location.prefix);
    match path.rsplit(DELIMITER).next() {
        Some(name) if !name.is_empty() => name.to_owned(),
        Some(_) | None => "(no name)".to_owned(),
    }
}

fn crumbs(location: &Location) -> Vec<Crumb> {
    if location.prefix.is_empty() {
        return Vec::new();
    }
    let path = location.prefix.strip_suffix(DELIMITER).unwrap_or(&location.prefix);
    let ends = path.match_indices(DELIMITER).map(|(at, _)| at + 1);
    std::iter::once(0)
        .chain(ends)
        .map(|end| {
            let folder = Location { prefix: location.prefix[..end].to_owned(), ..location.clone() };
            Crumb { label: here(&folder), href: folder.href(None) }
        })
        .collect()
}

/// `POST /Cloudian/folder/create` with `bucket`, `prefix`, `name`: an empty object whose name ends in a slash, as S3 programs
/// make folders.
pub(crate) async fn create_folder(State(state): State<ConsoleState>, form: CheckedForm) -> PageResult {
    let location = Location::parse(&form.fields)?;
    match store_folder(&state, &form.signed, &location, form.fields.text("name").trim()).await {
        Ok(()) => Ok(Redirect::to(&location.href(Some(Said::FolderCreated))).into_response()),
        Err(failure) => show_problem(&state, &form.signed, location, failure).await,
    }
}

async fn store_folder(state: &ConsoleState, signed: &SignedIn, location: &Location, name: &str) -> Result<(), Failure> {
    if name.is_empty() || name.contains(DELIMITER) {
        return Err(Failure::bad_request("A folder needs a name without a slash."));
    }
    let key = location.key(&format!("{name}{DELIMITER}"))?;
    let body = Body::from_bytes(bytes::Bytes::new());
    state.engine().put_object(&signed.caller, &location.bucket, &key, NewObject::default(), body).await?;
    Ok(())
}

/// `POST /Cloudian/object/delete` with `bucket`, `prefix` and any number of `key`
pub(crate) async fn delete(State(state): State<ConsoleState>, form: CheckedForm) -> PageResult {
    let location = Location::parse(&form.fields)?;
    match delete_keys(&state, &form, &location).await {
        Ok(()) => {
            Ok(Redirect::to(&after_deleting(&form.fields, location).href(Some(Said::ObjectsDeleted))).into_response())
        }
        Err(failure) => show_problem(&state, &form.signed, location, failure).await,
    }
}

async fn delete_keys(state: &ConsoleState, form: &CheckedForm, location: &Location) -> Result<(), Failure> {
    let targets = form
        .fields
        .all("key")
        .map(|key| Ok(DeleteTarget::current(ObjectKey::new(key)?)))
        .collect::<Result<Vec<_>, engine::Error>>()?;
    if targets.is_empty() {
        return Err(Failure::bad_request("Choose at least one object to delete."));
    }
    let results = state.engine().delete_objects(&form.signed.caller, &location.bucket, targets).await?;
    results.into_iter().collect::<Result<Vec<engine::Deleted>, engine::Error>>()?;
    Ok(())
}

/// A folder that was removed itself cannot be shown any more: the one above it is.
fn after_deleting(fields: &Fields, location: Location) -> Location {
    let removed_itself = !location.prefix.is_empty() && fields.all("key").any(|key| key == location.prefix);
    if !removed_itself {
        return location;
    }
    let path = location.prefix.strip_suffix(DELIMITER).unwrap_or(&location.prefix);
    let above = path.rfind(DELIMITER).map_or("", |at| &path[..=at]);
    Location { prefix: above.to_owned(), bucket: location.bucket }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(prefix: &str) -> Location {
        Location { bucket: BucketName::new("photos").unwrap(), prefix: prefix.to_owned() }
    }

    #[test]
    fn the_path_above_a_folder_is_named_step_by_step() {
        let labels = |prefix| crumbs(&location(prefix)).into_iter().map(|crumb| crumb.label).collect::<Vec<_>>();
        assert!(labels("").is_empty());
        assert_eq!(labels("a/"), ["photos"]);
        assert_eq!(labels("a/ü/c/"), ["photos", "a", "ü"]);
        assert_eq!(here(&location("a/ü/c/")), "c");
        assert_eq!(here(&location("a//")), "(no name)");
    }

    #[test]
    fn a_removed_folder_leads_to_the_one_above() {
        let fields = Fields::parse(b"key=a%2Fb%2F");
        assert_eq!(after_deleting(&fields, location("a/b/")), location("a/"));
        assert_eq!(after_deleting(&fields, location("a/")), location("a/"));
        assert_eq!(after_deleting(&Fields::parse(b"key=a%2F"), location("a/")), location(""));
    }
}
