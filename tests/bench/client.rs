//! One client of an S3 endpoint: signed requests on a connection of its own, and answers that are verified.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;

use crate::body::Payload;
use crate::content::Piece;
use crate::endpoint::{Connection, Endpoint};
use crate::sign::{self, Signed, ToSign};

/// What a query is not escaped for, as signatures want it.
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A client.
pub(crate) struct Client {
    connection: Connection,
}

/// A page of a listing: what is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) prefix: String,
    pub(crate) after: String,
    pub(crate) delimiter: Option<&'static str>,
    pub(crate) entries_max: usize,
}

/// A page of a listing: what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) objects: usize,
    pub(crate) prefixes: usize,
    pub(crate) truncated: bool,
}

/// The key of an object: a thousand objects to a folder, so that listings find folders too.
pub(crate) fn key(object: u64) -> String {
    format!("load/{:06}/{:03}", object / 1000, object % 1000)
}

impl Client {
    pub(crate) fn new(endpoint: Arc<Endpoint>) -> Self {
        Self { connection: Connection::new(endpoint) }
    }

    fn endpoint(&self) -> &Arc<Endpoint> {
        &self.connection.endpoint
    }

    /// Makes the bucket; that it is there already is fine.
    pub(crate) async fn make_bucket(&mut self) -> anyhow::Result<()> {
        let path = format!("/{}", self.endpoint().bucket);
        let response = self.simple(Method::PUT, &path, "", Bytes::new()).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&body);
        ensure!(status.is_success() || status == StatusCode::CONFLICT, "the bucket cannot be made: {status} {text}");
        Ok(())
    }

    /// Writes an object: in one request, or in parts of the size that is given when it is larger.
    pub(crate) async fn put(
        &mut self,
        object: u64,
        size_bytes: u64,
        payload: Payload,
        part_bytes: Option<u64>,
    ) -> anyhow::Result<()> {
        match part_bytes {
            Some(part_bytes) if size_bytes > part_bytes => {
                let upload = self.begin_upload(object).await?;
                let mut etags = Vec::new();
                for part in Piece::parts(object, size_bytes, part_bytes) {
                    etags.push(self.put_part(&upload, etags.len() + 1, part, payload).await?);
                }
                self.complete_upload(object, &upload, &etags).await
            }
            Some(_) | None => self.put_piece(Piece::whole(object, size_bytes), "", payload).await.map(drop),
        }
    }

    /// Begins an upload in parts. Answers its id.
    pub(crate) async fn begin_upload(&mut self, object: u64) -> anyhow::Result<String> {
        let response = self.simple(Method::POST, &self.path(object), "uploads=", Bytes::new()).await?;
        let text = text_of(response).await?;
        Ok(between(&text, "<UploadId>", "</UploadId>").with_context(|| format!("no upload id: {text}"))?.to_owned())
    }

    /// Writes a part. Answers its ETag.
    pub(crate) async fn put_part(
        &mut self,
        upload: &str,
        number: usize,
        part: Piece,
        payload: Payload,
    ) -> anyhow::Result<String> {
        let query = format!("partNumber={number}&uploadId={}", escape(upload));
        self.put_piece(part, &query, payload).await?.context("a part has no ETag")
    }

    /// Makes an object of its parts.
    pub(crate) async fn complete_upload(&mut self, object: u64, upload: &str, etags: &[String]) -> anyhow::Result<()> {
        let part = |(index, etag): (usize, &String)| {
            format!("<Part><PartNumber>{}</PartNumber><ETag>{etag}</ETag></Part>", index + 1)
        };
        let parts: String = etags.iter().enumerate().map(part).collect();
        let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        let query = format!("uploadId={}", escape(upload));
        let response = self.simple(Method::POST, &self.path(object), &query, document.into()).await?;
        let text = text_of(response).await?;
        // The answer may begin before the work is done, and then an error comes with status 200.
        ensure!(text.contains("<CompleteMultipartUploadResult"), "the upload was not completed: {text}");
        Ok(())
    }

    /// Gives an upload up.
    pub(crate) async fn abort_upload(&mut self, object: u64, upload: &str) -> anyhow::Result<()> {
        let query = format!("uploadId={}", escape(upload));
        text_of(self.simple(Method::DELETE, &self.path(object), &query, Bytes::new()).await?).await.map(drop)
    }

    /// Reads an object and compares it with what was written.
    pub(crate) async fn get(&mut self, object: u64, size_bytes: u64) -> anyhow::Result<()> {
        let response = self.simple(Method::GET, &self.path(object), "", Bytes::new()).await?;
        if !response.status().is_success() {
            return text_of(response).await.map(drop);
        }
        let mut verifier = self.endpoint().content.verifier(object);
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame?.data_ref() {
                ensure!(verifier.accepts(data), "object {object} has other bytes than were written");
            }
        }
        let got_bytes = verifier.size_bytes();
        ensure!(got_bytes == size_bytes, "object {object} has {got_bytes} bytes instead of {size_bytes}");
        Ok(())
    }

    /// Asks for an object's head, and looks whether the size is right.
    pub(crate) async fn head(&mut self, object: u64, size_bytes: u64) -> anyhow::Result<()> {
        let response = self.simple(Method::HEAD, &self.path(object), "", Bytes::new()).await?;
        let length = response.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let length = length.and_then(|length| length.parse::<u64>().ok());
        text_of(response).await?;
        ensure!(length == Some(size_bytes), "object {object} has {length:?} bytes instead of {size_bytes}");
        Ok(())
    }

    /// Deletes an object.
    pub(crate) async fn delete(&mut self, object: u64) -> anyhow::Result<()> {
        text_of(self.simple(Method::DELETE, &self.path(object), "", Bytes::new()).await?).await.map(drop)
    }

    /// A page of a listing.
    pub(crate) async fn list(&mut self, page: &Page) -> anyhow::Result<Listed> {
        let path = format!("/{}", self.endpoint().bucket);
        // Sorted by name, as signatures want it.
        let delimiter = page.delimiter.map(|text| format!("delimiter={}&", escape(text))).unwrap_or_default();
        let (prefix, after) = (escape(&page.prefix), escape(&page.after));
        let query = format!("{delimiter}list-type=2&max-keys={}&prefix={prefix}&start-after={after}", page.entries_max);
        let text = text_of(self.simple(Method::GET, &path, &query, Bytes::new()).await?).await?;
        listed(&text, page)
    }

    async fn put_piece(&mut self, piece: Piece, query: &str, payload: Payload) -> anyhow::Result<Option<String>> {
        let path = self.path(piece.object);
        let announced = payload.announced(self.endpoint(), piece);
        let decoded = (payload == Payload::Chunked).then(|| piece.size_bytes.to_string());
        let signed = self.sign("PUT", &path, query, &announced, decoded.as_deref())?;
        let mut request = self
            .request(Method::PUT, &path, query, &announced, &signed)
            .header(header::CONTENT_LENGTH, payload.wire_bytes(piece));
        if let Some(length) = decoded {
            request =
                request.header("x-amz-decoded-content-length", length).header(header::CONTENT_ENCODING, "aws-chunked");
        }
        let body = payload.body(&self.endpoint().content, piece, signed.chunks);
        let response = self.connection.send(request.body(body)?).await?;
        let etag = response.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        text_of(response).await?;
        Ok(etag)
    }

    /// A request whose body is empty or a small document.
    async fn simple(
        &mut self,
        method: Method,
        path: &str,
        query: &str,
        document: Bytes,
    ) -> anyhow::Result<Response<Incoming>> {
        let signed = self.sign(method.as_str(), path, query, sign::UNSIGNED, None)?;
        let has_length = method == Method::POST || method == Method::PUT;
        let mut request = self.request(method, path, query, sign::UNSIGNED, &signed);
        if has_length {
            request = request.header(header::CONTENT_LENGTH, document.len());
        }
        let body = if document.is_empty() { Empty::new().boxed_unsync() } else { Full::new(document).boxed_unsync() };
        self.connection.send(request.body(body)?).await
    }

    fn path(&self, object: u64) -> String {
        format!("/{}/{}", self.endpoint().bucket, key(object))
    }

    fn sign(
        &self,
        method: &str,
        path: &str,
        query: &str,
        content: &str,
        decoded_length: Option<&str>,
    ) -> anyhow::Result<Signed> {
        let host = &self.endpoint().authority;
        let request = ToSign { method, host, path, query, content, decoded_length };
        self.endpoint().signer.sign(&request, OffsetDateTime::now_utc())
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        query: &str,
        content: &str,
        signed: &Signed,
    ) -> http::request::Builder {
        let uri = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        Request::builder()
            .method(method)
            .uri(uri)
            .header(header::HOST, &self.endpoint().authority)
            .header("x-amz-content-sha256", content)
            .header("x-amz-date", &signed.date)
            .header(header::AUTHORIZATION, &signed.authorization)
    }
}

/// Reads an answer to its end; one that is no success is an error.
async fn text_of(response: Response<Incoming>) -> anyhow::Result<String> {
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&body);
    ensure!(status.is_success(), "{status} {text}");
    Ok(text.into_owned())
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, &PLAIN).to_string()
}

fn between<'t>(text: &'t str, begin: &str, end: &str) -> Option<&'t str> {
    text.split_once(begin)?.1.split_once(end).map(|(inside, _)| inside)
}

/// Counts a page's entries, and looks whether each belongs there and comes after the one before.
fn listed(text: &str, page: &Page) -> anyhow::Result<Listed> {
    let entries = |begin: &str, end: &str| {
        let mut previous = page.after.as_str();
        let mut count = 0;
        for piece in text.split(begin).skip(1) {
            let name = piece.split_once(end).map_or(piece, |(name, _)| name);
            ensure!(name.starts_with(&page.prefix), "{name} does not begin with {}", page.prefix);
            ensure!(name > previous, "{name} comes after {previous}");
            previous = name;
            count += 1;
        }
        Ok(count)
    };
    let objects = entries("<Key>", "</Key>")?;
    let prefixes = entries("<CommonPrefixes><Prefix>", "</Prefix>")?;
    let truncated = between(text, "<IsTruncated>", "<").context("the listing has no IsTruncated")? == "true";
    ensure!(objects + prefixes <= page.entries_max, "the page has {objects} objects and {prefixes} prefixes");
    Ok(Listed { objects, prefixes, truncated })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(after: &str) -> Page {
        Page { prefix: "load/".to_owned(), after: after.to_owned(), delimiter: None, entries_max: 2 }
    }

    #[test]
    fn pages_are_counted_and_checked() {
        let text = "<Prefix>load/</Prefix><IsTruncated>true</IsTruncated><Contents><Key>load/a</Key></Contents>\
                    <CommonPrefixes><Prefix>load/b/</Prefix></CommonPrefixes>";
        assert_eq!(listed(text, &page("")).unwrap(), Listed { objects: 1, prefixes: 1, truncated: true });
        assert!(listed(text, &page("load/a")).is_err(), "an entry that was asked to be left out");
        let unsorted = "<IsTruncated>false</IsTruncated><Key>load/b</Key><Key>load/a</Key>";
        assert!(listed(unsorted, &page("")).is_err());
        let foreign = "<IsTruncated>false</IsTruncated><Key>other/a</Key>";
        assert!(listed(foreign, &page("")).is_err());
        let many = "<IsTruncated>false</IsTruncated><Key>load/a</Key><Key>load/b</Key><Key>load/c</Key>";
        assert!(listed(many, &page("")).is_err());
        assert!(listed("", &page("")).is_err());
    }

    #[test]
    fn keys_are_sorted_as_their_numbers() {
        let keys: Vec<_> = [0, 1, 999, 1000, 1_000_000, 999_999_999].map(key).into();
        assert!(keys.is_sorted());
    }
}
