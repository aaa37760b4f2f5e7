//! Which route a request takes, and who may take it.

use std::os::unix::net::UnixStream;

use crate::support::{
    client::exchange,
    patience::PATIENCE,
    ports,
    problem::assert_problem,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::{Answer, Wire, ok},
};

/// Asks for `path` under `host`, with further field lines.
#[track_caller]
fn ask(sidecar: &Sidecar, host: &str, path: &str, fields: &str) -> Answer {
    exchange(
        sidecar.address(),
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"),
    )
}

#[test]
fn the_most_specific_route_wins() {
    let tokens = TokenEndpoint::issuing("token-1");
    let names = ["api", "any-v1", "any-v1-deep", "host", "host-v1"];
    let upstreams: Vec<Upstream> = names
        .into_iter()
        .map(|name| Upstream::answering(move |_| ok(name)))
        .collect();
    let listen = ports::unused();
    let route = |index: usize, lines: &str| {
        let (name, origin) = (names[index], upstreams[index].origin());
        format!(
            "[routes.{name}]\nlisten = \"{listen}\"\nupstream = \"{origin}\"\nprovider = \"api\"\n{lines}\n"
        )
    };
    let tables = [
        // From the least specific to the most, and not in that order.
        route(3, "host = \"one.localhost\""),
        route(2, "path = \"/v1/deep\""),
        route(1, "path = \"/v1\""),
        route(4, "host = \"one.localhost\"\npath = \"/v1\""),
    ]
    .concat();
    let sidecar = Setup::new(&tokens, upstreams[0].origin())
        .listen(listen)
        .tables(&tables)
        .start_ready();
    for (host, path, wanted) in [
        ("localhost", "/", "api"),
        ("localhost", "/v2", "api"),
        ("localhost", "/v1x", "api"),
        ("localhost", "/v1/a", "any-v1"),
        ("localhost:99", "/v1", "any-v1"),
        ("127.0.0.1", "/v1/deep/er", "any-v1-deep"),
        ("one.localhost", "/", "host"),
        ("ONE.localhost:8080", "/x", "host"),
        ("one.localhost", "/v1/deep", "host-v1"),
    ] {
        let answer = ask(&sidecar, host, path, "");
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, wanted),
            "{host}{path}"
        );
    }
}

#[test]
fn what_one_route_reads_of_a_path_is_no_concern_of_another_on_the_same_listener() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let listen = ports::unused();
    let route = |name: &str, lines: &str| {
        let origin = upstream.origin();
        format!(
            "[routes.{name}]\nlisten = \"{listen}\"\nupstream = \"{origin}\"\nprovider = \"api\"\n{lines}\n"
        )
    };
    let tables = route("b", "host = \"b.localhost\"") + &route("any", "path = \"/v2\"");
    let setup = Setup::new(&tokens, upstream.origin())
        .listen(listen)
        .route("host = \"a.localhost\"\npath = \"/v1\"");
    let sidecar = setup.tables(&tables).start_ready();
    for target in ["/x%2Fy", "/a/../b", "/%zz"] {
        assert_eq!(
            ask(&sidecar, "b.localhost", target, "").status,
            200,
            "{target}"
        );
        assert_eq!(upstream.last().head.target(), target);
    }
    let served = upstream.count();
    for host in ["a.localhost", "localhost"] {
        assert_problem(&ask(&sidecar, host, "/v1/x%2Fy", ""), 400, "bad-request");
    }
    // What the path says is nothing to one who has no business here.
    assert_problem(
        &ask(&sidecar, "evil.example", "/..", ""),
        421,
        "host-not-allowed",
    );
    assert_eq!(upstream.count(), served);
}

#[test]
fn a_host_that_nobody_knows_is_refused() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    for host in [
        "evil.example",
        "localhost.evil.example",
        "xlocalhost",
        "127.0.0.2",
        "api.example.com:443",
    ] {
        assert_problem(&ask(&sidecar, host, "/", ""), 421, "host-not-allowed");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn the_accepted_hosts_are_configurable() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let lines = "guard.hosts = [\"sidecar.internal\"]";
    let sidecar = Setup::new(&tokens, upstream.origin())
        .route(lines)
        .start_ready();
    assert_eq!(ask(&sidecar, "Sidecar.Internal:80", "/", "").status, 200);
    assert_problem(
        &ask(&sidecar, "evil.example", "/", ""),
        421,
        "host-not-allowed",
    );
    assert_problem(
        &ask(&sidecar, "localhost", "/", ""),
        421,
        "host-not-allowed",
    );
}

#[test]
fn a_browsers_cross_site_requests_are_refused() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let own = sidecar.address();
    let host = own.to_string();
    for fields in [
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://127.0.0.1:1\r\n",
        "Sec-Fetch-Site: same-origin\r\nOrigin: https://evil.example\r\n",
    ] {
        let body = assert_problem(&ask(&sidecar, &host, "/", fields), 403, "cross-site");
        assert_eq!(body["route"], "api", "{fields}");
    }
    assert_eq!(upstream.count(), 0);
    for fields in [
        "Sec-Fetch-Site: same-origin\r\n",
        "Sec-Fetch-Site: none\r\n",
        &format!("Origin: http://{own}\r\n"),
    ] {
        assert_eq!(ask(&sidecar, &host, "/", fields).status, 200, "{fields}");
    }
}

#[test]
fn beyond_loopback_a_page_of_another_site_is_known_by_its_referer() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin())
        .route("guard.hosts = [\"gateway\", \"localhost\"]")
        .start_ready();
    let foreign = "Referer: http://evil.example/page\r\n";
    assert_problem(
        &ask(&sidecar, "gateway:80", "/", foreign),
        403,
        "cross-site",
    );
    assert_eq!(upstream.count(), 0);
    for (host, fields) in [
        ("localhost", foreign),
        ("gateway:80", "Referer: http://gateway/page\r\n"),
        ("gateway:80", "Referer: /page\r\n"),
        ("gateway:80", ""),
    ] {
        assert_eq!(ask(&sidecar, host, "/", fields).status, 200, "{fields}");
    }
}

#[test]
fn a_client_key_is_asked_for_and_kept() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin())
        .route("guard.client_key = { env = \"CLIENT_KEY\" }")
        .environment("CLIENT_KEY", "open sesame")
        .start_ready();
    for fields in [
        "",
        "x-bearward-key: wrong\r\n",
        "x-bearward-key:\r\n",
        "x-bearward-key: open sesame2\r\n",
        "x_bearward_key: open sesame\r\n",
        "X_Bearward-Key: open sesame\r\n",
        "x-bearward-key: open\r\n",
        "Authorization: Bearer open sesame\r\n",
    ] {
        let answer = ask(&sidecar, "localhost", "/", fields);
        assert_eq!(answer.status, 401, "{fields:?}");
        assert_problem(&answer, 401, "client-key-required");
        assert!(!answer.text().contains("sesame"));
    }
    assert_eq!(upstream.count(), 0);
    for spelling in [
        "X-Bearward-Key: open sesame\r\n",
        "x-bearward-key: open sesame\r\nConnection: x-bearward-key\r\n",
        "x-bearward-key: open sesame\r\nx_bearward_key: open sesame\r\n",
    ] {
        assert_eq!(ask(&sidecar, "localhost", "/", spelling).status, 200);
        let head = upstream.last().head;
        assert!(!head.has("x-bearward-key"), "{head:?}");
        assert!(
            !String::from_utf8_lossy(&head.raw).contains("sesame"),
            "{head:?}"
        );
    }
}

#[test]
fn a_route_may_listen_on_a_unix_socket() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let setup = Setup::new(&tokens, upstream.origin());
    let path = setup.file("marker", "").with_file_name("sidecar.sock");
    let origin = upstream.origin();
    let route = format!(
        "[routes.socket]\nlisten = \"unix:{}\"\nupstream = \"{origin}\"\nprovider = \"api\"",
        path.display()
    );
    let sidecar = setup.tables(&route).start_ready();
    assert_eq!(
        sidecar.status()["routes"]["socket"]["listen"],
        format!("unix:{}", path.display())
    );
    let stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut wire = Wire::new(stream);
    for _ in 0..3 {
        wire.send("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        assert_eq!(wire.answer("GET").unwrap().text(), "fine");
    }
    assert_eq!(
        upstream.last().head.value("authorization"),
        Some("Bearer token-1")
    );
}
