//! Opening a connection to an upstream: TLS, ALPN and the HTTP handshake.

use std::{
    rc::Rc,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{
    HeaderValue,
    uri::{Authority, Scheme},
};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use tokio::{sync::Notify, time::timeout};
use tokio_rustls::TlsConnector;

use super::{
    connection::{Checkout, Http1Connection, Http2Session},
    dial::dial,
    failure::FailedUpstream,
    io::{ReceivedFlag, UpstreamIo, UpstreamStream},
    pool::Pool,
};
use crate::server::problem::ProblemKind;
use crate::{
    proxy::{
        error::ProxyRefusal,
        route::{BaseUrl, Http2, Upstream},
    },
    server::{limits::Limits, serve::LocalExecutor},
    tls,
};

/// Bytes that an upstream may send ahead on an HTTP/2 stream.
const STREAM_WINDOW: u32 = 128 * 1024;

/// Bytes that an upstream may send ahead on an HTTP/2 connection: enough for all streams, so that a client that does not
/// read holds up no other.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * super::pool::MAX_STREAMS as u32;

/// Stands for the streams that an upstream allows, before its settings say.
const UNKNOWN_STREAMS: usize = usize::MAX - 1;

/// Bytes of a request that wait for an HTTP/2 connection's socket.
const STREAM_BUFFER: usize = 64 * 1024;

/// The interval of HTTP/2 PINGs, and the time for their acknowledgement.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes that the buffers of an HTTP/1.1 connection hold beside the largest head.
///
/// A response that its client does not read costs one such buffer here and one on the client's side.
const EXTRA_BUFFER: usize = 8 * 1024;

/// Bytes that HTTP/2 counts for each field beside its name and value (RFC 9113 §6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// An upstream in service: what its connections need, shared by all workers.
#[derive(Debug)]
pub struct ActiveUpstream {
    id: u64,
    base: BaseUrl,
    config: Upstream,
    /// The version to speak; tunnels need HTTP/1.1.
    http2: Http2,
    limits: Limits,
    host_field: HeaderValue,
    authority: Authority,
    tls: OnceLock<Arc<rustls::ClientConfig>>,
}

impl ActiveUpstream {
    /// Makes an upstream with connections of its own. With `tunnels`, they must be able to switch protocols.
    ///
    /// `limits` bound the heads of its responses.
    pub fn new(base: BaseUrl, config: &Upstream, tunnels: bool, limits: Limits) -> Self {
        let http2 = match config.http2 {
            Http2::Auto if tunnels => Http2::Never,
            http2 => http2,
        };
        let fallback = "upstream.invalid";
        let authority = Authority::try_from(base.authority.as_str());
        let host_field = HeaderValue::from_str(&base.authority);
        // The configuration has checked the URL that the authority is from.
        debug_assert!(authority.is_ok() && host_field.is_ok());
        Self {
            id: next_id(),
            http2,
            limits,
            host_field: host_field.unwrap_or(HeaderValue::from_static(fallback)),
            authority: authority.unwrap_or(Authority::from_static(fallback)),
            base,
            config: config.clone(),
            tls: OnceLock::new(),
        }
    }

    /// A number of its own.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its address.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// The version to speak.
    pub(super) fn http2(&self) -> Http2 {
        self.http2
    }

    /// The bounds of its responses' heads.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The value of `Host`.
    pub fn host_field(&self) -> &HeaderValue {
        &self.host_field
    }

    /// The value of `:authority`.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The value of `:scheme`.
    pub fn scheme(&self) -> &'static Scheme {
        const HTTP: &Scheme = &Scheme::HTTP;
        const HTTPS: &Scheme = &Scheme::HTTPS;
        if self.base.tls { HTTPS } else { HTTP }
    }

    /// Opens a connection within `bound`, or shares an HTTP/2 connection that was opened meanwhile.
    ///
    /// # Errors
    /// `upstream-unreachable`, `upstream-tls`, `upstream-protocol`, `upstream-timeout`.
    pub async fn connect(
        self: &Arc<Self>,
        pool: &Rc<Pool>,
        bound: Duration,
    ) -> Result<Checkout, ProxyRefusal> {
        match timeout(bound, self.open_or_share(pool)).await {
            Ok(opened) => opened,
            Err(_) => Err(self.failed().timed_out()),
        }
    }

    fn failed(&self) -> FailedUpstream<'_> {
        FailedUpstream {
            base: &self.base,
            config: &self.config,
        }
    }

    async fn open_or_share(self: &Arc<Self>, pool: &Rc<Pool>) -> Result<Checkout, ProxyRefusal> {
        // One request opens an HTTP/2 connection, the others wait and share it.
        let _turn = match pool.connect_lock(self) {
            Some(lock) => Some(lock.lock_owned().await),
            None => None,
        };
        match pool.checkout_http2(self) {
            Some(checkout) => Ok(checkout),
            None => self.open(pool).await,
        }
    }

    async fn open(self: &Arc<Self>, pool: &Rc<Pool>) -> Result<Checkout, ProxyRefusal> {
        let stream = dial(self.failed()).await?;
        if !self.base.tls {
            let stream = UpstreamStream::Tcp(stream);
            return match self.http2 {
                Http2::PriorKnowledge => self.handshake_http2(stream, pool).await,
                Http2::Auto | Http2::Never => self.handshake_http1(stream, pool).await,
            };
        }
        let name = ServerName::try_from(self.base.host.clone()).map_err(|_| {
            ProxyRefusal::new(
                ProblemKind::UpstreamTls,
                "the upstream's host is no name that a certificate can carry",
            )
        })?;
        let stream = TlsConnector::from(self.tls_config()?)
            .connect(name, stream)
            .await
            .map_err(|error| {
                // Its text holds names that the server's certificate chooses.
                tracing::debug!(%error, "the TLS handshake with an upstream failed");
                self.failed().handshake((&error).into())
            })?;
        let has_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let stream = UpstreamStream::Tls(Box::new(stream));
        match has_http2 || self.http2 == Http2::PriorKnowledge {
            true => self.handshake_http2(stream, pool).await,
            false => self.handshake_http1(stream, pool).await,
        }
    }

    /// The TLS configuration, built for the first connection. Its client certificate is read again at each handshake.
    fn tls_config(&self) -> Result<Arc<rustls::ClientConfig>, ProxyRefusal> {
        if let Some(config) = self.tls.get() {
            return Ok(config.clone());
        }
        let offered: &[&[u8]] = match self.http2 {
            Http2::Auto => &[b"h2", b"http/1.1"],
            Http2::Never => &[b"http/1.1"],
            Http2::PriorKnowledge => &[b"h2"],
        };
        let certificate = self.config.client_certificate.as_ref();
        let config = tls::client_config(&self.config.trust, offered, certificate);
        let config = config.map_err(|error| {
            tracing::warn!(%error, "no TLS connection to the upstream");
            // The error names files of this machine.
            let detail = "the route's `client_certificate` cannot be used; see the log of bearward";
            ProxyRefusal::new(ProblemKind::UpstreamTls, detail)
        })?;
        Ok(self.tls.get_or_init(|| Arc::new(config)).clone())
    }

    async fn handshake_http1(
        self: &Arc<Self>,
        stream: UpstreamStream,
        pool: &Rc<Pool>,
    ) -> Result<Checkout, ProxyRefusal> {
        let received = ReceivedFlag::default();
        let io = TokioIo::new(UpstreamIo::new(stream, received.clone()));
        let mut builder = http1::Builder::new();
        builder
            .preserve_header_case(true)
            .title_case_headers(true)
            .allow_spaces_after_header_name_in_responses(true)
            .max_header_size(self.limits.head_bytes)
            .max_buf_size(self.limits.head_bytes + EXTRA_BUFFER);
        if self.limits.head_fields != Limits::default().head_fields {
            builder.max_headers(self.limits.head_fields);
        }
        let (sender, connection) = builder
            .handshake(io)
            .await
            .map_err(|_| self.failed().not_http())?;
        let connection =
            Http1Connection::new(sender, Box::pin(connection.with_upgrades()), received);
        Ok(Checkout::http1(self.clone(), pool, connection))
    }

    async fn handshake_http2(
        self: &Arc<Self>,
        stream: UpstreamStream,
        pool: &Rc<Pool>,
    ) -> Result<Checkout, ProxyRefusal> {
        let on_read = Arc::new(Notify::new());
        let io = UpstreamIo::new(stream, ReceivedFlag::default()).with_notice(on_read.clone());
        let head_bytes = self.limits.head_bytes + self.limits.head_fields * FIELD_OVERHEAD;
        let (sender, mut connection) = http2::Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX))
            .initial_max_send_streams(UNKNOWN_STREAMS)
            .max_send_buf_size(STREAM_BUFFER)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(TokioIo::new(io))
            .await
            .map_err(|_| self.failed().not_http())?;
        // Before its settings are known, an upstream refuses streams that are too many for it.
        while connection.current_max_send_streams() == UNKNOWN_STREAMS {
            tokio::select! {
                biased;
                _ = &mut connection => return Err(self.failed().not_http()),
                () = on_read.notified() => {}
            }
        }
        let session = Http2Session::start(sender, connection);
        pool.share(self, session.clone());
        Ok(Checkout::http2(session.open_stream(false)))
    }
}

/// Makes a number that no other upstream has.
pub(super) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
