//! However many callers need a token at once, it is asked for once.

use std::{io::Write, net::TcpStream, sync::Arc, thread, time::Duration};

use crate::support::{
    client::{Client, get},
    patience::{Gate, heavy},
    problem::assert_problem,
    setup::Setup,
    token_endpoint::{TokenEndpoint, error_response, token_response},
    upstream::Upstream,
    wire::{Wire, ok},
};

#[test]
fn five_hundred_callers_half_of_them_gone_make_one_token_request() {
    let _alone = heavy();
    let gate = Arc::new(Gate::default());
    let tokens = TokenEndpoint::start({
        let gate = gate.clone();
        move |_, _| {
            gate.pass();
            token_response("token-1", 3600)
        }
    });
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin()).start();
    let address = sidecar.address();

    let mut callers: Vec<TcpStream> = (0..500)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            stream
                .write_all(b"GET /v1/devices HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .unwrap();
            stream
        })
        .collect();
    thread::sleep(Duration::from_millis(50));
    drop(callers.drain(..250));
    tokens.wait_for(1);
    gate.open();

    for caller in callers {
        let answer = Wire::new(caller).answer("GET").unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(tokens.count(), 1, "token requests");
    let late = get(address, "/");
    assert_eq!(late.status, 200);
    assert_eq!(tokens.count(), 1, "token requests, after all were served");
    for request in upstream.requests() {
        assert_eq!(request.head.value("authorization"), Some("Bearer token-1"));
    }
}

#[test]
fn a_failure_is_shared_by_those_who_waited_for_it() {
    let gate = Arc::new(Gate::default());
    let tokens = TokenEndpoint::start({
        let gate = gate.clone();
        move |_, _| {
            gate.pass();
            error_response("401 Unauthorized", "invalid_client")
        }
    });
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin()).start();
    let mut callers: Vec<Client> = (0..50)
        .map(|_| Client::connect(sidecar.address()))
        .collect();
    for caller in &mut callers {
        caller.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    tokens.wait_for(1);
    gate.open();
    for caller in &mut callers {
        assert_problem(&caller.answer(), 502, "token-refused");
    }
    assert_eq!(tokens.count(), 1);
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn nobody_waits_longer_than_ten_seconds_for_a_token() {
    let gate = Arc::new(Gate::default());
    let tokens = TokenEndpoint::start({
        let gate = gate.clone();
        move |_, _| {
            gate.pass();
            token_response("late", 3600)
        }
    });
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin())
        .provider("token_request.timeout = \"60s\"")
        .start();
    // The bound on a read is twenty seconds: an answer within it is what is promised.
    let answer = sidecar.get("/");
    assert_problem(&answer, 503, "token-unavailable");
    assert!(answer.head.has("retry-after"), "{answer:?}");
    assert_eq!(tokens.count(), 1);
    gate.open();
}
