//! `/api/events`: the status, to each client that watches.

use rustix::process::Signal;

use crate::support::{
    client::exchange, events::EventStream, patience::until, problem::assert_problem, setup::Setup,
    sidecar::Sidecar, token_endpoint::TokenEndpoint, upstream::Upstream, wire::ok,
};

struct World {
    _tokens: TokenEndpoint,
    _upstream: Upstream,
    sidecar: Sidecar,
}

fn world(tables: &str) -> World {
    let tokens = TokenEndpoint::issuing("canary-token");
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin())
        .tables(tables)
        .start_ready();
    World {
        _tokens: tokens,
        _upstream: upstream,
        sidecar,
    }
}

#[test]
fn the_status_comes_at_once_and_whenever_it_changes() {
    let World { sidecar, .. } = &world("");
    let events = EventStream::open(sidecar.admin_address(), "");
    assert_eq!(events.head.status(), 200);
    let media_type = events.head.value("content-type").unwrap();
    assert!(media_type.starts_with("text/event-stream"), "{media_type}");
    assert_eq!(events.head.value("cache-control"), Some("no-store"));
    let first = events.wait_for("the first event", |_| true);
    assert_eq!(first["providers"]["api"], sidecar.provider("api"));
    assert_eq!(sidecar.renew("api").status, 200);
    let renewed = events.wait_for("the event of a refresh", |status| {
        status["providers"]["api"]["token_requests"] == 2
    });
    assert_eq!(renewed["providers"]["api"]["state"], "ready");
    assert!(!renewed.to_string().contains("canary"), "{renewed}");
    // A client that comes later begins with the state of its time.
    let later = EventStream::open(sidecar.admin_address(), "");
    let first = later.wait_for("the first event of another client", |_| true);
    assert_eq!(first["providers"]["api"]["token_requests"], 2);
}

#[test]
fn events_come_without_a_change_too() {
    let World { sidecar, .. } = &world("");
    let events = EventStream::open(sidecar.admin_address(), "");
    // In 9 s each, and at once.
    events.wait_for_number(3);
}

#[test]
fn requests_through_a_route_are_told_with_their_rate_errors_and_durations() {
    let World { sidecar, .. } = &world("");
    let events = EventStream::open(sidecar.admin_address(), "");
    for _ in 0..5 {
        assert_eq!(sidecar.get("/").status, 200);
    }
    assert_eq!(
        exchange(
            sidecar.address(),
            "GET / HTTP/1.1\r\nHost: other.example\r\n\r\n"
        )
        .status,
        421
    );
    let event = events.wait_for("the traffic", |status| {
        let traffic = &status["routes"]["api"]["traffic"];
        traffic["requests"].as_u64() >= Some(5) && traffic["p99_ms"].is_number()
    });
    let traffic = &event["routes"]["api"]["traffic"];
    assert_eq!(traffic["server_errors"], 0, "{traffic}");
    assert!(traffic["rate"].as_f64() > Some(0.0), "{traffic}");
    let series = traffic["series"].as_array().unwrap();
    let requests: u64 = series.iter().filter_map(serde_json::Value::as_u64).sum();
    assert!(requests >= 5, "{traffic}");
}

#[test]
fn events_end_at_the_drain_and_hold_it_up_no_longer() {
    let World { mut sidecar, .. } = world("[drain]\nlame_duck = \"2s\"");
    let events = EventStream::open(sidecar.admin_address(), "");
    events.wait_for_number(1);
    sidecar.signal(Signal::TERM);
    assert!(events.wait_for_end(), "the body is cut");
    // The listener is there for a while still, and says why there are none.
    let refused = sidecar.admin("/api/events");
    assert_problem(&refused, 503, "internal");
    assert!(sidecar.wait().success());
}

#[test]
fn streams_are_bounded_and_give_their_place_back() {
    let World { sidecar, .. } = &world("");
    let open = || EventStream::open(sidecar.admin_address(), "");
    let mut streams: Vec<_> = std::iter::repeat_with(open)
        .take_while(|stream| stream.head.status() == 200)
        .take(1000)
        .collect();
    assert!((1..=64).contains(&streams.len()), "{}", streams.len());
    // Everything else is still served.
    assert_eq!(sidecar.admin("/api/status").status, 200);
    assert_eq!(sidecar.admin("/livez").status, 200);
    streams.pop();
    until("a place for another stream", || {
        (open().head.status() == 200).then_some(())
    });
}

#[test]
fn events_are_guarded_as_the_status_is() {
    let World { sidecar, .. } = &world("");
    let request = |method: &str, host: &str, fields: &str| {
        let request = format!("{method} /api/events HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
        exchange(sidecar.admin_address(), request)
    };
    let refused = request("GET", "localhost", "Sec-Fetch-Site: cross-site\r\n");
    assert_problem(&refused, 403, "cross-site");
    let refused = request("GET", "evil.example", "");
    assert_problem(&refused, 421, "host-not-allowed");
    let refused = request("POST", "localhost", "Content-Length: 0\r\n");
    assert_eq!(refused.status, 405, "{}", refused.text());
    assert_eq!(refused.head.value("allow"), Some("GET"));
}
