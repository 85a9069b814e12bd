//! Uploads from a form: any number of files, streamed into the store one after the other; memory stays flat.

use std::time::Duration;

use axum::extract::multipart::{Field, MultipartRejection};
use axum::extract::{Multipart, State};
use axum::response::{IntoResponse, Redirect};
use bytes::Bytes;
use engine::{Body, BoxError, NewObject, ObjectHeaders};
use http::HeaderMap;
use tokio::sync::mpsc;

use crate::ConsoleState;
use crate::auth::{SignedIn, TOKEN_HEADER};
use crate::error::{Failure, PageResult};
use crate::form::{Fields, TOKEN_FIELD};
use crate::objects::{Location, show_problem};
use crate::shell::Said;

/// Pieces of a body that may wait between the network and the store.
const PIECES_WAITING_MAX: usize = 8;
/// Longest token that is read from a form.
const TOKEN_BYTES_MAX: usize = 256;
/// What is still read of an upload that was refused.
const DRAIN_BYTES_MAX: usize = 32 << 20;
/// How long it is read.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// `POST /Cloudian/object/upload?bucket=&prefix=` with the token first (as a field or a header) and then files.
pub(crate) async fn upload(
    State(state): State<ConsoleState>,
    signed: SignedIn,
    query: Fields,
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> PageResult {
    let header = headers.get(TOKEN_HEADER).and_then(|value| value.to_str().ok());
    let proven = header.is_some_and(|token| signed.owns_token(token));
    let Ok(mut form) = form else {
        return Err(if proven { Failure::bad_request("This is no upload.") } else { Failure::forged_form() });
    };
    let done = receive(&state, &signed, &query, proven, &mut form).await;
    if done.is_err() {
        // A timeout only means that much is left, and then the connection is closed.
        let _ = tokio::time::timeout(DRAIN_TIME_MAX, drain(&mut form)).await;
    }
    match done {
        Ok(location) => Ok(Redirect::to(&location.href(Some(Said::Uploaded))).into_response()),
        Err(Refused::Page(failure)) => Err(failure),
        Err(Refused::InFolder(location, failure)) => show_problem(&state, &signed, location, failure).await,
    }
}

/// Why an upload failed, and whether there is a folder to tell it in.
enum Refused {
    Page(Failure),
    InFolder(Location, Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Page(failure)
    }
}

impl From<engine::Error> for Refused {
    fn from(error: engine::Error) -> Self {
        Self::Page(error.into())
    }
}

async fn receive(
    state: &ConsoleState,
    signed: &SignedIn,
    query: &Fields,
    proven: bool,
    form: &mut Multipart,
) -> Result<Location, Refused> {
    if !proven && !first_field_is_token(signed, form).await? {
        return Err(Failure::forged_form().into());
    }
    let location = Location::parse(query)?;
    // Asked before the bytes come, so that nobody sends gigabytes to a bucket that is not theirs.
    state.engine().bucket(&signed.caller, &location.bucket).await?;
    match store_all(state, signed, &location, form).await {
        Ok(()) => Ok(location),
        Err(failure) => Err(Refused::InFolder(location, failure)),
    }
}

/// Reads on for a little after a refusal: browsers show an answer only when they could send what they had begun.
async fn drain(form: &mut Multipart) {
    let mut left_bytes = DRAIN_BYTES_MAX;
    while let Ok(Some(mut field)) = form.next_field().await {
        while let Ok(Some(piece)) = field.chunk().await {
            match left_bytes.checked_sub(piece.len()) {
                Some(left) => left_bytes = left,
                None => return,
            }
        }
    }
}

async fn first_field_is_token(signed: &SignedIn, form: &mut Multipart) -> Result<bool, Failure> {
    let Some(mut field) = form.next_field().await.map_err(broken)? else { return Ok(false) };
    if field.name() != Some(TOKEN_FIELD) {
        return Ok(false);
    }
    let mut token = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(broken)? {
        token.extend_from_slice(&piece);
        if token.len() > TOKEN_BYTES_MAX {
            return Ok(false);
        }
    }
    Ok(std::str::from_utf8(&token).is_ok_and(|token| signed.owns_token(token)))
}

async fn store_all(
    state: &ConsoleState,
    signed: &SignedIn,
    location: &Location,
    form: &mut Multipart,
) -> Result<(), Failure> {
    let mut stored_count = 0_u64;
    while let Some(mut field) = form.next_field().await.map_err(broken)? {
        let Some(name) = field.file_name().map(base_name).filter(|name| !name.is_empty()) else { continue };
        if let Err(failure) = store(state, signed, location, &name, &mut field).await {
            let before = match stored_count {
                0 => String::new(),
                count => format!(" {} before it arrived.", crate::format::count(count, "file")),
            };
            return Err(Failure { text: format!("“{name}” was not stored. {}{before}", failure.text), ..failure });
        }
        stored_count += 1;
    }
    if stored_count == 0 {
        return Err(Failure::bad_request("Choose at least one file."));
    }
    Ok(())
}

async fn store(
    state: &ConsoleState,
    signed: &SignedIn,
    location: &Location,
    name: &str,
    field: &mut Field<'_>,
) -> Result<(), Failure> {
    let key = location.key(name)?;
    let new = NewObject {
        headers: ObjectHeaders { content_type: Some(content_type(name, field)), ..ObjectHeaders::default() },
        ..NewObject::default()
    };
    let (sender, mut receiver) = mpsc::channel(PIECES_WAITING_MAX);
    // May be polled again after its end, which the engine is free to do.
    let stream = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
    let body = Body::new(Box::pin(stream));
    let (stored, ()) = tokio::join!(
        state.engine().put_object(&signed.caller, &location.bucket, &key, new, body),
        forward(field, sender)
    );
    stored?;
    Ok(())
}

/// Passes a file's bytes on until it ends, breaks, or nobody takes them any more.
async fn forward(field: &mut Field<'_>, sender: mpsc::Sender<Result<Bytes, BoxError>>) {
    loop {
        let piece = tokio::select! {
            piece = field.chunk() => piece,
            () = sender.closed() => return,
        };
        let piece = match piece {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => return,
            Err(error) => Err(BoxError::from(error)),
        };
        let broken = piece.is_err();
        if sender.send(piece).await.is_err() || broken {
            return;
        }
    }
}

/// The type that the browser named, else the one that the name's ending suggests.
fn content_type(name: &str, field: &Field<'_>) -> String {
    match field.content_type() {
        Some(named) if named != mime_guess::mime::APPLICATION_OCTET_STREAM.as_ref() => named.to_owned(),
        Some(_) | None => mime_guess::from_path(name).first_or_octet_stream().to_string(),
    }
}

/// The name without folders that some browsers put before it. Browsers write a quotation mark as `%22`.
fn base_name(sent: &str) -> String {
    sent.rsplit(['/', '\\']).next().unwrap_or_default().replace("%22", "\"")
}

fn broken(error: axum::extract::multipart::MultipartError) -> Failure {
    Failure::from(engine::Error::Body(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_lose_their_folders() {
        for (sent, name) in [
            ("a.txt", "a.txt"),
            ("C:\\x\\a.txt", "a.txt"),
            ("../../a.txt", "a.txt"),
            ("größe 1.txt", "größe 1.txt"),
            ("say %22hi%22.txt", "say \"hi\".txt"),
            ("x/", ""),
        ] {
            assert_eq!(base_name(sent), name);
        }
    }
}
