//! A request body that is read to its end, within bounds, when it is given up. A client that sends first and listens later so gets its
//! answer instead of a reset connection.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderMap, HeaderValue, Response, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::error::BodyFault;

/// What is left of a refused body is read up to this size: a part of a multipart upload as clients make them. What is larger is cut.
const DRAIN_SIZE_BYTES_MAX: u64 = 64 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// The body of a request from its first moment: whoever refuses the request only drops it.
pub(crate) struct DrainedBody {
    inner: Option<Body>,
    /// Of a client that waits for `100 Continue`: whether it was asked to send, which reading does. Nothing may be drained before.
    asked: Option<Arc<AtomicBool>>,
}

/// Knows of a request, when it is answered, whether another one can follow on its connection.
pub(crate) struct Rest {
    /// HTTP/2 ends streams instead.
    is_http_1: bool,
    /// Whether more of the body may come than is read after a refusal.
    is_cut: bool,
    asked: Option<Arc<AtomicBool>>,
}

impl Rest {
    /// Says in an answer that the connection ends with it, where it does.
    pub(crate) fn tell<B>(&self, response: &mut Response<B>) {
        let is_refused = response.status().as_u16() >= 400;
        if self.is_http_1 && (waits(self.asked.as_ref()) || self.is_cut && is_refused) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Whether a client was left waiting for `100 Continue`: it may still send the body, or may not.
fn waits(asked: Option<&Arc<AtomicBool>>) -> bool {
    asked.is_some_and(|asked| !asked.load(Ordering::Relaxed))
}

impl DrainedBody {
    pub(crate) fn new(body: Body, headers: &HeaderMap) -> Self {
        let waits = headers.contains_key(EXPECT) && !body.is_end_stream();
        Self { inner: Some(body), asked: waits.then(Arc::default) }
    }

    /// What is to be known of it when the request is answered.
    pub(crate) fn rest(&self, version: Version) -> Rest {
        Rest {
            is_http_1: version <= Version::HTTP_11,
            is_cut: self.size_hint().lower() > DRAIN_SIZE_BYTES_MAX,
            asked: self.asked.clone(),
        }
    }

    /// The next frame; after the end or a fault there is none.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        if let Some(asked) = &self.asked {
            asked.store(true, Ordering::Relaxed);
        }
        let frame = std::task::ready!(Pin::new(inner).poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(error)) => {
                self.inner = None;
                Some(Err(if is_timeout(&error) { BodyFault::TooSlow } else { BodyFault::Incomplete }))
            }
            None => {
                self.inner = None;
                None
            }
        })
    }

    /// Its bytes; trailers are left out.
    pub(crate) fn into_stream(mut self) -> impl futures::Stream<Item = Result<Bytes, BodyFault>> + Send + 'static {
        futures::stream::poll_fn(move |cx| {
            loop {
                return Poll::Ready(match std::task::ready!(self.poll_next(cx)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(bytes) => Some(Ok(bytes)),
                        Err(_) => continue,
                    },
                    Some(Err(fault)) => Some(Err(fault)),
                    None => None,
                });
            }
        })
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for DrainedBody {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        if !waits(self.asked.as_ref())
            && !inner.is_end_stream()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            drop(runtime.spawn(tokio::time::timeout(DRAIN_TIME_MAX, drain(inner))));
        }
    }
}

async fn drain(mut body: Body) {
    let mut left = DRAIN_SIZE_BYTES_MAX;
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let read = frame.data_ref().map_or(0, |data| data.len() as u64);
        match left.checked_sub(read) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Whether the listener gave up waiting for the next byte.
fn is_timeout(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return true;
        }
        next = error.source();
    }
    false
}
