//! How long the other end may stand still: a body of which no byte comes, and an answer of which no byte is taken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Counts the time of a standstill; it runs only while something is waited for.
struct Patience {
    limit: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    fn new(limit: Duration) -> Self {
        Self { limit, waiting: None }
    }

    /// Passes on what is ready; what stands still for too long is an error of the kind [`io::ErrorKind::TimedOut`].
    fn poll<T>(&mut self, context: &mut Context<'_>, polled: Poll<T>) -> Poll<io::Result<T>> {
        match polled {
            Poll::Ready(value) => {
                self.waiting = None;
                Poll::Ready(Ok(value))
            }
            Poll::Pending => {
                let limit = self.limit;
                let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
                ready!(waiting.as_mut().poll(context));
                waiting.as_mut().reset(Instant::now() + limit);
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other end stood still for too long")))
            }
        }
    }
}

/// The body of a request. A client that sends none of it for too long ends it with an error.
pub(super) struct PatientBody {
    body: Body,
    patience: Patience,
}

impl PatientBody {
    pub(super) fn new<B>(body: B, limit: Duration) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self { body: Body::new(body), patience: Patience::new(limit) }
    }
}

impl HttpBody for PatientBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.patience
            .poll(context, polled)
            .map(|frame| frame.unwrap_or_else(|error| Some(Err(axum::Error::new(error)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection. One that takes nothing of what is written for too long breaks; reading may wait for ever, because HTTP has its own
/// limits there.
pub(super) struct PatientWriter<S> {
    stream: S,
    patience: Patience,
}

impl<S> PatientWriter<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, patience: Patience::new(limit) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PatientWriter<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PatientWriter<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.patience.poll(context, polled).map(Result::flatten)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.patience.poll(context, polled).map(Result::flatten)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.patience.poll(context, polled).map(Result::flatten)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.patience.poll(context, polled).map(Result::flatten)
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(500);

    /// A body of so many bytes, each after a pause.
    fn slow(count: usize, pause: Duration) -> PatientBody {
        let frames = stream::unfold(0, move |sent| async move {
            sleep(pause).await;
            (sent < count).then(|| (Ok::<_, io::Error>(Frame::data(Bytes::from_static(b"x"))), sent + 1))
        });
        PatientBody::new(StreamBody::new(Box::pin(frames)), LIMIT)
    }

    #[tokio::test]
    async fn a_slow_body_arrives_and_one_that_stands_still_ends() {
        let whole = slow(5, LIMIT / 2).collect().await.unwrap();
        assert_eq!(whole.to_bytes(), "xxxxx");
        let began = Instant::now();
        let error = slow(5, LIMIT * 100).collect().await.unwrap_err().into_inner();
        let error = error.downcast::<io::Error>().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() < LIMIT * 10);
    }

    #[tokio::test]
    async fn the_size_of_a_body_stays_known() {
        let body = PatientBody::new(Body::from("four"), LIMIT);
        assert_eq!(body.size_hint().exact(), Some(4));
        assert!(PatientBody::new(Body::empty(), LIMIT).is_end_stream());
    }

    #[tokio::test]
    async fn what_is_not_taken_breaks_the_connection() {
        let (near, mut far) = duplex(4);
        let mut near = PatientWriter::new(near, LIMIT);
        let reader = async {
            let mut bytes = [0; 4];
            sleep(LIMIT / 2).await;
            far.read_exact(&mut bytes).await.unwrap();
            // From here on nothing is taken.
        };
        let (written, ()) = tokio::join!(near.write_all(b"12345678abc"), reader);
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
