//! What every request gets: an id, a line in the log, a place in the metrics, and an answer even when the code behind it panics.
//!
//! The host is logged, because it may name the bucket; the path without its query, because passwords and signatures stand in queries.
//! Nothing is added to the headers of the request, because signatures cover them.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::FutureExt as _;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use tower::ServiceExt as _;
use tower_http::request_id::RequestId;

/// The id that S3 clients show; where it is present, it is the one in the log.
const AMZ_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Answers one request.
pub(super) async fn answer(
    door: &'static str,
    peer: SocketAddr,
    router: Router,
    mut request: Request<Body>,
) -> Response {
    let mut record = Record {
        door,
        peer,
        method: request.method().clone(),
        host: host_of(&request),
        path: request.uri().path().to_owned(),
        id: uuid::Uuid::new_v4().simple().to_string(),
        began: Instant::now(),
        status: client_left(),
        sent_bytes: 0,
        is_whole: false,
    };
    let id = HeaderValue::from_str(&record.id).ok();
    if let Some(id) = id.clone() {
        request.extensions_mut().insert(RequestId::new(id));
    }
    metrics::gauge!("cloudhold_http_requests_open", "door" => door).increment(1.0);
    let called = AssertUnwindSafe(router.oneshot(request)).catch_unwind().await;
    let mut response = match called {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_) => {
            tracing::error!(door, id = record.id, path = record.path, "the code that answers panicked");
            (StatusCode::INTERNAL_SERVER_ERROR, "internal error\n").into_response()
        }
    };
    match (response.headers().get(AMZ_REQUEST_ID).and_then(|id| id.to_str().ok()), id) {
        (Some(shown), _) => record.id = shown.to_owned(),
        (None, Some(id)) => {
            response.headers_mut().entry(REQUEST_ID).or_insert(id);
        }
        (None, None) => {}
    }
    record.status = response.status();
    let announced_bytes = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    response.map(|body| Body::new(Recorded::new(body, record, announced_bytes)))
}

/// The status of a request whose client left before it was answered, as proxies write it in their logs. It is no fault of the store.
fn client_left() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
}

/// The host that a request is for, without a user; with HTTP/2 it stands in the target.
fn host_of(request: &Request<Body>) -> String {
    let in_header = request.headers().get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    let in_target = || request.uri().authority().map(|authority| authority.as_str().to_owned());
    let asked = in_header.or_else(in_target).unwrap_or_default();
    asked.rsplit('@').next().unwrap_or_default().to_owned()
}

/// What is known of a request; it is written when the answer has left or was given up.
struct Record {
    door: &'static str,
    peer: SocketAddr,
    method: Method,
    host: String,
    path: String,
    id: String,
    began: Instant,
    status: StatusCode,
    sent_bytes: u64,
    is_whole: bool,
}

impl Record {
    /// Methods that clients invent must not make new rows in the metrics.
    fn method_label(&self) -> &'static str {
        match self.method.as_str() {
            "GET" => "GET",
            "HEAD" => "HEAD",
            "PUT" => "PUT",
            "POST" => "POST",
            "DELETE" => "DELETE",
            "OPTIONS" => "OPTIONS",
            _ => "other",
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let elapsed = self.began.elapsed();
        let status = self.status.as_u16();
        let (door, method) = (self.door, self.method_label());
        metrics::gauge!("cloudhold_http_requests_open", "door" => door).decrement(1.0);
        metrics::counter!("cloudhold_http_requests_total", "door" => door, "method" => method, "status" => status.to_string())
            .increment(1);
        metrics::histogram!("cloudhold_http_request_seconds", "door" => door, "method" => method).record(elapsed);
        metrics::counter!("cloudhold_http_sent_bytes_total", "door" => door).increment(self.sent_bytes);
        tracing::info!(
            target: "access",
            door,
            method = %self.method,
            host = self.host,
            path = self.path,
            status,
            sent_bytes = self.sent_bytes,
            is_whole = self.is_whole,
            elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            peer = %self.peer,
            id = self.id,
        );
    }
}

/// The body of an answer with its record. It passes everything on as it comes.
struct Recorded {
    body: Body,
    record: Record,
    /// The length that the answer's head tells. Nobody asks for more once that is sent, not even whether there is any.
    announced_bytes: Option<u64>,
}

impl Recorded {
    fn new(body: Body, mut record: Record, announced_bytes: Option<u64>) -> Self {
        record.is_whole = body.is_end_stream() || record.method == Method::HEAD;
        Self { body, record, announced_bytes }
    }
}

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.record.sent_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                self.record.is_whole = self.body.is_end_stream()
                    || self.body.size_hint().exact() == Some(0)
                    || self.announced_bytes == Some(self.record.sent_bytes);
            }
            Poll::Ready(None) => self.record.is_whole = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use axum::http::HeaderMap;
    use axum::routing::get;
    use http_body_util::BodyExt as _;

    use super::*;

    /// Collects what is logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }

        /// Collects until the returned guard is dropped; the tests run on one thread each.
        fn listen(&self) -> tracing::subscriber::DefaultGuard {
            let log = self.clone();
            let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).finish();
            tracing::subscriber::set_default(subscriber)
        }
    }

    async fn ask(router: Router, uri: &str) -> Response {
        let peer = "127.0.0.1:1".parse().unwrap();
        answer("test", peer, router, Request::get(uri).body(Body::empty()).unwrap()).await
    }

    #[tokio::test]
    async fn the_log_has_the_path_and_never_the_query() {
        let log = Log::default();
        let guard = log.listen();
        let response = ask(Router::new().route("/user", get(async || "hello")), "/user?password=hush").await;
        let id = response.headers()[REQUEST_ID].to_str().unwrap().to_owned();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
        drop(guard);
        let text = log.text();
        assert!(text.contains("/user") && text.contains("sent_bytes=5") && text.contains("is_whole=true"), "{text}");
        assert!(text.contains(&id), "{text}");
        assert!(!text.contains("hush"), "{text}");
    }

    #[tokio::test]
    async fn the_log_has_the_host_of_either_version_of_http() {
        let log = Log::default();
        let guard = log.listen();
        let old = Request::get("/key").header(HOST, "ada:hush@photos.s3.lan:9000");
        let new = Request::get("https://music.s3.lan:9443/key");
        for request in [old, new] {
            let request = request.body(Body::empty()).unwrap();
            drop(answer("test", "127.0.0.1:1".parse().unwrap(), Router::new(), request).await);
        }
        drop(guard);
        let text = log.text();
        assert!(text.contains("host=\"photos.s3.lan:9000\" path=\"/key\""), "{text}");
        assert!(text.contains("host=\"music.s3.lan:9443\" path=\"/key\""), "{text}");
    }

    #[tokio::test]
    async fn an_answer_is_whole_when_all_that_was_announced_is_sent() {
        let log = Log::default();
        let guard = log.listen();
        let streamed = || Body::from_stream(futures::stream::iter([Ok::<_, io::Error>("12"), Ok("34")]));
        let router = Router::new().route("/", get(async move || ([(CONTENT_LENGTH, "4")], streamed())));
        for frames in [1, 2] {
            let mut body = ask(router.clone(), "/").await.into_body();
            for _ in 0..frames {
                body.frame().await.unwrap().unwrap();
            }
        }
        drop(guard);
        let told: Vec<bool> = log.text().lines().map(|line| line.contains("is_whole=true")).collect();
        assert_eq!(told, [false, true], "{}", log.text());
    }

    #[tokio::test]
    async fn an_answer_that_is_given_up_is_logged_as_such() {
        let log = Log::default();
        let guard = log.listen();
        let response = ask(Router::new().route("/", get(async || "never read")), "/").await;
        drop(response);
        drop(guard);
        assert!(log.text().contains("is_whole=false"), "{}", log.text());
    }

    #[tokio::test]
    async fn a_client_that_leaves_early_is_no_error_of_the_store() {
        let log = Log::default();
        let guard = log.listen();
        let never = ask(Router::new().route("/", get(std::future::pending::<&'static str>)), "/");
        assert!(never.now_or_never().is_none());
        drop(guard);
        assert!(log.text().contains("status=499"), "{}", log.text());
    }

    #[tokio::test]
    async fn requests_reach_the_code_with_their_own_headers_only() {
        let seen = async |headers: HeaderMap| format!("{headers:?}");
        let response = ask(Router::new().route("/", get(seen)), "/").await;
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "{}");
    }

    #[tokio::test]
    async fn the_id_that_clients_of_s3_see_is_the_one_in_the_log() {
        let log = Log::default();
        let guard = log.listen();
        let response = ask(Router::new().route("/", get(async || ([("x-amz-request-id", "SHOWN")], "x"))), "/").await;
        assert!(response.headers().get(REQUEST_ID).is_none());
        drop(response);
        drop(guard);
        assert!(log.text().contains("SHOWN"));
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        async fn broken() -> &'static str {
            panic!("as a test")
        }
        let response = ask(Router::new().route("/", get(broken)), "/").await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
