//! An upstream that speaks HTTP/2 refuses a request, or says goodbye to it: what it did not begin is sent again, and only that.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use h2::Reason;
use tokio::sync::watch;

use crate::support::{
    client::Client,
    either::{Ask, BOTH, Protocol},
    frame_server::FrameServer,
    frames::{STATUS_200, flag, kind},
    h2_upstream::{Call, Done, H2Upstream},
    patience::until,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
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
fn a_request_that_was_refused_unprocessed_is_repeated_whatever_its_method() {
    // REFUSED_STREAM promises that nothing was done (RFC 9113 §8.7).
    let refuse = Arc::new(AtomicBool::new(false));
    let upstream = H2Upstream::start({
        let refuse = refuse.clone();
        move |mut call| {
            let refused = refuse.swap(false, Ordering::SeqCst);
            async move {
                if refused {
                    call.respond.send_reset(Reason::REFUSED_STREAM);
                    return Ok(());
                }
                echo(call).await
            }
        }
    });
    let sidecar = sidecar(&upstream.origin(), "");
    for protocol in BOTH {
        for method in ["POST", "PUT"] {
            refuse.store(true, Ordering::SeqCst);
            let told = Ask::new(method, "/")
                .body(b"hello")
                .told(protocol, sidecar.address());
            assert_eq!(
                (told.status, told.text().as_str()),
                (200, "hello"),
                "{protocol:?} {method}"
            );
        }
        refuse.store(true, Ordering::SeqCst);
        assert_eq!(Ask::get("/").told(protocol, sidecar.address()).status, 200);
    }
}

#[test]
fn a_request_that_is_always_refused_is_not_repeated_for_ever() {
    let upstream = H2Upstream::start(|mut call| async move {
        call.respond.send_reset(Reason::REFUSED_STREAM);
        Ok(())
    });
    let sidecar = sidecar(&upstream.origin(), "");
    for protocol in BOTH {
        let before = upstream.count();
        Ask::get("/")
            .told(protocol, sidecar.address())
            .assert_problem(502, "upstream-protocol");
        let times = upstream.count() - before;
        assert!((1..=2).contains(&times), "sent {times} times");
    }
}

#[test]
fn what_a_goodbye_leaves_unprocessed_is_repeated_on_another_connection() {
    // The first connection answers one request, and says goodbye to the next as to one that it never looked at.
    let upstream = FrameServer::start(|mut wire, number| {
        let mut last = 0_u32;
        while let Ok(frame) = wire.next_of(kind::HEADERS) {
            if number == 0 && last > 0 {
                let _ = wire.send(kind::GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat());
                // Open until the other side has gone: that it is over must be read in the frame.
                while wire.next().is_ok() {}
                return;
            }
            last = frame.stream;
            let _ = wire.finish_request(&frame);
            let _ = wire.send(
                kind::HEADERS,
                flag::END_HEADERS,
                frame.stream,
                &[STATUS_200],
            );
            let _ = wire.send(kind::DATA, flag::END_STREAM, frame.stream, b"fine");
        }
    });
    let sidecar = sidecar(&upstream.origin(), "");
    assert_eq!(sidecar.get("/").text(), "fine");
    let told = Ask::new("POST", "/")
        .body(b"hello")
        .told(Protocol::Http1, sidecar.address());
    assert_eq!((told.status, told.text().as_str()), (200, "fine"));
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn what_a_goodbye_counts_among_the_begun_is_not_repeated() {
    // NO_ERROR, INTERNAL_ERROR: whatever the reason, the last stream that was begun is this one.
    for reason in [0_u32, 2] {
        let upstream = FrameServer::start(move |mut wire, _| {
            let Ok(frame) = wire.next_of(kind::HEADERS) else {
                return;
            };
            let _ = wire.finish_request(&frame);
            let _ = wire.send(
                kind::GOAWAY,
                0,
                0,
                &[frame.stream.to_be_bytes(), reason.to_be_bytes()].concat(),
            );
        });
        let sidecar = sidecar(&upstream.origin(), "");
        let told = Ask::new("POST", "/")
            .body(b"hello")
            .told(Protocol::Http1, sidecar.address());
        told.assert_problem(502, "upstream-protocol");
        assert_eq!(
            upstream.connections(),
            1,
            "a POST that may be at work was sent again"
        );
    }
}

#[test]
fn what_was_begun_before_a_goodbye_is_finished() {
    let (open, gate) = watch::channel(false);
    let upstream = H2Upstream::start(move |mut call| {
        let mut gate = gate.clone();
        async move {
            if call.target() == "/slow" {
                call.connection.say_goodbye();
                let _ = gate.wait_for(|open| *open).await;
            }
            call.answer(200, &[], call.connection.number().to_string())
        }
    });
    let sidecar = sidecar(&upstream.origin(), "");
    let mut slow = Client::connect(sidecar.address());
    slow.send("POST /slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    upstream.wait_for(1);
    // Others go to another connection meanwhile.
    until("a new connection", || {
        (sidecar.get("/").text() == "1").then_some(())
    });
    open.send_replace(true);
    assert_eq!(slow.answer().text(), "0");
}

#[test]
fn a_request_that_may_be_at_work_is_not_repeated() {
    for cut in [false, true] {
        let upstream = H2Upstream::start(move |mut call| async move {
            if call.target() != "/dies" {
                return echo(call).await;
            }
            call.collect().await?;
            if cut {
                call.connection.cut();
                std::future::pending::<()>().await;
            }
            call.respond.send_reset(Reason::INTERNAL_ERROR);
            Ok(())
        });
        let sidecar = sidecar(&upstream.origin(), "");
        for protocol in BOTH {
            assert_eq!(Ask::get("/").told(protocol, sidecar.address()).status, 200);
            let before = upstream.count();
            let told = Ask::new("POST", "/dies")
                .body(b"hello")
                .told(protocol, sidecar.address());
            told.assert_problem(502, "upstream-protocol");
            assert_eq!(upstream.count(), before + 1, "a POST was sent again");
        }
        assert_eq!(sidecar.get("/").status, 200);
    }
}

#[test]
fn a_get_on_a_connection_that_turns_out_to_be_dead_is_repeated_once() {
    let upstream = H2Upstream::start(|mut call| async move {
        let is_first = call.connection.number() == 0;
        if call.target() == "/always" || (call.target() == "/dies" && is_first) {
            call.connection.cut();
            return std::future::pending().await;
        }
        call.answer(200, &[], "fine")
    });
    let sidecar = sidecar(&upstream.origin(), "");
    assert_eq!(sidecar.get("/").status, 200);
    assert_eq!(sidecar.get("/dies").text(), "fine");
    assert_eq!(upstream.count(), 3);
    // On a connection that served a request before, and once more on a new one.
    assert_eq!(sidecar.get("/always").status, 502);
    assert_eq!(upstream.count(), 5);
    // A new connection is not a dead one.
    assert_eq!(sidecar.get("/always").status, 502);
    assert_eq!(upstream.count(), 6);
}
