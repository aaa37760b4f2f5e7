//! A client that leaves ends its request, whatever the request waits for: upstream at once, in the log as 499.

use std::sync::Arc;

use crate::support::{
    client::Client,
    frames::{FrameClient, kind, request_block},
    patience::{Gate, until},
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::{TokenEndpoint, token_response},
    upstream::Upstream,
    wire::ok,
};

const WINDOW: u32 = 65_535;

/// How a client leaves.
#[derive(Clone, Copy, Debug)]
enum Leaving {
    /// It closes its HTTP/1.1 connection.
    Close,
    /// It resets its HTTP/2 stream, and keeps the connection.
    Reset,
    /// It closes its HTTP/2 connection.
    CloseHttp2,
}

const WAYS: [Leaving; 3] = [Leaving::Close, Leaving::Reset, Leaving::CloseHttp2];

/// A client with a request under way.
enum Waiting {
    Http1(Client),
    Http2(FrameClient),
}

impl Waiting {
    /// Sends a request with half of a body, or none.
    fn send(leaving: Leaving, sidecar: &Sidecar, has_body: bool) -> Self {
        if matches!(leaving, Leaving::Close) {
            let mut client = Client::connect(sidecar.address());
            client.send(match has_body {
                true => "POST /gone HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello",
                false => "GET /gone HTTP/1.1\r\nHost: localhost\r\n\r\n",
            });
            return Self::Http1(client);
        }
        let mut client = FrameClient::connect(sidecar.address(), WINDOW);
        match has_body {
            true => {
                let block = request_block("POST", "/gone", &[("content-length", "10")]);
                client.ask(1, &block, false);
                client.data(1, b"hello", false);
            }
            false => client.get(1, "/gone"),
        }
        Self::Http2(client)
    }

    /// Waits for the head of the response.
    fn read_head(&mut self) {
        match self {
            Self::Http1(client) => assert_eq!(client.head().status(), 200),
            Self::Http2(client) => {
                client.read_until("a head", |frame| frame.kind == kind::HEADERS);
            }
        }
    }

    /// Leaves. What is returned stays open for as long as it is kept.
    fn leave(self, leaving: Leaving) -> Option<FrameClient> {
        match (self, leaving) {
            (Self::Http2(mut client), Leaving::Reset) => {
                client.cancel(1);
                Some(client)
            }
            _ => None,
        }
    }
}

#[track_caller]
fn assert_logged(sidecar: &Sidecar, status: u16) {
    let status = format!("\"status\":{status}");
    until("the line of the request", || {
        let written = sidecar.written();
        let mut lines = written.lines();
        lines
            .any(|line| line.contains("\"path\":\"/gone\"") && line.contains(&status))
            .then_some(())
    });
}

fn start(origin: &str, route: &str) -> Sidecar {
    Setup::new(&TokenEndpoint::issuing("token-1"), origin)
        .route(route)
        .log("level = \"info\"")
        .start_ready()
}

/// Never responds, or not to the end; ends with its client.
fn silent(begins: bool) -> Upstream {
    Upstream::scripted(move |mut connection| {
        let _ = connection.head();
        if begins {
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";
            let _ = connection.wire.send(head);
        }
        let _ = connection.wire.rest();
    })
}

#[track_caller]
fn until_released(upstream: &Upstream, leaving: Leaving) {
    until(
        &format!("the end at the upstream after {leaving:?}"),
        || (upstream.server().open_connections() == 0).then_some(()),
    );
}

#[test]
fn while_it_waits_for_a_token() {
    for leaving in WAYS {
        let gate = Arc::new(Gate::default());
        let tokens = TokenEndpoint::start({
            let gate = gate.clone();
            move |_, _| {
                gate.pass();
                token_response("token-1", 3600)
            }
        });
        let upstream = Upstream::answering(|_| ok("fine"));
        let sidecar = Setup::new(&tokens, upstream.origin())
            .log("level = \"info\"")
            .start();
        let client = Waiting::send(leaving, &sidecar, false);
        tokens.wait_for(1);
        std::thread::sleep(crate::support::client::A_WHILE);
        let _open = client.leave(leaving);
        assert_logged(&sidecar, 499);
        gate.open();
        sidecar.wait_until_ready();
        assert_eq!(upstream.count(), 0, "{leaving:?}");
    }
}

#[test]
fn while_it_waits_for_its_turn() {
    for leaving in WAYS {
        let upstream = silent(false);
        let sidecar = Setup::new(&TokenEndpoint::issuing("token-1"), upstream.origin())
            .tables("[limits]\nrequests = 1")
            .log("level = \"info\"")
            .start_ready();
        let mut first = Client::connect(sidecar.address());
        first.send("GET /first HTTP/1.1\r\nHost: localhost\r\n\r\n");
        upstream.wait_for(1);
        let client = Waiting::send(leaving, &sidecar, false);
        std::thread::sleep(crate::support::client::A_WHILE);
        let _open = client.leave(leaving);
        assert_logged(&sidecar, 499);
        assert_eq!(upstream.count(), 1, "{leaving:?}");
    }
}

#[test]
fn while_it_waits_for_a_connection() {
    for leaving in WAYS {
        // Takes the connection, and never a TLS handshake.
        let upstream = Upstream::scripted(|mut connection| {
            let _ = connection.wire.rest();
        });
        let origin = format!("https://localhost:{}", upstream.address().port());
        let sidecar = start(&origin, "");
        let client = Waiting::send(leaving, &sidecar, false);
        until("a connection", || {
            (upstream.connections() == 1).then_some(())
        });
        let _open = client.leave(leaving);
        until_released(&upstream, leaving);
        assert_logged(&sidecar, 499);
    }
}

#[test]
fn while_it_waits_for_a_response() {
    for leaving in WAYS {
        let upstream = silent(false);
        let sidecar = start(&upstream.origin(), "");
        let client = Waiting::send(leaving, &sidecar, false);
        upstream.wait_for(1);
        let _open = client.leave(leaving);
        until_released(&upstream, leaving);
        assert_logged(&sidecar, 499);
    }
}

#[test]
fn while_it_sends_a_body() {
    for leaving in WAYS {
        let upstream = silent(false);
        let sidecar = start(&upstream.origin(), "");
        let client = Waiting::send(leaving, &sidecar, true);
        upstream.wait_for(1);
        let _open = client.leave(leaving);
        until_released(&upstream, leaving);
        assert_logged(&sidecar, 499);
    }
}

#[test]
fn while_it_receives_a_body() {
    for leaving in WAYS {
        for has_body in [false, true] {
            let upstream = silent(true);
            let sidecar = start(&upstream.origin(), "");
            let mut client = Waiting::send(leaving, &sidecar, has_body);
            client.read_head();
            let _open = client.leave(leaving);
            until_released(&upstream, leaving);
            // It had a status already.
            assert_logged(&sidecar, 200);
        }
    }
}

#[test]
fn a_reset_without_an_error_does_not_complete_a_body() {
    let upstream = silent(false);
    let sidecar = start(&upstream.origin(), "");
    let mut client = FrameClient::connect(sidecar.address(), WINDOW);
    client.ask(1, &request_block("POST", "/gone", &[]), false);
    client.data(1, b"hello", false);
    upstream.wait_for(1);
    client.send(kind::RST_STREAM, 0, 1, &[0, 0, 0, 0]).unwrap();
    until_released(&upstream, Leaving::Reset);
    assert_logged(&sidecar, 499);
}

#[test]
fn an_empty_line_behind_a_body_does_not_hide_that_the_client_has_gone() {
    let upstream = silent(false);
    let sidecar = start(&upstream.origin(), "");
    let mut client = Client::connect(sidecar.address());
    client.send("POST /gone HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello\r\n");
    upstream.wait_for(1);
    drop(client);
    until_released(&upstream, Leaving::Close);
    assert_logged(&sidecar, 499);
}

#[test]
fn a_request_behind_the_first_does_not_hide_that_the_client_has_gone() {
    let upstream = silent(false);
    let sidecar = start(&upstream.origin(), "");
    for body in ["", "Content-Length: 5\r\n\r\nhello"] {
        let mut client = Client::connect(sidecar.address());
        let first = match body {
            "" => "GET /gone HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            body => format!("POST /gone HTTP/1.1\r\nHost: localhost\r\n{body}"),
        };
        client.send(format!(
            "{first}GET /second HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ));
        until("the request at the upstream", || {
            (upstream.server().open_connections() == 1).then_some(())
        });
        drop(client);
        until_released(&upstream, Leaving::Close);
    }
    assert_logged(&sidecar, 499);
}

#[test]
fn requests_that_come_one_behind_another_are_served_in_order() {
    let upstream = Upstream::answering(|request| ok(request.head.target()));
    let sidecar = start(&upstream.origin(), "");
    let mut client = Client::connect(sidecar.address());
    let request = |number| format!("GET /{number} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.send((0..100).map(request).collect::<String>());
    for number in 0..100 {
        assert_eq!(client.answer().text(), format!("/{number}"));
    }
    sidecar.stop();
}
