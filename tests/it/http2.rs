//! Callers that speak HTTP/2 with prior knowledge, on the same listener.

use std::{sync::Arc, thread, time::Duration};

use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use crate::support::{
    h2c::{H2Answer, H2Client, empty, full, with_trailers},
    patience::Gate,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::{TokenEndpoint, error_response},
    upstream::Upstream,
    wire::{answer, chunked, ok},
};

fn world(upstream: &Upstream) -> Sidecar {
    let tokens = TokenEndpoint::issuing("token-1");
    Setup::new(&tokens, upstream.origin()).start_ready()
}

#[track_caller]
fn assert_problem(answer: &H2Answer, status: u16, kind: &str) {
    assert_eq!(answer.status, status, "{:?}", answer.headers);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(
        answer.headers["proxy-status"]
            .to_str()
            .unwrap()
            .starts_with("bearward; error=")
    );
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["type"], format!("urn:bearward:{kind}"));
}

#[tokio::test]
async fn a_get_has_the_token_and_the_upstreams_host() {
    let upstream = Upstream::answering(|_| {
        answer(
            "200 OK",
            "x-repeated: 1\r\nx-repeated: 2\r\nalt-svc: x\r\n",
            "fine",
        )
    });
    let sidecar = world(&upstream);
    let mut client = H2Client::connect(sidecar.address()).await;
    let request = client
        .request("GET", "/a/b?c=d")
        .header("authorization", "Bearer evil")
        .header("proxy-authorization", "evil")
        .header("cookie", "a=b")
        .header("cookie", "c=d")
        .header("x-own", "1")
        .header("x-own", "2");
    let got = client.send(request.body(empty()).unwrap()).await.unwrap();
    assert_eq!((got.status, got.body.as_slice()), (200, &b"fine"[..]));
    assert_eq!(
        got.headers.get_all("x-repeated").iter().collect::<Vec<_>>(),
        ["1", "2"]
    );
    assert!(!got.headers.contains_key("alt-svc"));
    let head = upstream.last().head;
    assert_eq!(head.start, "GET /a/b?c=d HTTP/1.1");
    assert_eq!(
        head.value("host"),
        Some(upstream.address().to_string().as_str())
    );
    assert_eq!(head.value("authorization"), Some("Bearer token-1"));
    assert_eq!(head.values("x-own"), ["1", "2"]);
    // RFC 9113 §8.2.3: what HTTP/2 takes apart is one field in HTTP/1.1.
    assert_eq!(head.values("cookie"), ["a=b; c=d"]);
    assert!(
        !String::from_utf8_lossy(&head.raw).contains("evil"),
        "{head:?}"
    );
}

#[tokio::test]
async fn bodies_pass_both_ways() {
    let upstream = Upstream::answering(|request| ok(&request.body));
    let sidecar = world(&upstream);
    let mut client = H2Client::connect(sidecar.address()).await;
    let body: Vec<u8> = (0..500_000_u32).map(|n| (n % 249) as u8).collect();
    let request = client
        .request("POST", "/")
        .body(full(body.clone()))
        .unwrap();
    let got = client.send(request).await.unwrap();
    assert_eq!(got.status, 200);
    assert!(
        got.body == body,
        "the body changed on the way there or back"
    );
    assert_eq!(upstream.last().head.value("content-length"), Some("500000"));
}

#[tokio::test]
async fn answers_without_a_body_are_whole_whatever_length_they_tell() {
    let upstream = Upstream::answering(|request| match request.head.target() {
        "/304" => {
            b"HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\ncontent-length: 1000\r\n\r\n".to_vec()
        }
        "/204" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        "/0" => ok(""),
        _ => b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n".to_vec(),
    });
    let sidecar = world(&upstream);
    let mut client = H2Client::connect(sidecar.address()).await;
    for (method, path, status, length) in [
        ("HEAD", "/", 200, Some("1000")),
        ("GET", "/304", 304, Some("1000")),
        ("GET", "/204", 204, None),
        ("GET", "/0", 200, Some("0")),
    ] {
        let request = client.request(method, path).body(empty()).unwrap();
        // The frame of the head has to end the stream: clients take a body's frame, an empty one too, for a broken length.
        let got = client
            .send(request)
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error:?}"));
        assert_eq!((got.status, got.body.len()), (status, 0), "{method} {path}");
        let told = got
            .headers
            .get("content-length")
            .map(|value| value.to_str().unwrap());
        assert_eq!(told, length, "{method} {path}");
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let upstream = Upstream::answering(|_| {
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n";
        [
            &head[..],
            &chunked(b"hello", 5, "x-sum: back\r\nauthorization: evil\r\n"),
        ]
        .concat()
    });
    let sidecar = world(&upstream);
    let mut client = H2Client::connect(sidecar.address()).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("there"));
    trailers.insert("authorization", HeaderValue::from_static("evil"));
    let request = client
        .request("POST", "/")
        .header("te", "trailers")
        .header("trailer", "x-sum")
        .body(with_trailers("body", trailers))
        .unwrap();
    let got = client.send(request).await.unwrap();
    assert_eq!(got.body, b"hello");
    assert_eq!(
        got.trailers.get("x-sum").map(HeaderValue::as_bytes),
        Some(&b"back"[..])
    );
    assert!(!got.trailers.contains_key("authorization"));
    let sent = upstream.last();
    assert_eq!(sent.body, b"body");
    assert_eq!(sent.trailers, [("x-sum".to_owned(), "there".to_owned())]);
}

#[tokio::test]
async fn sixty_four_streams_at_once() {
    let gate = Arc::new(Gate::default());
    let upstream = Upstream::answering({
        let gate = gate.clone();
        move |request| {
            gate.pass();
            ok([request.head.target().as_bytes(), &request.body].concat())
        }
    });
    let sidecar = world(&upstream);
    let client = H2Client::connect(sidecar.address()).await;
    let streams: Vec<_> = (0..64)
        .map(|number| {
            let mut client = client.clone();
            tokio::spawn(async move {
                let body = "x".repeat(number * 100);
                let request = client
                    .request("POST", &format!("/{number}"))
                    .body(full(body.clone()))
                    .unwrap();
                let got = client.send(request).await.unwrap();
                assert_eq!(got.status, 200);
                assert_eq!(
                    String::from_utf8(got.body).unwrap(),
                    format!("/{number}{body}")
                );
            })
        })
        .collect();
    // None is answered until all are at the upstream.
    let opener = thread::spawn(move || {
        upstream.wait_for(64);
        gate.open();
        upstream
    });
    for stream in streams {
        stream.await.unwrap();
    }
    opener.join().unwrap();
}

#[tokio::test]
async fn answers_of_our_own_are_problems_here_too() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let tokens = TokenEndpoint::issuing("token-1");
    let sidecar = Setup::new(&tokens, upstream.origin())
        .route("allow = [\"GET /v1/**\"]\nguard.max_body = \"1KiB\"")
        .start_ready();
    let mut client = H2Client::connect(sidecar.address()).await;
    let request = |method: &str, path: &str| client.request(method, path);
    let (refused, ambiguous, cross) = (
        request("POST", "/v1/a").body(empty()).unwrap(),
        request("GET", "/v1/%2e%2e/a").body(empty()).unwrap(),
        request("GET", "/v1/a")
            .header("sec-fetch-site", "cross-site")
            .body(empty())
            .unwrap(),
    );
    let large = request("GET", "/v1/a")
        .body(full(vec![b'x'; 2000]))
        .unwrap();
    let trace = request("TRACE", "/v1/a").body(empty()).unwrap();
    let mut foreign = request("GET", "/v1/a").body(empty()).unwrap();
    *foreign.uri_mut() = "http://evil.example/v1/a".parse().unwrap();
    assert_problem(&client.send(refused).await.unwrap(), 403, "not-allowed");
    assert_problem(&client.send(ambiguous).await.unwrap(), 400, "bad-request");
    assert_problem(&client.send(cross).await.unwrap(), 403, "cross-site");
    assert_problem(&client.send(large).await.unwrap(), 413, "body-too-large");
    assert_problem(
        &client.send(trace).await.unwrap(),
        405,
        "method-not-allowed",
    );
    assert_problem(
        &client.send(foreign).await.unwrap(),
        421,
        "host-not-allowed",
    );
    assert_eq!(upstream.count(), 0);
    let fine = client.request("GET", "/v1/a").body(empty()).unwrap();
    assert_eq!(client.send(fine).await.unwrap().status, 200);
}

#[tokio::test]
async fn an_authority_and_a_host_that_differ_are_refused() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = world(&upstream);
    let mut client = H2Client::connect(sidecar.address()).await;
    let request = client
        .request("GET", "/")
        .header("host", "evil.example")
        .body(empty())
        .unwrap();
    let got = client.send(request).await.unwrap();
    assert!(matches!(got.status, 400 | 421), "{}", got.status);
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn grpc_callers_are_told_in_their_own_way() {
    let tokens =
        TokenEndpoint::start(|_, _| error_response("500 Internal Server Error", "server_error"));
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = Setup::new(&tokens, upstream.origin())
        .route("path = \"/pkg.Service\"")
        .start();
    let mut client = H2Client::connect(sidecar.address()).await;
    for (path, code) in [
        ("/pkg.Service/Method", "14"),
        ("/other.Service/Method", "12"),
        ("/pkg.Service/%2e%2e", "3"),
    ] {
        let request = client
            .request("POST", path)
            .header("content-type", "application/grpc+proto")
            .header("te", "trailers")
            .body(full("\0\0\0\0\0"))
            .unwrap();
        let got = client.send(request).await.unwrap();
        assert_eq!(got.status, 200, "{path}");
        let status = got
            .headers
            .get("grpc-status")
            .or_else(|| got.trailers.get("grpc-status"));
        assert_eq!(
            status.map(HeaderValue::as_bytes),
            Some(code.as_bytes()),
            "{path}: {:?}",
            got.headers
        );
        assert!(
            got.headers["content-type"]
                .to_str()
                .unwrap()
                .starts_with("application/grpc"),
            "{path}"
        );
    }
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn a_cut_body_is_a_reset_and_not_a_clean_end() {
    let gate = Arc::new(Gate::default());
    let upstream = Upstream::scripted({
        let gate = gate.clone();
        move |mut connection| {
            let Ok(Some(_)) = connection.request() else {
                return;
            };
            let _ = connection
                .wire
                .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
            gate.pass();
        }
    });
    let sidecar = world(&upstream);
    let mut client = H2Client::connect(sidecar.address()).await;
    let request = client.request("GET", "/").body(empty()).unwrap();
    let opener = thread::spawn(move || {
        upstream.wait_for(1);
        thread::sleep(Duration::from_millis(200));
        gate.open();
        upstream
    });
    assert!(
        client.send(request).await.is_err(),
        "a cut answer looked whole"
    );
    // The connection itself goes on.
    let upstream = opener.join().unwrap();
    let request = client.request("GET", "/").body(empty()).unwrap();
    assert!(client.send(request).await.is_err());
    assert_eq!(upstream.count(), 2);
}

#[tokio::test]
async fn a_head_has_a_largest_number_of_fields_here_too() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let sidecar = world(&upstream);
    let mut client = H2Client::connect(sidecar.address()).await;
    let many = |count: usize| {
        let request = (0..count).fold(client.request("GET", "/"), |request, number| {
            request.header(format!("x-{number}"), "1")
        });
        request.body(empty()).unwrap()
    };
    let (large, fits) = (many(150), many(90));
    assert_problem(&client.send(large).await.unwrap(), 431, "headers-too-large");
    assert_eq!(upstream.count(), 0);
    assert_eq!(client.send(fits).await.unwrap().status, 200);
}

#[tokio::test]
async fn what_is_no_answer_is_a_protocol_failure_here_too() {
    let upstream = Upstream::answering(|request| match request.head.target() {
        "/chunk" => b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec(),
        _ => b"HTTP/1.1 099 Low\r\ncontent-length: 2\r\n\r\nok".to_vec(),
    });
    let sidecar = world(&upstream);
    let mut client = H2Client::connect(sidecar.address()).await;
    let request = client.request("GET", "/status").body(empty()).unwrap();
    assert_problem(
        &client.send(request).await.unwrap(),
        502,
        "upstream-protocol",
    );
    let request = client.request("GET", "/chunk").body(empty()).unwrap();
    assert!(
        client.send(request).await.is_err(),
        "a cut body looked whole"
    );
}

#[tokio::test]
async fn what_connection_names_stays_here_too() {
    let fields =
        "connection: location, content-type\r\nlocation: /a\r\ncontent-type: a/b\r\nx-kept: 1\r\n";
    let upstream = Upstream::answering(move |_| answer("200 OK", fields, "fine"));
    let sidecar = world(&upstream);
    let mut client = H2Client::connect(sidecar.address()).await;
    let request = client.request("GET", "/").body(empty()).unwrap();
    let got = client.send(request).await.unwrap();
    assert!(
        !got.headers.contains_key("location") && !got.headers.contains_key("content-type"),
        "{:?}",
        got.headers
    );
    assert_eq!(
        (got.headers["x-kept"].as_bytes(), got.body.as_slice()),
        (&b"1"[..], &b"fine"[..])
    );
}
