//! What of a request goes on, and how.

use std::{sync::Arc, thread, time::Duration};

use socket2::SockRef;

use crate::support::{
    client::{A_WHILE, Client, exchange},
    h2_upstream::H2Upstream,
    patience::{Gate, until},
    problem::assert_problem,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::{TokenEndpoint, error_response},
    upstream::Upstream,
    wire::{chunked, ok},
};

fn world() -> (Sidecar, Upstream) {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|request| ok(&request.body));
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    (sidecar, upstream)
}

#[test]
fn method_path_query_and_host_are_the_upstreams() {
    let (sidecar, upstream) = world();
    exchange(
        sidecar.address(),
        "PATCH /a/b?c=d&e HTTP/1.1\r\nHost: localhost:1\r\nContent-Length: 0\r\n\r\n",
    );
    let head = upstream.last().head;
    assert_eq!(head.start, "PATCH /a/b?c=d&e HTTP/1.1");
    assert_eq!(
        head.value("host"),
        Some(upstream.address().to_string().as_str())
    );
}

#[test]
fn hop_by_hop_fields_stay_here() {
    let (sidecar, upstream) = world();
    let fields = "Connection: keep-alive, X-Hop, x-other-hop\r\nX-Hop: 1\r\nX-Other-Hop: 2\r\nKeep-Alive: timeout=5\r\n\
                  Proxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: websocket\r\nTrailer: x\r\nX-End-To-End: 3\r\n";
    exchange(
        sidecar.address(),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"),
    );
    let head = upstream.last().head;
    for name in [
        "x-hop",
        "x-other-hop",
        "keep-alive",
        "proxy-connection",
        "upgrade",
    ] {
        assert!(!head.has(name), "{name} went on: {head:?}");
    }
    assert!(!head.values("te").contains(&"gzip"), "{head:?}");
    let connection = head.values("connection").join(", ").to_ascii_lowercase();
    assert!(!connection.contains("hop"), "{head:?}");
    assert_eq!(head.value("x-end-to-end"), Some("3"));
}

#[test]
fn whatever_field_connection_names_stays_here() {
    let (sidecar, upstream) = world();
    let fields = "Connection: content-type, Origin-Like\r\nContent-Type: a/b\r\nOrigin-Like: 1\r\nX-Kept: 1\r\n";
    exchange(
        sidecar.address(),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"),
    );
    let head = upstream.last().head;
    assert!(
        !head.has("content-type") && !head.has("origin-like"),
        "{head:?}"
    );
    assert_eq!(head.value("x-kept"), Some("1"));
}

#[test]
fn connection_cannot_take_away_what_the_request_needs() {
    let (sidecar, upstream) = world();
    let answer = exchange(
        sidecar.address(),
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: content-length, host, authorization\r\nContent-Length: 4\r\n\r\nbody",
    );
    assert_eq!((answer.status, answer.text().as_str()), (200, "body"));
    assert_eq!(
        upstream.last().head.value("authorization"),
        Some("Bearer token-1")
    );
}

#[test]
fn all_other_fields_pass_as_they_came_and_in_their_order() {
    let (sidecar, upstream) = world();
    let fields = [
        ("accept", "text/html;q=0.1, */*"),
        ("x-repeated", "1"),
        ("cookie", "a=b; c=d"),
        ("x-repeated", "2"),
        ("x-forwarded-for", "10.0.0.1"),
        ("user-agent", "legacy/1.0 (\"quoted\")"),
        ("x-repeated", "1"),
        ("x-empty", ""),
        ("x-tab", "a\tb"),
        ("content-type", "application/vnd.x+json; charset=\"utf-8\""),
    ];
    let lines: String = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let mut request =
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{lines}x-obs-text: ").into_bytes();
    request.extend_from_slice(b"caf\xe9\r\n\r\n");
    assert_eq!(exchange(sidecar.address(), request).status, 200);
    let head = upstream.last().head;
    for (name, _) in fields {
        let sent: Vec<_> = fields
            .iter()
            .filter(|(n, _)| *n == name)
            .map(|(_, value)| *value)
            .collect();
        assert_eq!(head.values(name), sent, "{head:?}");
    }
    assert_eq!(head.value("x-obs-text"), Some("caf\u{e9}"));
}

#[test]
fn names_keep_their_spelling_both_ways() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| {
        b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 4\r\nX-ReQuEsT-iD: 1\r\netag: \"a\"\r\n\r\nfine"
            .to_vec()
    });
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nX-ReQuEsT-iD: 1\r\naccept: */*\r\nSOAPAction: x\r\n\r\n";
    let answer = exchange(sidecar.address(), request);
    let has = |raw: &[u8], line: &str| String::from_utf8_lossy(raw).contains(line);
    let sent = upstream.last().head.raw;
    for line in [
        "X-ReQuEsT-iD: 1\r\n",
        "accept: */*\r\n",
        "SOAPAction: x\r\n",
        "Host: 127.0.0.1",
        "Authorization: Bearer token-1\r\n",
    ] {
        assert!(
            has(&sent, line),
            "{line}: {}",
            String::from_utf8_lossy(&sent)
        );
    }
    for line in [
        "content-LENGTH: 4\r\n",
        "X-ReQuEsT-iD: 1\r\n",
        "etag: \"a\"\r\n",
    ] {
        assert!(has(&answer.head.raw, line), "{line}: {answer:?}");
    }
}

#[test]
fn what_the_sidecar_writes_itself_is_spelled_in_the_usual_way() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream =
        H2Upstream::start(|mut call| async move { call.answer(200, &[("x-own", "1")], "fine") });
    let http2 = Setup::new(&tokens, upstream.origin())
        .route("http2 = \"prior-knowledge\"")
        .start_ready();
    let head = http2.get("/").head;
    let raw = String::from_utf8_lossy(&head.raw);
    assert!(raw.contains("X-Own: 1\r\n"), "{raw}");
    let (sidecar, _upstream) = world();
    let refused = exchange(
        sidecar.address(),
        "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    );
    let raw = String::from_utf8_lossy(&refused.head.raw);
    assert!(raw.contains("\r\nContent-Length: "), "{raw}");
    assert!(raw.contains("\r\nContent-Type: "), "{raw}");
}

#[test]
fn the_sidecar_adds_nothing_that_names_the_caller() {
    let (sidecar, upstream) = world();
    exchange(
        sidecar.address(),
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    let head = upstream.last().head;
    let mut names: Vec<_> = head
        .fields
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.retain(|name| {
        !matches!(
            name.as_str(),
            "host" | "authorization" | "via" | "connection"
        )
    });
    assert_eq!(names, Vec::<String>::new(), "{head:?}");
}

#[test]
fn a_body_passes_whatever_its_framing() {
    let (sidecar, upstream) = world();
    let body: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let mut client = Client::connect(sidecar.address());
    for framing in [0, 1, 7, 4096, 200_000] {
        let mut request = b"POST /sink HTTP/1.1\r\nHost: localhost\r\n".to_vec();
        if framing == 0 {
            request.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            request.extend_from_slice(&body);
        } else {
            request.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            let part = if framing == 1 {
                &body[..2000]
            } else {
                &body[..]
            };
            request.extend_from_slice(&chunked(part, framing, ""));
        }
        let mut writer = client.socket();
        let sender = thread::spawn(move || std::io::Write::write_all(&mut writer, &request));
        let answer = client.answer();
        sender.join().unwrap().unwrap();
        assert_eq!(answer.status, 200);
        let wanted = if framing == 1 {
            &body[..2000]
        } else {
            &body[..]
        };
        assert!(
            answer.body == wanted,
            "chunks of {framing}: the body changed on the way there or back"
        );
        assert!(upstream.last().body == wanted);
    }
}

#[test]
fn chunk_extensions_and_odd_sizes_are_framed_afresh() {
    let (sidecar, upstream) = world();
    let body = "00005;name=value;x=\"y;z\"\r\nhello\r\nA\r\n0123456789\r\n000\r\n\r\n";
    let answer = exchange(
        sidecar.address(),
        format!("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: Chunked\r\n\r\n{body}"),
    );
    assert_eq!(answer.text(), "hello0123456789");
    assert_eq!(upstream.last().body, b"hello0123456789");
}

#[test]
fn a_request_without_a_body_gets_none() {
    let (sidecar, upstream) = world();
    exchange(
        sidecar.address(),
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    let head = upstream.last().head;
    assert!(
        !head.has("transfer-encoding") && !head.has("content-length"),
        "{head:?}"
    );
    exchange(
        sidecar.address(),
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
    );
    let head = upstream.last().head;
    assert_eq!(head.value("content-length"), Some("0"), "{head:?}");
}

#[test]
fn trailers_pass_but_for_those_that_would_be_believed() {
    let (sidecar, upstream) = world();
    let trailers = "x-checksum: abc\r\nAuthorization: Bearer evil\r\nauthorization_: x\r\nProxy-Authorization: evil\r\n\
                    Content-Length: 9\r\nTransfer-Encoding: chunked\r\nHost: evil.example\r\nx-other: 2\r\n";
    let mut request =
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nTrailer: x-checksum, x-other, Authorization, authorization_, Proxy-Authorization, Content-Length, Host\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    request.extend_from_slice(&chunked(b"hello", 3, trailers));
    assert_eq!(exchange(sidecar.address(), request).text(), "hello");
    let sent = upstream.last();
    let names: Vec<_> = sent
        .trailers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    assert!(
        names.contains(&"x-checksum".to_owned()) && names.contains(&"x-other".to_owned()),
        "{names:?}"
    );
    for name in [
        "authorization",
        "proxy-authorization",
        "content-length",
        "transfer-encoding",
        "host",
    ] {
        assert!(
            !names.contains(&name.to_owned()),
            "{name} is among the trailers {names:?}"
        );
    }
    assert_eq!(sent.head.value("authorization"), Some("Bearer token-1"));
}

#[test]
fn trailers_that_route_stay_here_and_a_hundred_others_pass() {
    let (sidecar, upstream) = world();
    let mut client = Client::connect(sidecar.address());
    let mut send = |trailers: &str| {
        // Only what is announced passes over HTTP/1.1.
        let names = trailers.lines().filter_map(|line| line.split(':').next());
        let announced = names.collect::<Vec<_>>().join(", ");
        let head = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nTrailer: {announced}\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        client.send([head.as_bytes(), &chunked(b"hello", 5, trailers)].concat());
        assert_eq!(client.answer().text(), "hello");
        upstream.last().trailers
    };
    let routing = "Forwarded: for=1\r\nX-Forwarded-For: 1\r\nx_forwarded_proto: 1\r\nContent_Length: 9\r\nx-sum: 1\r\n";
    assert_eq!(send(routing), [("x-sum".to_owned(), "1".to_owned())]);
    let many: Vec<_> = (0..100)
        .map(|number| (format!("x-{number}"), number.to_string()))
        .collect();
    let lines: String = many
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    assert_eq!(send(&lines), many);
}

#[test]
fn a_trailer_that_connection_names_stays_here() {
    let (sidecar, upstream) = world();
    let mut request =
        b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: x-hop\r\nTrailer: x-hop, x-sum\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    request.extend_from_slice(&chunked(b"hello", 3, "X-Hop: 1\r\nx-sum: 2\r\n"));
    assert_eq!(exchange(sidecar.address(), request).text(), "hello");
    assert_eq!(
        upstream.last().trailers,
        [("x-sum".to_owned(), "2".to_owned())]
    );
}

#[test]
fn continue_is_said_when_the_request_is_admitted() {
    let (sidecar, upstream) = world();
    let mut client = Client::connect(sidecar.address());
    client.send(
        "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n",
    );
    assert_eq!(client.head().status(), 100);
    client.send("hello");
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert_eq!(upstream.last().body, b"hello");
}

#[test]
fn continue_is_not_said_when_there_is_no_token() {
    let tokens = TokenEndpoint::start(|_, _| error_response("401 Unauthorized", "invalid_client"));
    let upstream = Upstream::answering(|_| ok(""));
    let sidecar = Setup::new(&tokens, upstream.origin()).start();
    let answer = exchange(
        sidecar.address(),
        "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    assert_problem(&answer, 502, "token-refused");
    assert!(answer.interim.is_empty(), "{:?}", answer.interim);
}

#[test]
fn the_head_goes_on_before_the_body_is_there() {
    let arrived = Arc::new(Gate::default());
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::scripted({
        let arrived = arrived.clone();
        move |mut connection| {
            let Ok(Some(head)) = connection.head() else {
                return;
            };
            arrived.open();
            let Ok((body, _)) = connection.wire.body(head.request_framing()) else {
                return;
            };
            let _ = connection.wire.send(ok(body));
        }
    });
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let mut client = Client::connect(sidecar.address());
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhe");
    upstream.wait_for(1);
    arrived.pass();
    client.send("llo");
    assert_eq!(client.answer().text(), "hello");
}

#[test]
fn a_caller_that_goes_away_takes_its_request_along() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::scripted(|mut connection| {
        let _ = connection.head();
        // No answer; ends when the sidecar lets go.
        let _ = connection.wire.rest();
    });
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let mut client = Client::connect(sidecar.address());
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhello");
    upstream.wait_for(1);
    drop(client);
    until("the end of the connection to the upstream", || {
        (upstream.server().open_connections() == 0).then_some(())
    });
}

#[test]
fn a_cut_request_is_never_a_whole_one_upstream() {
    let (sidecar, upstream) = world();
    for request in [
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let mut client = Client::connect(sidecar.address());
        client.send(request);
        thread::sleep(A_WHILE);
        drop(client);
        until("the end of the connection to the upstream", || {
            (upstream.connections() > 0 && upstream.server().open_connections() == 0).then_some(())
        });
        assert_eq!(upstream.count(), 0, "{request}");
    }
}

#[test]
fn a_caller_that_is_cut_off_while_it_waits_takes_its_request_along() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::scripted(|mut connection| {
        if let Ok(Some(head)) = connection.head()
            && head.target() == "/begun"
        {
            let _ = connection
                .wire
                .send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
        }
        // No more of it; ends when the sidecar lets go.
        let _ = connection.wire.rest();
    });
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    for (number, path) in ["/waiting", "/begun"].into_iter().enumerate() {
        let mut client = Client::connect(sidecar.address());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        upstream.wait_for(number + 1);
        if path == "/begun" {
            assert_eq!(client.head().status(), 200);
        }
        // With a reset: one that has only sent all that it will may still wait for the answer.
        SockRef::from(&client.socket())
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(client);
        until(
            &format!("the end of the connection to the upstream: {path}"),
            || (upstream.server().open_connections() == 0).then_some(()),
        );
    }
}
