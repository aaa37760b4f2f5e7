//! Refusals as answers: the only place of the request path with status codes.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::error::{Kind, Refusal};
use crate::{
    http1::{
        body::put_field,
        buffer::Buffer,
        field::{self, Known},
        head::Head,
    },
    proxy::headers::Persist,
    server::problem::{Problem, ProblemFormat, ProblemKind},
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
    let kind = problem_kind(refusal.kind);
    let mut problem = Problem::new(kind, &*refusal.detail)
        .with_route(route)
        .with_provider(provider)
        .with_error_code(refusal.code.as_deref())
        .with_retry_after(refusal.retry_after);
    if let Some(word) = refusal.proxy_error {
        problem = problem.with_proxy_error(word);
    }
    if kind == ProblemKind::MethodNotAllowed {
        problem = problem.with_allow("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    }
    let (format, body) = match grpc {
        true => (ProblemFormat::Grpc, Bytes::new()),
        false => (ProblemFormat::Json, problem.to_json()),
    };
    let (parts, _) = problem.to_response(format).into_parts();
    Answer {
        status: problem.status(),
        sent: parts.status,
        fields: parts.headers,
        body,
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

const fn problem_kind(kind: Kind) -> ProblemKind {
    match kind {
        Kind::BadRequest => ProblemKind::BadRequest,
        Kind::ClientKeyRequired => ProblemKind::ClientKeyRequired,
        Kind::NotAllowed => ProblemKind::NotAllowed,
        Kind::CrossSite => ProblemKind::CrossSite,
        Kind::NoRoute => ProblemKind::NoRoute,
        Kind::MethodNotAllowed => ProblemKind::MethodNotAllowed,
        Kind::ExpectationFailed => ProblemKind::ExpectationFailed,
        Kind::RequestTimeout => ProblemKind::RequestTimeout,
        Kind::BodyTooLarge => ProblemKind::BodyTooLarge,
        Kind::PathTooLong => ProblemKind::PathTooLong,
        Kind::HeadersTooLarge => ProblemKind::HeadersTooLarge,
        Kind::HostNotAllowed => ProblemKind::HostNotAllowed,
        Kind::UpstreamUnreachable => ProblemKind::UpstreamUnreachable,
        Kind::UpstreamTls => ProblemKind::UpstreamTls,
        Kind::UpstreamProtocol => ProblemKind::UpstreamProtocol,
        Kind::UpstreamTimeout => ProblemKind::UpstreamTimeout,
        Kind::TokenRefused => ProblemKind::TokenRefused,
        Kind::TokenUnavailable => ProblemKind::TokenUnavailable,
        Kind::LoginRequired => ProblemKind::LoginRequired,
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
