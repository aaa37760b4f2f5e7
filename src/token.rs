//! A token's life: fetched, cached, renewed before it expires, and given up only when it is no longer good.
//!
//! Knows nothing of requests in flight; callers ask a [`Credential`](credential::Credential).

pub mod access_token;
pub mod credential;
pub mod store;

use std::sync::Arc;

use crate::{clock::Clock, oauth::provider::Provider, telemetry::metrics::Metrics};
use credential::Credential;

/// All credentials.
#[derive(Debug)]
pub struct Tokens(Vec<Arc<Credential>>);

impl Tokens {
    /// One credential a provider.
    pub fn start(providers: &[Arc<Provider>], clock: Arc<dyn Clock>, _: &Metrics) -> Self {
        let all: Vec<_> =
            providers.iter().map(|provider| Arc::new(Credential::new(provider.clone(), clock.clone()))).collect();
        for credential in all.clone() {
            tokio::spawn(async move { credential.refresh_now().await });
        }
        Self(all)
    }

    /// The credential of `provider`.
    pub fn credential(&self, provider: &str) -> Option<&Arc<Credential>> {
        self.iter().find(|credential| **credential.name() == *provider)
    }

    /// In the order given.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Credential>> {
        self.0.iter()
    }
}
