//! The token endpoint goes away, and comes back.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    patience::{Gate, PATIENCE, lock, until},
    problem::assert_problem,
    protected_api::ProtectedApi,
    setup::Setup,
    token_endpoint::{Issuer, TokenEndpoint, token_response},
    upstream::Upstream,
    wire::ok,
};

#[test]
fn serves_until_the_token_ends_then_says_so_then_serves_again() {
    let issuer = Arc::new(Issuer::default());
    let issued = Arc::new(Mutex::new(Instant::now()));
    let tokens = TokenEndpoint::start({
        let (issuer, issued) = (issuer.clone(), issued.clone());
        move |_, _| {
            *lock(&issued) = Instant::now();
            issuer.issue(3)
        }
    });
    let api = ProtectedApi::start(issuer.clone());
    let sidecar = Setup::new(&tokens, api.origin()).start_ready();
    assert_eq!(sidecar.get("/").status, 200);

    tokens.down();
    let last_token = *lock(&issued);
    let mut served = 0;
    let first_refusal = loop {
        let answer = sidecar.get("/");
        if answer.status != 200 {
            break answer;
        }
        served += 1;
        assert!(
            last_token.elapsed() < Duration::from_secs(3),
            "served with a token that has expired"
        );
        thread::sleep(Duration::from_millis(20));
    };
    // A renewal is due after half of the lifetime at the latest; its failure must not cost the token in hand.
    assert!(
        last_token.elapsed() > Duration::from_millis(1500),
        "the token was given up too early"
    );
    assert!(served > 0);
    assert_problem(&first_refusal, 503, "token-unavailable");
    assert!(first_refusal.head.has("retry-after"), "{first_refusal:?}");

    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        let answer = sidecar.get("/");
        assert_problem(&answer, 503, "token-unavailable");
        let seconds: u64 = answer
            .head
            .value("retry-after")
            .expect("Retry-After")
            .parse()
            .expect("seconds");
        assert!((1..=16).contains(&seconds), "Retry-After: {seconds}");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(sidecar.admin("/readyz").status, 503);
    let provider = &sidecar.status()["providers"]["api"];
    assert_eq!(provider["state"], "failing", "{provider}");
    assert!(provider["last_error"]["kind"].is_string(), "{provider}");

    tokens.up();
    let back = Instant::now();
    let back_off = Duration::from_secs(15) + PATIENCE;
    crate::support::patience::until_within(back_off, "an answer after the outage", || {
        (sidecar.get("/").status == 200).then_some(())
    });
    assert!(back.elapsed() < back_off);
    assert_eq!(
        api.refused(),
        Vec::<String>::new(),
        "requests that reached the API without a good token"
    );
    let provider = &sidecar.status()["providers"]["api"];
    assert_eq!(provider["state"], "ready", "{provider}");
    assert!(provider["last_error"].is_null(), "{provider}");
}

#[test]
fn starts_without_the_token_endpoint_and_recovers_when_it_comes() {
    let tokens = TokenEndpoint::issuing("token-1");
    tokens.down();
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin()).start();
    assert_problem(&sidecar.get("/"), 503, "token-unavailable");
    assert_eq!(sidecar.admin("/readyz").status, 503);
    assert_eq!(
        upstream.connections(),
        0,
        "a request went out without a token"
    );
    tokens.up();
    crate::support::patience::until_within(PATIENCE * 2, "an answer", || {
        (sidecar.get("/").status == 200).then_some(())
    });
    assert_eq!(sidecar.admin("/readyz").status, 200);
}

#[test]
fn a_renewal_under_way_holds_nobody_up() {
    let gate = Arc::new(Gate::default());
    let tokens = TokenEndpoint::start({
        let gate = gate.clone();
        move |_, number| {
            if number > 0 {
                gate.pass();
            }
            token_response(&format!("token-{number}"), 6)
        }
    });
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    // Due after half of six seconds; it hangs, and the old token is good for two seconds and more.
    tokens.wait_for(2);
    for _ in 0..10 {
        assert_eq!(sidecar.get("/").status, 200);
        assert_eq!(
            upstream.last().head.value("authorization"),
            Some("Bearer token-0")
        );
    }
    gate.open();
    until("the renewed token", || {
        assert_eq!(sidecar.get("/").status, 200);
        (upstream.last().head.value("authorization") == Some("Bearer token-1")).then_some(())
    });
    assert_eq!(tokens.count(), 2);
}

#[test]
fn a_failed_renewal_keeps_the_old_token_in_use() {
    let tokens = TokenEndpoint::start(|_, number| match number {
        0 => token_response("token-0", 6),
        1 => b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n".to_vec(),
        _ => token_response("token-2", 3600),
    });
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    until("the renewal after the failed one", || {
        assert_eq!(sidecar.get("/").status, 200);
        (upstream.last().head.value("authorization") == Some("Bearer token-2")).then_some(())
    });
    assert_eq!(tokens.count(), 3);
}
