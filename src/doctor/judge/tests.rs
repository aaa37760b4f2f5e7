//! Causes of recorded exchanges.

use std::{sync::Arc, time::SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::json;
use zeroize::Zeroizing;

use super::*;
use crate::{
    clock::SystemClock,
    oauth::{
        fake,
        grant::Grant,
        provider::{ClientAuth, GrantType, Provider},
        response::{self, RequestTime},
    },
    secret::{LiveSecret, Secret},
};

/// A response with these headers, which the token endpoint sent.
fn exchange(status: u16, headers: &[(&str, &str)], body: &str) -> RecordedExchange {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            name.parse::<HeaderName>().unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    RecordedExchange {
        method: Method::POST,
        url: "https://as.example/token".parse().unwrap(),
        headers: HeaderMap::new(),
        body: Zeroizing::default(),
        sent_at: SystemTime::now(),
        response: Some(RecordedResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers: map,
            body: Zeroizing::new(body.as_bytes().to_vec()),
            received_at: SystemTime::now(),
        }),
    }
}

struct World {
    provider: Provider,
    metadata: Option<Value>,
    names_method: bool,
    surroundings: Surroundings,
}

impl World {
    fn new() -> Self {
        Self {
            provider: fake::provider("https://as.example/token"),
            metadata: None,
            names_method: true,
            surroundings: Surroundings::default(),
        }
    }

    fn judge(&self, exchange: &RecordedExchange) -> Cause {
        let response = exchange.response.as_ref().unwrap();
        let error = response::read_token(
            response.status,
            &response.headers,
            &response.body,
            &self.provider,
            Grant::ClientCredentials,
            RequestTime::now(&SystemClock),
        )
        .expect_err("an error");
        cause(&Evidence {
            provider: &self.provider,
            endpoint: "token_endpoint",
            error: &error,
            exchange: Some(exchange),
            metadata: self.metadata.as_ref(),
            found_endpoint: None,
            surroundings: &self.surroundings,
            names_method: self.names_method,
            tried_methods: None,
        })
    }

    #[track_caller]
    fn is(&self, exchange: &RecordedExchange, kind: FindingKind) {
        let cause = self.judge(exchange);
        assert_eq!(cause.kind, kind, "{cause:?}");
    }
}

const INVALID_CLIENT: &str = r#"{"error":"invalid_client"}"#;
const CHALLENGE: (&str, &str) = ("www-authenticate", "Basic realm=\"x\"");

#[test]
fn a_refused_client_is_its_method_unless_the_server_shows_otherwise() {
    use FindingKind::{Client, ClientAuthentication};
    let mut world = World::new();
    let plain = exchange(401, &[], INVALID_CLIENT);
    let challenging = exchange(401, &[CHALLENGE], INVALID_CLIENT);
    // A server that knows HTTP Basic challenges a client that used it.
    world.is(&challenging, Client);
    world.is(&plain, ClientAuthentication);
    world.provider.client_auth = ClientAuth::SecretPost;
    world.is(&plain, Client);
    world.is(&challenging, ClientAuthentication);
    // Without a method in the file, the default may be wrong too.
    world.provider.client_auth = ClientAuth::SecretBasic;
    world.names_method = false;
    world.is(&plain, ClientAuthentication);
    world.is(&challenging, Client);
    assert!(world.judge(&challenging).has_remedy());
    let says = r#"{"error":"invalid_client","error_description":"Invalid client secret"}"#;
    world.is(&exchange(401, &[], says), Client);
    // The metadata tells which methods there are.
    world.names_method = true;
    world.metadata = Some(json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]}));
    world.is(&challenging, ClientAuthentication);
}

#[test]
fn a_refused_assertion_is_no_matter_of_the_method() {
    let mut world = World::new();
    world.provider.client_auth = ClientAuth::PrivateKeyJwt;
    world.is(&exchange(401, &[], INVALID_CLIENT), FindingKind::Client);
}

#[test]
fn each_code_has_its_cause() {
    let world = World::new();
    for (code, kind) in [
        ("invalid_scope", FindingKind::Scope),
        ("unsupported_grant_type", FindingKind::GrantType),
        ("unauthorized_client", FindingKind::GrantType),
        ("invalid_target", FindingKind::Audience),
        ("access_denied", FindingKind::Client),
        ("invalid_request", FindingKind::Parameters),
    ] {
        let body = format!(r#"{{"error":"{code}"}}"#);
        world.is(&exchange(400, &[], &body), kind);
    }
}

#[test]
fn a_description_tells_more_than_its_code() {
    let world = World::new();
    for (description, kind) in [
        ("Missing audience parameter", FindingKind::Audience),
        (
            "missing required parameter: tenant",
            FindingKind::Parameters,
        ),
        ("grant_type is missing", FindingKind::ClientAuthentication),
        (
            "The client_id is required",
            FindingKind::ClientAuthentication,
        ),
        ("scope is required", FindingKind::Scope),
        (
            "Content-Type must be application/json",
            FindingKind::ClientAuthentication,
        ),
    ] {
        let body = json!({"error": "invalid_request", "error_description": description});
        let exchange = exchange(400, &[], &body.to_string());
        let cause = World::judge(&world, &exchange);
        assert_eq!(cause.kind, kind, "{description}: {cause:?}");
    }
}

#[test]
fn a_response_without_a_code_is_judged_by_its_status_and_content() {
    let world = World::new();
    let html = ("content-type", "text/html; charset=utf-8");
    for (status, header, body, kind) in [
        (404, html, "<html>", FindingKind::NotFound),
        (404, ("x", "y"), "{}", FindingKind::NotFound),
        (
            200,
            html,
            "<html><title>Log in</title>",
            FindingKind::NotAToken,
        ),
        (
            200,
            ("x", "y"),
            r#"{"data":{"token":"t"}}"#,
            FindingKind::NotAToken,
        ),
        (302, ("location", "/login"), "", FindingKind::Redirect),
        (429, ("x", "y"), "", FindingKind::RateLimited),
        (500, ("x", "y"), "", FindingKind::ServerError),
        (415, ("x", "y"), "", FindingKind::ClientAuthentication),
        (405, ("allow", "GET"), "", FindingKind::Parameters),
        (405, ("allow", "PUT"), "", FindingKind::NotFound),
    ] {
        let exchange = exchange(status, &[header], body);
        let cause = world.judge(&exchange);
        assert_eq!(cause.kind, kind, "{status} {body}: {cause:?}");
    }
}

#[test]
fn a_refused_password_is_that_of_the_account() {
    let mut world = World::new();
    world.provider.grant_type = GrantType::Password;
    world.provider.password = Some(Arc::new(LiveSecret::fixed(Secret::new("p"))));
    let body = r#"{"error":"invalid_grant"}"#;
    world.is(&exchange(400, &[], body), FindingKind::Login);
}

#[test]
fn a_clock_is_compared_beyond_a_minute() {
    let at = |date: SystemTime| {
        let date = httpdate::fmt_http_date(date);
        clock(&[exchange(200, &[("date", &date)], "")])
    };
    let now = SystemTime::now();
    assert_eq!(at(now), None);
    let hour = Duration::from_secs(3600);
    assert!(at(now + hour).unwrap().message.contains("behind"));
    assert!(at(now - hour).unwrap().message.contains("ahead of"));
    let old = [("date", "Mon, 01 Jan 2001 00:00:00 GMT"), ("age", "9")];
    assert_eq!(clock(&[exchange(200, &old, "")]), None);
}
