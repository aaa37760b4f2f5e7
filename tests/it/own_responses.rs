//! The sidecar's own responses: each kind is provoked for real, and looks as documented over HTTP/1.1, HTTP/2 and gRPC.

use std::{any::Any, sync::Arc};

use serde_json::Value;

use crate::support::{
    certificates::private_authority,
    either::{Ask, BOTH, Protocol, Told},
    forward_proxy::Proxy,
    patience::Gate,
    ports,
    setup::{SECRET, Setup},
    sidecar::Sidecar,
    token_endpoint::{TokenEndpoint, error_response},
    upstream::Upstream,
    wire::ok,
};

/// What clients see of a kind of response.
struct Row {
    status: u16,
    word: &'static str,
    title: &'static str,
    /// The error of `Proxy-Status`.
    proxy_error: &'static str,
    grpc: &'static str,
    /// Whether a route was found, and with it its provider.
    is_routed: bool,
    /// The value of `error`.
    code: Option<&'static str>,
    has_retry_after: bool,
    /// Words of `detail`.
    detail: &'static str,
}

impl Row {
    fn new(status: u16, word: &'static str, title: &'static str) -> Self {
        let grpc = match status {
            400 => "3",
            401 => "16",
            403 | 421 => "7",
            404 => "12",
            408 | 504 => "4",
            413 | 431 => "8",
            502 | 503 => "14",
            _ => "2",
        };
        Self {
            status,
            word,
            title,
            proxy_error: "http_request_error",
            grpc,
            is_routed: true,
            code: None,
            has_retry_after: false,
            detail: "",
        }
    }

    fn denied(status: u16, word: &'static str, title: &'static str) -> Self {
        Self::new(status, word, title).error("http_request_denied")
    }

    fn error(self, proxy_error: &'static str) -> Self {
        Self {
            proxy_error,
            ..self
        }
    }

    fn unrouted(self) -> Self {
        Self {
            is_routed: false,
            ..self
        }
    }

    fn detail(self, detail: &'static str) -> Self {
        Self { detail, ..self }
    }

    #[track_caller]
    fn assert_json(&self, told: &Told) {
        let word = self.word;
        assert_eq!(told.status, self.status, "{word}: {}", told.text());
        self.assert_fields(told, "application/problem+json");
        let body: Value = serde_json::from_slice(&told.body).expect("a problem");
        assert_eq!(body["type"], format!("urn:bearward:{word}"));
        assert_eq!(body["title"], self.title, "{word}");
        assert_eq!(body["status"], self.status, "{word}");
        let detail = body["detail"].as_str().expect("a detail");
        assert!(!detail.is_empty() && detail.contains(self.detail), "{body}");
        let name = self.is_routed.then_some("api");
        assert_eq!(body["route"].as_str(), name, "{body}");
        assert_eq!(body["provider"].as_str(), name, "{body}");
        assert_eq!(body["error"].as_str(), self.code, "{body}");
    }

    #[track_caller]
    fn assert_grpc(&self, told: &Told) {
        let word = self.word;
        assert_eq!(told.status, 200, "{word}: {}", told.text());
        self.assert_fields(told, "application/grpc");
        assert_eq!(told.value("grpc-status"), Some(self.grpc), "{word}");
        let message = told.value("grpc-message").unwrap_or_default();
        assert!(message.starts_with(word), "{word}: {message}");
        assert!(told.body.is_empty(), "{word}: {}", told.text());
    }

    #[track_caller]
    fn assert_fields(&self, told: &Told, content_type: &str) {
        let word = self.word;
        let proxy_status = format!("bearward; error={}", self.proxy_error);
        assert_eq!(told.value("proxy-status"), Some(&*proxy_status), "{word}");
        assert_eq!(told.value("cache-control"), Some("no-store"), "{word}");
        assert_eq!(told.value("content-type"), Some(content_type), "{word}");
        let retry_after = told.value("retry-after");
        assert_eq!(retry_after.is_some(), self.has_retry_after, "{word}");
        let seconds = retry_after.map_or(1, |text| text.parse().expect("seconds"));
        assert!((1..=600).contains(&seconds), "{word}: {seconds}");
        let shown = format!("{:?}{}", told.fields, told.text());
        for secret in [SECRET, "token-1", "described-by-the-server"] {
            assert!(!shown.contains(secret), "{word}: {shown}");
        }
    }
}

/// A sidecar in a state that provokes a response.
struct Scene {
    sidecar: Sidecar,
    _kept: Box<dyn Any>,
}

impl Scene {
    fn new(sidecar: Sidecar, kept: impl Any) -> Self {
        Self {
            sidecar,
            _kept: Box::new(kept),
        }
    }

    /// One whose upstream and token endpoint are well.
    fn sound(route: &str) -> Self {
        let tokens = TokenEndpoint::issuing("token-1");
        let upstream = Upstream::answering(|_| ok("fine"));
        let setup = Setup::new(&tokens, upstream.origin()).route(route);
        let setup = setup.environment("CLIENT_KEY", "a-key-of-sufficient-length");
        Self::new(setup.start_ready(), (tokens, upstream))
    }

    /// One whose upstream is at `origin`.
    fn upstream(origin: &str, route: &str, kept: impl Any) -> Self {
        let tokens = TokenEndpoint::issuing("token-1");
        let setup = Setup::new(&tokens, origin).route(route);
        Self::new(setup.start_ready(), (tokens, kept))
    }

    /// One whose upstream sends these bytes and ends the connection.
    fn sending(bytes: &str) -> Self {
        let bytes = bytes.to_owned();
        let upstream = Upstream::scripted(move |mut connection| {
            if let Ok(Some(_)) = connection.request() {
                let _ = connection.wire.send(&bytes);
            }
        });
        Self::upstream(&upstream.origin(), "", upstream)
    }

    /// One whose token endpoint sends this.
    fn token(response: Vec<u8>) -> Self {
        let tokens = TokenEndpoint::start(move |_, _| response.clone());
        let upstream = Upstream::answering(|_| ok("fine"));
        let setup = Setup::new(&tokens, upstream.origin());
        Self::new(setup.start(), (tokens, upstream))
    }

    /// Asks over HTTP/1.1 and HTTP/2, as any client and as one of gRPC.
    #[track_caller]
    fn provokes<'a>(&self, row: &Row, ask: impl Fn() -> Ask<'a>) {
        self.provokes_over(&BOTH, row, ask);
    }

    #[track_caller]
    fn provokes_over<'a>(&self, protocols: &[Protocol], row: &Row, ask: impl Fn() -> Ask<'a>) {
        for protocol in protocols {
            let address = self.sidecar.address();
            row.assert_json(&ask().told(*protocol, address));
            let grpc = ask().field("content-type", "application/grpc");
            row.assert_grpc(&grpc.told(*protocol, address));
        }
    }
}

#[test]
fn a_malformed_or_ambiguous_request_is_a_bad_request() {
    let row = Row::new(400, "bad-request", "Malformed request").unrouted();
    Scene::sound("path = \"/v1\"").provokes(&row, || Ask::get("/v1/%2e%2e/x"));
}

#[test]
fn a_missing_client_key_is_required() {
    let row = Row::denied(401, "client-key-required", "Client key required");
    let scene = Scene::sound("guard.client_key = { env = \"CLIENT_KEY\" }");
    scene.provokes(&row, || Ask::get("/"));
    scene.provokes(&row, || {
        Ask::get("/").field("x_bearward_key", "a-key-of-sufficient-length")
    });
    let metrics = scene.sidecar.metrics();
    let listener = scene.sidecar.address();
    let counted = format!("bearward_keys_refused_total{{listener=\"{listener}\"}} 8");
    assert!(metrics.contains(&counted), "{metrics}");
    assert!(scene.sidecar.written().contains("key.refused"));
}

#[test]
fn what_allow_does_not_list_is_not_allowed() {
    let row = Row::denied(403, "not-allowed", "Not allowed");
    Scene::sound("allow = [\"GET /v1/**\"]").provokes(&row, || Ask::get("/v2"));
}

#[test]
fn a_page_of_another_site_is_refused() {
    let row = Row::denied(403, "cross-site", "Cross-site request");
    let scene = Scene::sound("");
    scene.provokes(&row, || Ask::get("/").field("sec-fetch-site", "cross-site"));
    scene.provokes(&row, || {
        Ask::get("/").field("origin", "http://evil.example")
    });
}

#[test]
fn a_request_that_nothing_matches_has_no_route() {
    let row = Row::new(404, "no-route", "No route").error("destination_not_found");
    Scene::sound("path = \"/v1\"").provokes(&row.unrouted(), || Ask::get("/v2"));
}

#[test]
fn a_method_that_is_not_served_is_not_allowed() {
    let row = Row::new(405, "method-not-allowed", "Method not allowed").unrouted();
    Scene::sound("").provokes(&row, || Ask::new("TRACE", "/"));
}

#[test]
fn an_expectation_that_is_not_met_fails() {
    let row = Row::new(417, "expectation-failed", "Expectation failed").unrouted();
    Scene::sound("").provokes(&row, || Ask::get("/").field("expect", "tea"));
}

#[test]
fn a_body_that_stalls_is_a_request_timeout() {
    let row = Row::new(408, "request-timeout", "Request timeout");
    // Over HTTP/2 a library sends no such request.
    let scene = Scene::sound("timeouts.idle = \"300ms\"");
    scene.provokes_over(&[Protocol::Http1], &row, || {
        Ask::new("POST", "/").field("content-length", "5")
    });
}

#[test]
fn what_is_above_a_limit_is_too_large() {
    let row = Row::new(413, "body-too-large", "Body too large");
    Scene::sound("guard.max_body = \"4B\"").provokes(&row, || Ask::new("POST", "/").body(b"hello"));
    let scene = Scene::sound("");
    let row = Row::new(414, "path-too-long", "Path too long").unrouted();
    let path = format!("/{}", "x".repeat(9000));
    scene.provokes(&row, || Ask::get(&path));
    let row = Row::new(431, "headers-too-large", "Headers too large").unrouted();
    // In HTTP/1.1 the head is refused before it is known what its client speaks.
    let ask = || (0..110).fold(Ask::get("/"), |ask, _| ask.field("x-many", "1"));
    scene.provokes_over(&[Protocol::Http2], &row, ask);
    row.assert_json(&ask().told(Protocol::Http1, scene.sidecar.address()));
}

#[test]
fn a_host_that_the_guard_does_not_know_is_misdirected() {
    let row = Row::denied(421, "host-not-allowed", "Host not allowed");
    Scene::sound("guard.hosts = [\"sidecar.internal\"]").provokes(&row, || Ask::get("/"));
}

#[test]
fn an_upstream_without_a_connection_is_unreachable() {
    let row = |error| Row::new(502, "upstream-unreachable", "Upstream unreachable").error(error);
    let look_up = Scene::upstream("https://no-such-host.invalid", "", ());
    look_up.provokes(
        &row("dns_error").detail("no-such-host.invalid of the upstream is not found"),
        || Ask::get("/"),
    );
    let connect = Scene::upstream(&format!("http://{}", ports::unused()), "", ());
    connect.provokes(&row("connection_refused").detail("refuses"), || {
        Ask::get("/")
    });
    let proxy = Proxy::start(Some("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"));
    let route = format!(
        "proxy = \"http://{}\"\nallow_plaintext = true",
        proxy.address()
    );
    let through = Scene::upstream("http://api.invalid", &route, proxy);
    through.provokes(&row("destination_unavailable").detail("proxy"), || {
        Ask::get("/")
    });
}

#[test]
fn a_handshake_that_fails_is_a_tls_failure_told_without_the_certificates_names() {
    let row = |error| Row::new(502, "upstream-tls", "Upstream TLS failure").error(error);
    let certificates = private_authority(&["canary.example"]);
    let upstream = Upstream::answering_over_tls(certificates.server, |_| ok("fine"));
    let origin = upstream.origin();
    let untrusted = Scene::upstream(&origin, "", ());
    let unknown = row("tls_certificate_error").detail("not signed by a trusted authority");
    untrusted.provokes(&unknown, || Ask::get("/"));

    let tokens = TokenEndpoint::issuing("token-1");
    let setup = Setup::new(&tokens, origin);
    let ca = setup.file("ca.pem", &certificates.ca_pem);
    let setup = setup.route(&format!("ca_file = \"{}\"", ca.display()));
    let misnamed = Scene::new(setup.start_ready(), (tokens, upstream));
    let other = row("tls_certificate_error").detail("for another name");
    misnamed.provokes(&other, || Ask::get("/"));
    let told = Ask::get("/").told(Protocol::Http1, misnamed.sidecar.address());
    assert!(!told.text().contains("canary"), "{}", told.text());
}

#[test]
fn an_invalid_cut_or_oversized_head_is_a_protocol_failure() {
    let row =
        |error| Row::new(502, "upstream-protocol", "Invalid response of the upstream").error(error);
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(70 * 1024));
    for (bytes, error) in [
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "http_protocol_error"),
        ("HTTP/1.1 200 O", "http_protocol_error"),
        ("", "connection_terminated"),
        (&*large, "http_response_header_section_size"),
    ] {
        Scene::sending(bytes).provokes(&row(error), || Ask::new("POST", "/").body(b"x"));
    }
}

#[test]
fn a_client_that_the_authorization_server_refuses_gets_its_code() {
    for code in [
        "invalid_client",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_grant",
    ] {
        let row = Row {
            code: Some(code),
            ..Row::new(502, "token-refused", "Token refused").error("proxy_configuration_error")
        };
        Scene::token(error_response("400 Bad Request", code)).provokes(&row, || Ask::get("/"));
    }
}

#[test]
fn without_a_usable_token_the_client_learns_when_to_retry() {
    let row = Row {
        has_retry_after: true,
        ..Row::new(503, "token-unavailable", "Token unavailable").error("proxy_internal_error")
    };
    for response in [
        error_response("500 Internal Server Error", "server_error"),
        error_response("429 Too Many Requests", "slow_down"),
        error_response("400 Bad Request", "unknown refresh token: token-1"),
        ok("<html>"),
    ] {
        Scene::token(response).provokes(&row, || Ask::get("/"));
    }
}

#[test]
fn without_a_login_the_client_learns_how_to_log_in() {
    let row = Row::new(503, "login-required", "Login required").error("proxy_configuration_error");
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let provider = "authorization_endpoint = \"http://127.0.0.1:1/authorize\"\n\
                    redirect_uri = \"http://127.0.0.1:9/callback\"";
    let setup = Setup::new(&tokens, upstream.origin())
        .grant_type("authorization_code")
        .provider(provider);
    let scene = Scene::new(setup.start(), (tokens, upstream));
    scene.provokes(&row.detail("bearward login api"), || Ask::get("/"));
}

#[test]
fn an_upstream_that_is_too_slow_is_a_timeout() {
    let row = |error| Row::new(504, "upstream-timeout", "Upstream timeout").error(error);
    let gate = Arc::new(Gate::default());
    let silent = || {
        let gate = gate.clone();
        Upstream::scripted(move |mut connection| {
            let _ = connection.wire.exactly(1);
            gate.pass();
        })
    };
    let upstream = silent();
    let origin = format!("https://localhost:{}", upstream.address().port());
    let connect = Scene::upstream(&origin, "timeouts.connect = \"300ms\"", upstream);
    connect.provokes(
        &row("connection_timeout").detail("timeouts.connect"),
        || Ask::get("/"),
    );
    let upstream = silent();
    let origin = upstream.origin();
    let head = Scene::upstream(&origin, "timeouts.response = \"300ms\"", upstream);
    head.provokes(
        &row("http_response_timeout").detail("timeouts.response"),
        || Ask::get("/"),
    );
    gate.open();
}
