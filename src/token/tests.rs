//! A token's life against a real token endpoint on loopback, on a clock that moves when it is told to.

mod discarded;
mod logins;
mod outage;
mod persistence;
mod processes;
mod reload;
mod rotation;
mod secrecy;
mod upstream;
mod waiting;

use std::{sync::Arc, time::Duration};

use super::{
    Tokens,
    credential::{Credential, CredentialState, NoToken, Token},
    progress::Phase,
    store::{self, StoreLocation},
};
use crate::{
    clock::{Clock, ManualClock},
    oauth::{
        fake::{self, Reply, TokenServer},
        provider::Provider,
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

    /// Waits until `count` callers wait for a token.
    async fn waiting(&self, count: usize) {
        let all = async {
            while self.credential().waiting() < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), all)
            .await
            .expect("they do not wait");
    }
}

fn retry_after(outcome: Result<Token, NoToken>) -> Duration {
    match outcome {
        Err(NoToken::Unavailable { retry_after, .. }) => retry_after,
        other => panic!("{other:?}"),
    }
}

fn state(world: &World) -> CredentialState {
    world.credential().status().state
}

/// Waits until no attempt is under way or due.
async fn idle(credential: &Credential, clock: &ManualClock) {
    let mut progress = credential.watch();
    let now = clock.now();
    let idle = progress.wait_for(|progress| {
        !progress.wanted
            && match progress.phase {
                Phase::Fetching => false,
                Phase::Resting { until } => until > now,
                Phase::BackingOff(retry) => retry.at > now,
                Phase::LoginRequired | Phase::Ended => true,
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
