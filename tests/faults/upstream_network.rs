//! The network before the upstream: a black hole, a trickle, and a cut at each place.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

use crate::support::{
    client::{Client, exchange, get},
    patience::{Gate, until},
    ports,
    problem::assert_problem,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::{TokenEndpoint, token_response},
    upstream::Upstream,
    wire::{Wire, answer, ok},
};

/// An address where connections are neither accepted nor refused: the queue of its listener is full, and SYNs are dropped.
struct BlackHole {
    address: SocketAddr,
    _listener: Socket,
    _queued: Vec<TcpStream>,
}

impl BlackHole {
    fn new() -> Self {
        let address = ports::unused();
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        listener.bind(&address.into()).expect("an unused address");
        listener.listen(0).expect("a listener");
        let mut queued = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            queued.push(stream);
            assert!(queued.len() < 64, "the queue of a listener has no end");
        }
        Self {
            address,
            _listener: listener,
            _queued: queued,
        }
    }
}

fn sidecar(origin: &str, route: &str) -> (Sidecar, TokenEndpoint) {
    let tokens = TokenEndpoint::start(|_, number| token_response(&format!("token-{number}"), 3600));
    (
        Setup::new(&tokens, origin).route(route).start_ready(),
        tokens,
    )
}

#[test]
fn a_black_hole_costs_the_time_to_connect_and_no_other_route_anything() {
    let hole = BlackHole::new();
    let upstream = Upstream::answering(|_| ok("fine"));
    let tokens = TokenEndpoint::issuing("token-1");
    let sidecar = Setup::new(&tokens, format!("http://{}", hole.address))
        .route("timeouts.connect = \"1s\"")
        .tables(&format!(
            "[routes.healthy]\nlisten = \"{}\"\nupstream = \"{}\"\nprovider = \"api\"\n",
            ports::unused(),
            upstream.origin()
        ))
        .start_ready();
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| assert_problem(&sidecar.get("/"), 504, "upstream-timeout"));
        }
        for _ in 0..50 {
            assert_eq!(get(sidecar.route("healthy"), "/").status, 200);
        }
    });
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    // That an upstream is lost is no matter of tokens.
    assert_eq!(sidecar.admin("/readyz").status, 200);
    assert_eq!(tokens.count(), 1);
    let address = hole.address;
    drop(hole);
    // Where the hole was, there is a server now.
    let listener = until("the port", || TcpListener::bind(address).ok());
    let server = thread::spawn(move || {
        let mut wire = Wire::new(listener.accept().unwrap().0);
        wire.request().unwrap();
        wire.send(ok("fine")).unwrap();
    });
    assert_eq!(sidecar.get("/").text(), "fine");
    server.join().unwrap();
}

#[test]
fn a_head_that_comes_byte_by_byte_has_the_time_of_a_response() {
    let upstream = Upstream::scripted(|mut connection| {
        let _ = connection.request();
        for byte in b"HTTP/1.1 200 OK\r\nx-field: value\r\n".iter().cycle() {
            if connection.wire.send([*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
    });
    let (sidecar, _tokens) = sidecar(&upstream.origin(), "timeouts.response = \"1s\"");
    assert_problem(&sidecar.get("/"), 504, "upstream-timeout");
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_body_that_comes_byte_by_byte_has_all_the_time_it_needs() {
    let body = "a slow body";
    let upstream = Upstream::scripted(move |mut connection| {
        let _ = connection.request();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let _ = connection.wire.send(head);
        for byte in body.bytes() {
            thread::sleep(Duration::from_millis(300));
            let _ = connection.wire.send([byte]);
        }
    });
    // Together it takes longer than either bound.
    let route = "timeouts.response = \"2s\"\ntimeouts.idle = \"2s\"";
    let (sidecar, _tokens) = sidecar(&upstream.origin(), route);
    assert_eq!(sidecar.get("/").text(), body);
}

/// What a client gets when the connection is cut behind `sent`.
fn cut_behind(sent: &'static str, resets: bool) -> (Sidecar, Upstream, TokenEndpoint) {
    let upstream = Upstream::scripted(move |mut connection| {
        if let Ok(Some(request)) = connection.request() {
            if request.head.target() == "/well" {
                let _ = connection.wire.send(ok("fine"));
                return;
            }
            let _ = connection.wire.send(sent);
            if resets {
                connection.reset();
            }
        }
    });
    let (sidecar, tokens) = sidecar(&upstream.origin(), "");
    (sidecar, upstream, tokens)
}

#[test]
fn a_cut_before_or_within_the_head_is_a_protocol_failure_and_nothing_is_sent_again() {
    for (sent, resets) in [
        ("", false),
        ("", true),
        ("HTTP/1.1 200 OK\r\ncontent-le", false),
        ("HTTP/1.1 200 OK\r\ncontent-le", true),
    ] {
        let (sidecar, upstream, tokens) = cut_behind(sent, resets);
        let request = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi";
        let got = exchange(sidecar.address(), request);
        assert_problem(&got, 502, "upstream-protocol");
        assert_eq!(upstream.count(), 1, "{sent:?}: the request was sent again");
        assert_eq!(sidecar.get("/well").text(), "fine");
        assert_eq!(tokens.count(), 1);
    }
}

#[test]
fn a_cut_within_the_body_is_passed_on_as_a_cut() {
    for sent in [
        "HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\nhalf a body",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb\r\nhalf a body\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb\r\nhalf a body\r\n0\r\n",
    ] {
        let (sidecar, upstream, _tokens) = cut_behind(sent, false);
        let mut client = Client::connect(sidecar.address());
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let head = client.head();
        assert_eq!(head.status(), 200);
        let mut body = Vec::new();
        let framing = head.answer_framing("GET");
        let end = client
            .wire()
            .stream_body(framing, &mut |bytes| body.extend_from_slice(bytes));
        assert!(end.is_err(), "{sent:?} looked whole");
        assert_eq!(body, b"half a body");
        assert_eq!(upstream.count(), 1, "{sent:?}: the request was sent again");
        assert_eq!(sidecar.get("/well").text(), "fine");
    }
}

#[test]
fn a_refusal_of_every_token_costs_one_renewal_and_is_passed_on() {
    let upstream = Upstream::answering(|_| {
        answer(
            "401 Unauthorized",
            "www-authenticate: Bearer error=\"invalid_token\"\r\n",
            "refused",
        )
    });
    let (sidecar, tokens) = sidecar(&upstream.origin(), "");
    for number in 0..30 {
        let got = sidecar.get("/");
        assert_eq!(
            (got.status, got.text().as_str()),
            (401, "refused"),
            "{number}"
        );
        assert!(got.head.has("www-authenticate"), "{:?}", got.head);
    }
    assert_eq!(
        tokens.count(),
        2,
        "token requests for an API that refuses all"
    );
    let provider = sidecar.provider("api");
    assert_eq!(provider["token_requests"], 2, "{provider}");
}

#[test]
fn requests_that_wait_are_ended_by_the_cut_of_their_connection_alone() {
    let gate = Arc::new(Gate::default());
    let upstream = Upstream::scripted({
        let gate = gate.clone();
        move |mut connection| {
            while let Ok(Some(request)) = connection.request() {
                match request.head.target() {
                    "/cut" => {
                        gate.pass();
                        return;
                    }
                    _ => {
                        let _ = connection.wire.send(ok("fine"));
                    }
                }
            }
        }
    });
    let (sidecar, _tokens) = sidecar(&upstream.origin(), "");
    thread::scope(|scope| {
        let cut: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let request =
                        "POST /cut HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
                    exchange(sidecar.address(), request)
                })
            })
            .collect();
        upstream.wait_for(8);
        for _ in 0..20 {
            assert_eq!(sidecar.get("/").text(), "fine");
        }
        gate.open();
        for answer in cut {
            assert_problem(&answer.join().unwrap(), 502, "upstream-protocol");
        }
    });
    assert_eq!(sidecar.get("/").text(), "fine");
}
