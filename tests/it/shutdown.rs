//! How the sidecar ends.

use std::{sync::Arc, thread, time::Duration};

use rustix::process::Signal;
use tokio::{sync::mpsc, time::timeout};
use tonic::codegen::tokio_stream::StreamExt;

use crate::support::{
    client::{A_WHILE, Client},
    grpc::{GrpcClient, GrpcServer},
    patience::{Gate, PATIENCE, until},
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::{TokenEndpoint, token_response},
    upstream::Upstream,
    wire::ok,
};

const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

struct World {
    sidecar: Sidecar,
    upstream: Upstream,
    gate: Arc<Gate>,
}

/// An upstream that answers `/slow` when the gate is opened.
fn world(tables: &str) -> World {
    let gate = Arc::new(Gate::default());
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering({
        let gate = gate.clone();
        move |request| {
            if request.head.target() == "/slow" {
                gate.pass();
            }
            ok("done")
        }
    });
    let sidecar = Setup::new(&tokens, upstream.origin())
        .tables(tables)
        .start_ready();
    World {
        sidecar,
        upstream,
        gate,
    }
}

impl World {
    /// A caller whose request is at the upstream.
    fn in_flight(&self) -> Client {
        let mut client = Client::connect(self.sidecar.address());
        let before = self.upstream.count();
        client.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.upstream.wait_for(before + 1);
        client
    }

    fn wait_until_refusing(&self) {
        wait_until_refusing(&self.sidecar);
    }
}

fn wait_until_refusing(sidecar: &Sidecar) {
    let address = sidecar.address();
    until("new connections to be refused", || {
        Client::try_connect(address).is_err().then_some(())
    });
}

/// Waits until the sidecar has accepted `count` connections of the route.
fn wait_for_connections(sidecar: &Sidecar, count: usize) {
    let metric = format!(
        "bearward_connections{{listener=\"{}\"}} {count}\n",
        sidecar.address()
    );
    until("the connections to be accepted", || {
        sidecar.metrics().contains(&metric).then_some(())
    });
}

#[test]
fn what_is_in_flight_finishes_and_nothing_new_is_taken() {
    let mut world = world("");
    let mut idle = Client::connect(world.sidecar.address());
    assert_eq!(idle.get("/").status, 200);
    let mut caller = world.in_flight();
    world.sidecar.signal(Signal::TERM);
    world.wait_until_refusing();
    assert!(
        world.sidecar.ended().is_none(),
        "ended with a request in flight"
    );
    // Where the admin listener still answers, it does not say ready.
    if let Ok(mut admin) = Client::try_connect(world.sidecar.admin_address()) {
        let asked = admin
            .wire()
            .send("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        if let Ok(answer) = asked.and_then(|()| admin.wire().answer("GET")) {
            assert_eq!(answer.status, 503);
        }
    }
    assert!(idle.is_closed(), "an idle connection holds nothing up");
    world.gate.open();
    let answer = caller.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    // The caller learns that it is the last one on this connection (RFC 9112 §9.6).
    assert_eq!(answer.head.value("connection"), Some("close"));
    assert!(caller.is_closed());
    assert_eq!(world.sidecar.wait().code(), Some(0));
}

#[test]
fn a_caller_that_has_connected_and_not_asked_yet_is_served() {
    let mut world = world("");
    let mut caller = Client::connect(world.sidecar.address());
    wait_for_connections(&world.sidecar, 1);
    world.sidecar.signal(Signal::TERM);
    world.wait_until_refusing();
    let answer = caller.get("/");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.head.value("connection"), Some("close"));
    assert_eq!(world.sidecar.wait().code(), Some(0));
}

#[test]
fn a_caller_that_never_asks_holds_the_end_up_for_a_moment_only() {
    let mut world = world("");
    let _caller = Client::connect(world.sidecar.address());
    wait_for_connections(&world.sidecar, 1);
    world.sidecar.signal(Signal::TERM);
    // The time to drain is 30 s, that for the first byte 10 s.
    assert_eq!(
        world.sidecar.wait_within(Duration::from_secs(8)).code(),
        Some(0)
    );
}

#[test]
fn a_head_that_is_on_its_way_is_served() {
    let mut world = world("");
    let mut first = Client::connect(world.sidecar.address());
    first.send("GET / HTTP/1.1\r\nHost: loc");
    let mut second = Client::connect(world.sidecar.address());
    assert_eq!(second.get("/").status, 200);
    second.send("GET / HTTP/1.1\r\nHost: loc");
    wait_for_connections(&world.sidecar, 2);
    world.sidecar.signal(Signal::TERM);
    world.wait_until_refusing();
    for mut caller in [first, second] {
        caller.send("alhost\r\n\r\n");
        assert_eq!(caller.answer().status, 200);
        assert!(caller.is_closed());
    }
    assert_eq!(world.sidecar.wait().code(), Some(0));
}

#[test]
fn a_request_that_waits_for_its_token_gets_it() {
    let gate = Arc::new(Gate::default());
    let tokens = TokenEndpoint::start({
        let gate = gate.clone();
        move |_, _| {
            gate.pass();
            token_response("token-1", 3600)
        }
    });
    let upstream = Upstream::answering(|_| ok("done"));
    let mut sidecar = Setup::new(&tokens, upstream.origin()).start();
    tokens.wait_for(1);
    let mut caller = Client::connect(sidecar.address());
    caller.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_for_connections(&sidecar, 1);
    sidecar.signal(Signal::TERM);
    wait_until_refusing(&sidecar);
    gate.open();
    assert_eq!(caller.answer().text(), "done");
    assert_eq!(sidecar.wait().code(), Some(0));
}

#[test]
fn a_tunnel_stays_open_until_one_of_its_ends_closes_it() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request().unwrap();
        connection.wire.send(SWITCH).unwrap();
        let heard = connection.wire.exactly(5).unwrap();
        connection.wire.send(heard).unwrap();
    });
    let tokens = TokenEndpoint::issuing("token-1");
    let mut sidecar = Setup::new(&tokens, upstream.origin())
        .route("upgrade = [\"websocket\"]")
        .start_ready();
    let mut caller = Client::connect(sidecar.address());
    caller.send(
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert_eq!(caller.head().status(), 101);
    sidecar.signal(Signal::TERM);
    wait_until_refusing(&sidecar);
    assert!(sidecar.ended().is_none(), "ended with a tunnel open");
    caller.send("hello");
    caller.finish_sending();
    assert_eq!(caller.wire().rest().unwrap(), b"hello");
    assert_eq!(sidecar.wait().code(), Some(0));
}

#[test]
fn a_switch_of_protocols_that_comes_after_the_signal_is_whole() {
    let gate = Arc::new(Gate::default());
    let upstream = Upstream::scripted({
        let gate = gate.clone();
        move |mut connection| {
            connection.request().unwrap();
            gate.pass();
            connection.wire.send(SWITCH).unwrap();
        }
    });
    let tokens = TokenEndpoint::issuing("token-1");
    let mut sidecar = Setup::new(&tokens, upstream.origin())
        .route("upgrade = [\"websocket\"]")
        .start_ready();
    let mut caller = Client::connect(sidecar.address());
    caller.send(
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    upstream.wait_for(1);
    sidecar.signal(Signal::TERM);
    wait_until_refusing(&sidecar);
    gate.open();
    let head = caller.head();
    assert_eq!(
        (head.status(), head.values("connection")),
        (101, vec!["upgrade"])
    );
    drop(caller);
    assert_eq!(sidecar.wait().code(), Some(0));
}

#[test]
fn a_stream_of_events_goes_on_to_its_end() {
    let gate = Arc::new(Gate::default());
    let upstream = Upstream::scripted({
        let gate = gate.clone();
        move |mut connection| {
            connection.request().unwrap();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                        Transfer-Encoding: chunked\r\n\r\n";
            connection
                .wire
                .send(format!("{head}9\r\ndata: 1\n\n\r\n"))
                .unwrap();
            gate.pass();
            for number in 2..5 {
                connection
                    .wire
                    .send(format!("9\r\ndata: {number}\n\n\r\n"))
                    .unwrap();
            }
            connection.wire.send("0\r\n\r\n").unwrap();
        }
    });
    let tokens = TokenEndpoint::issuing("token-1");
    let mut sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let mut caller = Client::connect(sidecar.address());
    caller.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = caller.head();
    assert_eq!(head.status(), 200);
    sidecar.signal(Signal::TERM);
    wait_until_refusing(&sidecar);
    assert!(sidecar.ended().is_none(), "ended with a response under way");
    gate.open();
    let mut events = Vec::new();
    caller
        .wire()
        .stream_body(head.answer_framing("GET"), &mut |bytes| {
            events.extend_from_slice(bytes);
        })
        .unwrap();
    assert_eq!(events, b"data: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\n");
    assert_eq!(sidecar.wait().code(), Some(0));
}

#[tokio::test]
async fn a_grpc_call_under_way_goes_on_to_its_status() {
    let server = GrpcServer::start();
    let tokens = TokenEndpoint::issuing("token-1");
    let mut sidecar = Setup::new(&tokens, server.origin())
        .route("http2 = \"prior-knowledge\"")
        .start_ready();
    let mut client = GrpcClient::connect(sidecar.address()).await;
    let talk = async {
        let (sender, receiver) = mpsc::channel(1);
        let mut answers = client.talk("Echo", receiver).await.unwrap();
        for number in 0..10 {
            sender.send(number.to_string()).await.unwrap();
            assert_eq!(answers.next().await.unwrap().unwrap(), number.to_string());
            if number == 4 {
                sidecar.signal(Signal::TERM);
                wait_until_refusing(&sidecar);
                assert!(sidecar.ended().is_none(), "ended with a call under way");
            }
        }
        drop(sender);
        assert!(answers.next().await.is_none());
        assert!(answers.trailers().await.unwrap().is_some());
    };
    timeout(PATIENCE * 2, talk).await.expect("answers in time");
    drop(client);
    assert_eq!(sidecar.wait().code(), Some(0));
}

#[test]
fn a_hangup_while_it_drains_changes_nothing() {
    let mut world = world("");
    let mut caller = world.in_flight();
    world.sidecar.signal(Signal::TERM);
    world.wait_until_refusing();
    world.sidecar.signal(Signal::HUP);
    thread::sleep(A_WHILE);
    assert!(world.sidecar.ended().is_none(), "a hangup ended it");
    world.gate.open();
    assert_eq!(caller.answer().text(), "done");
    assert_eq!(world.sidecar.wait().code(), Some(0));
}

#[test]
fn an_interrupt_is_as_good() {
    let mut world = world("");
    world.sidecar.signal(Signal::INT);
    assert_eq!(world.sidecar.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once_and_not_with_zero() {
    let mut world = world("");
    let _caller = world.in_flight();
    world.sidecar.signal(Signal::TERM);
    world.wait_until_refusing();
    assert!(world.sidecar.ended().is_none());
    // At once: the time to drain is 30 s.
    world.sidecar.signal(Signal::INT);
    let status = world.sidecar.wait_within(PATIENCE);
    assert!(!status.success(), "{status}");
    world.gate.open();
}

#[test]
fn the_drain_has_an_end() {
    let mut world = world("[drain]\ntimeout = \"500ms\"");
    let _caller = world.in_flight();
    world.sidecar.signal(Signal::TERM);
    // The request never finishes; the gate stays shut.
    assert_eq!(world.sidecar.wait().code(), Some(0));
    world.gate.open();
}

#[test]
fn a_lame_duck_still_accepts_and_is_not_ready() {
    let mut world = world("[drain]\nlame_duck = \"2s\"");
    world.sidecar.signal(Signal::TERM);
    until("readiness to turn off", || {
        (world.sidecar.admin("/readyz").status == 503).then_some(())
    });
    assert_eq!(world.sidecar.get("/").status, 200);
    assert_eq!(world.sidecar.wait().code(), Some(0));
}

#[test]
fn a_killed_sidecar_leaves_its_address_free() {
    let listen = crate::support::ports::unused();
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let mut first = Setup::new(&tokens, upstream.origin())
        .listen(listen)
        .start_ready();
    let mut client = Client::connect(listen);
    assert_eq!(client.get("/").status, 200);
    first.signal(Signal::KILL);
    assert!(!first.wait().success());
    let second = Setup::new(&tokens, upstream.origin())
        .listen(listen)
        .start_ready();
    assert_eq!(second.get("/").status, 200);
}
