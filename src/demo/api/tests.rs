//! The API over real sockets.

use super::*;
use crate::{
    demo::authorization_server::Options as ServerOptions,
    server::exchange::{Answer, ask},
};

struct World {
    server: AuthorizationServer,
    api: Api,
    authorization: String,
}

async fn world() -> World {
    let server = AuthorizationServer::start(ServerOptions::default())
        .await
        .unwrap();
    let api = Api::start(Options::new(&server)).await.unwrap();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = "grant_type=client_credentials&client_id=demo&client_secret=demo-client-secret";
    let token = ask(server.address(), "POST", "/oauth2/token", &form, body)
        .await
        .unwrap()
        .json();
    let authorization = format!("Bearer {}", token["access_token"].as_str().unwrap());
    World {
        server,
        api,
        authorization,
    }
}

impl World {
    async fn ask(&self, method: &str, target: &str, body: &str) -> Answer {
        let fields = [
            ("authorization", self.authorization.as_str()),
            ("x-trace", "7"),
        ];
        ask(self.api.address(), method, target, &fields, body)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn nothing_is_to_be_had_without_a_live_token() {
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
    for (fields, challenge) in cases {
        for target in ["/v1/devices", "/v1/echo", "/nowhere"] {
            let answer = ask(world.api.address(), "GET", target, fields, "")
                .await
                .unwrap();
            assert_eq!(
                (answer.status, answer.header("www-authenticate")),
                (401, challenge),
                "{fields:?}"
            );
        }
    }
    assert_eq!(world.api.refused(), 12);
    world.server.issued().revoke_all();
    assert_eq!(world.ask("GET", "/v1/devices", "").await.status, 401);
    assert_eq!((world.api.requests(), world.api.refused()), (13, 13));
}

#[tokio::test]
async fn devices_are_listed_and_shown() {
    let world = world().await;
    let list = world.ask("GET", "/v1/devices", "").await.json();
    assert_eq!(list["devices"].as_array().unwrap().len(), 3);
    assert_eq!(
        world.ask("GET", "/v1/devices/9c21", "").await.json()["name"],
        "Cargo bike"
    );
    assert_eq!(world.ask("GET", "/v1/devices/none", "").await.status, 404);
    assert_eq!(world.ask("GET", "/v2/devices", "").await.status, 404);
    let answer = world.ask("DELETE", "/v1/devices/9c21", "").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"));
}

#[tokio::test]
async fn an_echo_shows_what_came_but_not_the_token() {
    let world = world().await;
    let answer = world.ask("POST", "/v1/echo?a=%20b", "hello").await;
    let echo = answer.json();
    assert_eq!(
        (&echo["method"], &echo["path"], &echo["query"]),
        (&json!("POST"), &json!("/v1/echo"), &json!("a=%20b"))
    );
    assert_eq!(echo["bytes"], 5);
    let headers = echo["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["x-trace", "7"])));
    assert!(headers.contains(&json!(["authorization", "Bearer …"])));
    assert!(!answer.body.contains(&world.authorization[7..]));
}

#[tokio::test]
async fn bytes_are_as_many_as_asked_for() {
    let world = world().await;
    for length in [0_usize, 1, 65_536, 65_537, 1_000_000] {
        let answer = world.ask("GET", &format!("/v1/bytes/{length}"), "").await;
        assert_eq!((answer.status, answer.body.len()), (200, length));
        assert_eq!(answer.header("content-length"), length.to_string());
    }
    assert_eq!(world.ask("GET", "/v1/bytes/many", "").await.status, 404);
}

#[tokio::test]
async fn a_sink_counts_what_it_swallows() {
    let world = world().await;
    assert_eq!(
        world
            .ask("POST", "/v1/sink", &"x".repeat(300_000))
            .await
            .json(),
        json!({ "bytes": 300_000 })
    );
}

/// Sends the token over both versions of HTTP with the libraries that the program is made of.
async fn exchange_by_libraries(world: &World) {
    use http_body_util::{BodyExt, Empty};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let request = || {
        Request::get(format!("http://{}/v1/devices", world.api.address()))
            .header(header::HOST, world.api.address().to_string())
            .header(header::AUTHORIZATION, &world.authorization)
            .body(Empty::<bytes::Bytes>::new())
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
    let answer = http2.send_request(request()).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.into_body().collect().await.unwrap();
    connection.abort();

    crate::tls::install_crypto_provider();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/v1/devices", world.api.address());
    let answer = client
        .get(url)
        .header("authorization", &world.authorization)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn no_log_at_any_level_holds_a_token_that_went_by() {
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
        // Whether a library prints header fields changes with its version; that nobody asks it to does not.
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
