//! `api_base` that comes with the token: the upstream of a route without `upstream`.

use std::sync::Arc;

use bearward::{
    oauth::provider::{ApiBase, EndpointUrl, HostList},
    proxy::route::UpstreamBase,
};

use crate::support::{
    client::exchange,
    in_process::{self, InProcess},
    ports,
    problem::assert_problem,
    setup::Setup,
    token_endpoint::{TokenEndpoint, json_response},
    upstream::Upstream,
    wire::{answer, ok},
};

fn sidecar(setup: Setup, base: ApiBase) -> InProcess {
    in_process::start(setup, |config| {
        Arc::make_mut(&mut config.providers[0]).api_base = Some(base.clone());
        config.routes[0].upstream.base = UpstreamBase::Token(base);
    })
}

/// `api_base = { from = "/instance_url", allow = ["127.0.0.1"], append = "/services" }`
fn from_response() -> ApiBase {
    ApiBase::Response {
        from: "/instance_url".into(),
        allow: HostList::new(["127.0.0.1"]),
        append: "/services".into(),
    }
}

fn setup(tokens: &TokenEndpoint) -> Setup {
    // Replaced by the base.
    Setup::new(tokens, "http://127.0.0.1:9")
}

fn token_with_base(token: &str, base: &str) -> Vec<u8> {
    json_response(
        "200 OK",
        &format!(
            r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600,"instance_url":"{base}"}}"#
        ),
    )
}

#[test]
fn requests_go_to_the_base_that_comes_with_the_token() {
    let upstream = Upstream::answering(|request| {
        let host = request.head.value("host").unwrap();
        let location = format!("location: http://{host}/acme/services/next?q\r\n");
        answer("201 Created", &location, "fine")
    });
    let base = format!("{}/acme/", upstream.origin());
    let tokens = TokenEndpoint::start(move |_, _| token_with_base("token-1", &base));
    let setup = setup(&tokens).route("path = \"/v1\"\nstrip_path = true");
    let sidecar = sidecar(setup, from_response());
    let request = "GET /v1/a?b HTTP/1.1\r\nHost: localhost:1\r\n\r\n";
    let answer = exchange(sidecar.address(), request);
    assert_eq!(answer.text(), "fine");
    assert_eq!(
        answer.head.value("location"),
        Some("http://localhost:1/v1/next?q")
    );
    let head = upstream.last().head;
    assert_eq!(head.target(), "/acme/services/a?b");
    assert_eq!(
        head.value("host"),
        Some(upstream.address().to_string().as_str())
    );
    assert_eq!(head.value("authorization"), Some("Bearer token-1"));
}

#[test]
fn a_new_token_with_another_base_moves_the_requests() {
    let first = Upstream::answering(|request| match request.head.target() {
        "/services/end" => answer("401 Unauthorized", "", ""),
        _ => ok("first"),
    });
    let second = Upstream::answering(|_| ok("second"));
    let origins = [first.origin(), second.origin()];
    let tokens = TokenEndpoint::start(move |_, number| {
        token_with_base(&format!("t-{number}"), &origins[number.min(1)])
    });
    let sidecar = sidecar(setup(&tokens), from_response());
    assert_eq!(sidecar.get("/a").text(), "first");
    assert_eq!(sidecar.get("/end").text(), "second", "the replay");
    assert_eq!(sidecar.get("/b").text(), "second");
    assert_eq!((first.count(), second.count()), (2, 2));
    for request in second.requests() {
        assert_eq!(request.head.value("authorization"), Some("Bearer t-1"));
    }
}

#[test]
fn a_base_that_is_missing_or_not_allowed_is_a_503_and_the_token_is_sent_nowhere() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let port = upstream.address().port();
    for base in [
        String::new(),
        format!("http://localhost:{port}"),
        "https://evil.example.com".into(),
    ] {
        let tokens = TokenEndpoint::start(move |_, _| token_with_base("token-1", &base));
        let sidecar = sidecar(setup(&tokens), from_response());
        let answer = sidecar.get("/");
        let problem = assert_problem(&answer, 503, "token-unavailable");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("api_base") || detail.contains("instance_url"),
            "{detail}"
        );
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_base_that_is_a_listener_of_this_process_is_a_503() {
    let listen = ports::unused();
    let base = format!("http://{listen}");
    let tokens = TokenEndpoint::start(move |_, _| token_with_base("token-1", &base));
    let sidecar = sidecar(setup(&tokens).listen(listen), from_response());
    let problem = assert_problem(&sidecar.get("/"), 503, "token-unavailable");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("bearward itself"), "{detail}");
}

#[test]
fn values_known_at_run_time_complete_the_base() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let tokens = TokenEndpoint::issuing("token-1");
    let url = format!("{}/c/{{client_id}}", upstream.origin());
    let endpoint = EndpointUrl::template(&url, HostList::default()).unwrap();
    let sidecar = sidecar(setup(&tokens), ApiBase::Url(endpoint));
    assert_eq!(sidecar.get("/a").text(), "fine");
    assert_eq!(upstream.last().head.target(), "/c/legacy-service/a");
}
