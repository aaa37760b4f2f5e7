//! An upstream that speaks HTTP/2 resets, stalls, goes away or lies: nothing looks whole that is not.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use socket2::SockRef;
use tokio::sync::watch;

use crate::support::{
    client::Client,
    either::{Ask, BOTH, Protocol},
    frame_server::FrameServer,
    frames::{Frame, STATUS_200, flag, kind},
    h2_upstream::{Call, Done, H2Upstream},
    patience::until,
    ports,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
};

fn sidecar(origin: &str, route: &str) -> Sidecar {
    let tokens = TokenEndpoint::issuing("token-1");
    let route = format!("http2 = \"prior-knowledge\"\n{route}");
    // One worker has one connection, so that what is done to it is done to all.
    Setup::new(&tokens, origin)
        .route(&route)
        .tables("[runtime]\nworkers = 1")
        .start_ready()
}

async fn echo(mut call: Call) -> Done {
    let body = call.collect().await?;
    call.answer(200, &[], body)
}

#[test]
fn an_answer_that_is_reset_in_its_body_is_never_whole() {
    let (open, gate) = watch::channel(0);
    let upstream = H2Upstream::start(move |mut call| {
        let mut gate = gate.clone();
        let number = call.number();
        async move {
            let mut stream = call.begin()?;
            stream.send_data("hello".into(), false)?;
            let _ = gate.wait_for(|open| *open > number).await;
            match call.target() {
                "/cut" => call.connection.cut(),
                "/cancel" => stream.send_reset(Reason::CANCEL),
                "/no-error" => stream.send_reset(Reason::NO_ERROR),
                _ => stream.send_data("!".into(), true)?,
            }
            std::future::pending().await
        }
    });
    let sidecar = sidecar(&upstream.origin(), "");
    for (number, path) in ["/cancel", "/cut", "/no-error"].into_iter().enumerate() {
        let mut client = Client::connect(sidecar.address());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let head = client.head();
        assert_eq!(head.status(), 200);
        open.send_replace(number + 1);
        let mut body = Vec::new();
        let end = client
            .wire()
            .stream_body(head.answer_framing("GET"), &mut |bytes| {
                body.extend_from_slice(bytes);
            });
        assert!(end.is_err(), "{path}: a cut answer looked whole");
        assert_eq!(body, b"hello", "{path}");
    }
    open.send_replace(usize::MAX);
    for path in ["/cancel", "/cut", "/no-error"] {
        let got = Ask::get(path).ask(Protocol::Http2, sidecar.address());
        // A reset that comes together with the head may be seen before that goes on.
        let told = got.is_ok_and(|told| told.status != 502);
        assert!(!told, "{path}: a cut answer looked whole");
    }
    for protocol in BOTH {
        assert_eq!(
            Ask::get("/whole").told(protocol, sidecar.address()).text(),
            "hello!"
        );
    }
}

#[test]
fn a_length_that_the_body_does_not_keep_is_never_whole() {
    let upstream = H2Upstream::start(|mut call| async move {
        match call.target() {
            "/short" => call.answer(200, &[("content-length", "10")], "hello"),
            "/long" => call.answer(200, &[("content-length", "3")], "hello"),
            "/none" => call.answer(200, &[("content-length", "3")], ""),
            "/two" => call.answer(
                200,
                &[("content-length", "5"), ("content-length", "4")],
                "hello",
            ),
            "/word" => call.answer(200, &[("content-length", "five")], "hello"),
            _ => call.answer(200, &[], "fine"),
        }
    });
    let sidecar = sidecar(&upstream.origin(), "");
    for protocol in BOTH {
        for path in ["/short", "/long", "/none", "/two", "/word"] {
            // Seen before the head went on, or else in the middle of the body.
            if let Ok(told) = Ask::get(path).ask(protocol, sidecar.address()) {
                told.assert_problem(502, "upstream-protocol");
            }
            assert_eq!(
                Ask::get("/").told(protocol, sidecar.address()).text(),
                "fine",
                "after {path}"
            );
        }
    }
}

#[test]
fn an_upstream_that_is_gone_is_unreachable_until_it_is_back() {
    let gone = sidecar(&format!("http://{}", ports::unused()), "");
    for protocol in BOTH {
        Ask::get("/")
            .told(protocol, gone.address())
            .assert_problem(502, "upstream-unreachable");
    }
    // One that was there, and whose connection was in use.
    let mut upstream = H2Upstream::start(echo);
    let sidecar = sidecar(&upstream.origin(), "");
    assert_eq!(sidecar.get("/").status, 200);
    upstream.down();
    for protocol in BOTH {
        Ask::get("/")
            .told(protocol, sidecar.address())
            .assert_problem(502, "upstream-unreachable");
    }
}

#[test]
fn an_upstream_that_does_not_speak_http2_is_a_protocol_failure() {
    for nonsense in [
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "",
    ] {
        let upstream = Upstream::scripted(move |mut connection| {
            let _ = connection.wire.exactly(24);
            let _ = connection.wire.send(nonsense);
        });
        let sidecar = sidecar(&upstream.origin(), "");
        for protocol in BOTH {
            let told = Ask::new("POST", "/")
                .body(b"hello")
                .told(protocol, sidecar.address());
            told.assert_problem(502, "upstream-protocol");
        }
    }
}

#[test]
fn an_answer_that_does_not_come_is_a_timeout_and_given_up_upstream() {
    let given_up = Arc::new(AtomicUsize::new(0));
    let upstream = H2Upstream::start({
        let given_up = given_up.clone();
        move |mut call| {
            let given_up = given_up.clone();
            async move {
                if call.target() == "/" {
                    return echo(call).await;
                }
                call.reset_by_caller().await?;
                given_up.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        }
    });
    let sidecar = sidecar(&upstream.origin(), "timeouts.response = \"300ms\"");
    for (number, protocol) in BOTH.into_iter().enumerate() {
        Ask::get("/never")
            .told(protocol, sidecar.address())
            .assert_problem(504, "upstream-timeout");
        until("the reset of the request", || {
            (given_up.load(Ordering::SeqCst) > number).then_some(())
        });
        assert_eq!(Ask::get("/").told(protocol, sidecar.address()).status, 200);
    }
    // The connection is as good as before.
    assert_eq!(upstream.connections().len(), 1);
}

#[test]
fn an_answer_that_stalls_is_cut_and_given_up_upstream() {
    let given_up = Arc::new(AtomicUsize::new(0));
    let upstream = H2Upstream::start({
        let given_up = given_up.clone();
        move |mut call| {
            let given_up = given_up.clone();
            async move {
                let mut stream = call.begin()?;
                stream.send_data("hello".into(), false)?;
                poll_fn(|cx| stream.poll_reset(cx)).await?;
                given_up.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        }
    });
    let sidecar = sidecar(&upstream.origin(), "timeouts.idle = \"500ms\"");
    for (number, protocol) in BOTH.into_iter().enumerate() {
        let got = Ask::get("/").ask(protocol, sidecar.address());
        assert!(got.is_err(), "{protocol:?}: {got:?}");
        until("the reset of the request", || {
            (given_up.load(Ordering::SeqCst) > number).then_some(())
        });
    }
    assert_eq!(upstream.connections().len(), 1);
}

#[test]
fn a_caller_that_goes_away_takes_its_request_along() {
    let given_up = Arc::new(AtomicUsize::new(0));
    let upstream = H2Upstream::start({
        let given_up = given_up.clone();
        move |mut call| {
            let given_up = given_up.clone();
            async move {
                if call.target() == "/begun" {
                    let mut stream = call.begin()?;
                    stream.send_data("hello".into(), false)?;
                    poll_fn(|cx| stream.poll_reset(cx)).await?;
                } else {
                    call.reset_by_caller().await?;
                }
                given_up.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        }
    });
    let sidecar = sidecar(&upstream.origin(), "");
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
        until(&format!("the reset of the request: {path}"), || {
            (given_up.load(Ordering::SeqCst) > number).then_some(())
        });
    }
    assert_eq!(
        upstream.connections().len(),
        1,
        "a caller that went away took the connection of the others along"
    );
}

#[test]
fn a_request_that_is_cut_is_never_whole_upstream() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let upstream = H2Upstream::start({
        let seen = seen.clone();
        move |mut call| {
            let seen = seen.clone();
            async move {
                let collected = call.collect().await.map_err(|_| ());
                seen.lock().unwrap().push(collected);
                Ok(())
            }
        }
    });
    let sidecar = sidecar(&upstream.origin(), "");
    let framings = [
        "Content-Length: 10\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ];
    for (number, framing) in framings.into_iter().enumerate() {
        let mut client = Client::connect(sidecar.address());
        client.send(format!("POST / HTTP/1.1\r\nHost: localhost\r\n{framing}"));
        upstream.wait_for(number + 1);
        drop(client);
        until("the end of the request", || {
            (seen.lock().unwrap().len() > number).then_some(())
        });
        assert_eq!(
            seen.lock().unwrap()[number],
            Err(()),
            "half a request looked whole: {framing:?}"
        );
    }
}

#[test]
fn an_early_answer_passes_though_the_upload_is_no_longer_wanted() {
    let upstream = H2Upstream::start(|mut call| async move {
        // Whole before the request is; the rest of that is declined with a NO_ERROR (RFC 9113 §8.1), which h2 adds.
        call.answer(403, &[], "no")
    });
    let sidecar = sidecar(&upstream.origin(), "");
    let mut client = Client::connect(sidecar.address());
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\nfirst");
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
    let body = vec![b'x'; 3 << 20];
    let told = Ask::new("POST", "/")
        .body(&body)
        .told(Protocol::Http2, sidecar.address());
    assert_eq!((told.status, told.text().as_str()), (403, "no"));
}

#[test]
fn the_head_limits_hold_for_answers_too() {
    let upstream = H2Upstream::start(|mut call| async move {
        let mut fields = HeaderMap::new();
        let mut put = |name: String, length: usize| {
            let value = HeaderValue::from_bytes(&vec![b'x'; length]).unwrap();
            fields.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
        };
        match call.target() {
            "/large" => put("x-large".into(), 70 * 1024),
            "/larger" => (0..50).for_each(|n| put(format!("x-large-{n}"), 10 * 1024)),
            "/many" => (0..120).for_each(|_| put("x-many".into(), 1)),
            _ => put("x-fine".into(), 10 * 1024),
        }
        let mut response = Response::new(());
        *response.headers_mut() = fields;
        let mut stream = call.respond.send_response(response, false)?;
        stream.send_data("fine".into(), true)
    });
    let sidecar = sidecar(&upstream.origin(), "");
    for protocol in BOTH {
        for path in ["/large", "/many", "/larger"] {
            Ask::get(path)
                .told(protocol, sidecar.address())
                .assert_problem(502, "upstream-protocol");
        }
        let told = Ask::get("/").told(protocol, sidecar.address());
        assert_eq!(
            (told.status, told.text().as_str()),
            (200, "fine"),
            "{protocol:?}"
        );
    }
}

#[test]
fn trailers_have_limits_too() {
    let upstream = H2Upstream::start(|mut call| async move {
        let mut stream = call.begin_with(&[("trailer", "x-large-0")])?;
        stream.send_data("fine".into(), false)?;
        let mut trailers = HeaderMap::new();
        let count = if call.target() == "/" { 1 } else { 50 };
        for number in 0..count {
            let name = HeaderName::from_bytes(format!("x-large-{number}").as_bytes()).unwrap();
            trailers.insert(
                name,
                HeaderValue::from_bytes(&vec![b'x'; 10 * 1024]).unwrap(),
            );
        }
        stream.send_trailers(trailers)
    });
    let sidecar = sidecar(&upstream.origin(), "");
    for protocol in BOTH {
        let got = Ask::get("/large").ask(protocol, sidecar.address());
        assert!(
            got.as_ref().map_or(true, |told| told.status == 502),
            "{protocol:?}: {got:?}"
        );
        let told = Ask::get("/")
            .field("te", "trailers")
            .told(protocol, sidecar.address());
        assert_eq!(
            (told.text().as_str(), told.trailers.len()),
            ("fine", 1),
            "{protocol:?}"
        );
    }
}

#[test]
fn an_unasked_switch_of_protocols_is_a_protocol_failure() {
    let upstream = H2Upstream::start(|mut call| async move {
        if call.target() == "/" {
            return call.answer(200, &[], "fine");
        }
        let mut switch = Response::new(());
        *switch.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let mut stream = call.respond.send_response(switch, false)?;
        stream.send_data(Bytes::from_static(b"hello"), true)
    });
    let sidecar = sidecar(&upstream.origin(), "");
    for protocol in BOTH {
        Ask::get("/101")
            .told(protocol, sidecar.address())
            .assert_problem(502, "upstream-protocol");
        assert_eq!(
            Ask::get("/").told(protocol, sidecar.address()).text(),
            "fine"
        );
    }
}

#[test]
fn frames_that_no_upstream_may_send_end_its_connection_and_nothing_else() {
    type Misdeed = fn(u32) -> Vec<Frame>;
    let misdeeds: [(&str, Misdeed); 5] = [
        // A body before the head (RFC 9113 §8.1).
        ("data first", |stream| {
            vec![Frame::new(kind::DATA, flag::END_STREAM, stream, b"hello")]
        }),
        // A stream that nobody opened (§5.1).
        ("another stream", |stream| {
            vec![Frame::new(
                kind::HEADERS,
                flag::END_HEADERS,
                stream + 100,
                &[STATUS_200],
            )]
        }),
        // Larger than what was allowed (§4.2).
        ("too large", |stream| {
            vec![Frame::new(kind::DATA, 0, stream, &vec![0; 1 << 17])]
        }),
        // Header blocks that no table explains (RFC 7541 §2.3.3).
        ("undecodable", |stream| {
            vec![Frame::new(
                kind::HEADERS,
                flag::END_HEADERS,
                stream,
                &[0xff, 0xff, 0xff],
            )]
        }),
        // A push that was never allowed (§8.4).
        ("push", |stream| {
            vec![Frame::new(
                kind::PUSH_PROMISE,
                flag::END_HEADERS,
                stream,
                &[0, 0, 0, 2, 0x82],
            )]
        }),
    ];
    for (name, misdeed) in misdeeds {
        let upstream = FrameServer::start(move |mut wire, number| {
            while let Ok(frame) = wire.next_of(kind::HEADERS) {
                let _ = wire.finish_request(&frame);
                if number == 0 {
                    for bad in misdeed(frame.stream) {
                        let _ = wire.send(bad.kind, bad.flags, bad.stream, &bad.payload);
                    }
                    continue;
                }
                let _ = wire.send(
                    kind::HEADERS,
                    flag::END_HEADERS,
                    frame.stream,
                    &[STATUS_200],
                );
                let _ = wire.send(kind::DATA, flag::END_STREAM, frame.stream, b"fine");
            }
        });
        let sidecar = sidecar(&upstream.origin(), "timeouts.response = \"2s\"");
        let told = Ask::new("POST", "/")
            .body(b"hello")
            .told(Protocol::Http1, sidecar.address());
        assert_eq!(told.status, 502, "{name}: {}", told.text());
        let next = until("the next answer", || {
            Some(sidecar.get("/")).filter(|answer| answer.status == 200)
        });
        assert_eq!(next.text(), "fine", "{name}");
    }
}

#[test]
fn a_head_without_end_is_cut_off() {
    let upstream = FrameServer::start(|mut wire, number| {
        while let Ok(frame) = wire.next_of(kind::HEADERS) {
            let _ = wire.finish_request(&frame);
            if number > 0 {
                let _ = wire.send(
                    kind::HEADERS,
                    flag::END_HEADERS | flag::END_STREAM,
                    frame.stream,
                    &[STATUS_200],
                );
                continue;
            }
            // A field without indexing, `x: xxx…`, again and again, and never END_HEADERS.
            let field = [&[0, 1, b'x', 100][..], &[b'x'; 100]].concat();
            let _ = wire.send(
                kind::HEADERS,
                0,
                frame.stream,
                &[&[STATUS_200][..], &field].concat(),
            );
            let block = field.repeat(100);
            while wire
                .send(kind::CONTINUATION, 0, frame.stream, &block)
                .is_ok()
            {}
        }
    });
    let sidecar = sidecar(&upstream.origin(), "timeouts.response = \"10s\"");
    let told = Ask::new("POST", "/")
        .body(b"hello")
        .told(Protocol::Http1, sidecar.address());
    told.assert_problem(502, "upstream-protocol");
    assert!(
        sidecar.peak_resident_kib() < 64 * 1024,
        "{} KiB",
        sidecar.peak_resident_kib()
    );
    until("an answer", || {
        (sidecar.get("/").status == 200).then_some(())
    });
}

#[test]
fn a_handshake_that_never_ends_is_bounded() {
    let upstream = Upstream::scripted(|mut connection| {
        // Takes all, says nothing, not even its settings.
        let _ = connection.wire.rest();
    });
    let sidecar = sidecar(
        &upstream.origin(),
        "timeouts.response = \"500ms\"\ntimeouts.connect = \"500ms\"",
    );
    for protocol in BOTH {
        Ask::get("/")
            .told(protocol, sidecar.address())
            .assert_problem(504, "upstream-timeout");
    }
}
