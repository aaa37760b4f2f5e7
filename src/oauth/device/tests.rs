//! The device authorization grant over real sockets.

use std::sync::Arc;

use super::*;
use crate::{
    clock::ManualClock,
    oauth::fake::{self, CANARY, Reply, TokenServer},
};

const STARTED: &str = r#"{"device_code":"canary9f8e7d6c-d","user_code":"WDJB-MJHT","verification_uri":"https://as.example/device","expires_in":300,"interval":2}"#;

async fn server(body: &str) -> (TokenServer, TokenEndpoint) {
    let server = TokenServer::start(Reply::response(200, "", body)).await;
    let mut provider = fake::provider(&server.url());
    let device = server.url().replace("/token", "/device");
    provider.device_authorization_endpoint = Some(device.parse().unwrap());
    provider.scope = Some("a b".into());
    let endpoint = TokenEndpoint::new(Arc::new(provider), Arc::new(ManualClock::new()));
    (server, endpoint)
}

#[tokio::test]
async fn the_codes_are_requested_for_the_scope() {
    let (server, endpoint) = server(STARTED).await;
    let device = authorize(&endpoint).await.unwrap();
    assert_eq!(device.user_code, "WDJB-MJHT");
    assert_eq!(
        device.verification_uri.as_str(),
        "https://as.example/device"
    );
    assert_eq!(device.lifetime, Duration::from_secs(300));
    assert_eq!(device.interval, Duration::from_secs(2));
    assert!(!format!("{device:?}").contains(CANARY));
    let request = server.requests().pop().unwrap();
    assert!(
        request.starts_with("POST /device HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.ends_with("\r\n\r\nscope=a+b&client_id=client"),
        "{request}"
    );
}

#[tokio::test]
async fn a_response_without_usable_codes_is_an_error() {
    for body in [
        "{}",
        r#"{"device_code":"d","user_code":"u"}"#,
        r#"{"device_code":"d","user_code":"u","verification_uri":"file:///x"}"#,
        r#"{"device_code":"d","user_code":"a\u001bb","verification_uri":"https://x"}"#,
        r#"{"user_code":"u","verification_uri":"https://x"}"#,
    ] {
        let (_server, endpoint) = server(body).await;
        let text = authorize(&endpoint).await.unwrap_err().to_string();
        assert!(
            text.starts_with("`[providers.fake] device_authorization_endpoint` (http://127.0.0.1:"),
            "{text}"
        );
        assert!(text.contains("without a usable device code"), "{text}");
    }
}

#[tokio::test]
async fn some_servers_use_another_name_for_the_address() {
    let (_server, endpoint) =
        server(&STARTED.replace("verification_uri", "verification_url")).await;
    let device = authorize(&endpoint).await.unwrap();
    assert_eq!(
        device.verification_uri.as_str(),
        "https://as.example/device"
    );
}

#[tokio::test]
async fn a_poll_tells_what_the_person_decided() {
    let (server, endpoint) = server(STARTED).await;
    let mut device = authorize(&endpoint).await.unwrap();
    let error = |code: &str| format!(r#"{{"error":"{code}"}}"#);
    let declined = || PollError::Declined { description: None };
    for (code, expected, interval) in [
        ("authorization_pending", PollError::Pending, 2),
        ("slow_down", PollError::Pending, 7),
        ("access_denied", declined(), 7),
        ("authorization_declined", declined(), 7),
        ("expired_token", PollError::Expired, 7),
    ] {
        for status in [400, 200] {
            if status == 200 && code == "slow_down" {
                continue;
            }
            server.reply(Reply::response(status, "", &error(code)));
            assert_eq!(
                device.poll(&endpoint).await.unwrap_err(),
                expected,
                "{code}"
            );
            assert_eq!(device.interval, Duration::from_secs(interval), "{code}");
        }
    }
    server.reply(Reply::response(400, "", &error("invalid_client")));
    let refused = device.poll(&endpoint).await.unwrap_err();
    assert!(matches!(refused, PollError::Request(_)), "{refused}");

    server.reply(Reply::response(
        200,
        "",
        r#"{"access_token":"a","refresh_token":"r"}"#,
    ));
    let issued = device.poll(&endpoint).await.unwrap();
    assert_eq!(issued.refresh_token, Some(Secret::new("r")));
    let request = server.requests().pop().unwrap();
    assert!(
        request.ends_with(
            "\r\n\r\ngrant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code\
             &device_code=canary9f8e7d6c-d"
        ),
        "{request}"
    );
}

#[tokio::test]
async fn a_failure_of_the_network_makes_polls_rarer() {
    let (server, endpoint) = server(STARTED).await;
    let mut device = authorize(&endpoint).await.unwrap();
    server.reply(Reply::response(503, "", ""));
    assert_eq!(
        device.poll(&endpoint).await.unwrap_err(),
        PollError::Pending
    );
    assert_eq!(device.interval, Duration::from_secs(4));
}
