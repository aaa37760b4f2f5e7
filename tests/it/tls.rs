//! Upstreams and token endpoints behind a private certification authority.

use std::io::{Read as _, Write as _};

use rustls::{ServerConnection, StreamOwned};

use crate::support::{
    certificates::private_authority,
    client::{Client, exchange},
    server::Server,
    setup::Setup,
    sidecar::run_to_end,
    token_endpoint::{TokenEndpoint, token_response},
    upstream::Upstream,
    wire::{Wire, ok},
};

#[test]
fn an_upstream_of_a_private_authority_is_spoken_to_over_tls() {
    let certificates = private_authority(&["localhost"]);
    let upstream = Upstream::answering_over_tls(certificates.server, |request| ok(&request.body));
    let tokens = TokenEndpoint::issuing("token-1");
    let setup = Setup::new(&tokens, upstream.origin());
    let ca = setup.file("ca.pem", &certificates.ca_pem);
    let sidecar = setup
        .route(&format!("ca_file = \"{}\"", ca.display()))
        .tables("[runtime]\nworkers = 1")
        .start_ready();
    let mut client = Client::connect(sidecar.address());
    for _ in 0..10 {
        client.send("POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.answer().text(), "hello");
    }
    let head = upstream.last().head;
    assert_eq!(head.value("authorization"), Some("Bearer token-1"));
    assert_eq!(
        head.value("host"),
        Some(format!("localhost:{}", upstream.address().port()).as_str())
    );
    assert_eq!(upstream.connections(), 1, "a handshake for each request");
    // Large bodies cross record boundaries.
    let body = "x".repeat(300_000);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert!(exchange(sidecar.address(), request).text() == body);
}

#[test]
fn a_token_endpoint_of_a_private_authority_is_believed_where_configured() {
    let certificates = private_authority(&["localhost"]);
    let secure =
        Upstream::answering_over_tls(certificates.server, |_| token_response("over-tls", 60));
    let tokens = TokenEndpoint::issuing("plain");
    let setup = Setup::new(&tokens, "http://127.0.0.1:1");
    let ca = setup.file("ca.pem", &certificates.ca_pem);
    let text = setup
        .text()
        .replace(&tokens.url(), &format!("{}/token", secure.origin()));
    let (file, environment) = setup.write();
    let command = ["token", "api", "-c", file.to_str().unwrap()];

    std::fs::write(&file, &text).unwrap();
    let untrusted = run_to_end(&command, &environment);
    assert_eq!(untrusted.status.code(), Some(1));
    assert_eq!(
        secure.count(),
        0,
        "the secret went to a server that proved nothing"
    );

    let trusted = format!(
        "client_id = \"legacy-service\"\ntoken_request.ca_file = \"{}\"",
        ca.display()
    );
    std::fs::write(
        &file,
        text.replace("client_id = \"legacy-service\"", &trusted),
    )
    .unwrap();
    let output = run_to_end(&command, &environment);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim_end(),
        "over-tls",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(tokens.count(), 0);
}

#[test]
fn plaintext_to_another_machine_is_an_error_unless_allowed() {
    let tokens = TokenEndpoint::issuing("token-1");
    let setup = Setup::new(&tokens, "http://api.example.com");
    let (file, environment) = setup.write();
    let path = file.to_str().unwrap();
    let output = run_to_end(&["check", "-c", path], &environment);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("allow_plaintext"), "{text}");
    let allowed = setup.route("allow_plaintext = true");
    let (file, environment) = allowed.write();
    let output = run_to_end(&["check", "-c", file.to_str().unwrap()], &environment);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn bytes_after_an_answer_do_not_poison_the_next_over_tls_either() {
    let certificates = private_authority(&["localhost"]);
    // In one record with the answer, and so read at once with it.
    let upstream =
        Upstream::answering_over_tls(certificates.server, |request| match request.head.target() {
            "/first" => [ok("/first"), ok("evil")].concat(),
            target => ok(target),
        });
    let tokens = TokenEndpoint::issuing("token-1");
    let setup = Setup::new(&tokens, upstream.origin());
    let ca = setup.file("ca.pem", &certificates.ca_pem);
    let sidecar = setup
        .route(&format!("ca_file = \"{}\"", ca.display()))
        .tables("[runtime]\nworkers = 1")
        .start_ready();
    let mut client = Client::connect(sidecar.address());
    assert_eq!(client.get("/first").text(), "/first");
    for number in 0..3 {
        let target = format!("/{number}");
        assert_eq!(client.get(&target).text(), target);
    }
}

#[test]
fn an_upstream_that_closes_idle_connections_is_no_error_over_tls_either() {
    let certificates = private_authority(&["localhost"]);
    let upstream =
        Upstream::answering_over_tls(certificates.server, |request| ok(request.head.method()));
    let tokens = TokenEndpoint::issuing("token-1");
    let setup = Setup::new(&tokens, upstream.origin());
    let ca = setup.file("ca.pem", &certificates.ca_pem);
    let sidecar = setup
        .route(&format!("ca_file = \"{}\"", ca.display()))
        .tables("[runtime]\nworkers = 1")
        .start_ready();
    let mut client = Client::connect(sidecar.address());
    for method in ["GET", "POST", "GET", "DELETE"] {
        client.send(format!(
            "{method} / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        ));
        let got = client.answer();
        assert_eq!((got.status, got.text().as_str()), (200, method));
        upstream.server().cut();
    }
}

#[test]
fn an_answer_that_fills_a_buffer_hides_nothing_behind_it() {
    let certificates = private_authority(&["localhost"]);
    // Records of 16 KiB are the largest, and so are the buffers that are read into.
    let first = "x".repeat(16 * 1024 - (ok("x".repeat(10_000)).len() - 10_000));
    let upstream = Upstream::answering_over_tls(certificates.server, {
        let first = first.clone();
        move |request| match request.head.target() {
            "/first" => [ok(&first), ok("evil")].concat(),
            target => ok(target),
        }
    });
    let tokens = TokenEndpoint::issuing("token-1");
    let setup = Setup::new(&tokens, upstream.origin());
    let ca = setup.file("ca.pem", &certificates.ca_pem);
    let sidecar = setup
        .route(&format!("ca_file = \"{}\"", ca.display()))
        .tables("[runtime]\nworkers = 1")
        .start_ready();
    let mut client = Client::connect(sidecar.address());
    for number in 0..3 {
        assert!(client.get("/first").body == first.as_bytes());
        let target = format!("/{number}");
        assert_eq!(client.get(&target).text(), target);
    }
}

#[test]
fn a_connection_that_was_ended_within_tls_takes_no_other_request() {
    let certificates = private_authority(&["localhost"]);
    let upstream = Server::start(move |tcp, _| {
        let session =
            ServerConnection::new(certificates.server.clone()).expect("a server configuration");
        let mut tls = StreamOwned::new(session, tcp);
        let Ok(Some(request)) = Wire::new(&mut tls).request() else {
            return;
        };
        // In one piece, and without an end of the connection under it.
        tls.conn
            .writer()
            .write_all(&ok(request.head.method()))
            .unwrap();
        tls.conn.send_close_notify();
        while tls.conn.wants_write() {
            tls.conn.write_tls(&mut tls.sock).unwrap();
        }
        while matches!(tls.sock.read(&mut [0; 1024]), Ok(1..)) {}
    });
    let tokens = TokenEndpoint::issuing("token-1");
    let setup = Setup::new(
        &tokens,
        format!("https://localhost:{}", upstream.address().port()),
    );
    let ca = setup.file("ca.pem", &certificates.ca_pem);
    let sidecar = setup
        .route(&format!("ca_file = \"{}\"", ca.display()))
        .tables("[runtime]\nworkers = 1")
        .start_ready();
    let mut client = Client::connect(sidecar.address());
    for method in ["GET", "POST", "POST"] {
        client.send(format!(
            "{method} / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        ));
        let got = client.answer();
        assert_eq!((got.status, got.text().as_str()), (200, method));
    }
    assert_eq!(upstream.connections(), 3);
}
