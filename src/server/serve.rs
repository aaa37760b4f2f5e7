//! The one server of all listeners: HTTP/1.1, HTTP/1.0 and HTTP/2 with prior knowledge, by hyper.

use std::{
    error::Error,
    future::{Future, poll_fn, ready},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    rt::{Executor, bounds::Http2ServerConnExec},
    server::conn::{http1, http2},
    service::Service,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    task::spawn_local,
    time::{sleep, timeout},
};

use super::{
    connection::ConnectionState, deadlines::Deadlines, framing_gate::GateProtocol, limits::Limits,
    shutdown::Shutdown, stream::Stream,
};

/// Requests on one HTTP/2 connection at a time.
const MAX_STREAMS: u32 = 256;

/// Bytes that a client may send ahead, on a request and on a connection. The second times `limits.connections` bounds what
/// the bodies of all requests hold, those that wait for their turn too.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// Bytes of a response that wait for an HTTP/2 connection's socket.
const STREAM_BUFFER: usize = 32 * 1024;

/// Bytes that HTTP/2 counts for each field beside its name and value (RFC 9113 §6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// The least buffer that hyper accepts, in bytes.
const MIN_BUFFER: usize = 8 * 1024;

/// Time for the first byte once a drain has begun: a client that has just connected is about to send its request.
const DRAIN_FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(2);

/// Time for an idle client to leave after GOAWAY, and while another one waits for its connection.
const GOAWAY_TIMEOUT: Duration = Duration::from_secs(1);
const MAKE_ROOM_TIMEOUT: Duration = Duration::from_millis(100);

/// Runs futures on the current thread, so that services need not be `Send`.
#[derive(Clone, Copy, Debug)]
pub struct LocalExecutor;

impl<F: Future + 'static> Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        spawn_local(async move {
            future.await;
        });
    }
}

/// The HTTP settings of a listener.
#[derive(Clone, Debug)]
pub struct Server<E> {
    http1: http1::Builder,
    http2: http2::Builder<E>,
    is_http1_only: bool,
    limits: Limits,
}

impl<E: Clone> Server<E> {
    /// Makes a server within `limits`, whose HTTP/2 streams run on `executor`.
    pub fn new(executor: E, limits: Limits) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .auto_date_header(false)
            .preserve_header_case(true)
            .title_case_headers(true)
            // The gate refuses larger heads before hyper sees them. The same bound holds for what waits to be written.
            .max_buf_size(limits.head_bytes + MIN_BUFFER);
        if limits.head_fields > Limits::default().head_fields {
            http1.max_headers(limits.head_fields);
        }
        let head_bytes = limits.head_bytes + limits.head_fields * FIELD_OVERHEAD;
        let mut http2 = http2::Builder::new(executor);
        http2
            .timer(TokioTimer::new())
            .auto_date_header(false)
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(STREAM_BUFFER)
            .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX));
        Self {
            http1,
            http2,
            is_http1_only: false,
            limits,
        }
    }

    /// Adds `Date` to every response, as an origin server does (RFC 9110 §6.6.1).
    pub fn with_date(mut self) -> Self {
        self.http1.auto_date_header(true);
        self.http2.auto_date_header(true);
        self
    }

    /// Closes connections that speak HTTP/2.
    pub fn http1_only(self) -> Self {
        Self {
            is_http1_only: true,
            ..self
        }
    }

    /// The bounds of its connections.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Serves a connection to its end.
    ///
    /// When `shutdown` drains, requests in flight finish and no further one begins; when it cuts, the connection ends.
    pub async fn serve<S, B>(
        &self,
        stream: Stream,
        state: Arc<ConnectionState>,
        service: S,
        shutdown: Shutdown,
    ) where
        S: Service<Request<Incoming>, Response = Response<B>>,
        S::Future: 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
        E: Http2ServerConnExec<S::Future, B>,
    {
        let mut stream = Deadlines::new(stream, state.clone(), &self.limits);
        let protocol = tokio::select! {
            biased;
            protocol = stream.protocol() => protocol,
            () = shutdown.draining() => tokio::select! {
                () = ready(()), if state.makes_room() => None,
                first = timeout(DRAIN_FIRST_BYTE_TIMEOUT, stream.protocol()) => first.ok().flatten(),
                () = shutdown.cutting() => None,
            },
        };
        match protocol {
            None => {}
            Some(GateProtocol::Http2) if self.is_http1_only => {}
            Some(GateProtocol::Http1) => {
                self.serve_http1(stream, &state, service, shutdown).await;
            }
            // Boxed: few connections speak HTTP/2, and all would hold the room for it.
            Some(GateProtocol::Http2) => {
                Box::pin(self.serve_http2(stream, state, service, shutdown)).await;
            }
        }
    }

    async fn serve_http1<S, B>(
        &self,
        stream: Deadlines,
        state: &ConnectionState,
        service: S,
        shutdown: Shutdown,
    ) where
        S: Service<Request<Incoming>, Response = Response<B>>,
        S::Future: 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let connection = self.http1.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection.with_upgrades());
        tokio::select! {
            biased;
            ended = &mut connection => return log_end(ended),
            () = shutdown.draining() => {}
        }
        let finishing = async {
            // hyper would close the connection before it sees the request that is on its way, and would say
            // `Connection: close` in a 101.
            let arrived = poll_fn(|context| match connection.as_mut().poll(context) {
                Poll::Ready(ended) => Poll::Ready(Some(ended)),
                Poll::Pending if state.may_switch() => Poll::Pending,
                Poll::Pending if state.expects_request() && !state.makes_room() => Poll::Pending,
                Poll::Pending => Poll::Ready(None),
            });
            if let Some(ended) = arrived.await {
                return ended;
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        };
        finish(finishing, &shutdown).await;
    }

    async fn serve_http2<S, B>(
        &self,
        stream: Deadlines,
        state: Arc<ConnectionState>,
        service: S,
        shutdown: Shutdown,
    ) where
        S: Service<Request<Incoming>, Response = Response<B>>,
        S::Future: 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
        E: Http2ServerConnExec<S::Future, B>,
    {
        let connection = self.http2.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let idle_timeout = tokio::select! {
            biased;
            ended = &mut connection => return log_end(ended),
            () = state.expired() => Some(GOAWAY_TIMEOUT),
            () = shutdown.draining() => state.makes_room().then_some(MAKE_ROOM_TIMEOUT),
        };
        connection.as_mut().graceful_shutdown();
        let Some(timeout) = idle_timeout else {
            return finish(connection, &shutdown).await;
        };
        // An idle client that does not leave is left. A request that was on its way has its response first.
        let leaving = async {
            loop {
                sleep(timeout).await;
                if !(state.is_busy() || state.is_write_blocked()) {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            ended = connection => log_end(ended),
            () = leaving => {}
            () = shutdown.cutting() => {}
        }
    }
}

/// Drives a draining connection to its end, or until it is cut.
async fn finish(connection: impl Future<Output = hyper::Result<()>>, shutdown: &Shutdown) {
    tokio::select! {
        biased;
        ended = connection => log_end(ended),
        () = shutdown.cutting() => {}
    }
}

fn log_end(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a client's connection broke");
    }
}
