//! The upstream is gone, slow or talks nonsense: the caller is told which.

use std::sync::Arc;

use crate::support::{
    certificates::private_authority,
    client::{Client, exchange},
    patience::{Gate, until},
    ports,
    problem::assert_problem,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::ok,
};

fn sidecar(origin: &str, route: &str) -> Sidecar {
    let tokens = TokenEndpoint::issuing("token-1");
    Setup::new(&tokens, origin).route(route).start_ready()
}

#[test]
fn an_upstream_that_is_gone_is_unreachable() {
    let sidecar = sidecar(&format!("http://{}", ports::unused()), "");
    for request in [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi",
    ] {
        let body = assert_problem(
            &exchange(sidecar.address(), request),
            502,
            "upstream-unreachable",
        );
        assert_eq!(body["route"], "api");
    }
}

#[test]
fn a_name_that_nobody_knows_is_unreachable() {
    let sidecar = sidecar("https://no-such-host.invalid", "");
    assert_problem(&sidecar.get("/"), 502, "upstream-unreachable");
}

#[test]
fn an_upstream_that_comes_back_is_used_again() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = sidecar(&upstream.origin(), "");
    assert_eq!(sidecar.get("/").status, 200);
    upstream.server().down();
    assert_problem(&sidecar.get("/"), 502, "upstream-unreachable");
    upstream.server().up();
    until("an answer", || {
        (sidecar.get("/").status == 200).then_some(())
    });
}

#[test]
fn a_certificate_that_nobody_trusts_is_a_tls_failure() {
    let upstream =
        Upstream::answering_over_tls(private_authority(&["localhost"]).server, |_| ok("fine"));
    let sidecar = sidecar(&upstream.origin(), "");
    assert_problem(&sidecar.get("/"), 502, "upstream-tls");
    assert_eq!(
        upstream.count(),
        0,
        "a token went to a server that proved nothing"
    );
}

#[test]
fn a_certificate_for_another_name_is_a_tls_failure() {
    let certificates = private_authority(&["other.example"]);
    let upstream = Upstream::answering_over_tls(certificates.server, |_| ok("fine"));
    let tokens = TokenEndpoint::issuing("token-1");
    let setup = Setup::new(&tokens, upstream.origin());
    let ca = setup.file("ca.pem", &certificates.ca_pem);
    let sidecar = setup
        .route(&format!("ca_file = \"{}\"", ca.display()))
        .start_ready();
    assert_problem(&sidecar.get("/"), 502, "upstream-tls");
    assert_eq!(
        upstream.count(),
        0,
        "a token went to a server that proved to be somebody else"
    );
}

#[test]
fn plain_http_behind_an_https_origin_is_a_tls_failure() {
    let upstream = Upstream::scripted(|mut connection| {
        let _ = connection.wire.exactly(1);
        let _ = connection
            .wire
            .send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    });
    let sidecar = sidecar(
        &format!("https://localhost:{}", upstream.address().port()),
        "",
    );
    assert_problem(&sidecar.get("/"), 502, "upstream-tls");
}

#[test]
fn nonsense_is_a_protocol_failure() {
    for nonsense in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 99 Low\r\n\r\n",
        "HTTP/1.1 000 Low\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 020 Low\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 O",
        "",
    ] {
        let upstream = Upstream::scripted(move |mut connection| {
            if let Ok(Some(_)) = connection.request() {
                let _ = connection.wire.send(nonsense);
            }
        });
        let sidecar = sidecar(&upstream.origin(), "");
        let got = exchange(
            sidecar.address(),
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi",
        );
        assert_eq!(got.status, 502, "{nonsense:?}: {got:?} {}", got.text());
        assert_problem(&got, 502, "upstream-protocol");
        assert_eq!(
            upstream.count(),
            1,
            "{nonsense:?}: the request was sent again"
        );
    }
}

#[test]
fn a_body_that_is_nonsense_is_cut() {
    for body in ["zz\r\n", "3\r\nabcX", ""] {
        let upstream = Upstream::scripted(move |mut connection| {
            if let Ok(Some(_)) = connection.request() {
                let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                let _ = connection.wire.send(format!("{head}{body}"));
            }
        });
        let sidecar = sidecar(&upstream.origin(), "");
        let mut client = Client::connect(sidecar.address());
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let head = client.head();
        assert_eq!(head.status(), 200, "{body:?}");
        let framing = head.answer_framing("GET");
        let end = client.wire().stream_body(framing, &mut |_| {});
        assert!(end.is_err(), "{body:?}: a cut body looked whole");
        assert_eq!(upstream.count(), 1, "{body:?}: the request was sent again");
    }
}

#[test]
fn a_blank_before_the_colon_of_a_field_is_accepted() {
    // RFC 9112 §5.1: a proxy removes it.
    let upstream = Upstream::answering(|_| {
        b"HTTP/1.1 200 OK\r\nx-field : value\r\ncontent-length: 4\r\n\r\nfine".to_vec()
    });
    let sidecar = sidecar(&upstream.origin(), "");
    let got = sidecar.get("/");
    assert_eq!(
        (got.status, got.head.value("x-field"), got.text().as_str()),
        (200, Some("value"), "fine")
    );
}

#[test]
fn an_answer_with_two_framings_is_not_believed() {
    let upstream = Upstream::scripted(|mut connection| {
        if let Ok(Some(_)) = connection.request() {
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n";
            let _ = connection
                .wire
                .send(format!("{head}5\r\nhello\r\n0\r\n\r\n"));
        }
    });
    let sidecar = sidecar(&upstream.origin(), "");
    let got = sidecar.get("/");
    // Refused, or read as chunks and told so (RFC 9112 §6.3); a length beside chunks never comes back.
    if got.status == 200 {
        assert_eq!(got.text(), "hello");
    } else {
        assert_problem(&got, 502, "upstream-protocol");
    }
}

#[test]
fn the_head_limits_hold_for_answers_too() {
    let large = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-large: {}\r\n\r\n",
        "x".repeat(70 * 1024)
    );
    let many = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{}\r\n",
        "x-many: 1\r\n".repeat(120)
    );
    let upstream = Upstream::answering(move |request| match request.head.target() {
        "/large" => large.clone().into_bytes(),
        "/many" => many.clone().into_bytes(),
        _ => ok("fine"),
    });
    let sidecar = sidecar(&upstream.origin(), "");
    for target in ["/large", "/many"] {
        assert_problem(&sidecar.get(target), 502, "upstream-protocol");
    }
    assert_eq!(sidecar.get("/").status, 200);
}

#[test]
fn an_unasked_switch_of_protocols_is_a_protocol_failure() {
    let upstream = Upstream::answering(|_| {
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
            .to_vec()
    });
    let sidecar = sidecar(&upstream.origin(), "");
    for fields in ["", "Connection: upgrade\r\nUpgrade: websocket\r\n"] {
        let got = exchange(
            sidecar.address(),
            format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"),
        );
        assert_problem(&got, 502, "upstream-protocol");
    }
}

#[test]
fn interim_answers_without_end_are_a_failure() {
    let upstream = Upstream::scripted(|mut connection| {
        if let Ok(Some(_)) = connection.request() {
            while connection
                .wire
                .send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
                .is_ok()
            {}
        }
    });
    let sidecar = sidecar(&upstream.origin(), "timeouts.response = \"1s\"");
    // An HTTP/1.0 caller gets no interim answers, so that what comes is the end.
    let got = exchange(
        sidecar.address(),
        "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n",
    );
    assert!(matches!(got.status, 502 | 504), "{got:?}");
}

#[test]
fn an_answer_that_does_not_come_is_a_timeout() {
    let gate = Arc::new(Gate::default());
    let upstream = Upstream::scripted({
        let gate = gate.clone();
        move |mut connection| {
            let _ = connection.request();
            gate.pass();
        }
    });
    let sidecar = sidecar(&upstream.origin(), "timeouts.response = \"300ms\"");
    let body = assert_problem(&sidecar.get("/"), 504, "upstream-timeout");
    assert_eq!(body["route"], "api");
    assert_eq!(
        upstream.count(),
        1,
        "a request that may be at work was sent again"
    );
    gate.open();
}

#[test]
fn an_answer_that_stalls_is_cut() {
    let gate = Arc::new(Gate::default());
    let upstream = Upstream::scripted({
        let gate = gate.clone();
        move |mut connection| {
            let _ = connection.request();
            let _ = connection
                .wire
                .send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
            gate.pass();
        }
    });
    let sidecar = sidecar(&upstream.origin(), "timeouts.idle = \"500ms\"");
    let mut client = Client::connect(sidecar.address());
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.head().status(), 200);
    assert_eq!(client.wire().exactly(5).unwrap(), b"hello");
    assert!(client.is_closed());
    gate.open();
}
