//! Token endpoints that are down, slow, limiting, refusing or talking nonsense.

use super::*;
use crate::{
    forward_proxy::{ForwardProxy, ProxyCredentials},
    oauth::provider::{Assertion, AssertionSource, ClientAuth, ParameterValue},
    secret::LiveSecret,
};

#[tokio::test]
async fn keeps_serving_the_old_token_while_the_endpoint_is_down_and_recovers_by_itself() {
    let world = World::settled(Reply::Token(100)).await;
    let old = world.current().unwrap();
    world.server.reply(Reply::response(503, "", ""));
    for _ in 0..89 {
        world.seconds(1).await;
        assert!(Arc::ptr_eq(
            &world.credential().obtain().await.unwrap(),
            &old
        ));
    }
    assert!(world.count().await > 1, "a refresh was tried");
    assert_eq!(state(&world), CredentialState::Ready);

    world.seconds(1).await;
    assert_eq!(state(&world), CredentialState::Failing);
    let asked = world.count().await;
    let wait = retry_after(world.credential().obtain().await);
    assert!(wait <= Duration::from_secs(15), "{wait:?}");
    assert_eq!(
        world.count().await,
        asked,
        "between attempts no client waits and none causes a request"
    );

    world.server.reply(Reply::Token(100));
    world.seconds(15).await;
    assert!(world.credential().obtain().await.unwrap().secret != old.secret);
    let status = world.credential().status();
    assert_eq!(
        (status.state, status.last_error),
        (CredentialState::Ready, None)
    );
}

#[tokio::test]
async fn without_a_token_no_wait_is_longer_than_fifteen_seconds() {
    let world = World::settled(Reply::Hangup).await;
    for _ in 0..12 {
        let wait = retry_after(world.credential().obtain().await);
        assert!((Duration::from_secs(1)..=Duration::from_secs(15)).contains(&wait));
        let asked = world.count().await;
        world.seconds(15).await;
        assert!(world.count().await > asked);
    }
}

#[tokio::test]
async fn a_retry_after_of_the_server_is_respected() {
    let world = World::settled(Reply::response(429, "retry-after: 120\r\n", "")).await;
    assert_eq!(
        retry_after(world.credential().obtain().await),
        Duration::from_secs(120)
    );
    world.seconds(119).await;
    assert_eq!(world.count().await, 1);
    world.server.reply(Reply::Token(3600));
    world.seconds(1).await;
    assert_eq!(world.count().await, 2);
    assert!(world.current().is_some());
}

#[tokio::test]
async fn refusals_of_the_client_are_spaced() {
    let world = World::settled(Reply::response(401, "", r#"{"error":"invalid_client"}"#)).await;
    for (attempt, wait) in [60, 120, 240, 480, 600, 600].into_iter().enumerate() {
        let told = world.credential().obtain().await.unwrap_err();
        assert!(matches!(told, TokenError::Refused { error, .. } if &*error == "invalid_client"));
        assert_eq!(state(&world), CredentialState::Refused);
        world.seconds(wait - 1).await;
        assert_eq!(world.count().await, attempt + 1);
        world.seconds(1).await;
        assert_eq!(world.count().await, attempt + 2);
    }
}

#[tokio::test]
async fn a_changed_secret_ends_the_wait_after_a_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "old").unwrap();
    let secret = Arc::new(LiveSecret::file(&path).unwrap());
    let server =
        TokenServer::start(Reply::response(401, "", r#"{"error":"invalid_client"}"#)).await;
    let world = World::with(server, |provider| {
        provider.client_secret = Some(secret.clone());
        provider.client_auth = crate::oauth::provider::ClientAuth::SecretPost;
    });
    world.idle().await;
    assert_eq!(world.count().await, 1);

    world.server.reply(Reply::Token(3600));
    std::fs::write(&path, "new").unwrap();
    assert!(secret.reload().unwrap());
    world.server.wait_for_requests(2).await;
    assert_eq!(world.count().await, 2);
    assert!(world.server.requests()[1].ends_with("client_secret=new"));
    assert!(world.current().is_some());

    std::fs::write(&path, "newer").unwrap();
    assert!(secret.reload().unwrap());
    assert_eq!(
        world.count().await,
        2,
        "a usable token is not replaced for a new secret"
    );

    world
        .server
        .reply(Reply::response(401, "", r#"{"error":"invalid_client"}"#));
    world.credential().refresh_now().await.unwrap_err();
    assert_eq!(
        world.count().await,
        3,
        "the refused request was made with that value already"
    );

    world.server.hold_responses();
    let credential = world.credential();
    let pressed = tokio::spawn(async move { credential.refresh_now().await });
    world.server.wait_for_requests(4).await;
    std::fs::write(&path, "newest").unwrap();
    assert!(secret.reload().unwrap());
    world.server.release_responses();
    pressed.await.unwrap().unwrap_err();
    world.server.wait_for_requests(5).await;
    assert!(
        world.server.requests()[4].ends_with("client_secret=newest"),
        "a change during a request is"
    );
}

#[tokio::test]
async fn every_secret_of_a_refused_client_is_tried_at_once_when_it_changes() {
    type Use = fn(&mut Provider, Arc<LiveSecret>);
    let uses: [(&str, Use); 5] = [
        ("a parameter", |provider, secret| {
            let value = ParameterValue::Secret(secret);
            provider.token_request.params.insert("key".into(), value);
        }),
        ("a header", |provider, secret| {
            let name = http::HeaderName::from_static("x-api-key");
            let value = ParameterValue::Secret(secret);
            provider.token_request.headers.push((name, value));
        }),
        ("the assertion's kid", |provider, secret| {
            provider.assertion = Some(Assertion {
                kid: Some(secret),
                ..Assertion::of_client_secret()
            });
        }),
        ("the ready assertion", |provider, secret| {
            provider.client_auth = ClientAuth::PrivateKeyJwt;
            provider.assertion = Some(Assertion {
                source: AssertionSource::File(secret),
                ..Assertion::of_client_secret()
            });
        }),
        ("the proxy's password", |provider, secret| {
            let url = provider.token_endpoint.as_ref().unwrap().as_str();
            provider.token_request.proxy = Some(ForwardProxy {
                url: url.replace("/token", "/").parse().unwrap(),
                credentials: Some(ProxyCredentials {
                    username: "svc".into(),
                    password: secret,
                }),
            });
        }),
    ];
    for (place, place_secret) in uses {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "old").unwrap();
        let secret = Arc::new(LiveSecret::file(&path).unwrap());
        let refused = Reply::response(401, "", r#"{"error":"invalid_client"}"#);
        let server = TokenServer::start(refused).await;
        let world = World::with(server, |provider| place_secret(provider, secret.clone()));
        world.idle().await;
        assert_eq!(world.count().await, 1, "{place}");
        world.server.reply(Reply::Token(3600));
        std::fs::write(&path, "new").unwrap();
        assert!(secret.reload().unwrap());
        eventually(place, || world.current().is_some()).await;
        assert_eq!(world.count().await, 2, "{place}");
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_the_credentials_is_not_asked_again_within_a_minute() {
    let proxy = TokenServer::start(Reply::response(407, "", "")).await;
    let world = World::with(proxy, |provider| {
        let url = provider.token_endpoint.as_ref().unwrap().as_str();
        let url = url.replace("/token", "/").parse().unwrap();
        provider.token_request.proxy = Some(ForwardProxy {
            url,
            credentials: None,
        });
        provider.token_endpoint = Some("http://as.invalid/token".parse().unwrap());
    });
    world.idle().await;
    world.seconds(59).await;
    assert_eq!(world.count().await, 1);
    let wait = retry_after(world.credential().obtain().await);
    assert!(wait <= Duration::from_secs(1), "{wait:?}");
    world.seconds(1).await;
    assert_eq!(world.count().await, 2);
}

#[tokio::test]
async fn garbage_never_replaces_a_token() {
    let world = World::settled(Reply::Token(100)).await;
    let old = world.current().unwrap();
    for garbage in [
        "",
        "<html>sign in</html>",
        r#"{"access_token":"a\nb"}"#,
        r#"{"access_token":"a","token_type":"mac"}"#,
    ] {
        world.server.reply(Reply::response(200, "", garbage));
        assert!(world.credential().refresh_now().await.is_err());
        assert!(Arc::ptr_eq(&world.current().unwrap(), &old));
        assert_eq!(
            &*world.credential().status().last_error.unwrap().kind,
            "not_a_token"
        );
    }
    world.seconds(90).await;
    assert!(world.current().is_none());
}

#[tokio::test]
async fn the_operator_overrides_the_back_off() {
    let world = World::settled(Reply::response(
        401,
        "retry-after: 300\r\n",
        r#"{"error":"invalid_client"}"#,
    ))
    .await;
    world.server.reply(Reply::Token(3600));
    let first = world.credential().refresh_now().await.unwrap();
    let second = world.credential().refresh_now().await.unwrap();
    assert!(
        first.secret != second.secret,
        "a usable token is refreshed too"
    );
    assert_eq!(world.count().await, 3);
}

#[tokio::test]
async fn operators_who_press_at_once_cause_one_request() {
    let world = World::settled(Reply::Token(3600)).await;
    world.server.hold_responses();
    let pressed: Vec<_> = (0..20)
        .map(|_| {
            let credential = world.credential();
            tokio::spawn(async move { credential.refresh_now().await })
        })
        .collect();
    world.waiting(20).await;
    world.server.release_responses();
    for outcome in pressed {
        outcome.await.unwrap().unwrap();
    }
    assert_eq!(world.count().await, 2);
}
