//! gRPC, spoken by a client and a server that know nothing of the sidecar between them.

use std::{future::Future, time::Duration};

use tokio::{sync::mpsc, time::timeout};
use tonic::{Code, Request, Status, codegen::tokio_stream::StreamExt};

use crate::support::{
    grpc::{GrpcClient, GrpcServer},
    patience::{PATIENCE, until},
    ports,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::{TokenEndpoint, error_response},
};

fn world(route: &str) -> (Sidecar, GrpcServer) {
    let server = GrpcServer::start();
    (sidecar(&server.origin(), route), server)
}

fn sidecar(origin: &str, route: &str) -> Sidecar {
    let tokens = TokenEndpoint::issuing("token-1");
    Setup::new(&tokens, origin)
        .route("http2 = \"prior-knowledge\"")
        .route(route)
        .start_ready()
}

/// Runs `calls`, which have to end.
async fn in_time<T>(calls: impl Future<Output = T>) -> T {
    timeout(PATIENCE * 2, calls)
        .await
        .expect("an answer in time")
}

fn text(message: &str) -> Request<String> {
    Request::new(message.to_owned())
}

#[track_caller]
fn assert_status(status: &Status, code: Code, message: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    assert!(status.message().contains(message), "{status:?}");
}

#[tokio::test]
async fn one_message_for_one() {
    let (sidecar, server) = world("");
    let mut client = GrpcClient::connect(sidecar.address()).await;
    let mut request = text("you");
    request
        .metadata_mut()
        .insert("x-asked", "this".parse().unwrap());
    // The caller's own credentials never matter.
    request
        .metadata_mut()
        .insert("authorization", "Bearer evil".parse().unwrap());
    let response = in_time(client.unary("Unary", request)).await.unwrap();
    assert_eq!(response.metadata().get("x-answered").unwrap(), "this");
    assert_eq!(response.get_ref(), "hello you");

    let large = "x".repeat(3_000_000);
    let response = in_time(client.unary("Unary", text(&large))).await.unwrap();
    assert!(response.into_inner() == format!("hello {large}"));
    assert_eq!(server.begun(), 2);
}

#[tokio::test]
async fn a_failure_of_the_servers_arrives_with_all_that_it_says() {
    let (sidecar, _server) = world("");
    let mut client = GrpcClient::connect(sidecar.address()).await;
    let status = in_time(client.unary("Fail", text(""))).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, "not now: 100 % \u{e4}");
    assert_eq!(status.metadata().get("x-detail").unwrap(), "more");
    let status = in_time(client.unary("Unheard", text("")))
        .await
        .unwrap_err();
    assert_status(
        &status,
        Code::Unimplemented,
        "the server has no such method",
    );
}

#[tokio::test]
async fn many_messages_for_one_and_the_status_after_them() {
    let (sidecar, _server) = world("");
    let mut client = GrpcClient::connect(sidecar.address()).await;
    in_time(async {
        let messages = client.download("Count", "1000").await.unwrap();
        let messages: Vec<String> = messages.map(Result::unwrap).collect().await;
        assert_eq!(
            messages,
            (0..1000)
                .map(|number| number.to_string())
                .collect::<Vec<_>>()
        );

        let mut messages = client.download("Count", "3 then fail").await.unwrap();
        for number in 0..3 {
            assert_eq!(messages.next().await.unwrap().unwrap(), number.to_string());
        }
        assert_status(
            &messages.next().await.unwrap().unwrap_err(),
            Code::ResourceExhausted,
            "no more numbers",
        );
    })
    .await;
}

#[tokio::test]
async fn one_message_for_many() {
    let (sidecar, _server) = world("");
    let mut client = GrpcClient::connect(sidecar.address()).await;
    let numbers: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    let joined = in_time(client.upload("Join", numbers.clone()))
        .await
        .unwrap();
    assert_eq!(joined, numbers.join(","));
    assert_eq!(
        in_time(client.upload("Join", Vec::new())).await.unwrap(),
        ""
    );
}

#[tokio::test]
async fn many_for_many_each_as_it_comes() {
    let (sidecar, _server) = world("");
    let mut client = GrpcClient::connect(sidecar.address()).await;
    in_time(async {
        let (sender, receiver) = mpsc::channel(1);
        let mut answers = client.talk("Echo", receiver).await.unwrap();
        // Each message is back before the next one goes: nothing on the way collects them.
        for number in 0..100 {
            sender.send(number.to_string()).await.unwrap();
            assert_eq!(answers.next().await.unwrap().unwrap(), number.to_string());
        }
        drop(sender);
        assert!(answers.next().await.is_none());
        assert!(answers.trailers().await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn many_calls_at_once_over_one_connection() {
    let (sidecar, server) = world("");
    let address = sidecar.address();
    in_time(async {
        let mut talks = Vec::new();
        let mut client = GrpcClient::connect(address).await;
        for _ in 0..50 {
            let (sender, receiver) = mpsc::channel(1);
            talks.push((sender, client.talk("Echo", receiver).await.unwrap()));
        }
        for number in 0..10 {
            for (talk, (sender, answers)) in talks.iter_mut().enumerate() {
                let message = format!("{talk}:{number}");
                sender.send(message.clone()).await.unwrap();
                assert_eq!(answers.next().await.unwrap().unwrap(), message);
            }
        }
    })
    .await;
    assert_eq!(server.begun(), 50);
}

#[tokio::test]
async fn a_deadline_reaches_the_server_and_its_end_the_caller() {
    let (sidecar, server) = world("");
    let mut client = GrpcClient::connect(sidecar.address()).await;
    let mut request = text("");
    request.set_timeout(Duration::from_secs(60));
    let status = in_time(client.unary("Deadline", request))
        .await
        .unwrap_err();
    // tonic says it in microseconds.
    assert_status(&status, Code::DeadlineExceeded, "60000000u");

    let mut request = text("");
    request.set_timeout(Duration::from_millis(300));
    let status = in_time(client.unary("Never", request)).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{status:?}"
    );
    until("the end of the call", || {
        (server.cancelled() == 1).then_some(())
    });
}

#[tokio::test]
async fn a_cancelled_call_is_cancelled_at_the_server() {
    let (sidecar, server) = world("");
    let mut client = GrpcClient::connect(sidecar.address()).await;
    let gave_up = timeout(Duration::from_millis(500), client.unary("Never", text(""))).await;
    assert!(gave_up.is_err());
    assert_eq!(server.begun(), 1);
    // The connection sends the reset while this task waits elsewhere.
    cancelled(&server, 1).await;

    let mut messages = in_time(client.download("NeverAgain", "")).await.unwrap();
    assert_eq!(in_time(messages.next()).await.unwrap().unwrap(), "once");
    drop(messages);
    cancelled(&server, 2).await;
    assert_eq!(
        in_time(client.unary("Unary", text("you")))
            .await
            .unwrap()
            .get_ref(),
        "hello you"
    );
}

async fn cancelled(server: &GrpcServer, count: usize) {
    in_time(async {
        while server.cancelled() < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn failures_of_our_own_are_told_in_grpc() {
    let tokens =
        TokenEndpoint::start(|_, _| error_response("500 Internal Server Error", "server_error"));
    let server = GrpcServer::start();
    let no_token = Setup::new(&tokens, server.origin())
        .route("http2 = \"prior-knowledge\"")
        .start();
    let gone = sidecar(&format!("http://{}", ports::unused()), "");
    let guarded = sidecar(
        &server.origin(),
        "path = \"/test.Text\"\nallow = [\"POST /test.Text/Unary\"]\nguard.max_body = \"1KiB\"",
    );
    let impatient = sidecar(&server.origin(), "timeouts.response = \"300ms\"");
    let large = "x".repeat(2000);
    for (sidecar, method, message, code, word) in [
        (
            &no_token,
            "Unary",
            "",
            Code::Unavailable,
            "token-unavailable",
        ),
        (
            &gone,
            "Unary",
            "",
            Code::Unavailable,
            "upstream-unreachable",
        ),
        (&guarded, "Fail", "", Code::PermissionDenied, "not-allowed"),
        (
            &guarded,
            "/other.Text/Unary",
            "",
            Code::Unimplemented,
            "no-route",
        ),
        (
            &guarded,
            "/test.Text/%2e%2e",
            "",
            Code::InvalidArgument,
            "bad-request",
        ),
        (
            &guarded,
            "Unary",
            &large,
            Code::ResourceExhausted,
            "body-too-large",
        ),
        (
            &impatient,
            "Never",
            "",
            Code::DeadlineExceeded,
            "upstream-timeout",
        ),
    ] {
        let mut client = GrpcClient::connect(sidecar.address()).await;
        let status = in_time(client.unary(method, text(message)))
            .await
            .unwrap_err();
        assert_status(&status, code, word);
    }
    let mut client = GrpcClient::connect(guarded.address()).await;
    assert_eq!(
        in_time(client.unary("Unary", text("you")))
            .await
            .unwrap()
            .get_ref(),
        "hello you"
    );
    // That one and the one that was too slow, and perhaps the one whose body was too large; none else got there.
    assert!(matches!(server.begun(), 2 | 3), "{}", server.begun());
}
