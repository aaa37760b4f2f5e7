//! Logins that are recorded, ended and read again without a refresher.

use super::*;
use crate::{
    clock::ManualClock,
    oauth::{api_context::ApiContext, fake, provider::Lifetime, response::Issued},
    secret::LiveSecret,
    token::store::{self, Record, StoreLocation},
};

struct World {
    store: Arc<dyn Store>,
    clock: ManualClock,
}

impl World {
    fn new() -> Self {
        Self {
            store: store::open(&StoreLocation::Memory).unwrap(),
            clock: ManualClock::new(),
        }
    }

    fn grant(&self, configured: Option<&str>) -> StoredGrant {
        let mut provider = fake::with_consent("http://127.0.0.1/token");
        provider.refresh_token =
            configured.map(|token| Arc::new(LiveSecret::fixed(Secret::new(token))));
        self.grant_of(provider)
    }

    fn grant_of(&self, provider: Provider) -> StoredGrant {
        StoredGrant::new(
            Arc::new(provider),
            self.store.clone(),
            Arc::new(self.clock.clone()),
        )
    }
}

fn issued(refresh_token: Option<&str>) -> Issued {
    Issued {
        access_token: Secret::new("access"),
        lifetime: Lifetime::For(Duration::from_secs(1000)),
        refresh_token: refresh_token.map(Secret::new),
        refresh_lifetime: None,
        requested_at: ManualClock::new().now(),
        context: ApiContext::default(),
    }
}

async fn refresh_input(grant: &StoredGrant) -> RefreshInput {
    let mut locked = grant.lock().await.unwrap();
    locked.reload().await.unwrap();
    locked.refresh_input()
}

async fn refresh_token(grant: &StoredGrant) -> Option<String> {
    match refresh_input(grant).await {
        RefreshInput::RefreshToken(token) => Some(token.expose().to_owned()),
        _ => None,
    }
}

#[tokio::test]
async fn a_login_outlives_its_process_with_a_token_that_is_still_usable() {
    let world = World::new();
    let token = world
        .grant(None)
        .log_in(issued(Some("r1")))
        .await
        .unwrap()
        .unwrap();
    let grant = world.grant(None);
    assert!(!grant.has_refresh_token(), "nothing was read yet");
    world.clock.advance(Duration::from_secs(100));
    let again = grant.load_access_token().await.unwrap().unwrap();
    assert!(grant.has_refresh_token());
    assert_eq!(
        (&again.secret, again.usable_until),
        (&token.secret, token.usable_until)
    );
    world.clock.advance(Duration::from_secs(900));
    assert!(
        grant.load_access_token().await.unwrap().is_none(),
        "it is over"
    );
    assert_eq!(refresh_token(&grant).await.as_deref(), Some("r1"));
}

#[tokio::test]
async fn an_access_token_of_other_settings_is_not_used() {
    let world = World::new();
    world.grant(None).log_in(issued(Some("r1"))).await.unwrap();
    let mut provider = fake::with_consent("http://127.0.0.1/token");
    provider.scope = Some("more".into());
    let grant = world.grant_of(provider);
    assert!(grant.load_access_token().await.unwrap().is_none());
    assert_eq!(
        refresh_token(&grant).await.as_deref(),
        Some("r1"),
        "the refresh token is another matter"
    );
}

#[tokio::test]
async fn the_store_wins_over_the_configuration_until_the_configuration_changes() {
    let world = World::new();
    let grant = world.grant(Some("first"));
    assert_eq!(refresh_token(&grant).await.as_deref(), Some("first"));
    let mut locked = grant.lock().await.unwrap();
    locked
        .record_issued(&issued(Some("rotated")), true)
        .await
        .unwrap();
    drop(locked);
    assert_eq!(
        refresh_token(&world.grant(Some("first"))).await.as_deref(),
        Some("rotated")
    );
    assert_eq!(
        refresh_token(&world.grant(None)).await.as_deref(),
        Some("rotated")
    );
    assert_eq!(
        refresh_token(&world.grant(Some("second"))).await.as_deref(),
        Some("second")
    );
    assert_eq!(
        refresh_token(&world.grant(Some("second"))).await.as_deref(),
        Some("second")
    );
}

#[tokio::test]
async fn a_login_wins_over_the_configured_token_that_was_there() {
    let world = World::new();
    world
        .grant(Some("first"))
        .log_in(issued(Some("r1")))
        .await
        .unwrap();
    assert_eq!(
        refresh_token(&world.grant(Some("first"))).await.as_deref(),
        Some("r1")
    );
}

#[tokio::test]
async fn a_refusal_outlives_the_process_and_ends_with_a_login_or_another_configured_token() {
    let world = World::new();
    let grant = world.grant(Some("first"));
    let mut locked = grant.lock().await.unwrap();
    locked.reload().await.unwrap();
    locked.record_refusal().await.unwrap();
    drop(locked);
    assert!(!grant.has_refresh_token());
    assert!(matches!(
        refresh_input(&world.grant(Some("first"))).await,
        RefreshInput::Refused
    ));
    assert_eq!(
        refresh_token(&world.grant(Some("second"))).await.as_deref(),
        Some("second")
    );

    let grant = world.grant(Some("second"));
    let mut locked = grant.lock().await.unwrap();
    locked.reload().await.unwrap();
    locked.record_refusal().await.unwrap();
    drop(locked);
    grant.log_in(issued(Some("r1"))).await.unwrap();
    assert_eq!(
        refresh_token(&world.grant(Some("second"))).await.as_deref(),
        Some("r1")
    );
}

#[tokio::test]
async fn a_logout_returns_the_refresh_token_and_leaves_nothing_of_it() {
    let world = World::new();
    let grant = world.grant(Some("first"));
    grant.log_in(issued(Some("r1"))).await.unwrap();
    assert_eq!(grant.log_out().await.unwrap(), Some(Secret::new("r1")));
    assert!(!grant.has_refresh_token());
    let left = world.store.load("fake").unwrap().unwrap();
    assert!(left.is_logged_out());
    assert!(matches!(
        refresh_input(&world.grant(Some("first"))).await,
        RefreshInput::LoggedOut
    ));
    assert_eq!(grant.log_out().await.unwrap(), None);
    assert_eq!(
        World::new().grant(None).log_out().await.unwrap(),
        None,
        "there was never one"
    );
}

#[tokio::test]
async fn a_record_that_was_lost_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let world = World {
        store: store::open(&StoreLocation::File(folder.path().join("state"))).unwrap(),
        ..World::new()
    };
    let grant = world.grant(None);
    grant.log_in(issued(Some("r1"))).await.unwrap();
    std::fs::remove_file(folder.path().join("state/fake.json")).unwrap();
    assert_eq!(grant.check_store().await.unwrap(), StoreCheck::Changed);
    assert_eq!(refresh_token(&grant).await.as_deref(), Some("r1"));
    assert_eq!(
        refresh_token(&world.grant(None)).await.as_deref(),
        Some("r1")
    );
    assert_eq!(grant.check_store().await.unwrap(), StoreCheck::Unchanged);
}

#[tokio::test]
async fn a_refresh_without_a_refresh_token_keeps_the_old_one_and_a_login_does_not() {
    let world = World::new();
    let grant = world.grant(None);
    grant.log_in(issued(Some("r1"))).await.unwrap();
    let mut locked = grant.lock().await.unwrap();
    locked.record_issued(&issued(None), true).await.unwrap();
    drop(locked);
    assert_eq!(
        refresh_token(&world.grant(None)).await.as_deref(),
        Some("r1")
    );
    let login = grant
        .prepare_login()
        .await
        .unwrap()
        .record(issued(None))
        .await;
    assert!(
        !login.has_refresh_token && login.token.is_some(),
        "it is told apart"
    );
    assert!(matches!(
        refresh_input(&world.grant(None)).await,
        RefreshInput::Missing
    ));
}

#[tokio::test]
async fn a_login_keeps_its_name_while_its_tokens_rotate_and_another_gets_another() {
    let world = World::new();
    let name = || world.store.load("fake").unwrap().unwrap().login;
    let grant = world.grant(Some("first"));
    let mut locked = grant.lock().await.unwrap();
    locked.reload().await.unwrap();
    let configured = name();
    assert!(configured.is_some());
    locked
        .record_issued(&issued(Some("r2")), true)
        .await
        .unwrap();
    assert_eq!(name(), configured);
    locked.record_refusal().await.unwrap();
    assert_eq!(name(), configured);
    drop(locked);
    grant.log_in(issued(Some("r2"))).await.unwrap();
    assert!(
        name().is_some() && name() != configured,
        "the same refresh token, another login"
    );
    grant.log_out().await.unwrap();
    assert_eq!(name(), None);
}

#[tokio::test]
async fn a_configured_token_that_was_used_once_is_never_used_again() {
    let world = World::new();
    assert_eq!(
        refresh_token(&world.grant(Some("t1"))).await.as_deref(),
        Some("t1")
    );
    let second = world.grant(Some("t2"));
    let mut locked = second.lock().await.unwrap();
    locked.reload().await.unwrap();
    locked
        .record_issued(&issued(Some("r2")), true)
        .await
        .unwrap();
    drop(locked);
    assert_eq!(
        refresh_token(&world.grant(Some("t1"))).await.as_deref(),
        Some("r2"),
        "an older process is still there"
    );
    assert_eq!(
        refresh_token(&world.grant(Some("t2"))).await.as_deref(),
        Some("r2")
    );

    world
        .grant(Some("t1"))
        .log_in(issued(Some("r3")))
        .await
        .unwrap();
    assert_eq!(
        refresh_token(&world.grant(Some("t2"))).await.as_deref(),
        Some("r3"),
        "nor after a login"
    );
    let mut locked = second.lock().await.unwrap();
    locked.reload().await.unwrap();
    locked.record_refusal().await.unwrap();
    drop(locked);
    assert!(
        matches!(
            refresh_input(&world.grant(Some("t1"))).await,
            RefreshInput::Refused
        ),
        "nor after a refusal"
    );
    second.log_out().await.unwrap();
    assert!(
        matches!(
            refresh_input(&world.grant(Some("t1"))).await,
            RefreshInput::LoggedOut
        ),
        "nor after a logout"
    );
    assert_eq!(
        refresh_token(&world.grant(Some("t3"))).await.as_deref(),
        Some("t3")
    );
}

fn of_another_client(configured: Option<&str>) -> Provider {
    let mut provider = fake::with_consent("http://127.0.0.1/token");
    provider.client_id = "another".into();
    provider.refresh_token =
        configured.map(|token| Arc::new(LiveSecret::fixed(Secret::new(token))));
    provider
}

#[tokio::test]
async fn a_login_is_unusable_for_another_client_and_usable_again_for_its_own() {
    let world = World::new();
    world.grant(None).log_in(issued(Some("r1"))).await.unwrap();
    let other = world.grant_of(of_another_client(None));
    assert!(matches!(
        refresh_input(&other).await,
        RefreshInput::OtherClient
    ));
    assert_eq!(
        refresh_token(&world.grant(None)).await.as_deref(),
        Some("r1")
    );
    assert_eq!(
        other.log_out().await.unwrap(),
        None,
        "another server is not to revoke it"
    );
    other.log_in(issued(Some("r2"))).await.unwrap();
    assert_eq!(refresh_token(&other).await.as_deref(), Some("r2"));
}

#[tokio::test]
async fn a_configured_token_is_used_again_if_another_client_obtained_nothing_with_it() {
    let world = World::new();
    let wrong = world.grant_of(of_another_client(Some("t1")));
    let mut locked = wrong.lock().await.unwrap();
    locked.reload().await.unwrap();
    locked.record_refusal().await.unwrap();
    drop(locked);
    let right = world.grant(Some("t1"));
    assert_eq!(refresh_token(&right).await.as_deref(), Some("t1"));
    let mut locked = right.lock().await.unwrap();
    locked.reload().await.unwrap();
    locked
        .record_issued(&issued(Some("r2")), true)
        .await
        .unwrap();
    drop(locked);
    assert!(
        matches!(refresh_input(&wrong).await, RefreshInput::OtherClient),
        "its successor is not replaced by it"
    );
    assert_eq!(refresh_token(&right).await.as_deref(), Some("r2"));
}

#[tokio::test]
async fn a_record_loses_the_very_access_token_that_was_refused_and_nothing_else() {
    let world = World::new();
    let grant = world.grant(Some("first"));
    grant.log_in(issued(Some("r1"))).await.unwrap();
    let before = world.store.load("fake").unwrap().unwrap();
    grant
        .withdraw_access_token(&Secret::new("another"))
        .await
        .unwrap();
    assert_eq!(world.store.load("fake").unwrap().as_ref(), Some(&before));

    let beside = world.grant(Some("first"));
    assert!(beside.load_access_token().await.unwrap().is_some());
    grant
        .withdraw_access_token(&Secret::new("access"))
        .await
        .unwrap();
    let left = world.store.load("fake").unwrap();
    assert_eq!(
        left,
        Some(Record {
            access: None,
            ..before
        })
    );
    assert_eq!(
        beside.check_store().await.unwrap(),
        StoreCheck::Unchanged,
        "there is nothing to adopt"
    );
    assert!(beside.has_refresh_token());
    beside
        .withdraw_access_token(&Secret::new("access"))
        .await
        .unwrap();
    assert_eq!(world.store.load("fake").unwrap(), left);
    assert!(
        world
            .grant(Some("first"))
            .load_access_token()
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(refresh_token(&beside).await.as_deref(), Some("r1"));
}

#[tokio::test]
async fn a_refused_token_is_withdrawn_only_under_the_lock() {
    let world = World::new();
    let grant = world.grant(None);
    grant.log_in(issued(Some("r1"))).await.unwrap();
    let theirs = world.store.try_lock("fake").unwrap().unwrap();
    assert!(matches!(
        grant.withdraw_access_token(&Secret::new("access")).await,
        Err(StoreError::Locked)
    ));
    assert!(world.store.load("fake").unwrap().unwrap().access.is_some());
    drop(theirs);
    grant
        .withdraw_access_token(&Secret::new("access"))
        .await
        .unwrap();
    assert!(world.store.load("fake").unwrap().unwrap().access.is_none());
}

#[tokio::test]
async fn a_withdrawn_token_hides_no_other_login_from_the_next_check() {
    let world = World::new();
    let grant = world.grant(None);
    grant.log_in(issued(Some("r1"))).await.unwrap();
    world.grant(None).log_in(issued(Some("r2"))).await.unwrap();
    grant
        .withdraw_access_token(&Secret::new("access"))
        .await
        .unwrap();
    assert_eq!(grant.check_store().await.unwrap(), StoreCheck::Changed);
    assert_eq!(refresh_token(&grant).await.as_deref(), Some("r2"));
}

#[tokio::test]
async fn a_login_without_a_refresh_token_is_no_logout_after_its_access_token_was_refused() {
    let world = World::new();
    let grant = world.grant(None);
    grant.log_in(issued(None)).await.unwrap();
    // As a version wrote it that named no logins.
    let mut record = world.store.load("fake").unwrap().unwrap();
    record.login = None;
    world
        .store
        .try_lock("fake")
        .unwrap()
        .unwrap()
        .save(&record)
        .unwrap();
    assert!(grant.load_access_token().await.unwrap().is_some());
    grant
        .withdraw_access_token(&Secret::new("access"))
        .await
        .unwrap();
    assert!(matches!(
        refresh_input(&world.grant(None)).await,
        RefreshInput::Missing
    ));
}
