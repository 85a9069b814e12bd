//! A small raw S3 client with its own SigV4 signer, for tests that must see every answer and every broken connection.
//!
//! Keys are of ASCII letters, digits and `-._/`, which need no encoding.

use std::collections::BTreeMap;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Method, Response, StatusCode};
use sha2::Sha256;
use time::OffsetDateTime;
use time::macros::format_description;
use url::Url;

use crate::content::sha256;

/// The region that requests are signed for; the store takes any.
const REGION: &str = "us-east-1";

/// A client of one tenant; clones share their connections.
#[derive(Clone, Debug)]
pub struct S3 {
    http: reqwest::Client,
    base: Url,
    access_key: String,
    secret_key: String,
    service: &'static str,
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct S3Answer {
    /// The status.
    pub status: StatusCode,
    /// The entity tag without quotes; empty when there is none.
    pub etag: String,
    /// The version of the object, where its bucket keeps versions.
    pub version_id: Option<String>,
    /// How the store says that the object is encrypted under keys of its own.
    pub encryption: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl S3Answer {
    /// The text of the first element of that name.
    #[must_use]
    pub fn element(&self, name: &str) -> Option<String> {
        self.elements(name).into_iter().next()
    }

    /// The texts of all elements of that name that hold only text.
    #[must_use]
    pub fn elements(&self, name: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.body);
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        text.split(&open).skip(1).filter_map(|rest| Some(rest.split_once(&close)?.0.to_owned())).collect()
    }

    /// This answer, if it is a success.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn ok(self) -> Self {
        assert!(self.status.is_success(), "{}: {}", self.status, String::from_utf8_lossy(&self.body));
        self
    }
}

impl S3 {
    /// A client of an S3 door without TLS.
    ///
    /// # Panics
    /// When the address is none.
    #[must_use]
    pub fn new(base_url: &str, access_key: &str, secret_key: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(120)).build().unwrap();
        let (access_key, secret_key) = (access_key.to_owned(), secret_key.to_owned());
        Self { http, base: base_url.parse().unwrap(), access_key, secret_key, service: "s3" }
    }

    /// Signs for another service, `iam` say.
    #[must_use]
    pub fn of_service(self, service: &'static str) -> Self {
        Self { service, ..self }
    }

    /// Makes a bucket.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn create_bucket(&self, bucket: &str) {
        let _ = self.send(Method::PUT, bucket, "", Vec::new()).await.unwrap().ok();
    }

    /// Stores an object.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn put(&self, bucket: &str, key: &str, body: Vec<u8>) -> reqwest::Result<S3Answer> {
        self.send(Method::PUT, &format!("{bucket}/{key}"), "", body).await
    }

    /// Reads an object.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn get(&self, bucket: &str, key: &str) -> reqwest::Result<S3Answer> {
        self.send(Method::GET, &format!("{bucket}/{key}"), "", Vec::new()).await
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn delete(&self, bucket: &str, key: &str) -> reqwest::Result<S3Answer> {
        self.send(Method::DELETE, &format!("{bucket}/{key}"), "", Vec::new()).await
    }

    /// Stores an object in parts. `None` when the store refused a step.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn put_parts(&self, bucket: &str, key: &str, parts: &[&[u8]]) -> reqwest::Result<Option<S3Answer>> {
        let path = format!("{bucket}/{key}");
        let Some(upload) = self.send(Method::POST, &path, "uploads=", Vec::new()).await?.element("UploadId") else {
            return Ok(None);
        };
        let mut list = String::new();
        for (number, part) in (1..).zip(parts) {
            let query = format!("partNumber={number}&uploadId={upload}");
            let answer = self.send(Method::PUT, &path, &query, part.to_vec()).await?;
            if !answer.status.is_success() {
                return Ok(None);
            }
            list += &format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{}\"</ETag></Part>", answer.etag);
        }
        let body = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>").into_bytes();
        self.send(Method::POST, &path, &format!("uploadId={upload}"), body).await.map(Some)
    }

    /// The keys of a bucket.
    ///
    /// # Panics
    /// When they cannot be listed.
    pub async fn keys(&self, bucket: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let mut after = String::new();
        loop {
            let query = format!("marker={}", after.replace('/', "%2F"));
            let page = self.send(Method::GET, bucket, &query, Vec::new()).await.unwrap().ok();
            let found = page.elements("Key");
            let truncated = page.element("IsTruncated").as_deref() == Some("true");
            after = found.last().cloned().unwrap_or_default();
            keys.extend(found);
            if !truncated {
                return keys;
            }
        }
    }

    /// Sends a signed request. `query` is in canonical form: sorted and encoded, with `=` behind every name.
    ///
    /// # Errors
    /// When the connection breaks.
    ///
    /// # Panics
    /// When the address is none.
    pub async fn send(&self, method: Method, path: &str, query: &str, body: Vec<u8>) -> reqwest::Result<S3Answer> {
        self.send_with(method, path, query, &[], body).await
    }

    /// Copies an object inside of a bucket.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn copy(&self, bucket: &str, from: &str, to: &str) -> reqwest::Result<S3Answer> {
        let source = format!("{bucket}/{from}");
        self.send_with(Method::PUT, &format!("{bucket}/{to}"), "", &[("x-amz-copy-source", &source)], Vec::new()).await
    }

    /// Sends a request with more headers, all of them signed; their names are in lower case.
    async fn send_with(
        &self,
        method: Method,
        path: &str,
        query: &str,
        more: &[(&'static str, &str)],
        body: Vec<u8>,
    ) -> reqwest::Result<S3Answer> {
        let response = self.begin(method, path, query, more, body).await?;
        let status = response.status();
        let header = |name| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let etag = header("etag").unwrap_or_default().trim_matches('"').to_owned();
        let version_id = header("x-amz-version-id");
        let encryption = header("x-amz-server-side-encryption");
        Ok(S3Answer { status, etag, version_id, encryption, body: response.bytes().await?.to_vec() })
    }

    /// Begins to read an object: the rest comes as fast as the answer's holder reads.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn open(&self, bucket: &str, key: &str) -> reqwest::Result<Response> {
        self.begin(Method::GET, &format!("{bucket}/{key}"), "", &[], Vec::new()).await
    }

    /// Sends a request and waits for the head of its answer.
    async fn begin(
        &self,
        method: Method,
        path: &str,
        query: &str,
        more: &[(&'static str, &str)],
        body: Vec<u8>,
    ) -> reqwest::Result<Response> {
        let host = format!("{}:{}", self.base.host_str().unwrap(), self.base.port_or_known_default().unwrap());
        let now = OffsetDateTime::now_utc().format(format_description!("[year][month][day]T[hour][minute][second]Z"));
        let now = now.unwrap();
        let hash = sha256(&body);
        let own = [("host", host.as_str()), ("x-amz-content-sha256", &hash), ("x-amz-date", &now)];
        let signed: BTreeMap<&str, &str> = own.into_iter().chain(more.iter().copied()).collect();
        let names = signed.keys().copied().collect::<Vec<_>>().join(";");
        let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("{method}\n/{path}\n{query}\n{lines}\n{names}\n{hash}");
        let scope = format!("{}/{REGION}/{}/aws4_request", &now[..8], self.service);
        let text = format!("AWS4-HMAC-SHA256\n{now}\n{scope}\n{}", sha256(canonical.as_bytes()));
        let signature = hex::encode(mac(&self.signing_key(&now[..8]), &text));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.access_key
        );
        let mark = if query.is_empty() { "" } else { "?" };
        let mut request = self.http.request(method, format!("{}{path}{mark}{query}", self.base));
        // Of an empty body the client would not say that it is one, and S3 wants to know.
        request = request.header("content-length", body.len());
        for (name, value) in &signed {
            request = request.header(*name, *value);
        }
        request.header("authorization", authorization).body(body).send().await
    }

    fn signing_key(&self, date: &str) -> Vec<u8> {
        let first = mac(format!("AWS4{}", self.secret_key).as_bytes(), date);
        [REGION, self.service, "aws4_request"].into_iter().fold(first, |key, word| mac(&key, word))
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length of key will do");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
