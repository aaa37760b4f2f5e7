//! An upstream that lies about its own answers: the caller gets a clean failure or a cut, and the next answer is the next
//! request's.

use std::collections::HashMap;

use crate::support::{
    client::Client,
    either::{Ask, Protocol},
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::ok,
};

/// What a caller may get for an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum May {
    /// A 502 and nothing else.
    Fail,
    /// A head, and then an end that is none.
    Break,
    /// Either.
    FailOrBreak,
    /// What is sound about the answer: this body.
    Be(&'static str),
    /// A 502, or this body, framed afresh.
    FailOrBe(&'static str),
}

/// A smuggled answer: the one thing that nobody may ever see.
const EVIL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";

fn answers() -> Vec<(&'static str, String, May)> {
    let head = "HTTP/1.1 200 OK\r\n";
    let large = format!(
        "{head}content-length: 0\r\nx-large: {}\r\n\r\n",
        "x".repeat(500 * 1024)
    );
    let folded = format!("{head}content-length: 4\r\nx: a\r\n b\r\n\r\nfine");
    let trailers = format!(
        "{head}transfer-encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\nx: {}\r\n\r\n",
        "x".repeat(500 * 1024)
    );
    let extension = format!(
        "{head}transfer-encoding: chunked\r\n\r\n4;{}\r\nfine\r\n0\r\n\r\n",
        "x".repeat(500 * 1024)
    );
    let with = |fields: &str, rest: &str| format!("{head}{fields}\r\n\r\n{rest}");
    let chunks = |body: &str| with("transfer-encoding: chunked", body);
    vec![
        (
            "two lengths",
            with("content-length: 4\r\ncontent-length: 40", EVIL),
            May::Fail,
        ),
        (
            "a list of lengths",
            with("content-length: 4, 40", EVIL),
            May::Fail,
        ),
        (
            "a signed length",
            with("content-length: +4", EVIL),
            May::Fail,
        ),
        (
            "a length with a letter",
            with("content-length: 0x4", EVIL),
            May::Fail,
        ),
        (
            "an endless length",
            with("content-length: 99999999999999999999999", EVIL),
            May::Fail,
        ),
        (
            "a length beside chunks",
            with(
                "content-length: 4\r\ntransfer-encoding: chunked",
                &format!("0\r\n\r\n{EVIL}"),
            ),
            May::Fail,
        ),
        (
            "two codings",
            with(
                "transfer-encoding: gzip, chunked",
                &format!("0\r\n\r\n{EVIL}"),
            ),
            May::Fail,
        ),
        (
            "chunked twice",
            with(
                "transfer-encoding: chunked, chunked",
                &format!("0\r\n\r\n{EVIL}"),
            ),
            May::Fail,
        ),
        (
            "an unknown coding",
            with("transfer-encoding: xchunked", EVIL),
            May::Fail,
        ),
        (
            "a name with a space",
            with("transfer-encoding : chunked", &format!("0\r\n\r\n{EVIL}")),
            May::FailOrBe(""),
        ),
        (
            "a control in a value",
            with("content-length: 4\r\nx: a\x01b\0", "fine"),
            May::Fail,
        ),
        (
            "a line feed alone",
            "HTTP/1.1 200 OK\ncontent-length: 4\n\nfine".to_owned(),
            May::FailOrBe("fine"),
        ),
        ("500 KiB of head", large, May::Fail),
        (
            "a head without end",
            format!("{head}{}", "x: y\r\n".repeat(200_000)),
            May::Fail,
        ),
        (
            "a status line without end",
            format!("HTTP/1.1 200 {}", "O".repeat(500_000)),
            May::Fail,
        ),
        ("a folded line", folded, May::FailOrBe("fine")),
        (
            "a chunk size that is none",
            chunks("hello\r\nfine\r\n0\r\n\r\n"),
            May::FailOrBreak,
        ),
        (
            "a chunk size too large",
            chunks("fffffffffffffffff\r\nfine\r\n0\r\n\r\n"),
            May::FailOrBreak,
        ),
        (
            "a negative chunk size",
            chunks("-1\r\nfine\r\n0\r\n\r\n"),
            May::FailOrBreak,
        ),
        (
            "a chunk longer than its size",
            chunks("3\r\nfine\r\n0\r\n\r\n"),
            May::FailOrBreak,
        ),
        ("a chunk extension without end", extension, May::FailOrBreak),
        ("trailers without end", trailers, May::FailOrBreak),
        (
            "trailers ended by a bare line feed",
            chunks(&format!("4\r\nfine\r\n0\r\n\n{EVIL}")),
            May::FailOrBe("fine"),
        ),
        (
            "chunks without the last one",
            chunks("4\r\nfine\r\n"),
            May::Break,
        ),
        (
            "a length that is not kept",
            with("content-length: 10", "fine"),
            May::Break,
        ),
        (
            "a second answer",
            with("content-length: 4", &format!("fine{EVIL}")),
            May::Be("fine"),
        ),
        (
            "an answer behind chunks",
            chunks(&format!("4\r\nfine\r\n0\r\n\r\n{EVIL}")),
            May::Be("fine"),
        ),
        (
            "a body for a 204",
            format!("HTTP/1.1 204 No Content\r\n\r\n{EVIL}"),
            May::Be(""),
        ),
        (
            "a body for a 304",
            format!("HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n{EVIL}"),
            May::Be(""),
        ),
        (
            "a switch to http2",
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nevil"
                .into(),
            May::Fail,
        ),
        (
            "a switch to nothing",
            format!("HTTP/1.1 101 Switching Protocols\r\n\r\n{EVIL}"),
            May::Fail,
        ),
    ]
}

fn world() -> (Sidecar, Upstream) {
    let hostile: HashMap<_, _> = answers()
        .into_iter()
        .map(|(name, bytes, _)| (path(name), bytes))
        .collect();
    let upstream = Upstream::scripted(move |mut connection| {
        while let Ok(Some(request)) = connection.request() {
            match hostile.get(request.head.target()) {
                None => {
                    let _ = connection.wire.send(ok(request.head.target()));
                }
                Some(bytes) => {
                    // Hung up on before all of it went out, as like as not.
                    let _ = connection.wire.send(bytes);
                    if bytes.ends_with("evil") {
                        continue;
                    }
                    return;
                }
            }
        }
    });
    let tokens = TokenEndpoint::issuing("token-1");
    // One worker, so that what is left in a connection would meet the next request.
    let setup = Setup::new(&tokens, upstream.origin()).tables("[runtime]\nworkers = 1");
    (setup.start_ready(), upstream)
}

fn path(name: &str) -> String {
    format!("/{}", name.replace(' ', "-"))
}

#[test]
fn the_caller_gets_a_failure_or_a_cut_and_the_next_answer_is_the_next_requests() {
    let (sidecar, upstream) = world();
    let mut neighbour = Client::connect(sidecar.address());
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for method in ["GET", "POST"] {
            for (name, _, may) in answers() {
                let before = upstream.count();
                let path = path(name);
                let got = Ask::new(method, &path).ask(protocol, sidecar.address());
                let may_fail = matches!(may, May::Fail | May::FailOrBreak | May::FailOrBe(_));
                match (&got, may) {
                    (Ok(told), _) if may_fail && told.status == 502 => {
                        told.assert_problem(502, "upstream-protocol");
                    }
                    (Ok(told), May::Be(body) | May::FailOrBe(body)) => {
                        assert_eq!(told.text(), body, "{name}: {told:?}");
                    }
                    (Err(_), May::Break | May::FailOrBreak) => {}
                    _ => panic!("{protocol:?} {method} {name}: {may:?} was wanted, not {got:?}"),
                }
                assert_eq!(
                    upstream.count(),
                    before + 1,
                    "{name}: the request was sent again"
                );
                for number in 0..3 {
                    let target = format!("/{number}");
                    assert_eq!(neighbour.get(&target).text(), target, "after {name}");
                }
            }
        }
    }
    let peak = sidecar.peak_resident_kib();
    assert!(peak < 64 * 1024, "{peak} KiB were resident at the peak");
}

#[test]
fn a_connection_of_a_caller_is_poisoned_by_none_of_them_either() {
    let (sidecar, _upstream) = world();
    for (name, _, may) in answers() {
        let mut client = Client::connect(sidecar.address());
        client.send(format!(
            "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            path(name)
        ));
        client.send("GET /next HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let cut = client.wire().answer("GET").is_err();
        assert!(
            cut || may != May::Break,
            "{name}: half an answer looked whole"
        );
        assert!(
            !cut || matches!(may, May::Break | May::FailOrBreak),
            "{name}: no answer"
        );
        // Closed, or the very answer to the request behind it; of what a cut left, nothing looks like one.
        if let Ok(next) = client.wire().answer("GET") {
            assert_eq!(next.text(), "/next", "after {name}");
        }
    }
}
