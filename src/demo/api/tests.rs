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
    let server = AuthorizationServer::start(ServerOptions::default()).await.unwrap();
    let api = Api::start(Options::new(&server)).await.unwrap();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = "grant_type=client_credentials&client_id=demo&client_secret=demo-client-secret";
    let token = ask(server.address(), "POST", "/oauth2/token", &form, body).await.unwrap().json();
    let authorization = format!("Bearer {}", token["access_token"].as_str().unwrap());
    World { server, api, authorization }
}

impl World {
    async fn ask(&self, method: &str, target: &str, body: &str) -> Answer {
        let fields = [("authorization", self.authorization.as_str()), ("x-trace", "7")];
        ask(self.api.address(), method, target, &fields, body).await.unwrap()
    }
}

#[tokio::test]
async fn nothing_is_to_be_had_without_a_live_token() {
    let world = world().await;
    let twice = [("authorization", world.authorization.as_str()), ("authorization", "Bearer x")];
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[], "Bearer"),
        (&[("authorization", "Bearer made-up")], "Bearer error=\"invalid_token\""),
        (&[("authorization", "Basic eDp5")], "Bearer error=\"invalid_token\""),
        (&twice, "Bearer error=\"invalid_token\""),
    ];
    for (fields, challenge) in cases {
        for target in ["/v1/devices", "/v1/echo", "/nowhere"] {
            let answer = ask(world.api.address(), "GET", target, fields, "").await.unwrap();
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, challenge), "{fields:?}");
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
    assert_eq!(world.ask("GET", "/v1/devices/9c21", "").await.json()["name"], "Cargo bike");
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
    assert_eq!(world.ask("POST", "/v1/sink", &"x".repeat(300_000)).await.json(), json!({ "bytes": 300_000 }));
}
