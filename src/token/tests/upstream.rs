//! Tokens that an upstream refuses.

use super::*;

#[tokio::test]
async fn a_token_refused_while_its_renewal_is_on_the_way_causes_no_second_one() {
    let world = World::settled(Reply::Token(100)).await;
    let seen = world.current().unwrap();
    world.server.hold();
    world.clock.advance(Duration::from_secs(70));
    world.server.asked(2).await;
    world.credential().discard(&seen).unwrap();
    world.server.let_go();
    world.idle().await;
    assert!(world.current().is_some());
    assert_eq!(world.count().await, 2);
}

#[tokio::test]
async fn a_storm_of_refusals_makes_one_request() {
    let world = World::settled(Reply::Token(3600)).await;
    let seen = world.current().unwrap();
    let storm: Vec<_> = (0..100)
        .map(|_| {
            let (credential, seen) = (world.credential(), seen.clone());
            tokio::spawn(async move { credential.renew(&seen).await })
        })
        .collect();
    for caller in storm {
        assert!(caller.await.unwrap().unwrap().secret != seen.secret);
    }
    assert_eq!(world.count().await, 2);
}

#[tokio::test]
async fn a_refusal_discards_that_very_token_and_no_newer_one() {
    let world = World::settled(Reply::Token(3600)).await;
    let seen = world.current().unwrap();
    let newer = world.credential().renew(&seen).await.unwrap();
    let again = world.credential().renew(&seen).await.unwrap();
    assert!(Arc::ptr_eq(&again, &newer));
    assert_eq!(world.count().await, 2);
}

#[tokio::test]
async fn a_refused_token_is_given_to_nobody_while_its_successor_is_fetched() {
    let world = World::settled(Reply::Token(3600)).await;
    let seen = world.current().unwrap();
    world.server.hold();
    let (credential, token) = (world.credential(), seen.clone());
    let renewal = tokio::spawn(async move { credential.renew(&token).await });
    world.server.asked(2).await;
    assert!(world.current().is_none());
    world.server.let_go();
    assert!(renewal.await.unwrap().unwrap().secret != seen.secret);
}

#[tokio::test]
async fn an_upstream_that_refuses_fresh_tokens_too_gets_one_renewal_a_minute() {
    let world = World::settled(Reply::Token(3600)).await;
    let first = world.current().unwrap();
    let second = world.credential().renew(&first).await.unwrap();
    world.seconds(10).await;
    assert_eq!(
        retry_after(world.credential().renew(&second).await),
        Duration::from_secs(50)
    );
    assert!(
        Arc::ptr_eq(&world.current().unwrap(), &second),
        "the token stays in use"
    );
    assert_eq!(world.count().await, 2);
    world.seconds(50).await;
    let third = world.credential().renew(&second).await.unwrap();
    assert!(third.secret != second.secret);
    assert_eq!(world.count().await, 3);
}

#[tokio::test]
async fn a_server_that_issues_the_refused_token_again_is_not_believed() {
    let world = World::settled(Reply::answer(
        200,
        "",
        r#"{"access_token":"same","expires_in":3600}"#,
    ))
    .await;
    let seen = world.current().unwrap();
    assert!(world.credential().renew(&seen).await.is_err());
    assert_eq!(world.count().await, 2);
}

#[tokio::test]
async fn a_token_that_is_refused_during_an_outage_is_discarded_all_the_same() {
    let world = World::settled(Reply::Token(3600)).await;
    let seen = world.current().unwrap();
    world.server.reply(Reply::Hangup);
    assert!(world.credential().renew(&seen).await.is_err());
    assert!(world.current().is_none());
    assert!(retry_after(world.credential().obtain().await) <= Duration::from_secs(15));
    world.server.reply(Reply::Token(3600));
    world.seconds(15).await;
    assert!(world.credential().obtain().await.is_ok());
}

#[tokio::test]
async fn a_token_that_is_discarded_between_attempts_brings_the_next_one_forward() {
    let world = World::settled(Reply::Token(86_400)).await;
    let seen = world.current().unwrap();
    world.server.reply(Reply::Hangup);
    let _ = world.credential().refresh_now().await;
    // Full jitter: one in two waits is longer than 15 s, once the ceiling has grown to 30 s.
    let next = |world: &World| match world.credential().watch().borrow().phase {
        Phase::BackingOff(retry) => retry.at.since(world.clock.now()),
        other => panic!("{other:?}"),
    };
    while next(&world) <= Duration::from_secs(15) {
        world.pass(next(&world)).await;
    }
    let asked = world.count().await;
    world.credential().renew(&seen).await.unwrap_err();
    assert!(next(&world) <= Duration::from_secs(15));
    assert_eq!(world.count().await, asked);
    world.seconds(15).await;
    assert_eq!(world.count().await, asked + 1);
}

#[tokio::test]
async fn a_refusal_that_is_not_replayed_proves_nothing_about_a_token_that_was_accepted() {
    let world = World::settled(Reply::Token(3600)).await;
    let first = world.current().unwrap();
    first.mark_accepted();
    world.credential().discard(&first).unwrap();
    world.seconds(1).await;
    let second = world.current().unwrap();
    second.mark_accepted();
    assert!(world.credential().discard(&second).is_err());
    assert!(
        Arc::ptr_eq(&world.current().unwrap(), &second),
        "the token stays in use"
    );
    assert_eq!(world.count().await, 2);
    world.seconds(59).await;
    world.credential().discard(&second).unwrap();
    assert_eq!(world.count().await, 3);
}

#[tokio::test]
async fn a_refusal_that_is_replayed_renews_a_token_that_was_accepted_at_once() {
    let world = World::settled(Reply::Token(3600)).await;
    world
        .credential()
        .discard(&world.current().unwrap())
        .unwrap();
    world.seconds(1).await;
    let second = world.current().unwrap();
    second.mark_accepted();
    let third = world.credential().renew(&second).await.unwrap();
    assert!(third.secret != second.secret);
    assert_eq!(world.count().await, 3);
}
