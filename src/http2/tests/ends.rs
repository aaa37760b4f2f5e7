//! How connections end: told to, broken, lost or dropped.

use super::*;
use crate::http2::{
    frame::{self, MOST, Reason, kind},
    tests::peer::Peer,
};

/// Whether it has ended, or does within a moment.
async fn has_ended(task: JoinHandle<()>) -> bool {
    timeout(SECOND / 10, task).await.is_ok()
}

#[test]
fn a_client_that_is_dropped_says_goodbye_behind_its_last_request() {
    run(async {
        let (here, there) = tokio::io::duplex(10_000);
        let asking = Asking::begin(here, LIMITS);
        let mut peer = Peer::server(there).await;
        let mut wire = asking.ask(GET).await.unwrap();
        let Asking { client, task } = asking;
        drop(client);
        assert_eq!(peer.said().await, ["1: fields end"]);
        peer.fields(1, &[(":status", "204")], true).await;
        wire.answer().await.unwrap();
        drop(wire);
        assert_eq!(peer.said().await, ["goaway 0 0", "the end"]);
        assert!(has_ended(task).await);
    });
}

#[test]
fn a_server_that_says_goodbye_serves_what_came_before_it_was_heard() {
    run(async {
        let (asking, serving) = pair(10_000, LIMITS, LIMITS);
        let Serving {
            server,
            mut arrived,
            task,
        } = serving;
        let mut first = asking.ask(GET).await.unwrap();
        let mut served = arrived.recv().await.unwrap();
        served.request().await.unwrap();
        server.announce_end();
        let mut second = asking.ask(GET).await.unwrap();
        let mut other = arrived.recv().await.unwrap();
        other.request().await.unwrap();
        tokio::time::sleep(SECOND / 10).await;
        assert!(asking.client.is_closed() && !task.is_finished());
        let third = asking.ask(GET).await.map_err(|error| error.kind());
        assert_eq!(third.err(), Some(io::ErrorKind::ConnectionRefused));
        served.write_all(OK).await.unwrap();
        other.write_all(OK).await.unwrap();
        assert_eq!(first.answer().await.unwrap().content, b"ok");
        assert_eq!(second.answer().await.unwrap().content, b"ok");
        assert!(
            other.request().await.unwrap().is_none(),
            "nor is there a next one"
        );
        drop((served, other));
        assert!(has_ended(task).await);
    });
}

#[test]
fn the_end_is_announced_with_a_ping_and_told_behind_its_answer() {
    run(async {
        let (here, there) = tokio::io::duplex(10_000);
        let serving = Serving::begin(here, LIMITS);
        let mut peer = Peer::client(there).await;
        serving.server.announce_end();
        serving.server.announce_end();
        assert_eq!(
            peer.said().await,
            [format!("goaway {MOST} 0"), "ping".into()]
        );
        peer.send(|out| frame::put_ping(out, true, *b"goodbye!"))
            .await;
        assert_eq!(peer.said().await, ["goaway 0 0", "the end"]);
        drop(peer);
        assert!(has_ended(serving.task).await);
    });
}

#[test]
fn what_a_caller_still_sends_while_it_reads_the_last_answer_is_taken() {
    for leaves in [true, false] {
        run(async move {
            let (here, there) = tokio::io::duplex(100_000);
            let mut serving = Serving::begin(here, LIMITS);
            let mut peer = Peer::client(there).await;
            peer.get(1).await;
            let mut served = serving.next().await;
            served.request().await.unwrap();
            serving.server.announce_end();
            served.write_all(OK).await.unwrap();
            drop(served);
            peer.send(|out| frame::put_ping(out, true, *b"goodbye!"))
                .await;
            assert_eq!(
                peer.said().await.last().map(String::as_str),
                Some("the end")
            );
            let begun = Instant::now();
            for _ in 0..5 {
                peer.send(|out| frame::put_window_update(out, 0, 2)).await;
                tokio::time::sleep(SECOND / 10).await;
                assert!(
                    !serving.task.is_finished(),
                    "what was not read would have been taken back"
                );
            }
            if leaves {
                drop(peer);
                assert!(has_ended(serving.task).await);
                return;
            }
            // For a while, and not for ever.
            serving.task.await.unwrap();
            assert_eq!(begun.elapsed().as_secs(), 2);
        });
    }
}

#[test]
fn requests_behind_the_last_that_a_server_takes_were_refused() {
    run(async {
        let (here, there) = tokio::io::duplex(10_000);
        let asking = Asking::begin(here, LIMITS);
        let mut peer = Peer::server(there).await;
        let (mut first, mut second) = (
            asking.ask(GET).await.unwrap(),
            asking.ask(GET).await.unwrap(),
        );
        peer.said().await;
        peer.send(|out| frame::put_goaway(out, 1, Reason::NO_ERROR))
            .await;
        assert_eq!(
            second.answer().await.unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
        assert!(second.0.was_refused());
        peer.fields(1, &[(":status", "204")], true).await;
        first.answer().await.unwrap();
        drop((first, second));
        assert_eq!(peer.said().await, ["the end"]);
        assert!(has_ended(asking.task).await);
    });
}

#[test]
fn a_peer_that_breaks_the_protocol_is_told_why() {
    let nonsense: [(&[u8], u32); 5] = [
        (&[0, 0, 1, kind::PING, 0, 0, 0, 0, 0, 0], 6),
        (&[0, 0, 0, kind::DATA, 0, 0, 0, 0, 0], 1),
        (&[1, 0, 0, kind::DATA, 0, 0, 0, 0, 1], 6),
        (&[0, 0, 1, kind::HEADERS, 4, 0, 0, 0, 7, 0x80], 9),
        (
            &[
                0,
                0,
                4,
                kind::WINDOW_UPDATE,
                0,
                0,
                0,
                0,
                0,
                0x7f,
                0xff,
                0xff,
                0xff,
            ],
            3,
        ),
    ];
    for (bytes, reason) in nonsense {
        run(async move {
            let (here, there) = tokio::io::duplex(10_000);
            let mut serving = Serving::begin(here, LIMITS);
            let mut peer = Peer::client(there).await;
            peer.get(5).await;
            let mut served = serving.next().await;
            served.request().await.unwrap();
            peer.write(bytes).await;
            assert_eq!(
                peer.said().await,
                [format!("goaway 5 {reason}"), "the end".into()]
            );
            let error = served
                .write_all(OK)
                .await
                .and(served.read(&mut [0]).await)
                .unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            drop(peer);
            assert!(has_ended(serving.task).await);
        });
    }
}

#[test]
fn another_preface_is_no_http2() {
    run(async {
        let (here, there) = tokio::io::duplex(10_000);
        let serving = Serving::begin(here, LIMITS);
        let mut peer = Peer::new(there);
        peer.write(b"PRI * HTTP/2.0\r\n\r\nXX").await;
        assert_eq!(
            peer.said().await,
            ["settings", "0: window 34465", "goaway 0 1", "the end"]
        );
        drop(peer);
        assert!(has_ended(serving.task).await);
    });
}

#[test]
fn a_preface_may_come_byte_by_byte() {
    run(async {
        let (here, there) = tokio::io::duplex(10_000);
        let mut serving = Serving::begin(here, LIMITS);
        let mut peer = Peer::new(there);
        for byte in frame::PREFACE {
            peer.write(&[*byte]).await;
            tokio::task::yield_now().await;
        }
        peer.send(|out| frame::put_settings(out, &[])).await;
        peer.get(1).await;
        assert!(serving.next().await.request().await.unwrap().is_some());
    });
}

#[test]
fn a_peer_that_does_not_hear_why_is_left_all_the_same() {
    run(async {
        let (here, there) = tokio::io::duplex(40);
        let serving = Serving::begin(here, LIMITS);
        let mut peer = Peer::new(there);
        peer.write(b"nonsense in the place of a preface").await;
        tokio::time::sleep(SECOND / 2).await;
        assert!(!serving.task.is_finished());
        tokio::time::sleep(SECOND).await;
        assert!(serving.task.is_finished());
        drop(peer);
    });
}

#[test]
fn frames_that_ask_for_nothing_have_an_end() {
    run(async {
        let (here, there) = tokio::io::duplex(1_000_000);
        let _serving = Serving::begin(here, LIMITS);
        let mut peer = Peer::client(there).await;
        let nothing = [0, 0, 5, kind::PRIORITY, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0].repeat(10_000);
        peer.write(&nothing).await;
        assert_eq!(peer.said().await, [""; 0]);
        peer.write(&nothing[..14]).await;
        assert_eq!(peer.said().await, ["goaway 0 11", "the end"]);
    });
}

#[test]
fn a_connection_that_is_gone_is_lost_for_its_streams() {
    run(async {
        let (here, there) = tokio::io::duplex(10_000);
        let asking = Asking::begin(here, LIMITS);
        let peer = Peer::server(there).await;
        let mut wire = asking.ask(GET).await.unwrap();
        tokio::time::sleep(SECOND / 10).await;
        drop(peer);
        assert_eq!(
            wire.answer().await.unwrap_err().kind(),
            io::ErrorKind::ConnectionAborted
        );
        assert!(!wire.0.was_refused());
        assert!(asking.client.is_closed() && has_ended(asking.task).await);
    });
}

#[test]
fn a_connection_that_is_dropped_is_lost_for_its_streams() {
    run(async {
        let (asking, mut serving) = pair(10_000, LIMITS, LIMITS);
        let mut wire = asking
            .ask(b"POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\n")
            .await
            .unwrap();
        let mut served = serving.next().await;
        let reading =
            spawn_local(async move { served.request().await.map_err(|error| error.kind()) });
        tokio::time::sleep(SECOND / 10).await;
        serving.task.abort();
        assert_eq!(
            reading.await.unwrap(),
            Err(io::ErrorKind::ConnectionAborted)
        );
        assert_eq!(
            wire.answer().await.unwrap_err().kind(),
            io::ErrorKind::ConnectionAborted
        );
    });
}

#[test]
fn whoever_waits_for_another_stream_learns_that_there_is_none() {
    for is_dropped in [false, true] {
        run(async move {
            let (asking, mut serving) = pair(10_000, LIMITS, LIMITS);
            let mut wire = asking.ask(GET).await.unwrap();
            let mut served = serving.next().await;
            served.request().await.unwrap();
            served.write_all(OK).await.unwrap();
            wire.answer().await.unwrap();
            let waiting = spawn_local(async move { served.request().await.unwrap() });
            tokio::time::sleep(SECOND).await;
            assert!(!waiting.is_finished());
            if is_dropped {
                serving.task.abort();
            } else {
                drop((wire, asking));
            }
            assert!(timeout(SECOND, waiting).await.unwrap().unwrap().is_none());
        });
    }
}
