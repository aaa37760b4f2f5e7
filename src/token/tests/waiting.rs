//! Clients that wait for a token, and clients that need not.

use super::*;

async fn crowd(
    world: &World,
    size: usize,
) -> Vec<tokio::task::JoinHandle<Result<Token, TokenError>>> {
    let clients = (0..size)
        .map(|_| {
            let credential = world.credential();
            tokio::spawn(async move { credential.obtain().await })
        })
        .collect();
    world.waiting(size).await;
    clients
}

#[tokio::test]
async fn five_hundred_clients_make_one_request_even_if_half_of_them_go_away() {
    let server = TokenServer::start(Reply::Token(3600)).await;
    server.hold_responses();
    let world = World::with(server, |_| {});
    let mut clients = crowd(&world, 500).await;
    world.server.wait_for_requests(1).await;
    for client in clients.drain(..250) {
        client.abort();
        assert!(client.await.unwrap_err().is_cancelled());
    }
    world.server.release_responses();
    for client in clients {
        let token = client.await.unwrap().unwrap();
        assert!(Arc::ptr_eq(&token, &world.current().unwrap()));
    }
    assert_eq!(world.count().await, 1);
}

#[tokio::test]
async fn a_failure_is_shared_by_all_waiting_clients() {
    let server =
        TokenServer::start(Reply::response(400, "", r#"{"error":"invalid_client"}"#)).await;
    server.hold_responses();
    let world = World::with(server, |_| {});
    let clients = crowd(&world, 100).await;
    world.server.release_responses();
    for client in clients {
        let told = client.await.unwrap().unwrap_err();
        assert!(matches!(told, TokenError::Refused { error, .. } if &*error == "invalid_client"));
    }
    assert_eq!(world.count().await, 1);
}

#[tokio::test]
async fn no_client_waits_longer_than_ten_seconds_and_the_request_goes_on() {
    let server = TokenServer::start(Reply::Token(3600)).await;
    server.hold_responses();
    let world = World::with(server, |_| {});
    let mut clients = crowd(&world, 1).await;
    world.server.wait_for_requests(1).await;
    world.clock.advance(Duration::from_secs(9));
    tokio::task::yield_now().await;
    assert!(!clients[0].is_finished());
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(
        retry_after(clients.remove(0).await.unwrap()),
        Duration::from_secs(1)
    );
    world.server.release_responses();
    assert_eq!(world.count().await, 1);
    assert!(world.current().is_some());
}

#[tokio::test]
async fn a_refresh_makes_no_client_wait() {
    let world = World::settled(Reply::Token(100)).await;
    let old = world.current().unwrap();
    world.server.hold_responses();
    world.clock.advance(Duration::from_secs(70));
    world.server.wait_for_requests(2).await;
    // The response is held back, so this returns only because it does not wait for it.
    assert!(Arc::ptr_eq(
        &world.credential().obtain().await.unwrap(),
        &old
    ));
    world.server.release_responses();
    world.idle().await;
    assert!(!Arc::ptr_eq(&world.current().unwrap(), &old));
    assert_eq!(world.count().await, 2);
}

#[tokio::test]
async fn short_lived_tokens_cost_one_request_per_refresh() {
    let world = World::settled(Reply::Token(2)).await;
    for requests in 2..12 {
        world.clock.advance(Duration::from_secs(1));
        world.server.wait_for_requests(requests).await;
        assert_eq!(world.count().await, requests);
        assert!(world.current().is_some());
    }
}

#[tokio::test]
async fn a_token_that_expired_while_the_machine_slept_is_not_sent() {
    let world = World::settled(Reply::Token(3600)).await;
    let old = world.current().unwrap();
    world.clock.advance(Duration::from_secs(8 * 3600));
    assert!(world.current().is_none());
    let fresh = world.credential().obtain().await.unwrap();
    assert!(fresh.secret != old.secret);
    assert_eq!(world.count().await, 2);
}

#[tokio::test]
async fn a_lifetime_is_counted_from_before_the_request() {
    let server = TokenServer::start(Reply::Token(100)).await;
    server.hold_responses();
    let world = World::with(server, |_| {});
    world.server.wait_for_requests(1).await;
    let asked_at = world.clock.now();
    world.clock.advance(Duration::from_secs(8));
    world.server.release_responses();
    world.idle().await;
    let token = world.current().unwrap();
    assert_eq!(token.expires_at, Some(asked_at + Duration::from_secs(100)));
    assert_eq!(token.usable_until, Some(asked_at + Duration::from_secs(90)));
}

#[tokio::test]
async fn a_token_that_arrives_expired_is_a_failure_and_not_requested_again_without_a_pause() {
    let server = TokenServer::start(Reply::Token(5)).await;
    server.hold_responses();
    let world = World::with(server, |_| {});
    world.server.wait_for_requests(1).await;
    world.clock.advance(Duration::from_secs(5));
    world.server.release_responses();
    world.idle().await;
    assert_eq!(state(&world), CredentialState::Failing);
    assert_eq!(world.count().await, 1);
}

#[test]
fn clients_may_wait_on_the_runtimes_of_other_threads() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    runtime().block_on(async {
        let server = TokenServer::start(Reply::Token(3600)).await;
        server.hold_responses();
        let world = World::with(server, |_| {});
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let credential = world.credential();
                std::thread::spawn(move || runtime().block_on(credential.obtain()))
            })
            .collect();
        world.waiting(4).await;
        world.server.release_responses();
        world.idle().await;
        for client in clients {
            assert!(client.join().unwrap().is_ok());
        }
        assert_eq!(world.count().await, 1);
    });
}
