//! Tokens that an upstream refuses.

use super::*;

#[tokio::test]
async fn a_token_refused_while_its_refresh_is_in_flight_causes_no_second_one() {
    let world = World::settled(Reply::Token(100)).await;
    let seen = world.current().unwrap();
    world.server.hold_responses();
    world.clock.advance(Duration::from_secs(70));
    world.server.wait_for_requests(2).await;
    world.credential().invalidate(&seen).await.unwrap();
    world.server.release_responses();
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
            tokio::spawn(async move { credential.replace(&seen).await })
        })
        .collect();
    for client in storm {
        assert!(client.await.unwrap().unwrap().secret != seen.secret);
    }
    assert_eq!(world.count().await, 2);
}

#[tokio::test]
async fn a_refusal_invalidates_that_very_token_and_no_newer_one() {
    let world = World::settled(Reply::Token(3600)).await;
    let seen = world.current().unwrap();
    let newer = world.credential().replace(&seen).await.unwrap();
    let again = world.credential().replace(&seen).await.unwrap();
    assert!(Arc::ptr_eq(&again, &newer));
    assert_eq!(world.count().await, 2);
}

#[tokio::test]
async fn a_refused_token_is_not_used_while_its_successor_is_requested() {
    let world = World::settled(Reply::Token(3600)).await;
    let seen = world.current().unwrap();
    world.server.hold_responses();
    let (credential, token) = (world.credential(), seen.clone());
    let replacement = tokio::spawn(async move { credential.replace(&token).await });
    world.server.wait_for_requests(2).await;
    assert!(world.current().is_none());
    world.server.release_responses();
    assert!(replacement.await.unwrap().unwrap().secret != seen.secret);
}

#[tokio::test]
async fn an_upstream_that_refuses_fresh_tokens_too_gets_one_refresh_a_minute() {
    let world = World::settled(Reply::Token(3600)).await;
    let first = world.current().unwrap();
    let second = world.credential().replace(&first).await.unwrap();
    world.seconds(10).await;
    assert_eq!(
        retry_after(world.credential().replace(&second).await),
        Duration::from_secs(50)
    );
    assert!(
        Arc::ptr_eq(&world.current().unwrap(), &second),
        "the token stays in use"
    );
    assert_eq!(world.count().await, 2);
    world.seconds(50).await;
    let third = world.credential().replace(&second).await.unwrap();
    assert!(third.secret != second.secret);
    assert_eq!(world.count().await, 3);
}

#[tokio::test]
async fn an_upstream_that_accepts_and_refuses_in_turn_gets_three_refreshes_a_minute() {
    let world = World::settled(Reply::Token(3600)).await;
    for _ in 0..3 {
        let token = world.current().unwrap();
        token.mark_accepted();
        world.credential().replace(&token).await.unwrap();
        world.seconds(10).await;
    }
    for _ in 0..10 {
        let token = world.current().unwrap();
        token.mark_accepted();
        let left = retry_after(world.credential().replace(&token).await);
        assert_eq!(left, Duration::from_secs(30));
        assert!(
            Arc::ptr_eq(&world.current().unwrap(), &token),
            "the token stays in use"
        );
    }
    assert_eq!(world.count().await, 4);
    world.seconds(30).await;
    let token = world.current().unwrap();
    world.credential().replace(&token).await.unwrap();
    assert_eq!(world.count().await, 5);
    // The second of the three is ten seconds younger.
    let token = world.current().unwrap();
    token.mark_accepted();
    let left = retry_after(world.credential().replace(&token).await);
    assert_eq!(left, Duration::from_secs(10));
}

#[tokio::test]
async fn a_refused_token_that_is_issued_again_is_not_replayed() {
    let world = World::settled(Reply::response(
        200,
        "",
        r#"{"access_token":"same","expires_in":3600}"#,
    ))
    .await;
    let seen = world.current().unwrap();
    assert!(world.credential().replace(&seen).await.is_err());
    assert_eq!(world.count().await, 2);
}

#[tokio::test]
async fn a_token_refused_during_an_outage_is_invalidated_all_the_same() {
    let world = World::settled(Reply::Token(3600)).await;
    let seen = world.current().unwrap();
    world.server.reply(Reply::Hangup);
    assert!(world.credential().replace(&seen).await.is_err());
    assert!(world.current().is_none());
    assert!(retry_after(world.credential().obtain().await) <= Duration::from_secs(15));
    world.server.reply(Reply::Token(3600));
    world.seconds(15).await;
    assert!(world.credential().obtain().await.is_ok());
}

#[tokio::test]
async fn a_token_invalidated_between_attempts_brings_the_next_one_forward() {
    let world = World::settled(Reply::Token(86_400)).await;
    let seen = world.current().unwrap();
    world.server.reply(Reply::Hangup);
    let _ = world.credential().refresh_now().await;
    // Full jitter: one in two waits is longer than 15 s, once the ceiling has grown to 30 s.
    let next = |world: &World| match world.credential().subscribe().borrow().phase {
        Phase::BackingOff(retry) => retry.at.since(world.clock.now()),
        other => panic!("{other:?}"),
    };
    while next(&world) <= Duration::from_secs(15) {
        world.pass(next(&world)).await;
    }
    let asked = world.count().await;
    world.credential().replace(&seen).await.unwrap_err();
    assert!(next(&world) <= Duration::from_secs(15));
    assert_eq!(world.count().await, asked);
    world.seconds(15).await;
    assert_eq!(world.count().await, asked + 1);
}

#[tokio::test]
async fn a_refusal_without_a_replay_proves_nothing_about_an_accepted_token() {
    let world = World::settled(Reply::Token(3600)).await;
    let first = world.current().unwrap();
    first.mark_accepted();
    world.credential().invalidate(&first).await.unwrap();
    world.seconds(1).await;
    let second = world.current().unwrap();
    second.mark_accepted();
    assert!(world.credential().invalidate(&second).await.is_err());
    assert!(
        Arc::ptr_eq(&world.current().unwrap(), &second),
        "the token stays in use"
    );
    assert_eq!(world.count().await, 2);
    world.seconds(59).await;
    world.credential().invalidate(&second).await.unwrap();
    assert_eq!(world.count().await, 3);
}

#[tokio::test]
async fn a_refusal_with_a_replay_replaces_an_accepted_token_at_once() {
    let world = World::settled(Reply::Token(3600)).await;
    world
        .credential()
        .invalidate(&world.current().unwrap())
        .await
        .unwrap();
    world.seconds(1).await;
    let second = world.current().unwrap();
    second.mark_accepted();
    let third = world.credential().replace(&second).await.unwrap();
    assert!(third.secret != second.secret);
    assert_eq!(world.count().await, 3);
}

#[tokio::test]
async fn an_invalidation_is_carried_out_even_if_its_client_goes_away() {
    let world = World::settled(Reply::Token(3600)).await;
    let (credential, seen) = (world.credential(), world.current().unwrap());
    tokio::select! {
        biased;
        _ = credential.replace(&seen) => panic!("the refresher has not run yet"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(world.count().await, 2);
    assert!(world.current().unwrap().secret != seen.secret);
}

#[tokio::test]
async fn a_refusal_after_the_end_is_an_error_that_no_client_waits_for() {
    let world = World::settled(Reply::Token(3600)).await;
    let seen = world.current().unwrap();
    world.tokens.stop().await;
    retry_after(world.credential().replace(&seen).await);
    assert!(world.credential().invalidate(&seen).await.is_err());
    assert_eq!(world.count().await, 1);
}
