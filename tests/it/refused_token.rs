//! The upstream says that a token is no longer good.

use std::{sync::Arc, thread};

use crate::support::{
    client::{Client, exchange},
    patience::Gate,
    setup::Setup,
    token_endpoint::{TokenEndpoint, token_answer},
    upstream::Upstream,
    wire::{answer, ok},
};

fn numbered_tokens() -> TokenEndpoint {
    TokenEndpoint::start(|_, number| token_answer(&format!("token-{number}"), 3600))
}

/// Refuses the first token and takes every other.
fn refusing_the_first() -> Upstream {
    Upstream::answering(|request| match request.head.value("authorization") {
        Some("Bearer token-0") => answer("401 Unauthorized", "x-from: upstream\r\n", "refused"),
        _ => ok(&request.body),
    })
}

#[test]
fn the_caller_sees_the_answer_to_a_replay_with_a_new_token() {
    let (tokens, upstream) = (numbered_tokens(), refusing_the_first());
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let request = "POST /a?b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nx-own: 1\r\n\r\nbody";
    let answer = exchange(sidecar.address(), request);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "body");
    let requests = upstream.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].head.value("authorization"), Some("Bearer token-1"));
    assert_eq!((requests[1].head.target(), requests[1].head.value("x-own")), ("/a?b", Some("1")));
    assert_eq!(requests[0].body, requests[1].body);
    assert_eq!(tokens.count(), 2);
}

#[test]
fn a_body_that_was_not_kept_is_not_replayed() {
    let (tokens, upstream) = (numbered_tokens(), refusing_the_first());
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let body = "x".repeat(65 * 1024);
    let request = format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let answer = exchange(sidecar.address(), &request);
    assert_eq!((answer.status, answer.body.len()), (401, "refused".len()));
    assert_eq!(answer.head.value("x-from"), Some("upstream"));
    // The next one has the new token.
    let answer = exchange(sidecar.address(), &request);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body.len(), body.len());
}

#[test]
fn a_hundred_refusals_at_once_cause_one_token_request() {
    let gate = Arc::new(Gate::default());
    let tokens = numbered_tokens();
    let upstream = Upstream::answering({
        let gate = gate.clone();
        move |request| match request.head.value("authorization") {
            Some("Bearer token-0") => {
                gate.pass();
                answer("401 Unauthorized", "", "")
            }
            _ => ok(""),
        }
    });
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let address = sidecar.address();
    let callers: Vec<_> = (0..100).map(|_| thread::spawn(move || Client::connect(address).get("/").status)).collect();
    upstream.wait_for(100);
    gate.open();
    for caller in callers {
        assert_eq!(caller.join().unwrap(), 200);
    }
    assert_eq!(tokens.count(), 2);
}

#[test]
fn an_upstream_that_refuses_fresh_tokens_too_does_not_wear_out_the_token_endpoint() {
    let tokens = numbered_tokens();
    let upstream = Upstream::answering(|_| answer("401 Unauthorized", "", "never"));
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    for _ in 0..20 {
        let answer = sidecar.get("/");
        assert_eq!((answer.status, answer.text().as_str()), (401, "never"));
    }
    assert_eq!(tokens.count(), 2, "one at the start, one renewal in a minute");
}

#[test]
fn which_answers_mean_that_is_configured() {
    let tokens = numbered_tokens();
    let upstream = Upstream::answering(|request| match request.head.value("authorization") {
        Some("Bearer token-0") if request.head.target() == "/403" => answer("403 Forbidden", "", ""),
        Some("Bearer token-0") => answer("401 Unauthorized", "", ""),
        _ => ok(""),
    });
    let sidecar = Setup::new(&tokens, upstream.origin()).provider("refresh.reauthorize_on = [403]").start_ready();
    assert_eq!(sidecar.get("/401").status, 401);
    assert_eq!(tokens.count(), 1);
    assert_eq!(sidecar.get("/403").status, 200);
    assert_eq!(tokens.count(), 2);
}
