//! A route of the configuration: a listener, the requests that it serves, and their upstream.

use std::{sync::Arc, time::Duration};

use http::HeaderName;

use super::allow::AllowRule;
use crate::{secret::LiveSecret, server::address::ListenAddress, tls::Trust};

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
        self.path.is_none()
            && self.allow.is_none()
            && self.upstream.base_path.is_empty()
            && !matches!(self.injection(), Some(Injection::Query { .. }))
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
}

impl Binding {
    /// The default of `reauthorize_on`.
    pub const DEFAULT_REAUTHORIZE_ON: &[u16] = &[401];
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
    /// Whether it is spoken to over TLS.
    pub tls: bool,
    /// A name, an IPv4 address or an IPv6 address without brackets.
    pub host: String,
    /// The port, the scheme's own filled in.
    pub port: u16,
    /// The value of `Host`: the host with brackets where due, and the port unless it is the scheme's own.
    pub authority: String,
    /// The base path, prefixed to every path: empty, or starts with `/` and does not end with one.
    pub base_path: String,
    /// The trust anchors for its certificate.
    pub trust: Trust,
    /// The HTTP versions for its connections.
    pub http2: Http2,
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
    /// Must come in `x-bearward-key`.
    pub client_key: Option<Arc<LiveSecret>>,
    /// The largest request body in bytes.
    pub max_body: Option<u64>,
}
