//! Peers that fall silent, and connections on which nothing is asked.

use super::*;
use crate::http2::{frame, tests::peer::Peer};

#[test]
fn a_peer_that_is_silent_is_asked_and_then_left() {
    run(async {
        let (here, there) = tokio::io::duplex(10_000);
        let asking = Asking::begin(here, LIMITS);
        let mut peer = Peer::server(there).await;
        let mut wire = asking.ask(GET).await.unwrap();
        assert_eq!(peer.said().await, ["1: fields end"]);
        let begun = Instant::now();
        tokio::time::sleep(19 * SECOND).await;
        assert_eq!(peer.said().await, [""; 0]);
        tokio::time::sleep(SECOND).await;
        assert_eq!(peer.said().await, ["ping"]);
        assert_eq!(
            wire.answer().await.unwrap_err().kind(),
            io::ErrorKind::ConnectionAborted
        );
        assert!(
            (29..31).contains(&begun.elapsed().as_secs()),
            "{:?}",
            begun.elapsed()
        );
        assert!(asking.task.is_finished() || timeout(SECOND, asking.task).await.is_ok());
    });
}

#[test]
fn a_peer_that_says_anything_lives() {
    run(async {
        let (here, there) = tokio::io::duplex(10_000);
        let asking = Asking::begin(here, LIMITS);
        let mut peer = Peer::server(there).await;
        for _ in 0..5 {
            tokio::time::sleep(21 * SECOND).await;
            assert_eq!(peer.said().await.last().map(String::as_str), Some("ping"));
            // Whatever it is.
            peer.send(|out| frame::put_window_update(out, 0, 1)).await;
        }
        for _ in 0..10 {
            tokio::time::sleep(15 * SECOND).await;
            peer.send(|out| frame::put_ping(out, true, *b"whatever"))
                .await;
        }
        assert_eq!(
            peer.said().await,
            [""; 0],
            "it is not asked while it speaks"
        );
        assert!(!asking.task.is_finished());
    });
}

#[test]
fn pings_are_answered() {
    run(async {
        let (here, there) = tokio::io::duplex(10_000);
        let _serving = Serving::begin(here, LIMITS);
        let mut peer = Peer::client(there).await;
        peer.send(|out| frame::put_ping(out, false, *b"12345678"))
            .await;
        assert_eq!(peer.said().await, ["pong"]);
    });
}

#[test]
fn both_sides_keep_a_quiet_connection() {
    run(async {
        let (asking, serving) = pair(1000, LIMITS, LIMITS);
        let _server = serving.echo();
        tokio::time::sleep(500 * SECOND).await;
        assert_eq!(asking.post(b"hello").await.unwrap(), b"hello");
    });
}

#[test]
fn a_connection_is_quiet_once_nothing_was_asked_for_long_enough() {
    run(async {
        let (asking, mut serving) = pair(1000, LIMITS, LIMITS);
        let begun = Instant::now();
        serving.server.quiet(5 * SECOND, 60 * SECOND).await;
        assert_eq!(
            begun.elapsed().as_secs(),
            5,
            "the first request did not come"
        );

        let mut wire = asking.ask(GET).await.unwrap();
        let mut served = serving.next().await;
        served.request().await.unwrap();
        assert!(
            timeout(200 * SECOND, serving.server.quiet(5 * SECOND, 60 * SECOND))
                .await
                .is_err(),
            "it is busy"
        );
        served.write_all(OK).await.unwrap();
        wire.answer().await.unwrap();
        drop(served);
        let begun = Instant::now();
        serving.server.quiet(5 * SECOND, 60 * SECOND).await;
        assert!(
            (60..=65).contains(&begun.elapsed().as_secs()),
            "{:?}",
            begun.elapsed()
        );
    });
}

#[test]
fn whoever_waits_for_another_stream_keeps_no_connection_busy() {
    run(async {
        let (asking, mut serving) = pair(1000, LIMITS, LIMITS);
        let mut wire = asking.ask(GET).await.unwrap();
        let mut served = serving.next().await;
        served.request().await.unwrap();
        served.write_all(OK).await.unwrap();
        wire.answer().await.unwrap();
        let _waiting = spawn_local(async move { served.request().await.unwrap() });
        timeout(20 * SECOND, serving.server.quiet(5 * SECOND, 10 * SECOND))
            .await
            .unwrap();
    });
}
