//! Logins by a device code, over real sockets and with a store in memory.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use super::*;
use crate::{
    clock::ManualClock,
    oauth::{
        device,
        fake::{self, Reply, TokenServer},
        provider::GrantType,
    },
    token::{
        grant::StoredGrant,
        store::{self, StoreLocation},
    },
};

const STARTED: &str = r#"{"device_code":"dev1ce","user_code":"U","verification_uri":"https://as.example/device","expires_in":60,"interval":5}"#;

/// A server that has `replies` to polls, the last one for ever.
async fn server(replies: &'static [(u16, &'static str)]) -> TokenServer {
    let polls = AtomicU32::new(0);
    let reply = Reply::by(move |request| {
        if request.starts_with("POST /device") {
            return Reply::response(200, "", STARTED);
        }
        let poll = polls.fetch_add(1, Ordering::Relaxed) as usize;
        let (status, body) = replies[poll.min(replies.len() - 1)];
        Reply::response(status, "", body)
    });
    TokenServer::start(reply).await
}

async fn log_in(server: &TokenServer) -> (Result<(), DeviceLoginError>, bool) {
    let mut provider = fake::provider(&server.url());
    provider.grant_type = GrantType::DeviceCode;
    let address = server.url().replace("/token", "/device");
    provider.device_authorization_endpoint = Some(address.parse().unwrap());
    let provider = Arc::new(provider);
    let manual = ManualClock::new();
    let clock: Arc<dyn Clock> = Arc::new(manual.clone());
    let store = store::open(&StoreLocation::Memory).unwrap();
    let grant = StoredGrant::new(provider.clone(), store, clock.clone());
    let endpoint = TokenEndpoint::new(provider, clock.clone());
    let device = device::authorize(&endpoint).await.unwrap();
    let login = Box::pin(confirm(
        TokenReceiver::Store(&grant),
        &endpoint,
        clock,
        device,
    ));
    let time = async {
        loop {
            tokio::time::sleep(Duration::from_millis(2)).await;
            manual.advance(Duration::from_secs(5));
        }
    };
    let result = tokio::select! {
        result = login => result,
        () = time => unreachable!(),
    };
    (result, grant.has_refresh_token())
}

const PENDING: (u16, &str) = (400, r#"{"error":"authorization_pending"}"#);

#[tokio::test]
async fn a_confirmed_code_is_a_stored_login() {
    let server = server(&[
        PENDING,
        PENDING,
        (200, r#"{"access_token":"a","refresh_token":"r"}"#),
    ])
    .await;
    let (result, is_stored) = log_in(&server).await;
    assert!(result.is_ok(), "{result:?}");
    assert!(is_stored);
    assert_eq!(server.count(), 4);
}

#[tokio::test]
async fn a_declined_code_stores_nothing() {
    const DECLINED: &str = r#"{"error":"access_denied","error_description":"not today"}"#;
    let server = server(&[PENDING, (400, DECLINED)]).await;
    let (result, is_stored) = log_in(&server).await;
    let ended = result.unwrap_err();
    assert!(matches!(
        ended,
        DeviceLoginError::Ended(PollError::Declined { .. })
    ));
    let description = ended.description().map(ErrorDescription::as_str);
    assert_eq!(description, Some("not today"));
    assert!(!is_stored);
    assert_eq!(server.count(), 3);
}

#[tokio::test]
async fn a_code_that_is_never_confirmed_expires() {
    let server = server(&[PENDING]).await;
    let (result, is_stored) = log_in(&server).await;
    let ended = result.unwrap_err();
    assert!(matches!(ended, DeviceLoginError::Ended(PollError::Expired)));
    assert!(!is_stored);
    assert!((2..=13).contains(&server.count()), "{}", server.count());
}
