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

use crate::{
    forward_proxy::ForwardProxy,
    oauth::client_auth,
    proxy::{error::ProxyRefusal, route::BaseUrl},
    server::problem::ProblemKind,
};

/// Connects to `base`, through `proxy` if there is one.
///
/// # Errors
/// `upstream-unreachable`.
pub(super) async fn dial(
    base: &BaseUrl,
    proxy: Option<&ForwardProxy>,
) -> Result<TcpStream, ProxyRefusal> {
    let Some(proxy) = proxy else {
        return connect("upstream", &base.host, base.port).await;
    };
    let host = proxy.url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = proxy.url.port_or_known_default().unwrap_or(80);
    let stream = connect("proxy", host, port).await?;
    let tunnel = tunnel(stream, proxy, base).await;
    tunnel.map_err(|error| refused_tunnel(&error, proxy))
}

/// Looks the name up and tries its addresses in order. `peer` names the server in errors.
async fn connect(peer: &str, host: &str, port: u16) -> Result<TcpStream, ProxyRefusal> {
    let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![(address, port).into()],
        Err(_) => match tokio::net::lookup_host((host, port)).await {
            Ok(addresses) => addresses.collect(),
            Err(error) => {
                tracing::debug!(host, %error, "the name look-up failed");
                let refusal = unreachable(format!("the {peer}'s name cannot be looked up"));
                return Err(refusal.with_proxy_error("dns_error"));
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
    Err(not_connected(peer, &last))
}

fn not_connected(peer: &str, error: &io::Error) -> ProxyRefusal {
    let (detail, word) = match error.kind() {
        io::ErrorKind::ConnectionRefused => ("refuses connections", "connection_refused"),
        io::ErrorKind::NotFound => ("has a name without an address", "dns_error"),
        _ => ("cannot be reached", "destination_unavailable"),
    };
    let detail = format!("the {peer} {detail}");
    tracing::debug!(%error, "{detail}");
    unreachable(detail).with_proxy_error(word)
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
    let target = match base.host.contains(':') {
        true => format!("[{}]:{}", base.host, base.port),
        false => format!("{}:{}", base.host, base.port),
    };
    let mut request = Request::connect(&target).header(header::HOST, &target);
    if let Some(credentials) = &proxy.credentials {
        let password = credentials.password.current();
        let pair = Zeroizing::new(format!("{}:{}", credentials.username, password.expose()));
        request = request.header(header::PROXY_AUTHORIZATION, client_auth::basic(&pair));
    }
    let request = request.body(()).map_err(|_| TunnelError::Address)?;
    Ok(request.into_parts().0)
}

fn refused_tunnel(error: &TunnelError, proxy: &ForwardProxy) -> ProxyRefusal {
    let address = proxy.url.as_str().trim_end_matches('/');
    let detail = match error {
        TunnelError::Status(StatusCode::PROXY_AUTHENTICATION_REQUIRED) => {
            let fault = match proxy.credentials {
                Some(_) => "does not accept the credentials",
                None => "asks for credentials",
            };
            format!("the proxy {address} {fault} (407); see `proxy` of the route")
        }
        TunnelError::Status(_) | TunnelError::Bytes | TunnelError::Address => {
            format!("the proxy {address} opens no tunnel to the upstream: {error}")
        }
        TunnelError::Protocol(_) => {
            format!("the proxy {address} ended the connection without an HTTP response")
        }
    };
    tracing::warn!(%error, "{detail}");
    unreachable(detail).with_proxy_error("destination_unavailable")
}

fn unreachable(detail: String) -> ProxyRefusal {
    ProxyRefusal::new(ProblemKind::UpstreamUnreachable, detail)
}
