//! `reauthorize_if`: APIs that refuse a token in the body of a response, with a status that says nothing.

use bearward::proxy::route::ReauthorizeIf;

use crate::support::{
    client::exchange,
    in_process::{self, InProcess},
    setup::Setup,
    token_endpoint::{TokenEndpoint, token_response},
    upstream::Upstream,
    wire::{answer, chunked, ok},
};

const EXPIRED: &str = r#"{"success":false,"errors":[{"code":"601","message":"expired"}]}"#;
const FINE: &str = r#"{"success":true,"errors":[]}"#;

/// Issues `t-0`, `t-1` and so on.
fn endpoint() -> TokenEndpoint {
    TokenEndpoint::start(|_, number| token_response(&format!("t-{number}"), 3600))
}

fn sidecar(tokens: &TokenEndpoint, upstream: &Upstream) -> InProcess {
    in_process::start(Setup::new(tokens, upstream.origin()), |config| {
        let binding = config.routes[0].provider.as_mut().unwrap();
        binding.reauthorize_if = Some(ReauthorizeIf {
            status: 200,
            pointer: "/errors/0/code".into(),
            values: vec!["601".into(), "602".into()],
        });
    })
}

fn json(body: &str) -> Vec<u8> {
    answer(
        "200 OK",
        "content-type: application/json;charset=UTF-8\r\n",
        body,
    )
}

/// An upstream that responds to `t-0` with `refusal`, and to any other token with `FINE`.
fn refusing(refusal: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> Upstream {
    Upstream::answering(move |request| match request.head.value("authorization") {
        Some("Bearer t-0") => refusal(),
        _ => json(FINE),
    })
}

#[test]
fn a_body_that_refuses_the_token_is_not_passed_on_and_the_request_is_replayed() {
    for refusal in [EXPIRED, r#"{"errors":[{"code":602}]}"#] {
        let tokens = endpoint();
        let upstream = refusing(move || json(refusal));
        let sidecar = sidecar(&tokens, &upstream);
        let request = "POST /leads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";
        let answer = exchange(sidecar.address(), request);
        assert_eq!(answer.text(), FINE, "{refusal}");
        assert_eq!(upstream.count(), 2);
        assert_eq!(upstream.last().body, b"hello");
        assert_eq!(tokens.count(), 2);
    }
}

#[test]
fn a_chunked_body_that_refuses_the_token_counts_too() {
    let tokens = endpoint();
    let upstream = refusing(|| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        [head.as_bytes(), &chunked(EXPIRED.as_bytes(), 7, "")].concat()
    });
    let sidecar = sidecar(&tokens, &upstream);
    assert_eq!(sidecar.get("/").text(), FINE);
    assert_eq!(tokens.count(), 2);
}

#[test]
fn any_other_body_passes_as_it_came() {
    let large = format!(
        r#"{{"errors":[{{"code":"601"}}],"x":"{}"}}"#,
        "x".repeat(16 * 1024)
    );
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = |body: &str| [head.as_bytes(), &chunked(body.as_bytes(), 1000, "")].concat();
    let gzip = "content-type: application/json\r\ncontent-encoding: gzip\r\n";
    for (name, response, body) in [
        ("another member", json(FINE), FINE),
        (
            "another code",
            json(r#"{"errors":[{"code":"603"}]}"#),
            r#"{"errors":[{"code":"603"}]}"#,
        ),
        ("not JSON", json("601"), "601"),
        ("cut", json(&EXPIRED[..40]), &EXPIRED[..40]),
        ("another type", ok(EXPIRED), EXPIRED),
        (
            "another status",
            answer(
                "202 Accepted",
                "content-type: application/json\r\n",
                EXPIRED,
            ),
            EXPIRED,
        ),
        ("a coding", answer("200 OK", gzip, EXPIRED), EXPIRED),
        ("above the limit", json(&large), large.as_str()),
        ("above the limit in chunks", chunks(&large), large.as_str()),
        ("short chunks", chunks(FINE), FINE),
        ("nothing", json(""), ""),
    ] {
        let tokens = endpoint();
        let upstream = Upstream::answering(move |_| response.clone());
        let sidecar = sidecar(&tokens, &upstream);
        let mut client = crate::support::client::Client::connect(sidecar.address());
        for _ in 0..2 {
            assert!(client.get("/").text() == body, "{name}");
        }
        assert_eq!((tokens.count(), upstream.count()), (1, 2), "{name}");
        assert_eq!(
            upstream.connections(),
            1,
            "{name}: the connection is used again"
        );
    }
}

#[test]
fn a_body_that_breaks_off_is_passed_on_as_a_break() {
    let tokens = endpoint();
    let upstream = Upstream::scripted(|mut connection| {
        if let Ok(Some(_)) = connection.request() {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"a\"";
            let _ = connection.wire.send(head);
        }
    });
    let sidecar = sidecar(&tokens, &upstream);
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let bytes = crate::support::client::raw(sidecar.address(), request).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(
        text.starts_with("HTTP/1.1 200") && text.ends_with("{\"a\""),
        "{text}"
    );
    assert_eq!(tokens.count(), 1);
}

#[test]
fn an_upstream_that_refuses_fresh_tokens_too_causes_one_renewal() {
    let tokens = endpoint();
    let upstream = Upstream::answering(|_| json(EXPIRED));
    let sidecar = sidecar(&tokens, &upstream);
    for _ in 0..5 {
        assert_eq!(sidecar.get("/").text(), EXPIRED);
    }
    assert_eq!(tokens.count(), 2);
}
