//! The TCP connection to an upstream: name look-up and connection, or a tunnel through an HTTP proxy.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
};

use bytes::Bytes;
use http::{Request, StatusCode, header, request};
use http_body_util::Empty;
use hyper::{client::conn::http1, upgrade};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::failure::FailedUpstream;
use crate::{
    forward_proxy::ForwardProxy,
    oauth::client_auth,
    proxy::{error::ProxyRefusal, route::BaseUrl},
};

/// Connects to an upstream, through its proxy if it has one.
///
/// # Errors
/// `upstream-unreachable`.
pub(super) async fn dial(upstream: FailedUpstream<'_>) -> Result<TcpStream, ProxyRefusal> {
    let base = upstream.base;
    let Some(proxy) = &upstream.config.proxy else {
        let connected = connect(&base.host, base.port).await;
        return connected.map_err(|error| match error {
            ConnectError::NotFound => upstream.not_found(),
            ConnectError::NotConnected(error) => upstream.not_connected(&error),
        });
    };
    let host = proxy.url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = proxy.url.port_or_known_default().unwrap_or(80);
    let connected = connect(host, port).await;
    let stream = connected.map_err(|error| match error {
        ConnectError::NotFound => upstream.proxy_not_found(proxy),
        ConnectError::NotConnected(error) => upstream.proxy_not_connected(proxy, &error),
    })?;
    let tunnel = tunnel(stream, proxy, base).await;
    tunnel.map_err(|error| refused_tunnel(&error, upstream, proxy))
}

/// Why there is no TCP connection.
enum ConnectError {
    NotFound,
    NotConnected(io::Error),
}

/// Looks the name up and tries its addresses in order.
async fn connect(host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![(address, port).into()],
        Err(_) => match tokio::net::lookup_host((host, port)).await {
            Ok(addresses) => addresses.collect(),
            Err(error) => {
                tracing::debug!(host, %error, "the name look-up failed");
                return Err(ConnectError::NotFound);
            }
        },
    };
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Without it small requests are slower, nothing else.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(ConnectError::NotConnected(last))
}

/// Why a proxy opens no tunnel.
#[derive(Debug, Error)]
enum TunnelError {
    /// It responded with something other than 2xx.
    #[error("it responds with {0}")]
    Status(StatusCode),
    /// It does not speak HTTP, or closed the connection.
    #[error("{0}")]
    Protocol(#[from] hyper::Error),
    /// It sent bytes that the upstream cannot have sent yet.
    #[error("it sends bytes of its own into the tunnel")]
    Bytes,
    /// The upstream's address cannot stand in a request for a tunnel.
    #[error("the upstream's address cannot stand in its request")]
    Address,
}

/// Opens a tunnel to `base` (RFC 9110 §9.3.6).
async fn tunnel(
    stream: TcpStream,
    proxy: &ForwardProxy,
    base: &BaseUrl,
) -> Result<TcpStream, TunnelError> {
    let head = connect_head(proxy, base)?;
    let request = Request::from_parts(head, Empty::<Bytes>::new());
    let (mut sender, connection) = http1::Builder::new()
        .title_case_headers(true)
        .handshake(TokioIo::new(stream))
        .await?;
    let mut exchange = pin!(async {
        let response = sender.send_request(request).await?;
        match response.status() {
            status if status.is_success() => Ok(upgrade::on(response).await?),
            status => Err(TunnelError::Status(status)),
        }
    });
    let connection = pin!(connection.with_upgrades());
    let upgraded = tokio::select! {
        biased;
        upgraded = &mut exchange => upgraded,
        // Its end brings the tunnel, or the error.
        _ = connection => exchange.await,
    }?;
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) if parts.read_buf.is_empty() => Ok(parts.io.into_inner()),
        _ => Err(TunnelError::Bytes),
    }
}

fn connect_head(proxy: &ForwardProxy, base: &BaseUrl) -> Result<request::Parts, TunnelError> {
    let target = base.address();
    let mut request = Request::connect(&target).header(header::HOST, &target);
    if let Some(credentials) = &proxy.credentials {
        let password = credentials.password.current();
        let pair = Zeroizing::new(format!("{}:{}", credentials.username, password.expose()));
        request = request.header(header::PROXY_AUTHORIZATION, client_auth::basic(&pair));
    }
    let request = request.body(()).map_err(|_| TunnelError::Address)?;
    Ok(request.into_parts().0)
}

fn refused_tunnel(
    error: &TunnelError,
    upstream: FailedUpstream<'_>,
    proxy: &ForwardProxy,
) -> ProxyRefusal {
    tracing::debug!(%error, "no tunnel through the proxy");
    match error {
        TunnelError::Status(status) => upstream.proxy_responded(proxy, *status),
        TunnelError::Bytes | TunnelError::Address => {
            let reason = format!("opens no tunnel to {}: {error}", upstream.base.address());
            upstream.not_a_proxy(proxy, &reason)
        }
        TunnelError::Protocol(_) => {
            upstream.not_a_proxy(proxy, "ended the connection without an HTTP response")
        }
    }
}
