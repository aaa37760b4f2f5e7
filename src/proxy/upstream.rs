//! Connections to the protected APIs: opened, pooled per worker, and given up when they are no longer good.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    error::{Kind, Refusal},
    route::Upstream,
};

/// How long an idle connection is kept: less than the 60 s after which many servers close theirs.
const KEPT_IDLE: Duration = Duration::from_secs(50);
/// How many idle connections to one upstream a worker keeps.
const MOST_IDLE: usize = 1024;

/// An upstream in service: what connections to it need, shared by all workers.
#[derive(Debug)]
pub struct Target {
    id: u64,
    upstream: Upstream,
    tls: OnceLock<Arc<rustls::ClientConfig>>,
}

impl Target {
    /// A target whose connections are shared with nobody else's.
    pub fn new(upstream: Upstream) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), upstream, tls: OnceLock::new() }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// `upstream-unreachable`, `upstream-tls`, `upstream-timeout`.
    pub async fn connect(&self, bound: Duration) -> Result<Connection, Refusal> {
        match timeout(bound, self.open()).await {
            Ok(opened) => opened,
            Err(_) => {
                let refusal = Refusal::new(Kind::UpstreamTimeout, "no connection to the upstream in time");
                Err(refusal.with_proxy_error("connection_timeout"))
            }
        }
    }

    async fn open(&self) -> Result<Connection, Refusal> {
        let stream = self.dial().await?;
        if !self.upstream.tls {
            return Ok(Connection { io: Io::Tcp(stream), reused: false });
        }
        let name = ServerName::try_from(self.upstream.host.clone()).map_err(|_| {
            Refusal::new(Kind::UpstreamTls, "the upstream's host is no name that a certificate can carry")
        })?;
        let config = self.tls.get_or_init(|| Arc::new(self.upstream.trust.client_config(&[b"http/1.1"])));
        let connector = TlsConnector::from(config.clone());
        let stream = connector.connect(name, stream).await.map_err(|error| handshake_failed(&error))?;
        Ok(Connection { io: Io::Tls(Box::new(stream)), reused: false })
    }

    /// Looks the name up and tries its addresses in their order.
    async fn dial(&self) -> Result<TcpStream, Refusal> {
        let (host, port) = (self.upstream.host.as_str(), self.upstream.port);
        let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(address) => vec![(address, port).into()],
            Err(_) => match tokio::net::lookup_host((host, port)).await {
                Ok(addresses) => addresses.collect(),
                Err(error) => {
                    tracing::debug!(host, %error, "look-up failed");
                    let refusal = Refusal::new(Kind::UpstreamUnreachable, "the upstream's name cannot be looked up");
                    return Err(refusal.with_proxy_error("dns_error"));
                }
            },
        };
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // Without it small requests would only be slower.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(unreachable(&last))
    }
}

fn unreachable(error: &io::Error) -> Refusal {
    let (detail, word) = match error.kind() {
        io::ErrorKind::ConnectionRefused => ("the upstream refuses connections", "connection_refused"),
        io::ErrorKind::NotFound => ("the upstream's name has no address", "dns_error"),
        _ => ("the upstream cannot be reached", "destination_unavailable"),
    };
    tracing::debug!(%error, "{detail}");
    Refusal::new(Kind::UpstreamUnreachable, detail).with_proxy_error(word)
}

fn handshake_failed(error: &io::Error) -> Refusal {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (detail, word) = match inner {
        Some(rustls::Error::InvalidCertificate(reason)) => {
            (format!("the upstream's certificate is not trusted: {reason:?}; see `ca_file`"), "tls_certificate_error")
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            (format!("the upstream ended the TLS handshake with {alert:?}"), "tls_alert_received")
        }
        Some(_) => ("the TLS handshake with the upstream failed".to_owned(), "tls_protocol_error"),
        None => ("the upstream ended the connection during the TLS handshake".to_owned(), "tls_protocol_error"),
    };
    Refusal::new(Kind::UpstreamTls, detail).with_proxy_error(word)
}

/// A connection that speaks HTTP/1.1 to an upstream.
#[derive(Debug)]
pub struct Connection {
    io: Io,
    /// Whether it has carried a request before: then it may have died unnoticed.
    pub reused: bool,
}

#[derive(Debug)]
enum Io {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// Reads into `buffer`; 0 is the end.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let read = match &mut self.io {
            Io::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Io::Tls(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
        };
        read.map_ok(|()| buffer.filled().len())
    }

    /// Writes some of `bytes`.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Io::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    /// Sees that all that was written is on its way.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(_) => Poll::Ready(Ok(())),
            Io::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    /// Says that nothing more will be written.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    /// Whether an idle connection is good for another request: the upstream has neither closed it nor said anything
    /// unasked. As far as the runtime knows; no system call is made.
    fn is_quiet(&self) -> bool {
        let stream = match &self.io {
            Io::Tcp(stream) => stream,
            Io::Tls(stream) => stream.get_ref().0,
        };
        stream.poll_read_ready(&mut Context::from_waker(Waker::noop())).is_pending()
    }
}

/// The idle connections of one worker.
#[derive(Debug, Default)]
pub struct Pool {
    idle: RefCell<HashMap<u64, VecDeque<Idle>>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// The idle connection to `target` that was used last, if any is still good.
    pub fn take(&self, target: &Target) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        let connections = idle.get_mut(&target.id)?;
        while let Some(Idle { connection, since }) = connections.pop_back() {
            if connection.is_quiet() && since.elapsed() < KEPT_IDLE {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for later.
    pub fn put(&self, target: &Target, mut connection: Connection) {
        connection.reused = true;
        let mut idle = self.idle.borrow_mut();
        let connections = idle.entry(target.id).or_default();
        if connections.len() == MOST_IDLE {
            connections.pop_front();
        }
        connections.push_back(Idle { connection, since: Instant::now() });
    }

    /// Gives up the connections that have idled too long or that the upstream has closed.
    pub fn sweep(&self) {
        self.idle.borrow_mut().retain(|_, connections| {
            connections.retain(|idle| idle.since.elapsed() < KEPT_IDLE && idle.connection.is_quiet());
            !connections.is_empty()
        });
    }
}
