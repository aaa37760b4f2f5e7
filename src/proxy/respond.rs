//! Refusals as responses: the table of kinds is in [`crate::server::problem`].

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Version, header, request::Parts};
use http_body_util::Full;

use super::{
    body::{Download, ResponseBody},
    error::ProxyRefusal,
    exchange::Exchange,
};
use crate::server::problem::{Problem, ProblemFormat, ProblemKind};

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
    let (status, response) = problem(
        refusal,
        route.map(|route| &*route.name),
        provider.map(|binding| &*binding.provider),
        ProblemFormat::for_request(&request.headers),
    );
    tracing::debug!(
        route = route.map(|route| &*route.name),
        status = status.as_u16(),
        detail = &*refusal.detail,
        "refused"
    );
    exchange.set_status(status);
    exchange.trace().set_problem(refusal.kind.word());
    exchange.set_refusal(refusal);
    let mut response = response.map(|content| ResponseBody::own(content, exchange));
    if ends_connection(refusal.kind) && request.version != Version::HTTP_2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// Whether the end of the refused request is in doubt, or not worth the wait.
fn ends_connection(kind: ProblemKind) -> bool {
    matches!(
        kind,
        ProblemKind::BadRequest
            | ProblemKind::MethodNotAllowed
            | ProblemKind::RequestTimeout
            | ProblemKind::BodyTooLarge
            | ProblemKind::HeadersTooLarge
    )
}

/// Makes the problem response of a refusal.
fn problem(
    refusal: &ProxyRefusal,
    route: Option<&str>,
    provider: Option<&str>,
    format: ProblemFormat,
) -> (StatusCode, Response<Full<Bytes>>) {
    let mut problem = Problem::new(refusal.kind, &*refusal.detail)
        .with_route(route)
        .with_provider(provider)
        .with_error_code(refusal.code.as_deref())
        .with_retry_after(refusal.retry_after);
    if let Some(error) = refusal.proxy_error {
        problem = problem.with_proxy_error(error);
    }
    if refusal.kind == ProblemKind::MethodNotAllowed {
        problem = problem.with_allow("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    }
    (problem.status(), problem.to_response(format))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_route_provider_and_code() {
        let refusal = ProxyRefusal {
            code: Some("invalid_client".into()),
            ..ProxyRefusal::new(ProblemKind::TokenRefused, "it says no")
        };
        let (status, response) = problem(
            &refusal,
            Some("devices"),
            Some("hapn"),
            ProblemFormat::default(),
        );
        assert_eq!(
            (status, response.status()),
            (StatusCode::BAD_GATEWAY, status)
        );
        assert_eq!(
            response.headers()["proxy-status"],
            "bearward; error=proxy_configuration_error"
        );
        assert_eq!(response.headers()["cache-control"], "no-store");
    }

    #[test]
    fn grpc_clients_get_their_status_in_the_head() {
        let refusal = ProxyRefusal::new(ProblemKind::TokenUnavailable, "down 100%\u{e9}");
        let (status, response) = problem(&refusal, Some("r"), None, ProblemFormat::Grpc);
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["grpc-status"], "14");
        assert_eq!(
            response.headers()["grpc-message"],
            "token-unavailable: down 100%25%C3%A9"
        );
    }
}
