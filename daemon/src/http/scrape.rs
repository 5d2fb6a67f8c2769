//! One scrape: the exposition is written by a thread of its own, compressed there if that was asked for, and sent in pieces as it
//! grows, so that its size costs no memory. Bounded: scrapes at once, pieces in flight, and the time one may take.

use std::{
    fmt,
    io::Write as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};
use hyper::body::{Body as HttpBody, Bytes, Frame};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Sleep, sleep, timeout},
};

use crate::metrics::{Exporter, Format};

/// Scrapes written at once; others wait for a turn.
const AT_ONCE: usize = 2;
/// Longest wait for a turn, and longest time for one scrape. Prometheus gives up after 10 s by default.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a piece, and pieces in flight.
const PIECE_BYTES: usize = 64 * 1024;
const PIECES: usize = 4;

/// What scrapes share.
#[derive(Debug)]
pub(super) struct Scrapes {
    exporter: Arc<Exporter>,
    turns: Arc<Semaphore>,
}

// === impl Scrapes ===

impl Scrapes {
    pub(super) fn new(exporter: Exporter) -> Self {
        Self {
            exporter: Arc::new(exporter),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    pub(super) async fn scrape(&self, format: Format, gzip: bool) -> Response {
        let turn = timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return (
                StatusCode::SERVICE_UNAVAILABLE,
                "too many scrapes at once\n",
            )
                .into_response();
        };
        let (pieces, body) = mpsc::channel(PIECES);
        let exporter = Arc::clone(&self.exporter);
        // Not detached from its end: the body below waits for the last piece, and when nobody reads any
        // more the next piece finds the channel closed and the writing ends.
        tokio::task::spawn_blocking(move || {
            let mut out = Pieces {
                text: String::with_capacity(PIECE_BYTES),
                // Its lines are so alike that the fastest level leaves a thirtieth of them; the default takes nine times as
                // long for a third less.
                gzip: gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast())),
                pieces,
            };
            if exporter
                .write(format, &mut out)
                .and_then(|()| out.send(true))
                .is_err()
            {
                tracing::debug!("a scrape was given up by its reader");
            }
            drop(turn);
        });
        let body = Streamed {
            pieces: body,
            whole: false,
            deadline: Box::pin(sleep(PATIENCE)),
        };
        let encoding = gzip.then_some([(header::CONTENT_ENCODING, "gzip")]);
        let headers = [
            (header::CONTENT_TYPE, format.content_type()),
            // For caches in between: what is answered depends on these.
            (header::VARY, "accept, accept-encoding"),
        ];
        (headers, encoding, Body::new(body)).into_response()
    }
}

/// A piece of the exposition, and whether it is the last one.
type Piece = (Bytes, bool);

struct Pieces {
    text: String,
    gzip: Option<GzEncoder<Vec<u8>>>,
    pieces: mpsc::Sender<Piece>,
}

// === impl Pieces ===

impl Pieces {
    /// Sends what was written so far; of what is compressed, as much of it as has come out.
    fn send(&mut self, last: bool) -> fmt::Result {
        let bytes = match &mut self.gzip {
            None => {
                let room = if last { 0 } else { PIECE_BYTES };
                std::mem::replace(&mut self.text, String::with_capacity(room)).into_bytes()
            }
            Some(gzip) => {
                gzip.write_all(self.text.as_bytes())
                    .and_then(|()| if last { gzip.try_finish() } else { Ok(()) })
                    .map_err(|_| fmt::Error)?;
                self.text.clear();
                std::mem::take(gzip.get_mut())
            }
        };
        if bytes.is_empty() && !last {
            return Ok(());
        }
        self.pieces
            .blocking_send((Bytes::from(bytes), last))
            .map_err(|_| fmt::Error)
    }
}

impl fmt::Write for Pieces {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.text.len() + text.len() > PIECE_BYTES {
            self.send(false)?;
        }
        self.text.push_str(text);
        Ok(())
    }
}

/// The response's body.
struct Streamed {
    pieces: mpsc::Receiver<Piece>,
    whole: bool,
    deadline: Pin<Box<Sleep>>,
}

/// The body broke off: a client must not take what it got for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the exposition broke off")]
struct BrokeOff;

// === impl Streamed ===

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            self.pieces.close();
            return Poll::Ready(Some(Err(BrokeOff)));
        }
        match ready!(self.pieces.poll_recv(cx)) {
            Some((piece, last)) => {
                self.whole |= last;
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            None if self.whole => Poll::Ready(None),
            None => Poll::Ready(Some(Err(BrokeOff))),
        }
    }
}
