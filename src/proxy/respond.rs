//! Refusals as responses: the only place of the request path with status codes.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header, request::Parts,
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{
    body::{Download, ResponseBody},
    error::{ProxyRefusal, RefusalKind},
    exchange::Exchange,
};
use crate::server::problem::{self, Problem};

/// Whether the client speaks gRPC, and reads `grpc-status`.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.as_bytes().split_at_checked(GRPC.len()))
        .is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(GRPC)
                && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
        })
}

/// A response of bearward's own.
#[derive(Debug)]
pub struct ProblemResponse {
    /// The status of the problem, also where a gRPC client gets 200.
    pub status: StatusCode,
    /// The response to send.
    pub response: Response<Bytes>,
}

/// Makes the response of the upstream the client's.
pub fn upstream(response: Response<Download>, mut exchange: Exchange) -> Response<ResponseBody> {
    exchange.set_status(response.status());
    response.map(|download| ResponseBody::upstream(download, exchange))
}

/// Makes the response to a refused request.
pub fn refusal(
    refusal: &ProxyRefusal,
    request: &Parts,
    mut exchange: Exchange,
) -> Response<ResponseBody> {
    let route = exchange.route().map(|active| &active.route);
    let provider = route.and_then(|route| route.provider.as_ref());
    let made = problem(
        refusal,
        route.map(|route| &*route.name),
        provider.map(|binding| &*binding.provider),
        is_grpc(&request.headers),
    );
    tracing::debug!(
        route = route.map(|route| &*route.name),
        status = made.status.as_u16(),
        detail = &*refusal.detail,
        "refused"
    );
    exchange.set_status(made.status);
    let mut response = made.response;
    if ends_connection(refusal.kind) && request.version != Version::HTTP_2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response.map(|content| ResponseBody::own(content, exchange))
}

/// Whether it is doubtful where the next request of the connection begins, or not worth the wait.
fn ends_connection(kind: RefusalKind) -> bool {
    matches!(
        kind,
        RefusalKind::BadRequest
            | RefusalKind::MethodNotAllowed
            | RefusalKind::RequestTimeout
            | RefusalKind::BodyTooLarge
            | RefusalKind::HeadersTooLarge
    )
}

/// Makes the problem response of a refusal.
pub fn problem(
    refusal: &ProxyRefusal,
    route: Option<&str>,
    provider: Option<&str>,
    grpc: bool,
) -> ProblemResponse {
    let (status, word, title, proxy_error) = words(refusal.kind);
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    let proxy_error = refusal.proxy_error.unwrap_or(proxy_error);
    insert(
        headers,
        HeaderName::from_static("proxy-status"),
        format!("bearward; error={proxy_error}"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(after) = refusal.retry_after {
        // Whole seconds, rounded up: an earlier attempt would fail.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        insert(headers, header::RETRY_AFTER, seconds.max(1).to_string());
    }
    match refusal.kind {
        RefusalKind::MethodNotAllowed => {
            let allow = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
            headers.insert(header::ALLOW, allow);
        }
        RefusalKind::ClientKeyRequired => {
            let challenge = HeaderValue::from_static("BearwardKey header=\"x-bearward-key\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        _ => {}
    }
    if grpc {
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/grpc"),
        );
        let message = grpc_message(&format!("{word}: {}", refusal.detail));
        insert(
            headers,
            HeaderName::from_static("grpc-status"),
            grpc_status(status).to_string(),
        );
        insert(headers, HeaderName::from_static("grpc-message"), message);
        return ProblemResponse { status, response };
    }
    headers.insert(
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
    *response.status_mut() = status;
    *response.body_mut() = problem.to_json();
    ProblemResponse { status, response }
}

/// Status, word after `urn:bearward:`, title, and error of `Proxy-Status` (RFC 9209 §2.3).
const fn words(kind: RefusalKind) -> (StatusCode, &'static str, &'static str, &'static str) {
    use StatusCode as S;
    const REQUEST: &str = "http_request_error";
    const DENIED: &str = "http_request_denied";
    match kind {
        RefusalKind::BadRequest => (S::BAD_REQUEST, "bad-request", "Malformed request", REQUEST),
        RefusalKind::ClientKeyRequired => (
            S::UNAUTHORIZED,
            "client-key-required",
            "Client key required",
            DENIED,
        ),
        RefusalKind::NotAllowed => (S::FORBIDDEN, "not-allowed", "Not allowed", DENIED),
        RefusalKind::CrossSite => (S::FORBIDDEN, "cross-site", "Cross-site request", DENIED),
        RefusalKind::NoRoute => (
            S::NOT_FOUND,
            "no-route",
            "No route",
            "destination_not_found",
        ),
        RefusalKind::MethodNotAllowed => (
            S::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "Method not allowed",
            REQUEST,
        ),
        RefusalKind::ExpectationFailed => (
            S::EXPECTATION_FAILED,
            "expectation-failed",
            "Expectation failed",
            REQUEST,
        ),
        RefusalKind::RequestTimeout => (
            S::REQUEST_TIMEOUT,
            "request-timeout",
            "Request timeout",
            REQUEST,
        ),
        RefusalKind::BodyTooLarge => (
            S::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "Body too large",
            REQUEST,
        ),
        RefusalKind::PathTooLong => (S::URI_TOO_LONG, "path-too-long", "Path too long", REQUEST),
        RefusalKind::HeadersTooLarge => (
            S::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "headers-too-large",
            "Headers too large",
            REQUEST,
        ),
        RefusalKind::HostNotAllowed => (
            S::MISDIRECTED_REQUEST,
            "host-not-allowed",
            "Host not allowed",
            DENIED,
        ),
        RefusalKind::UpstreamUnreachable => (
            S::BAD_GATEWAY,
            "upstream-unreachable",
            "Upstream unreachable",
            "destination_unavailable",
        ),
        RefusalKind::UpstreamTls => (
            S::BAD_GATEWAY,
            "upstream-tls",
            "Upstream TLS failure",
            "tls_protocol_error",
        ),
        RefusalKind::UpstreamProtocol => (
            S::BAD_GATEWAY,
            "upstream-protocol",
            "Invalid upstream response",
            "http_protocol_error",
        ),
        RefusalKind::UpstreamTimeout => (
            S::GATEWAY_TIMEOUT,
            "upstream-timeout",
            "Upstream timeout",
            "http_response_timeout",
        ),
        RefusalKind::TokenRefused => (
            S::BAD_GATEWAY,
            "token-refused",
            "Token refused",
            "proxy_configuration_error",
        ),
        RefusalKind::TokenUnavailable => (
            S::SERVICE_UNAVAILABLE,
            "token-unavailable",
            "Token unavailable",
            "proxy_internal_error",
        ),
        RefusalKind::LoginRequired => (
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

/// The bytes that gRPC does not allow in `grpc-message`.
const NOT_IN_GRPC_MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// Percent-encodes a `grpc-message` (gRPC over HTTP/2, "Responses").
fn grpc_message(text: &str) -> String {
    utf8_percent_encode(text, NOT_IN_GRPC_MESSAGE).to_string()
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    // All values are made here of ASCII words and numbers.
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_problem_names_route_provider_and_code() {
        let refusal = ProxyRefusal {
            code: Some("invalid_client".into()),
            ..ProxyRefusal::new(RefusalKind::TokenRefused, "it says no")
        };
        let made = problem(&refusal, Some("devices"), Some("hapn"), false).response;
        assert_eq!(made.status(), StatusCode::BAD_GATEWAY);
        assert_eq!(
            made.headers()["proxy-status"],
            "bearward; error=proxy_configuration_error"
        );
        assert_eq!(made.headers()["cache-control"], "no-store");
        let body: serde_json::Value = serde_json::from_slice(made.body()).unwrap();
        assert_eq!(body["type"], "urn:bearward:token-refused");
        assert_eq!(
            (&body["route"], &body["provider"], &body["error"]),
            (&"devices".into(), &"hapn".into(), &"invalid_client".into())
        );
    }

    #[test]
    fn retry_after_is_in_whole_seconds_rounded_up() {
        for (millis, seconds) in [(0, "1"), (1001, "2"), (3000, "3")] {
            let refusal = ProxyRefusal {
                retry_after: Some(Duration::from_millis(millis)),
                ..ProxyRefusal::new(RefusalKind::TokenUnavailable, "")
            };
            let made = problem(&refusal, None, None, false).response;
            assert_eq!(made.headers()["retry-after"], seconds);
        }
    }

    #[test]
    fn grpc_clients_get_their_status_in_the_head() {
        let refusal = ProxyRefusal::new(RefusalKind::TokenUnavailable, "down 100%\u{e9}");
        let made = problem(&refusal, Some("r"), None, true);
        assert_eq!(made.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(made.response.status(), StatusCode::OK);
        assert_eq!(made.response.headers()["grpc-status"], "14");
        assert_eq!(
            made.response.headers()["grpc-message"],
            "token-unavailable: down 100%25%C3%A9"
        );
        assert!(made.response.body().is_empty());
    }

    #[test]
    fn grpc_is_told_by_its_media_type() {
        let is = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            is_grpc(&headers)
        };
        assert!(is("application/grpc") && is("Application/gRPC+proto") && is("application/grpc;x"));
        assert!(!is("application/grpc-web") && !is("application/json"));
    }
}
