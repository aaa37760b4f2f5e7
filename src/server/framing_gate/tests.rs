//! The promises of the framing gate, alone and with hyper behind it.

use std::{convert::Infallible, task::Context};

use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use proptest::{collection::vec, prelude::*, sample::select};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Join, Sink};

use super::*;

#[path = "../../../fuzz/src/framing_gate.rs"]
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the fuzz target's code"
)]
mod against_hyper;

const MAX_HEAD_BYTES: usize = 1024;

type Gate<R> = FramingGate<Join<R, Sink>>;

fn gate<R: AsyncRead + Unpin>(reader: R) -> Gate<R> {
    FramingGate::new(
        tokio::io::join(reader, tokio::io::sink()),
        GateVerdicts::default(),
        &limits(),
    )
}

/// The bytes that may be read now, and whether the end was reached.
fn read<R: AsyncRead + Unpin>(gate: &mut Gate<R>) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        let mut room = [0; 8192];
        let mut buffer = ReadBuf::new(&mut room);
        match Pin::new(&mut *gate).poll_read(&mut cx, &mut buffer) {
            Poll::Ready(read) if buffer.filled().is_empty() => {
                read.unwrap();
                return (bytes, true);
            }
            Poll::Ready(_) => bytes.extend_from_slice(buffer.filled()),
            Poll::Pending => return (bytes, false),
        }
    }
}

fn write<R: AsyncRead + Unpin>(gate: &mut Gate<R>) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(gate).poll_write(&mut cx, b"HTTP/1.1").is_ready());
}

/// The part of `bytes` that passes.
fn passed(bytes: &[u8]) -> String {
    String::from_utf8(read(&mut gate(bytes)).0).unwrap()
}

fn refusal(bytes: &str) -> Option<GateRefusal> {
    let mut gate = gate(bytes.as_bytes());
    let (passed, _) = read(&mut gate);
    let refusal = gate.verdicts().next_request();
    assert_eq!(refusal.is_none(), passed == bytes.as_bytes());
    refusal
}

#[test]
fn what_is_unambiguous_passes_untouched_and_is_never_copied() {
    for bytes in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\nPOST /a?b=%3c|{}^\\[] HTTP/1.1\nHost: a\ncontent-length: 5 \n\nhelloGET / HTTP/1.0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding:\tCHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nTransfer-Encodings: x\r\n\r\n",
    ] {
        let mut gate = gate(bytes.as_bytes());
        let mut room = [0; 512];
        let mut buffer = ReadBuf::new(&mut room);
        let mut cx = Context::from_waker(Waker::noop());
        let _ = Pin::new(&mut gate).poll_read(&mut cx, &mut buffer);
        assert_eq!(buffer.filled(), bytes.as_bytes());
        assert_eq!((gate.held.capacity(), gate.ready.capacity()), (0, 0));
        assert!(gate.verdicts().is_between_messages());
    }
}

#[test]
fn a_body_framed_in_two_ways_is_refused() {
    for (version, fields, expected) in [
        (
            1,
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            GateRefusal::LengthBesideCoding,
        ),
        (
            1,
            "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
            GateRefusal::LengthBesideCoding,
        ),
        (
            1,
            "Transfer-Encoding: x\r\nContent-Length: 5\r\n",
            GateRefusal::UnsupportedCoding,
        ),
        (
            1,
            "Content-Length: 5\r\nX: y\r\nContent-Length: 5\r\n",
            GateRefusal::RepeatedLength,
        ),
        (
            1,
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            GateRefusal::RepeatedLength,
        ),
        (1, "Content-Length: 5, 5\r\n", GateRefusal::InvalidLength),
        (1, "Content-Length: +5\r\n", GateRefusal::InvalidLength),
        (1, "Content-Length:\r\n 5\r\n", GateRefusal::InvalidLength),
        (
            1,
            "Content-Length: 18446744073709551614\r\n",
            GateRefusal::InvalidLength,
        ),
        (
            1,
            "Transfer-Encoding: gzip, chunked\r\n",
            GateRefusal::UnsupportedCoding,
        ),
        (
            1,
            "Transfer-Encoding: chunked, chunked\r\n",
            GateRefusal::UnsupportedCoding,
        ),
        (
            1,
            "Transfer-Encoding: chunked;q=1\r\n",
            GateRefusal::UnsupportedCoding,
        ),
        (1, "Transfer-Encoding:\r\n", GateRefusal::UnsupportedCoding),
        (
            1,
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            GateRefusal::UnsupportedCoding,
        ),
        (
            0,
            "Transfer-Encoding: chunked\r\n",
            GateRefusal::CodingInHttp10,
        ),
    ] {
        let head = format!("POST / HTTP/1.{version}\r\nHost: a\r\n{fields}\r\n");
        assert_eq!(refusal(&head), Some(expected), "{head}");
    }
}

#[test]
fn a_request_line_that_breaks_the_grammar_is_refused_as_soon_as_it_does() {
    for line in [
        " ",
        "GET  ",
        "GET /a\t",
        "GET /a\r",
        "GET / http",
        "GET / HTTP/1.2",
        "GET / HTTP/1.1 ",
        "GET /a b",
        "\rG",
        "GET\r\n",
    ] {
        assert_eq!(
            refusal(line),
            Some(GateRefusal::MalformedRequestLine),
            "{line:?}"
        );
    }
    assert_eq!(refusal("GET /a?b#"), Some(GateRefusal::FragmentInTarget));
    assert_eq!(refusal("\u{16}\u{3}\u{1}"), Some(GateRefusal::TlsHandshake));
}

#[test]
fn any_printable_byte_of_a_path_or_query_reaches_hyper_in_a_form_that_it_accepts() {
    for byte in (b'!'..=0xFF).filter(|byte| !matches!(byte, b'#' | 0x7F)) {
        for before in ["/a", "/a?b=", "http://h/", "http://h?"] {
            let request = [b"GET ", before.as_bytes(), &[byte], b" HTTP/1.1\r\n\r\n"].concat();
            let passed = passed(&request);
            let target = passed.split(' ').nth(1).unwrap();
            assert!(target.parse::<http::Uri>().is_ok(), "{target}");
            let raw = target.as_bytes() == [before.as_bytes(), &[byte]].concat();
            assert!(raw || target == format!("{before}%{byte:02X}"), "{target}");
            assert_eq!(raw, !matches!(byte, b'"' | b'<' | b'>' | b'`' | 0x80..));
        }
    }
}

#[test]
fn an_authority_is_left_to_hyper() {
    let request = "GET http://a\"<@b\u{e4}/\u{e4} HTTP/1.1\r\n\r\n";
    assert_eq!(
        passed(request.as_bytes()),
        "GET http://a\"<@b\u{e4}/%C3%A4 HTTP/1.1\r\n\r\n"
    );
    let authority = "CONNECT a\"b:1 HTTP/1.1\r\n\r\n";
    assert_eq!(passed(authority.as_bytes()), authority);
}

#[tokio::test]
async fn a_head_passes_only_when_it_is_whole_and_counts_from_its_first_byte() {
    let (mut client, server) = tokio::io::duplex(8192);
    let mut gate = gate(server);
    let verdicts = gate.verdicts();
    assert!(verdicts.is_between_messages());
    let head = b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n";
    for count in 1..head.len() {
        client.write_all(&head[count - 1..count]).await.unwrap();
        assert_eq!(read(&mut gate), (vec![], false));
        assert_eq!(
            (verdicts.phase(), verdicts.head_bytes_pending()),
            (GatePhase::Head, count)
        );
    }
    client.write_all(b"\nhel").await.unwrap();
    assert_eq!(read(&mut gate), ([head, &b"hel"[..]].concat(), false));
    assert_eq!(
        (verdicts.phase(), verdicts.head_bytes_pending()),
        (GatePhase::Body, 0)
    );
    client.write_all(b"lo").await.unwrap();
    assert_eq!(read(&mut gate), (b"lo".to_vec(), false));
    assert!(verdicts.is_between_messages());
    assert_eq!(
        (gate.held.capacity(), gate.ready.capacity()),
        (0, 0),
        "idle memory"
    );
    client.write_all(b"GET ").await.unwrap();
    drop(client);
    assert_eq!(read(&mut gate), (vec![], true), "the client is gone");
}

#[test]
fn a_head_beyond_the_limit_is_refused_however_it_comes_in() {
    let head = |len: usize| format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(len - 23));
    assert_eq!(refusal(&head(MAX_HEAD_BYTES)), None);
    assert_eq!(
        refusal(&head(MAX_HEAD_BYTES + 1)),
        Some(GateRefusal::HeadTooLong)
    );
    let endless = "x".repeat(MAX_HEAD_BYTES + 1);
    assert_eq!(refusal(&endless), Some(GateRefusal::HeadTooLong));
}

#[test]
fn nothing_passes_behind_a_chunk_that_breaks_the_grammar() {
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (broken, rest) in [
        ("5\n", "hello"),
        ("x", ""),
        ("5;a\n", "b\r\n"),
        ("1\r\nab", "\r\n"),
        ("10000000000000000", "0"),
    ] {
        assert_eq!(
            passed(format!("{head}{broken}{rest}").as_bytes()),
            format!("{head}{broken}")
        );
    }
}

#[test]
fn http2_passes_untouched_from_its_first_byte() {
    let bytes = [scanner::PREFACE, b"GET /# HTTP/1.1\r\n\r\n\r\n"].concat();
    let mut gate = gate(&bytes[..]);
    assert_eq!(read(&mut gate), (bytes.clone(), true));
    assert_eq!(gate.verdicts().phase(), GatePhase::PassThrough);
    assert_eq!(gate.verdicts().next_request(), None);
    let half = "PRI * HTTP/2.0\r\n\r\nSM\r\n";
    assert_eq!(refusal(half), Some(GateRefusal::MalformedRequestLine));
}

const ASK: &str = "GET /chat HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

#[test]
fn what_a_client_says_before_the_switch_passes_untouched_behind_it() {
    let bytes = format!("{ASK}\r\n\0GET /# HTTP/1.1\r\n\r\n");
    let mut gate = gate(bytes.as_bytes());
    let verdicts = gate.verdicts();
    assert_eq!(read(&mut gate), (ASK.into(), false));
    assert_eq!(verdicts.next_request(), None);
    verdicts.pass_through();
    write(&mut gate);
    assert_eq!(read(&mut gate), (bytes[ASK.len()..].into(), true));
    assert_eq!(verdicts.phase(), GatePhase::PassThrough);
}

#[test]
fn what_follows_a_switch_that_does_not_happen_is_the_next_request() {
    let bytes = format!("{ASK}GET /< HTTP/1.1\r\n\r\nGET /# HTTP/1.1\r\n\r\n");
    let mut gate = gate(bytes.as_bytes());
    let verdicts = gate.verdicts();
    assert_eq!(read(&mut gate), (ASK.into(), false));
    write(&mut gate);
    assert_eq!(
        read(&mut gate),
        (vec![], false),
        "that was an earlier response"
    );
    assert_eq!(verdicts.next_request(), None);
    write(&mut gate);
    assert!(
        read(&mut gate)
            .0
            .starts_with(b"GET /%3C HTTP/1.1\r\n\r\nGET / ")
    );
    assert_eq!(verdicts.next_request(), None);
    assert_eq!(verdicts.next_request(), Some(GateRefusal::FragmentInTarget));
}

#[test]
fn no_response_is_awaited_behind_a_body() {
    let next = "GET /b HTTP/1.1\r\n\r\n";
    let bytes = format!("POST /a HTTP/1.1\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\nx{next}");
    assert_eq!(passed(bytes.as_bytes()), bytes);
}

#[test]
fn the_stream_comes_back_with_what_was_read_from_it() {
    let mut gate = gate(&b"\nGET / HTTP/1.1\r\nHost: a"[..]);
    let mut room = [0; 1];
    let mut cx = Context::from_waker(Waker::noop());
    let _ = Pin::new(&mut gate).poll_read(&mut cx, &mut ReadBuf::new(&mut room));
    let _ = Pin::new(&mut gate).poll_read(&mut cx, &mut ReadBuf::new(&mut room));
    assert_eq!(gate.into_parts().1, b"GET / HTTP/1.1\r\nHost: a");
}

/// The output of a server behind a gate, to its end.
async fn served(requests: &[u8]) -> String {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let gate = FramingGate::new(server, GateVerdicts::default(), &limits());
    let verdicts = gate.verdicts();
    let service = service_fn(|request: Request<Incoming>| {
        let refusal = verdicts.next_request();
        let mut response = Response::new(Full::new(Bytes::from(request.uri().to_string())));
        if let Some(refusal) = refusal {
            *response.status_mut() = StatusCode::BAD_REQUEST;
            *response.body_mut() = Full::new(Bytes::from(refusal.to_string()));
        }
        std::future::ready(Ok::<_, Infallible>(response))
    });
    client.write_all(requests).await.unwrap();
    let connection = http1::Builder::new().serve_connection(TokioIo::new(gate), service);
    let mut text = String::new();
    let (_, read) = tokio::join!(connection, client.read_to_string(&mut text));
    read.unwrap();
    text
}

#[tokio::test]
async fn a_refused_head_gets_its_response_in_its_turn_and_is_the_last() {
    let text = served(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3#x HTTP/1.1\r\n\r\nGET /4 HTTP/1.1\r\n\r\n").await;
    let (one, two) = (text.find("/1").unwrap(), text.find("/2").unwrap());
    let refused = text
        .find("HTTP/1.1 400 Bad Request\r\nconnection: close")
        .unwrap();
    assert!(one < two && two < refused);
    assert!(text.ends_with("the request target has a fragment (#)"));
}

#[tokio::test]
async fn a_refused_head_request_gets_a_response_without_a_body() {
    let text = served(b"HEAD /3#x HTTP/1.1\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 400 ") && text.ends_with("\r\n\r\n"));
    let text = served(b"POST / HTTP/1.0\r\nContent-Length: x\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.0 400 "));
}

/// Pipelined requests, good ones and bad ones, as clients and attackers send them.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![3 => good_request(), 1 => bad_request()], 1..4)
        .prop_map(|requests| requests.concat().into_bytes())
}

fn good_request() -> impl Strategy<Value = String> {
    let message = select(vec![
        "\r\n",
        "Content-Length: 0\r\n\r\n",
        "content-length:3 \r\n\r\nabc",
        "Expect: 100-continue\r\nContent-Length: 12\r\n\r\nGET / HTTP/1",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "transfer-encoding:\tChunked\r\n\r\n3 ;x=y\r\nabc\r\n0a\r\n0123456789\r\n00\t\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT: u\r\nV: w\r\n\r\n",
        "Upgrade: websocket\r\n\r\n",
    ]);
    (select(vec!["", "\r\n", "\n"]), target(), message).prop_map(|(before, target, message)| {
        format!("{before}POST {target} HTTP/1.1\r\nHost: a\r\n{message}")
    })
}

fn target() -> impl Strategy<Value = &'static str> {
    select(vec![
        "/",
        "/a?b",
        "*",
        "/<",
        "/>",
        "/?\"",
        "/`",
        "/\u{e4}",
        "http://h/<",
    ])
}

fn bad_request() -> impl Strategy<Value = String> {
    let method = select(vec!["GET", "POST", "HEAD", "CONNECT", "PRI", "M~", ""]);
    let target = prop_oneof![target(), select(vec!["/#", "h:1", "/a b", ""])];
    let version = select(vec![
        " HTTP/1.1",
        " HTTP/1.1",
        " HTTP/1.1",
        " HTTP/1.0",
        " HTTP/2.0",
        "",
    ]);
    let line_end = || select(vec!["\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", ""]);
    let field = select(vec![
        "Host: a",
        "Content-Length: 3",
        "content-length:3",
        "Content-Length: 0",
        "Content-Length : 3",
        "Content-Length: 3,3",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Connection: close",
        "Connection: keep-alive",
        " folded",
        "X:\r",
        "",
    ]);
    let fields = vec((field, line_end()), 0..4);
    let body = select(vec![
        "",
        "abc",
        "3\r\nabc\r\n0\r\n\r\n",
        "3\nabc\n0\n\n",
        "4\r\nabc\r\n0\r\n\r\n",
        "\r\n",
    ]);
    (
        method,
        target,
        version,
        line_end(),
        fields,
        line_end(),
        body,
    )
        .prop_map(|(method, target, version, end, fields, empty, body)| {
            let fields: String = (fields.iter())
                .map(|(field, end)| format!("{field}{end}"))
                .collect();
            format!("{method} {target}{version}{end}{fields}{empty}{body}")
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn hyper_sees_the_messages_that_the_gate_sees_in_any_bytes(bytes in vec(any::<u8>(), 0..200)) {
        against_hyper::check(&bytes);
    }

    #[test]
    fn hyper_sees_the_messages_that_the_gate_sees_in_requests(
        mut bytes in requests(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..2),
    ) {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        against_hyper::check(&bytes);
    }
}

fn limits() -> Limits {
    Limits {
        head_bytes: MAX_HEAD_BYTES,
        ..Limits::default()
    }
}
