//! Downloads: always saved, never shown, because a page that a tenant stored must not run as one of ours.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::{BucketName, Error, ObjectKey, ObjectRead, ReadObject, Selection};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::ConsoleState;
use crate::auth::SignedIn;
use crate::error::{Failure, PageResult};
use crate::form::Fields;
use crate::format::http_date;

/// What stands as it is in an extended parameter (RFC 8187, `attr-char`).
const EXTENDED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// `GET /Cloudian/object/download?bucket=&key=`
pub(crate) async fn download(
    State(state): State<ConsoleState>,
    signed: SignedIn,
    query: Fields,
    headers: HeaderMap,
) -> PageResult {
    let bucket = BucketName::new(query.text("bucket"))?;
    let key = ObjectKey::new(query.text("key"))?;
    let whole = ReadObject::default();
    let wanted = match range(&headers) {
        Some(selection) => {
            let info = state.engine().head_object(&signed.caller, &bucket, &key, &whole).await?.info;
            let same = same_as_before(&headers, &info.etag);
            ReadObject { selection: Some(selection).filter(|_| same), ..ReadObject::default() }
        }
        None => whole,
    };
    match state.engine().get_object(&signed.caller, &bucket, &key, &wanted).await {
        Ok(read) => Ok(answer(&key, read)),
        Err(Error::InvalidRange { size_bytes }) => {
            let failure = Failure::from(Error::InvalidRange { size_bytes });
            Ok(([(header::CONTENT_RANGE, format!("bytes */{size_bytes}"))], failure).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

fn answer(key: &ObjectKey, read: ObjectRead) -> Response {
    let view = read.view;
    let stored_type = view.info.headers.content_type.as_deref().unwrap_or_default();
    let mut response = Response::new(Body::from_stream(read.body));
    let headers = response.headers_mut();
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, "application/octet-stream");
    if !stored_type.is_empty() {
        set(header::CONTENT_TYPE, stored_type);
    }
    set(header::CONTENT_DISPOSITION, &attachment(key.as_str()));
    set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox; frame-ancestors 'none'");
    set(header::ACCEPT_RANGES, "bytes");
    set(header::ETAG, &format!("\"{}\"", view.info.etag));
    set(header::LAST_MODIFIED, &http_date(view.info.modified_us));
    set(header::CONTENT_LENGTH, &(view.range.end - view.range.start).to_string());
    if view.partial {
        let last = view.range.end.saturating_sub(1);
        set(header::CONTENT_RANGE, &format!("bytes {}-{last}/{}", view.range.start, view.info.size_bytes));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

/// A browser that resumes says which version it began with; another version is sent whole.
fn same_as_before(headers: &HeaderMap, etag: &str) -> bool {
    match headers.get(header::IF_RANGE) {
        Some(begun) => begun.as_bytes() == format!("\"{etag}\"").as_bytes(),
        None => true,
    }
}

/// A single range of bytes. Anything else is ignored, as HTTP allows.
fn range(headers: &HeaderMap) -> Option<Selection> {
    let text = headers.get(header::RANGE)?.to_str().ok()?.strip_prefix("bytes=")?;
    let (first, last) = text.split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", last) => last.parse().ok().map(Selection::Last),
        (first, "") => first.parse().ok().map(Selection::From),
        (first, last) => {
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            (first <= last).then_some(Selection::Between(first, last))
        }
    }
}

/// The last part of the key as the file's name: once in ASCII for old programs, once as it is.
fn attachment(key: &str) -> String {
    let name = key.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("download");
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' })
        .collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(name, EXTENDED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_for_old_and_new_programs() {
        assert_eq!(attachment("a/b/plan.txt"), "attachment; filename=\"plan.txt\"; filename*=UTF-8''plan.txt");
        assert_eq!(
            attachment("größe \"1\"\r\n.txt"),
            "attachment; filename=\"gr__e _1___.txt\"; filename*=UTF-8''gr%C3%B6%C3%9Fe%20%221%22%0D%0A.txt"
        );
        assert_eq!(attachment("folder/"), "attachment; filename=\"folder\"; filename*=UTF-8''folder");
        assert_eq!(attachment("/"), "attachment; filename=\"download\"; filename*=UTF-8''download");
    }

    #[test]
    fn single_ranges_are_read_and_others_ignored() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_static(text));
            range(&headers)
        };
        assert_eq!(read("bytes=0-99"), Some(Selection::Between(0, 99)));
        assert_eq!(read("bytes=100-"), Some(Selection::From(100)));
        assert_eq!(read("bytes=-5"), Some(Selection::Last(5)));
        for other in ["bytes=5-1", "bytes=0-1,5-6", "lines=1-2", "bytes=-", "bytes=a-b"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
