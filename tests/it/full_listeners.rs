//! Listeners that have as many connections as they may.

use std::{sync::Arc, thread};

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect},
    client::{A_WHILE, Client},
    frames::{FrameClient, kind},
    home::Home,
    patience::Gate,
    setup::Setup,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::ok,
};

#[test]
fn the_connection_that_has_been_idle_longest_makes_room_and_a_busy_one_never() {
    let gate = Arc::new(Gate::default());
    let upstream = Upstream::answering({
        let gate = gate.clone();
        move |request| {
            if request.head.target() == "/slow" {
                gate.pass();
            }
            ok("fine")
        }
    });
    let tokens = TokenEndpoint::issuing("token-1");
    let sidecar = Setup::new(&tokens, upstream.origin())
        .tables("[limits]\nconnections = 3\n")
        .start_ready();
    let mut busy = Client::connect(sidecar.address());
    busy.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
    upstream.wait_for(1);
    let mut longest = Client::connect(sidecar.address());
    assert_eq!(longest.get("/").text(), "fine");
    thread::sleep(A_WHILE);
    let mut other = Client::connect(sidecar.address());
    assert_eq!(other.get("/").text(), "fine");

    let mut next = Client::connect(sidecar.address());
    assert_eq!(next.get("/").text(), "fine");
    assert!(longest.is_closed());
    assert_eq!(other.get("/").text(), "fine");
    gate.open();
    assert_eq!(busy.answer().text(), "fine");
    sidecar.stop();
}

#[test]
fn connections_that_say_nothing_keep_no_probe_away() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let tokens = TokenEndpoint::issuing("token-1");
    let sidecar = Setup::new(&tokens, upstream.origin())
        .tables("[limits]\nconnections = 16\n")
        .start_ready();
    let addresses = [sidecar.admin_address(), sidecar.address()];
    let silent: Vec<_> = (0..40)
        .flat_map(|_| addresses.map(Client::connect))
        .collect();
    assert_eq!(sidecar.admin("/livez").status, 200);
    assert_eq!(sidecar.get("/").text(), "fine");
    drop(silent);
    sidecar.stop();
}

#[test]
fn the_soft_limit_of_descriptors_is_raised_and_few_of_them_are_named() {
    let server = AuthorizationServer::start(Dialect::Happeo);
    let api = server.api();
    let home = Home::with_refresh_token(&server, &api);
    let sidecar = home.run_through(&["prlimit", "--nofile=64:512"]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", sidecar.id())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3));
    assert_eq!(soft, Some("512"), "{limits}");
    assert!(
        sidecar.written().contains("[limits] connections"),
        "{}",
        sidecar.written()
    );
    sidecar.stop();
}

#[test]
fn an_idle_http2_connection_is_told_to_go_away_for_the_next() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let tokens = TokenEndpoint::issuing("token-1");
    let sidecar = Setup::new(&tokens, upstream.origin())
        .tables("[limits]\nconnections = 1\n[runtime]\nworkers = 1\n")
        .start_ready();
    let mut first = FrameClient::connect(sidecar.address(), 65_535);
    first.get(1, "/");
    first.read_until("a response", |frame| {
        frame.stream == 1 && frame.flags & 1 != 0
    });
    let mut next = Client::connect(sidecar.address());
    next.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let frames = first.read_to_end("the end of an idle connection");
    assert!(frames.iter().any(|frame| frame.kind == kind::GOAWAY));
    assert_eq!(next.answer().text(), "fine");
    sidecar.stop();
}
