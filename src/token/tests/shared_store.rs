//! Several processes on one store, and processes that end at the worst instant.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::{rotation::*, *};
use crate::token::{TokenEnvironment, cache::TokenCache, new_credential};

#[tokio::test]
async fn two_processes_never_spend_one_token_twice() {
    let realm = Realm::new().await;
    let (one, two) = (realm.start(), realm.start());
    for round in 1..=20 {
        let newest = format!("a{}", round + 1);
        for tokens in [&one, &two] {
            idle(&only(tokens), &realm.clock).await;
        }
        eventually("both have the newest", || {
            [&one, &two]
                .iter()
                .all(|tokens| token(tokens).as_ref() == Some(&newest))
        })
        .await;
        assert_eq!(
            (realm.server.count(), realm.reused()),
            (round, 0),
            "one request for both"
        );
        // Due for both at once, whatever their jitter.
        realm.clock.advance(Duration::from_secs(70));
        realm.server.wait_for_requests(round + 1).await;
    }
}

#[tokio::test]
async fn a_refused_token_does_not_come_back_from_the_store() {
    let realm = Realm::new().await;
    let (one, two) = (realm.settled().await, realm.settled().await);
    let (seen_by_one, seen_by_two) = (only(&one).current().unwrap(), only(&two).current().unwrap());
    assert_eq!(seen_by_one.secret, seen_by_two.secret);
    assert_eq!(
        only(&one)
            .replace(&seen_by_one)
            .await
            .unwrap()
            .secret
            .expose(),
        "a3"
    );
    assert_eq!(
        only(&two)
            .replace(&seen_by_two)
            .await
            .unwrap()
            .secret
            .expose(),
        "a3",
        "the other's will do"
    );
    assert_eq!((realm.server.count(), realm.reused()), (2, 0));
}

#[tokio::test]
async fn an_operator_gets_a_new_token_though_the_stores_is_good() {
    let realm = Realm::new().await;
    let tokens = realm.settled().await;
    assert_eq!(
        only(&tokens).refresh_now().await.unwrap().secret.expose(),
        "a3"
    );
    assert_eq!(realm.stored().as_deref(), Some("r3"));
}

#[tokio::test]
async fn an_operator_gets_a_new_token_though_the_stored_one_is_still_being_loaded() {
    let realm = Realm::new().await;
    let tokens = realm.settled().await;
    assert_eq!(token(&tokens).as_deref(), Some("a2"));
    assert!(tokens.settle().await.is_empty());
    let tokens = realm.start();
    assert_eq!(
        only(&tokens).refresh_now().await.unwrap().secret.expose(),
        "a3"
    );
    assert_eq!((realm.server.count(), realm.reused()), (2, 0));
}

#[tokio::test]
async fn a_successor_with_other_settings_waits_for_the_response_in_flight() {
    let realm = Realm::new().await;
    realm.server.hold_responses();
    let tokens = realm.start();
    realm.server.wait_for_requests(1).await;
    let mut changed = realm.provider.clone();
    changed.refresh.before = Some(Duration::from_secs(7));
    let store = &tokens.environment.store;
    let next = tokens.reconfigured(&[Arc::new(changed)], store, &Metrics::new());
    drop(tokens);
    realm.server.release_responses();
    idle(&only(&next), &realm.clock).await;
    assert_eq!(
        (
            token(&next).as_deref(),
            realm.server.count(),
            realm.reused()
        ),
        (Some("a2"), 1, 0)
    );
}

#[tokio::test]
async fn an_orderly_end_does_not_wait_for_another_process() {
    let realm = Realm::new().await;
    let theirs = realm.store().try_lock("fake").unwrap().unwrap();
    let tokens = realm.start();
    tokio::task::yield_now().await;
    tokens.settle().await;
    drop(theirs);
    assert_eq!(
        (realm.server.count(), realm.stored().as_deref()),
        (0, Some("r1"))
    );
}

#[tokio::test]
async fn an_orderly_end_waits_for_the_response_in_flight() {
    let realm = Realm::new().await;
    realm.server.hold_responses();
    let tokens = Arc::new(realm.start());
    realm.server.wait_for_requests(1).await;
    let ending = tokens.clone();
    let settle = tokio::spawn(async move { ending.settle().await });
    tokio::task::yield_now().await;
    assert!(!settle.is_finished());
    realm.server.release_responses();
    settle.await.unwrap();
    assert_eq!(realm.stored().as_deref(), Some("r2"));
}

/// Runs for so many steps and is then dropped, wherever it stands.
struct Killed<F> {
    inner: Option<Pin<Box<F>>>,
    steps: usize,
}

impl<F: Future<Output = ()>> Future for Killed<F> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(true);
        };
        let ended = inner.as_mut().poll(context).is_ready();
        self.steps -= 1;
        if ended || self.steps == 0 {
            self.inner = None;
            return Poll::Ready(!ended);
        }
        Poll::Pending
    }
}

/// A login survives the end of its process at any step, except while the server's response is in flight.
#[tokio::test]
async fn a_process_killed_at_any_step_loses_no_login_except_with_the_response_in_flight() {
    let (mut survived, mut in_flight) = (0, 0);
    for steps in 1.. {
        assert!(steps < 500, "it never gets to its end");
        let realm = Realm::new().await;
        let metrics = Metrics::new();
        let provider = Arc::new(realm.provider.clone());
        let clock: Arc<dyn Clock> = Arc::new(realm.clock.clone());
        let environment = TokenEnvironment {
            store: realm.store(),
            cache: TokenCache::new(),
            clock: clock.clone(),
        };
        let (credential, refresher) = new_credential(&provider, &environment, &metrics);
        let process = Killed {
            inner: Some(Box::pin(refresher.run())),
            steps,
        };
        let published = async {
            while credential.current().is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // Told to end, it would go on; it is to be killed.
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            killed = process => killed,
            () = published => unreachable!(),
            () = done(&credential) => false,
        };
        // Whatever a thread of the disk had begun, it finishes; the lock tells.
        eventually("the lock is free", || {
            realm.store().try_lock("fake").unwrap().is_some()
        })
        .await;
        let has_response = metrics.render().contains(r#"outcome="ok""#);
        if has_response {
            assert_eq!(
                realm.stored().as_deref(),
                Some("r2"),
                "killed after {steps} steps, with the response"
            );
        }
        let stored = realm.stored();
        let restarted = realm.settled().await;
        match state_of(&restarted) {
            CredentialState::Ready => survived += 1,
            CredentialState::LoginRequired => {
                assert!(
                    !has_response && stored.as_deref() == Some("r1"),
                    "killed after {steps} steps, a login was lost"
                );
                assert!(
                    realm.family.lock().unwrap().current > 1,
                    "no response was in flight after {steps} steps"
                );
                in_flight += 1;
            }
            other => panic!("killed after {steps} steps: {other:?}"),
        }
        if !ended {
            break;
        }
    }
    assert!(
        survived > 5,
        "{survived} survived, {in_flight} lost with the response"
    );
}

/// The first token is in use and nothing else is going on.
async fn done(credential: &Credential) {
    let mut snapshots = credential.subscribe();
    let _ = snapshots
        .wait_for(|snapshot| matches!(snapshot.phase, Phase::Idle { .. }))
        .await;
}

#[tokio::test]
async fn two_processes_of_different_settings_leave_each_others_tokens_alone() {
    let mut realm = Realm::new().await;
    let one = realm.settled().await;
    realm.provider.scope = Some("another".into());
    let two = realm.settled().await;
    assert_eq!(realm.server.count(), 2, "one each");
    for _ in 0..10 {
        realm.seconds(&one, 2).await;
        idle(&only(&two), &realm.clock).await;
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert_eq!(
        (token(&one).as_deref(), token(&two).as_deref()),
        (Some("a2"), Some("a3"))
    );
    assert_eq!((realm.server.count(), realm.reused()), (2, 0));
    // And both adopt a login.
    realm.family(|family| family.current = 50);
    realm.log_in_beside("r50").await;
    realm.clock.advance(Duration::from_secs(2));
    let is_new =
        |tokens: &Tokens| token(tokens).is_some_and(|token| token != "a2" && token != "a3");
    eventually("both leave the login before", || {
        is_new(&one) && is_new(&two)
    })
    .await;
    assert_eq!(realm.reused(), 0);
}
