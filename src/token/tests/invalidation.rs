//! Tokens that an upstream refused, and the store: a refused token is never restored from there.

use super::{rotation::*, *};

/// The current token.
fn current(tokens: &Tokens) -> Token {
    only(tokens).current().unwrap()
}

/// Lets everything run that can, the threads of the disk too.
async fn a_while() {
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_token_refused_during_an_outage_does_not_come_back_with_a_restart() {
    let realm = Realm::new().await;
    let tokens = realm.settled().await;
    realm.family(|family| family.down = true);
    only(&tokens).replace(&current(&tokens)).await.unwrap_err();
    // Whether the process ends in good order or not.
    assert_eq!(
        (realm.on_record(), realm.stored().as_deref()),
        (None, Some("r2"))
    );
    tokens.stop().await;
    let tokens = realm.settled().await;
    assert_eq!(
        (state_of(&tokens), token(&tokens)),
        (CredentialState::Failing, None)
    );
    realm.family(|family| family.down = false);
    realm.seconds(&tokens, 15).await;
    assert_eq!(
        (token(&tokens).as_deref(), realm.on_record().as_deref()),
        (Some("a3"), Some("a3"))
    );
    assert_eq!(realm.reused(), 0);
}

#[tokio::test]
async fn a_refused_token_leaves_the_record_before_another_is_requested() {
    let realm = Realm::new().await;
    let tokens = realm.settled().await;
    realm.server.hold_responses();
    only(&tokens).invalidate(&current(&tokens)).await.unwrap();
    realm.server.wait_for_requests(2).await;
    assert_eq!(
        (realm.on_record(), realm.stored().as_deref()),
        (None, Some("r2"))
    );
    realm.server.release_responses();
}

#[tokio::test]
async fn a_token_refused_between_attempts_leaves_the_record_at_once_and_without_a_request() {
    let realm = Realm::new().await;
    let tokens = realm.settled().await;
    realm
        .server
        .reply(Reply::response(429, "retry-after: 120\r\n", ""));
    only(&tokens).refresh_now().await.unwrap_err();
    only(&tokens).invalidate(&current(&tokens)).await.unwrap();
    eventually("it is off the record", || realm.on_record().is_none()).await;
    assert_eq!(
        (realm.server.count(), realm.stored().as_deref()),
        (2, Some("r2"))
    );
}

#[tokio::test]
async fn a_token_refused_while_its_refresh_fails_leaves_the_record() {
    let realm = Realm::new().await;
    let tokens = realm.settled().await;
    realm.family(|family| family.down = true);
    realm.server.hold_responses();
    realm.clock.advance(Duration::from_secs(70));
    realm.server.wait_for_requests(2).await;
    only(&tokens).invalidate(&current(&tokens)).await.unwrap();
    realm.server.release_responses();
    eventually("it is off the record", || realm.on_record().is_none()).await;
    assert_eq!(realm.stored().as_deref(), Some("r2"));
}

#[tokio::test]
async fn a_token_refused_at_the_very_end_leaves_the_record() {
    let realm = Realm::new().await;
    let tokens = realm.settled().await;
    realm.family(|family| family.down = true);
    realm.server.hold_responses();
    realm.clock.advance(Duration::from_secs(70));
    realm.server.wait_for_requests(2).await;
    only(&tokens).invalidate(&current(&tokens)).await.unwrap();
    let settle = tokio::spawn(async move { tokens.settle().await });
    a_while().await;
    realm.server.release_responses();
    assert!(settle.await.unwrap().is_empty());
    assert_eq!(
        (realm.on_record(), realm.stored().as_deref()),
        (None, Some("r2"))
    );
}

#[tokio::test]
async fn the_last_token_of_a_refused_login_does_not_come_back_with_a_restart() {
    let realm = Realm::new().await;
    let tokens = realm.settled().await;
    realm.family(|family| family.current = 50);
    realm.seconds(&tokens, 70).await;
    assert_eq!(
        (token(&tokens).as_deref(), kind(&tokens).as_deref()),
        (Some("a2"), Some("invalid_grant"))
    );
    only(&tokens).invalidate(&current(&tokens)).await.unwrap();
    eventually("it is off the record", || realm.on_record().is_none()).await;
    let record = realm.store().load("fake").unwrap().unwrap();
    assert!(
        record.refused && record.refresh_token.is_some(),
        "nothing else changes"
    );
    let restarted = realm.settled().await;
    assert_eq!(
        (state_of(&restarted), token(&restarted)),
        (CredentialState::LoginRequired, None)
    );
    assert_eq!(
        (kind(&tokens).as_deref(), realm.server.count()),
        (Some("invalid_grant"), 2)
    );
}

#[tokio::test]
async fn a_newer_token_in_the_record_stays_and_is_adopted() {
    let realm = Realm::new().await;
    let (one, two) = (realm.settled().await, realm.settled().await);
    let seen = current(&one);
    realm
        .server
        .reply(Reply::response(429, "retry-after: 60\r\n", ""));
    only(&one).refresh_now().await.unwrap_err();
    let body = r#"{"access_token":"newer","expires_in":100,"refresh_token":"r3"}"#;
    realm.server.reply(Reply::response(200, "", body));
    only(&two).refresh_now().await.unwrap();
    only(&one).invalidate(&seen).await.unwrap();
    eventually("it is adopted", || token(&one).as_deref() == Some("newer")).await;
    assert_eq!(
        (realm.on_record().as_deref(), realm.stored().as_deref()),
        (Some("newer"), Some("r3"))
    );
    assert_eq!(realm.server.count(), 3);
}

#[tokio::test]
async fn a_second_process_uses_its_token_and_adopts_none_that_was_refused() {
    let realm = Realm::new().await;
    let (one, two) = (realm.settled().await, realm.settled().await);
    realm
        .server
        .reply(Reply::response(429, "retry-after: 120\r\n", ""));
    only(&one).replace(&current(&one)).await.unwrap_err();
    for _ in 0..3 {
        realm.clock.advance(Duration::from_secs(2));
        a_while().await;
    }
    assert_eq!(
        (state_of(&two), token(&two).as_deref()),
        (CredentialState::Ready, Some("a2"))
    );
    assert_eq!(
        (realm.server.count(), only(&two).status().token_requests),
        (2, 0),
        "it has nothing to ask for"
    );
    only(&two).invalidate(&current(&two)).await.unwrap();
    let third = realm.settled().await;
    idle(&only(&two), &realm.clock).await;
    assert_eq!(
        (token(&one), token(&two), token(&third)),
        (None, None, None)
    );
    assert_eq!(
        (realm.on_record(), realm.stored().as_deref()),
        (None, Some("r2"))
    );
}

#[tokio::test]
async fn a_token_that_is_issued_again_stays_in_the_record() {
    let realm = Realm::new().await;
    let body = r#"{"access_token":"same","expires_in":100,"refresh_token":"r2"}"#;
    realm.server.reply(Reply::response(200, "", body));
    let tokens = realm.settled().await;
    only(&tokens).replace(&current(&tokens)).await.unwrap_err();
    realm.clock.advance(Duration::from_secs(2));
    a_while().await;
    assert_eq!(
        (token(&tokens).as_deref(), realm.on_record().as_deref()),
        (Some("same"), Some("same"))
    );
    assert_eq!(token(&realm.settled().await).as_deref(), Some("same"));
    assert_eq!(realm.server.count(), 2);
}
