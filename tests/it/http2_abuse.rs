//! Callers that abuse HTTP/2: the sidecar goes on serving everybody else, in the memory that it has.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::support::{
    client::Client,
    frames::{Frame, FrameClient, field, flag, get_block, kind},
    patience::{PATIENCE, heavy, until, until_within},
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::ok,
};

const ATTACKERS: usize = 2;
const WINDOW: u32 = 65_535;
const LARGEST_KIB: u64 = 64 * 1024;
const STREAMS_AT_ONCE: u32 = 256;
/// `SETTINGS_ENABLE_PUSH` 0, which changes nothing.
const SETTING: [u8; 6] = [0, 2, 0, 0, 0, 0];

fn world() -> (Sidecar, Upstream) {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let setup = Setup::new(&tokens, upstream.origin())
        .log("level = \"warn\"")
        .tables("[runtime]\nworkers = 1");
    (setup.start_ready(), upstream)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    Frame::new(kind, flags, stream, payload).bytes()
}

/// Serves others while `attack` goes on from several connections, each made anew when it is cut; the attack gets a number that
/// grows. Where `is_cut_off`, waits until an attacker was.
#[track_caller]
fn assert_served_under(is_cut_off: bool, attack: fn(&mut FrameClient, usize) -> io::Result<()>) {
    let _alone = heavy();
    let (sidecar, _upstream) = world();
    let address = sidecar.address();
    let (over, rounds, cut) = (
        Arc::new(AtomicBool::new(false)),
        Arc::<AtomicUsize>::default(),
        Arc::<AtomicUsize>::default(),
    );
    let attackers: Vec<_> = (0..ATTACKERS)
        .map(|_| {
            let (over, rounds, cut) = (over.clone(), rounds.clone(), cut.clone());
            thread::spawn(move || attack_until(&over, address, attack, &rounds, &cut))
        })
        .collect();
    // Nobody has to be quick; the attack just has to have begun, and to be going on still.
    until("the attack to begin", || {
        (rounds.load(Ordering::SeqCst) >= ATTACKERS).then_some(())
    });
    let mut client = Client::connect(address);
    for _ in 0..5 {
        assert_eq!(client.get("/").text(), "fine");
        assert_eq!(sidecar.get("/").text(), "fine");
    }
    if is_cut_off {
        until("an attacker to be cut off", || {
            (cut.load(Ordering::SeqCst) > 0).then_some(())
        });
    }
    over.store(true, Ordering::SeqCst);
    for attacker in attackers {
        attacker.join().unwrap();
    }
    let peak = sidecar.peak_resident_kib();
    assert!(peak < LARGEST_KIB, "{peak} KiB were resident at the peak");
    assert_eq!(client.get("/").text(), "fine");
}

fn attack_until(
    over: &AtomicBool,
    address: SocketAddr,
    attack: fn(&mut FrameClient, usize) -> io::Result<()>,
    rounds: &AtomicUsize,
    cut: &AtomicUsize,
) {
    while !over.load(Ordering::SeqCst) {
        let mut client = FrameClient::connect(address, WINDOW);
        // One that reads nothing may be read from no more: that is a way to be stopped as good as any.
        client
            .socket()
            .set_write_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        for round in 0.. {
            let attacked = attack(&mut client, round);
            rounds.fetch_add(1, Ordering::SeqCst);
            if over.load(Ordering::SeqCst) {
                return;
            }
            if attacked.is_err() {
                cut.fetch_add(1, Ordering::SeqCst);
                break;
            }
        }
    }
}

#[test]
fn streams_that_are_opened_and_reset_at_once() {
    // CVE-2023-44487.
    assert_served_under(true, |client, round| {
        let first = u32::try_from(round).unwrap() * 200 + 1;
        let pairs = (first..first + 200).step_by(2).map(|stream| {
            let open = frame(
                kind::HEADERS,
                flag::END_HEADERS | flag::END_STREAM,
                stream,
                &get_block("/"),
            );
            [open, frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
        });
        client.send_bytes(&pairs.collect::<Vec<_>>().concat())
    });
}

#[test]
fn streams_that_are_made_to_be_reset_by_the_sidecar() {
    // CVE-2025-8671: the caller provokes the reset, here with a window that grows too large, instead of sending one.
    assert_served_under(true, |client, round| {
        let first = u32::try_from(round).unwrap() * 200 + 1;
        let pairs = (first..first + 200).step_by(2).map(|stream| {
            let open = frame(kind::HEADERS, flag::END_HEADERS, stream, &get_block("/"));
            [
                open,
                frame(
                    kind::WINDOW_UPDATE,
                    0,
                    stream,
                    &0x7fff_ffff_u32.to_be_bytes(),
                ),
            ]
            .concat()
        });
        client.send_bytes(&pairs.collect::<Vec<_>>().concat())
    });
}

#[test]
fn a_head_without_end() {
    assert_served_under(true, |client, round| {
        // `x: xxx…` without indexing, and never END_HEADERS.
        let field = [&[0, 1, b'x', 100][..], &[b'x'; 100]].concat();
        let block = field.repeat(150);
        if round == 0 {
            return client.send(kind::HEADERS, flag::END_STREAM, 1, &get_block("/"));
        }
        client.send(kind::CONTINUATION, 0, 1, &block)
    });
}

#[test]
fn a_head_of_empty_pieces() {
    assert_served_under(true, |client, round| {
        if round == 0 {
            return client.send(kind::HEADERS, flag::END_STREAM, 1, &get_block("/"));
        }
        client.send_bytes(&frame(kind::CONTINUATION, 0, 1, &[]).repeat(1000))
    });
}

#[test]
fn a_head_that_grows_when_it_is_unpacked() {
    assert_served_under(false, |client, round| {
        let stream = u32::try_from(round).unwrap() * 2 + 1;
        // One field of 3,000 bytes into the table, then 10,000 references to it (RFC 7541 §6.1): 30 MB.
        let length = [0x7f, 0xb9, 0x16];
        let entry = [&[0x40, 1, b'x'], &length[..], &[b'x'; 3000]].concat();
        let block = [get_block("/"), entry, vec![0xbe; 10_000]].concat();
        client.send(
            kind::HEADERS,
            flag::END_HEADERS | flag::END_STREAM,
            stream,
            &block,
        )
    });
}

#[test]
fn pings_whose_answers_nobody_reads() {
    assert_served_under(false, |client, _| {
        client.send_bytes(&frame(kind::PING, 0, 0, b"12345678").repeat(1000))
    });
}

#[test]
fn settings_whose_answers_nobody_reads() {
    assert_served_under(false, |client, _| {
        client.send_bytes(&frame(kind::SETTINGS, 0, 0, &SETTING).repeat(1000))
    });
}

#[test]
fn settings_that_change_the_windows_of_many_streams_thousands_of_times() {
    assert_served_under(false, |client, round| {
        if round == 0 {
            let streams = (0..STREAMS_AT_ONCE).map(|number| 2 * number + 1);
            let open = streams
                .map(|stream| frame(kind::HEADERS, flag::END_HEADERS, stream, &get_block("/")));
            return client.send_bytes(&open.collect::<Vec<_>>().concat());
        }
        // SETTINGS_INITIAL_WINDOW_SIZE, as often as one frame has room for.
        let entry = |number: u32| [&[0, 4], &(WINDOW + number % 2).to_be_bytes()[..]].concat();
        let entries: Vec<u8> = (0..2_700).flat_map(entry).collect();
        client.send_bytes(&frame(kind::SETTINGS, 0, 0, &entries).repeat(10))
    });
}

#[test]
fn windows_that_open_by_a_byte() {
    assert_served_under(false, |client, _| {
        client.send_bytes(&frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(1000))
    });
}

#[test]
fn bodies_of_empty_pieces() {
    assert_served_under(false, |client, round| {
        if round == 0 {
            return client.send(kind::HEADERS, flag::END_HEADERS, 1, &get_block("/"));
        }
        client.send_bytes(&frame(kind::DATA, 0, 1, &[]).repeat(1000))
    });
}

#[test]
fn priorities_and_frames_that_nobody_knows() {
    assert_served_under(false, |client, _| {
        let priority = frame(2, 0, 1001, &[0, 0, 0, 0, 1]);
        client.send_bytes(
            &[priority, frame(0xee, 0, 0, b"unknown")]
                .concat()
                .repeat(500),
        )
    });
}

#[test]
fn more_streams_than_are_allowed_are_refused_and_the_others_served() {
    let _alone = heavy();
    let gate = Arc::new(crate::support::patience::Gate::default());
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering({
        let gate = gate.clone();
        move |_| {
            gate.pass();
            ok("fine")
        }
    });
    let sidecar = Setup::new(&tokens, upstream.origin())
        .log("level = \"warn\"")
        .start_ready();
    let mut client = FrameClient::connect(sidecar.address(), WINDOW);
    let streams: Vec<u32> = (0..STREAMS_AT_ONCE + 20).map(|n| 2 * n + 1).collect();
    for &stream in &streams {
        client.get(stream, "/");
    }
    // Those that are too many are told so before anything is answered; that is no reason to repeat them carefully.
    let mut refused = Vec::new();
    let (_, ended) = client.read_until("the refusals", |frame| {
        if frame.kind == kind::RST_STREAM {
            assert_eq!(frame.payload, [0, 0, 0, 7], "not REFUSED_STREAM");
            refused.push(frame.stream);
        }
        refused.len() == 20
    });
    assert!(!ended, "the whole connection was ended");
    assert_eq!(refused, streams[streams.len() - 20..]);
    upstream.wait_for(STREAMS_AT_ONCE as usize);
    gate.open();
    let mut answered = 0;
    client.read_until("the answers", |frame| {
        answered += u32::from(frame.kind == kind::DATA && frame.payload == b"fine");
        answered == STREAMS_AT_ONCE
    });
    assert_eq!(upstream.count(), STREAMS_AT_ONCE as usize);
}

#[test]
fn requests_that_are_reset_leave_nothing_behind_at_the_upstream() {
    let _alone = heavy();
    let gate = Arc::new(crate::support::patience::Gate::default());
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::scripted({
        let gate = gate.clone();
        move |mut connection| {
            while let Ok(Some(request)) = connection.request() {
                if request.head.target() == "/never" {
                    // Its end is the only thing that is waited for.
                    let _ = connection.wire.rest();
                    return;
                }
                let _ = connection.wire.send(ok("fine"));
            }
            gate.open();
        }
    });
    let sidecar = Setup::new(&tokens, upstream.origin())
        .log("level = \"warn\"")
        .start_ready();
    let mut client = FrameClient::connect(sidecar.address(), WINDOW);
    for round in 0..10 {
        let streams: Vec<u32> = (0..20).map(|n| 2 * (round * 20 + n) + 1).collect();
        for &stream in &streams {
            client.get(stream, "/never");
        }
        upstream.wait_for(20 * (round as usize + 1));
        for stream in streams {
            client
                .send(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8])
                .unwrap();
        }
        until_within(PATIENCE, "the end of the requests at the upstream", || {
            (upstream.server().open_connections() == 0).then_some(())
        });
    }
    assert_eq!(sidecar.get("/").text(), "fine");
}

#[test]
fn answers_that_nobody_reads() {
    let _alone = heavy();
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::scripted(|mut connection| {
        while let Ok(Some(request)) = connection.request() {
            if request.head.target() != "/large" {
                let _ = connection.wire.send(ok("fine"));
                continue;
            }
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n";
            let _ = connection.wire.send(head);
            while connection.wire.send(vec![b'x'; 65_536]).is_ok() {}
            return;
        }
    });
    let sidecar = Setup::new(&tokens, upstream.origin())
        .log("level = \"warn\"")
        .tables("[runtime]\nworkers = 1")
        .start_ready();
    // The windows are as large as can be; the socket alone stops what comes.
    let largest = 0x7fff_ffff;
    let mut client = FrameClient::connect(sidecar.address(), largest);
    client.open_window(0, (largest - WINDOW) / 2);
    for number in 0..STREAMS_AT_ONCE {
        client.get(2 * number + 1, "/large");
    }
    // Once the socket is full no more is taken from it either.
    upstream.wait_for(1);
    thread::sleep(Duration::from_secs(2));
    assert_eq!(sidecar.get("/").text(), "fine");
    let peak = sidecar.peak_resident_kib();
    assert!(peak < LARGEST_KIB, "{peak} KiB were resident at the peak");
}

#[test]
fn a_scheme_that_is_neither_http_nor_https_goes_no_further() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    // `:status 400` (RFC 7541, appendix A).
    const STATUS_400: u8 = 0x8C;
    let schemes = [
        Some("ftp"),
        Some("httpx"),
        Some("http x"),
        Some("h\0"),
        Some(""),
        None,
    ];
    for scheme in schemes {
        let mut client = FrameClient::connect(sidecar.address(), 65_535);
        let pseudo = [
            (":method", Some("GET")),
            (":scheme", scheme),
            (":path", Some("/")),
            (":authority", Some("localhost")),
        ];
        let pseudo = pseudo.into_iter();
        let block: Vec<u8> = pseudo
            .filter_map(|(name, value)| Some(field(name, value?.as_bytes())))
            .flatten()
            .collect();
        client.ask(1, &block, true);
        let is_end =
            |frame: &Frame| matches!(frame.kind, kind::HEADERS | kind::RST_STREAM | kind::GOAWAY);
        let (frames, _) = client.read_until("a refusal", is_end);
        let mut heads = frames.iter().filter(|frame| frame.kind == kind::HEADERS);
        assert!(
            heads.all(|frame| frame.payload.first() == Some(&STATUS_400)),
            "{scheme:?}: {frames:?}"
        );
    }
    assert_eq!(upstream.count(), 0);
}
