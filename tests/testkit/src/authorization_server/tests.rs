//! The authorization server over real sockets.

mod consent;
mod dialects;
mod rotation;

use http::HeaderMap;

use super::*;
use crate::{
    client::{Response, send},
    clock::Clock,
};

type Fields<'a> = &'a [(&'a str, &'a str)];

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn started() -> AuthorizationServer {
    AuthorizationServer::start(Options::default())
        .await
        .unwrap()
}

async fn post(server: &AuthorizationServer, fields: &[(&str, &str)], body: &str) -> Response {
    let fields: Vec<_> = [&[FORM], fields].concat();
    send(server.address(), "POST", "/oauth2/token", &fields, body)
        .await
        .unwrap()
}

const BY_POST: &str =
    "grant_type=client_credentials&client_id=demo&client_secret=demo-client-secret";

#[tokio::test]
async fn a_client_gets_a_token_by_either_way_of_authentication() {
    let options = Options {
        client_id: "a b".into(),
        client_secret: "p:%&ü".into(),
        ..Options::default()
    };
    let server = AuthorizationServer::start(options).await.unwrap();
    // base64("a+b:p%3A%25%26%C3%BC")
    let basic = post(
        &server,
        &[("authorization", "Basic YStiOnAlM0ElMjUlMjYlQzMlQkM=")],
        "grant_type=client_credentials",
    )
    .await;
    let by_post = post(
        &server,
        &[],
        "grant_type=client_credentials&client_id=a+b&client_secret=p%3A%25%26%C3%BC",
    )
    .await;
    for response in [basic, by_post] {
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.header("cache-control"), "no-store");
        let json = response.json();
        assert_eq!(json["token_type"], "Bearer");
        assert_eq!(json["expires_in"], 300);
        assert_eq!(json["scope"], "devices.read devices.write");
        assert!(
            server
                .issued()
                .is_live(json["access_token"].as_str().unwrap())
        );
    }
    assert_eq!(server.stats().issued, 2);
}

#[tokio::test]
async fn what_is_wrong_is_named_by_its_rfc_6749_code() {
    let server = started().await;
    let basic = ("authorization", "Basic ZGVtbzpkZW1vLWNsaWVudC1zZWNyZXQ=");
    let wrong = ("authorization", "Basic ZGVtbzp3cm9uZw==");
    let cases: [(Fields<'_>, &str, u16, &str); 10] = [
        (&[], "grant_type=client_credentials", 401, "invalid_client"),
        (
            &[wrong],
            "grant_type=client_credentials",
            401,
            "invalid_client",
        ),
        (
            &[("authorization", "Bearer x")],
            "grant_type=client_credentials",
            401,
            "invalid_client",
        ),
        (
            &[],
            "grant_type=client_credentials&client_id=other&client_secret=demo-client-secret",
            401,
            "invalid_client",
        ),
        (&[basic], BY_POST, 400, "invalid_request"),
        (&[basic], "scope=devices.read", 400, "invalid_request"),
        (
            &[basic],
            "grant_type=client_credentials&scope=devices.read&scope=x",
            400,
            "invalid_request",
        ),
        (
            &[basic],
            "grant_type=password",
            400,
            "unsupported_grant_type",
        ),
        (
            &[basic],
            "grant_type=client_credentials&scope=devices.read+all",
            400,
            "invalid_scope",
        ),
        (&[basic], "grant_type=", 400, "invalid_request"),
    ];
    for (fields, body, status, code) in cases {
        let response = post(&server, fields, body).await;
        assert_eq!(
            (response.status, response.json()["error"].as_str().unwrap()),
            (status, code),
            "{body}"
        );
        assert_eq!(
            response.header("www-authenticate").is_empty(),
            status != 401
        );
    }
    let json = [("content-type", "application/json"), basic];
    let response = send(server.address(), "POST", "/oauth2/token", &json, "{}")
        .await
        .unwrap();
    assert_eq!(response.json()["error"], "invalid_request");
    let response = send(server.address(), "GET", "/oauth2/token", &[], "")
        .await
        .unwrap();
    assert_eq!((response.status, response.header("allow")), (405, "POST"));
    let stats = server.stats();
    assert_eq!(
        (stats.token_requests, stats.issued, stats.refused),
        (12, 0, 11)
    );
}

#[tokio::test]
async fn a_token_is_valid_until_it_expires_or_is_revoked() {
    let clock = Clock::default();
    let server = AuthorizationServer::start(Options {
        clock: clock.clone(),
        ..Options::default()
    });
    let server = server.await.unwrap();
    let issue = async || {
        post(&server, &[], BY_POST).await.json()["access_token"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let first = issue().await;
    clock.advance(Duration::from_secs(299));
    assert!(server.issued().is_live(&first));
    clock.advance(Duration::from_secs(1));
    assert!(!server.issued().is_live(&first));
    let second = issue().await;
    assert!(server.issued().is_live(&second));
    server.issued().revoke_all();
    assert!(!server.issued().is_live(&second));
    assert!(!server.issued().is_live("made-up"));
}

#[tokio::test]
async fn it_can_be_unavailable_and_recover() {
    let server = started().await;
    server.set_health(Health::Unavailable);
    assert_eq!(post(&server, &[], BY_POST).await.status, 503);
    server.set_health(Health::ClosesConnections);
    assert!(
        send(server.address(), "POST", "/oauth2/token", &[FORM], BY_POST)
            .await
            .is_none()
    );
    server.set_health(Health::Up);
    server.set_lifetime(Duration::from_secs(7));
    assert_eq!(post(&server, &[], BY_POST).await.json()["expires_in"], 7);
}

#[tokio::test]
async fn a_raw_response_is_sent_as_given() {
    let server = started().await;
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", HeaderValue::from_static("7"));
    server.set_raw_response(Some(RawResponse {
        status: StatusCode::IM_A_TEAPOT,
        headers,
        body: "{}".into(),
    }));
    let response = post(&server, &[], "").await;
    assert_eq!(
        (
            response.status,
            response.header("retry-after"),
            response.body.as_str()
        ),
        (418, "7", "{}")
    );
    server.set_raw_response(None);
    assert_eq!(post(&server, &[], BY_POST).await.status, 200);
}

#[tokio::test]
async fn requests_are_recorded_and_their_secrets_not_shown() {
    let server = started().await;
    send(
        server.address(),
        "POST",
        "/oauth2/token?a=b%20c",
        &[FORM, ("x-api-version", "2")],
        BY_POST,
    )
    .await
    .unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].parameter("a").as_deref(), Some("b c"));
    assert_eq!(requests[0].parameter("client_id").as_deref(), Some("demo"));
    assert_eq!(requests[0].headers["x-api-version"], "2");
    assert!(!format!("{requests:?} {server:?}").contains("demo-client-secret"));
    let stats = server.stats();
    assert_eq!(
        (stats.token_requests, stats.issued, stats.refused),
        (1, 1, 0)
    );
}

#[tokio::test]
async fn it_ends_with_its_handle() {
    let server = started().await;
    let address = server.address();
    drop(server);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "still listening");
        tokio::task::yield_now().await;
    }
}
