//! Those who have served one stream serve the next.

use super::*;
use crate::http2::tests::peer::Peer;

/// Serves one request and waits for the next one.
async fn served(serving: &mut Serving, asking: &Asking) -> Wire {
    let mut wire = asking.ask(GET).await.unwrap();
    let mut served = serving.next().await;
    served.request().await.unwrap();
    served.write_all(OK).await.unwrap();
    wire.answer().await.unwrap();
    assert!(
        timeout(SECOND / 10, served.read(&mut [0])).await.is_err(),
        "it waits"
    );
    served
}

#[test]
fn requests_that_come_one_by_one_are_served_by_the_same() {
    run(async {
        let (asking, mut serving) = pair(1000, LIMITS, LIMITS);
        let mut seated = served(&mut serving, &asking).await;
        for at in 0..50 {
            let mut wire = asking
                .ask(format!("GET /{at} HTTP/1.1\r\n\r\n").as_bytes())
                .await
                .unwrap();
            let request = seated.request().await.unwrap().unwrap();
            assert!(request.head.starts_with(&format!("GET /{at} HTTP/1.1\r\n")));
            seated.write_all(OK).await.unwrap();
            assert_eq!(wire.answer().await.unwrap().content, b"ok");
        }
        assert!(
            serving.arrived.try_recv().is_err(),
            "nobody else was needed"
        );
    });
}

#[test]
fn requests_that_come_together_are_served_together() {
    run(async {
        let (asking, mut serving) = pair(1000, LIMITS, LIMITS);
        let mut seated = served(&mut serving, &asking).await;
        let wires = [
            asking.ask(GET).await.unwrap(),
            asking.ask(GET).await.unwrap(),
        ];
        let mut other = serving.next().await;
        for served in [&mut seated, &mut other] {
            served.request().await.unwrap().unwrap();
            served.write_all(OK).await.unwrap();
        }
        for mut wire in wires {
            assert_eq!(wire.answer().await.unwrap().content, b"ok");
        }
    });
}

#[test]
fn whoever_waits_learns_of_the_end_while_others_are_busy() {
    run(async {
        let (asking, mut serving) = pair(1000, LIMITS, LIMITS);
        let _busy_wires = [
            asking.ask(GET).await.unwrap(),
            asking.ask(GET).await.unwrap(),
        ];
        let (mut seated, _busy) = (serving.next().await, serving.next().await);
        seated.request().await.unwrap().unwrap();
        seated.write_all(OK).await.unwrap();
        let waiting = spawn_local(async move { seated.request().await.unwrap() });
        tokio::time::sleep(SECOND).await;
        serving.server.announce_end();
        assert!(timeout(SECOND, waiting).await.unwrap().unwrap().is_none());
        assert!(!serving.task.is_finished());
    });
}

#[test]
fn a_stream_given_to_whoever_goes_away_is_given_to_another() {
    run(async {
        let (asking, mut serving) = pair(1000, LIMITS, LIMITS);
        let seated = served(&mut serving, &asking).await;
        let mut wire = asking.ask(GET).await.unwrap();
        assert!(
            timeout(SECOND, serving.next()).await.is_err(),
            "it was given to the one who waits"
        );
        drop(seated);
        let mut other = serving.next().await;
        other.request().await.unwrap().unwrap();
        other.write_all(OK).await.unwrap();
        assert_eq!(wire.answer().await.unwrap().content, b"ok");
        drop((other, wire));
        assert!(asking.client.is_idle());
        serving.server.quiet(5 * SECOND, 5 * SECOND).await;
    });
}

#[test]
fn whoever_goes_away_is_given_nothing() {
    run(async {
        let (asking, mut serving) = pair(1000, LIMITS, LIMITS);
        drop(served(&mut serving, &asking).await);
        let mut wire = asking.ask(GET).await.unwrap();
        let mut other = serving.next().await;
        other.request().await.unwrap().unwrap();
        other.write_all(OK).await.unwrap();
        assert_eq!(wire.answer().await.unwrap().content, b"ok");
    });
}

#[test]
fn a_stream_that_is_reset_before_anybody_looks_at_it_is_no_request() {
    run(async {
        let (here, there) = tokio::io::duplex(10_000);
        let mut serving = Serving::begin(here, LIMITS);
        let mut peer = Peer::client(there).await;
        peer.get(1).await;
        peer.reset(1).await;
        // Both are read before a stream is handed out.
        assert!(timeout(SECOND, serving.next()).await.is_err());
        peer.get(3).await;
        assert!(serving.next().await.request().await.unwrap().is_some());
    });
}

#[test]
fn whoever_left_an_answer_unfinished_serves_nothing_more() {
    run(async {
        let (here, there) = tokio::io::duplex(10_000);
        let mut serving = Serving::begin(here, LIMITS);
        let mut peer = Peer::client(there).await;
        peer.get(1).await;
        let mut served = serving.next().await;
        served.request().await.unwrap();
        peer.reset(1).await;
        assert_eq!(
            served.read(&mut [0]).await.unwrap_err().kind(),
            io::ErrorKind::ConnectionReset
        );
        peer.get(3).await;
        assert!(serving.next().await.request().await.unwrap().is_some());
        assert!(served.read(&mut [0]).await.is_err());
    });
}

#[test]
fn what_is_reset_while_it_is_served_is_told() {
    run(async {
        let (here, there) = tokio::io::duplex(10_000);
        let mut serving = Serving::begin(here, LIMITS);
        let mut peer = Peer::client(there).await;
        peer.get(1).await;
        let mut served = serving.next().await;
        served.request().await.unwrap();
        assert!(
            timeout(SECOND, poll_fn(|cx| served.0.poll_reset(cx)))
                .await
                .is_err()
        );
        peer.reset(1).await;
        poll_fn(|cx| served.0.poll_reset(cx)).await;
        peer.data(1, b"late", true).await;
        drop(served);
        assert_eq!(peer.said().await, [""; 0]);
    });
}
