//! The tools themselves: a test that trusts a tool which sees nothing proves nothing.

use std::{io::Cursor, net::TcpListener, process::Command, sync::Arc, thread};

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use crate::support::{
    certificates::private_authority,
    client::{Client, exchange, get, raw},
    ports,
    problem::assert_problem,
    protected_api::ProtectedApi,
    sidecar::Process,
    token_endpoint::{Issuer, TokenEndpoint},
    upstream::Upstream,
    wire::{Framing, Wire, answer, chunked, ok},
};

#[test]
fn a_server_that_is_down_refuses_and_comes_up_where_it_was() {
    let tokens = TokenEndpoint::issuing("a");
    let address = tokens
        .url()
        .trim_start_matches("http://")
        .trim_end_matches("/token")
        .parse()
        .unwrap();
    let mut kept = Client::connect(address);
    assert_eq!(kept.get("/token").json()["access_token"], "a");
    tokens.down();
    assert!(Client::try_connect(address).is_err());
    assert!(kept.is_closed(), "a connection outlived its server");
    tokens.up();
    assert_eq!(get(address, "/token").status, 200);
    assert_eq!(tokens.count(), 2);
}

#[test]
fn an_upstream_shows_every_byte() {
    let upstream = Upstream::answering(|request| ok(&request.body));
    let bytes = "POST /a HTTP/1.1\r\nx-Odd:  1 \r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-t: 1\r\n\r\n";
    assert_eq!(exchange(upstream.address(), bytes).text(), "hi");
    let request = upstream.last();
    assert_eq!(
        request.head.raw,
        bytes
            .split_once("\r\n\r\n")
            .map(|(head, _)| format!("{head}\r\n\r\n"))
            .unwrap()
            .as_bytes()
    );
    assert_eq!(request.head.value("X-ODD"), Some("1"));
    assert_eq!(request.trailers, [("x-t".to_owned(), "1".to_owned())]);
    assert_eq!((upstream.count(), upstream.connections()), (1, 1));
}

#[test]
fn a_cut_body_is_told_from_a_whole_one() {
    let read = |bytes: &[u8], framing| {
        Wire::new(Cursor::new(bytes.to_vec()))
            .body(framing)
            .map(|(body, _)| body)
    };
    assert_eq!(read(b"hello", Framing::Length(5)).unwrap(), b"hello");
    assert!(read(b"hell", Framing::Length(5)).is_err());
    assert_eq!(
        read(&chunked(b"hello", 2, ""), Framing::Chunked).unwrap(),
        b"hello"
    );
    for cut in [
        &b"5\r\nhello\r\n"[..],
        b"5\r\nhello\r\n0\r\n",
        b"5\r\nhel",
        b"",
        b"5\r\nhelloo\r\n0\r\n\r\n",
    ] {
        assert!(read(cut, Framing::Chunked).is_err(), "{cut:?}");
    }
}

#[test]
fn the_api_refuses_what_has_expired_or_was_never_issued() {
    let issuer = Arc::new(Issuer::default());
    let api = ProtectedApi::start(issuer.clone());
    issuer.issue(3600);
    issuer.issue(0);
    let ask = |token: &str| {
        let fields = format!("Authorization: Bearer {token}\r\n");
        exchange(
            api.address(),
            format!("GET /bytes/70000 HTTP/1.1\r\nHost: x\r\n{fields}\r\n"),
        )
    };
    assert_eq!(
        (ask("token-0").status, ask("token-0").body.len()),
        (200, 70_000)
    );
    assert_eq!((ask("token-1").status, ask("token-2").status), (401, 401));
    assert_eq!(api.refused(), ["Bearer token-1", "Bearer token-2"]);
    assert_eq!((api.accepted(), api.sent()), (2, 140_000));
    assert_eq!(get(api.address(), "/").status, 401);
}

#[test]
fn an_upstream_speaks_tls_to_those_who_trust_its_authority() {
    let certificates = private_authority(&["localhost"]);
    let upstream = Upstream::answering_over_tls(certificates.server, |_| ok("secret"));
    let dial = |trusted: bool, name: &'static str| {
        let mut roots = RootCertStore::empty();
        if trusted {
            roots
                .add(CertificateDer::from_pem_slice(certificates.ca_pem.as_bytes()).unwrap())
                .unwrap();
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let session = ClientConnection::new(Arc::new(config), name.try_into().unwrap()).unwrap();
        let tcp = Client::connect(upstream.address()).socket();
        let mut wire = Wire::new(StreamOwned::new(session, tcp));
        wire.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        wire.answer("GET")
    };
    assert_eq!(dial(true, "localhost").unwrap().text(), "secret");
    assert!(dial(false, "localhost").is_err());
    assert!(dial(true, "other.example").is_err());
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_reset_and_a_close_are_both_closed_and_a_byte_is_not() {
    let upstream = Upstream::scripted(|mut connection| {
        let Ok(Some(head)) = connection.head() else {
            return;
        };
        match head.target() {
            "/reset" => connection.reset(),
            "/byte" => drop(connection.wire.send("x")),
            _ => {}
        }
    });
    for (target, closed) in [("/reset", true), ("/close", true), ("/byte", false)] {
        let mut client = Client::connect(upstream.address());
        client.send(format!("GET {target} HTTP/1.1\r\n\r\n"));
        assert_eq!(client.is_closed(), closed, "{target}");
    }
    assert_eq!(
        raw(upstream.address(), "GET /byte HTTP/1.1\r\n\r\n").unwrap(),
        b"x"
    );
}

#[test]
fn ports_are_given_once() {
    let ports: std::collections::BTreeSet<_> = (0..20).map(|_| ports::unused()).collect();
    assert_eq!(ports.len(), 20);
    for address in ports {
        TcpListener::bind(address).unwrap();
    }
}

#[test]
fn a_process_is_heard_and_its_end_is_seen() {
    let mut process =
        Process::spawn(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]));
    assert_eq!(
        process.wait(crate::support::patience::PATIENCE).code(),
        Some(3)
    );
    assert_eq!(process.output(), (b"out\n".to_vec(), b"err\n".to_vec()));
}

#[test]
fn a_problem_has_to_be_complete() {
    let body = r#"{"type":"urn:bearward:no-route","title":"t","status":404,"detail":"d"}"#;
    let fields = "content-type: application/problem+json\r\ncache-control: no-store\r\n\
                  proxy-status: bearward; error=destination_not_found\r\n";
    let check = |fields: &str, body: &str| {
        let bytes = answer("404 Not Found", fields, body);
        let answer = Wire::new(Cursor::new(bytes)).answer("GET").unwrap();
        // In a thread of its own, so that its panic is caught and not printed as this test's.
        thread::spawn(move || drop(assert_problem(&answer, 404, "no-route")))
            .join()
            .is_ok()
    };
    assert!(check(fields, body));
    for line in fields.split_inclusive("\r\n") {
        assert!(
            !check(&fields.replace(line, ""), body),
            "passes without {line}"
        );
    }
    for (from, to) in [
        ("no-route", "other"),
        ("404", "400"),
        (r#","detail":"d""#, ""),
    ] {
        assert!(
            !check(fields, &body.replace(from, to)),
            "passes with {to:?} for {from:?}"
        );
    }
}
