//! A stream of an HTTP/2 connection that is written to and read from like a connection that speaks HTTP/1.1.
//!
//! What forwards requests knows one protocol: heads, framing, trailers, repeats and replays are the same to it whatever
//! the upstream speaks. Here the bytes of a request become a stream's head and DATA frames, and what comes back becomes
//! the bytes of an answer. hyper does the frames.

mod request;

use std::{
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderMap, Response, header};
use http_body::Body as _;
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::spawn_local,
};

use self::request::{Outgoing, Upload};
use crate::http1::{
    body::{Sink, put_content, put_field},
    buffer::{Buffer, SMALL},
};

/// Bytes that an upstream may send ahead, on a stream and on a connection.
const STREAM_WINDOW: u32 = 128 * 1024;
/// Room for all streams, so that callers who do not read hold up nobody else.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MOST_STREAMS as u32;
/// The largest head that is taken, as HTTP/2 counts it; what comes is held to the limits of heads again.
const LARGEST_HEAD: u32 = 256 * 1024;
/// How often a connection with requests in hand is asked whether it lives, and how long its answer may take.
const PING: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Streams on a connection at a time; a further request opens another. Many servers allow 100 or 128.
const MOST_STREAMS: usize = 100;

/// An HTTP/2 connection to an upstream, shared by the requests of one worker.
#[derive(Clone, Debug)]
pub(super) struct Session {
    sender: SendRequest<Upload>,
    /// Counts the streams: each holds a clone of it.
    streams: Rc<()>,
}

impl Session {
    /// Speaks HTTP/2 on `io`.
    ///
    /// # Errors
    /// The handshake failed.
    pub(super) async fn begin<T: AsyncRead + AsyncWrite + Unpin + 'static>(io: T) -> hyper::Result<Self> {
        let (sender, connection) = hyper::client::conn::http2::Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(LARGEST_HEAD)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(TokioIo::new(io))
            .await?;
        spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP/2 connection to an upstream broke");
            }
        });
        Ok(Self { sender, streams: Rc::new(()) })
    }

    /// Whether it takes another request.
    pub(super) fn has_room(&self) -> bool {
        !self.sender.is_closed() && Rc::strong_count(&self.streams) <= MOST_STREAMS
    }

    /// Whether it can be given up without a request noticing.
    pub(super) fn is_idle(&self) -> bool {
        Rc::strong_count(&self.streams) == 1
    }

    /// Whether it is over.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// A stream for one request to `authority`.
    pub(super) fn stream(&self, scheme: &'static str, authority: &str) -> Stream {
        Stream {
            sender: self.sender.clone(),
            outgoing: Outgoing::new(scheme, authority.to_owned()),
            incoming: Answer::NotAsked,
            out: Buffer::new(),
            was_refused: false,
            _counted: self.streams.clone(),
        }
    }
}

/// Runs what hyper has to run beside a connection on the connection's own thread.
#[derive(Clone, Copy, Debug)]
struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor
where
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}

/// One request and its answer.
pub(super) struct Stream {
    sender: SendRequest<Upload>,
    outgoing: Outgoing,
    incoming: Answer,
    /// Bytes of the answer that were not read yet.
    out: Buffer,
    was_refused: bool,
    _counted: Rc<()>,
}

type Asked = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>>>>;

enum Answer {
    NotAsked,
    Asked(Asked),
    Body { incoming: Incoming, sink: Sink },
    Whole,
}

impl Stream {
    /// Takes bytes of a request.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(self.outgoing.poll_write(cx, bytes))?;
        if let Some(request) = self.outgoing.request() {
            self.incoming = Answer::Asked(Box::pin(self.sender.send_request(request)));
        }
        Poll::Ready(Ok(count))
    }

    /// Gives bytes of the answer; 0 behind its end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        while self.out.is_empty() {
            self.out.release();
            match &mut self.incoming {
                Answer::NotAsked => return Poll::Pending,
                Answer::Whole => return Poll::Ready(Ok(0)),
                Answer::Asked(asked) => match ready!(asked.as_mut().poll(cx)) {
                    Ok(response) => self.begin(response),
                    Err(error) => {
                        self.was_refused = is_refused(&error);
                        return Poll::Ready(Err(io::Error::other(error)));
                    }
                },
                Answer::Body { incoming, sink } => {
                    let sink = *sink;
                    match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
                        Some(Ok(frame)) => match frame.into_data() {
                            Ok(data) => put_content(&mut self.out, &data, sink),
                            Err(frame) => self.end(frame.into_trailers().ok(), sink),
                        },
                        Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                        // hyper takes a reset without an error for an end.
                        None if !incoming.is_end_stream() => {
                            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                        }
                        None => self.end(None, sink),
                    }
                }
            }
        }
        let count = self.out.len().min(bytes.len());
        bytes[..count].copy_from_slice(&self.out.filled()[..count]);
        self.out.consume(count);
        Poll::Ready(Ok(count))
    }

    /// Whether the upstream said that it has done nothing with the request (RFC 9113 §8.7).
    pub(super) fn was_refused(&self) -> bool {
        self.was_refused
    }

    fn begin(&mut self, response: Response<Incoming>) {
        let (parts, incoming) = response.into_parts();
        let status = parts.status;
        self.out = Buffer::with_size(SMALL);
        self.out.extend(b"HTTP/1.1 ");
        self.out.extend(status.as_str().as_bytes());
        self.out.extend(b" ");
        self.out.extend(status.canonical_reason().unwrap_or_default().as_bytes());
        self.out.extend(b"\r\n");
        for (name, value) in &parts.headers {
            put_field(&mut self.out, name.as_str().as_bytes(), value.as_bytes());
        }
        let has_length = parts.headers.contains_key(header::CONTENT_LENGTH);
        let is_empty = incoming.is_end_stream();
        let sink = if has_length || is_empty { Sink::Plain } else { Sink::Chunked };
        if sink == Sink::Chunked {
            put_field(&mut self.out, b"transfer-encoding", b"chunked");
        } else if !has_length && !matches!(status.as_u16(), 204 | 304) && !self.outgoing.is_head() {
            put_field(&mut self.out, b"content-length", b"0");
        }
        self.out.extend(b"\r\n");
        self.incoming = if is_empty { Answer::Whole } else { Answer::Body { incoming, sink } };
    }

    fn end(&mut self, trailers: Option<HeaderMap>, sink: Sink) {
        if sink == Sink::Chunked {
            self.out.extend(b"0\r\n");
            for (name, value) in trailers.iter().flatten() {
                put_field(&mut self.out, name.as_str().as_bytes(), value.as_bytes());
            }
            self.out.extend(b"\r\n");
        }
        self.incoming = Answer::Whole;
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

/// REFUSED_STREAM, a request behind the last one that a goodbye lets finish (RFC 9113 §6.8), and a request that was still
/// waiting when the connection ended.
fn is_refused(error: &hyper::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let said_goodbye = error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR);
            return said_goodbye || error.reason() == Some(h2::Reason::REFUSED_STREAM);
        }
        cause = error.source();
    }
    error.is_canceled()
}
