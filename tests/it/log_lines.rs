//! Lines of the log, as a program reads them.

use std::net::TcpListener;

use serde_json::Value;

use crate::support::{
    client::{exchange, get},
    patience::until,
    setup::Setup,
    sidecar::run_to_end,
    token_endpoint::{TokenEndpoint, error_response},
    upstream::Upstream,
    wire::ok,
};

const JSON: &str = "level = \"info\"\nformat = \"json\"\n";

/// The lines of a log in JSON; each has to be an object.
#[track_caller]
fn lines(log: &str) -> Vec<Value> {
    let parsed = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    log.lines().map(parsed).collect()
}

/// The first line of an event.
#[track_caller]
fn event(log: &str, name: &str) -> Value {
    let is_event = |line: &Value| {
        let message = line["message"].as_str().unwrap_or_default();
        message == name || message.starts_with(&format!("{name}:"))
    };
    let found = lines(log).into_iter().find(is_event);
    found.unwrap_or_else(|| panic!("no {name} in {log}"))
}

#[track_caller]
fn assert_number(line: &Value, field: &str) {
    let number = &line[field];
    assert!(number.is_number(), "{field} of {line}");
    let text = number.to_string();
    let decimals = text.split_once('.').map_or("", |(_, decimals)| decimals);
    assert!(decimals.len() <= 3, "{field} of {line}");
}

#[test]
fn numbers_are_numbers_and_have_at_most_three_decimals() {
    let tokens = TokenEndpoint::start(|_, number| match number {
        0 | 1 => error_response("503 Unavailable", "later"),
        _ => crate::support::token_endpoint::token_response("token-1", 3600),
    });
    let upstream = Upstream::answering(|_| ok(""));
    let sidecar = Setup::new(&tokens, upstream.origin()).log(JSON).start();
    sidecar.wait_until_ready();
    assert_eq!(get(sidecar.address(), "/").status, 200);
    let log = until("the request in the log", || {
        let log = sidecar.written();
        log.contains("\"request\"").then_some(log)
    });
    let failed = event(&log, "token.failed");
    assert_number(&failed, "ms");
    assert_number(&failed, "next_s");
    let issued = event(&log, "token.issued");
    for field in ["ms", "lifetime_s", "refresh_in_s", "failures"] {
        assert_number(&issued, field);
    }
    assert_number(&event(&log, "request"), "ms");
}

#[test]
fn warnings_and_failures_of_the_start_are_json_too() {
    let tokens = TokenEndpoint::issuing("token-1");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let setup = Setup::new(&tokens, "http://127.0.0.1:1")
        .log(JSON)
        .client("client_id = \"legacy\"\nclient_secret = \"written-here\"\n")
        .listen(address);
    let (file, environment) = setup.write();
    let ended = run_to_end(&["run", "-c", file.to_str().unwrap()], &environment);
    assert_eq!(ended.status.code(), Some(1));
    let log = String::from_utf8(ended.stderr).unwrap();
    let warning = event(&log, "config.problem");
    assert_eq!(warning["level"], "WARN");
    assert_number(&warning, "line");
    let failure = event(&log, "process.failed");
    assert_eq!(failure["level"], "ERROR");
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains(&address.to_string()), "{message}");
}

#[test]
fn a_failure_of_the_start_is_told_even_with_the_log_off() {
    let tokens = TokenEndpoint::issuing("token-1");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::new(&tokens, "http://127.0.0.1:1")
        .log("level = \"off\"\nformat = \"json\"\n")
        .listen(taken.local_addr().unwrap());
    let (file, environment) = setup.write();
    let ended = run_to_end(&["run", "-c", file.to_str().unwrap()], &environment);
    assert_eq!(ended.status.code(), Some(1));
    let log = String::from_utf8(ended.stderr).unwrap();
    assert!(log.contains("cannot listen on"), "{log}");
}

#[test]
fn a_failed_login_of_no_provider_names_none() {
    let tokens = TokenEndpoint::issuing("token-1");
    let sidecar = Setup::new(&tokens, "http://127.0.0.1:1").log(JSON).start();
    let request = "GET /callback?code=x&state=unknown HTTP/1.1\r\nHost: localhost\r\n\r\n";
    exchange(sidecar.admin_address(), request);
    let log = until("the failed login in the log", || {
        let log = sidecar.written();
        log.contains("login.failed").then_some(log)
    });
    assert_eq!(event(&log, "login.failed").get("provider"), None);
}
