//! Two hundred callers that are as slow as they can be: others are served meanwhile, and the slow ones are given up in time.

use std::{sync::Arc, thread};

use crate::support::{
    client::Client,
    frames::{FrameClient, flag, get_block, kind},
    patience::{Gate, PATIENCE, heavy, until, until_within},
    protected_api::ProtectedApi,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::{Issuer, TokenEndpoint},
    upstream::Upstream,
    wire::ok,
};

const CALLERS: usize = 200;
const LARGEST_KIB: u64 = 64 * 1024;
/// Connections to the upstream that one worker keeps of callers that come one after the other.
const SERVED_ONE_BY_ONE: usize = 2;

fn world() -> (Sidecar, ProtectedApi) {
    let issuer = Arc::new(Issuer::default());
    let tokens = TokenEndpoint::start({
        let issuer = issuer.clone();
        move |_, _| issuer.issue(3600)
    });
    let api = ProtectedApi::start(issuer);
    let setup = Setup::new(&tokens, api.origin())
        .log("level = \"warn\"")
        .route("timeouts.idle = \"3s\"");
    (
        setup
            .tables("[limits]\nhead_timeout = \"3s\"\n\n[runtime]\nworkers = 1")
            .start_ready(),
        api,
    )
}

/// Opens as many connections as there are callers, sends one of `beginnings` on each and leaves it at that.
fn stall(sidecar: &Sidecar, beginnings: &[&str]) -> Vec<Client> {
    let beginnings = beginnings.iter().cycle().take(CALLERS);
    beginnings
        .map(|bytes| {
            let mut client = Client::connect(sidecar.address());
            client.send(bytes);
            client
        })
        .collect()
}

#[track_caller]
fn assert_others_are_served(sidecar: &Sidecar) {
    let mut client = Client::connect(sidecar.address());
    for _ in 0..10 {
        assert_eq!(client.get("/small").status, 200);
        assert_eq!(sidecar.get("/bytes/100000").body.len(), 100_000);
    }
    let peak = sidecar.peak_resident_kib();
    assert!(peak < LARGEST_KIB, "{peak} KiB were resident at the peak");
}

/// Every one is ended, with `status` or without a word.
#[track_caller]
fn assert_given_up(callers: Vec<Client>, status: u16) {
    for mut caller in callers {
        if let Ok(answer) = caller.wire().answer("GET") {
            assert_eq!(answer.status, status, "{answer:?}");
        }
        assert!(caller.is_closed());
    }
}

#[test]
fn heads_that_do_not_come_to_their_end() {
    let _alone = heavy();
    let (sidecar, _api) = world();
    let callers = stall(
        &sidecar,
        &[
            "",
            "GET / HT",
            "GET / HTTP/1.1\r\nHost: localhost\r\nx-slow: ",
            "PRI * HT",
        ],
    );
    assert_others_are_served(&sidecar);
    assert_given_up(callers, 408);
}

#[test]
fn heads_in_http2_that_do_not_come_to_their_end() {
    let _alone = heavy();
    let (sidecar, _api) = world();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let mut client = FrameClient::connect(sidecar.address(), 65_535);
            // Without END_HEADERS: more is to come, and does not.
            client
                .send(kind::HEADERS, flag::END_STREAM, 1, &get_block("/small"))
                .expect("the sidecar takes a request");
            client
        })
        .collect();
    assert_others_are_served(&sidecar);
    for mut caller in callers {
        let frames = caller.read_to_end("the end of a connection without a request");
        assert!(
            frames.iter().all(|frame| frame.kind != kind::DATA),
            "{frames:?}"
        );
    }
}

#[test]
fn bodies_that_do_not_come_to_their_end() {
    let _alone = heavy();
    let (sidecar, api) = world();
    let callers = stall(
        &sidecar,
        &[
            "POST /sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello",
            "POST /sink HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ],
    );
    assert_others_are_served(&sidecar);
    assert_given_up(callers, 408);
    // The upstream is not left with two hundred halves of requests.
    until("the end of the requests at the upstream", || {
        (api.open_connections() <= SERVED_ONE_BY_ONE).then_some(())
    });
}

#[test]
fn readers_that_do_not_read() {
    let _alone = heavy();
    let (sidecar, api) = world();
    let callers = stall(
        &sidecar,
        &["GET /bytes/20000000 HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    );
    assert_others_are_served(&sidecar);
    until_within(PATIENCE * 2, "the end of the answers", || {
        (api.open_connections() <= SERVED_ONE_BY_ONE).then_some(())
    });
    for mut caller in callers {
        let head = caller.head();
        let read = caller
            .wire()
            .stream_body(head.answer_framing("GET"), &mut |_| {});
        assert!(read.is_err(), "an answer that was given up looked whole");
    }
}

#[test]
fn further_connections_wait_and_are_all_served_in_the_end() {
    let _alone = heavy();
    const AT_ONCE: usize = 20;
    let gate = Arc::new(Gate::default());
    let upstream = Upstream::answering({
        let gate = gate.clone();
        move |request| {
            gate.pass();
            ok(request.head.target())
        }
    });
    let tokens = TokenEndpoint::issuing("token-1");
    let limits = format!("[limits]\nconnections = {AT_ONCE}");
    let sidecar = Setup::new(&tokens, upstream.origin())
        .log("level = \"warn\"")
        .tables(&limits)
        .start_ready();
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| {
            let address = sidecar.address();
            thread::spawn(move || {
                let mut client = Client::connect(address);
                let target = format!("/{number}");
                assert_eq!(client.get(&target).text(), target);
            })
        })
        .collect();
    upstream.wait_for(AT_ONCE);
    thread::sleep(crate::support::client::A_WHILE);
    assert_eq!(
        upstream.count(),
        AT_ONCE,
        "connections above the limit were served"
    );
    // The admin listener has places of its own.
    assert_eq!(sidecar.admin("/livez").status, 200);
    gate.open();
    for caller in callers {
        caller.join().unwrap();
    }
    assert_eq!(upstream.count(), CALLERS);
}
