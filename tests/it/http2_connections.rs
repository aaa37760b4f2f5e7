//! HTTP/2 connections whose callers do nothing: they are held neither for ever nor at the cost of others.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    client::A_WHILE,
    frames::{Frame, FrameClient, STATUS_200, field, get_block, kind},
    patience::{Gate, until},
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::ok,
};

const WINDOW: u32 = 65_535;

fn world(upstream: &Upstream, limits: &str) -> Sidecar {
    let tokens = TokenEndpoint::issuing("token-1");
    let tables = format!("[limits]\n{limits}");
    Setup::new(&tokens, upstream.origin())
        .route("timeouts.idle = \"2s\"")
        .tables(&tables)
        .start_ready()
}

/// Asks on `stream`, and asserts that the answer is a 200 with `body`.
#[track_caller]
fn assert_served(client: &mut FrameClient, stream: u32, body: &[u8]) -> Vec<Frame> {
    client.get(stream, "/small");
    let (frames, ended) = client.read_until("an answer", |frame| {
        frame.kind == kind::DATA && frame.stream == stream && !frame.payload.is_empty()
    });
    assert!(!ended, "the connection ended: {frames:?}");
    let of_stream: Vec<_> = frames
        .iter()
        .filter(|frame| frame.stream == stream)
        .collect();
    assert_eq!(
        (of_stream[0].kind, of_stream[0].payload[0]),
        (kind::HEADERS, STATUS_200),
        "{of_stream:?}"
    );
    assert_eq!(of_stream[1].payload, body);
    frames
}

#[test]
fn a_caller_that_stops_reading_is_reset_and_the_upstream_released() {
    let released = Arc::new(AtomicBool::new(false));
    let upstream = Upstream::scripted({
        let released = released.clone();
        move |mut connection| {
            while let Ok(Some(request)) = connection.request() {
                if request.head.target() != "/large" {
                    let _ = connection.wire.send(ok("small"));
                    continue;
                }
                let _ = connection
                    .wire
                    .send("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n");
                while connection.wire.send(vec![b'x'; 65_536]).is_ok() {}
                released.store(true, Ordering::SeqCst);
                return;
            }
        }
    });
    let sidecar = world(&upstream, "");
    let mut client = FrameClient::connect(sidecar.address(), 1000);
    client.get(1, "/large");
    let (frames, ended) = client.read_until("the first bytes", |frame| {
        frame.kind == kind::DATA && frame.stream == 1
    });
    assert!(!ended, "{frames:?}");
    let mut frames = assert_served(&mut client, 3, b"small");
    if !frames.iter().any(|frame| frame.kind == kind::RST_STREAM) {
        let (more, ended) = client.read_until("the reset of the stream", |frame| {
            frame.kind == kind::RST_STREAM
        });
        assert!(!ended, "the whole connection ended: {more:?}");
        frames.extend(more);
    }
    let resets: Vec<_> = frames
        .iter()
        .filter(|frame| frame.kind == kind::RST_STREAM)
        .collect();
    assert_eq!(
        resets.iter().map(|frame| frame.stream).collect::<Vec<_>>(),
        [1],
        "{resets:?}"
    );
    until("the end of the connection to the upstream", || {
        released.load(Ordering::SeqCst).then_some(())
    });
    assert_served(&mut client, 5, b"small");
}

#[test]
fn a_caller_that_reads_slowly_gets_all_of_it() {
    const LENGTH: usize = 100_000;
    let upstream = Upstream::answering(|_| ok(vec![b'x'; LENGTH]));
    let sidecar = world(&upstream, "");
    let mut client = FrameClient::connect(sidecar.address(), 1000);
    client.get(1, "/");
    let (start, mut received) = (Instant::now(), 0);
    while received < LENGTH {
        // Never still for as long as a body may be, and in all for much longer.
        client.open_window(1, 5000);
        let pause = Duration::from_millis(250);
        let (frames, ended) = client.read_for(pause);
        assert!(!ended, "the connection ended after {received} bytes");
        assert!(
            frames.iter().all(|frame| frame.kind != kind::RST_STREAM),
            "reset after {received} bytes"
        );
        received += frames
            .iter()
            .filter(|frame| frame.kind == kind::DATA)
            .map(|frame| frame.payload.len())
            .sum::<usize>();
    }
    assert!(start.elapsed() > Duration::from_secs(4));
}

#[test]
fn a_caller_that_reads_on_is_not_reset() {
    // Idle for longer than a body may be, between the requests and not within one.
    let upstream = Upstream::answering(|_| ok("small"));
    let sidecar = world(&upstream, "");
    let mut client = FrameClient::connect(sidecar.address(), WINDOW);
    for stream in [1, 3, 5] {
        assert_served(&mut client, stream, b"small");
        thread::sleep(Duration::from_millis(2500));
    }
}

#[track_caller]
fn assert_told_goodbye(frames: &[Frame]) {
    // Without it a caller cannot know whether a request that it has just sent was taken (RFC 9113 §6.8).
    assert!(
        frames.iter().any(|frame| frame.kind == kind::GOAWAY),
        "no GOAWAY before the end: {frames:?}"
    );
}

#[test]
fn a_connection_that_never_asks_is_ended_whatever_pings_it_answers() {
    let upstream = Upstream::answering(|_| ok("small"));
    let sidecar = world(&upstream, "head_timeout = \"1s\"\nkeep_alive = \"30s\"");
    let mut client = FrameClient::connect(sidecar.address(), WINDOW);
    assert_told_goodbye(&client.read_to_end("the end of a connection without a request"));
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn an_idle_connection_is_ended_whatever_pings_it_answers() {
    let upstream = Upstream::answering(|_| ok("small"));
    let sidecar = world(&upstream, "head_timeout = \"30s\"\nkeep_alive = \"1s\"");
    let mut client = FrameClient::connect(sidecar.address(), WINDOW);
    // By now the connection is being measured, by the bound for the first request.
    thread::sleep(A_WHILE);
    assert_served(&mut client, 1, b"small");
    thread::sleep(A_WHILE);
    // The next request in time is served; only after that the connection idles.
    assert_served(&mut client, 3, b"small");
    assert_told_goodbye(&client.read_to_end("the end of an idle connection"));
}

#[test]
fn a_connection_whose_only_request_was_reset_is_idle() {
    let gate = Arc::new(Gate::default());
    let upstream = Upstream::answering({
        let gate = gate.clone();
        move |_| {
            gate.pass();
            ok("small")
        }
    });
    let sidecar = world(&upstream, "head_timeout = \"30s\"\nkeep_alive = \"1s\"");
    let mut client = FrameClient::connect(sidecar.address(), WINDOW);
    client.get(1, "/");
    upstream.wait_for(1);
    client.cancel(1);
    assert_told_goodbye(&client.read_to_end("the end of an idle connection"));
    gate.open();
}

#[test]
fn a_refusal_waits_for_its_window_too() {
    let upstream = Upstream::answering(|_| ok("small"));
    let sidecar = world(&upstream, "");
    let mut client = FrameClient::connect(sidecar.address(), 0);
    // Without a route there is no timeout of a route.
    let block = [get_block("/"), field("expect", b"tea")].concat();
    client.ask(1, &block, true);
    thread::sleep(A_WHILE);
    client.open_window(1, 10_000);
    let (frames, ended) = client.read_until("the body of a refusal", |frame| {
        frame.kind == kind::DATA || frame.kind == kind::RST_STREAM
    });
    assert!(!ended, "{frames:?}");
    assert_eq!(frames.last().unwrap().kind, kind::DATA, "{frames:?}");
}
