//! The tools of the tests that speak HTTP/2: each understands the others without a sidecar between them.

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, HeaderValue};
use tonic::{Code, Request, codegen::tokio_stream::StreamExt};

use crate::support::{
    either::{Ask, BOTH, Protocol},
    frame_server::FrameServer,
    frames::{STATUS_200, flag, kind},
    grpc::{GrpcClient, GrpcServer},
    h2_upstream::{H2Upstream, send_in_step},
    h2c::{H2Client, empty, full, with_trailers},
    patience::until,
    upstream::Upstream,
    wire::ok,
};

#[tokio::test]
async fn a_scripted_upstream_shows_what_it_is_asked_and_answers_as_told() {
    let upstream = H2Upstream::start(|mut call| async move {
        let body = call.collect().await?;
        let mut stream = call.begin()?;
        send_in_step(&mut stream, Bytes::from(body)).await?;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("back"));
        stream.send_trailers(trailers)
    });
    let mut client = H2Client::connect(upstream.address()).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("there"));
    let body = vec![b'x'; 300_000];
    let request = client
        .request("POST", "/a?b")
        .header("x-own", "1")
        .body(with_trailers(body.clone(), trailers));
    let answer = client.send(request.unwrap()).await.unwrap();
    assert!(answer.status == 200 && answer.body == body && answer.trailers["x-sum"] == "back");
    let seen = upstream.last();
    assert_eq!((seen.target(), seen.value("x-own")), ("/a?b", Some("1")));
    assert!(seen.body == body && seen.trailers["x-sum"] == "there");
    assert_eq!(
        (
            upstream.count(),
            upstream.connections().len(),
            upstream.open_connections()
        ),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn a_scripted_upstream_resets_says_goodbye_and_cuts() {
    let upstream = H2Upstream::start(|mut call| async move {
        match call.target() {
            "/reset" => call.respond.send_reset(Reason::REFUSED_STREAM),
            "/cut" => call.connection.cut(),
            "/goodbye" => {
                call.connection.say_goodbye();
                return call.answer(200, &[], "fine");
            }
            _ => {}
        }
        call.reset_by_caller().await.map(|_| ())
    });
    for (path, whole) in [("/reset", false), ("/cut", false), ("/goodbye", true)] {
        let mut client = H2Client::connect(upstream.address()).await;
        let request = client.request("GET", path).body(empty()).unwrap();
        assert_eq!(client.send(request).await.is_ok(), whole, "{path}");
        if path != "/reset" {
            let request = client.request("GET", "/").body(empty()).unwrap();
            assert!(
                client.send(request).await.is_err(),
                "the connection goes on after {path}"
            );
        }
    }
}

#[tokio::test]
async fn an_upstream_of_frames_answers_those_that_know_no_better() {
    let upstream = FrameServer::start(|mut wire, _| {
        while let Ok(frame) = wire.next_of(kind::HEADERS) {
            let _ = wire.finish_request(&frame);
            let _ = wire.send(
                kind::HEADERS,
                flag::END_HEADERS,
                frame.stream,
                &[STATUS_200],
            );
            let _ = wire.send(kind::DATA, flag::END_STREAM, frame.stream, b"fine");
        }
    });
    let mut client = H2Client::connect(upstream.address()).await;
    for body in ["", "hello"] {
        let request = client.request("POST", "/").body(full(body)).unwrap();
        assert_eq!(client.send(request).await.unwrap().body, b"fine");
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_grpc_client_and_server_understand_each_other() {
    let server = GrpcServer::start();
    let mut client = GrpcClient::connect(server.address()).await;
    let status = client
        .unary("Unary", Request::new("you".into()))
        .await
        .unwrap_err();
    assert_eq!((status.code(), server.begun()), (Code::Unauthenticated, 0));
    let mut request = Request::new("you".to_owned());
    request
        .metadata_mut()
        .insert("authorization", "Bearer token-1".parse().unwrap());
    assert_eq!(
        client.unary("Unary", request).await.unwrap().get_ref(),
        "hello you"
    );
    let refused = client.download("Count", "3").await;
    assert!(refused.is_err() || refused.unwrap().next().await.unwrap().is_err());
    assert_eq!(server.begun(), 1);
}

#[test]
fn one_request_is_asked_in_either_protocol() {
    let http1 = Upstream::answering(|request| ok(&request.body));
    let http2 = H2Upstream::start(|mut call| async move {
        let body = call.collect().await?;
        call.answer(200, &[("x-own", "1")], body)
    });
    for protocol in BOTH {
        let address = if protocol == Protocol::Http1 {
            http1.address()
        } else {
            http2.address()
        };
        for ask in [
            Ask::new("POST", "/").body(b"hello"),
            Ask::new("POST", "/").stream(b"hello", &[("x-sum", "1")]),
        ] {
            let told = ask.told(protocol, address);
            assert_eq!(
                (told.status, told.text().as_str()),
                (200, "hello"),
                "{protocol:?}"
            );
        }
    }
    assert_eq!(http2.last().trailers["x-sum"], "1");
    assert_eq!(
        http1.last().trailers,
        [("x-sum".to_owned(), "1".to_owned())]
    );
    until("the end of the connections", || {
        (http2.open_connections() == 0).then_some(())
    });
    // What speaks the one is no answer to the other.
    assert!(Ask::get("/").ask(Protocol::Http2, http1.address()).is_err());
}
