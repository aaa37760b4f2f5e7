//! Callers of HTTP/2 who give up, hold up or are sent away: each stream has an end, and no other ends with it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use rustix::process::Signal;

use crate::support::{
    client::{A_WHILE, Client},
    frames::{Frame, FrameClient, STATUS_200, flag, get_block, kind, request_block},
    h2_upstream::H2Upstream,
    patience::{Gate, heavy, until},
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::{answer, ok},
};

const WINDOW: u32 = 65_535;
const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 11];
/// More than may come to nothing.
const MANY: u32 = 300;

fn sidecar(origin: &str, route: &str, tables: &str) -> Sidecar {
    let tokens = TokenEndpoint::issuing("token-1");
    let tables = format!("[runtime]\nworkers = 1\n{tables}");
    Setup::new(&tokens, origin)
        .route(route)
        .tables(&tables)
        .start_ready()
}

/// Whether `frame` is a piece of `stream`, and its last one.
fn is_end_of(stream: u32, frame: &Frame) -> bool {
    frame.stream == stream
        && matches!(frame.kind, kind::DATA | kind::HEADERS)
        && frame.flags & flag::END_STREAM != 0
}

/// Asks on `stream`, and asserts that the answer is a 200 and whole; gives its length.
#[track_caller]
fn served(client: &mut FrameClient, stream: u32, path: &str) -> usize {
    client.get(stream, path);
    let (frames, ended) = client.read_until("an answer", |frame| is_end_of(stream, frame));
    assert!(!ended, "the connection ended after {} frames", frames.len());
    let of_stream: Vec<_> = frames
        .iter()
        .filter(|frame| frame.stream == stream)
        .collect();
    assert_eq!(
        (of_stream[0].kind, of_stream[0].payload[0]),
        (kind::HEADERS, STATUS_200),
        "{:?}",
        of_stream[0]
    );
    length_of(&frames, stream)
}

fn length_of(frames: &[Frame], stream: u32) -> usize {
    let data = frames
        .iter()
        .filter(|frame| frame.kind == kind::DATA && frame.stream == stream);
    data.map(|frame| frame.payload.len()).sum()
}

#[test]
fn at_the_end_of_the_process_what_comes_before_the_caller_knows_is_served() {
    const LENGTH: usize = 300_000;
    let gate = Arc::new(Gate::default());
    let upstream = Upstream::answering({
        let gate = gate.clone();
        move |request| {
            if request.head.target() != "/slow" {
                return ok("fine");
            }
            gate.pass();
            ok(vec![b'x'; LENGTH])
        }
    });
    let mut sidecar = sidecar(&upstream.origin(), "", "");
    let mut client = FrameClient::connect(sidecar.address(), WINDOW);
    client.leave_pings();
    client.get(1, "/slow");
    upstream.wait_for(1);
    sidecar.signal(Signal::TERM);

    // It is told that the end is near, and not yet which stream is the last (RFC 9113 §6.8).
    let mut last = None;
    let (frames, ended) = client.read_until("the goodbye", |frame| {
        if frame.kind == kind::GOAWAY {
            last = Some(frame.payload.clone());
        }
        frame.kind == kind::PING
    });
    assert!(!ended, "{frames:?}");
    assert_eq!(
        last.as_deref(),
        Some(&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0][..])
    );
    let ping = frames.last().unwrap().payload.clone();
    let address = sidecar.address();
    until("new connections to be refused", || {
        Client::try_connect(address).is_err().then_some(())
    });
    for stream in [3, 5] {
        assert_eq!(served(&mut client, stream, "/"), 4);
    }

    client.send(kind::PING, flag::ACK, 0, &ping).unwrap();
    let (frames, ended) = client.read_until("the last word", |frame| frame.kind == kind::GOAWAY);
    assert!(!ended, "{frames:?}");
    assert_eq!(frames.last().unwrap().payload, [0, 0, 0, 5, 0, 0, 0, 0]);
    assert!(sidecar.ended().is_none(), "ended with a request in flight");
    gate.open();
    client.open_window(1, 2 * LENGTH as u32);
    let (frames, ended) = client.read_until("the answer in flight", |frame| is_end_of(1, frame));
    assert!(
        !ended,
        "cut off after {} bytes: {}",
        length_of(&frames, 1),
        sidecar.written()
    );
    assert_eq!(length_of(&frames, 1), LENGTH);
    client.read_to_end("the end of the connection");
    drop(client);
    assert_eq!(sidecar.wait().code(), Some(0));
}

#[test]
fn streams_that_are_given_up_while_they_are_answered_do_not_end_the_connection() {
    let _alone = heavy();
    // More than is taken from an upstream before the caller has read any of it.
    let upstream = Upstream::answering(|request| match request.head.target() {
        "/large" => ok(vec![b'x'; 400_000]),
        _ => ok("fine"),
    });
    let sidecar = sidecar(&upstream.origin(), "", "");
    for serves_others in [false, true] {
        let mut client = FrameClient::connect(sidecar.address(), 1000);
        for number in 0..MANY {
            let stream = 4 * number + 1;
            client.get(stream, "/large");
            let (frames, ended) =
                client.read_until("the head of an answer", |frame| frame.stream == stream);
            assert!(!ended, "ended by stream number {number}: {frames:?}");
            assert_eq!(frames.last().unwrap().kind, kind::HEADERS);
            client.cancel(stream);
            client.open_window(0, 1000);
            if serves_others && number % 3 == 0 {
                assert_eq!(served(&mut client, stream + 2, "/"), 4);
            }
        }
        assert_eq!(served(&mut client, 4 * MANY + 1, "/"), 4);
    }
}

#[test]
fn streams_that_are_opened_and_given_up_at_once_end_the_connection() {
    let gate = Arc::new(Gate::default());
    let upstream = Upstream::answering({
        let gate = gate.clone();
        move |_| {
            gate.pass();
            ok("fine")
        }
    });
    let sidecar = sidecar(&upstream.origin(), "", "");
    let mut client = FrameClient::connect(sidecar.address(), WINDOW);
    // Beyond those that are excused because our settings are not known yet.
    let pairs = (0..1000).map(|number: u32| {
        let open = Frame::new(
            kind::HEADERS,
            flag::END_HEADERS | flag::END_STREAM,
            2 * number + 1,
            &get_block("/"),
        );
        [
            open.bytes(),
            Frame::new(kind::RST_STREAM, 0, 2 * number + 1, &[0, 0, 0, 8]).bytes(),
        ]
        .concat()
    });
    client
        .send_bytes(&pairs.collect::<Vec<_>>().concat())
        .unwrap();
    let (frames, ended) = client.read_until("the end of the connection", |frame| {
        frame.kind == kind::GOAWAY
    });
    assert!(!ended, "no GOAWAY before the end: {frames:?}");
    assert_eq!(frames.last().unwrap().payload[4..8], ENHANCE_YOUR_CALM);
    client.read_to_end("the end of the connection");
    gate.open();
    assert_eq!(sidecar.get("/").text(), "fine");
}

/// Sends as much on `streams` as the sidecar takes of them.
#[track_caller]
fn fill_until_stopped(client: &mut FrameClient, streams: &[u32]) {
    const LARGE: usize = 64 << 20;
    let (mut sent, mut still) = (0, 0);
    while still < 3 {
        let moved: usize = streams
            .iter()
            .map(|stream| client.fill(*stream, 1 << 20))
            .sum();
        sent += moved;
        still = if moved > 0 { 0 } else { still + 1 };
        assert!(
            sent < LARGE,
            "all of it is taken, and the upstream reads none of it"
        );
        let (frames, ended) = client.read_for(A_WHILE);
        assert!(
            !ended && frames.iter().all(|frame| frame.kind == kind::WINDOW_UPDATE),
            "{frames:?}"
        );
    }
}

/// Uploads in full what goes on beside others; gives the answer to it.
#[track_caller]
fn upload(client: &mut FrameClient, stream: u32, length: usize) -> Vec<u8> {
    let block = request_block("POST", "/sink", &[("content-length", &length.to_string())]);
    client.ask(stream, &block, false);
    let mut sent = 0;
    while sent < length {
        sent += client.fill(stream, length - sent);
        if sent < length {
            let (frames, ended) = client.read_until("room for an upload", |frame| {
                frame.kind == kind::WINDOW_UPDATE
            });
            assert!(!ended, "{frames:?}");
        }
    }
    client.data(stream, b"", true);
    let (frames, ended) = client.read_until("an answer", |frame| is_end_of(stream, frame));
    assert!(!ended, "{frames:?}");
    let data = frames
        .iter()
        .filter(|frame| frame.kind == kind::DATA && frame.stream == stream);
    data.flat_map(|frame| frame.payload.clone()).collect()
}

const STALLED: [u32; 4] = [1, 3, 5, 7];
const UPLOAD: usize = 3 << 20;

/// Makes uploads stand still, gives them up, and waits until as many as `ended` counts have ended at the upstream.
#[track_caller]
fn assert_given_up_uploads_end(sidecar: &Sidecar, mut ended: impl FnMut() -> usize) {
    let mut client = FrameClient::connect(sidecar.address(), WINDOW);
    for stream in STALLED {
        client.ask(
            stream,
            &request_block("POST", "/stall", &[("content-length", "1000000000")]),
            false,
        );
    }
    fill_until_stopped(&mut client, &STALLED);
    let before = ended();
    STALLED[1..]
        .iter()
        .for_each(|stream| client.cancel(*stream));
    until("the end of the uploads at the upstream", || {
        (ended() >= before + STALLED.len() - 1).then_some(())
    });
    // The window of the connection is there for the others again.
    assert_eq!(
        upload(&mut client, 9, UPLOAD),
        UPLOAD.to_string().as_bytes()
    );
    client.cancel(STALLED[0]);
    until("the end of the last upload at the upstream", || {
        (ended() >= before + STALLED.len()).then_some(())
    });
    assert_eq!(
        upload(&mut client, 11, UPLOAD),
        UPLOAD.to_string().as_bytes()
    );
}

#[test]
fn an_upload_that_is_given_up_ends_at_an_upstream_that_does_not_read_it() {
    let _alone = heavy();
    let gate = Arc::new(Gate::default());
    let upstream = Upstream::scripted({
        let gate = gate.clone();
        move |mut connection| {
            let Ok(Some(head)) = connection.head() else {
                return;
            };
            if head.target() == "/stall" {
                // Not even its end is read.
                gate.pass();
                return;
            }
            let mut length = 0;
            let read = connection
                .wire
                .stream_body(head.request_framing(), &mut |bytes| length += bytes.len());
            if read.is_ok() {
                // Closed, so that those that are not are those that stall.
                let _ = connection.wire.send(answer(
                    "200 OK",
                    "connection: close\r\n",
                    length.to_string(),
                ));
            }
        }
    });
    let sidecar = sidecar(&upstream.origin(), "timeouts.idle = \"60s\"", "");
    let port = upstream.address().port();
    let mut most = 0;
    assert_given_up_uploads_end(&sidecar, || {
        let open = sidecar.connections_to(port);
        most = most.max(open);
        most - open
    });
    gate.open();
}

#[test]
fn an_upload_that_is_given_up_ends_at_an_upstream_of_http2_that_does_not_read_it() {
    let _alone = heavy();
    let ended = Arc::new(AtomicUsize::new(0));
    // Its window is enough for what it does not read, and for others.
    let mut settings = h2::server::Builder::new();
    settings.initial_connection_window_size(1 << 20);
    let upstream = H2Upstream::with(settings, {
        let ended = ended.clone();
        move |mut call| {
            let ended = ended.clone();
            async move {
                if call.target() == "/stall" {
                    call.reset_by_caller().await?;
                    ended.fetch_add(1, Ordering::SeqCst);
                    return Ok(());
                }
                let length = call.collect().await?.len();
                call.answer(200, &[], length.to_string())
            }
        }
    });
    let route = "http2 = \"prior-knowledge\"\ntimeouts.idle = \"60s\"";
    let sidecar = sidecar(&upstream.origin(), route, "");
    assert_given_up_uploads_end(&sidecar, || ended.load(Ordering::SeqCst));
}

#[test]
fn answers_for_which_no_window_is_opened_are_not_held_for_ever() {
    // Little enough to be taken off an upstream's hands at once.
    const LENGTH: usize = 30_000;
    let upstream = Upstream::answering(|_| ok(vec![b'x'; LENGTH]));
    let sidecar = sidecar(
        &upstream.origin(),
        "timeouts.idle = \"1s\"",
        "[limits]\nkeep_alive = \"1s\"",
    );
    // No window of a stream, or none of the connection behind the first answers.
    for window in [0, 1 << 20] {
        let mut client = FrameClient::connect(sidecar.address(), window);
        let streams: Vec<u32> = (0..20).map(|number| 2 * number + 1).collect();
        for stream in &streams {
            client.get(*stream, "/");
        }
        let (mut whole, mut reset) = (Vec::new(), Vec::new());
        let (_, ended) = client.read_until("the end of all answers", |frame| {
            if is_end_of(frame.stream, frame) {
                whole.push(frame.stream);
            } else if frame.kind == kind::RST_STREAM {
                reset.push(frame.stream);
            }
            whole.len() + reset.len() == streams.len()
        });
        assert!(!ended, "{window}: ended after {whole:?} and {reset:?}");
        let most = if window == 0 {
            0
        } else {
            WINDOW as usize / LENGTH
        };
        assert!(whole.len() <= most, "{window}: {whole:?}");
        let frames = client.read_to_end("the end of a connection that idles");
        assert!(
            frames.iter().any(|frame| frame.kind == kind::GOAWAY),
            "{frames:?}"
        );
    }
}
