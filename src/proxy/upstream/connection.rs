//! A connection to an upstream while a request uses it.
//!
//! The request's own task drives an HTTP/1.1 connection: no second task, no wake-up between two. Dropping a checkout in the
//! middle of a request closes the connection, so that the upstream learns at once that its client is gone.

use std::{
    cell::Cell,
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Body, Frame};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
    rt::{Read, Write, bounds::Http2ClientConnExec},
};
use tokio::task::spawn_local;

use super::{
    connect::ActiveUpstream,
    driver::{ConnectionFuture, Driver},
    io::ReceivedFlag,
    pool::Pool,
};
use crate::proxy::body::RequestBody;

/// A connection that serves one request.
#[derive(Debug)]
pub struct Checkout {
    protocol: Protocol,
    is_reused: bool,
}

#[derive(Debug)]
enum Protocol {
    Http1 {
        connection: Http1Connection,
        upstream: Arc<ActiveUpstream>,
        pool: Rc<Pool>,
    },
    Http2(Http2Stream),
}

/// Why a request got no response head.
#[derive(Debug)]
pub struct SendError {
    /// hyper's error.
    pub error: hyper::Error,
    /// Whether the upstream cannot have seen the request.
    pub is_unsent: bool,
    /// Whether a byte of a response came.
    pub has_received: bool,
}

impl Checkout {
    pub(super) fn http1(
        upstream: Arc<ActiveUpstream>,
        pool: &Rc<Pool>,
        connection: Http1Connection,
    ) -> Self {
        Self {
            is_reused: connection.is_reused,
            protocol: Protocol::Http1 {
                connection,
                upstream,
                pool: pool.clone(),
            },
        }
    }

    pub(super) fn http2(stream: Http2Stream) -> Self {
        Self {
            is_reused: stream.is_reused,
            protocol: Protocol::Http2(stream),
        }
    }

    /// Whether the connection served a request before, and may have died since.
    pub fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// The version that the connection speaks.
    pub fn version(&self) -> Version {
        match &self.protocol {
            Protocol::Http1 { .. } => Version::HTTP_11,
            Protocol::Http2(_) => Version::HTTP_2,
        }
    }

    /// Sends a request, and waits for the head of its response.
    ///
    /// # Errors
    /// The connection broke, or what came is not HTTP.
    pub async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, SendError> {
        match &mut self.protocol {
            Protocol::Http1 { connection, .. } => connection.send(request).await,
            Protocol::Http2(stream) => stream.send(request).await,
        }
    }

    /// Lets the rest of the request go out while the response comes in.
    ///
    /// Needed when the request's body is not yet whole: a client that does not read must be able to go on sending.
    pub fn detach_upload(&mut self) {
        if let Protocol::Http1 { connection, .. } = &mut self.protocol {
            connection.driver.detach();
        }
    }

    /// Reads a frame of the response's body.
    pub fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Incoming,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.protocol {
            Protocol::Http1 { connection, .. } => connection.driver.poll_body(cx, body),
            Protocol::Http2(_) => Pin::new(body).poll_frame(cx),
        }
    }

    /// Completes an upgrade: the connection turns into a tunnel.
    pub async fn finish_upgrade(self) {
        if let Protocol::Http1 { connection, .. } = self.protocol {
            connection.driver.finish().await;
        }
    }

    /// Gives the connection back to the pool, if it can serve another request.
    pub fn release(self) {
        if let Protocol::Http1 {
            mut connection,
            upstream,
            pool,
        } = self.protocol
            && connection.is_usable()
        {
            connection.is_reused = true;
            pool.give_back(&upstream, connection);
        }
    }
}

/// An HTTP/1.1 connection.
#[derive(Debug)]
pub(super) struct Http1Connection {
    sender: http1::SendRequest<RequestBody>,
    driver: Driver,
    received: ReceivedFlag,
    is_reused: bool,
}

impl Http1Connection {
    pub(super) fn new(
        sender: http1::SendRequest<RequestBody>,
        connection: ConnectionFuture,
        received: ReceivedFlag,
    ) -> Self {
        Self {
            sender,
            driver: Driver::new(connection),
            received,
            is_reused: false,
        }
    }

    async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, SendError> {
        self.received.clear();
        let mut response = pin!(self.sender.try_send_request(request));
        let driver = &mut self.driver;
        let sent = poll_fn(|cx| driver.poll_response(cx, response.as_mut())).await;
        sent.map_err(|mut failed| SendError {
            is_unsent: failed.take_message().is_some(),
            has_received: self.received.is_set(),
            error: failed.into_error(),
        })
    }

    /// Whether the connection can take a request: the upstream has neither closed it nor sent anything unasked.
    ///
    /// As far as the runtime knows; no system call is made while nothing has happened.
    pub(super) fn is_usable(&mut self) -> bool {
        self.driver.drive_idle() && self.sender.is_ready()
    }
}

/// A shared HTTP/2 connection.
#[derive(Clone, Debug)]
pub(super) struct Http2Session {
    sender: http2::SendRequest<RequestBody>,
    streams: Rc<Cell<usize>>,
    /// The streams that the upstream allows (SETTINGS_MAX_CONCURRENT_STREAMS).
    max_streams: Rc<Cell<usize>>,
}

/// A stream of a shared HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Http2Stream {
    session: Http2Session,
    is_reused: bool,
}

impl Http2Session {
    /// Starts a connection in a task of its own, which all its streams share.
    pub(super) fn start<T, E>(
        sender: http2::SendRequest<RequestBody>,
        mut connection: http2::Connection<T, RequestBody, E>,
    ) -> Self
    where
        T: Read + Write + Unpin + 'static,
        E: Http2ClientConnExec<RequestBody, T> + Unpin + 'static,
    {
        let max_streams = Rc::new(Cell::new(connection.current_max_send_streams()));
        let allowed = max_streams.clone();
        spawn_local(poll_fn(move |cx| {
            let ended = Pin::new(&mut connection).poll(cx);
            allowed.set(connection.current_max_send_streams());
            ended.map(|ended| {
                if let Err(error) = ended {
                    tracing::debug!(%error, "an HTTP/2 connection to the upstream broke");
                }
            })
        }));
        Self {
            sender,
            streams: Rc::default(),
            max_streams,
        }
    }

    /// Whether the connection is closed, or closing.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// The streams in use.
    pub(super) fn streams(&self) -> usize {
        self.streams.get()
    }

    /// The streams that the upstream allows.
    pub(super) fn max_streams(&self) -> usize {
        self.max_streams.get()
    }

    pub(super) fn open_stream(&self, is_reused: bool) -> Http2Stream {
        self.streams.set(self.streams.get() + 1);
        Http2Stream {
            session: self.clone(),
            is_reused,
        }
    }
}

impl Http2Stream {
    async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, SendError> {
        let sent = self.session.sender.try_send_request(request).await;
        sent.map_err(|mut failed| {
            let is_unsent = failed.take_message().is_some();
            let error = failed.into_error();
            SendError {
                is_unsent: is_unsent || is_unprocessed(&error),
                // A stream that was reset is at work, or was.
                has_received: !has_lost_connection(&error),
                error,
            }
        })
    }
}

impl Drop for Http2Stream {
    fn drop(&mut self) {
        let streams = &self.session.streams;
        streams.set(streams.get() - 1);
    }
}

/// Whether the connection of a stream broke, rather than the stream or a rule of HTTP/2.
fn has_lost_connection(error: &hyper::Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<h2::Error>())
        .is_none_or(h2::Error::is_io)
}

/// Whether the upstream said that it has not processed the request (RFC 9113 §8.7).
fn is_unprocessed(error: &hyper::Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<h2::Error>())
        .is_some_and(|error| {
            let is_refused = error.reason() == Some(h2::Reason::REFUSED_STREAM);
            let is_going_away = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
            error.is_remote() && (is_refused || is_going_away)
        })
}
