//! Why there is no connection to an upstream, in words: the address, the key, and what to do next.

use std::io;

use http::StatusCode;

use crate::{
    forward_proxy::ForwardProxy,
    proxy::{
        error::ProxyRefusal,
        route::{BaseUrl, Upstream, UpstreamBase},
    },
    server::problem::ProblemKind,
    tls::HandshakeFault,
};

/// An upstream that a connection failed to.
#[derive(Clone, Copy)]
pub(super) struct FailedUpstream<'a> {
    pub(super) base: &'a BaseUrl,
    pub(super) config: &'a Upstream,
}

impl FailedUpstream<'_> {
    /// Names a key of the route, such as `[routes.devices] ca_file`.
    fn key(&self, key: &str) -> String {
        let route = &self.config.route;
        match key.rsplit_once('.') {
            Some((table, key)) => format!("`[routes.{route}.{table}] {key}`"),
            None => format!("`[routes.{route}] {key}`"),
        }
    }

    /// Says what to check, and first of all a proxy that the environment names.
    fn advice(&self) -> String {
        let address = match self.config.base {
            UpstreamBase::Fixed(_) => self.key("upstream"),
            UpstreamBase::Token(_) => "`api_base` of the provider".to_owned(),
        };
        let hint = self.config.unused_proxy.filter(|_| !self.base.is_local());
        let hint = hint.map_or_else(String::new, |variable| {
            format!(
                "{variable} is set and not used: set {}, or ",
                self.key("proxy")
            )
        });
        format!("{hint}check {address}, the server and the network between")
    }

    /// The host name was not found.
    pub(super) fn not_found(&self) -> ProxyRefusal {
        let (host, advice) = (&self.base.host, self.advice());
        unreachable(format!(
            "the host name {host} of the upstream is not found: {advice}"
        ))
        .with_proxy_error("dns_error")
    }

    /// No address accepts a connection.
    pub(super) fn not_connected(&self, error: &io::Error) -> ProxyRefusal {
        let (address, advice) = (self.base.address(), self.advice());
        let (says, word) = connect_failure(error);
        unreachable(format!("the upstream {address} {says}: {advice}")).with_proxy_error(word)
    }

    /// The connection took too long.
    pub(super) fn timed_out(&self) -> ProxyRefusal {
        let (address, advice) = (self.base.address(), self.advice());
        let key = self.key("timeouts.connect");
        let detail = format!("no connection to the upstream {address} within {key}: {advice}");
        ProxyRefusal::new(ProblemKind::UpstreamTimeout, detail)
            .with_proxy_error("connection_timeout")
    }

    /// The host name of the proxy was not found.
    pub(super) fn proxy_not_found(&self, proxy: &ForwardProxy) -> ProxyRefusal {
        let (address, key) = (proxy.address(), self.key("proxy"));
        unreachable(format!(
            "the proxy {address} has a host name that is not found: check {key}"
        ))
        .with_proxy_error("dns_error")
    }

    /// The proxy accepts no connection.
    pub(super) fn proxy_not_connected(
        &self,
        proxy: &ForwardProxy,
        error: &io::Error,
    ) -> ProxyRefusal {
        let (address, key) = (proxy.address(), self.key("proxy"));
        let (says, word) = connect_failure(error);
        unreachable(format!("the proxy {address} {says}: check {key}")).with_proxy_error(word)
    }

    /// The proxy responded, but opens no tunnel.
    pub(super) fn proxy_responded(&self, proxy: &ForwardProxy, status: StatusCode) -> ProxyRefusal {
        let address = proxy.address();
        let status = match status.canonical_reason() {
            Some(reason) => format!("{} {reason}", status.as_u16()),
            None => status.as_u16().to_string(),
        };
        let advice = match (status.starts_with("407"), &proxy.credentials) {
            (true, None) => format!("set {} and `password`", self.key("proxy.username")),
            (true, Some(_)) => format!("check {} and `password`", self.key("proxy.username")),
            (false, _) => format!("check {}, and the rules of the proxy", self.key("proxy")),
        };
        let upstream = self.base.address();
        self.without_tunnel(format!(
            "the proxy {address} opens no tunnel to {upstream} and responded with {status}: {advice}"
        ))
    }

    /// What responds is no working proxy; `reason` says why.
    pub(super) fn not_a_proxy(&self, proxy: &ForwardProxy, reason: &str) -> ProxyRefusal {
        let (address, key) = (proxy.address(), self.key("proxy"));
        self.without_tunnel(format!("the proxy {address} {reason}: check {key}"))
    }

    fn without_tunnel(&self, detail: String) -> ProxyRefusal {
        unreachable(detail).with_proxy_error("destination_unavailable")
    }

    /// The TLS handshake failed.
    pub(super) fn handshake(&self, fault: HandshakeFault) -> ProxyRefusal {
        let word = match fault {
            HandshakeFault::Certificate(_) => "tls_certificate_error",
            HandshakeFault::Alert => "tls_alert_received",
            HandshakeFault::NotTls | HandshakeFault::Closed | HandshakeFault::Other => {
                "tls_protocol_error"
            }
        };
        let detail = fault.describe(&self.base.address(), &self.key("ca_file"), true);
        let detail = format!("no TLS with the upstream: {detail}");
        ProxyRefusal::new(ProblemKind::UpstreamTls, detail).with_proxy_error(word)
    }

    /// The server ended the connection before it spoke HTTP.
    pub(super) fn not_http(&self) -> ProxyRefusal {
        let address = self.base.address();
        let detail = format!(
            "the upstream {address} ended the connection during the HTTP handshake: check `http2` and its log"
        );
        ProxyRefusal::new(ProblemKind::UpstreamProtocol, detail)
    }
}

fn connect_failure(error: &io::Error) -> (String, &'static str) {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            ("refuses connections".to_owned(), "connection_refused")
        }
        io::ErrorKind::NotFound => ("has a name without an address".to_owned(), "dns_error"),
        kind => (
            format!("accepts no connection ({kind})"),
            "destination_unavailable",
        ),
    }
}

fn unreachable(detail: String) -> ProxyRefusal {
    ProxyRefusal::new(ProblemKind::UpstreamUnreachable, detail)
}
