//! The body of a form on its way to the parser of forms, which keeps whatever it is given until it finds what it looks for.
//!
//! So it is given little at a time, and before the file begins not more than a form may have there: nobody can fill the memory with a
//! form that never comes to the point.

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;

use crate::drain::DrainedBody;

/// Bytes that are given at once before the file. The parser asks for more at each field, also when it has not looked at all of what it has.
const PIECE_BYTES: usize = 512;
/// Bytes before the file: all fields with what stands around them, and what is given ahead of them. The parser searches what it has from the
/// start with each piece, so that this bounds its work as well.
const BEFORE_FILE_BYTES_MAX: usize = 256 << 10;

/// So much came that the file should have begun.
#[derive(Debug, thiserror::Error)]
#[error("a form has too much before its file")]
pub(crate) struct TooMuch;

/// Told when the file begins: from there on there is no limit.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileBegins(Arc<AtomicBool>);

impl FileBegins {
    pub(crate) fn tell(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_told(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the parser cannot read on after.
type Failure = Box<dyn StdError + Send + Sync>;

/// The bytes of a form, with a pause after each piece, in which the parser looks at what it has.
pub(crate) fn pieces(
    body: DrainedBody,
    file: FileBegins,
) -> impl Stream<Item = Result<Bytes, Failure>> + Send + 'static {
    let mut bytes = Box::pin(body.into_stream());
    let (mut rest, mut given_bytes, mut pauses) = (Bytes::new(), 0, false);
    futures::stream::poll_fn(move |cx: &mut Context<'_>| {
        if std::mem::take(&mut pauses) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !file.is_told() && given_bytes >= BEFORE_FILE_BYTES_MAX {
            return Poll::Ready(Some(Err(TooMuch.into())));
        }
        if rest.is_empty() {
            match std::task::ready!(bytes.as_mut().poll_next(cx)) {
                Some(Ok(came)) => rest = came,
                Some(Err(fault)) => return Poll::Ready(Some(Err(fault.into()))),
                None => return Poll::Ready(None),
            }
        }
        let length = if file.is_told() { rest.len() } else { rest.len().min(PIECE_BYTES) };
        given_bytes = given_bytes.saturating_add(length);
        pauses = true;
        Poll::Ready(Some(Ok(rest.split_to(length))))
    })
}
