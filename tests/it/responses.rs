//! What of a response comes back, and how.

use std::{io::ErrorKind, sync::Arc, thread};

use url::Url;

use crate::support::{
    client::{Client, exchange},
    patience::Gate,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::{Request, answer, chunked, ok},
};

fn world(script: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> (Sidecar, Upstream) {
    with_route("", script)
}

fn with_route(
    route: &str,
    script: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
) -> (Sidecar, Upstream) {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(script);
    let sidecar = Setup::new(&tokens, upstream.origin())
        .route(route)
        .start_ready();
    (sidecar, upstream)
}

#[test]
fn status_and_fields_pass_as_they_came() {
    let fields = "x-repeated: 1\r\nset-cookie: a=b\r\nx-repeated: 2\r\nset-cookie: c=d\r\ncontent-type: a/b\r\n\
                  www-authenticate: Basic realm=\"x\"\r\nserver: theirs\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let (sidecar, _upstream) =
        world(move |_| answer("418 I'm a teapot", fields, "short and stout"));
    let got = sidecar.get("/");
    assert_eq!(got.status, 418);
    assert_eq!(got.text(), "short and stout");
    assert_eq!(got.head.values("x-repeated"), ["1", "2"]);
    assert_eq!(got.head.values("set-cookie"), ["a=b", "c=d"]);
    for (name, value) in [
        ("content-type", "a/b"),
        ("www-authenticate", "Basic realm=\"x\""),
        ("server", "theirs"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("content-length", "15"),
    ] {
        assert_eq!(got.head.value(name), Some(value));
    }
}

#[test]
fn hop_by_hop_fields_and_alt_svc_stay_here() {
    let fields = "Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\n\
                  Upgrade: h2c\r\nAlt-Svc: h3=\":443\"\r\nX-Kept: 1\r\n";
    let (sidecar, _upstream) = world(move |_| answer("200 OK", fields, ""));
    let got = sidecar.get("/");
    for name in ["x-hop", "proxy-connection", "upgrade", "alt-svc"] {
        assert!(!got.head.has(name), "{name} came back: {:?}", got.head);
    }
    assert!(
        !got.head.values("keep-alive").contains(&"timeout=5"),
        "{:?}",
        got.head
    );
    assert!(
        !got.head
            .values("connection")
            .join(",")
            .to_ascii_lowercase()
            .contains("hop"),
        "{:?}",
        got.head
    );
    assert_eq!(got.head.value("x-kept"), Some("1"));
}

#[test]
fn whatever_field_connection_names_stays_here() {
    let fields =
        "Connection: location, Content-Type\r\nLocation: /a\r\nContent-Type: a/b\r\nX-Kept: 1\r\n";
    let (sidecar, _upstream) = world(move |_| answer("200 OK", fields, "fine"));
    let got = sidecar.get("/");
    assert!(
        !got.head.has("location") && !got.head.has("content-type"),
        "{:?}",
        got.head
    );
    assert_eq!(
        (got.head.value("x-kept"), got.text().as_str()),
        (Some("1"), "fine")
    );
}

#[test]
fn answers_without_a_body_leave_the_connection_in_step() {
    let (sidecar, _upstream) =
        world(
            |request| match (request.head.method(), request.head.target()) {
                ("HEAD", "/length") => b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n".to_vec(),
                ("HEAD", _) => b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(),
                (_, "/204") => b"HTTP/1.1 204 No Content\r\nx-kept: 1\r\n\r\n".to_vec(),
                (_, "/304") => {
                    b"HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\ncontent-length: 7\r\n\r\n"
                        .to_vec()
                }
                (_, "/0") => ok(""),
                _ => ok("body"),
            },
        );
    let mut client = Client::connect(sidecar.address());
    for _ in 0..2 {
        client.send("HEAD /length HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let head = client.head();
        assert_eq!(
            (head.status(), head.value("content-length")),
            (200, Some("5"))
        );
        assert_eq!(client.get("/").text(), "body");
        client.send("HEAD /chunked HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(client.head().status(), 200);
        assert_eq!(client.get("/").text(), "body");
        let no_content = client.get("/204");
        assert_eq!(
            (no_content.status, no_content.head.value("x-kept")),
            (204, Some("1"))
        );
        assert!(
            !no_content.head.has("content-length") && !no_content.head.has("transfer-encoding")
        );
        let not_modified = client.get("/304");
        assert_eq!(
            (not_modified.status, not_modified.head.value("etag")),
            (304, Some("\"x\""))
        );
        assert_eq!(client.get("/0").head.value("content-length"), Some("0"));
        assert_eq!(client.get("/").text(), "body");
    }
}

#[test]
fn a_body_passes_whatever_its_framing() {
    let body: Vec<u8> = (0..300_000_u32).map(|n| (n % 253) as u8).collect();
    let sent = body.clone();
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::scripted(move |mut connection| {
        while let Ok(Some(request)) = connection.request() {
            let bytes = match request.head.target() {
                "/length" => ok(&sent),
                "/close" => [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", &sent[..]].concat(),
                "/old" => [b"HTTP/1.0 200 OK\r\n\r\n", &sent[..]].concat(),
                size => {
                    let size = size.trim_start_matches('/').parse().expect("a chunk size");
                    [
                        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(),
                        chunked(&sent, size, ""),
                    ]
                    .concat()
                }
            };
            if connection.wire.send(bytes).is_err()
                || matches!(request.head.target(), "/close" | "/old")
            {
                return;
            }
        }
    });
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let mut client = Client::connect(sidecar.address());
    for target in [
        "/length", "/17", "/1000", "/65536", "/1000000", "/close", "/length", "/old", "/17",
    ] {
        let got = client.get(target);
        assert_eq!(got.status, 200);
        assert!(got.body == body, "{target}: the body changed on the way");
    }
}

#[test]
fn a_length_survives_and_chunks_are_framed_afresh() {
    let (sidecar, _upstream) = world(|request| {
        match request.head.target() {
        "/length" => ok("hello"),
        _ => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n005;ext=1\r\nhello\r\n0;last\r\n\r\n".to_vec(),
    }
    });
    let got = sidecar.get("/length");
    assert_eq!(
        (
            got.head.value("content-length"),
            got.head.has("transfer-encoding")
        ),
        (Some("5"), false)
    );
    let got = sidecar.get("/chunked");
    assert_eq!(
        (got.text().as_str(), got.head.has("content-length")),
        ("hello", false)
    );
}

#[test]
fn trailers_pass_but_for_those_that_would_be_believed() {
    let trailers = "x-checksum: abc\r\nContent-Length: 9\r\nTransfer-Encoding: gzip\r\nAuthorization: evil\r\n";
    let (sidecar, _upstream) = world(move |_| {
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-checksum\r\n\r\n";
        [&head[..], &chunked(b"hello", 5, trailers)].concat()
    });
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nConnection: TE\r\n\r\n";
    let got = exchange(sidecar.address(), request);
    assert_eq!(got.text(), "hello");
    let wanted = vec![("x-checksum".to_owned(), "abc".to_owned())];
    let trailers: Vec<_> = got
        .trailers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect();
    assert_eq!(trailers, wanted);
}

#[test]
fn trailers_that_route_stay_here_and_a_hundred_others_pass() {
    let lines: String = (0..100)
        .map(|number| format!("x-{number}: {number}\r\n"))
        .collect();
    let (sidecar, _upstream) = world(move |request| {
        let trailers = if request.head.target() == "/many" {
            lines.as_str()
        } else {
            "Forwarded: for=1\r\nX-Forwarded-For: 1\r\nx_forwarded_proto: 1\r\nContent_Length: 9\r\nx-sum: 1\r\n"
        };
        // Only what is announced passes over HTTP/1.1.
        let names = trailers.lines().filter_map(|line| line.split(':').next());
        let announced = names.collect::<Vec<_>>().join(", ");
        let head = format!(
            "HTTP/1.1 200 OK\r\ntrailer: {announced}\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        [head.as_bytes(), &chunked(b"hello", 5, trailers)].concat()
    });
    let mut client = Client::connect(sidecar.address());
    let mut get = |target: &str| {
        client.send(format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nConnection: TE\r\n\r\n"
        ));
        client.answer()
    };
    assert_eq!(get("/").trailers, [("x-sum".to_owned(), "1".to_owned())]);
    let wanted: Vec<_> = (0..100)
        .map(|number| (format!("x-{number}"), number.to_string()))
        .collect();
    assert_eq!(get("/many").trailers, wanted);
}

#[test]
fn a_trailer_that_connection_names_stays_here() {
    let (sidecar, _upstream) = world(|_| {
        let head = b"HTTP/1.1 200 OK\r\nconnection: x-hop\r\ntrailer: x-hop, x-sum\r\ntransfer-encoding: chunked\r\n\r\n";
        [&head[..], &chunked(b"hello", 5, "X-Hop: 1\r\nx-sum: 2\r\n")].concat()
    });
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nConnection: TE\r\n\r\n";
    assert_eq!(
        exchange(sidecar.address(), request).trailers,
        [("x-sum".to_owned(), "2".to_owned())]
    );
}

#[test]
fn a_redirect_goes_back_to_the_caller() {
    let elsewhere = Upstream::answering(|_| ok("stolen"));
    let location = format!("location: {}/steal\r\n", elsewhere.origin());
    let (sidecar, upstream) =
        world(move |_| answer("307 Temporary Redirect", &location, "see there"));
    let got = sidecar.get("/");
    assert_eq!((got.status, got.text().as_str()), (307, "see there"));
    assert_eq!(
        got.head.value("location"),
        Some(format!("{}/steal", elsewhere.origin()).as_str())
    );
    assert_eq!(upstream.count(), 1);
    assert_eq!(
        elsewhere.connections(),
        0,
        "the token went to another origin"
    );
}

#[test]
fn a_location_within_the_upstream_leads_back_through_the_sidecar() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|request| {
        let origin = format!("http://{}", request.head.value("host").unwrap_or_default());
        let to = request
            .head
            .value("x-to")
            .unwrap_or_default()
            .replace("{origin}", &origin);
        answer(
            "302 Found",
            &format!("location: {to}\r\ncontent-location: {to}\r\n"),
            "",
        )
    });
    let sidecar = Setup::new(&tokens, upstream.origin() + "/base")
        .route("path = \"/v1\"\nstrip_path = true")
        .start_ready();
    let address = sidecar.address();
    let asked = Url::parse(&format!("http://{address}/v1/a/b")).unwrap();
    for (to, wanted) in [
        ("{origin}/base/c?d=e", format!("http://{address}/v1/c?d=e")),
        ("/base/c", format!("http://{address}/v1/c")),
    ] {
        let request = format!("GET /v1/a/b HTTP/1.1\r\nHost: {address}\r\nx-to: {to}\r\n\r\n");
        let got = exchange(address, request);
        for name in ["location", "content-location"] {
            let location = asked.join(got.head.value(name).unwrap()).unwrap();
            assert_eq!(location.as_str(), wanted, "{name} {to}: {:?}", got.head);
        }
    }
    for to in [
        "https://login.example.com/sign-in?x=y",
        "http://127.0.0.1:1/base/c",
        "/other/c",
        "/base/../admin",
    ] {
        let request = format!("GET /v1/a HTTP/1.1\r\nHost: {address}\r\nx-to: {to}\r\n\r\n");
        assert_eq!(exchange(address, request).head.value("location"), Some(to));
    }
}

#[test]
fn a_location_behind_a_prefix_that_needs_escapes_is_a_url() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|request| {
        answer(
            "302 Found",
            &format!(
                "location: {}\r\n",
                request.head.target().replace("from", "to")
            ),
            "",
        )
    });
    let route = "path = \"/a b/\u{e4}\"\nstrip_path = true";
    let sidecar = Setup::new(&tokens, upstream.origin())
        .route(route)
        .start_ready();
    let got = sidecar.get("/a%20b/%c3%a4/from?c");
    assert_eq!(got.head.value("location"), Some("/a%20b/%C3%A4/to?c"));
}

#[test]
fn the_head_comes_back_before_the_body_is_there() {
    let gate = Arc::new(Gate::default());
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::scripted({
        let gate = gate.clone();
        move |mut connection| {
            let Ok(Some(_)) = connection.request() else {
                return;
            };
            let _ = connection
                .wire
                .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
            gate.pass();
            let _ = connection.wire.send("0\r\n\r\n");
        }
    });
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let mut client = Client::connect(sidecar.address());
    client.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.head().status(), 200);
    assert_eq!(client.wire().exactly(10).unwrap(), b"5\r\nhello\r\n");
    gate.open();
    assert_eq!(client.wire().exactly(5).unwrap(), b"0\r\n\r\n");
}

#[test]
fn a_cut_body_is_never_a_clean_end() {
    for (head, sent) in [
        ("content-length: 100\r\n", "0123456789"),
        ("transfer-encoding: chunked\r\n", "a\r\n0123456789\r\n"),
        ("transfer-encoding: chunked\r\n", "14\r\n0123456789"),
    ] {
        let gate = Arc::new(Gate::default());
        let tokens = TokenEndpoint::issuing("token-1");
        let upstream = Upstream::scripted({
            let gate = gate.clone();
            move |mut connection| {
                let Ok(Some(_)) = connection.request() else {
                    return;
                };
                let _ = connection
                    .wire
                    .send(format!("HTTP/1.1 200 OK\r\n{head}\r\n{sent}"));
                gate.pass();
            }
        });
        let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
        let mut client = Client::connect(sidecar.address());
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = client.head();
        assert_eq!(answer.status(), 200);
        gate.open();
        let mut received = Vec::new();
        let framing = answer.answer_framing("GET");
        let end = client
            .wire()
            .stream_body(framing, &mut |bytes| received.extend_from_slice(bytes));
        assert!(
            end.is_err(),
            "{head}{sent}: a cut answer looked whole: {:?}",
            String::from_utf8_lossy(&received)
        );
    }
}

#[test]
fn a_cut_body_is_a_reset_to_a_caller_for_whom_an_end_is_the_end() {
    let gate = Arc::new(Gate::default());
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::scripted({
        let gate = gate.clone();
        move |mut connection| {
            let Ok(Some(_)) = connection.request() else {
                return;
            };
            let _ = connection
                .wire
                .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
            gate.pass();
        }
    });
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let mut client = Client::connect(sidecar.address());
    client.send("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.head().status(), 200);
    assert_eq!(client.wire().exactly(5).unwrap(), b"hello");
    gate.open();
    let end = client.wire().rest().map_err(|error| error.kind());
    assert_eq!(
        end,
        Err(ErrorKind::ConnectionReset),
        "a cut answer looked whole"
    );
}

#[test]
fn an_early_answer_is_not_held_back_by_the_upload() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::scripted(|mut connection| {
        let Ok(Some(_)) = connection.head() else {
            return;
        };
        let _ = connection
            .wire
            .send(answer("403 Forbidden", "connection: close\r\n", "not you"));
        let _ = connection.wire.rest();
    });
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    for _ in 0..3 {
        let mut client = Client::connect(sidecar.address());
        // Ten million bytes are announced; the answer comes when some of them are there.
        client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n");
        client.send([b'x'; 10_000]);
        let got = client.answer();
        assert_eq!((got.status, got.text().as_str()), (403, "not you"));
    }
}

#[test]
fn an_early_answer_reaches_a_caller_that_goes_on_uploading() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::scripted(|mut connection| {
        let Ok(Some(_)) = connection.head() else {
            return;
        };
        let _ = connection.wire.send(answer(
            "413 Content Too Large",
            "connection: close\r\n",
            "enough",
        ));
        let _ = connection.wire.rest();
    });
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let mut client = Client::connect(sidecar.address());
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n");
    let mut socket = client.socket();
    let uploader = thread::spawn(move || {
        // It may be told to stop, by a reset.
        let _ = std::io::Write::write_all(&mut socket, &vec![b'x'; 4_000_000]);
    });
    let got = client.answer();
    assert_eq!((got.status, got.text().as_str()), (413, "enough"));
    drop(client);
    uploader.join().unwrap();
}
