//! A token's life against a real token endpoint on loopback, on a clock that moves when it is told to.

mod invalidation;
mod logins;
mod outage;
mod persistence;
mod reload;
mod rotation;
mod secrecy;
mod shared_store;
mod upstream;
mod vendors;
mod waiting;

use std::{sync::Arc, time::Duration};

use super::{
    Tokens,
    access_token::Token,
    credential::Credential,
    error::TokenError,
    grant::RecordedLogin,
    snapshot::Phase,
    status::CredentialState,
    store::{self, StoreError, StoreLocation},
};
use crate::{
    clock::{Clock, ManualClock},
    oauth::{
        fake::{self, Reply, TokenServer},
        provider::Provider,
        response::Issued,
    },
    telemetry::metrics::Metrics,
};

/// One provider's credential and the endpoint that it asks.
struct World {
    server: TokenServer,
    clock: ManualClock,
    tokens: Tokens,
}

impl World {
    /// A credential whose first attempt is over.
    async fn settled(reply: Reply) -> Self {
        let world = Self::with(TokenServer::start(reply).await, |_| {});
        world.idle().await;
        world
    }

    fn with(server: TokenServer, change: impl FnOnce(&mut Provider)) -> Self {
        let clock = ManualClock::new();
        let mut provider = fake::provider(&server.url());
        change(&mut provider);
        let store = store::open(&StoreLocation::Memory).unwrap();
        let tokens = Tokens::start(
            &[Arc::new(provider)],
            store,
            Arc::new(clock.clone()),
            &Metrics::new(),
        );
        Self {
            server,
            clock,
            tokens,
        }
    }

    fn credential(&self) -> Arc<Credential> {
        self.tokens.credential("fake").unwrap().clone()
    }

    fn current(&self) -> Option<Token> {
        self.credential().current()
    }

    /// Waits until no attempt is under way or due.
    async fn idle(&self) {
        idle(&self.credential(), &self.clock).await;
    }

    /// Moves the clock, and waits until what that set off is over.
    async fn pass(&self, duration: Duration) {
        self.clock.advance(duration);
        self.idle().await;
    }

    async fn seconds(&self, seconds: u64) {
        self.pass(Duration::from_secs(seconds)).await;
    }

    /// Lets everything run that can, and tells how many requests were made by then.
    async fn count(&self) -> usize {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.idle().await;
        assert_eq!(
            self.credential().status().token_requests,
            self.server.count() as u64
        );
        self.server.count()
    }

    /// Waits until `count` clients wait for a token.
    async fn waiting(&self, count: usize) {
        let all = async {
            while self.credential().waiting() < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), all)
            .await
            .expect("the clients do not wait");
    }
}

fn retry_after(outcome: Result<Token, TokenError>) -> Duration {
    match outcome {
        Err(TokenError::Unavailable { retry_after, .. }) => retry_after,
        other => panic!("{other:?}"),
    }
}

/// Logs in as the admin listener does.
async fn log_in(credential: &Credential, issued: Issued) -> Result<RecordedLogin, StoreError> {
    let prepared = credential.prepare_login().await?;
    let issued = Issued {
        requested_at: credential.now(),
        ..issued
    };
    Ok(credential.complete_login(prepared, issued).await)
}

fn state(world: &World) -> CredentialState {
    world.credential().status().state
}

/// Waits until no attempt is under way or due.
async fn idle(credential: &Credential, clock: &ManualClock) {
    let mut snapshots = credential.subscribe();
    let now = clock.now();
    let idle = snapshots.wait_for(|snapshot| {
        !snapshot.refresh_requested
            && match snapshot.phase {
                Phase::Fetching => false,
                Phase::Idle { refresh_at } => refresh_at.is_none_or(|due| due > now),
                Phase::BackingOff(retry) => retry.at > now,
                Phase::LoginRequired { retry_at } => retry_at.is_none_or(|due| due > now),
                Phase::Ended => true,
            }
    });
    tokio::time::timeout(Duration::from_secs(30), idle)
        .await
        .expect("the refresher never rests")
        .unwrap();
}

/// Waits until something is so.
async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let so = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(30), so)
            .await
            .is_ok(),
        "never: {what}"
    );
}
