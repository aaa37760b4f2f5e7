//! bearward's own error responses: one table of kinds, one builder (RFC 9457, RFC 9209).

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;

/// The media type of problem details.
pub const CONTENT_TYPE: &str = "application/problem+json";

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Bytes that gRPC asks to percent-encode in `grpc-message`, beside those outside ASCII.
const GRPC_MESSAGE_ESCAPES: &AsciiSet = &CONTROLS.add(b'%');

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
    /// All kinds, in the order of their declaration.
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
    const fn challenges(self) -> &'static [&'static str] {
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

/// The form in which a client expects an error response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProblemFormat {
    /// `application/problem+json` (RFC 9457).
    #[default]
    Json,
    /// HTTP 200 with `grpc-status` and `grpc-message`, and no body.
    Grpc,
}

impl ProblemFormat {
    /// The form for a request with these headers: gRPC's where `Content-Type` says so.
    pub fn for_request(headers: &HeaderMap) -> Self {
        const GRPC: &[u8] = b"application/grpc";
        let is_grpc = headers
            .get(header::CONTENT_TYPE)
            .and_then(|media_type| media_type.as_bytes().get(..GRPC.len()))
            // Media types ignore case (RFC 9110 §8.3.1).
            .is_some_and(|start| start.eq_ignore_ascii_case(GRPC));
        if is_grpc { Self::Grpc } else { Self::Json }
    }
}

/// One problem, before it becomes a response.
///
/// No member may hold a secret, or a byte of what an authorization server sent but its `error` code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem<'a> {
    kind: ProblemKind,
    status: StatusCode,
    detail: Cow<'a, str>,
    route: Option<&'a str>,
    provider: Option<&'a str>,
    error_code: Option<&'a str>,
    retry_after: Option<Duration>,
    proxy_error: &'static str,
    allow: Option<&'static str>,
}

impl<'a> Problem<'a> {
    /// A problem of `kind`; `detail` says what happened and what to do next.
    pub fn new(kind: ProblemKind, detail: impl Into<Cow<'a, str>>) -> Self {
        Self {
            kind,
            status: kind.status(),
            detail: detail.into(),
            route: None,
            provider: None,
            error_code: None,
            retry_after: None,
            proxy_error: kind.proxy_error(),
            allow: None,
        }
    }

    /// Names the route that was asked.
    pub fn with_route(self, route: Option<&'a str>) -> Self {
        Self { route, ..self }
    }

    /// Names the provider whose token was needed.
    pub fn with_provider(self, provider: Option<&'a str>) -> Self {
        Self { provider, ..self }
    }

    /// Repeats the authorization server's `error` code (RFC 6749 §5.2) as member `error`.
    pub fn with_error_code(self, error_code: Option<&'a str>) -> Self {
        Self { error_code, ..self }
    }

    /// Sets `Retry-After`, in whole seconds, rounded up, at least one.
    pub fn with_retry_after(self, retry_after: Option<Duration>) -> Self {
        Self {
            retry_after,
            ..self
        }
    }

    /// Replaces the kind's error type of `Proxy-Status` by a more exact one (RFC 9209 §2.3).
    pub fn with_proxy_error(self, proxy_error: &'static str) -> Self {
        Self {
            proxy_error,
            ..self
        }
    }

    /// Replaces the kind's status.
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Sets `Allow`, which every 405 needs (RFC 9110 §15.5.6).
    pub fn with_allow(self, methods: &'static str) -> Self {
        Self {
            allow: Some(methods),
            ..self
        }
    }

    /// The kind of this problem.
    pub fn kind(&self) -> ProblemKind {
        self.kind
    }

    /// The HTTP status, which a gRPC client does not see.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The problem as a JSON object (RFC 9457 §3).
    pub fn to_json(&self) -> Bytes {
        let members = Members {
            kind: format!("urn:bearward:{}", self.kind.word()),
            title: self.kind.title(),
            status: self.status.as_u16(),
            detail: &self.detail,
            route: self.route,
            provider: self.provider,
            error: self.error_code,
        };
        let json = serde_json::to_vec(&members);
        // Strings and a number always serialize.
        debug_assert!(json.is_ok());
        json.map(Bytes::from).unwrap_or_default()
    }

    /// The response, complete but for the framing.
    pub fn to_response(&self, format: ProblemFormat) -> Response<Full<Bytes>> {
        let (status, body) = match format {
            ProblemFormat::Json => (self.status, self.to_json()),
            ProblemFormat::Grpc => (StatusCode::OK, Bytes::new()),
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        self.write_headers(response.headers_mut(), format);
        response
    }

    fn write_headers(&self, headers: &mut HeaderMap, format: ProblemFormat) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let proxy_status = format!("bearward; error={}", self.proxy_error);
        insert(headers, PROXY_STATUS, proxy_status);
        if let Some(retry_after) = self.retry_after {
            // An earlier attempt would be in vain.
            let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Some(methods) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        for challenge in self.kind.challenges() {
            headers.append(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
        match format {
            ProblemFormat::Json => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
            }
            ProblemFormat::Grpc => {
                let media_type = HeaderValue::from_static("application/grpc");
                headers.insert(header::CONTENT_TYPE, media_type);
                headers.insert(
                    GRPC_STATUS,
                    HeaderValue::from(u16::from(self.grpc_status())),
                );
                let message = format!("{}: {}", self.kind.word(), self.detail);
                let message = utf8_percent_encode(&message, GRPC_MESSAGE_ESCAPES).to_string();
                insert(headers, GRPC_MESSAGE, message);
            }
        }
    }

    fn grpc_status(&self) -> u8 {
        self.kind.grpc_status()
    }
}

/// The JSON object of a problem.
#[derive(Serialize)]
struct Members<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    // Every value is made here of visible ASCII.
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests;
