//! The bound of requests in flight, whatever the connections are.

use std::sync::Arc;

use crate::support::{
    client::{A_WHILE, Client},
    h2c::{H2Client, empty},
    patience::{Gate, until},
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
    let response = sidecar.get("/");
    assert!(matches!(response.status, 200 | 504), "{}", response.text());
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
