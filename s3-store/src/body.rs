//! Guards the body of a request on its way into the protocol layer: documents are compared with their digests, chunked framing is kept
//! from filling the memory, and what is wrong is remembered in words of S3. Object data streams through untouched.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::chunks::{ChunkReader, Framing};
use crate::context::RequestContext;
use crate::document::DocumentCheck;
use crate::error::BodyFault;

/// What is left of a refused body is read up to this size, so that a client that sends first and listens later gets its answer instead
/// of a reset connection.
const DRAIN_SIZE_BYTES_MAX: u64 = 8 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// A request body with its guard.
pub(crate) struct GuardedBody {
    inner: Option<Body>,
    guard: Guard,
    context: RequestContext,
    /// Reading asks a client that waits for `100 Continue` to send: nothing may be drained before it was asked.
    may_drain: bool,
}

enum Guard {
    Data,
    Document(Box<DocumentCheck>),
    Chunks(ChunkReader),
}

/// What the body of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyKind {
    /// The bytes of an object or a part.
    Data,
    /// An XML document of at most so many bytes.
    Document {
        size_bytes_max: usize,
        /// Whether `x-amz-checksum-*` headers are of the document: those of a Complete are of the object.
        checksums_are_its_own: bool,
    },
    /// Bytes in `aws-chunked` framing.
    Chunks(Framing),
}

impl GuardedBody {
    pub(crate) fn new(body: Body, kind: BodyKind, headers: &HeaderMap, context: RequestContext) -> Self {
        let guard = match kind {
            BodyKind::Data => Guard::Data,
            BodyKind::Document { size_bytes_max, checksums_are_its_own } => {
                let size_bytes = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
                Guard::Document(Box::new(DocumentCheck::new(
                    headers,
                    size_bytes,
                    size_bytes_max,
                    checksums_are_its_own,
                )))
            }
            BodyKind::Chunks(framing) => Guard::Chunks(ChunkReader::new(framing)),
        };
        Self { inner: Some(body), guard, context, may_drain: !headers.contains_key(EXPECT) }
    }

    fn fail(&mut self, fault: BodyFault) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.context.set_body_fault(fault);
        Poll::Ready(Some(Err(Box::new(fault))))
    }
}

type BoxError = Box<dyn StdError + Send + Sync>;

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            if let Guard::Chunks(reader) = &mut this.guard
                && let Some(ready) = reader.next_ready()
            {
                return Poll::Ready(Some(Ok(Frame::data(ready))));
            }
            let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
            this.may_drain = true;
            let frame = std::task::ready!(Pin::new(inner).poll_frame(cx));
            let data = match frame {
                None => {
                    this.inner = None;
                    return match this.guard.end() {
                        Ok(()) => Poll::Ready(None),
                        Err(fault) => this.fail(fault),
                    };
                }
                Some(Err(_)) => {
                    this.inner = None;
                    return this.fail(BodyFault::Incomplete);
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
            };
            match this.guard.take(data) {
                Ok(Some(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(None) => {}
                Err(fault) => return this.fail(fault),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.guard, &self.inner) {
            (Guard::Data | Guard::Document(_), Some(inner)) => inner.size_hint(),
            (Guard::Data | Guard::Document(_), None) => SizeHint::with_exact(0),
            (Guard::Chunks(_), _) => SizeHint::default(),
        }
    }
}

impl Guard {
    /// Takes what arrived; gives what may be passed on at once, or keeps it for [`ChunkReader::next_ready`].
    fn take(&mut self, data: Bytes) -> Result<Option<Bytes>, BodyFault> {
        match self {
            Self::Data => Ok(Some(data)),
            Self::Document(check) => check.take(&data).map(|()| Some(data)),
            Self::Chunks(reader) => reader.take(data).map(|()| None),
        }
    }

    fn end(&mut self) -> Result<(), BodyFault> {
        match self {
            Self::Data => Ok(()),
            Self::Document(check) => check.end(),
            Self::Chunks(reader) => reader.end(),
        }
    }
}

impl Drop for GuardedBody {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        let left = inner.size_hint();
        let short = left.upper().is_some_and(|bytes| (1..=DRAIN_SIZE_BYTES_MAX).contains(&bytes));
        let open_ended = left.upper().is_none() && !inner.is_end_stream();
        if self.may_drain
            && (short || open_ended)
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
