//! The bound of requests in flight, whatever the connections are.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use crate::support::{
    client::{A_WHILE, Client},
    frames::FrameClient,
    h2_upstream::{H2Upstream, send_in_step},
    h2c::{H2Client, empty},
    patience::{Gate, heavy, until, until_within},
    problem::assert_problem,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::ok,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A sidecar that has two requests in flight at a time, and an upstream that waits at a gate.
fn world(route: &str) -> (Sidecar, Upstream, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let upstream = Upstream::answering({
        let gate = gate.clone();
        move |_| {
            gate.pass();
            ok("fine")
        }
    });
    let tokens = TokenEndpoint::issuing("token-1");
    let sidecar = Setup::new(&tokens, upstream.origin())
        .route(route)
        .tables("[limits]\nrequests = 2\n[runtime]\nworkers = 2\n")
        .start_ready();
    (sidecar, upstream, gate)
}

#[test]
fn further_ones_wait_over_all_connections_and_versions() {
    let (sidecar, upstream, gate) = world("");
    let mut clients: Vec<_> = (0..4).map(|_| Client::connect(sidecar.address())).collect();
    for client in &mut clients {
        client.send(GET);
    }
    let address = sidecar.address();
    let streams = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let client = H2Client::connect(address).await;
            let mut all = tokio::task::JoinSet::new();
            for _ in 0..4 {
                let mut client = client.clone();
                all.spawn(async move {
                    let request = client.request("GET", "/").body(empty()).unwrap();
                    client.send(request).await.unwrap().status
                });
            }
            all.join_all().await
        })
    });
    upstream.wait_for(2);
    std::thread::sleep(A_WHILE);
    assert_eq!(upstream.count(), 2, "more in flight than allowed");
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer().text(), "fine");
    }
    assert_eq!(streams.join().unwrap(), [200; 4]);
    assert_eq!(upstream.count(), 8);
    sidecar.stop();
}

#[test]
fn one_whose_client_goes_away_waits_no_longer_and_is_never_sent() {
    let (sidecar, upstream, gate) = world("");
    let mut first = Client::connect(sidecar.address());
    let mut second = Client::connect(sidecar.address());
    first.send(GET);
    second.send(GET);
    upstream.wait_for(2);
    let mut gone = Client::connect(sidecar.address());
    gone.send("GET /gone HTTP/1.1\r\nHost: localhost\r\n\r\n");
    std::thread::sleep(A_WHILE);
    drop(gone);
    until("the end of the third connection", || {
        let connections = sidecar.metrics();
        let line = connections
            .lines()
            .find(|line| line.starts_with("bearward_connections{"));
        line.is_some_and(|line| line.ends_with(" 2")).then_some(())
    });
    gate.open();
    assert_eq!((first.answer().status, second.answer().status), (200, 200));
    assert_eq!(sidecar.get("/").status, 200);
    assert!(
        upstream
            .requests()
            .iter()
            .all(|request| request.head.target() != "/gone")
    );
    sidecar.stop();
}

#[test]
fn one_that_waits_longer_than_for_a_response_is_told_so() {
    let (sidecar, upstream, gate) = world("timeouts.response = \"1s\"");
    let mut clients = Vec::new();
    // Their own response comes late as well, but they are in flight first.
    for count in 1..=2 {
        let mut client = Client::connect(sidecar.address());
        client.send(GET);
        upstream.wait_for(count);
        clients.push(client);
    }
    assert_problem(&sidecar.get("/"), 504, "upstream-timeout");
    for client in &mut clients {
        assert_problem(&client.answer(), 504, "upstream-timeout");
    }
    gate.open();
    until("room again", || {
        (sidecar.get("/").status == 200).then_some(())
    });
    sidecar.stop();
}

#[test]
fn requests_that_are_refused_need_no_place() {
    let (sidecar, upstream, gate) = world("allow = [\"GET /\"]");
    let mut clients: Vec<_> = (0..2).map(|_| Client::connect(sidecar.address())).collect();
    for client in &mut clients {
        client.send(GET);
    }
    upstream.wait_for(2);
    assert_problem(&sidecar.get("/other"), 403, "not-allowed");
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer().status, 200);
    }
    sidecar.stop();
}

/// As docs/operations.md has it, for `requests = 1024` and the default `head_bytes`.
const MAX_KIB: u64 = 1024 * 256;

/// The time for 1024 requests to fill what they can, and for the memory to be given back.
const BOUND: Duration = Duration::from_secs(60);

/// Sends 256 requests on each of 8 connections, reads nothing, and leaves. Gives the memory of before, in KiB.
fn assert_bounded(
    window: u32,
    origin: &str,
    route: &str,
    in_flight: &dyn Fn() -> usize,
) -> (Sidecar, u64) {
    let tokens = TokenEndpoint::issuing("token-1");
    let sidecar = Setup::new(&tokens, origin)
        .route(route)
        .log("level = \"warn\"")
        .start_ready();
    let before = sidecar.resident_kib();
    let clients: Vec<FrameClient> = (0..8)
        .map(|_| {
            let mut client = FrameClient::connect(sidecar.address(), window);
            client.open_window(0, window - 65_535);
            for number in 0..256 {
                client.get(2 * number + 1, "/large");
            }
            client
        })
        .collect();
    until("the requests to reach the upstream", || {
        (in_flight() > 0).then_some(())
    });
    // Nothing may grow beyond the bound from here on.
    for _ in 0..16 {
        std::thread::sleep(A_WHILE);
        assert!(in_flight() <= 1024, "more in flight than allowed");
    }
    let grown = sidecar.peak_resident_kib() - before;
    assert!(
        grown < MAX_KIB,
        "{grown} KiB more than the {before} KiB before"
    );

    drop(clients);
    assert_eq!(sidecar.get("/small").text(), "fine");
    (sidecar, before)
}

/// An upstream that sends for as long as its client reads, but for `/small`.
fn endless() -> Upstream {
    Upstream::scripted(|mut connection| {
        while let Ok(Some(head)) = connection.head() {
            if head.target() == "/small" {
                let _ = connection.wire.send(ok("fine"));
                continue;
            }
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n";
            let _ = connection.wire.send(head);
            while connection.wire.send(vec![b'x'; 16_384]).is_ok() {}
            return;
        }
    })
}

#[test]
fn responses_whose_clients_open_no_window_stay_within_the_documented_memory_and_give_it_back() {
    let _alone = heavy();
    let upstream = endless();
    let count = || upstream.server().open_connections();
    let (sidecar, before) = assert_bounded(65_536, &upstream.origin(), "", &count);
    until_within(BOUND, "the memory to be given back", || {
        (sidecar.resident_kib() < before + 48 * 1024).then_some(())
    });
    sidecar.stop();
}

#[test]
fn responses_of_an_http2_upstream_that_are_not_read_stay_within_the_documented_memory() {
    let _alone = heavy();
    let upstream = H2Upstream::start(|mut call| async move {
        if call.target() == "/small" {
            return call.answer(200, &[], "fine");
        }
        let mut stream = call.begin()?;
        loop {
            send_in_step(&mut stream, Bytes::from_static(&[b'x'; 16_384])).await?;
        }
    });
    let route = "http2 = \"prior-knowledge\"";
    assert_bounded(65_536, &upstream.origin(), route, &|| upstream.count());
}
