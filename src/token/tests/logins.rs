//! Logins and logouts: here, beside a running sidecar, and by signing in without a browser.

use super::{rotation::*, *};
use crate::{
    oauth::provider::{Encoding, SignIn},
    secret::{LiveSecret, Secret},
};

#[tokio::test]
async fn a_login_is_stored_before_it_is_used_and_ends_login_required() {
    let realm = Realm::empty().await;
    let tokens = realm.settled().await;
    assert_eq!(
        (state_of(&tokens), kind(&tokens)),
        (CredentialState::LoginRequired, None)
    );
    log_in(&only(&tokens), issued("r1")).await.unwrap();
    assert_eq!(
        (token(&tokens).as_deref(), realm.stored().as_deref()),
        (Some("of-r1"), Some("r1"))
    );
    let status = only(&tokens).status();
    assert_eq!(
        (status.state, status.has_refresh_token),
        (CredentialState::Ready, true)
    );
    realm.seconds(&tokens, 70).await;
    assert_eq!(
        (token(&tokens).as_deref(), realm.server.count()),
        (Some("a2"), 1)
    );
}

#[tokio::test]
async fn a_login_that_cannot_be_stored_changes_nothing() {
    let realm = Realm::empty().await;
    let tokens = realm.settled().await;
    std::fs::create_dir(realm.path("fake.json.new")).unwrap();
    assert!(matches!(
        log_in(&only(&tokens), issued("r1")).await,
        Err(StoreError::File { .. })
    ));
    assert_eq!(
        (state_of(&tokens), token(&tokens), realm.stored()),
        (CredentialState::LoginRequired, None, None)
    );
    assert!(!only(&tokens).status().has_refresh_token);
}

#[tokio::test]
async fn a_login_whose_token_expires_at_once_is_refreshed() {
    let realm = Realm::empty().await;
    let tokens = realm.settled().await;
    let issued = Issued {
        lifetime: crate::oauth::provider::Lifetime::For(Duration::ZERO),
        ..issued("r1")
    };
    log_in(&only(&tokens), issued).await.unwrap();
    eventually("it is refreshed", || {
        token(&tokens).as_deref() == Some("a2")
    })
    .await;
}

#[tokio::test]
async fn a_login_beside_a_running_sidecar_is_in_use_within_two_seconds() {
    let realm = Realm::empty().await;
    let tokens = realm.settled().await;
    realm.log_in_beside("r1").await;
    realm.clock.advance(Duration::from_secs(2));
    eventually("it is in use", || {
        token(&tokens).as_deref() == Some("of-r1")
    })
    .await;
    // And one that takes the place of another, too.
    realm.log_in_beside("r7").await;
    realm.clock.advance(Duration::from_secs(2));
    eventually("the next is in use", || {
        token(&tokens).as_deref() == Some("of-r7")
    })
    .await;
    assert_eq!(realm.server.count(), 0);
}

#[tokio::test]
async fn a_login_beside_a_running_sidecar_ends_a_refusal() {
    let realm = Realm::new().await;
    realm.family(|family| family.current = 50);
    let tokens = realm.settled().await;
    assert_eq!(state_of(&tokens), CredentialState::LoginRequired);
    realm.log_in_beside("r50").await;
    realm.clock.advance(Duration::from_secs(2));
    eventually("it is in use", || {
        state_of(&tokens) == CredentialState::Ready
    })
    .await;
    assert_eq!(kind(&tokens), None);
}

#[tokio::test]
async fn a_logout_ends_the_use_of_the_token_here_and_beside() {
    let realm = Realm::new().await;
    let (ours, theirs) = (realm.settled().await, realm.settled().await);
    eventually("both have it", || {
        token(&ours) == token(&theirs) && token(&ours).is_some()
    })
    .await;
    assert_eq!(
        only(&ours).log_out().await.unwrap(),
        Some(Secret::new("r2"))
    );
    assert_eq!(
        (state_of(&ours), token(&ours)),
        (CredentialState::LoginRequired, None)
    );
    assert!(!only(&ours).status().has_refresh_token);
    realm.clock.advance(Duration::from_secs(2));
    eventually("the other notices", || {
        state_of(&theirs) == CredentialState::LoginRequired
    })
    .await;
    assert_eq!(token(&theirs), None);
    assert_eq!(
        state_of(&realm.settled().await),
        CredentialState::LoginRequired
    );
    let text = std::fs::read_to_string(realm.path("fake.json")).unwrap();
    assert!(!text.contains("r2") && !text.contains("a2"), "{text}");
}

#[tokio::test]
async fn a_grant_type_without_logins_accepts_none() {
    let world = World::settled(Reply::Token(100)).await;
    assert!(matches!(
        log_in(&world.credential(), issued("r1")).await,
        Err(StoreError::NoLogin)
    ));
    assert!(matches!(
        world.credential().log_out().await,
        Err(StoreError::NoLogin)
    ));
}

async fn with_account() -> (Realm, Arc<LiveSecret>) {
    let mut realm = Realm::empty().await;
    let file = realm.folder.path().join("password");
    std::fs::write(&file, "old").unwrap();
    let password = Arc::new(LiveSecret::file(&file).unwrap());
    realm.provider.sign_in = Some(SignIn {
        endpoint: realm.server.url().parse().unwrap(),
        email: "svc@example.com".into(),
        password: password.clone(),
        encoding: Encoding::Json,
        state_length: 10,
    });
    (realm, password)
}

#[tokio::test]
async fn an_account_signs_in_at_the_start_and_after_a_refusal() {
    let (realm, _) = with_account().await;
    let tokens = realm.settled().await;
    assert_eq!(
        (token(&tokens).as_deref(), realm.stored().as_deref()),
        (Some("a2"), Some("r2"))
    );
    assert_eq!(
        realm.server.count(),
        2,
        "the sign-in and the exchange of its code"
    );
    realm.seconds(&tokens, 70).await;
    assert_eq!(
        (token(&tokens).as_deref(), realm.server.count()),
        (Some("a3"), 3),
        "then it refreshes"
    );
    realm.family(|family| family.current = 50);
    realm.seconds(&tokens, 70).await;
    assert_eq!(
        (token(&tokens).as_deref(), realm.stored().as_deref()),
        (Some("a51"), Some("r51"))
    );
    assert_eq!(realm.server.count(), 6);
    tokens.stop().await;
    let tokens = realm.settled().await;
    assert_eq!(
        (token(&tokens).as_deref(), realm.server.count()),
        (Some("a51"), 6),
        "nor does a restart sign in"
    );
}

#[tokio::test]
async fn an_account_without_a_refresh_token_signs_in_when_its_token_is_refused() {
    let (realm, _) = with_account().await;
    realm.family(|family| family.rotate = false);
    let tokens = realm.settled().await;
    let seen = only(&tokens).current().unwrap();
    assert_eq!(
        (token(&tokens).as_deref(), realm.stored()),
        (Some("a2"), None)
    );
    assert_eq!(
        only(&tokens).replace(&seen).await.unwrap().secret.expose(),
        "a3"
    );
    assert_eq!(realm.server.count(), 4);
}

#[tokio::test]
async fn an_account_that_is_refused_is_not_tried_often_until_its_password_changes() {
    let (realm, password) = with_account().await;
    realm.family(|family| family.sign_in = Some((401, "")));
    let tokens = realm.settled().await;
    for (attempt, wait) in [60, 120, 240, 480, 600, 600].into_iter().enumerate() {
        assert_eq!(realm.server.count(), attempt + 1);
        realm.seconds(&tokens, wait - 1).await;
        assert_eq!(realm.server.count(), attempt + 1);
        realm.seconds(&tokens, 1).await;
    }
    realm.family(|family| family.sign_in = None);
    std::fs::write(realm.folder.path().join("password"), "new").unwrap();
    assert!(password.reload().unwrap());
    eventually("it signs in", || {
        state_of(&tokens) == CredentialState::Ready
    })
    .await;
    assert!(realm.server.requests()[7].contains(r#""password":"new""#));
}

#[tokio::test]
async fn an_account_that_was_logged_out_signs_in_with_the_next_start() {
    let (realm, _) = with_account().await;
    let tokens = realm.settled().await;
    only(&tokens).log_out().await.unwrap();
    realm.seconds(&tokens, 600).await;
    assert_eq!(
        (state_of(&tokens), realm.server.count()),
        (CredentialState::LoginRequired, 2)
    );
    tokens.stop().await;
    assert_eq!(state_of(&realm.settled().await), CredentialState::Ready);
}

#[tokio::test]
async fn a_logout_beside_a_sidecar_that_signs_in_lasts_until_its_next_start() {
    let (realm, _) = with_account().await;
    realm.settled().await.stop().await;
    let tokens = realm.settled().await;
    assert_eq!(
        (state_of(&tokens), realm.server.count()),
        (CredentialState::Ready, 2),
        "resumed"
    );
    realm.grant().log_out().await.unwrap();
    realm.clock.advance(Duration::from_secs(2));
    eventually("it notices", || {
        state_of(&tokens) == CredentialState::LoginRequired
    })
    .await;
    realm.seconds(&tokens, 600).await;
    assert_eq!(realm.server.count(), 2);
    tokens.stop().await;
    assert_eq!(state_of(&realm.settled().await), CredentialState::Ready);
}

#[tokio::test]
async fn a_login_is_neither_sent_by_another_client_nor_spoilt_by_it() {
    let mut realm = Realm::new().await;
    let right = std::mem::replace(&mut realm.provider.client_id, "another".into());
    let tokens = realm.settled().await;
    assert_eq!(
        (state_of(&tokens), kind(&tokens).as_deref()),
        (CredentialState::LoginRequired, Some("other_client"))
    );
    realm.seconds(&tokens, 600).await;
    assert_eq!(realm.server.count(), 0);
    tokens.stop().await;
    realm.provider.client_id = right;
    assert_eq!(
        (
            token(&realm.settled().await).as_deref(),
            realm.server.count()
        ),
        (Some("a2"), 1)
    );
}
