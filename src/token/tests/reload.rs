//! Registries that succeed one another, and registries that end.

use super::*;
use crate::oauth::provider::GrantType;

fn named(world: &World, name: &str) -> Arc<Provider> {
    let mut provider = fake::provider(&world.server.url());
    provider.name = name.into();
    Arc::new(provider)
}

#[tokio::test]
async fn a_provider_whose_settings_did_not_change_keeps_its_token() {
    let mut world = World::settled(Reply::Token(3600)).await;
    let (credential, token) = (world.credential(), world.current().unwrap());
    let next = world.tokens.reconfigured(
        &[named(&world, "other"), named(&world, "fake")],
        &world.tokens.environment.store,
        &Metrics::new(),
    );
    world.tokens = next;
    let names: Vec<_> = world
        .tokens
        .iter()
        .map(|credential| credential.name().to_string())
        .collect();
    assert_eq!(names, ["other", "fake"]);
    assert!(Arc::ptr_eq(&world.credential(), &credential));
    assert!(Arc::ptr_eq(&world.current().unwrap(), &token));
    world
        .tokens
        .credential("other")
        .unwrap()
        .obtain()
        .await
        .unwrap();
    assert_eq!(world.server.count(), 2);

    world.clock.advance(Duration::from_secs(3600));
    world.server.wait_for_requests(4).await;
}

#[tokio::test]
async fn a_provider_whose_settings_changed_starts_anew() {
    let mut world = World::settled(Reply::Token(3600)).await;
    let (old, token) = (world.credential(), world.current().unwrap());
    let mut changed = fake::provider(&world.server.url());
    changed.scope = Some("more".into());
    world.tokens = world.tokens.reconfigured(
        &[Arc::new(changed)],
        &world.tokens.environment.store,
        &Metrics::new(),
    );
    let fresh = world.credential().obtain().await.unwrap();
    assert!(fresh.secret != token.secret);
    assert!(world.server.requests()[1].ends_with("scope=more"));

    old.ended().await;
    assert!(
        Arc::ptr_eq(&old.obtain().await.unwrap(), &token),
        "requests in flight finish with the token they know"
    );
    assert!(old.refresh_now().await.is_err());
}

#[tokio::test]
async fn a_registry_that_is_dropped_ends_its_refreshers() {
    let World {
        server,
        clock,
        tokens,
    } = World::settled(Reply::Token(100)).await;
    let credential = tokens.credential("fake").unwrap().clone();
    drop(tokens);
    credential.ended().await;
    clock.advance(Duration::from_secs(100));
    assert!(matches!(
        credential.obtain().await,
        Err(TokenError::Unavailable { .. })
    ));
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_stop_waits_for_the_request_in_flight() {
    let server = TokenServer::start(Reply::Token(100)).await;
    server.hold_responses();
    let world = World::with(server, |_| {});
    world.server.wait_for_requests(1).await;
    let credential = world.credential();
    let tokens = Arc::new(world.tokens);
    let stopping = tokens.clone();
    let stop = tokio::spawn(async move { stopping.stop().await });
    tokio::task::yield_now().await;
    assert!(!stop.is_finished());
    world.server.release_responses();
    stop.await.unwrap();
    assert!(credential.current().is_some());
}

#[tokio::test]
async fn a_provider_that_waits_for_a_login_asks_for_nothing() {
    let server = TokenServer::start(Reply::Token(100)).await;
    let world = World::with(server, |provider| {
        provider.grant_type = GrantType::AuthorizationCode;
    });
    assert_eq!(state(&world), CredentialState::Pending);
    world.idle().await;
    assert_eq!(state(&world), CredentialState::LoginRequired);
    assert_eq!(
        world.credential().obtain().await.unwrap_err(),
        TokenError::LoginRequired
    );
    assert_eq!(
        world.credential().refresh_now().await.unwrap_err(),
        TokenError::LoginRequired
    );
    assert_eq!(world.count().await, 0);
    world.tokens.stop().await;
}

#[tokio::test]
async fn the_status_shows_token_and_errors() {
    let server = TokenServer::start(Reply::Token(100)).await;
    server.hold_responses();
    let world = World::with(server, |_| {});
    assert_eq!(state(&world), CredentialState::Pending);
    world.server.release_responses();
    world.idle().await;
    let status = world.credential().status();
    assert_eq!(
        (status.state, status.grant_type),
        (CredentialState::Ready, "client_credentials".into())
    );
    assert_eq!(
        (status.token_requests, status.has_refresh_token),
        (1, false)
    );
    assert_eq!(
        status.expires_at,
        Some(world.clock.wall() + Duration::from_secs(100))
    );
    assert!(status.refresh_at.unwrap() <= world.clock.wall() + Duration::from_secs(70));
    assert!(status.refresh_at.unwrap() >= world.clock.wall() + Duration::from_secs(60));

    world
        .server
        .reply(Reply::response(500, "retry-after: 30\r\n", ""));
    world.credential().refresh_now().await.unwrap_err();
    let status = world.credential().status();
    assert_eq!(status.state, CredentialState::Ready);
    assert_eq!(
        status.refresh_at,
        Some(world.clock.wall() + Duration::from_secs(30))
    );
    assert_eq!(&*status.last_error.unwrap().kind, "server");
}
