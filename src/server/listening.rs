//! A listener with one service on the current runtime: admin, login callback and demo.
//!
//! The proxy has a service for each of its worker threads instead; accepting and serving are the same.

use std::{error::Error, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::Service};
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::{
    accept::Acceptor,
    address::ListenAddress,
    adjustable_limit::AdjustableLimit,
    connection::ConnectionState,
    connection_limit::ConnectionLimit,
    listener::Bound,
    serve::Server,
    share::{ConnectionPermit, Share},
    shutdown::{CutOnDrop, Shutdown},
    stream::Stream,
    tracked_service::TrackedService,
};

/// A listener in service. Dropping it closes the listener and every connection.
#[derive(Debug)]
pub struct Listening {
    bound: Bound,
    shutdown: Shutdown,
    tracker: TaskTracker,
    _cut: CutOnDrop,
}

impl Listening {
    /// Serves `service` at a bound socket, on the current runtime.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn start<S, B>(bound: Bound, server: Server<TokioExecutor>, service: S) -> io::Result<Self>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let shutdown = Shutdown::new();
        let tracker = TaskTracker::new();
        let listener = bound.listener()?;
        let limit = Arc::new(ConnectionLimit::new(
            server.limits().connections,
            Arc::new(AdjustableLimit::new(usize::MAX)),
        ));
        let acceptor = Acceptor {
            listener,
            limit: limit.clone(),
            share: Share::single(),
            shutdown: shutdown.clone(),
            tracker: tracker.clone(),
        };
        let connections = Connections {
            limit,
            server,
            service,
            shutdown: shutdown.clone(),
        };
        let connections = Arc::new(connections);
        let serve = move |stream, permit| connections.clone().serve(stream, permit);
        tracker.spawn(acceptor.run(TokioExecutor::new(), serve));
        Ok(Self {
            bound,
            _cut: CutOnDrop::new(&shutdown),
            shutdown,
            tracker,
        })
    }

    /// The address, with the port that the system chose for port 0.
    pub fn address(&self) -> &ListenAddress {
        self.bound.address()
    }

    /// Closes the listener, and gives requests in flight `timeout` to finish. Connections that take longer are cut.
    pub async fn drain(self, limit: Duration) {
        drop(self.bound);
        self.shutdown.start_drain();
        self.tracker.close();
        if timeout(limit, self.tracker.wait()).await.is_err() {
            tracing::debug!("a connection had to be cut");
        }
    }
}

/// Everything that the connections of a listener share.
struct Connections<S> {
    limit: Arc<ConnectionLimit>,
    server: Server<TokioExecutor>,
    service: S,
    shutdown: Shutdown,
}

impl<S, B> Connections<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    async fn serve(self: Arc<Self>, stream: Stream, permit: ConnectionPermit) {
        let state = Arc::new(ConnectionState::default());
        let service = TrackedService::new(self.service.clone(), state.clone());
        let shutdown = self.shutdown.child();
        let _registration = self.limit.register(state.clone(), shutdown.clone());
        self.server.serve(stream, state, service, shutdown).await;
        drop(permit);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::Full;
    use hyper::service::service_fn;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixStream,
        sync::Notify,
    };

    use super::*;
    use crate::server::limits::Limits;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

    /// Sends a request to a service that waits for a permission before it responds with `length` bytes.
    async fn client(length: usize) -> (Listening, UnixStream, Arc<Notify>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let bound = Bound::bind(&ListenAddress::Unix(path.clone())).unwrap();
        let may_respond = Arc::new(Notify::new());
        let began = Arc::new(Notify::new());
        let signals = (began.clone(), may_respond.clone());
        let service = service_fn(move |_| {
            let (began, permission) = signals.clone();
            async move {
                began.notify_one();
                permission.notified().await;
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(vec![b'a'; length]))))
            }
        });
        let server = Server::new(TokioExecutor::new(), Limits::default());
        let listening = Listening::start(bound, server, service).unwrap();
        let mut client = UnixStream::connect(path).await.unwrap();
        client.write_all(REQUEST).await.unwrap();
        began.notified().await;
        (listening, client, may_respond, folder)
    }

    #[tokio::test]
    async fn a_panic_in_a_service_ends_its_connection_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let bound = Bound::bind(&ListenAddress::Unix(path.clone())).unwrap();
        let service = service_fn(async |request: Request<Incoming>| {
            assert_ne!(request.uri().path(), "/panic", "as a test wants it");
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"fine"))))
        });
        let limits = Limits {
            connections: 2,
            ..Limits::default()
        };
        let server = Server::new(TokioExecutor::new(), limits);
        let listening = Listening::start(bound, server, service).unwrap();
        let mut bystander = UnixStream::connect(&path).await.unwrap();
        bystander.write_all(REQUEST).await.unwrap();
        let mut buffer = [0; 1024];
        assert!(bystander.read(&mut buffer).await.unwrap() > 0);
        // More often than there are permits: each gives its own back.
        for _ in 0..5 {
            let mut client = UnixStream::connect(&path).await.unwrap();
            let request = b"GET /panic HTTP/1.1\r\nhost: localhost\r\n\r\n";
            client.write_all(request).await.unwrap();
            assert!(has_no_response(client).await);
        }
        bystander.write_all(REQUEST).await.unwrap();
        let count = bystander.read(&mut buffer).await.unwrap();
        assert!(buffer[..count].ends_with(b"fine"));
        drop(bystander);
        // Connections that panicked are not waited for.
        listening.drain(Duration::from_secs(30)).await;
    }

    /// Whether the connection ends, or breaks, without a response.
    async fn has_no_response(mut client: UnixStream) -> bool {
        let mut response = Vec::new();
        let _ = client.read_to_end(&mut response).await;
        response.is_empty()
    }

    #[tokio::test]
    async fn a_drain_waits_for_the_request_in_flight() {
        let (listening, mut client, may_respond, _folder) = client(3).await;
        let draining = tokio::spawn(listening.drain(Duration::from_secs(60)));
        tokio::task::yield_now().await;
        may_respond.notify_one();
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        assert!(response.ends_with("\r\n\r\naaa"), "{response}");
        drop(client);
        draining.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_takes_longer_than_the_drain_is_cut() {
        let (listening, client, _may_respond, _folder) = client(3).await;
        listening.drain(Duration::from_secs(2)).await;
        assert!(has_no_response(client).await);
    }

    #[tokio::test]
    async fn dropping_the_handle_closes_every_connection() {
        let (listening, client, _may_respond, _folder) = client(3).await;
        drop(listening);
        assert!(has_no_response(client).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_is_not_read_ends_the_connection() {
        const LENGTH: usize = 8 * 1024 * 1024;
        let (listening, mut client, may_respond, _folder) = client(LENGTH).await;
        may_respond.notify_one();
        client.read_exact(&mut [0; 12]).await.unwrap();
        while listening.tracker.len() > 1 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert!(rest.len() < LENGTH);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_service_keeps_its_connection() {
        let (_listening, mut client, may_respond, _folder) = client(3).await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        may_respond.notify_one();
        let mut head = [0; 12];
        client.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
    }
}
