//! What a client sends through the framing gate: hyper sees the messages that the gate sees, and no ambiguous one.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    io,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bearward::server::{
    framing_gate::{FramingGate, GatePhase, GateRefusal, GateVerdicts},
    limits::Limits,
};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// More than any input here, unless it is meant to be too long.
const MAX_HEAD_BYTES: usize = 4096;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads `data` as what came over a connection.
pub fn check(data: &[u8]) {
    let whole = pass(data, data.len().max(1), 8 * 1024);
    for (piece, room) in [(1, 8 * 1024), (1 + data.len() % 7, 100), (24, 24)] {
        let split = pass(data, piece, room);
        assert_eq!(whole, split, "it matters how the bytes come in");
    }
    if data.starts_with(PREFACE) {
        assert_eq!(whole.bytes, data, "HTTP/2 was touched");
        return;
    }
    let boundaries = boundaries(data);
    assert_eq!(boundaries.refusal, whole.refusal);
    unambiguous(data, &boundaries);
    for piece in [data.len().max(1), 1 + data.len() % 31] {
        same_messages(data, piece, &boundaries);
    }
    if boundaries.refusal == Some(GateRefusal::MalformedRequestLine) {
        let rest = &data[boundaries.refused_at..];
        let (seen, _) = serve(Script::new(rest, rest.len().max(1)), None);
        assert!(seen.is_empty(), "a good request line was refused");
    }
}

/// What comes out of the gate for `data`.
#[derive(Debug, PartialEq, Eq)]
struct Passed {
    bytes: Vec<u8>,
    heads: u64,
    refusal: Option<GateRefusal>,
    phase: GatePhase,
}

fn pass(data: &[u8], piece: usize, room: usize) -> Passed {
    let mut gate = FramingGate::new(Script::new(data, piece), GateVerdicts::default(), &limits());
    let verdicts = gate.verdicts();
    let (mut bytes, mut refusal, mut answered) = (Vec::new(), None, 0);
    let mut room = vec![0; room];
    loop {
        let there = bytes.len();
        while let Some(count) = read(&mut gate, &mut room) {
            bytes.extend_from_slice(&room[..count]);
        }
        refusal = refusal.or(answer(&mut gate, &verdicts, &mut answered));
        if bytes.len() == there {
            break;
        }
    }
    assert_eq!(
        verdicts.phase() == GatePhase::Head,
        verdicts.head_bytes_pending() > 0
    );
    Passed {
        bytes,
        heads: verdicts.heads(),
        refusal,
        phase: verdicts.phase(),
    }
}

/// Reads what may go on, if anything may.
fn read(gate: &mut FramingGate<Script>, room: &mut [u8]) -> Option<usize> {
    let mut buffer = ReadBuf::new(room);
    let mut cx = Context::from_waker(Waker::noop());
    let read = Pin::new(gate).poll_read(&mut cx, &mut buffer);
    (read.is_ready() && !buffer.filled().is_empty()).then_some(buffer.filled().len())
}

/// Answers as a service does, and gives what the gate says of the requests.
fn answer(
    gate: &mut FramingGate<Script>,
    verdicts: &GateVerdicts,
    answered: &mut u64,
) -> Option<GateRefusal> {
    let mut refusal = None;
    while *answered < verdicts.heads() {
        assert_eq!(refusal, None, "something follows a refused head");
        refusal = verdicts.next_request();
        *answered += 1;
    }
    let mut cx = Context::from_waker(Waker::noop());
    let _ = Pin::new(gate).poll_write(&mut cx, b"HTTP/1.1 200 OK\r\n\r\n");
    refusal
}

/// Where the gate sees the messages of a connection.
#[derive(Debug, Default)]
struct Boundaries {
    messages: Vec<Message>,
    refused_at: usize,
    refusal: Option<GateRefusal>,
}

#[derive(Debug)]
struct Message {
    start: usize,
    body: usize,
    end: Option<usize>,
}

/// Shows the gate one byte after the other.
fn boundaries(data: &[u8]) -> Boundaries {
    let mut gate = FramingGate::new(Script::new(&[], 1), GateVerdicts::default(), &limits());
    let verdicts = gate.verdicts();
    let mut found = Boundaries::default();
    let mut room = [0; 64];
    let (mut start, mut answered) = (0, 0);
    for (at, byte) in data.iter().enumerate() {
        gate.get_mut().pieces.push_back(vec![*byte]);
        while read(&mut gate, &mut room).is_some() {}
        if verdicts.heads() > answered {
            found.refusal = answer(&mut gate, &verdicts, &mut answered);
            if found.refusal.is_some() {
                found.refused_at = start;
                return found;
            }
            let (body, end) = (at + 1, None);
            found.messages.push(Message { start, body, end });
        }
        if verdicts.is_between_messages() {
            start = at + 1;
            answer(&mut gate, &verdicts, &mut answered);
            if let Some(last) = found.messages.last_mut() {
                last.end.get_or_insert(at + 1);
            }
        }
    }
    found
}

/// No head that passes frames its body in two ways.
fn unambiguous(data: &[u8], boundaries: &Boundaries) {
    for message in &boundaries.messages {
        let head = &data[message.start..message.body];
        assert!(head.len() <= MAX_HEAD_BYTES + 64);
        let named = |name: &str| {
            let lines = head.split(|byte| *byte == b'\n');
            let is_it = |line: &&[u8]| {
                let named = line.get(..name.len());
                named.is_some_and(|named| named.eq_ignore_ascii_case(name.as_bytes()))
            };
            lines.filter(is_it).count()
        };
        let framings = named("content-length:") + named("transfer-encoding:");
        assert!(framings <= 1, "{}", head.escape_ascii());
        let line = head.split(|byte| *byte == b' ').nth(1);
        assert!(!line.is_some_and(|target| target.contains(&b'#')));
    }
}

/// hyper behind the gate serves the messages that the gate sees, as far as it serves any.
fn same_messages(data: &[u8], piece: usize, boundaries: &Boundaries) {
    let gate = FramingGate::new(Script::new(data, piece), GateVerdicts::default(), &limits());
    let verdicts = gate.verdicts();
    let (seen, has_ended) = serve(gate, Some(verdicts));
    let mut messages = boundaries.messages.iter();
    for (number, request) in seen.iter().enumerate() {
        if let Some(refusal) = request.refusal {
            assert_eq!(number + 1, seen.len(), "something follows a refused head");
            assert_eq!(
                (Some(refusal), messages.len()),
                (boundaries.refusal, 0),
                "the wrong request was refused"
            );
            return;
        }
        let message = messages.next().expect("hyper sees a message that is none");
        let head = &data[message.start..message.body];
        let target = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        if let Some(expected) = expected_target(target) {
            assert_eq!(request.target, expected);
        }
        let body = &data[message.body..message.end.unwrap_or(data.len())];
        let is_chunked = head
            .split(|byte| *byte == b'\n')
            .any(|line| line.to_ascii_lowercase().starts_with(b"transfer-encoding:"));
        match &request.body {
            Body::Whole(content) => {
                assert!(message.end.is_some(), "hyper sees an end of a body earlier");
                let expected = match is_chunked {
                    true => content_of_chunks(body),
                    false => body.to_vec(),
                };
                assert_eq!(*content, expected, "hyper sees another body");
            }
            Body::Incomplete => assert!(message.end.is_none(), "hyper sees the end later"),
            Body::Broken => {
                assert!(is_chunked && number + 1 == seen.len());
                let rest = &data[message.start..];
                let (alone, _) = serve(Script::new(rest, rest.len()), None);
                let is_broken = |alone: &Seen| matches!(alone.body, Body::Broken);
                // Without the gate, hyper refuses some targets.
                assert!(
                    alone.first().is_none_or(is_broken),
                    "the gate breaks a body"
                );
            }
        }
    }
    let served_all = messages.len() == 0 && boundaries.refusal.is_none();
    assert!(served_all || has_ended, "hyper waits for what has come");
}

/// The path and query that hyper sees, where the target has one.
fn expected_target(target: &[u8]) -> Option<String> {
    let path = match target {
        [b'/', ..] => target,
        _ => {
            let authority = target.strip_prefix(b"http://")?;
            let path = authority
                .iter()
                .position(|byte| matches!(byte, b'/' | b'?'))?;
            &authority[path..]
        }
    };
    let mut expected = String::new();
    for byte in path {
        match byte {
            b'"' | b'<' | b'>' | b'`' | 0x80.. => expected.push_str(&format!("%{byte:02X}")),
            _ => expected.push(char::from(*byte)),
        }
    }
    Some(expected)
}

/// The content of a chunked body that is known to be complete.
fn content_of_chunks(mut body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    loop {
        let digits = body.iter().position(|byte| !byte.is_ascii_hexdigit());
        let size = std::str::from_utf8(&body[..digits.unwrap()]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let line = body.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        if size == 0 {
            return content;
        }
        content.extend_from_slice(&body[line..line + size]);
        body = &body[line + size + 2..];
    }
}

/// A request as hyper hands it to a service.
#[derive(Debug)]
struct Seen {
    refusal: Option<GateRefusal>,
    target: String,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Incomplete,
    Broken,
    Whole(Vec<u8>),
}

/// Serves a connection as far as its bytes go. Gives the requests, and whether the connection has ended.
fn serve<I>(stream: I, verdicts: Option<GateVerdicts>) -> (Vec<Seen>, bool)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = seen.clone();
        let refusal = verdicts.as_ref().and_then(GateVerdicts::next_request);
        async move {
            let number = {
                let mut seen = seen.lock().unwrap();
                seen.push(Seen {
                    refusal,
                    target: request
                        .uri()
                        .path_and_query()
                        .map_or("", |path| path.as_str())
                        .to_owned(),
                    body: Body::Incomplete,
                });
                seen.len() - 1
            };
            let body = match request.into_body().collect().await {
                Ok(body) => Body::Whole(body.to_bytes().to_vec()),
                Err(_) => Body::Broken,
            };
            seen.lock().unwrap()[number].body = body;
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let has_ended = {
        let mut connection =
            pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        let mut has_ended = false;
        while !has_ended && woken.0.swap(false, Ordering::Relaxed) {
            has_ended = connection.as_mut().poll(&mut cx).is_ready();
        }
        has_ended
    };
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (seen, has_ended)
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A client that sends these pieces, then nothing more, and reads whatever comes.
#[derive(Debug)]
struct Script {
    pieces: VecDeque<Vec<u8>>,
}

impl Script {
    fn new(data: &[u8], piece: usize) -> Self {
        let pieces = data.chunks(piece).map(<[u8]>::to_vec).collect();
        Self { pieces }
    }
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(mut piece) = self.pieces.pop_front() else {
            return Poll::Pending;
        };
        let there = piece.len().min(buffer.remaining());
        buffer.put_slice(&piece[..there]);
        if there < piece.len() {
            piece.drain(..there);
            self.pieces.push_front(piece);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn limits() -> Limits {
    Limits {
        head_bytes: MAX_HEAD_BYTES,
        ..Limits::default()
    }
}
