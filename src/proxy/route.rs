//! A route of the configuration: a listener, the requests that it serves, and their upstream.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::HeaderName;

use url::{Host, Url};

use super::allow::AllowRule;
use crate::{
    forward_proxy::{ForwardProxy, ProxyVariable},
    oauth::provider::{ApiBase, ApiFields},
    secret::LiveSecret,
    server::address::ListenAddress,
    tls::{ClientCertificate, Trust},
};

/// `[routes.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The key of its table.
    pub name: Arc<str>,
    /// Where it listens; several routes may share one address.
    pub listen: ListenAddress,
    /// The exact `Host` that it serves, in lower case and without a port.
    pub host: Option<String>,
    /// The path prefix that it serves: starts with `/`, does not end with one; `/` alone is `None`.
    pub path: Option<String>,
    /// `path` as it stands in a URL.
    pub escaped_path: Option<String>,
    /// Whether `path` is removed before forwarding.
    pub strip_path: bool,
    /// The upstream that it leads to.
    pub upstream: Upstream,
    /// The provider whose token is injected; without one the client's `Authorization` passes.
    pub provider: Option<Binding>,
    /// The methods and paths that may pass; all when absent.
    pub allow: Option<Vec<AllowRule>>,
    /// Protocols that may be tunnelled, in lower case.
    pub upgrade: Vec<String>,
    /// `[routes.NAME.timeouts]`.
    pub timeouts: Timeouts,
    /// `[routes.NAME.guard]`.
    pub guard: Guard,
}

impl Route {
    /// The place of the token in a request, when the route demands one.
    pub fn injection(&self) -> Option<&Injection> {
        self.provider.as_ref().map(|binding| &binding.inject)
    }

    /// The name of the header that carries the token, when a header does.
    pub fn injected_header(&self) -> Option<&HeaderName> {
        match self.injection()? {
            Injection::Header { name, .. } => Some(name),
            Injection::Query { .. } => None,
        }
    }

    /// Whether it leads to all of its upstream.
    ///
    /// Then the server as a whole (RFC 9112 §3.2.4) is the same to both sides. A token in the query could not go with a request for that.
    pub fn is_whole(&self) -> bool {
        let has_own_query = |binding: &Binding| {
            matches!(binding.inject, Injection::Query { .. }) || !binding.api.query.is_empty()
        };
        self.path.is_none()
            && self.allow.is_none()
            && self
                .upstream
                .fixed()
                .is_some_and(|base| base.path.is_empty())
            && !self.provider.as_ref().is_some_and(has_own_query)
    }

    /// The header fields of `[api]` that replace the client's.
    pub fn api_headers(&self) -> impl Iterator<Item = &HeaderName> {
        let binding = self.provider.iter();
        binding.flat_map(|binding| binding.api.headers.iter().map(|(name, _)| name))
    }
}

/// The token that a route demands, and its place in a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// The key of the provider's table.
    pub provider: Arc<str>,
    /// `[providers.x.inject]`.
    pub inject: Injection,
    /// `[providers.x.refresh] reauthorize_on`: statuses that mean that the token is no longer valid.
    pub reauthorize_on: Vec<u16>,
    /// `[providers.x.refresh] reauthorize_if`: a body that means the same.
    pub reauthorize_if: Option<ReauthorizeIf>,
    /// `[providers.x.api]`: what every request carries beside the token.
    pub api: ApiFields,
}

impl Binding {
    /// The default of `reauthorize_on`.
    pub const DEFAULT_REAUTHORIZE_ON: &[u16] = &[401];
}

/// `reauthorize_if`: a JSON body which means that the token is no longer valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReauthorizeIf {
    /// The status of such a response.
    pub status: u16,
    /// The JSON Pointer of the member that tells (RFC 6901).
    pub pointer: String,
    /// The values of that member; a number or a boolean as JSON writes it.
    pub values: Vec<String>,
}

/// The place of the token in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Injection {
    /// A header field: `authorization` with `Bearer ` before the token, unless configured.
    Header {
        /// The field's name.
        name: HeaderName,
        /// The text before the token.
        prefix: String,
    },
    /// A query parameter (RFC 6750 §2.3).
    Query {
        /// The parameter's name.
        name: String,
    },
}

impl Injection {
    /// The default name of the header field.
    pub const DEFAULT_HEADER: HeaderName = http::header::AUTHORIZATION;
    /// The default text before the token in the header field.
    pub const DEFAULT_PREFIX: &str = "Bearer ";
}

/// The protected API.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// Its address.
    pub base: UpstreamBase,
    /// The trust anchors for its certificate.
    pub trust: Trust,
    /// The certificate of this side.
    pub client_certificate: Option<ClientCertificate>,
    /// The HTTP proxy on the way to it.
    pub proxy: Option<ForwardProxy>,
    /// The HTTP versions for its connections.
    pub http2: Http2,
    /// The name of its route, for messages.
    pub route: Arc<str>,
    /// A variable of the environment that names a proxy, where `proxy` is absent.
    pub unused_proxy: Option<ProxyVariable>,
}

/// The address of the protected API, as far as it is configured.
#[derive(Clone, Debug, PartialEq)]
pub enum UpstreamBase {
    /// A configured address.
    Fixed(BaseUrl),
    /// The provider's `api_base`, which each token completes.
    Token(ApiBase),
}

impl Upstream {
    /// The configured address; absent where it comes with the token.
    pub fn fixed(&self) -> Option<&BaseUrl> {
        match &self.base {
            UpstreamBase::Fixed(base) => Some(base),
            UpstreamBase::Token(_) => None,
        }
    }
}

/// The address of an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// Whether it is spoken to over TLS.
    pub tls: bool,
    /// A name, an IPv4 address or an IPv6 address without brackets.
    pub host: String,
    /// The port, the scheme's own filled in.
    pub port: u16,
    /// The value of `Host`: the host with brackets where due, and the port unless it is the scheme's own.
    pub authority: String,
    /// The base path, prefixed to every path: empty, or starts with `/` and does not end with one.
    pub path: String,
}

impl BaseUrl {
    /// Returns host and port, as a request to a proxy and messages name them.
    pub fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// Returns whether the host is this machine.
    pub fn is_local(&self) -> bool {
        let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
        self.host
            .parse()
            .map_or_else(|_| self.host == "localhost", is_loopback)
    }

    /// Splits a URL into its parts. One without a host, or of another scheme than `http` and `https`, has none.
    pub fn from_url(url: &Url) -> Option<Self> {
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        let (host, bracketed) = match url.host()? {
            Host::Ipv6(address) => (address.to_string(), format!("[{address}]")),
            other => (other.to_string(), other.to_string()),
        };
        // `Url::port` is `None` for the scheme's own port.
        let authority = match url.port() {
            Some(port) => format!("{bracketed}:{port}"),
            None => bracketed,
        };
        Some(Self {
            tls: url.scheme() == "https",
            host,
            port: url.port_or_known_default()?,
            authority,
            path: url.path().trim_end_matches('/').to_owned(),
        })
    }
}

/// `http2` of a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Http2 {
    /// By ALPN.
    #[default]
    Auto,
    /// HTTP/1.1 alone.
    Never,
    /// HTTP/2 without asking.
    PriorKnowledge,
}

/// `[routes.NAME.timeouts]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Name look-up, TCP and TLS together.
    pub connect: Duration,
    /// To the response head.
    pub response: Duration,
    /// No byte of a body moved, in either direction.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            response: Duration::from_secs(60),
            idle: Duration::from_secs(60),
        }
    }
}

/// `[routes.NAME.guard]`: the demands on clients.
#[derive(Clone, Debug, PartialEq)]
pub struct Guard {
    /// Accepted Host names, in lower case, without ports, IPv6 in brackets; the defaults filled in.
    pub hosts: Vec<String>,
    /// Whether the hosts of the listener's real address are accepted too, which systemd alone knows before the start.
    pub accepts_bound_hosts: bool,
    /// Must come in `x-bearward-key`.
    pub client_key: Option<Arc<LiveSecret>>,
    /// The largest request body in bytes.
    pub max_body: Option<u64>,
}
