//! Bodies stream over HTTP/2 to the upstream as well: memory does not grow with them, and who stalls stalls alone.

use std::{
    io::Write,
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::server::Builder;

use crate::support::{
    client::Client,
    either::{Ask, Protocol},
    h2_upstream::{H2Upstream, send_in_step},
    patience::{PATIENCE, heavy, until_within},
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
};

const GIB: u64 = 1 << 30;
const QUARTER: u64 = GIB / 4;
const PIECE: usize = 256 * 1024;
const LARGEST_KIB: u64 = 64 * 1024;

#[derive(Default)]
struct Moved {
    sent: AtomicU64,
    received: AtomicU64,
}

/// `GET /bytes/N` answers N bytes, `POST /sink` counts what it gets, `POST /stall` reads nothing, everything else is small.
fn world() -> (Sidecar, H2Upstream, Arc<Moved>) {
    let moved: Arc<Moved> = Arc::default();
    let mut settings = Builder::new();
    settings
        .initial_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    let upstream = H2Upstream::with(settings, {
        let moved = moved.clone();
        move |mut call| {
            let moved = moved.clone();
            async move {
                let target = call.target().to_owned();
                if let Some(length) = target.strip_prefix("/bytes/") {
                    let mut left: u64 = length.parse().unwrap();
                    let piece = Bytes::from(vec![b'x'; PIECE]);
                    let mut stream = call.begin()?;
                    while left > 0 {
                        let length = left.min(PIECE as u64);
                        send_in_step(&mut stream, piece.slice(..length as usize)).await?;
                        moved.sent.fetch_add(length, Ordering::SeqCst);
                        left -= length;
                    }
                    return stream.send_data(Bytes::new(), true);
                }
                match target.as_str() {
                    "/sink" => {
                        let mut count = 0;
                        while let Some(piece) = call.body.data().await {
                            let length = piece?.len();
                            call.body.flow_control().release_capacity(length)?;
                            moved.received.fetch_add(length as u64, Ordering::SeqCst);
                            count += length;
                        }
                        call.answer(200, &[], count.to_string())
                    }
                    "/stall" => std::future::pending().await,
                    _ => call.answer(200, &[], "small"),
                }
            }
        }
    });
    let tokens = TokenEndpoint::issuing("token-1");
    let setup = Setup::new(&tokens, upstream.origin()).route("http2 = \"prior-knowledge\"");
    // One worker, and so one connection, which all of them share.
    let sidecar = setup
        .log("level = \"info\"")
        .tables("[runtime]\nworkers = 1")
        .start_ready();
    (sidecar, upstream, moved)
}

#[track_caller]
fn assert_small(sidecar: &Sidecar) {
    let peak = sidecar.peak_resident_kib();
    assert!(peak < LARGEST_KIB, "{peak} KiB were resident at the peak");
}

/// What `count` gives when it has not changed for a second.
fn settled(what: &str, mut count: impl FnMut() -> u64) -> u64 {
    let mut last = (count(), Instant::now());
    until_within(PATIENCE * 3, what, || {
        let now = count();
        if now != last.0 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > Duration::from_secs(1)).then_some(now)
    })
}

#[test]
fn a_gibibyte_down_fits_into_64_mebibytes() {
    let _alone = heavy();
    let (sidecar, _upstream, _) = world();
    let mut client = Client::connect(sidecar.address());
    client.send(format!(
        "GET /bytes/{GIB} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    ));
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

#[test]
fn a_quarter_of_it_up_fits_too() {
    let _alone = heavy();
    let (sidecar, _upstream, moved) = world();
    let mut client = Client::connect(sidecar.address());
    let piece = vec![b'x'; 1 << 20];
    client.send(format!(
        "POST /sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: {QUARTER}\r\n\r\n"
    ));
    for _ in 0..QUARTER >> 20 {
        client.send(&piece);
    }
    assert_eq!(client.answer().text(), QUARTER.to_string());
    assert_eq!(moved.received.load(Ordering::SeqCst), QUARTER);
    assert_small(&sidecar);
}

#[test]
fn callers_that_read_nothing_stop_the_upstream_and_nobody_else() {
    let _alone = heavy();
    let (sidecar, upstream, moved) = world();
    let mut stalled: Vec<Client> = (0..32)
        .map(|_| Client::connect(sidecar.address()))
        .collect();
    for client in &mut stalled {
        client.send(format!(
            "GET /bytes/{GIB} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ));
        assert_eq!(client.head().status(), 200);
    }
    // What windows and the sockets' buffers hold, a few MiB for each caller, and no more.
    let sent = settled("the upstream to stop", || moved.sent.load(Ordering::SeqCst));
    assert!(
        sent < 32 * (16 << 20),
        "{sent} bytes were taken from the upstream for callers that read none"
    );
    assert_small(&sidecar);

    // The window of the connection is not theirs alone.
    let small = Ask::get("/small").told(Protocol::Http1, sidecar.address());
    assert_eq!((small.status, small.text().as_str()), (200, "small"));
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let large = Ask::get("/bytes/3000000").told(protocol, sidecar.address());
        assert_eq!(
            (large.status, large.body.len()),
            (200, 3_000_000),
            "{protocol:?}"
        );
    }
    let connections = upstream.connections().len();
    assert!(connections <= 33, "{connections} connections");

    // One that goes on reading gets the rest of what it asked for.
    let mut received = 0;
    let framing = crate::support::wire::Framing::Length(64 << 20);
    stalled[0]
        .wire()
        .stream_body(framing, &mut |bytes| received += bytes.len())
        .unwrap();
    assert_eq!(received, 64 << 20);
    assert_small(&sidecar);
}

#[test]
fn an_upstream_that_reads_nothing_stops_its_callers_and_nobody_else() {
    let _alone = heavy();
    let (sidecar, _upstream, _) = world();
    let piece = vec![b'x'; 1 << 20];
    let mut stalled: Vec<(Client, TcpStream)> = (0..8)
        .map(|_| {
            let mut client = Client::connect(sidecar.address());
            client.send(format!(
                "POST /stall HTTP/1.1\r\nHost: localhost\r\nContent-Length: {GIB}\r\n\r\n"
            ));
            let socket = client.socket();
            socket.set_nonblocking(true).unwrap();
            (client, socket)
        })
        .collect();
    let mut sent = 0;
    let taken = settled("the sidecar to stop taking", || {
        for (_, socket) in &mut stalled {
            while let Ok(length @ 1..) = socket.write(&piece) {
                sent += length as u64;
                assert!(
                    sent < GIB,
                    "all of it was taken, and the upstream read none of it"
                );
            }
        }
        sent
    });
    assert!(
        taken < 8 * (16 << 20),
        "{taken} bytes were taken for an upstream that read none"
    );
    assert_small(&sidecar);
    // The upstream's own window for the connection is used up by then, so only what needs none is sure to pass.
    let small = Ask::get("/small").told(Protocol::Http1, sidecar.address());
    assert_eq!((small.status, small.text().as_str()), (200, "small"));
}
