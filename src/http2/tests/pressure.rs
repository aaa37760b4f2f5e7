//! Those who do not read, those who stop reading, and windows that change on the way.

use super::*;
use crate::http2::{
    frame::{self, setting},
    tests::peer::Peer,
};

/// Writes until no more is taken.
async fn fill(wire: &mut Wire) -> usize {
    let mut taken = 0;
    while let Ok(count) = timeout(SECOND, wire.write(&vec![b'x'; 10_000])).await {
        taken += count.unwrap();
    }
    taken
}

#[test]
fn whoever_does_not_read_stops_its_own_writer_alone() {
    run(async {
        let serving = Limits {
            connection_window: 200_000,
            ..LIMITS
        };
        let (asking, mut serving) = pair(1000, LIMITS, serving);
        let mut wire = asking
            .ask(b"POST / HTTP/1.1\r\ncontent-length: 10000000\r\n\r\n")
            .await
            .unwrap();
        let held = serving.next().await;
        assert_eq!(fill(&mut wire).await, 65_535 + 64 * 1024);
        let _server = serving.echo();
        let content = content(300_000);
        assert!(asking.post(&content).await.unwrap() == content);
        drop(held);
    });
}

#[test]
fn whoever_does_not_read_an_answer_stops_its_own_writer_alone() {
    run(async {
        let asking = Limits {
            connection_window: 200_000,
            ..LIMITS
        };
        let (asking, mut serving) = pair(1000, asking, LIMITS);
        let _held = asking.ask(GET).await.unwrap();
        let mut served = serving.next().await;
        served.request().await.unwrap();
        served
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(fill(&mut served).await, 65_535 + 64 * 1024);
        let _server = serving.echo();
        let content = content(300_000);
        assert!(asking.post(&content).await.unwrap() == content);
    });
}

#[test]
fn a_reader_that_goes_on_lets_its_writer_go_on() {
    run(async {
        let (asking, mut serving) = pair(1000, LIMITS, LIMITS);
        let content = content(400_000);
        let request = posting(&content);
        let mut wire = Wire(asking.client.stream());
        let writing = spawn_local(async move {
            wire.write_all(&request).await.unwrap();
            wire.answer().await.unwrap().content
        });
        let mut served = serving.next().await;
        tokio::time::sleep(10 * SECOND).await;
        assert!(!writing.is_finished());
        assert!(served.request().await.unwrap().unwrap().content == content);
        served.write_all(OK).await.unwrap();
        assert_eq!(writing.await.unwrap(), b"ok");
    });
}

/// How a stream on which content is on its way is given up.
#[derive(Clone, Copy, Debug)]
enum GivenUp {
    ByWhoAsks,
    ByWhoIsAsked,
    HalfRead,
    AnsweredEarly,
    AnswerUnread,
}

async fn give_up(how: GivenUp, asking: &Asking, serving: &mut Serving) {
    let mut wire = asking
        .ask(b"POST / HTTP/1.1\r\ncontent-length: 90000\r\n\r\n")
        .await
        .unwrap();
    let mut served = serving.next().await;
    wire.write_all(&vec![b'x'; 60_000]).await.unwrap();
    tokio::time::sleep(SECOND / 10).await;
    match how {
        GivenUp::ByWhoAsks => drop(wire),
        GivenUp::ByWhoIsAsked => drop(served),
        GivenUp::HalfRead => {
            served.read(&mut vec![0; 20_000]).await.unwrap();
            drop(wire);
            tokio::time::sleep(SECOND / 10).await;
        }
        GivenUp::AnsweredEarly => {
            served.write_all(OK).await.unwrap();
            served.0.close();
            assert_eq!(served.read(&mut [0; 100]).await.unwrap(), 0);
            drop(served);
            assert_eq!(wire.answer().await.unwrap().content, b"ok");
            assert_eq!(
                wire.write(b"more").await.map_err(|error| error.kind()),
                Err(io::ErrorKind::BrokenPipe)
            );
        }
        GivenUp::AnswerUnread => {
            served
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 90000\r\n\r\n")
                .await
                .unwrap();
            served.write_all(&vec![b'x'; 60_000]).await.unwrap();
            tokio::time::sleep(SECOND / 10).await;
            drop(wire);
        }
    }
    tokio::time::sleep(SECOND / 10).await;
}

#[test]
fn streams_that_are_given_up_take_no_window_with_them() {
    for how in [
        GivenUp::ByWhoAsks,
        GivenUp::ByWhoIsAsked,
        GivenUp::HalfRead,
        GivenUp::AnsweredEarly,
        GivenUp::AnswerUnread,
    ] {
        run(async move {
            let (asking, mut serving) = pair(10_000, LIMITS, LIMITS);
            for _ in 0..50 {
                give_up(how, &asking, &mut serving).await;
            }
            assert!(asking.client.is_idle());
            let mut one = asking
                .ask(b"POST / HTTP/1.1\r\ncontent-length: 10000000\r\n\r\n")
                .await
                .unwrap();
            let mut held = serving.next().await;
            assert_eq!(fill(&mut one).await, 65_535 + 64 * 1024, "{how:?}");
            held.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n")
                .await
                .unwrap();
            assert_eq!(fill(&mut held).await, 65_535 + 64 * 1024, "{how:?}");
            drop((one, held));
            let _server = serving.echo();
            let content = content(300_000);
            assert!(asking.post(&content).await.unwrap() == content, "{how:?}");
        });
    }
}

#[test]
fn a_window_that_is_set_smaller_and_larger_on_the_way_is_kept() {
    run(async {
        let (here, there) = tokio::io::duplex(1_000_000);
        let asking = Asking::begin(here, LIMITS);
        let mut peer = Peer::server(there).await;
        let mut wire = asking
            .ask(b"POST / HTTP/1.1\r\ncontent-length: 100000\r\n\r\n")
            .await
            .unwrap();
        wire.write_all(&[b'x'; 1000]).await.unwrap();
        assert_eq!(peer.said().await, ["1: fields", "1: data 1000"]);
        peer.send(|out| frame::put_settings(out, &[(setting::INITIAL_WINDOW_SIZE, 1200)]))
            .await;
        assert_eq!(peer.said().await, ["settings ack"]);
        wire.write_all(&[b'x'; 1000]).await.unwrap();
        assert_eq!(peer.said().await, ["1: data 200"]);
        peer.send(|out| frame::put_settings(out, &[(setting::INITIAL_WINDOW_SIZE, 0)]))
            .await;
        peer.send(|out| frame::put_window_update(out, 1, 1300))
            .await;
        assert_eq!(peer.said().await, ["settings ack", "1: data 100"]);
        peer.send(|out| frame::put_settings(out, &[(setting::INITIAL_WINDOW_SIZE, 65_535)]))
            .await;
        assert_eq!(peer.said().await, ["settings ack", "1: data 700"]);
    });
}

#[test]
fn a_peer_that_asks_and_does_not_read_is_not_read_either() {
    run(async {
        let (here, there) = tokio::io::duplex(1000);
        let _serving = Serving::begin(here, LIMITS);
        let mut peer = Peer::client(there).await;
        let pings = async {
            for _ in 0..100_000 {
                peer.send(|out| frame::put_ping(out, false, *b"whatever"))
                    .await;
            }
        };
        // All of its pings are to be answered, and only so many answers are kept.
        assert!(timeout(SECOND, pings).await.is_err());
        let mut pongs = 0;
        loop {
            let said = peer.said().await;
            pongs += said.len();
            if said.is_empty() {
                break;
            }
        }
        assert!((7000..13_000).contains(&pongs), "{pongs}");
    });
}
