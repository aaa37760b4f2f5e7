//! What is too large or too slow.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    client::{A_WHILE, Client, exchange, get, raw},
    h2c::{H2Client, empty},
    patience::until,
    problem::assert_problem,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::{Wire, answer, ok},
};

fn world(change: impl FnOnce(Setup) -> Setup) -> (Sidecar, Upstream) {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|request| ok(&request.body));
    let sidecar = change(Setup::new(&tokens, upstream.origin())).start_ready();
    (sidecar, upstream)
}

/// Asserts that `request` is refused as `kind`, the connection closed and nothing sent upstream.
#[track_caller]
fn assert_refused(sidecar: &Sidecar, upstream: &Upstream, request: &str, status: u16, kind: &str) {
    let bytes = raw(sidecar.address(), request)
        .unwrap_or_else(|error| panic!("not closed after {kind}: {error}"));
    let answer = Wire::new(std::io::Cursor::new(bytes))
        .answer("GET")
        .unwrap();
    assert_problem(&answer, status, kind);
    assert_eq!(upstream.count(), 0, "{kind} reached the upstream");
}

#[test]
fn a_head_has_a_largest_size() {
    let (sidecar, upstream) = world(|setup| setup);
    let large = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nx-large: {}\r\n\r\n",
        "x".repeat(70 * 1024)
    );
    assert_refused(&sidecar, &upstream, &large, 431, "headers-too-large");
    let fits = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nx-large: {}\r\n\r\n",
        "x".repeat(50 * 1024)
    );
    assert_eq!(exchange(sidecar.address(), fits).status, 200);
}

#[test]
fn a_head_has_a_largest_number_of_fields() {
    let (sidecar, upstream) = world(|setup| setup);
    let many = |count: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
            "x-many: 1\r\n".repeat(count)
        )
    };
    assert_refused(&sidecar, &upstream, &many(110), 431, "headers-too-large");
    assert_eq!(exchange(sidecar.address(), many(90)).status, 200);
    assert_eq!(upstream.last().head.values("x-many").len(), 90);
}

#[test]
fn a_head_may_have_a_thousand_fields_in_both_directions_where_configured() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|request| {
        let count: usize = request.head.target()[1..].parse().unwrap();
        answer("200 OK", &"x-many: 1\r\n".repeat(count), "")
    });
    let sidecar = Setup::new(&tokens, upstream.origin())
        .tables("[limits]\nhead_fields = 1000\n")
        .start_ready();
    let many = |sent: usize, received: usize| {
        let fields = "x-many: 1\r\n".repeat(sent);
        format!("GET /{received} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
    };
    let response = exchange(sidecar.address(), many(999, 990));
    assert_eq!(response.status, 200);
    assert_eq!(response.head.values("x-many").len(), 990);
    assert_eq!(upstream.last().head.values("x-many").len(), 999);
    let response = exchange(sidecar.address(), many(1000, 0));
    assert_problem(&response, 431, "headers-too-large");
    let response = exchange(sidecar.address(), many(0, 1001));
    assert_problem(&response, 502, "upstream-protocol");

    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut client = H2Client::connect(sidecar.address()).await;
        let mut request = client.request("GET", "/10");
        for _ in 0..990 {
            request = request.header("x-many", "1");
        }
        let response = client.send(request.body(empty()).unwrap()).await.unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(upstream.last().head.values("x-many").len(), 990);
    });
}

#[test]
fn a_path_has_a_largest_size_and_the_query_does_not_count() {
    let (sidecar, upstream) = world(|setup| setup);
    let path = |length: usize, query: usize| {
        format!(
            "GET /{}?{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "p".repeat(length),
            "q".repeat(query)
        )
    };
    assert_problem(
        &exchange(sidecar.address(), path(9000, 0)),
        414,
        "path-too-long",
    );
    assert_eq!(upstream.count(), 0);
    assert_eq!(exchange(sidecar.address(), path(8000, 20_000)).status, 200);
    assert_eq!(upstream.last().head.target().len(), 1 + 8000 + 1 + 20_000);
}

#[test]
fn the_limits_are_configurable() {
    let tables = "[limits]\nhead_bytes = \"2KiB\"\nhead_fields = 10\npath_bytes = \"100B\"";
    let (sidecar, upstream) = world(|setup| setup.tables(tables));
    let large = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nx-large: {}\r\n\r\n",
        "x".repeat(3000)
    );
    assert_refused(&sidecar, &upstream, &large, 431, "headers-too-large");
    let many = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        "x-many: 1\r\n".repeat(12)
    );
    assert_refused(&sidecar, &upstream, &many, 431, "headers-too-large");
    let long = format!(
        "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "p".repeat(200)
    );
    assert_problem(&exchange(sidecar.address(), long), 414, "path-too-long");
    assert_eq!(upstream.count(), 0);
    assert_eq!(sidecar.get("/short").status, 200);
}

#[test]
fn a_body_has_a_largest_size_where_configured() {
    let (sidecar, upstream) = world(|setup| setup.route("guard.max_body = \"10KiB\""));
    let post = |framing: &str, body: &str| {
        format!("POST / HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n{body}")
    };
    let fits = "x".repeat(10 * 1024);

    // Told beforehand: refused before anything is sent, even when the body never comes.
    let answer = exchange(sidecar.address(), post("Content-Length: 10241", ""));
    assert_problem(&answer, 413, "body-too-large");
    assert_eq!(upstream.count(), 0);
    assert_eq!(upstream.connections(), 0);

    // Found out on the way: what reached the upstream has no end.
    let chunk = format!("2800\r\n{fits}\r\n");
    let answer = exchange(
        sidecar.address(),
        post(
            "Transfer-Encoding: chunked",
            &format!("{chunk}1\r\nx\r\n0\r\n\r\n"),
        ),
    );
    assert_problem(&answer, 413, "body-too-large");
    assert_eq!(
        upstream.count(),
        0,
        "a request with half a body was taken for a whole one"
    );

    let answer = exchange(sidecar.address(), post("Content-Length: 10240", &fits));
    assert_eq!((answer.status, answer.body.len()), (200, fits.len()));
    let answer = exchange(
        sidecar.address(),
        post("Transfer-Encoding: chunked", &format!("{chunk}0\r\n\r\n")),
    );
    assert_eq!((answer.status, answer.body.len()), (200, fits.len()));
}

#[test]
fn a_body_that_stalls_is_given_up() {
    let (sidecar, upstream) = world(|setup| setup.route("timeouts.idle = \"500ms\""));
    for request in [
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let mut client = Client::connect(sidecar.address());
        client.send(request);
        assert_problem(&client.answer(), 408, "request-timeout");
        assert!(client.is_closed());
        assert_eq!(
            upstream.count(),
            0,
            "a request with half a body was taken for a whole one"
        );
    }
}

#[test]
fn a_body_that_moves_slowly_is_not_given_up() {
    let (sidecar, upstream) =
        world(|setup| setup.route("timeouts.idle = \"1s\"\ntimeouts.response = \"1s\""));
    let mut client = Client::connect(sidecar.address());
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n");
    // Twice as long as the bounds, and never still for as long as either.
    for byte in "slowly....".bytes() {
        thread::sleep(Duration::from_millis(200));
        client.send([byte]);
    }
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "slowly...."));
    assert_eq!(upstream.last().body, b"slowly....");
}

#[test]
fn a_head_that_does_not_come_to_its_end_is_given_up() {
    let (sidecar, upstream) = world(|setup| setup.tables("[limits]\nhead_timeout = \"500ms\""));
    assert_refused(
        &sidecar,
        &upstream,
        "GET / HTTP/1.1\r\nHost: local",
        408,
        "request-timeout",
    );
    // The beginning of a POST, and of the preface of HTTP/2.
    assert_refused(&sidecar, &upstream, "P", 408, "request-timeout");
    // A byte now and then does not buy more time.
    let mut client = Client::connect(sidecar.address());
    let mut dripped = 0;
    let mut wire = Wire::new(client.socket());
    let dripper = thread::spawn(move || {
        while wire.send("x").is_ok() && dripped < 200 {
            dripped += 1;
            thread::sleep(Duration::from_millis(100));
        }
        dripped
    });
    assert_problem(&client.answer(), 408, "request-timeout");
    drop(client);
    assert!(dripper.join().unwrap() < 200, "twenty seconds of dripping");
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let (sidecar, upstream) = world(|setup| setup.tables("[limits]\nhead_timeout = \"500ms\""));
    let bytes = raw(sidecar.address(), "").expect("a closed connection");
    // Nothing was asked; a 408 is allowed (RFC 9110 §15.5.9).
    assert!(
        bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 408"),
        "{bytes:?}"
    );
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn an_idle_connection_is_closed_in_silence() {
    let (sidecar, _upstream) = world(|setup| setup.tables("[limits]\nkeep_alive = \"500ms\""));
    let mut client = Client::connect(sidecar.address());
    assert_eq!(client.get("/").status, 200);
    thread::sleep(Duration::from_millis(100));
    assert!(client.is_closed());
}

#[test]
fn an_idle_connection_is_closed_however_long_its_requests_took() {
    let upstream = Upstream::answering(|request| {
        if request.head.target() == "/slow" {
            thread::sleep(Duration::from_millis(1200));
        }
        ok("fine")
    });
    let tokens = TokenEndpoint::issuing("token-1");
    for limits in [
        // The request outlasts both.
        "head_timeout = \"500ms\"\nkeep_alive = \"500ms\"",
        // The first is no reason to wait for the second.
        "head_timeout = \"60s\"\nkeep_alive = \"500ms\"",
        "head_timeout = \"500ms\"\nkeep_alive = \"2s\"",
    ] {
        let sidecar = Setup::new(&tokens, upstream.origin())
            .tables(&format!("[limits]\n{limits}"))
            .start_ready();
        let mut client = Client::connect(sidecar.address());
        assert_eq!(client.get("/slow").status, 200);
        let since = Instant::now();
        assert_eq!(client.wire().rest().unwrap(), b"");
        let idle = since.elapsed();
        assert!(
            idle > Duration::from_millis(400) && idle < Duration::from_millis(3500),
            "{limits}: {idle:?}"
        );
    }
}

#[test]
fn further_connections_wait_until_one_is_free() {
    let (sidecar, upstream) = world(|setup| setup.tables("[limits]\nconnections = 2"));
    let mut first = Client::connect(sidecar.address());
    let mut second = Client::connect(sidecar.address());
    assert_eq!(
        (first.get("/1").status, second.get("/2").status),
        (200, 200)
    );
    let mut third = Client::connect(sidecar.address());
    third.send("GET /3 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    thread::sleep(A_WHILE);
    assert_eq!(
        upstream.count(),
        2,
        "a connection above the limit was served"
    );
    drop(first);
    assert_eq!(third.answer().status, 200);
    drop((second, third));
    until("a free place", || {
        (get(sidecar.address(), "/4").status == 200).then_some(())
    });
}
