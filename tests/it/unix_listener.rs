//! A listener that is a Unix socket: for those who may open the file, and for nobody else.

use std::{
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
};

use crate::support::{
    frames::{Frame, flag, get_block, kind},
    patience::PATIENCE,
    setup::Setup,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::{Answer, Wire, ok},
};

fn connect(path: &Path) -> Wire<UnixStream> {
    let stream = UnixStream::connect(path).expect("a connection");
    stream
        .set_read_timeout(Some(PATIENCE * 2))
        .expect("an option of a socket");
    Wire::new(stream)
}

#[track_caller]
fn ask(wire: &mut Wire<UnixStream>, request: &str) -> Answer {
    wire.send(request).expect("the sidecar takes what is sent");
    wire.answer("GET")
        .unwrap_or_else(|error| panic!("no answer: {error}"))
}

#[test]
fn owner_and_group_are_served_over_it_and_it_goes_with_the_sidecar() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let upstream = Upstream::answering(|request| ok(&request.body));
    let tokens = TokenEndpoint::issuing("token-1");
    let listen = format!("unix:{}", path.display());
    let sidecar = Setup::new(&tokens, upstream.origin())
        .listen(&listen)
        .start_ready();

    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o660, "{mode:o}");
    assert_eq!(sidecar.status()["routes"]["api"]["listen"], listen);

    let mut wire = connect(&path);
    let body = "x".repeat(300_000);
    for _ in 0..2 {
        let request = format!(
            "POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = ask(&mut wire, &request);
        assert!(
            answer.status == 200 && answer.text() == body,
            "{:?}",
            answer.head
        );
    }
    let head = upstream.last().head;
    assert_eq!(head.value("authorization"), Some("Bearer token-1"));
    assert_eq!(
        head.value("host"),
        Some(upstream.address().to_string().as_str())
    );
    // Who stands behind the socket is guarded like any other: a page in a browser may reach it through a bridge.
    let answer = ask(
        &mut connect(&path),
        "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    );
    assert_eq!(answer.status, 421);

    sidecar.stop();
    assert!(!path.exists(), "the socket was left behind");
}

#[test]
fn http2_is_spoken_over_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let upstream = Upstream::answering(|_| ok("fine"));
    let tokens = TokenEndpoint::issuing("token-1");
    let listen = format!("unix:{}", path.display());
    let _sidecar = Setup::new(&tokens, upstream.origin())
        .listen(&listen)
        .start_ready();
    let mut wire = connect(&path);
    wire.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    wire.send(Frame::new(kind::SETTINGS, 0, 0, &[]).bytes())
        .unwrap();
    wire.send(
        Frame::new(
            kind::HEADERS,
            flag::END_HEADERS | flag::END_STREAM,
            1,
            &get_block("/"),
        )
        .bytes(),
    )
    .unwrap();
    loop {
        let (frame, length) = Frame::parse(&wire.exactly(9).unwrap());
        let payload = wire.exactly(length).unwrap();
        if frame.kind == kind::DATA {
            assert_eq!((frame.stream, payload.as_slice()), (1, &b"fine"[..]));
            return;
        }
        assert_ne!(frame.kind, kind::RST_STREAM);
    }
}

#[test]
fn one_that_a_killed_sidecar_left_behind_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let upstream = Upstream::answering(|_| ok("fine"));
    let tokens = TokenEndpoint::issuing("token-1");
    let listen = format!("unix:{}", path.display());
    Setup::new(&tokens, upstream.origin())
        .listen(&listen)
        .start_ready()
        .kill();
    assert!(path.exists());
    let _sidecar = Setup::new(&tokens, upstream.origin())
        .listen(&listen)
        .start_ready();
    assert_eq!(
        ask(
            &mut connect(&path),
            "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        .text(),
        "fine"
    );
}

#[test]
fn a_client_that_pauses_before_the_last_bytes_gets_them() {
    // All of the response has left the upstream, and a part of it waits for the client.
    let body = vec![b'x'; 260_000];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let upstream = Upstream::answering({
        let body = body.clone();
        move |_| ok(&body)
    });
    let tokens = TokenEndpoint::issuing("token-1");
    let _sidecar = Setup::new(&tokens, upstream.origin())
        .listen(format!("unix:{}", path.display()))
        .tables("[limits]\nkeep_alive = \"500ms\"")
        .start_ready();
    let mut wire = connect(&path);
    wire.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let answer = wire.answer("GET").unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, body.len()));
    // Only now it idles.
    assert_eq!(wire.rest().unwrap(), b"");
}
