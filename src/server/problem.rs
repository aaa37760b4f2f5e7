//! bearward's own error responses: one table of kinds, one builder (RFC 9457, RFC 9209).

mod kind;

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;

pub use self::kind::{ProblemKind, RetryAdvice, Side};
use crate::help;

/// The media type of problem details.
pub const CONTENT_TYPE: &str = "application/problem+json";

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Bytes that gRPC asks to percent-encode in `grpc-message`, beside those outside ASCII.
const GRPC_MESSAGE_ESCAPES: &AsciiSet = &CONTROLS.add(b'%');

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
            help: help::place(self.kind.word()),
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
                    HeaderValue::from(u16::from(self.kind.grpc_status())),
                );
                let message = format!("{}: {}", self.kind.word(), self.detail);
                let message = utf8_percent_encode(&message, GRPC_MESSAGE_ESCAPES).to_string();
                insert(headers, GRPC_MESSAGE, message);
            }
        }
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
    help: String,
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    // Every value is made here of visible ASCII.
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests;
