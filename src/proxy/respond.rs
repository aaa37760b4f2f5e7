//! Refusals as answers: the only place of the request path with status codes.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::error::{Kind, Refusal};
use crate::{
    http1::{
        body::put_field,
        buffer::Buffer,
        field::{self, Known},
        head::Head,
    },
    proxy::headers::Persist,
    server::problem::{self, Problem},
};

/// An answer of bearward's own.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status, also where a gRPC caller is told 200.
    pub status: StatusCode,
    /// What the caller is told.
    pub sent: StatusCode,
    /// Its fields but for the framing.
    pub fields: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// Whether the caller speaks gRPC, and so looks for `grpc-status`.
pub fn is_grpc(head: &Head) -> bool {
    head.values(Known::ContentType)
        .next()
        .is_some_and(field::is_grpc)
}

/// The answer to a refused request.
pub fn answer(
    refusal: &Refusal,
    route: Option<&str>,
    provider: Option<&str>,
    grpc: bool,
) -> Answer {
    let (status, word, title, proxy_error) = words(refusal.kind);
    let mut fields = HeaderMap::new();
    let proxy_status = format!(
        "bearward; error={}",
        refusal.proxy_error.unwrap_or(proxy_error)
    );
    put(
        &mut fields,
        HeaderName::from_static("proxy-status"),
        proxy_status,
    );
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(after) = refusal.retry_after {
        // Whole seconds, rounded up: an earlier attempt would be in vain.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        put(&mut fields, header::RETRY_AFTER, seconds.max(1).to_string());
    }
    match refusal.kind {
        Kind::MethodNotAllowed => {
            put(
                &mut fields,
                header::ALLOW,
                "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".into(),
            );
        }
        Kind::ClientKeyRequired => {
            put(
                &mut fields,
                header::WWW_AUTHENTICATE,
                "BearwardKey header=\"x-bearward-key\"".into(),
            );
        }
        _ => {}
    }
    if grpc {
        fields.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/grpc"),
        );
        put(
            &mut fields,
            HeaderName::from_static("grpc-status"),
            grpc_status(status).to_string(),
        );
        put(
            &mut fields,
            HeaderName::from_static("grpc-message"),
            grpc_message(&format!("{word}: {}", refusal.detail)),
        );
        return Answer {
            status,
            sent: StatusCode::OK,
            fields,
            body: Bytes::new(),
        };
    }
    fields.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(problem::CONTENT_TYPE),
    );
    let problem = Problem {
        kind: word,
        title,
        status,
        detail: &refusal.detail,
        route,
        provider,
        error: refusal.code.as_deref(),
    };
    Answer {
        status,
        sent: status,
        fields,
        body: problem.to_json(),
    }
}

impl Answer {
    /// Writes the answer for a caller that speaks HTTP/1.
    pub fn write(&self, wire: &mut Buffer, to_head: bool, persist: Persist<'_>) {
        wire.extend(b"HTTP/1.1 ");
        wire.extend(self.sent.as_str().as_bytes());
        wire.extend(b" ");
        wire.extend(self.sent.canonical_reason().unwrap_or_default().as_bytes());
        wire.extend(b"\r\n");
        for (name, value) in &self.fields {
            put_field(wire, name.as_str().as_bytes(), value.as_bytes());
        }
        put_field(
            wire,
            b"content-length",
            self.body.len().to_string().as_bytes(),
        );
        match persist {
            Persist::Silent | Persist::Upgrade(_) => {}
            Persist::KeepAlive => put_field(wire, b"connection", b"keep-alive"),
            Persist::Close => put_field(wire, b"connection", b"close"),
        }
        wire.extend(b"\r\n");
        if !to_head {
            wire.extend(&self.body);
        }
    }
}

/// Status, word after `urn:bearward:`, title, and error of `Proxy-Status` (RFC 9209 §2.3).
const fn words(kind: Kind) -> (StatusCode, &'static str, &'static str, &'static str) {
    use StatusCode as S;
    const REQUEST: &str = "http_request_error";
    const DENIED: &str = "http_request_denied";
    match kind {
        Kind::BadRequest => (S::BAD_REQUEST, "bad-request", "Malformed request", REQUEST),
        Kind::ClientKeyRequired => (
            S::UNAUTHORIZED,
            "client-key-required",
            "Client key required",
            DENIED,
        ),
        Kind::NotAllowed => (S::FORBIDDEN, "not-allowed", "Not allowed", DENIED),
        Kind::CrossSite => (S::FORBIDDEN, "cross-site", "Cross-site request", DENIED),
        Kind::NoRoute => (
            S::NOT_FOUND,
            "no-route",
            "No route",
            "destination_not_found",
        ),
        Kind::MethodNotAllowed => (
            S::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "Method not allowed",
            REQUEST,
        ),
        Kind::ExpectationFailed => (
            S::EXPECTATION_FAILED,
            "expectation-failed",
            "Expectation failed",
            REQUEST,
        ),
        Kind::RequestTimeout => (
            S::REQUEST_TIMEOUT,
            "request-timeout",
            "Request timeout",
            REQUEST,
        ),
        Kind::BodyTooLarge => (
            S::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "Body too large",
            REQUEST,
        ),
        Kind::PathTooLong => (S::URI_TOO_LONG, "path-too-long", "Path too long", REQUEST),
        Kind::HeadersTooLarge => (
            S::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "headers-too-large",
            "Headers too large",
            REQUEST,
        ),
        Kind::HostNotAllowed => (
            S::MISDIRECTED_REQUEST,
            "host-not-allowed",
            "Host not allowed",
            DENIED,
        ),
        Kind::UpstreamUnreachable => (
            S::BAD_GATEWAY,
            "upstream-unreachable",
            "Upstream unreachable",
            "destination_unavailable",
        ),
        Kind::UpstreamTls => (
            S::BAD_GATEWAY,
            "upstream-tls",
            "Upstream TLS failure",
            "tls_protocol_error",
        ),
        Kind::UpstreamProtocol => (
            S::BAD_GATEWAY,
            "upstream-protocol",
            "Invalid answer of the upstream",
            "http_protocol_error",
        ),
        Kind::UpstreamTimeout => (
            S::GATEWAY_TIMEOUT,
            "upstream-timeout",
            "Upstream timeout",
            "http_response_timeout",
        ),
        Kind::TokenRefused => (
            S::BAD_GATEWAY,
            "token-refused",
            "Token refused",
            "proxy_configuration_error",
        ),
        Kind::TokenUnavailable => (
            S::SERVICE_UNAVAILABLE,
            "token-unavailable",
            "Token unavailable",
            "proxy_internal_error",
        ),
        Kind::LoginRequired => (
            S::SERVICE_UNAVAILABLE,
            "login-required",
            "Login required",
            "proxy_configuration_error",
        ),
    }
}

/// The gRPC status that stands for one of ours.
fn grpc_status(status: StatusCode) -> u8 {
    match status.as_u16() {
        400 => 3,
        401 => 16,
        403 | 421 => 7,
        404 => 12,
        408 | 504 => 4,
        413 | 431 => 8,
        502 | 503 => 14,
        _ => 2,
    }
}

/// Percent-encodes as the gRPC protocol asks of `grpc-message`.
fn grpc_message(text: &str) -> String {
    let mut message = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => message.push(char::from(byte)),
            _ => message.push_str(&format!("%{byte:02X}")),
        }
    }
    message
}

fn put(fields: &mut HeaderMap, name: HeaderName, value: String) {
    // All values are made here of ASCII words and numbers.
    if let Ok(value) = HeaderValue::try_from(value) {
        fields.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_problem_names_route_provider_and_code() {
        let refusal = Refusal {
            code: Some("invalid_client".into()),
            ..Refusal::new(Kind::TokenRefused, "it says no")
        };
        let answer = answer(&refusal, Some("devices"), Some("hapn"), false);
        assert_eq!(answer.sent, StatusCode::BAD_GATEWAY);
        assert_eq!(
            answer.fields["proxy-status"],
            "bearward; error=proxy_configuration_error"
        );
        assert_eq!(answer.fields["cache-control"], "no-store");
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["type"], "urn:bearward:token-refused");
        assert_eq!(
            (&body["route"], &body["provider"], &body["error"]),
            (&"devices".into(), &"hapn".into(), &"invalid_client".into())
        );
    }

    #[test]
    fn retry_after_is_in_whole_seconds_rounded_up() {
        let after = |millis| {
            let refusal = Refusal {
                retry_after: Some(Duration::from_millis(millis)),
                ..Refusal::new(Kind::TokenUnavailable, "")
            };
            answer(&refusal, None, None, false).fields["retry-after"]
                .to_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(
            (
                after(0).as_str(),
                after(1001).as_str(),
                after(3000).as_str()
            ),
            ("1", "2", "3")
        );
    }

    #[test]
    fn grpc_callers_find_their_status_in_the_head() {
        let refusal = Refusal::new(Kind::TokenUnavailable, "down 100%\u{e9}");
        let answer = answer(&refusal, Some("r"), None, true);
        assert_eq!(
            (answer.sent, answer.status),
            (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE)
        );
        assert_eq!(answer.fields["grpc-status"], "14");
        assert_eq!(
            answer.fields["grpc-message"],
            "token-unavailable: down 100%25%C3%A9"
        );
        assert!(answer.body.is_empty());
    }
}
