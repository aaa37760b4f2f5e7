//! What is ambiguous or malformed is refused, and nothing of it is sent on.

use crate::support::{
    client::{Client, exchange, raw},
    patience::until,
    problem::assert_problem,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::{Answer, Wire, ok},
};

struct World {
    sidecar: Sidecar,
    upstream: Upstream,
    _tokens: TokenEndpoint,
}

fn world() -> World {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    World {
        sidecar,
        upstream,
        _tokens: tokens,
    }
}

impl World {
    /// Asserts that `request` gets one answer, that the connection is closed after it, and that nothing went upstream; gives the answer.
    #[track_caller]
    fn refused(&self, request: &[u8]) -> Answer {
        let shown = String::from_utf8_lossy(request);
        // What follows a refused request on the same connection must not be taken for a request.
        let mut bytes = request.to_vec();
        bytes.extend_from_slice(b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answers = raw(self.sidecar.address(), bytes).unwrap_or_else(|error| {
            panic!("the connection is not closed after {shown:?}: {error}")
        });
        let mut wire = Wire::new(std::io::Cursor::new(answers));
        let answer = wire
            .answer("GET")
            .unwrap_or_else(|error| panic!("{error}, after {shown:?}"));
        assert_eq!(
            wire.rest().unwrap(),
            b"",
            "a second answer, after {shown:?}"
        );
        assert_eq!(
            self.upstream.requests().len(),
            0,
            "reached the upstream: {shown:?}"
        );
        answer
    }

    /// As `refused`, with 400: our own, or the parser's bare one.
    #[track_caller]
    fn malformed(&self, request: &[u8]) {
        let answer = self.refused(request);
        assert_eq!(
            answer.status,
            400,
            "{:?}: {answer:?}",
            String::from_utf8_lossy(request)
        );
        if !answer.body.is_empty() {
            assert_problem(&answer, 400, "bad-request");
        }
    }

    /// The answer to a request whose end is plain, so that its connection may go on; nothing may go upstream.
    #[track_caller]
    fn denied(&self, request: &str) -> Answer {
        let answer = exchange(self.sidecar.address(), request);
        assert_eq!(
            self.upstream.requests().len(),
            0,
            "reached the upstream: {request:?}"
        );
        answer
    }

    /// Asserts that the sidecar serves as before.
    #[track_caller]
    fn still_serves(&self) {
        assert_eq!(self.sidecar.get("/").status, 200);
        assert_eq!(self.upstream.requests().len(), 1);
    }
}

#[test]
fn a_request_needs_exactly_one_sound_host() {
    let world = world();
    for host in [
        "",
        "Host: localhost\r\nHost: localhost\r\n",
        "Host: localhost\r\nhost: evil.example\r\n",
        "Host: localhost, evil.example\r\n",
        "Host: localhost evil.example\r\n",
        "Host: user@localhost\r\n",
        "Host: localhost/path\r\n",
        "Host: localhost?x\r\n",
        "Host: localhost:80:90\r\n",
        "Host: localhost:port\r\n",
        "Host: localhost:99999\r\n",
        "Host: [::1\r\n",
        "Host: ::1\r\n",
        "Host:\r\n",
    ] {
        let answer = world.refused(format!("GET / HTTP/1.1\r\n{host}\r\n").as_bytes());
        assert_problem(&answer, 400, "bad-request");
    }
    world.still_serves();
}

#[test]
fn a_host_may_have_a_port_and_be_an_address() {
    let world = world();
    for host in [
        "localhost",
        "LOCALHOST:1",
        "127.0.0.1:8080",
        "[::1]",
        "[::1]:8080",
    ] {
        let answer = exchange(
            world.sidecar.address(),
            format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        );
        assert_eq!(answer.status, 200, "{host}: {answer:?}");
    }
}

#[test]
fn the_length_of_a_body_is_told_in_one_way_only() {
    let world = world();
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5,6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 5.0\r\n",
        "Content-Length:\r\n",
        "Content-Length: five\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Content-Length : 5\r\n",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n0\r\n\r\n");
        world.malformed(request.as_bytes());
    }
    world.still_serves();
}

#[test]
fn one_final_chunked_is_the_only_transfer_coding() {
    let world = world();
    for coding in [
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: localhost\r\n{coding}\r\n0\r\n\r\n");
        world.malformed(request.as_bytes());
    }
    world.malformed(
        b"POST / HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    );
    world.still_serves();
}

#[test]
fn a_trailer_section_that_two_readers_would_end_in_two_places_holds_no_request() {
    for trailers in [
        "\n",
        "x-sum: 1\n\n",
        "x-sum: 1\r\n\n",
        "x-sum: 1\nx-other: 2\r\n\r\n",
    ] {
        let body = format!("5\r\nhello\r\n0\r\n{trailers}");
        let head = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let world = world();
        let mut client = Client::connect(world.sidecar.address());
        client.send(format!("{head}{body}{smuggled}"));
        // Refused, or re-framed with what follows as a part of the section.
        if client.answer().status == 200 {
            assert_eq!(world.upstream.last().body, b"hello", "{trailers:?}");
            client.send("GET /next HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let _ = client.wire().answer("GET");
        }
        let seen = world.upstream.requests();
        assert!(
            seen.iter().all(|seen| seen.head.target() != "/smuggled"),
            "{trailers:?}"
        );
        assert_eq!(world.sidecar.get("/").status, 200);
    }
}

#[test]
fn connect_and_trace_are_not_spoken() {
    let world = world();
    for request in [
        "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n",
        "CONNECT / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        assert_problem(&world.denied(request), 405, "method-not-allowed");
    }
    world.still_serves();
}

#[test]
fn an_expectation_that_nobody_can_meet_is_refused() {
    let world = world();
    for expectation in [
        "the-impossible",
        "100-continue, the-impossible",
        "\"100-continue\"",
    ] {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: {expectation}\r\nContent-Length: 0\r\n\r\n"
        );
        assert_problem(&world.denied(&request), 417, "expectation-failed");
    }
    world.still_serves();
}

#[test]
fn an_absolute_form_target_has_to_name_an_accepted_host() {
    let world = world();
    let foreign = "GET http://evil.example/a HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_problem(&world.denied(foreign), 421, "host-not-allowed");
    let own = "GET http://localhost:1234/a?b HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(exchange(world.sidecar.address(), own).status, 200);
    let sent = world.upstream.last().head;
    assert_eq!(sent.start, "GET /a?b HTTP/1.1");
    assert_eq!(
        sent.value("host"),
        Some(world.upstream.address().to_string().as_str())
    );
}

#[test]
fn a_target_is_a_path_or_a_uri() {
    let world = world();
    for target in ["*", "a", "localhost/a", "?a", "#a"] {
        let answer =
            world.refused(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
        assert!((400..500).contains(&answer.status), "{target}: {answer:?}");
    }
    world.still_serves();
}

#[test]
fn a_malformed_request_line_is_refused() {
    let world = world();
    for line in [
        "GET /",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.2.3",
        "GET / HTTP/3.0",
        "GET / http/1.1",
        "GET /a b HTTP/1.1",
        " GET / HTTP/1.1",
        "G@T / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\u{1} HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
        "/ HTTP/1.1",
    ] {
        let answer = world.refused(format!("{line}\r\nHost: localhost\r\n\r\n").as_bytes());
        assert!(matches!(answer.status, 400 | 505), "{line:?}: {answer:?}");
    }
    world.still_serves();
}

#[test]
fn a_malformed_field_is_refused() {
    let world = world();
    for field in [
        "no-colon",
        ": no name",
        "sp ace: x",
        "space : x",
        " folded: x",
        "nul: a\0b",
        "bare-cr: a\rb",
        "x: y\r\n folded",
        "x: y\r\n\tfolded",
        "bracket(: x",
        "br\u{e4}d: x",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{field}\r\n\r\n");
        world.malformed(request.as_bytes());
    }
    world.still_serves();
}

#[test]
fn something_else_than_http_is_refused_or_cut() {
    let world = world();
    // A TLS hello, a TLS-like record, and noise: no answer is owed, a closed connection is.
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0",
        b"\xff\xfe\r\n\r\n",
        b"QUIT\r\n\r\n",
    ] {
        let answer = raw(
            world.sidecar.address(),
            [bytes, b"\r\n\r\n\r\n\r\n"].concat(),
        );
        if let Ok(answer) = answer {
            assert!(
                answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"),
                "{bytes:?}: {answer:?}"
            );
        }
    }
    world.still_serves();
}

#[test]
fn bad_chunks_are_refused_and_never_end_a_request() {
    let world = world();
    for body in [
        "5\r\nhelloXX0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "x\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nno colon\r\n\r\n",
    ] {
        let mut client = Client::connect(world.sidecar.address());
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
        ));
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{body:?}");
        assert_problem(&answer, 400, "bad-request");
        assert!(client.is_closed(), "{body:?}");
        assert_eq!(
            world.upstream.requests().len(),
            0,
            "{body:?} reached the upstream as a whole request"
        );
    }
    world.still_serves();
}

#[test]
fn a_bare_line_feed_is_never_passed_on() {
    let world = world();
    let bytes = b"GET /a HTTP/1.1\nHost: localhost\nx-own: 1\n\n";
    let answer = raw(
        world.sidecar.address(),
        [
            &bytes[..],
            b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        ]
        .concat(),
    );
    let answer = answer.unwrap();
    // Refused, or framed afresh.
    assert!(
        answer.starts_with(b"HTTP/1.1 400") || answer.starts_with(b"HTTP/1.1 200"),
        "{answer:?}"
    );
    for request in world.upstream.requests() {
        let raw = request.head.raw;
        let bare = raw
            .iter()
            .enumerate()
            .any(|(at, &byte)| byte == b'\n' && (at == 0 || raw[at - 1] != b'\r'));
        assert!(!bare, "{:?}", String::from_utf8_lossy(&raw));
    }
}

#[test]
fn unknown_methods_pass() {
    let world = world();
    for method in ["PURGE", "M-SEARCH", "get"] {
        let answer = exchange(
            world.sidecar.address(),
            format!("{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        );
        assert_eq!(answer.status, 200, "{method}: {answer:?}");
        assert_eq!(world.upstream.last().head.method(), method);
    }
}

#[test]
fn an_answer_to_head_is_logged_with_the_bytes_that_were_sent() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin())
        .log("level = \"info\"\nformat = \"json\"")
        .start_ready();
    for method in ["HEAD", "GET"] {
        let request =
            format!("{method} / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
        let answer = raw(sidecar.address(), request).unwrap();
        let body = answer.len()
            - 4
            - answer
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n")
                .unwrap();
        let line = until("the line of the request", || {
            let written = sidecar.written();
            let mut lines = written
                .lines()
                .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            lines.find(|line| line["method"] == method)
        });
        assert_eq!(
            (&line["status"], &line["bytes"]),
            (&421.into(), &body.into()),
            "{line}"
        );
        assert_eq!(body == 0, method == "HEAD");
    }
}
