//! What every request gets: an id, a line in the log, a place in the metrics, and an answer even when the code behind it panics.
//!
//! The path is logged without its query, because passwords and signatures stand in queries. Nothing is added to the headers of the
//! request, because signatures cover them.

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
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use tower::ServiceExt as _;
use tower_http::request_id::RequestId;

/// The id that S3 clients show; where it is present, it is the one in the log.
const AMZ_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Answers one request.
pub(super) async fn answer(door: &'static str, peer: SocketAddr, router: Router, mut request: Request<Body>) -> Response {
    let mut record = Record {
        door,
        peer,
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        id: uuid::Uuid::new_v4().simple().to_string(),
        began: Instant::now(),
        status: StatusCode::INTERNAL_SERVER_ERROR,
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
    response.map(|body| Body::new(Recorded::new(body, record)))
}

/// What is known of a request; it is written when the answer has left or was given up.
struct Record {
    door: &'static str,
    peer: SocketAddr,
    method: Method,
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
            path = self.path,
            status,
            sent_bytes = self.sent_bytes,
            is_whole = self.is_whole,
            elapsed_ms = elapsed.as_secs_f64() * 1000.0,
            peer = %self.peer,
            id = self.id,
        );
    }
}

/// The body of an answer with its record. It passes everything on as it comes.
struct Recorded {
    body: Body,
    record: Record,
}

impl Recorded {
    fn new(body: Body, mut record: Record) -> Self {
        record.is_whole = body.is_end_stream() || record.method == Method::HEAD;
        Self { body, record }
    }
}

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.record.sent_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                self.record.is_whole = self.body.is_end_stream() || self.body.size_hint().exact() == Some(0);
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
