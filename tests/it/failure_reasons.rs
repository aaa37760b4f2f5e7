//! An operator learns from the log and the status what failed, where, and what to change.

use std::{io::Write, net::TcpStream};

use rcgen::date_time_ymd;
use serde_json::Value;

use crate::support::{
    certificates::{Authority, params},
    client::{exchange, get},
    patience::until,
    ports,
    problem::assert_problem,
    setup::Setup,
    sidecar::{Sidecar, run_to_end},
    token_endpoint::{TokenEndpoint, error_response, token_response},
    upstream::Upstream,
    wire::{answer, ok},
};

fn setup(tokens: &TokenEndpoint, upstream: impl Into<String>) -> Setup {
    Setup::new(tokens, upstream).log("level = \"info\"\nformat = \"json\"\n")
}

/// The first line of the log with this message.
fn line(sidecar: &Sidecar, message: &str) -> Value {
    until(message, || lines(sidecar, message).into_iter().next())
}

fn lines(sidecar: &Sidecar, message: &str) -> Vec<Value> {
    let written = sidecar.written();
    let lines = written
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let is_asked_for = |line: &Value| {
        let found = line["message"].as_str();
        found.is_some_and(|found| found.starts_with(message))
    };
    lines.filter(is_asked_for).collect()
}

#[test]
fn an_upstream_that_is_down_is_named_in_the_line_of_the_request() {
    let (tokens, down) = (TokenEndpoint::issuing("t"), ports::unused());
    let sidecar = setup(&tokens, format!("http://{down}")).start_ready();
    assert_problem(&sidecar.get("/"), 502, "upstream-unreachable");
    let line = line(&sidecar, "request");
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["error"], "upstream-unreachable");
    assert_eq!(line["help"], "docs/errors.md#upstream-unreachable");
    let reason = line["reason"].as_str().unwrap();
    assert!(
        reason.starts_with(&format!(
            "the upstream {down} refuses connections: check `[routes.api] upstream`"
        )),
        "{reason}"
    );
}

#[test]
fn a_request_that_succeeds_has_no_reason() {
    let (tokens, upstream) = (
        TokenEndpoint::issuing("t"),
        Upstream::answering(|_| ok("fine")),
    );
    let sidecar = setup(&tokens, upstream.origin()).start_ready();
    assert_eq!(sidecar.get("/").status, 200);
    let line = line(&sidecar, "request");
    for member in ["error", "reason", "help"] {
        assert_eq!(line.get(member), None, "{line}");
    }
}

#[test]
fn an_upstream_without_tls_is_named_in_the_words_of_the_token_side() {
    let tokens = TokenEndpoint::issuing("t");
    // A plain server that responds to whatever comes.
    let upstream = Upstream::scripted(|mut connection| {
        let _ = connection.wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let address = upstream.address();
    let sidecar = setup(&tokens, format!("https://{address}"))
        .token_endpoint(&format!("https://{address}/token"))
        .start();
    let last_error = until("the failure of the token request", || {
        let error = sidecar.status()["providers"]["api"]["last_error"].clone();
        (!error.is_null()).then_some(error)
    });
    let said = format!(
        "https:// was used, but {address} does not speak TLS: is it http://, or another port?"
    );
    let message = last_error["message"].as_str().unwrap();
    assert!(message.ends_with(&said), "{message}");

    let sidecar = setup(&tokens, format!("https://{address}")).start_ready();
    let problem = assert_problem(&sidecar.get("/"), 502, "upstream-tls");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.ends_with(&said), "{detail}");
}

#[test]
fn a_host_that_is_not_accepted_is_named_in_the_log_alone() {
    let (tokens, upstream) = (
        TokenEndpoint::issuing("t"),
        Upstream::answering(|_| ok("fine")),
    );
    let sidecar = setup(&tokens, upstream.origin())
        .route("guard.hosts = [\"sidecar.internal\"]")
        .start_ready();
    let request = "GET / HTTP/1.1\r\nHost: bearward:8080\r\n\r\n";
    let answer = exchange(sidecar.address(), request);
    let problem = assert_problem(&answer, 421, "host-not-allowed");
    assert!(
        !problem.to_string().contains("sidecar.internal"),
        "{problem}"
    );
    let line = line(&sidecar, "request");
    let reason = line["reason"].as_str().unwrap();
    assert!(
        reason.contains("the Host \"bearward\" is not one of")
            && reason.contains("sidecar.internal"),
        "{reason}"
    );
}

#[test]
fn a_tls_handshake_on_a_plain_listener_is_named() {
    let (tokens, upstream) = (
        TokenEndpoint::issuing("t"),
        Upstream::answering(|_| ok("fine")),
    );
    let sidecar = setup(&tokens, upstream.origin()).start_ready();
    let mut client = TcpStream::connect(sidecar.address()).unwrap();
    client
        .write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        .unwrap();
    let line = line(&sidecar, "request");
    assert_eq!(
        (line["status"].as_u64(), line["error"].as_str()),
        (Some(400), Some("bad-request"))
    );
    let reason = line["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("a TLS handshake on a listener of plain HTTP"),
        "{reason}"
    );
}

#[test]
fn a_page_in_place_of_the_token_endpoint_is_shown_to_operators_alone() {
    let page = "<!doctype html><title>Lost in space</title>";
    let tokens = TokenEndpoint::start(move |_, _| {
        answer("404 Not Found", "Content-Type: text/html\r\n", page)
    });
    let sidecar = setup(&tokens, "http://127.0.0.1:9").start();
    let problem = assert_problem(&sidecar.get("/"), 503, "token-unavailable");
    assert!(!problem.to_string().contains("Lost in space"), "{problem}");
    let expected = format!(
        "POST {} responded with 404 Not Found (text/html, titled \"Lost in space\") and no OAuth error code: is \
         `[providers.api] token_endpoint` right?",
        tokens.url()
    );
    let status = sidecar.status();
    let last_error = &status["providers"]["api"]["last_error"];
    assert!(
        last_error["message"]
            .as_str()
            .unwrap()
            .starts_with(&expected),
        "{last_error}"
    );
    assert_eq!(last_error["help"], "docs/errors.md#rejected");
    let line = line(&sidecar, "token.failed");
    assert!(
        line["error"].as_str().unwrap().starts_with(&expected),
        "{line}"
    );
    assert_eq!(line["help"], "docs/errors.md#rejected");
}

#[test]
fn a_refused_client_learns_where_its_secret_is_from_and_how_it_was_sent() {
    let tokens = TokenEndpoint::start(|_, _| error_response("401 Unauthorized", "invalid_client"));
    let sidecar = setup(&tokens, "http://127.0.0.1:9").start();
    sidecar.wait_for_state("api", "refused");
    let status = sidecar.status();
    let message = status["providers"]["api"]["last_error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    for part in [
        "`[providers.api] client_id` and `client_secret` (from $API_SECRET)",
        "sent by client_secret_basic",
        "`[providers.api] token_endpoint_auth_method` = \"client_secret_post\"",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let problem = assert_problem(&sidecar.get("/"), 502, "token-refused");
    assert_eq!(problem["error"], "invalid_client");
    assert!(!problem.to_string().contains("API_SECRET"), "{problem}");
}

#[test]
fn two_fresh_tokens_that_the_api_refuses_are_one_warning() {
    let tokens = TokenEndpoint::start(|_, number| token_response(&format!("token-{number}"), 3600));
    let upstream = Upstream::answering(|_| answer("401 Unauthorized", "", "no"));
    let sidecar = setup(&tokens, upstream.origin()).start_ready();
    for _ in 0..3 {
        assert_eq!(get(sidecar.address(), "/").status, 401);
    }
    let warning = line(&sidecar, "token.refused_twice");
    assert_eq!(warning["level"], "WARN");
    assert!(
        warning["message"]
            .as_str()
            .unwrap()
            .contains("check the scope and the audience")
    );
    assert_eq!(
        (&warning["route"], &warning["provider"]),
        (&"api".into(), &"api".into())
    );
    until("three lines of requests", || {
        (lines(&sidecar, "request").len() == 3).then_some(())
    });
    assert_eq!(lines(&sidecar, "token.refused_twice").len(), 1);
}

#[test]
fn an_address_in_use_names_the_key_that_it_is_from() {
    let tokens = TokenEndpoint::issuing("t");
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = occupied.local_addr().unwrap();
    let setup = Setup::new(&tokens, "http://127.0.0.1:9").listen(address);
    let (file, environment) = setup.write();
    let run = run_to_end(&["run", "-c", file.to_str().unwrap()], &environment);
    let text = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(1), "{text}");
    assert!(
        text.contains(&format!("cannot listen on {address}")),
        "{text}"
    );
    assert!(
        text.contains("route `api`: set `[routes.api] listen`"),
        "{text}"
    );
}

#[test]
fn an_expired_certificate_is_named_with_its_end_on_both_sides() {
    let authority = Authority::new();
    let mut expired = params(&["localhost"]);
    (expired.not_before, expired.not_after) =
        (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 3, 4));
    let server = Upstream::answering_over_tls(authority.certify(expired), |_| ok("fine"));
    let tokens = TokenEndpoint::issuing("t");
    let origin = server.origin();
    let address = origin.trim_start_matches("https://").to_owned();
    let says =
        format!("the certificate of {address} expired on 2002-03-04 (this machine's clock: ");

    let trusting = |setup: Setup| {
        let ca = setup.file("ca.pem", &authority.pem());
        setup.route(&format!("ca_file = \"{}\"", ca.display()))
    };
    let sidecar = trusting(setup(&tokens, &origin)).start_ready();
    let problem = assert_problem(&sidecar.get("/"), 502, "upstream-tls");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(&says), "{detail}");

    let setup = setup(&tokens, "http://127.0.0.1:9").token_endpoint(&format!("{origin}/token"));
    let ca = setup.file("ca.pem", &authority.pem());
    let sidecar = setup
        .provider(&format!("token_request.ca_file = \"{}\"", ca.display()))
        .start();
    let last_error = until("the failure of the token request", || {
        let error = sidecar.status()["providers"]["api"]["last_error"].clone();
        (!error.is_null()).then_some(error)
    });
    let message = last_error["message"].as_str().unwrap();
    assert!(message.contains(&says), "{message}");
    assert_eq!(last_error["kind"], "tls");
}
