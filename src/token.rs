//! A token's life: fetched, cached, renewed before it expires, and given up only when it is no longer good.
//!
//! Knows nothing of requests in flight; callers ask a [`Credential`].

pub mod access_token;
mod cache;
pub mod credential;
mod no_token;
mod progress;
mod refresher;
pub mod schedule;
mod status;
pub mod store;

use std::{collections::HashMap, fmt, sync::Arc};

use tokio::task::JoinHandle;

use self::{cache::TokenCache, credential::Credential};
use crate::{
    clock::Clock,
    oauth::provider::{GrantType, Provider},
    telemetry::metrics::Metrics,
};

/// The credentials of all providers. When the last registry that holds a credential is dropped, its refresher ends.
pub struct Tokens {
    running: Vec<Arc<Running>>,
    by_name: HashMap<Arc<str>, usize>,
    clock: Arc<dyn Clock>,
    cache: TokenCache,
}

impl Tokens {
    /// Spawns one refresher per provider on the current tokio runtime; each asks for its first token at once.
    pub fn start(providers: &[Arc<Provider>], clock: Arc<dyn Clock>, metrics: &Metrics) -> Self {
        let cache = TokenCache::new(clock.clone());
        let running = providers.iter().map(|provider| Running::spawn(provider, &clock, &cache, metrics)).collect();
        Self::of(running, clock, cache)
    }

    /// The registry of a new configuration: providers whose settings are the same keep their credential, the token in
    /// hand and the back-off with it; the others start afresh on the current tokio runtime.
    ///
    /// The credentials that are left behind end with this registry.
    pub fn succeed(&self, providers: &[Arc<Provider>], metrics: &Metrics) -> Self {
        let keep = |provider: &Arc<Provider>| {
            let kept = &self.running[*self.by_name.get(&provider.name)?];
            (kept.credential.provider() == provider).then(|| kept.clone())
        };
        let running = providers
            .iter()
            .map(|provider| {
                keep(provider).unwrap_or_else(|| Running::spawn(provider, &self.clock, &self.cache, metrics))
            })
            .collect();
        Self::of(running, self.clock.clone(), self.cache.clone())
    }

    fn of(running: Vec<Arc<Running>>, clock: Arc<dyn Clock>, cache: TokenCache) -> Self {
        let by_name = running.iter().enumerate().map(|(at, running)| (running.credential.name().clone(), at)).collect();
        Self { running, by_name, clock, cache }
    }

    /// The credential of the provider of that name.
    pub fn credential(&self, provider: &str) -> Option<&Arc<Credential>> {
        self.by_name.get(provider).map(|&at| &self.running[at].credential)
    }

    /// All credentials, in the order in which their providers were given.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Credential>> {
        self.running.iter().map(|running| &running.credential)
    }

    /// Ends the refreshers, and waits for the requests in flight: as long as the longest provider's timeout at most.
    pub async fn stop(&self) {
        self.iter().for_each(|credential| credential.stop());
        for credential in self.iter() {
            credential.ended().await;
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A credential with its refresher. Registries share it; requests in flight hold the credential alone, so that a
/// long-lived one does not keep the refresher of a provider that is no longer configured.
struct Running {
    credential: Arc<Credential>,
    /// Absent where there is nothing to refresh.
    refresher: Option<JoinHandle<()>>,
}

impl Running {
    fn spawn(provider: &Arc<Provider>, clock: &Arc<dyn Clock>, cache: &TokenCache, metrics: &Metrics) -> Arc<Self> {
        let metrics = metrics.provider(&provider.name);
        let credential = Arc::new(Credential::new(provider.clone(), clock.clone(), cache.clone(), metrics));
        let refresher = match provider.grant_type {
            GrantType::ClientCredentials => Some(tokio::spawn(refresher::run(credential.clone()))),
            // Without a refresh token there is nothing to ask with.
            GrantType::AuthorizationCode | GrantType::RefreshToken => None,
        };
        Arc::new(Self { credential, refresher })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Not aborted: an answer in flight is worth having, and the request has a bound.
        if self.refresher.as_ref().is_some_and(|refresher| !refresher.is_finished()) {
            self.credential.stop();
        }
    }
}

#[cfg(test)]
mod tests;
