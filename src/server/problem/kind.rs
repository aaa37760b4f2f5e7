//! The table of error responses: each kind with its status, words, codes, side and retry advice.
//!
//! The details, which say what happened to one request, are written where a request is refused: `proxy::error`.

use http::StatusCode;

/// The kinds of error responses that bearward writes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// Malformed request, or an ambiguous path.
    BadRequest,
    /// `x-bearward-key` is missing or wrong.
    ClientKeyRequired,
    /// The `[admin] key` is missing or wrong.
    AdminKeyRequired,
    /// Method and path are not in `allow`, or the endpoint is closed to the network.
    NotAllowed,
    /// A browser's request from a page of another site.
    CrossSite,
    /// No route matches.
    NoRoute,
    /// The admin listener has no such path.
    NotFound,
    /// The configuration has no such provider.
    UnknownProvider,
    /// The method is not served.
    MethodNotAllowed,
    /// An `Expect` other than `100-continue`.
    ExpectationFailed,
    /// The client sent too slowly.
    RequestTimeout,
    /// The provider has no login in a browser.
    NoLogin,
    /// The provider's `redirect_uri` does not lead back to this listener.
    LoginElsewhere,
    /// The request body exceeds its limit.
    BodyTooLarge,
    /// The path exceeds `[limits] path_bytes`.
    PathTooLong,
    /// The request head exceeds its limits.
    HeadersTooLarge,
    /// The `Host` is not one that the listener accepts.
    HostNotAllowed,
    /// bearward itself failed.
    Internal,
    /// The upstream's address was not found, or the connection failed.
    UpstreamUnreachable,
    /// The TLS handshake with the upstream failed.
    UpstreamTls,
    /// The upstream's response is invalid or was cut off.
    UpstreamProtocol,
    /// The upstream did not connect or respond in time.
    UpstreamTimeout,
    /// The authorization server refuses this client.
    TokenRefused,
    /// There is no usable token for now.
    TokenUnavailable,
    /// A person has to log in first.
    LoginRequired,
}

/// The party at which the cause of a problem has to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client that sent the request.
    Client,
    /// The upstream API.
    Upstream,
    /// The authorization server.
    AuthorizationServer,
    /// bearward, or the operator who runs it.
    Bearward,
}

/// When the same request is worth sending again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAdvice {
    /// Once the request or the configuration has changed.
    AfterChange,
    /// Later, unchanged.
    Later,
    /// Once a person has logged in.
    AfterLogin,
}

/// One row of the table.
struct Row {
    status: StatusCode,
    word: &'static str,
    title: &'static str,
    proxy_error: &'static str,
    side: Side,
    retry: RetryAdvice,
}

impl ProblemKind {
    /// Every kind.
    pub const ALL: [Self; 25] = [
        Self::BadRequest,
        Self::ClientKeyRequired,
        Self::AdminKeyRequired,
        Self::NotAllowed,
        Self::CrossSite,
        Self::NoRoute,
        Self::NotFound,
        Self::UnknownProvider,
        Self::MethodNotAllowed,
        Self::ExpectationFailed,
        Self::RequestTimeout,
        Self::NoLogin,
        Self::LoginElsewhere,
        Self::BodyTooLarge,
        Self::PathTooLong,
        Self::HeadersTooLarge,
        Self::HostNotAllowed,
        Self::Internal,
        Self::UpstreamUnreachable,
        Self::UpstreamTls,
        Self::UpstreamProtocol,
        Self::UpstreamTimeout,
        Self::TokenRefused,
        Self::TokenUnavailable,
        Self::LoginRequired,
    ];

    /// The status of the response.
    pub const fn status(self) -> StatusCode {
        self.row().status
    }

    /// The word after `urn:bearward:` in `type`.
    pub const fn word(self) -> &'static str {
        self.row().word
    }

    /// The `title`, which is the same for every occurrence (RFC 9457 §3.1.3).
    pub const fn title(self) -> &'static str {
        self.row().title
    }

    /// The error type of `Proxy-Status` (RFC 9209 §2.3).
    pub const fn proxy_error(self) -> &'static str {
        self.row().proxy_error
    }

    /// The party that can remove the cause.
    pub const fn side(self) -> Side {
        self.row().side
    }

    /// When the same request is worth sending again.
    pub const fn retry_advice(self) -> RetryAdvice {
        self.row().retry
    }

    /// The gRPC status code that stands for the HTTP status.
    pub const fn grpc_status(self) -> u8 {
        match self.status().as_u16() {
            400 => 3,        // INVALID_ARGUMENT
            401 => 16,       // UNAUTHENTICATED
            403 | 421 => 7,  // PERMISSION_DENIED
            404 => 12,       // UNIMPLEMENTED
            408 | 504 => 4,  // DEADLINE_EXCEEDED
            413 | 431 => 8,  // RESOURCE_EXHAUSTED
            502 | 503 => 14, // UNAVAILABLE
            _ => 2,          // UNKNOWN
        }
    }

    /// The values of `WWW-Authenticate` (RFC 9110 §11.6.1).
    pub(super) const fn challenges(self) -> &'static [&'static str] {
        match self {
            Self::ClientKeyRequired => &["BearwardKey header=\"x-bearward-key\""],
            Self::AdminKeyRequired => &[
                "Basic realm=\"bearward\", charset=\"UTF-8\"",
                "Bearer realm=\"bearward\"",
            ],
            _ => &[],
        }
    }

    #[rustfmt::skip]
    const fn row(self) -> Row {
        use RetryAdvice::{AfterChange, AfterLogin, Later};
        use Side::{AuthorizationServer, Bearward, Client, Upstream};
        use StatusCode as S;

        const REQUEST: &str = "http_request_error";
        const DENIED: &str = "http_request_denied";
        const SETTINGS: &str = "proxy_configuration_error";
        const INTERNAL: &str = "proxy_internal_error";

        let (status, word, title, proxy_error, side, retry) = match self {
            Self::BadRequest => (S::BAD_REQUEST, "bad-request", "Malformed request", REQUEST, Client, AfterChange),
            Self::ClientKeyRequired => (S::UNAUTHORIZED, "client-key-required", "Client key required", DENIED, Client, AfterChange),
            Self::AdminKeyRequired => (S::UNAUTHORIZED, "admin-key-required", "Admin key required", DENIED, Client, AfterChange),
            Self::NotAllowed => (S::FORBIDDEN, "not-allowed", "Not allowed", DENIED, Client, AfterChange),
            Self::CrossSite => (S::FORBIDDEN, "cross-site", "Cross-site request", DENIED, Client, AfterChange),
            Self::NoRoute => (S::NOT_FOUND, "no-route", "No route", "destination_not_found", Client, AfterChange),
            Self::NotFound => (S::NOT_FOUND, "not-found", "Not found", REQUEST, Client, AfterChange),
            Self::UnknownProvider => (S::NOT_FOUND, "unknown-provider", "Unknown provider", REQUEST, Client, AfterChange),
            Self::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", REQUEST, Client, AfterChange),
            Self::ExpectationFailed => (S::EXPECTATION_FAILED, "expectation-failed", "Expectation failed", REQUEST, Client, AfterChange),
            Self::RequestTimeout => (S::REQUEST_TIMEOUT, "request-timeout", "Request timeout", REQUEST, Client, Later),
            Self::NoLogin => (S::CONFLICT, "no-login", "No login", REQUEST, Bearward, AfterChange),
            Self::LoginElsewhere => (S::CONFLICT, "login-elsewhere", "Login elsewhere", REQUEST, Bearward, AfterChange),
            Self::BodyTooLarge => (S::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large", REQUEST, Client, AfterChange),
            Self::PathTooLong => (S::URI_TOO_LONG, "path-too-long", "Path too long", REQUEST, Client, AfterChange),
            Self::HeadersTooLarge => (S::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers-too-large", "Headers too large", REQUEST, Client, AfterChange),
            Self::HostNotAllowed => (S::MISDIRECTED_REQUEST, "host-not-allowed", "Host not allowed", DENIED, Client, AfterChange),
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "Internal error", INTERNAL, Bearward, Later),
            Self::UpstreamUnreachable => (S::BAD_GATEWAY, "upstream-unreachable", "Upstream unreachable", "destination_unavailable", Upstream, Later),
            Self::UpstreamTls => (S::BAD_GATEWAY, "upstream-tls", "Upstream TLS failure", "tls_protocol_error", Upstream, Later),
            Self::UpstreamProtocol => (S::BAD_GATEWAY, "upstream-protocol", "Invalid response of the upstream", "http_protocol_error", Upstream, Later),
            Self::UpstreamTimeout => (S::GATEWAY_TIMEOUT, "upstream-timeout", "Upstream timeout", "http_response_timeout", Upstream, Later),
            Self::TokenRefused => (S::BAD_GATEWAY, "token-refused", "Token refused", SETTINGS, AuthorizationServer, AfterChange),
            Self::TokenUnavailable => (S::SERVICE_UNAVAILABLE, "token-unavailable", "Token unavailable", INTERNAL, AuthorizationServer, Later),
            Self::LoginRequired => (S::SERVICE_UNAVAILABLE, "login-required", "Login required", SETTINGS, Bearward, AfterLogin),
        };
        Row { status, word, title, proxy_error, side, retry }
    }
}
