//! The world's fixed points: kinds of requests, routes, providers and upstreams.

use std::time::Duration;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Get,
    OneShot,
    Put,
    Post,
    Http2Get,
    Http2Post,
    Upload,
    Download,
    GrpcUnary,
    GrpcDownload,
    GrpcTalk,
    WebSocket,
}

impl Kind {
    /// The name in the account.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "HTTP/1.1 GET",
            Self::OneShot => "HTTP/1.1 GET, one a connection",
            Self::Put => "HTTP/1.1 PUT",
            Self::Post => "HTTP/1.1 POST",
            Self::Http2Get => "HTTP/2 GET",
            Self::Http2Post => "HTTP/2 POST",
            Self::Upload => "upload (POST)",
            Self::Download => "download (GET)",
            Self::GrpcUnary => "gRPC, one message",
            Self::GrpcDownload => "gRPC, server stream",
            Self::GrpcTalk => "gRPC, both streams",
            Self::WebSocket => "WebSocket session",
        }
    }

    /// Whether the request may arrive twice after a broken connection (RFC 9110 §9.2.2).
    pub(crate) fn is_idempotent(self) -> bool {
        matches!(
            self,
            Self::Get
                | Self::OneShot
                | Self::Put
                | Self::Http2Get
                | Self::Download
                | Self::WebSocket
        )
    }
}

/// A route of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// HTTP/1.1, client credentials that live briefly.
    Web,
    /// HTTP/1.1, a login.
    Own,
    /// HTTP/2, client credentials.
    Two,
    /// gRPC, a login whose server forgives.
    Grpc,
    /// WebSocket, a login.
    Ws,
}

impl Route {
    pub(crate) const ALL: [Self; 5] = [Self::Web, Self::Own, Self::Two, Self::Grpc, Self::Ws];

    /// The name in the configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Own => "own",
            Self::Two => "two",
            Self::Grpc => "grpc",
            Self::Ws => "ws",
        }
    }

    /// The path prefix.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Web => "/web",
            Self::Own => "/own",
            Self::Two => "/two",
            Self::Grpc => "/soak.Texts",
            Self::Ws => "/ws",
        }
    }

    /// The provider whose token the route demands.
    pub(crate) fn provider(self) -> Provider {
        match self {
            Self::Web => Provider::Fast,
            Self::Two => Provider::Steady,
            Self::Own | Self::Ws => Provider::Strict,
            Self::Grpc => Provider::Grace,
        }
    }

    /// The upstream.
    pub(crate) fn upstream(self) -> Upstream {
        match self {
            Self::Web | Self::Own => Upstream::Http1,
            Self::Two => Upstream::Http2,
            Self::Grpc => Upstream::Grpc,
            Self::Ws => Upstream::WebSocket,
        }
    }
}

/// A provider of the configuration, with an authorization server of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Provider {
    /// Client credentials that live 3 s.
    Fast,
    /// Client credentials that live 8 s.
    Steady,
    /// A login. A refresh token that is sent again ends it.
    Strict,
    /// A login. Its server takes a spent refresh token for another minute, and loses responses.
    Grace,
}

impl Provider {
    pub(crate) const ALL: [Self; 4] = [Self::Fast, Self::Steady, Self::Strict, Self::Grace];

    /// The name in the configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Steady => "steady",
            Self::Strict => "strict",
            Self::Grace => "grace",
        }
    }

    /// The lifetime of its access tokens.
    pub(crate) fn lifetime(self) -> Duration {
        Duration::from_secs(match self {
            Self::Fast => 3,
            Self::Steady => 8,
            Self::Strict => 4,
            Self::Grace => 6,
        })
    }

    /// Whether a person logs in.
    pub(crate) fn has_login(self) -> bool {
        matches!(self, Self::Strict | Self::Grace)
    }
}

/// An upstream, behind a relay that breaks connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Upstream {
    Http1,
    Http2,
    Grpc,
    WebSocket,
}

impl Upstream {
    pub(crate) const ALL: [Self; 4] = [Self::Http1, Self::Http2, Self::Grpc, Self::WebSocket];

    /// The name in the account.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Grpc => "gRPC",
            Self::WebSocket => "WebSocket",
        }
    }
}
