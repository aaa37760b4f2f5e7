//! Requests to an upstream that speaks HTTP/2 wait their turn, go as they came, and are not sent again after a misdeed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue};

use crate::support::{
    client::{A_WHILE, Client},
    either::{Ask, BOTH},
    frame_server::FrameServer,
    frames::{Frame, FrameClient, ODD_TARGET, STATUS_200, flag, kind, request_block},
    h2_upstream::H2Upstream,
    h2c::{H2Client, with_trailers},
    patience::Gate,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
};

fn sidecar(origin: &str, route: &str, tables: &str) -> Sidecar {
    let tokens = TokenEndpoint::issuing("token-1");
    let route = format!("http2 = \"prior-knowledge\"\n{route}");
    // One worker has one connection, which all share.
    let tables = format!("[runtime]\nworkers = 1\n{tables}");
    Setup::new(&tokens, origin)
        .route(&route)
        .tables(&tables)
        .start_ready()
}

#[test]
fn what_breaks_the_rules_instead_of_an_answer_is_not_asked_again() {
    type Misdeed = fn(u32) -> Frame;
    let misdeeds: [(&str, Misdeed); 2] = [
        ("data first", |stream| {
            Frame::new(kind::DATA, flag::END_STREAM, stream, b"hello")
        }),
        ("push", |stream| {
            Frame::new(
                kind::PUSH_PROMISE,
                flag::END_HEADERS,
                stream,
                &[0, 0, 0, 2, 0x82],
            )
        }),
    ];
    for (name, misdeed) in misdeeds {
        let requests = Arc::new(AtomicUsize::new(0));
        let upstream = FrameServer::start({
            let requests = requests.clone();
            move |mut wire, _| {
                // The first on each connection is answered: the one behind it is on a connection that was good.
                let mut is_first = true;
                while let Ok(frame) = wire.next_of(kind::HEADERS) {
                    requests.fetch_add(1, Ordering::SeqCst);
                    if is_first {
                        let whole = flag::END_HEADERS | flag::END_STREAM;
                        let _ = wire.send(kind::HEADERS, whole, frame.stream, &[STATUS_200]);
                        is_first = false;
                        continue;
                    }
                    let bad = misdeed(frame.stream);
                    let _ = wire.send(bad.kind, bad.flags, bad.stream, &bad.payload);
                }
            }
        });
        let sidecar = sidecar(&upstream.origin(), "", "");
        for protocol in BOTH {
            for method in ["GET", "PUT", "DELETE"] {
                assert_eq!(
                    Ask::get("/").told(protocol, sidecar.address()).status,
                    200,
                    "{name}"
                );
                let before = requests.load(Ordering::SeqCst);
                let told = Ask::new(method, "/").told(protocol, sidecar.address());
                told.assert_problem(502, "upstream-protocol");
                assert_eq!(
                    requests.load(Ordering::SeqCst),
                    before + 1,
                    "{name}: a {method} was sent again"
                );
            }
        }
    }
}

#[test]
fn an_answer_that_repeats_its_length_is_refused_whatever_it_stands_beside() {
    // In the path: the first length, and a sign that trailers are to be expected.
    let upstream = H2Upstream::start(|mut call| async move {
        let path = call.target().to_owned();
        let sign = match path.split('/').nth(2) {
            Some("trailer") => ("trailer", "x-sum"),
            Some("grpc") => ("content-type", "application/grpc"),
            _ => ("x-none", ""),
        };
        let first = path.split('/').nth(1).unwrap_or_default();
        call.answer(
            200,
            &[("content-length", first), ("content-length", "5"), sign],
            "hello",
        )
    });
    let sidecar = sidecar(&upstream.origin(), "", "");
    for protocol in BOTH {
        for path in [
            "/5/none",
            "/6/none",
            "/5/trailer",
            "/6/trailer",
            "/five/trailer",
            "/5/grpc",
            "/6/grpc",
        ] {
            Ask::get(path)
                .told(protocol, sidecar.address())
                .assert_problem(502, "upstream-protocol");
        }
    }
}

/// Reads the frames of an HTTP/2 connection, answers none, and says its `settings`, if there are any, when `gate` is open.
fn silent(gate: Arc<Gate>, settings: Option<&'static [u8]>) -> Upstream {
    Upstream::scripted(move |mut connection| {
        // The preface and the head of the sidecar's own settings.
        let _ = connection.wire.exactly(24 + 9);
        gate.pass();
        if let Some(settings) = settings {
            let _ = connection
                .wire
                .send(Frame::new(kind::SETTINGS, 0, 0, settings).bytes());
        }
        let _ = connection.wire.rest();
    })
}

#[test]
fn a_request_that_waits_for_its_turn_is_late_by_the_upstreams_fault() {
    const RESPONSE: Duration = Duration::from_secs(1);
    // Shorter than `response`, which alone counts once all of a request is there.
    let route = "timeouts.response = \"1s\"\ntimeouts.idle = \"300ms\"";
    // No settings, behind which more than one request may go; or SETTINGS_MAX_CONCURRENT_STREAMS 1.
    for settings in [None, Some(&[0, 3, 0, 0, 0, 1][..])] {
        for protocol in BOTH {
            let gate = Arc::new(Gate::default());
            let upstream = silent(gate.clone(), settings);
            let sidecar = sidecar(&upstream.origin(), route, "");
            let address = sidecar.address();
            let begun = Instant::now();
            let callers: Vec<_> = (0..4)
                .map(|_| {
                    thread::spawn(move || (Ask::get("/").told(protocol, address), begun.elapsed()))
                })
                .collect();
            thread::sleep(A_WHILE);
            gate.open();
            for caller in callers {
                let (told, elapsed) = caller.join().unwrap();
                told.assert_problem(504, "upstream-timeout");
                assert!(
                    elapsed >= RESPONSE,
                    "{protocol:?}, {settings:?}: given up after {elapsed:?}"
                );
            }
        }
    }
}

#[test]
fn as_many_fields_as_a_head_may_have_pass() {
    let upstream = H2Upstream::start(|mut call| async move {
        let count = call
            .head
            .headers
            .get_all("x-many")
            .iter()
            .count()
            .to_string();
        let fields: Vec<_> = (0..250).map(|_| ("x-back", "1")).collect();
        call.answer(200, &fields, count)
    });
    let sidecar = sidecar(&upstream.origin(), "", "[limits]\nhead_fields = 256");
    for protocol in BOTH {
        // With the one that names the host.
        for count in [254, 255] {
            let ask = (0..count).fold(Ask::get("/"), |ask, _| ask.field("x-many", "1"));
            let told = ask.told(protocol, sidecar.address());
            assert_eq!(
                (told.status, told.text()),
                (200, count.to_string()),
                "{protocol:?}"
            );
            assert_eq!(
                told.fields.get_all("x-back").iter().count(),
                250,
                "{protocol:?}"
            );
            assert_eq!(
                upstream.last().value("authorization"),
                Some("Bearer token-1")
            );
        }
        let ask = (0..256).fold(Ask::get("/"), |ask, _| ask.field("x-many", "1"));
        ask.told(protocol, sidecar.address())
            .assert_problem(431, "headers-too-large");
    }
}

#[test]
fn a_target_with_bytes_that_uris_encode_passes_here_too() {
    let upstream = H2Upstream::start(|mut call| async move { call.answer(200, &[], "fine") });
    let sidecar = sidecar(&upstream.origin(), "", "");
    let mut client = Client::connect(sidecar.address());
    let mut sent_on = |target: &[u8]| {
        client.send([b"GET ", target, b" HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat());
        assert_eq!(client.answer().status, 200);
        upstream.last().head.uri.to_string()
    };
    let odd = std::str::from_utf8(ODD_TARGET).unwrap();
    assert!(sent_on(ODD_TARGET).ends_with(odd));
    // What `http::Uri` refuses arrives encoded.
    assert!(sent_on(b"/<a>/\xff?\"`").ends_with("/%3Ca%3E/%FF?%22%60"));

    let mut client = FrameClient::connect(sidecar.address(), 65_535);
    client.ask(1, &request_block("GET", ODD_TARGET, &[]), true);
    let (frames, _) = client.read_until("the answer", |frame| frame.kind == kind::HEADERS);
    assert_eq!(frames[frames.len() - 1].payload[0], STATUS_200);
    assert!(upstream.last().head.uri.to_string().ends_with(odd));
}

#[tokio::test]
async fn trailers_pass_beside_a_length_where_they_are_to_be_expected() {
    let upstream = H2Upstream::start(|mut call| async move {
        let body = call.collect().await?;
        let mut response = http::Response::new(());
        for (name, value) in [
            ("content-length", body.len().to_string().as_str()),
            sign_in(&call.head.headers),
        ] {
            let value = HeaderValue::from_str(value).unwrap();
            response.headers_mut().insert(
                http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value,
            );
        }
        let mut stream = call.respond.send_response(response, false)?;
        stream.send_data(body.into(), false)?;
        stream.send_trailers(sum("back"))
    });
    let sidecar = sidecar(&upstream.origin(), "", "");
    let mut client = H2Client::connect(sidecar.address()).await;
    for (name, value) in [
        ("content-type", "application/grpc+proto"),
        ("trailer", "x-sum"),
    ] {
        let request = client
            .request("POST", "/")
            .header(name, value)
            .header("te", "trailers");
        let request = request
            .header("content-length", "5")
            .body(with_trailers("hello", sum("there")))
            .unwrap();
        let got = client.send(request).await.unwrap();
        assert_eq!(
            (got.status, got.body.as_slice()),
            (200, &b"hello"[..]),
            "{name}"
        );
        assert_eq!(got.trailers, sum("back"), "{name}");
        let seen = upstream.last();
        assert_eq!(
            (seen.body.as_slice(), seen.trailers),
            (&b"hello"[..], sum("there")),
            "{name}"
        );
    }
}

/// What says, in a request, that trailers are to be expected.
fn sign_in(fields: &HeaderMap) -> (&'static str, &'static str) {
    if fields.contains_key("content-type") {
        ("content-type", "application/grpc")
    } else {
        ("trailer", "x-sum")
    }
}

fn sum(value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(
        http::HeaderName::from_static("x-sum"),
        HeaderValue::from_static(value),
    )])
}
