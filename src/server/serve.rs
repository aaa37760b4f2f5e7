//! The one server of all listeners: HTTP/1.1, HTTP/1.0 and HTTP/2 with prior knowledge, by hyper.

use std::{error::Error, future::Future, pin::pin, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, rt::Executor, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{task::spawn_local, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{connection::ConnectionState, deadlines::Deadlines, limits::Limits, stream::Stream};

/// Requests on one HTTP/2 connection at a time.
const MAX_STREAMS: u32 = 256;

/// Bytes that a client may send ahead, on a request and on a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes that HTTP/2 counts for each field beside its name and value (RFC 9113 §6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// The least buffer that hyper accepts, in bytes.
const MIN_BUFFER: usize = 8 * 1024;

/// Time for a client to leave after GOAWAY.
const GOAWAY_TIMEOUT: Duration = Duration::from_secs(1);

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
    builder: auto::Builder<E>,
    limits: Limits,
}

impl<E: Clone> Server<E> {
    /// Makes a server within `limits`, whose HTTP/2 streams run on `executor`.
    pub fn new(executor: E, limits: Limits) -> Self {
        let mut builder = auto::Builder::new(executor);
        builder
            .http1()
            .auto_date_header(false)
            .preserve_header_case(true)
            .title_case_headers(true)
            // The gate refuses larger heads before hyper sees them. The same bound holds for what waits to be written.
            .max_buf_size(limits.head_bytes + MIN_BUFFER);
        if limits.head_fields > Limits::default().head_fields {
            builder.http1().max_headers(limits.head_fields);
        }
        let head_bytes = limits.head_bytes + limits.head_fields * FIELD_OVERHEAD;
        builder
            .http2()
            .timer(TokioTimer::new())
            .auto_date_header(false)
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX));
        Self { builder, limits }
    }

    /// Adds `Date` to every response, as an origin server does (RFC 9110 §6.6.1).
    pub fn with_date(mut self) -> Self {
        self.builder.http1().auto_date_header(true);
        self.builder.http2().auto_date_header(true);
        self
    }

    /// Refuses HTTP/2.
    pub fn http1_only(self) -> Self {
        Self {
            builder: self.builder.http1_only(),
            ..self
        }
    }

    /// The bounds of its connections.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Serves a connection to its end. When `cancel` is cancelled, requests in flight finish and no further one begins.
    pub async fn serve<S, B>(
        &self,
        stream: Stream,
        state: Arc<ConnectionState>,
        service: S,
        cancel: CancellationToken,
    ) where
        S: Service<Request<Incoming>, Response = Response<B>>,
        S::Future: 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
        E: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
    {
        let stream = Deadlines::new(stream, state.clone(), &self.limits);
        let connection = self
            .builder
            .serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let has_expired = tokio::select! {
            biased;
            ended = &mut connection => return log_end(ended),
            () = state.expired() => true,
            () = cancel.cancelled() => false,
        };
        connection.as_mut().graceful_shutdown();
        if has_expired {
            // An idle client that does not leave is left.
            if let Ok(ended) = timeout(GOAWAY_TIMEOUT, connection).await {
                log_end(ended);
            }
        } else {
            log_end(connection.await);
        }
    }
}

fn log_end(ended: Result<(), Box<dyn Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(error, "a client's connection broke");
    }
}
