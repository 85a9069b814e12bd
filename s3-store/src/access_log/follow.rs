//! An answer that is followed to its end, to note how much of it was sent.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use engine::AccessLog;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::line::Line;

/// Follows an answer, and notes it in the log when all of it was sent, or its receiver went away.
pub(crate) fn follow(response: Response, log: AccessLog, line: Line) -> Response {
    let turnaround = line.asked.started.elapsed();
    response.map(|body| Body::new(Followed { body, note: Note { log, line, turnaround, sent_bytes: 0 } }))
}

struct Followed {
    body: Body,
    note: Note,
}

/// What is noted when it goes.
struct Note {
    log: AccessLog,
    line: Line,
    /// From the request to its answer's first byte.
    turnaround: Duration,
    sent_bytes: u64,
}

impl Drop for Note {
    fn drop(&mut self) {
        let total = Instant::now().saturating_duration_since(self.line.asked.started);
        for line in self.line.lines(self.log.owner().as_str(), self.sent_bytes, (total, self.turnaround)) {
            self.log.note(&line);
        }
    }
}

impl HttpBody for Followed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.note.sent_bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
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
