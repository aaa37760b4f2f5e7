//! The life of a token: acquired, cached, refreshed before it expires, and invalidated when an upstream refuses it.
//!
//! This module knows no requests in flight. Its users ask a [`Credential`].
//!
//! ```text
//! Tokens            one credential and one refresher per provider
//! ├─ Credential     what clients use: current, obtain, invalidate, replace, refresh_now
//! │    └─ handle    reads snapshots and the cache, sends commands to the owner
//! └─ Refresher      the task that decides when to attempt, and reports
//!      ├─ owner     changes the state, publishes a snapshot and the cached token
//!      └─ acquirer  makes one attempt: token endpoint, and the grant in memory and in the store
//! ```

pub mod access_token;
mod attempt_failure;
mod cache;
pub mod credential;
pub mod error;
pub mod grant;
mod handle;
mod jitter;
mod owner;
mod refresher;
mod request_counter;
pub mod schedule;
mod snapshot;
pub mod status;
pub mod store;
pub mod stored_login;

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use tokio::task::JoinHandle;

use self::{
    cache::TokenCache, credential::Credential, grant::StoredGrant, refresher::Refresher,
    request_counter::RequestCounter, store::Store,
};
use crate::{clock::Clock, oauth::provider::Provider, telemetry::metrics::Metrics};

/// The time for the store in [`Tokens::settle_timeout`], beside the token requests.
const STORE_ALLOWANCE: Duration = Duration::from_secs(15);

/// The credentials of all providers. A credential's refresher ends with the last registry that holds it.
pub struct Tokens {
    running: Vec<Arc<RunningCredential>>,
    by_name: HashMap<Arc<str>, usize>,
    environment: TokenEnvironment,
    /// Credentials of earlier registries that may still be in a token request.
    ending: Vec<Arc<Credential>>,
}

impl Tokens {
    /// Spawns one refresher per provider on the current tokio runtime.
    ///
    /// Each requests its first token at once, unless `store` holds a usable one.
    pub fn start(
        providers: &[Arc<Provider>],
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Self {
        let environment = TokenEnvironment {
            store,
            clock,
            cache: TokenCache::new(),
        };
        let running = providers
            .iter()
            .map(|provider| RunningCredential::spawn(provider, &environment, metrics))
            .collect();
        Self::new(running, environment, Vec::new())
    }

    /// Creates the registry of a new configuration.
    ///
    /// A provider whose settings did not change keeps its credential, with its token and back-off. The others start
    /// anew on the current tokio runtime, with `store`. Credentials that are left behind end with this registry.
    pub fn reconfigured(
        &self,
        providers: &[Arc<Provider>],
        store: &Arc<dyn Store>,
        metrics: &Metrics,
    ) -> Self {
        let environment = TokenEnvironment {
            store: store.clone(),
            ..self.environment.clone()
        };
        let unchanged = |provider: &Arc<Provider>| {
            let running = &self.running[*self.by_name.get(&provider.name)?];
            (running.credential.provider() == provider).then(|| running.clone())
        };
        let running = providers
            .iter()
            .map(|provider| {
                unchanged(provider)
                    .unwrap_or_else(|| RunningCredential::spawn(provider, &environment, metrics))
            })
            .collect();
        let mut next = Self::new(running, environment, self.ending.clone());
        let is_kept = |credential: &Arc<Credential>| next.has(credential);
        let left: Vec<_> = self.iter().filter(|one| !is_kept(one)).cloned().collect();
        next.ending.extend(left);
        next.ending.retain(|credential| !credential.has_ended());
        next
    }

    fn new(
        running: Vec<Arc<RunningCredential>>,
        environment: TokenEnvironment,
        ending: Vec<Arc<Credential>>,
    ) -> Self {
        let by_name = running
            .iter()
            .enumerate()
            .map(|(index, running)| (running.credential.name().clone(), index))
            .collect();
        Self {
            running,
            by_name,
            environment,
            ending,
        }
    }

    fn has(&self, credential: &Arc<Credential>) -> bool {
        self.credential(credential.name())
            .is_some_and(|own| Arc::ptr_eq(own, credential))
    }

    /// Returns the credential of the provider of that name.
    pub fn credential(&self, provider: &str) -> Option<&Arc<Credential>> {
        self.by_name
            .get(provider)
            .map(|&index| &self.running[index].credential)
    }

    /// Returns all credentials, in the order of their providers.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Credential>> {
        self.running.iter().map(|running| &running.credential)
    }

    /// Returns the providers of all credentials. Their secrets are the ones in use.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.iter().map(|credential| credential.provider())
    }

    /// Ends the refreshers and waits for the requests in flight.
    ///
    /// It takes at most twice the longest provider's timeout, and the time that the store takes.
    pub async fn stop(&self) {
        self.iter().for_each(|credential| credential.stop());
        for credential in self.iter() {
            credential.ended().await;
        }
    }

    /// Ends the refreshers, and waits for responses that may hold a new refresh token.
    ///
    /// Without that wait a login would be lost. Returns the names of the providers whose login is lost all the same, because it could not be written. It takes
    /// at most [`Tokens::settle_timeout`].
    pub async fn settle(&self) -> Vec<Arc<str>> {
        self.iter().for_each(|credential| credential.stop());
        for credential in self.with_grant() {
            credential.ended().await;
        }
        self.with_grant()
            .filter(|credential| credential.is_login_lost())
            .map(|credential| credential.name().clone())
            .collect()
    }

    /// Returns how long [`Tokens::settle`] may take: a token request, its repetition, and the store.
    pub fn settle_timeout(&self) -> Duration {
        let timeouts = self
            .with_grant()
            .map(|credential| credential.provider().token_request.timeout);
        timeouts.max().unwrap_or_default() * 2 + STORE_ALLOWANCE
    }

    /// Returns the credentials whose token requests may bring a new refresh token, those of earlier registries too.
    fn with_grant(&self) -> impl Iterator<Item = &Arc<Credential>> {
        let all = self.iter().chain(&self.ending);
        all.filter(|credential| credential.has_grant())
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The parts that all credentials share, including those of later registries.
#[derive(Clone)]
struct TokenEnvironment {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    cache: TokenCache,
}

/// A credential with its refresher.
///
/// Registries share it. Requests in flight hold the credential alone, so that a long one does not keep the refresher of
/// a provider that is no longer configured.
struct RunningCredential {
    credential: Arc<Credential>,
    refresher: JoinHandle<()>,
}

impl RunningCredential {
    #[expect(
        clippy::disallowed_methods,
        reason = "the handle is kept, and dropping the credential stops its task"
    )]
    fn spawn(
        provider: &Arc<Provider>,
        environment: &TokenEnvironment,
        metrics: &Metrics,
    ) -> Arc<Self> {
        let (credential, refresher) = new_credential(provider, environment, metrics);
        Arc::new(Self {
            credential,
            refresher: tokio::spawn(refresher.run()),
        })
    }
}

impl Drop for RunningCredential {
    fn drop(&mut self) {
        // Not aborted: a response in flight may hold a refresh token, and the request has a timeout.
        if !self.refresher.is_finished() {
            self.credential.stop();
        }
    }
}

/// Creates the credential of `provider`, and the refresher that owns its state.
fn new_credential(
    provider: &Arc<Provider>,
    environment: &TokenEnvironment,
    metrics: &Metrics,
) -> (Arc<Credential>, Refresher) {
    let TokenEnvironment {
        store,
        clock,
        cache,
    } = environment.clone();
    let metrics = metrics.provider(&provider.name);
    let grant = provider
        .grant_type
        .needs_login()
        .then(|| StoredGrant::new(provider.clone(), store, clock.clone()))
        .map(|grant| Arc::new(grant.with_metrics(metrics.clone())));
    let counter = RequestCounter::new(provider.name.clone(), clock.clone(), metrics.clone());

    let (owner, state) = owner::new_state(
        provider.name.clone(),
        clock.clone(),
        cache.new_slot(),
        metrics,
    );
    let refresher = Refresher::new(
        provider.clone(),
        clock.clone(),
        owner,
        grant.clone(),
        counter.clone(),
    );
    let credential = Credential::new(provider.clone(), clock, state, grant, counter);
    (Arc::new(credential), refresher)
}

#[cfg(test)]
mod tests;
