//! Connections to the protected APIs: opened, pooled per worker, and given up when they are no longer good.

mod http2;
mod pool;

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
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
    task::unconstrained,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub use self::pool::Pool;
use super::{
    error::{Kind, Refusal},
    route::{Http2, Upstream},
};
use crate::http2::stream::Stream;

/// An upstream in service: what connections to it need, shared by all workers.
#[derive(Debug)]
pub struct Target {
    id: u64,
    upstream: Upstream,
    /// Which HTTP to speak; tunnels are of HTTP/1.1 alone.
    http2: Http2,
    tls: OnceLock<Arc<rustls::ClientConfig>>,
}

impl Target {
    /// A target whose connections are shared with nobody else's. With `tunnels`, they have to be able to switch protocols.
    pub fn new(upstream: Upstream, tunnels: bool) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let http2 = if tunnels && upstream.http2 == Http2::Auto {
            Http2::Never
        } else {
            upstream.http2
        };
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            upstream,
            http2,
            tls: OnceLock::new(),
        }
    }

    /// Opens a connection; one that speaks HTTP/2 is shared through `pool`, and one that somebody opened meanwhile will do.
    ///
    /// # Errors
    /// `upstream-unreachable`, `upstream-tls`, `upstream-protocol`, `upstream-timeout`.
    pub async fn connect(&self, bound: Duration, pool: &Pool) -> Result<Connection, Refusal> {
        match timeout(bound, self.open_or_share(pool)).await {
            Ok(opened) => opened,
            Err(_) => {
                let refusal = Refusal::new(
                    Kind::UpstreamTimeout,
                    "no connection to the upstream in time",
                );
                Err(refusal.with_proxy_error("connection_timeout"))
            }
        }
    }

    async fn open_or_share(&self, pool: &Pool) -> Result<Connection, Refusal> {
        let _turn = match pool.turn(self) {
            // One opens, the others wait for it: requests share the connection.
            Some(turn) => Some(turn.lock_owned().await),
            None => None,
        };
        match pool.take_stream(self) {
            Some(connection) => Ok(connection),
            None => self.open(pool).await,
        }
    }

    async fn open(&self, pool: &Pool) -> Result<Connection, Refusal> {
        let stream = self.dial().await?;
        if !self.upstream.tls {
            return match self.http2 {
                Http2::PriorKnowledge => Ok(self.share(stream, pool)),
                Http2::Auto | Http2::Never => Ok(Connection {
                    io: Io::Tcp(stream),
                    reused: false,
                }),
            };
        }
        let name = ServerName::try_from(self.upstream.host.clone()).map_err(|_| {
            Refusal::new(
                Kind::UpstreamTls,
                "the upstream's host is no name that a certificate can carry",
            )
        })?;
        let offered: &[&[u8]] = match self.http2 {
            Http2::Auto => &[b"h2", b"http/1.1"],
            Http2::Never => &[b"http/1.1"],
            Http2::PriorKnowledge => &[b"h2"],
        };
        let config = self
            .tls
            .get_or_init(|| Arc::new(self.upstream.trust.client_config(offered)));
        let connector = TlsConnector::from(config.clone());
        let stream = connector
            .connect(name, stream)
            .await
            .map_err(|error| handshake_failed(&error))?;
        let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        if speaks_http2 || self.http2 == Http2::PriorKnowledge {
            return Ok(self.share(stream, pool));
        }
        Ok(Connection {
            io: Io::Tls(Box::new(stream)),
            reused: false,
        })
    }

    fn share<T>(&self, stream: T, pool: &Pool) -> Connection
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let scheme = if self.upstream.tls { "https" } else { "http" };
        let client = http2::begin(stream, scheme, self.upstream.authority.clone());
        let connection = Connection {
            io: Io::Http2(Box::new(client.stream())),
            reused: false,
        };
        pool.share(self, client);
        connection
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
                    let refusal = Refusal::new(
                        Kind::UpstreamUnreachable,
                        "the upstream's name cannot be looked up",
                    );
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
        io::ErrorKind::ConnectionRefused => {
            ("the upstream refuses connections", "connection_refused")
        }
        io::ErrorKind::NotFound => ("the upstream's name has no address", "dns_error"),
        _ => ("the upstream cannot be reached", "destination_unavailable"),
    };
    tracing::debug!(%error, "{detail}");
    Refusal::new(Kind::UpstreamUnreachable, detail).with_proxy_error(word)
}

fn handshake_failed(error: &io::Error) -> Refusal {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (detail, word) = match inner {
        Some(rustls::Error::InvalidCertificate(reason)) => (
            format!("the upstream's certificate is not trusted: {reason:?}; see `ca_file`"),
            "tls_certificate_error",
        ),
        Some(rustls::Error::AlertReceived(alert)) => (
            format!("the upstream ended the TLS handshake with {alert:?}"),
            "tls_alert_received",
        ),
        Some(_) => (
            "the TLS handshake with the upstream failed".to_owned(),
            "tls_protocol_error",
        ),
        None => (
            "the upstream ended the connection during the TLS handshake".to_owned(),
            "tls_protocol_error",
        ),
    };
    Refusal::new(Kind::UpstreamTls, detail).with_proxy_error(word)
}

/// A connection to an upstream that is written to and read from in HTTP/1.1, whatever it speaks.
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
    Http2(Box<Stream>),
}

impl Connection {
    /// Reads into `buffer`; 0 is the end.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if let Io::Http2(stream) = &mut self.io {
            return stream.poll_read(cx, buffer);
        }
        let mut buffer = ReadBuf::new(buffer);
        let read = match &mut self.io {
            Io::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Io::Tls(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Io::Http2(_) => return Poll::Pending,
        };
        read.map_ok(|()| buffer.filled().len())
    }

    /// Writes some of `bytes`.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Io::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Io::Http2(stream) => stream.poll_write(cx, bytes),
        }
    }

    /// Sees that all that was written is on its way.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(_) => Poll::Ready(Ok(())),
            Io::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Io::Http2(stream) => stream.poll_flush(cx),
        }
    }

    /// Says that nothing more will be written.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            // Requests end by themselves, and tunnels are of HTTP/1.1 alone.
            Io::Http2(_) => Poll::Ready(Ok(())),
        }
    }

    /// Whether the upstream said that it has done nothing with the request.
    pub fn was_refused(&self) -> bool {
        matches!(&self.io, Io::Http2(stream) if stream.was_refused())
    }

    /// Whether the exchange went wrong on a connection that goes on, so that it tells nothing of the connection.
    pub fn was_reset(&self) -> bool {
        matches!(&self.io, Io::Http2(stream) if stream.was_reset())
    }

    /// Whether an idle connection is good for another request: the upstream has neither closed it nor said anything
    /// unasked. As far as the runtime knows; no system call is made.
    fn is_quiet(&self) -> bool {
        let stream = match &self.io {
            Io::Tcp(stream) => stream,
            // The socket knows nothing of what was decrypted already, and not that the end came with it.
            Io::Tls(stream) if !stream.get_ref().1.wants_read() => return false,
            Io::Tls(stream) => stream.get_ref().0,
            Io::Http2(_) => return false,
        };
        // A task whose budget is spent would be told that nothing has come, whatever has.
        let ready = pin!(unconstrained(poll_fn(|cx| stream.poll_read_ready(cx))));
        ready
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::AsyncWriteExt as _,
        net::TcpListener,
        task::{coop, yield_now},
    };

    use super::*;

    #[tokio::test]
    async fn what_came_unasked_is_noticed_in_a_task_that_has_done_much_too() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (mut upstream, _) = listener.accept().await.unwrap();
        let connection = Connection {
            io: Io::Tcp(stream),
            reused: true,
        };
        assert!(connection.is_quiet());
        upstream.write_all(b"unasked").await.unwrap();
        while connection.is_quiet() {
            yield_now().await;
        }
        poll_fn(|cx| {
            while let Poll::Ready(step) = coop::poll_proceed(cx) {
                step.made_progress();
            }
            assert!(!connection.is_quiet());
            Poll::Ready(())
        })
        .await;
    }
}
