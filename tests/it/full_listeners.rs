//! Listeners that have as many connections as they may.

use std::{os::unix::net::UnixStream, sync::Arc, thread, time::Duration};

use crate::support::{
    authorization_server::{AuthorizationServer, Dialect},
    client::{A_WHILE, Client},
    frames::{FrameClient, kind},
    home::Home,
    patience::{Gate, PATIENCE, heavy},
    setup::Setup,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::{Wire, ok},
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

#[test]
fn a_response_that_its_client_still_reads_is_never_cut_for_the_next() {
    let _alone = heavy();
    let upstream = Upstream::answering(|request| {
        let length: usize = request.head.target()[1..].parse().expect("a length");
        ok(vec![b'x'; length])
    });
    let tokens = TokenEndpoint::issuing("token-1");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    // What the kernel takes of a response is about the same on every connection of a Unix socket. At some of these
    // lengths the rest waits within the sidecar, after the upstream has sent everything.
    let lengths: Vec<usize> = (0..24).map(|step| 120_000 + step * 16_000).collect();
    let sidecar = Setup::new(&tokens, upstream.origin())
        .listen(format!("unix:{}", path.display()))
        .tables(&format!("[limits]\nconnections = {}\n", lengths.len()))
        .start_ready();
    let connect = || {
        let stream = UnixStream::connect(&path).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE * 2)).unwrap();
        Wire::new(stream)
    };
    let ask = |length: usize| {
        let mut client = connect();
        let request = format!("GET /{length} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.send(request).unwrap();
        client
    };
    let mut readers: Vec<_> = lengths.iter().map(|length| ask(*length)).collect();
    upstream.wait_for(lengths.len());
    let next: Vec<_> = lengths.iter().map(|_| ask(1)).collect();
    // Longer than a connection has to be idle.
    thread::sleep(Duration::from_secs(2));
    for (reader, length) in readers.iter_mut().zip(&lengths) {
        let response = reader.answer("GET");
        let response = response.unwrap_or_else(|error| panic!("{length} bytes: {error}"));
        assert_eq!(response.body.len(), *length);
    }
    for mut client in next {
        assert_eq!(client.answer("GET").unwrap().text(), "x");
    }
    sidecar.stop();
}

#[test]
fn http2_connections_that_say_nothing_keep_no_probe_away() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let tokens = TokenEndpoint::issuing("token-1");
    let sidecar = Setup::new(&tokens, upstream.origin())
        .tables("[limits]\nconnections = 4\nhead_timeout = \"60s\"\n[runtime]\nworkers = 1\n")
        .start_ready();
    let addresses = [sidecar.admin_address(), sidecar.address()];
    // They neither read nor respond to a ping.
    let silent: Vec<_> = (0..6)
        .flat_map(|_| addresses.map(|address| FrameClient::connect(address, 65_535)))
        .collect();
    assert_eq!(sidecar.admin("/livez").status, 200);
    assert_eq!(sidecar.get("/").text(), "fine");
    drop(silent);
    sidecar.stop();
}
