//! How slow the other end may be: how long a body may stand still and how slowly it may trickle, and likewise an answer that is not taken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How slow the other end may be. Only time in which it is waited for counts, not time in which the store is busy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How long it may stand still.
    pub(crate) idle: Duration,
    /// How long it may be waited for, in sum, beyond what its bytes earn it.
    pub(crate) grace: Duration,
    /// Bytes that earn it a second; 0 lets it be as slow as it likes.
    pub(crate) bytes_per_second_min: u64,
}

/// Counts the time of waiting; it runs only while something is waited for.
struct Patience {
    pace: Pace,
    /// How long may still be waited. It never grows beyond the grace: what was sent an hour ago earns nothing now.
    left: Duration,
    waiting: Option<Waiting>,
}

struct Waiting {
    since: Instant,
    end: Pin<Box<Sleep>>,
}

impl Patience {
    fn new(pace: Pace) -> Self {
        Self { pace, left: pace.grace, waiting: None }
    }

    /// Passes on what is ready; what stands still for too long, or is too slow, is an error of the kind [`io::ErrorKind::TimedOut`].
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<T>,
        size_bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match polled {
            Poll::Ready(value) => {
                self.earn(size_bytes(&value) as u64);
                Poll::Ready(Ok(value))
            }
            Poll::Pending => {
                let limit = self.limit();
                let waiting =
                    self.waiting.get_or_insert_with(|| Waiting { since: Instant::now(), end: Box::pin(sleep(limit)) });
                ready!(waiting.end.as_mut().poll(context));
                waiting.end.as_mut().reset(Instant::now() + limit);
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other end was too slow")))
            }
        }
    }

    fn limit(&self) -> Duration {
        if self.pace.bytes_per_second_min == 0 { self.pace.idle } else { self.pace.idle.min(self.left) }
    }

    /// Pays for the time that was waited, and earns some by what came of it.
    fn earn(&mut self, size_bytes: u64) {
        if let Some(waiting) = self.waiting.take() {
            self.left = self.left.saturating_sub(waiting.since.elapsed());
        }
        let earned_us = size_bytes.saturating_mul(1_000_000).checked_div(self.pace.bytes_per_second_min);
        self.left = self.left.saturating_add(Duration::from_micros(earned_us.unwrap_or_default())).min(self.pace.grace);
    }
}

/// The body of a request. A client that sends none of it for too long ends it with an error.
pub(super) struct PatientBody {
    body: Body,
    patience: Patience,
}

impl PatientBody {
    pub(super) fn new<B>(body: B, pace: Pace) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self { body: Body::new(body), patience: Patience::new(pace) }
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
        let size_bytes = |frame: &Option<Result<Frame<Bytes>, axum::Error>>| {
            frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref().map(Bytes::len)).unwrap_or_default()
        };
        self.patience
            .poll(context, polled, size_bytes)
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
    pub(super) fn new(stream: S, pace: Pace) -> Self {
        Self { stream, patience: Patience::new(pace) }
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
        self.patience.poll(context, polled, written_bytes).map(Result::flatten)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.patience.poll(context, polled, written_bytes).map(Result::flatten)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.patience.poll(context, polled, |_| 0).map(Result::flatten)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.patience.poll(context, polled, |_| 0).map(Result::flatten)
    }
}

fn written_bytes(written: &io::Result<usize>) -> usize {
    written.as_ref().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(500);

    fn pace(bytes_per_second_min: u64) -> Pace {
        Pace { idle: LIMIT, grace: LIMIT, bytes_per_second_min }
    }

    /// A body of so many bytes, each after a pause.
    fn slow(count: usize, pause: Duration) -> PatientBody {
        let frames = stream::unfold(0, move |sent| async move {
            sleep(pause).await;
            (sent < count).then(|| (Ok::<_, io::Error>(Frame::data(Bytes::from_static(b"x"))), sent + 1))
        });
        PatientBody::new(StreamBody::new(Box::pin(frames)), pace(0))
    }

    /// A body of so many bytes a frame, without end, each after a pause.
    fn trickle(size_bytes: usize, pause: Duration, pace: Pace) -> PatientBody {
        let frames = stream::unfold((), move |()| async move {
            sleep(pause).await;
            Some((Ok::<_, io::Error>(Frame::data(Bytes::from(vec![b'x'; size_bytes]))), ()))
        });
        PatientBody::new(StreamBody::new(Box::pin(frames)), pace)
    }

    /// How many frames come before the body is ended, at most `frames_max`.
    async fn frames(mut body: PatientBody, frames_max: usize) -> usize {
        for count in 0..frames_max {
            if !matches!(body.frame().await, Some(Ok(_))) {
                return count;
            }
        }
        frames_max
    }

    #[tokio::test]
    async fn a_body_that_trickles_ends_although_it_never_stands_still() {
        // 1 byte in 20 ms are 50 a second.
        let pause = Duration::from_millis(20);
        assert!(frames(trickle(1, pause, pace(1000)), 100).await < 40, "the grace is used up in the first 25");
        assert_eq!(frames(trickle(100, pause, pace(1000)), 100).await, 100, "5,000 a second are fast enough");
        assert_eq!(frames(trickle(1, pause, pace(0)), 100).await, 100, "there is no least rate");
    }

    #[test]
    fn what_was_sent_long_ago_earns_nothing() {
        let mut patience = Patience::new(pace(10));
        patience.earn(1 << 40);
        assert_eq!(patience.limit(), LIMIT);
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
        let body = PatientBody::new(Body::from("four"), pace(0));
        assert_eq!(body.size_hint().exact(), Some(4));
        assert!(PatientBody::new(Body::empty(), pace(0)).is_end_stream());
    }

    #[tokio::test]
    async fn what_is_not_taken_breaks_the_connection() {
        let (near, mut far) = duplex(4);
        let mut near = PatientWriter::new(near, pace(0));
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
