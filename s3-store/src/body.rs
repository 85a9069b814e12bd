//! Guards the body of a request on its way into the protocol layer: documents are compared with their digests, chunked framing is kept
//! from filling the memory, and what is wrong is remembered in words of S3. Object data streams through untouched.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::chunk_signatures::Signatures;
use crate::chunks::{ChunkReader, Framing};
use crate::context::RequestContext;
use crate::document::DocumentCheck;
use crate::drain::DrainedBody;
use crate::error::BodyFault;

/// A request body with its guard.
pub(crate) struct GuardedBody {
    inner: DrainedBody,
    ended: bool,
    guard: Guard,
    context: RequestContext,
}

enum Guard {
    Data,
    Document { check: Box<DocumentCheck>, is_kept: bool },
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
        /// Whether it is kept, to be looked at once more.
        is_kept: bool,
    },
    /// Bytes in `aws-chunked` framing.
    Chunks(Framing),
}

impl GuardedBody {
    /// `signatures` are those of chunks that go on under others.
    pub(crate) fn new(
        body: DrainedBody,
        kind: BodyKind,
        headers: &HeaderMap,
        context: RequestContext,
        signatures: Option<Signatures>,
    ) -> Self {
        let guard = match kind {
            BodyKind::Data => Guard::Data,
            BodyKind::Document { size_bytes_max, checksums_are_its_own, is_kept } => {
                let size_bytes = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
                let mut check = DocumentCheck::new(headers, size_bytes, size_bytes_max, checksums_are_its_own);
                // Nobody reads a body that has no bytes, not even to see that its digest is another.
                if body.is_end_stream()
                    && let Err(fault) = check.end()
                {
                    context.set_body_fault(fault);
                }
                Guard::Document { check: Box::new(check), is_kept }
            }
            BodyKind::Chunks(framing) => Guard::Chunks(ChunkReader::new(framing, signatures)),
        };
        Self { inner: body, ended: false, guard, context }
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
            if this.ended {
                return Poll::Ready(None);
            }
            let data = match std::task::ready!(this.inner.poll_next(cx)) {
                None => {
                    this.ended = true;
                    match this.guard.end() {
                        Ok(()) => continue,
                        Err(fault) => return this.fail(fault),
                    }
                }
                Some(Err(fault)) => {
                    this.ended = true;
                    return this.fail(fault);
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
            };
            if let Guard::Document { is_kept: true, .. } = this.guard {
                this.context.keep_of_document(&data);
            }
            match this.guard.take(data) {
                Ok(Some(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(None) => {}
                Err(fault) => return this.fail(fault),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let is_drained = match &self.guard {
            Guard::Data | Guard::Document { .. } => true,
            Guard::Chunks(reader) => reader.is_drained(),
        };
        is_drained && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.guard {
            Guard::Data | Guard::Document { .. } => self.inner.size_hint(),
            Guard::Chunks(_) => SizeHint::default(),
        }
    }
}

impl Guard {
    /// Takes what arrived; gives what may be passed on at once, or keeps it for [`ChunkReader::next_ready`].
    fn take(&mut self, data: Bytes) -> Result<Option<Bytes>, BodyFault> {
        match self {
            Self::Data => Ok(Some(data)),
            Self::Document { check, .. } => check.take(&data).map(|()| Some(data)),
            Self::Chunks(reader) => reader.take(data).map(|()| None),
        }
    }

    fn end(&mut self) -> Result<(), BodyFault> {
        match self {
            Self::Data => Ok(()),
            Self::Document { check, .. } => check.end(),
            Self::Chunks(reader) => reader.end(),
        }
    }
}
