//! WebSocket and other protocols that a connection switches to.

use std::{io::Read as _, net::TcpStream};

use tungstenite::{Message, protocol::frame::CloseFrame, protocol::frame::coding::CloseCode};

use crate::support::{
    client::{A_WHILE, Client},
    patience::lock,
    problem::assert_problem,
    server::Server,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::ok,
};

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nX-Own: 1\r\n\r\n";
const ASK: &str = "GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";

fn sidecar(upstream: &str, route: &str) -> Sidecar {
    Setup::new(&TokenEndpoint::issuing("token-1"), upstream)
        .route(route)
        .start_ready()
}

#[test]
fn an_allowed_protocol_is_tunnelled_with_the_token_and_to_the_last_byte() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request().unwrap();
        // What is said together with the head must not be lost.
        connection.wire.send(format!("{SWITCH}early")).unwrap();
        let heard = connection.wire.rest().unwrap();
        connection
            .wire
            .send([b"heard ", &heard[..]].concat())
            .unwrap();
    });
    let sidecar = sidecar(&upstream.origin(), "upgrade = [\"websocket\"]");
    let mut client = Client::connect(sidecar.address());
    client.send(format!("{ASK}hello "));
    let head = client.head();
    assert_eq!(
        (head.status(), head.value("upgrade"), head.value("x-own")),
        (101, Some("WebSocket"), Some("1"))
    );
    assert_eq!(head.value("connection"), Some("upgrade"));
    client.send("world");
    client.finish_sending();
    assert_eq!(client.wire().rest().unwrap(), b"earlyheard hello world");
    let asked = upstream.last().head;
    assert_eq!(
        (asked.value("upgrade"), asked.value("connection")),
        (Some("websocket"), Some("upgrade"))
    );
    assert_eq!(asked.value("authorization"), Some("Bearer token-1"));
}

#[test]
fn where_the_route_does_not_allow_it_the_wish_goes_no_further() {
    let upstream = Upstream::answering(|_| ok("plain"));
    for route in ["", "upgrade = [\"other\"]"] {
        let sidecar = sidecar(&upstream.origin(), route);
        let mut client = Client::connect(sidecar.address());
        client.send(ASK);
        assert_eq!(client.answer().text(), "plain");
        let head = upstream.last().head;
        assert!(!head.has("upgrade") && !head.has("connection"), "{head:?}");
    }
}

#[test]
fn an_upstream_that_declines_answers_as_ever() {
    let upstream = Upstream::answering(|_| ok("not today"));
    let sidecar = sidecar(&upstream.origin(), "upgrade = [\"websocket\"]");
    let mut client = Client::connect(sidecar.address());
    for _ in 0..2 {
        client.send(ASK);
        assert_eq!(client.answer().text(), "not today");
    }
}

#[test]
fn a_switch_to_another_protocol_is_refused() {
    let upstream = Upstream::answering(|_| SWITCH.replace("WebSocket", "h2c").into_bytes());
    let sidecar = sidecar(&upstream.origin(), "upgrade = [\"websocket\"]");
    let mut client = Client::connect(sidecar.address());
    client.send(ASK);
    assert_problem(&client.answer(), 502, "upstream-protocol");
}

#[test]
fn a_tunnel_in_which_nothing_moves_is_ended() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request().unwrap();
        connection.wire.send(SWITCH).unwrap();
        // An end, in whichever way: the test is that it comes.
        drop(connection.wire.rest());
    });
    let timeouts = "upgrade = [\"websocket\"]\ntimeouts.idle = \"300ms\"";
    let sidecar = sidecar(&upstream.origin(), timeouts);
    let mut client = Client::connect(sidecar.address());
    client.send(ASK);
    assert_eq!(client.head().status(), 101);
    let mut nothing = Vec::new();
    // An end or a reset.
    drop(client.socket().read_to_end(&mut nothing));
    assert!(nothing.is_empty());
}

#[test]
fn ten_thousand_messages_pass_each_way_and_the_close_code_is_kept() {
    const MESSAGES: usize = 10_000;
    let server = Server::start(|stream, _| {
        let mut socket = tungstenite::accept(stream).expect("a handshake");
        loop {
            match socket.read() {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                    socket.send(message).unwrap();
                }
                Ok(Message::Close(frame)) => {
                    assert_eq!(frame.unwrap().code, CloseCode::Library(4321));
                }
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed) => break,
                Err(error) => panic!("the server's side broke: {error}"),
            }
        }
    });
    let sidecar = sidecar(
        &format!("http://{}", server.address()),
        "upgrade = [\"websocket\"]",
    );
    let stream = TcpStream::connect(sidecar.address()).unwrap();
    let url = format!("ws://{}/", sidecar.address());
    let (mut socket, _) = tungstenite::client(url, stream).expect("a handshake");
    for number in 0..MESSAGES {
        let length = if number % 1000 == 0 {
            100_000
        } else {
            number % 200
        };
        let message = Message::binary(vec![number as u8; length]);
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    socket
        .close(Some(CloseFrame {
            code: CloseCode::Library(4321),
            reason: "done".into(),
        }))
        .unwrap();
    match socket.read() {
        Ok(Message::Close(Some(frame))) => assert_eq!(frame.code, CloseCode::Library(4321)),
        other => panic!("not a close frame: {other:?}"),
    }
}

#[test]
fn of_a_list_of_protocols_those_that_are_allowed_are_asked_for() {
    let upstream = Upstream::answering(|_| SWITCH.into());
    let sidecar = sidecar(&upstream.origin(), "upgrade = [\"websocket\", \"other/2\"]");
    for (wish, sent) in [
        ("foo, websocket", "websocket"),
        ("h2c , WebSocket,foo/1", "WebSocket"),
        ("Other/2, foo, websocket", "Other/2, websocket"),
        ("foo\r\nUpgrade: websocket", "websocket"),
    ] {
        let mut client = Client::connect(sidecar.address());
        client.send(ASK.replace("websocket", wish));
        assert_eq!(client.head().status(), 101, "{wish}");
        let asked = upstream.last().head;
        assert_eq!(
            (asked.value("upgrade"), asked.value("connection")),
            (Some(sent), Some("upgrade")),
            "{wish}"
        );
    }
}

#[test]
fn a_switch_to_a_protocol_that_was_not_passed_on_is_refused() {
    let upstream = Upstream::answering(|_| SWITCH.replace("WebSocket", "foo").into_bytes());
    let sidecar = sidecar(&upstream.origin(), "upgrade = [\"websocket\"]");
    let mut client = Client::connect(sidecar.address());
    client.send(ASK.replace("websocket", "foo, websocket"));
    assert_problem(&client.answer(), 502, "upstream-protocol");
}

#[test]
fn a_tunnel_counts_as_a_connection_to_its_end() {
    let upstream = Upstream::scripted(|mut connection| {
        connection.request().unwrap();
        let _ = connection.wire.send(SWITCH);
        let _ = connection.wire.rest();
    });
    let sidecar = Setup::new(&TokenEndpoint::issuing("token-1"), upstream.origin())
        .route("upgrade = [\"websocket\"]")
        .tables("[limits]\nconnections = 1")
        .start_ready();
    let mut first = Client::connect(sidecar.address());
    first.send(ASK);
    assert_eq!(first.head().status(), 101);
    let mut second = Client::connect(sidecar.address());
    second.send(ASK);
    std::thread::sleep(A_WHILE);
    assert_eq!(
        upstream.count(),
        1,
        "a connection above the limit was served"
    );
    drop(first);
    assert_eq!(second.head().status(), 101);
}

#[test]
fn where_the_upstream_declines_what_follows_is_the_next_request() {
    let upstream = Upstream::answering(|request| ok(request.head.target()));
    let sidecar = sidecar(&upstream.origin(), "upgrade = [\"websocket\"]");
    let mut client = Client::connect(sidecar.address());
    client.send(format!(
        "{ASK}GET /next HTTP/1.1\r\nHost: localhost\r\n\r\n"
    ));
    assert_eq!(client.answer().text(), "/chat");
    assert_eq!(client.answer().text(), "/next");
}

#[test]
fn what_a_client_sends_after_the_upstreams_last_byte_arrives() {
    let (heard, hears) = std::sync::mpsc::channel();
    let heard = std::sync::Mutex::new(heard);
    let upstream = Upstream::scripted(move |mut connection| {
        connection.request().unwrap();
        connection.wire.send(format!("{SWITCH}bye")).unwrap();
        connection.finish_sending();
        let _ = lock(&heard).send(connection.wire.rest().unwrap());
    });
    let sidecar = sidecar(&upstream.origin(), "upgrade = [\"websocket\"]");
    let mut client = Client::connect(sidecar.address());
    client.send(ASK);
    assert_eq!(client.head().status(), 101);
    assert_eq!(client.wire().rest().unwrap(), b"bye");
    client.send("last words");
    client.finish_sending();
    assert_eq!(hears.recv().unwrap(), b"last words");
}
