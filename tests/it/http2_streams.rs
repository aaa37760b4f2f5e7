//! One stream of HTTP/2 is one request: what a caller sends on it is never read as anything else.

use crate::support::{
    frames::{Frame, FrameClient, ODD_TARGET, STATUS_200, flag, kind, request_block},
    h2c::{H2Client, empty, full},
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::ok,
};

const WINDOW: u32 = 65_535;
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
const PROTOCOL_ERROR: [u8; 4] = [0, 0, 0, 1];
const NO_ERROR: [u8; 4] = [0, 0, 0, 0];
/// Fields of a request behind whose body trailers are to be expected, so that it is given on in another way; and none.
const SIGNS_OF_TRAILERS: [&[(&str, &str)]; 3] = [
    &[],
    &[("trailer", "x-sum")],
    &[("content-type", "application/grpc"), ("te", "trailers")],
];

fn world() -> (Sidecar, Upstream) {
    let upstream = Upstream::answering(|_| ok("fine"));
    (sidecar(&upstream.origin(), ""), upstream)
}

fn sidecar(origin: &str, route: &str) -> Sidecar {
    let tokens = TokenEndpoint::issuing("token-1");
    Setup::new(&tokens, origin)
        .route(route)
        .tables("[runtime]\nworkers = 1")
        .start_ready()
}

fn post(path: &str, length: &str, signs: &[(&str, &str)]) -> Vec<u8> {
    request_block(
        "POST",
        path,
        &[&[("content-length", length)], signs].concat(),
    )
}

#[track_caller]
fn read_reset(client: &mut FrameClient, stream: u32, what: &str) {
    let (frames, ended) = client.read_until(what, |frame| {
        frame.kind == kind::RST_STREAM && frame.stream == stream
    });
    assert!(!ended, "{what}: the whole connection ended: {frames:?}");
    assert!(
        [PROTOCOL_ERROR, NO_ERROR]
            .contains(&frames[frames.len() - 1].payload[..].try_into().unwrap()),
        "{what}"
    );
}

#[track_caller]
fn read_answer(client: &mut FrameClient, stream: u32, what: &str) {
    let is_end = |frame: &Frame| frame.stream == stream && frame.flags & flag::END_STREAM != 0;
    let (frames, ended) = client.read_until(what, |frame| {
        frame.kind != kind::WINDOW_UPDATE && is_end(frame)
    });
    assert!(!ended, "{what}: the whole connection ended: {frames:?}");
    let of_stream: Vec<_> = frames
        .iter()
        .filter(|frame| frame.stream == stream)
        .collect();
    assert_eq!(
        (of_stream[0].kind, of_stream[0].payload[0]),
        (kind::HEADERS, STATUS_200),
        "{what}: {of_stream:?}"
    );
}

/// Asks once more on the same connection, and asserts that this is what reaches the upstream: whole, and it alone, but for
/// the request before it where that was good, with the body `first`.
#[track_caller]
fn assert_next_is_alone(
    client: &mut FrameClient,
    stream: u32,
    (upstream, before): (&Upstream, usize),
    first: Option<&[u8]>,
    what: &str,
) {
    client.ask(stream, &post("/second", "6", &[]), false);
    client.data(stream, b"second", true);
    read_answer(client, stream, what);
    let seen = upstream.requests().split_off(before);
    let seen = seen
        .iter()
        .map(|seen| (seen.head.start.as_str(), seen.body.as_slice()));
    let seen: Vec<_> = seen
        .filter(|seen| first.is_none_or(|first| *seen != ("POST /first HTTP/1.1", first)))
        .collect();
    assert_eq!(seen, [("POST /second HTTP/1.1", &b"second"[..])], "{what}");
}

#[test]
fn a_length_with_blanks_round_it_is_malformed_and_not_the_next_request() {
    let (sidecar, upstream) = world();
    let mut client = FrameClient::connect(sidecar.address(), WINDOW);
    let mut stream = 1;
    for length in ["5 ", " 5", "5\t", "\t5", " 5 "] {
        for signs in SIGNS_OF_TRAILERS {
            for body in [format!("hello{SMUGGLED}"), "hello".to_owned()] {
                let what = format!("content-length {length:?} beside {signs:?}");
                let before = upstream.count();
                client.ask(stream, &post("/first", length, signs), false);
                client.data(stream, body.as_bytes(), true);
                read_reset(&mut client, stream, &what);
                assert_next_is_alone(&mut client, stream + 2, (&upstream, before), None, &what);
                stream += 4;
            }
        }
    }
}

#[test]
fn a_body_longer_than_its_length_is_no_request_nor_the_next() {
    let (sidecar, upstream) = world();
    let mut client = FrameClient::connect(sidecar.address(), WINDOW);
    let mut stream = 1;
    for (length, body) in [("5", "hello"), ("0", "")] {
        for signs in SIGNS_OF_TRAILERS {
            for is_end in [true, false] {
                let what = format!("content-length {length} beside {signs:?}, {is_end}");
                let before = upstream.count();
                client.ask(stream, &post("/first", length, signs), false);
                client.data(stream, format!("{body}{SMUGGLED}").as_bytes(), is_end);
                read_reset(&mut client, stream, &what);
                // Where the length is 0 the request was whole before more of it came.
                let first = (length == "0").then_some(&b""[..]);
                assert_next_is_alone(&mut client, stream + 2, (&upstream, before), first, &what);
                stream += 4;
            }
        }
    }
}

#[test]
fn what_comes_behind_a_body_that_was_answered_is_not_the_next_request() {
    let (sidecar, upstream) = world();
    let mut client = FrameClient::connect(sidecar.address(), WINDOW);
    for (round, is_end) in [true, false, true].into_iter().enumerate() {
        let (stream, before) = (u32::try_from(round).unwrap() * 4 + 1, upstream.count());
        client.ask(stream, &post("/first", "5", &[]), false);
        client.data(stream, b"hello", false);
        read_answer(&mut client, stream, "the answer to a body that is whole");
        client.data(stream, SMUGGLED.as_bytes(), is_end);
        read_reset(&mut client, stream, "a reset of what came behind");
        assert_eq!(upstream.last().body, b"hello");
        assert_next_is_alone(
            &mut client,
            stream + 2,
            (&upstream, before),
            Some(b"hello"),
            "behind an answer",
        );
    }
}

#[tokio::test]
async fn a_repeated_length_is_refused_whatever_it_stands_beside() {
    let (sidecar, upstream) = world();
    let mut client = H2Client::connect(sidecar.address()).await;
    for (first, second) in [("5", "5"), ("6", "5"), ("five", "5")] {
        for signs in SIGNS_OF_TRAILERS {
            let fields = [
                &[("content-length", first), ("content-length", second)],
                signs,
            ]
            .concat();
            let request = client.request("POST", "/");
            let request = fields.iter().fold(request, |request, (name, value)| {
                request.header(*name, *value)
            });
            let got = client.send(request.body(full("hello")).unwrap()).await;
            let Ok(got) = got else {
                // A first length that the body does not have is malformed before it is a request.
                assert_ne!(first, second, "{fields:?}");
                client = H2Client::connect(sidecar.address()).await;
                continue;
            };
            if signs
                .iter()
                .any(|(_, value)| value.starts_with("application/grpc"))
            {
                // INVALID_ARGUMENT, which is how callers that speak gRPC are told so.
                assert_eq!(
                    (got.status, got.headers["grpc-status"].as_bytes()),
                    (200, &b"3"[..]),
                    "{fields:?}"
                );
            } else {
                assert_eq!(got.status, 400, "{fields:?}");
            }
        }
    }
    assert_eq!(upstream.count(), 0);
    let fine = client.request("GET", "/").body(empty()).unwrap();
    assert_eq!(client.send(fine).await.unwrap().status, 200);
}

#[test]
fn a_target_with_bytes_that_uris_encode_passes_byte_for_byte() {
    let (sidecar, upstream) = world();
    let mut client = FrameClient::connect(sidecar.address(), WINDOW);
    client.ask(1, &request_block("GET", ODD_TARGET, &[]), true);
    read_answer(&mut client, 1, "the answer to an odd target");
    let seen = upstream.last().head.raw;
    let wanted = [b"GET ", ODD_TARGET, b" HTTP/1.1\r\n"].concat();
    assert!(
        seen.starts_with(&wanted),
        "{:?}",
        String::from_utf8_lossy(&seen)
    );
}
