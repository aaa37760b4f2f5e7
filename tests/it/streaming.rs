//! Bodies stream: memory does not grow with them.

use std::{
    io::{Read, Write},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    client::Client,
    patience::{PATIENCE, heavy, until},
    protected_api::ProtectedApi,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::{Issuer, TokenEndpoint},
    upstream::Upstream,
    wire::Framing,
};

const GIB: u64 = 1 << 30;
const LARGEST_KIB: u64 = 64 * 1024;

fn world() -> (Sidecar, ProtectedApi) {
    let issuer = Arc::new(Issuer::default());
    let tokens = TokenEndpoint::start({
        let issuer = issuer.clone();
        move |_, _| issuer.issue(3600)
    });
    let api = ProtectedApi::start(issuer);
    let sidecar = Setup::new(&tokens, api.origin())
        .log("level = \"info\"")
        .start_ready();
    (sidecar, api)
}

#[track_caller]
fn assert_small(sidecar: &Sidecar) {
    let peak = sidecar.peak_resident_kib();
    assert!(peak < LARGEST_KIB, "{peak} KiB were resident at the peak");
}

#[test]
fn a_gibibyte_each_way_fits_into_64_mebibytes() {
    let _alone = heavy();
    let (sidecar, api) = world();

    let mut client = Client::connect(sidecar.address());
    for target in [format!("/bytes/{GIB}"), format!("/chunks/{GIB}")] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let head = client.head();
        assert_eq!(head.status(), 200);
        let mut received = 0;
        client
            .wire()
            .stream_body(head.answer_framing("GET"), &mut |bytes| {
                received += bytes.len() as u64;
            })
            .unwrap();
        assert_eq!(received, GIB);
        assert_small(&sidecar);
    }

    let piece = vec![b'x'; 1 << 20];
    client.send(format!(
        "POST /sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: {GIB}\r\n\r\n"
    ));
    for _ in 0..GIB >> 20 {
        client.send(&piece);
    }
    assert_eq!(client.answer().json()["received"], GIB);
    assert_small(&sidecar);

    client.send("POST /sink HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..GIB >> 20 {
        client.send(format!("{:x}\r\n", piece.len()));
        client.send(&piece);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.answer().json()["received"], GIB);
    assert_small(&sidecar);
    assert_eq!(api.received(), 2 * GIB);
}

/// What `count` gives when it has not changed for a second.
fn settled(what: &str, mut count: impl FnMut() -> u64) -> u64 {
    let mut last = (count(), Instant::now());
    crate::support::patience::until_within(PATIENCE * 3, what, || {
        let now = count();
        if now != last.0 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > Duration::from_secs(1)).then_some(now)
    })
}

#[test]
fn a_caller_that_reads_nothing_stops_the_upstream() {
    let _alone = heavy();
    let (sidecar, api) = world();
    let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(sidecar.address())).collect();
    for client in &mut clients {
        client.send(format!(
            "GET /bytes/{GIB} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ));
        assert_eq!(client.head().status(), 200);
    }
    // What the sockets' buffers on the way hold, a few MiB for each caller, and no more.
    let sent = settled("the upstream to stop", || api.sent());
    assert!(
        sent < 8 * (32 << 20),
        "{sent} bytes were taken from the upstream for callers that read none"
    );
    assert_small(&sidecar);
    // One that goes on reading gets the rest of what it asked for.
    let client = &mut clients[0];
    let mut received = 0;
    client
        .wire()
        .stream_body(Framing::Length(64 << 20), &mut |bytes| {
            received += bytes.len();
        })
        .unwrap();
    assert_eq!(received, 64 << 20);
    assert!(settled("the upstream to stop again", || api.sent()) > sent);
    assert_small(&sidecar);
}

#[test]
fn an_upstream_that_reads_nothing_stops_the_caller() {
    let _alone = heavy();
    let gate = Arc::new(crate::support::patience::Gate::default());
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = crate::support::upstream::Upstream::scripted({
        let gate = gate.clone();
        move |mut connection| {
            let Ok(Some(_)) = connection.head() else {
                return;
            };
            gate.pass();
        }
    });
    let sidecar = Setup::new(&tokens, upstream.origin())
        .log("level = \"info\"")
        .start_ready();
    let mut client = Client::connect(sidecar.address());
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {GIB}\r\n\r\n"
    ));
    let mut socket = client.socket();
    socket.set_nonblocking(true).unwrap();
    let (piece, mut sent) = (vec![b'x'; 1 << 20], 0);
    let taken = settled("the sidecar to stop taking", || {
        while let Ok(length @ 1..) = socket.write(&piece) {
            sent += length as u64;
            assert!(
                sent < GIB,
                "all of it was taken, and the upstream read none of it"
            );
        }
        sent
    });
    assert!(
        taken < 32 << 20,
        "{taken} bytes were taken for an upstream that read none"
    );
    assert_small(&sidecar);
    gate.open();
}

#[test]
fn callers_that_come_and_go_leave_no_memory_behind() {
    let _alone = heavy();
    let (sidecar, _api) = world();
    let address = sidecar.address();
    let round = || {
        let callers: Vec<_> = (0..50)
            .map(|_| {
                thread::spawn(move || {
                    let mut client = Client::connect(address);
                    assert_eq!(client.get("/bytes/300000").body.len(), 300_000);
                    // Leaves in the middle of the second.
                    client.send("GET /bytes/3000000 HTTP/1.1\r\nHost: localhost\r\n\r\n");
                    let mut some = [0; 1000];
                    client.socket().read_exact(&mut some).unwrap();
                })
            })
            .collect();
        for caller in callers {
            caller.join().unwrap();
        }
    };
    for _ in 0..3 {
        round();
    }
    let before = sidecar.resident_kib();
    for _ in 0..10 {
        round();
    }
    until("the connections to end", || {
        let metrics = sidecar.metrics();
        let open = metrics
            .lines()
            .filter(|line| line.starts_with("bearward_connections{") && !line.contains("admin"));
        open.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .all(|open| open == 0.0)
            .then_some(())
    });
    let after = sidecar.resident_kib();
    assert!(
        after < before + 8 * 1024,
        "{before} KiB after 150 callers, {after} KiB after 650"
    );
    assert_small(&sidecar);
}

#[test]
fn bodies_of_single_bytes_cost_no_more_than_others() {
    let _alone = heavy();
    const UPLOADS: usize = 50;
    let upstream = Upstream::scripted(|mut connection| {
        let _ = connection.head();
        let _ = connection.wire.rest();
    });
    let tokens = TokenEndpoint::issuing("token-1");
    let sidecar = Setup::new(&tokens, upstream.origin())
        .log("level = \"warn\"")
        .tables("[runtime]\nworkers = 1")
        .start_ready();
    // As much as is kept for a replay, in as many parts as can be.
    let chunks = b"1\r\nx\r\n".repeat(60_000);
    let clients: Vec<Client> = (0..UPLOADS)
        .map(|_| {
            let mut client = Client::connect(sidecar.address());
            client.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
            client.send(&chunks);
            client
        })
        .collect();
    upstream.wait_for(UPLOADS);
    let peak = settled("the memory", || sidecar.peak_resident_kib());
    assert!(peak < 64 * 1024, "{peak} KiB were resident at the peak");
    drop(clients);
}
