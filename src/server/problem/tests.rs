//! The table and the responses made from it.

use std::collections::HashSet;

use super::*;

const ALL: [ProblemKind; 25] = [
    ProblemKind::BadRequest,
    ProblemKind::ClientKeyRequired,
    ProblemKind::AdminKeyRequired,
    ProblemKind::NotAllowed,
    ProblemKind::CrossSite,
    ProblemKind::NoRoute,
    ProblemKind::NotFound,
    ProblemKind::UnknownProvider,
    ProblemKind::MethodNotAllowed,
    ProblemKind::ExpectationFailed,
    ProblemKind::RequestTimeout,
    ProblemKind::NoLogin,
    ProblemKind::LoginElsewhere,
    ProblemKind::BodyTooLarge,
    ProblemKind::PathTooLong,
    ProblemKind::HeadersTooLarge,
    ProblemKind::HostNotAllowed,
    ProblemKind::Internal,
    ProblemKind::UpstreamUnreachable,
    ProblemKind::UpstreamTls,
    ProblemKind::UpstreamProtocol,
    ProblemKind::UpstreamTimeout,
    ProblemKind::TokenRefused,
    ProblemKind::TokenUnavailable,
    ProblemKind::LoginRequired,
];

fn no_route() -> Problem<'static> {
    Problem::new(ProblemKind::NoRoute, "no route matches \"/x\"")
}

fn json(problem: &Problem<'_>) -> serde_json::Value {
    serde_json::from_slice(&problem.to_json()).unwrap()
}

#[test]
fn members_without_a_value_are_left_out() {
    assert_eq!(
        json(&no_route()),
        serde_json::json!({
            "type": "urn:bearward:no-route", "title": "No route", "status": 404, "detail": "no route matches \"/x\"",
            "help": "docs/errors.md#no-route"
        })
    );
}

#[test]
fn members_with_a_value_are_named_as_documented() {
    let problem = no_route()
        .with_route(Some("devices"))
        .with_provider(Some("hapn"))
        .with_error_code(Some("invalid_client"));
    let json = json(&problem);
    assert_eq!(json["route"], "devices");
    assert_eq!(json["provider"], "hapn");
    assert_eq!(json["error"], "invalid_client");
}

#[test]
fn every_kind_has_a_word_of_its_own_and_a_matching_status() {
    let words: HashSet<_> = ALL.iter().map(|kind| kind.word()).collect();
    assert_eq!(words.len(), ALL.len());
    for kind in ALL {
        assert!(kind.status().as_u16() >= 400, "{kind:?}");
        let is_request_error = kind.status().is_client_error();
        assert_eq!(
            matches!(kind.side(), Side::Upstream | Side::AuthorizationServer),
            !is_request_error && !matches!(kind.side(), Side::Bearward),
            "{kind:?}"
        );
    }
}

#[test]
fn statuses_words_and_grpc_codes_are_those_documented() {
    use ProblemKind::*;
    let documented = [
        (BadRequest, 400, "bad-request", 3),
        (ClientKeyRequired, 401, "client-key-required", 16),
        (NotAllowed, 403, "not-allowed", 7),
        (CrossSite, 403, "cross-site", 7),
        (NoRoute, 404, "no-route", 12),
        (MethodNotAllowed, 405, "method-not-allowed", 2),
        (ExpectationFailed, 417, "expectation-failed", 2),
        (RequestTimeout, 408, "request-timeout", 4),
        (BodyTooLarge, 413, "body-too-large", 8),
        (PathTooLong, 414, "path-too-long", 2),
        (HeadersTooLarge, 431, "headers-too-large", 8),
        (HostNotAllowed, 421, "host-not-allowed", 7),
        (UpstreamUnreachable, 502, "upstream-unreachable", 14),
        (UpstreamTls, 502, "upstream-tls", 14),
        (UpstreamProtocol, 502, "upstream-protocol", 14),
        (TokenRefused, 502, "token-refused", 14),
        (TokenUnavailable, 503, "token-unavailable", 14),
        (LoginRequired, 503, "login-required", 14),
        (UpstreamTimeout, 504, "upstream-timeout", 4),
    ];
    for (kind, status, word, grpc) in documented {
        assert_eq!(
            (kind.status().as_u16(), kind.word(), kind.grpc_status()),
            (status, word, grpc)
        );
    }
}

#[test]
fn a_response_is_kept_from_caches_and_says_why_to_proxies() {
    let response = Problem::new(ProblemKind::TokenRefused, "refused")
        .with_status(StatusCode::SERVICE_UNAVAILABLE)
        .to_response(ProblemFormat::Json);
    assert_eq!(response.status(), 503);
    let headers = response.headers();
    assert_eq!(headers["content-type"], "application/problem+json");
    assert_eq!(
        headers["proxy-status"],
        "bearward; error=proxy_configuration_error"
    );
    assert_eq!(headers["cache-control"], "no-store");
    let response = no_route()
        .with_proxy_error("dns_error")
        .to_response(ProblemFormat::Json);
    assert_eq!(
        response.headers()["proxy-status"],
        "bearward; error=dns_error"
    );
}

#[test]
fn retry_after_is_in_whole_seconds_rounded_up() {
    let after = |millis| {
        let problem = Problem::new(ProblemKind::TokenUnavailable, "")
            .with_retry_after(Some(Duration::from_millis(millis)));
        let response = problem.to_response(ProblemFormat::Json);
        response.headers()["retry-after"]
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!([after(0), after(1001), after(3000)], ["1", "2", "3"]);
}

#[test]
fn a_grpc_client_finds_its_status_in_the_headers() {
    let problem = Problem::new(ProblemKind::TokenUnavailable, "down 100%\u{e9}\n");
    let response = problem.to_response(ProblemFormat::Grpc);
    assert_eq!(
        (response.status(), problem.status().as_u16()),
        (StatusCode::OK, 503)
    );
    let headers = response.headers();
    assert_eq!(headers["content-type"], "application/grpc");
    assert_eq!(headers["grpc-status"], "14");
    assert_eq!(
        headers["grpc-message"],
        "token-unavailable: down 100%25%C3%A9%0A"
    );
    assert_eq!(
        headers["proxy-status"],
        "bearward; error=proxy_internal_error"
    );
}

#[test]
fn the_form_follows_the_content_type_of_the_request() {
    let format = |media_type: &'static str| {
        let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(media_type))];
        ProblemFormat::for_request(&headers.into_iter().collect())
    };
    for media_type in [
        "application/grpc",
        "Application/gRPC+proto",
        "application/grpc;x=y",
    ] {
        assert_eq!(format(media_type), ProblemFormat::Grpc, "{media_type}");
    }
    for media_type in ["application/json", "application/grp", ""] {
        assert_eq!(format(media_type), ProblemFormat::Json, "{media_type}");
    }
    assert_eq!(
        ProblemFormat::for_request(&HeaderMap::new()),
        ProblemFormat::Json
    );
}

#[test]
fn a_challenge_and_the_allowed_methods_come_with_the_kinds_that_need_them() {
    let headers = |problem: Problem<'_>| {
        problem
            .to_response(ProblemFormat::Json)
            .into_parts()
            .0
            .headers
    };
    let admin = headers(Problem::new(ProblemKind::AdminKeyRequired, ""));
    assert_eq!(admin.get_all("www-authenticate").iter().count(), 2);
    let client = headers(Problem::new(ProblemKind::ClientKeyRequired, ""));
    assert_eq!(
        client["www-authenticate"],
        "BearwardKey header=\"x-bearward-key\""
    );
    let method = headers(Problem::new(ProblemKind::MethodNotAllowed, "").with_allow("GET, HEAD"));
    assert_eq!(method["allow"], "GET, HEAD");
}
