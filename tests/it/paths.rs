//! A path is read once where a route matches on it, and passes byte for byte.

use crate::support::{
    client::{Client, exchange, get},
    problem::assert_problem,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::{Answer, ok},
};

fn world(route: &str, base: &str) -> (Sidecar, Upstream) {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin() + base)
        .route(route)
        .start_ready();
    (sidecar, upstream)
}

/// The target that arrives upstream.
#[track_caller]
fn sent_on(sidecar: &Sidecar, upstream: &Upstream, target: &str) -> String {
    let answer = get(sidecar.address(), target);
    assert_eq!(answer.status, 200, "{target}: {answer:?} {}", answer.text());
    upstream.last().head.target().to_owned()
}

#[track_caller]
fn get_bytes(sidecar: &Sidecar, target: &[u8]) -> Answer {
    exchange(
        sidecar.address(),
        [b"GET ", target, b" HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat(),
    )
}

const AMBIGUOUS: [&[u8]; 31] = [
    b"/v1/..",
    b"/v1/../admin",
    b"/v1/./a",
    b"/v1/.",
    b"/../v1/a",
    b"/v1/%2e%2e/admin",
    b"/v1/%2E%2e",
    b"/v1/.%2e/admin",
    b"/v1/%2e/a",
    b"/v1/a%2fb",
    b"/v1/a%2Fb",
    b"/v1/..%2fadmin",
    b"/v1/a%5cb",
    b"/v1/a%5Cb",
    b"/v1/a%00b",
    b"/v1/a%09b",
    b"/v1/a%0Ab",
    b"/v1/..%0d/admin",
    b"/v1/%0a../admin",
    b"/v1/..%1f/admin",
    b"/v1/..%7f/admin",
    b"/v1/..;/admin",
    b"/v1/..;x=1/admin",
    b"/v1/%2e%2e;/admin",
    b"/v1/..%3b/admin",
    b"/v1/%zz",
    b"/v1/%",
    b"/v1/%2",
    b"/v1/%%32%65",
    b"/v1/\xc3\xa4",
    b"/v1/\xff",
];

#[test]
fn an_ambiguous_path_is_refused_where_a_route_has_a_path() {
    let (sidecar, upstream) = world("path = \"/v1\"", "");
    for target in AMBIGUOUS {
        let answer = get_bytes(&sidecar, target);
        assert_eq!(
            answer.status,
            400,
            "{}: {answer:?}",
            String::from_utf8_lossy(target)
        );
        assert_problem(&answer, 400, "bad-request");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn an_ambiguous_path_is_refused_where_a_route_has_rules() {
    let (sidecar, upstream) = world("allow = [\"GET /v1/**\"]", "");
    for target in AMBIGUOUS {
        let answer = get_bytes(&sidecar, target);
        assert_eq!(
            answer.status,
            400,
            "{}: {answer:?}",
            String::from_utf8_lossy(target)
        );
        assert_problem(&answer, 400, "bad-request");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn where_nothing_matches_on_it_any_path_passes() {
    let (sidecar, upstream) = world("", "");
    for target in [
        "/",
        "/?",
        "/a//b/",
        "//a",
        "/a/../b/./c",
        "/%2e%2e/%2f%5c%00",
        "/%zz/%",
        "/a;x=1/..;/b",
        "/~user/a+b/$&'()*,:@!",
        "/a?b=c?d=e&f=/../%2f%zz&g=http://h/",
        "/a?x[]={1}|^",
        "/{a}|\\^[b]",
    ] {
        assert_eq!(sent_on(&sidecar, &upstream, target), target);
    }
    // What no URI may hold may arrive encoded (RFC 3986 §2.1).
    for (target, sent) in [
        ("/a?x=\"<>`", "/a?x=%22%3C%3E%60"),
        ("/\"<a>`/b", "/%22%3Ca%3E%60/b"),
    ] {
        assert_eq!(sent_on(&sidecar, &upstream, target), sent);
    }
}

#[test]
fn where_a_route_matches_on_it_a_sound_path_passes_byte_for_byte() {
    let (sidecar, upstream) = world("path = \"/v1\"\nallow = [\"GET /v1/**\"]", "");
    for target in [
        "/v1",
        "/v1?a=/../b&%zz&%2e%2e",
        "/v1/",
        "/v1//a",
        "/v1/a%20b/%41%c3%a4",
        "/v1/...",
        "/v1/..a/a..",
        "/v1/.well-known/a",
        "/v1/a;b=c/d",
        "/v1/%25",
    ] {
        assert_eq!(sent_on(&sidecar, &upstream, target), target);
    }
}

/// The target that arrives upstream, byte for byte.
#[track_caller]
fn bytes_sent_on(sidecar: &Sidecar, upstream: &Upstream, target: &[u8]) -> Vec<u8> {
    let answer = get_bytes(sidecar, target);
    assert_eq!(
        answer.status,
        200,
        "{}: {answer:?}",
        String::from_utf8_lossy(target)
    );
    let raw = upstream.last().head.raw;
    raw.split(|byte| *byte == b' ')
        .nth(1)
        .unwrap_or_default()
        .to_vec()
}

#[test]
fn bytes_that_are_no_text_pass_where_nothing_matches_on_them() {
    let (sidecar, upstream) = world("", "");
    for (target, sent) in [
        (&b"/\xff"[..], &b"/%FF"[..]),
        (b"/?\xff", b"/?%FF"),
        (b"/caf\xe9?na\xefve=\x80", b"/caf%E9?na%EFve=%80"),
        (b"/\xc3\xa4", b"/%C3%A4"),
    ] {
        assert_eq!(bytes_sent_on(&sidecar, &upstream, target), sent);
    }
    for route in ["path = \"/v1\"", "allow = [\"GET /v1/**\"]"] {
        let (sidecar, upstream) = world(route, "");
        assert_eq!(
            bytes_sent_on(&sidecar, &upstream, b"/v1/a?b=\xff&c=\xc3\xa4"),
            b"/v1/a?b=%FF&c=%C3%A4"
        );
    }
}

#[test]
fn a_prefix_is_made_of_whole_segments_and_case_counts() {
    let (sidecar, upstream) = world("path = \"/v1\"", "");
    for target in ["/v1", "/v1/", "/v1/a", "/v1?x", "/%761/a"] {
        sent_on(&sidecar, &upstream, target);
    }
    let served = upstream.count();
    for target in [
        "/", "/v1x", "/v10/a", "/V1/a", "/v2", "/a/v1", "/?/v1", "//v1",
    ] {
        let body = assert_problem(&get(sidecar.address(), target), 404, "no-route");
        assert!(body.get("provider").is_none(), "{body}");
    }
    assert_eq!(upstream.count(), served);
}

#[test]
fn a_prefix_is_stripped_where_configured() {
    let (sidecar, upstream) = world("path = \"/v1\"\nstrip_path = true", "");
    for (target, wanted) in [
        ("/v1/a/b%20c?d=/v1", "/a/b%20c?d=/v1"),
        ("/v1/", "/"),
        ("/v1", "/"),
        ("/v1?x", "/?x"),
        ("/v1/v1", "/v1"),
        ("/v1//a", "//a"),
    ] {
        assert_eq!(sent_on(&sidecar, &upstream, target), wanted, "{target}");
    }
}

#[test]
fn the_base_path_of_the_upstream_is_put_in_front() {
    let (sidecar, upstream) = world("", "/base/v2");
    assert_eq!(sent_on(&sidecar, &upstream, "/a?b"), "/base/v2/a?b");
    assert_eq!(sent_on(&sidecar, &upstream, "/"), "/base/v2/");
    let (sidecar, upstream) = world("path = \"/v1\"\nstrip_path = true", "/base/");
    assert_eq!(sent_on(&sidecar, &upstream, "/v1/a?b"), "/base/a?b");
    // What is left of the path decides, not what a server might make of it.
    assert_eq!(sent_on(&sidecar, &upstream, "/v1"), "/base");
    assert_eq!(sent_on(&sidecar, &upstream, "/v1?a"), "/base?a");
    assert_eq!(sent_on(&sidecar, &upstream, "/v1/"), "/base/");
}

/// The answer to OPTIONS for `target`.
#[track_caller]
fn options(sidecar: &Sidecar, target: &str) -> Answer {
    exchange(
        sidecar.address(),
        format!("OPTIONS {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    )
}

#[test]
fn options_of_the_server_as_a_whole_go_on_where_the_route_stands_for_it() {
    let (sidecar, upstream) = world("", "");
    assert_eq!(options(&sidecar, "*").status, 200);
    assert_eq!(upstream.last().head.start, "OPTIONS * HTTP/1.1");
    for (target, sent) in [
        ("http://localhost", "/"),
        ("HTTP://localhost:80", "/"),
        ("http://localhost/", "/"),
        ("http://localhost?a", "/?a"),
        ("/*", "/*"),
    ] {
        assert_eq!(options(&sidecar, target).status, 200, "{target}");
        assert_eq!(upstream.last().head.target(), sent, "{target}");
    }
    // Refused by the parser itself, with nothing but the status.
    for target in ["*?a", "**", "*/"] {
        assert_eq!(options(&sidecar, target).status, 400, "{target}");
    }
    let get = exchange(
        sidecar.address(),
        "GET * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    assert_problem(&get, 400, "bad-request");
}

#[test]
fn options_of_the_server_as_a_whole_are_refused_where_the_route_is_a_part_of_it() {
    for (route, base) in [
        ("path = \"/v1\"", ""),
        ("allow = [\"* /**\"]", ""),
        ("", "/base"),
    ] {
        let (sidecar, upstream) = world(route, base);
        assert_problem(&options(&sidecar, "*"), 400, "bad-request");
        assert_eq!(upstream.count(), 0, "{route} {base}");
    }
    let (sidecar, upstream) = world("", "/base");
    assert_eq!(options(&sidecar, "http://localhost").status, 200);
    assert_eq!(upstream.last().head.target(), "/base/");
}

#[test]
fn only_what_is_allowed_passes() {
    let (sidecar, upstream) = world(
        "allow = [\"GET /v1/devices/**\", \"POST /v1/commands\"]",
        "",
    );
    let send = |method: &str, target: &str| {
        let fields = "Host: localhost\r\nContent-Length: 0\r\n";
        exchange(
            sidecar.address(),
            format!("{method} {target} HTTP/1.1\r\n{fields}\r\n"),
        )
    };
    for (method, target) in [
        ("GET", "/v1/devices"),
        ("GET", "/v1/devices/7/state?x"),
        ("POST", "/v1/commands"),
        ("GET", "/v1/%64evices/7"),
    ] {
        assert_eq!(send(method, target).status, 200, "{method} {target}");
    }
    let served = upstream.count();
    for (method, target) in [
        ("POST", "/v1/devices"),
        ("GET", "/v1/commands"),
        ("POST", "/v1/commands/x"),
        ("GET", "/"),
        ("GET", "/v1/devicesx"),
        ("GET", "/v1/Devices"),
        ("get", "/v1/devices"),
        ("DELETE", "/v1/devices/7"),
        ("GET", "/v1?/v1/devices"),
    ] {
        let body = assert_problem(&send(method, target), 403, "not-allowed");
        assert_eq!(body["route"], "api");
    }
    assert_eq!(upstream.count(), served);
}

#[test]
fn a_refused_path_leaves_the_connection_in_step() {
    let (sidecar, upstream) = world("allow = [\"GET /v1/**\"]", "");
    let mut client = Client::connect(sidecar.address());
    client.send("POST /no HTTP/1.1\r\nHost: localhost\r\nContent-Length: 43\r\n\r\nGET /v1/smuggled HTTP/1.1\r\nHost: localhost\r\n");
    assert_problem(&client.answer(), 403, "not-allowed");
    // Closed, or in step: what was a body is never a request.
    let next = client
        .wire()
        .send("GET /v1/next HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .and_then(|()| client.wire().answer("GET"));
    if let Ok(next) = next {
        assert_eq!(next.status, 200);
    }
    assert!(
        upstream
            .requests()
            .iter()
            .all(|request| request.head.target() != "/v1/smuggled")
    );
}
