//! The API over real sockets.

use std::time::Duration;

use axum::http::Request;
use testkit::client::{Response, send};

use super::*;
use crate::clock::ManualClock;

struct World {
    _server: AuthorizationServer,
    api: Api,
    clock: ManualClock,
    authorization: String,
}

async fn world() -> World {
    let clock = ManualClock::new();
    let server = AuthorizationServer::start(Arc::new(clock.clone()))
        .await
        .unwrap();
    let api = Api::start(&server).await.unwrap();
    let token = server.tokens().issue(Duration::from_secs(300)).unwrap();
    World {
        authorization: format!("Bearer {}", token.expose()),
        _server: server,
        api,
        clock,
    }
}

impl World {
    async fn send(&self, method: &str, target: &str, body: &str) -> Response {
        let headers = [
            ("authorization", self.authorization.as_str()),
            ("x-trace", "7"),
        ];
        send(self.api.address(), method, target, &headers, body)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn every_path_is_refused_without_a_valid_token() {
    let world = world().await;
    let twice = [
        ("authorization", world.authorization.as_str()),
        ("authorization", "Bearer x"),
    ];
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[], "Bearer"),
        (
            &[("authorization", "Bearer made-up")],
            "Bearer error=\"invalid_token\"",
        ),
        (
            &[("authorization", "Basic eDp5")],
            "Bearer error=\"invalid_token\"",
        ),
        (&twice, "Bearer error=\"invalid_token\""),
    ];
    for (headers, challenge) in cases {
        for target in ["/v1/devices", "/v1/echo", "/nowhere"] {
            let response = send(world.api.address(), "GET", target, headers, "")
                .await
                .unwrap();
            assert_eq!(
                (response.status, response.header("www-authenticate")),
                (401, challenge),
                "{headers:?}"
            );
        }
    }
    assert_eq!(world.send("GET", "/v1/devices", "").await.status, 200);
    world.clock.advance(Duration::from_secs(300));
    assert_eq!(world.send("GET", "/v1/devices", "").await.status, 401);
}

#[tokio::test]
async fn devices_are_listed_and_shown() {
    let world = world().await;
    let list = world.send("GET", "/v1/devices", "").await.json();
    assert_eq!(list["devices"].as_array().unwrap().len(), 3);
    assert_eq!(
        world.send("GET", "/v1/devices/9c21", "").await.json()["name"],
        "Cargo bike"
    );
    assert_eq!(world.send("GET", "/v1/devices/none", "").await.status, 404);
    assert_eq!(world.send("GET", "/v2/devices", "").await.status, 404);
    let response = world.send("DELETE", "/v1/devices/9c21", "").await;
    assert_eq!(
        (response.status, response.header("allow")),
        (405, "GET,HEAD")
    );
}

#[tokio::test]
async fn an_echo_shows_the_request_but_not_the_token() {
    let world = world().await;
    let response = world.send("POST", "/v1/echo?a=%20b", "hello").await;
    let echo = response.json();
    assert_eq!(
        (&echo["method"], &echo["path"], &echo["query"]),
        (&json!("POST"), &json!("/v1/echo"), &json!("a=%20b"))
    );
    assert_eq!(echo["bytes"], 5);
    let headers = echo["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["x-trace", "7"])));
    assert!(headers.contains(&json!(["authorization", "Bearer …"])));
    assert!(!response.body.contains(&world.authorization[7..]));
}

/// Sends the token over both versions of HTTP with the libraries that bearward uses.
async fn exchange_by_libraries(world: &World) {
    use http_body_util::{BodyExt, Empty};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let request = || {
        Request::get(format!("http://{}/v1/devices", world.api.address()))
            .header(header::HOST, world.api.address().to_string())
            .header(header::AUTHORIZATION, &world.authorization)
            .body(Empty::<Bytes>::new())
            .unwrap()
    };
    let connect = || tokio::net::TcpStream::connect(world.api.address());

    let stream = TokioIo::new(connect().await.unwrap());
    let (mut http1, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    assert_eq!(http1.send_request(request()).await.unwrap().status(), 200);
    connection.abort();

    let stream = TokioIo::new(connect().await.unwrap());
    let (mut http2, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let response = http2.send_request(request()).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.unwrap();
    connection.abort();

    crate::tls::install_crypto_provider();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/v1/devices", world.api.address());
    let response = client
        .get(url)
        .header("authorization", &world.authorization)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn no_log_at_any_level_holds_a_token() {
    let world = world().await;
    let token = &world.authorization["Bearer ".len()..];
    let everything =
        "trace,hyper=trace,hyper_util=trace,h2=trace,reqwest=trace,tokio=trace,rustls=trace";
    for level in ["trace", everything] {
        let recording =
            crate::telemetry::tracing::recording::start(level, crate::telemetry::LogFormat::Text);
        exchange_by_libraries(&world).await;
        tracing::trace!(target: "bearward::demo", "the recording works");
        let log = recording.finish();
        assert!(log.contains("the recording works"));
        assert!(!log.contains(token), "{level}");
        // A library's own logs may hold header fields, so its debug and trace levels stay off.
        let insides = log
            .lines()
            .filter(|line| line.contains("TRACE") || line.contains("DEBUG"));
        assert_eq!(
            insides
                .filter(|line| !line.contains(" bearward"))
                .collect::<Vec<_>>(),
            [""; 0],
            "{level}"
        );
    }
}
