//! Traces: whose child a request is, what goes upstream, what is exported, and what is not.

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use rustix::process::Signal;

use crate::support::{
    client::exchange,
    collector::{Collected, Collector},
    patience::until,
    ports,
    setup::{SECRET, Setup},
    sidecar::Sidecar,
    token_endpoint::{TokenEndpoint, error_response},
    upstream::Upstream,
    wire::{Answer, answer, ok},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// A sidecar with traces, its collector and its upstream.
struct World {
    sidecar: Sidecar,
    collector: Collector,
    upstream: Upstream,
}

impl World {
    fn start(lines: &str) -> Self {
        let tokens = TokenEndpoint::issuing("token-1");
        let upstream = Upstream::answering(|request| ok(&request.body));
        let collector = Collector::start();
        let setup = Setup::new(&tokens, upstream.origin());
        let sidecar = collector.traced(setup, lines).start_ready();
        Self {
            sidecar,
            collector,
            upstream,
        }
    }

    fn send(&self, fields: &str) -> Answer {
        request(&self.sidecar, "/v1/devices?key=hidden", fields)
    }

    /// `traceparent` as it went upstream: the trace, the span and the flags.
    fn sent_on(&self) -> (String, String, String) {
        let head = self.upstream.last().head;
        let [field] = head.values("traceparent")[..] else {
            panic!("not one traceparent: {head:?}");
        };
        let parts: Vec<&str> = field.split('-').collect();
        assert_eq!((parts.len(), parts[0]), (4, "00"), "{field}");
        (parts[1].into(), parts[2].into(), parts[3].into())
    }
}

fn request(sidecar: &Sidecar, target: &str, fields: &str) -> Answer {
    exchange(
        sidecar.address(),
        format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"),
    )
}

fn is_client_of<'a>(server: &'a Collected) -> impl Fn(&Collected) -> bool + 'a {
    |span| span.is(SpanKind::Client) && span.is_child_of(server)
}

#[test]
fn without_telemetry_the_fields_of_a_trace_pass_as_they_came() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok(""));
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let fields = "TraceParent: 00-1-2-3\r\ntracestate: b=2\r\ntraceparent: other\r\ntracestate: a=1, c=3\r\n";
    request(&sidecar, "/", fields);
    let head = upstream.last().head;
    assert_eq!(head.values("traceparent"), ["00-1-2-3", "other"]);
    assert_eq!(head.values("tracestate"), ["b=2", "a=1, c=3"]);

    request(&sidecar, "/", "");
    let head = upstream.last().head;
    assert!(
        !head.has("traceparent") && !head.has("tracestate"),
        "{head:?}"
    );
}

#[test]
fn a_request_is_a_child_of_the_callers_span_and_the_id_sent_upstream_is_exported() {
    let world = World::start("");
    world.send(&format!(
        "traceparent: 00-{TRACE}-{CALLER}-01\r\ntracestate: a=1\r\ntracestate: b=2\r\n"
    ));
    let server = world.collector.server_span();
    assert_eq!(server.trace_id(), TRACE);
    assert_eq!(server.parent_id(), CALLER);
    assert_eq!(server.span.trace_state, "a=1,b=2");

    let client = world
        .collector
        .span("the span upstream", is_client_of(&server));
    let (trace, span, flags) = world.sent_on();
    assert_eq!((trace.as_str(), span), (TRACE, client.span_id()));
    assert_eq!(flags, "01");
    let head = world.upstream.last().head;
    assert_eq!(head.values("tracestate"), ["a=1", "b=2"]);
}

#[test]
fn attributes_follow_the_conventions_and_hold_neither_query_nor_secret() {
    let world = World::start("");
    world.send("");
    let server = world.collector.server_span();
    let client = world
        .collector
        .span("the span upstream", is_client_of(&server));
    let port = world.upstream.address().port().to_string();
    for (span, name, value) in [
        (&server, "http.request.method", "GET"),
        (&server, "url.path", "/v1/devices"),
        (&server, "url.scheme", "http"),
        (&server, "server.address", "localhost"),
        (&server, "http.response.status_code", "200"),
        (&server, "network.protocol.version", "1.1"),
        (&server, "bearward.route", "api"),
        (&server, "bearward.provider", "api"),
        (&client, "http.request.method", "GET"),
        (&client, "server.address", "127.0.0.1"),
        (&client, "server.port", &port),
        (&client, "http.response.status_code", "200"),
    ] {
        assert_eq!(span.attribute(name), value, "{name} of {span:?}");
    }
    let url = format!("{}/v1/devices", world.upstream.origin());
    assert_eq!(client.attribute("url.full"), url);
    assert_eq!(server.resource["service.name"], "bearward");
    assert!(!server.is_error() && !client.is_error());
    for request in world.collector.requests() {
        assert_eq!(request.head.target(), "/v1/traces");
        let text = String::from_utf8_lossy(&request.body).into_owned();
        for secret in ["hidden", "token-1", SECRET] {
            assert!(!text.contains(secret), "{secret} was exported: {text}");
        }
    }
}

#[test]
fn an_unsampled_caller_stays_unsampled() {
    let world = World::start("");
    world.send(&format!("traceparent: 00-{TRACE}-{CALLER}-00\r\n"));
    let (trace, span, flags) = world.sent_on();
    assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "00"));
    assert_ne!(span, CALLER);

    // What is exported after it shows that it was not.
    world.send("");
    let other = world.collector.server_span();
    assert_ne!(other.trace_id(), TRACE);
    let spans = world.collector.spans();
    assert!(spans.iter().all(|span| span.trace_id() != TRACE));
}

#[test]
fn the_flag_of_a_random_trace_id_goes_on() {
    let world = World::start("");
    world.send(&format!("traceparent: 00-{TRACE}-{CALLER}-03\r\n"));
    assert_eq!(world.sent_on().2, "03");
    world.send(&format!("traceparent: 00-{TRACE}-{CALLER}-02\r\n"));
    assert_eq!(world.sent_on().2, "02");
}

#[test]
fn an_invalid_or_repeated_parent_starts_a_new_trace_without_its_state() {
    let world = World::start("");
    let valid = format!("traceparent: 00-{TRACE}-{CALLER}-01\r\n");
    for fields in [
        "traceparent: 00-1-2-3\r\n".to_owned(),
        format!("traceparent: 00-{}-{CALLER}-01\r\n", TRACE.to_uppercase()),
        valid.repeat(2),
        String::new(),
    ] {
        world.send(&format!("{fields}tracestate: a=1\r\n"));
        let (trace, span, flags) = world.sent_on();
        assert_ne!(trace, TRACE, "{fields}");
        assert_eq!(flags, "01", "{fields}");
        assert!(!world.upstream.last().head.has("tracestate"), "{fields}");
        let client = world
            .collector
            .span("the new trace", |one| one.span_id() == span);
        assert_eq!(client.trace_id(), trace);
        let server = world
            .collector
            .span("its root", |one| client.is_child_of(one));
        assert_eq!(server.parent_id(), "");
    }
}

#[test]
fn the_ratio_counts_only_for_requests_without_a_parent() {
    let world = World::start("sample_ratio = 0");
    world.send("");
    assert_eq!(world.sent_on().2, "00");
    world.send(&format!("traceparent: 00-{TRACE}-{CALLER}-01\r\n"));
    assert_eq!(world.sent_on().2, "01");
    assert_eq!(world.collector.server_span().trace_id(), TRACE);
    let spans = world.collector.spans();
    assert!(
        spans.iter().all(|span| span.trace_id() == TRACE),
        "{spans:?}"
    );
}

#[test]
fn a_token_request_is_a_trace_of_its_own() {
    let world = World::start("");
    let span = world.collector.span("the token request", |span| {
        span.span.name == "token request"
    });
    assert!(span.is(SpanKind::Client) && !span.is_error());
    assert_eq!(span.parent_id(), "");
    assert_eq!(span.attribute("bearward.provider"), "api");
    assert_eq!(span.attribute("bearward.grant_type"), "client_credentials");
}

#[test]
fn a_replay_has_a_wait_for_the_token_and_a_second_span_upstream() {
    let tokens = TokenEndpoint::start(|_, number| {
        crate::support::token_endpoint::token_response(&format!("token-{number}"), 3600)
    });
    let is_first = AtomicBool::new(true);
    let upstream = Upstream::answering(move |_| match is_first.swap(false, Ordering::SeqCst) {
        true => answer("401 Unauthorized", "", ""),
        false => ok(""),
    });
    let collector = Collector::start();
    let sidecar = collector
        .traced(Setup::new(&tokens, upstream.origin()), "")
        .start_ready();
    assert_eq!(request(&sidecar, "/", "").status, 200);
    let server = collector.server_span();
    let replay = collector.span("the replay", |span| {
        span.is_child_of(&server) && span.attribute("http.request.resend_count") == "1"
    });
    let first = collector.span("the first attempt", |span| {
        span.is_child_of(&server) && span.attribute("http.response.status_code") == "401"
    });
    assert!(first.is_error() && !replay.is_error());
    collector.span("the wait for the token", |span| {
        span.is_child_of(&server) && span.span.name == "token wait"
    });
    let ids: Vec<String> = upstream.requests().iter().map(sent_span).collect();
    assert_eq!(ids, [first.span_id(), replay.span_id()]);
}

fn sent_span(request: &crate::support::wire::Request) -> String {
    let field = request.head.value("traceparent").unwrap_or_default();
    field.split('-').nth(2).unwrap_or_default().to_owned()
}

#[test]
fn a_request_without_a_token_tells_of_its_wait_and_its_problem() {
    let tokens = TokenEndpoint::start(|_, _| error_response("503 Unavailable", "later"));
    let upstream = Upstream::answering(|_| ok(""));
    let collector = Collector::start();
    let setup = Setup::new(&tokens, upstream.origin());
    let sidecar = collector.traced(setup, "").start();
    assert_eq!(request(&sidecar, "/", "").status, 503);
    let server = collector.server_span();
    assert!(server.is_error());
    assert_eq!(server.attribute("error.type"), "token-unavailable");
    assert_eq!(server.attribute("http.response.status_code"), "503");
    let wait = collector.span("the wait", |span| span.span.name == "token wait");
    assert!(wait.is_error() && wait.is_child_of(&server));
    let refused = collector.span("the token request", |span| {
        span.span.name == "token request"
    });
    assert!(refused.is_error());
}

#[test]
fn an_upstream_that_is_down_fails_the_span_upstream_too() {
    let tokens = TokenEndpoint::issuing("token-1");
    let collector = Collector::start();
    let setup = Setup::new(&tokens, format!("http://{}", ports::unused()));
    let sidecar = collector.traced(setup, "").start_ready();
    assert_eq!(request(&sidecar, "/", "").status, 502);
    let server = collector.server_span();
    let client = collector.span("the span upstream", is_client_of(&server));
    for span in [&server, &client] {
        assert!(span.is_error());
        assert_eq!(span.attribute("error.type"), "upstream-unreachable");
    }
}

#[test]
fn the_last_spans_are_exported_before_the_process_ends() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok(""));
    let collector = Collector::start();
    let setup = collector.traced(Setup::new(&tokens, upstream.origin()), "");
    let mut sidecar = setup
        .environment("OTEL_BSP_SCHEDULE_DELAY", "3600000")
        .start_ready();
    request(&sidecar, "/", "");
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait().success());
    let spans = collector.spans();
    assert!(
        spans.iter().any(|span| span.is(SpanKind::Server)),
        "{spans:?}"
    );
}

#[test]
fn a_collector_that_is_down_costs_one_log_line_and_no_request() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| ok(""));
    let collector = ports::unused();
    let table = format!("[telemetry]\notlp_endpoint = \"http://{collector}\"\n");
    let mut sidecar = Setup::new(&tokens, upstream.origin())
        .tables(&table)
        .environment("OTEL_BSP_SCHEDULE_DELAY", "50")
        .start_ready();
    for _ in 0..10 {
        assert_eq!(request(&sidecar, "/", "").status, 200);
    }
    until("the line", || {
        sidecar
            .written()
            .contains("traces.export_failed")
            .then_some(())
    });
    assert_eq!(request(&sidecar, "/", "").status, 200);
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait().success());
    let log = sidecar.written();
    assert_eq!(log.matches("traces.export_failed").count(), 1, "{log}");
    assert!(
        log.contains(&format!("http://{collector}/v1/traces")),
        "{log}"
    );
}

#[test]
fn a_malformed_head_has_a_span_without_method_and_path() {
    let world = World::start("");
    let bytes =
        "GET /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(exchange(world.sidecar.address(), bytes).status, 400);
    let server = world.collector.server_span();
    assert_eq!(server.span.name, "HTTP");
    assert_eq!(server.attribute("http.request.method"), "");
    assert_eq!(server.attribute("error.type"), "bad-request");
    // The fault is the client's.
    assert!(!server.is_error());
}

#[test]
fn methods_that_clients_invent_do_not_become_names_of_spans() {
    let world = World::start("");
    let bytes = "BREW /pot HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(world.sidecar.address(), bytes).status, 200);
    let server = world.collector.server_span();
    assert_eq!(server.span.name, "HTTP");
    assert_eq!(server.attribute("http.request.method"), "_OTHER");
    assert_eq!(server.attribute("http.request.method_original"), "BREW");
}
