//! A token's life: fetched, cached, renewed before it expires, and given up only when it is no longer good.
//!
//! Knows nothing of requests in flight; callers ask a [`Credential`].

pub mod access_token;
mod cache;
pub mod credential;
pub mod login;
mod no_token;
mod progress;
mod refresher;
pub mod schedule;
mod status;
pub mod store;

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use tokio::task::JoinHandle;

use self::{cache::TokenCache, credential::Credential, login::Login, store::Store};
use crate::{
    clock::Clock,
    oauth::provider::{GrantType, Provider},
    telemetry::metrics::Metrics,
};

/// The credentials of all providers. When the last registry that holds a credential is dropped, its refresher ends.
pub struct Tokens {
    running: Vec<Arc<Running>>,
    by_name: HashMap<Arc<str>, usize>,
    surroundings: Surroundings,
}

/// What all credentials share, those of the registries that follow too.
#[derive(Clone)]
struct Surroundings {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    cache: TokenCache,
}

impl Tokens {
    /// Spawns one refresher per provider on the current tokio runtime; each asks for its first token at once, unless
    /// `store` keeps one that is still good.
    pub fn start(
        providers: &[Arc<Provider>],
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Self {
        let surroundings = Surroundings {
            store,
            cache: TokenCache::new(clock.clone()),
            clock,
        };
        let running = providers
            .iter()
            .map(|provider| Running::spawn(provider, &surroundings, metrics))
            .collect();
        Self::of(running, surroundings)
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
                keep(provider)
                    .unwrap_or_else(|| Running::spawn(provider, &self.surroundings, metrics))
            })
            .collect();
        Self::of(running, self.surroundings.clone())
    }

    fn of(running: Vec<Arc<Running>>, surroundings: Surroundings) -> Self {
        let by_name = running
            .iter()
            .enumerate()
            .map(|(at, running)| (running.credential.name().clone(), at))
            .collect();
        Self {
            running,
            by_name,
            surroundings,
        }
    }

    /// The credential of the provider of that name.
    pub fn credential(&self, provider: &str) -> Option<&Arc<Credential>> {
        self.by_name
            .get(provider)
            .map(|&at| &self.running[at].credential)
    }

    /// All credentials, in the order in which their providers were given.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Credential>> {
        self.running.iter().map(|running| &running.credential)
    }

    /// Ends the refreshers, and waits for the requests in flight: twice the longest provider's timeout at most, and the
    /// time that the store takes.
    pub async fn stop(&self) {
        self.iter().for_each(|credential| credential.stop());
        for credential in self.iter() {
            credential.ended().await;
        }
    }

    /// Ends the refreshers, and waits for those answers alone that may bring a refresh token in the place of one that
    /// is spent: who does not wait for them loses a login. Gives the names of the providers whose login is lost all the
    /// same, since it could not be written.
    ///
    /// It takes [`Tokens::longest_settling`] at most.
    pub async fn settle(&self) -> Vec<Arc<str>> {
        self.iter().for_each(|credential| credential.stop());
        for credential in self.with_login() {
            credential.ended().await;
        }
        self.with_login()
            .filter(|credential| credential.is_lost())
            .map(|credential| credential.name().clone())
            .collect()
    }

    /// How long an answer may take that is worth waiting for: a request and its repetition, and the store's work.
    pub fn longest_settling(&self) -> Duration {
        const STORE: Duration = Duration::from_secs(15);
        let timeouts = self
            .with_login()
            .map(|credential| credential.provider().token_request.timeout);
        timeouts.max().unwrap_or_default() * 2 + STORE
    }

    fn with_login(&self) -> impl Iterator<Item = &Arc<Credential>> {
        self.iter()
            .filter(|credential| credential.login().is_some())
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
    refresher: JoinHandle<()>,
}

impl Running {
    fn spawn(
        provider: &Arc<Provider>,
        surroundings: &Surroundings,
        metrics: &Metrics,
    ) -> Arc<Self> {
        let credential = Self::credential(provider, surroundings, metrics);
        let refresher = tokio::spawn(refresher::run(credential.clone()));
        Arc::new(Self {
            credential,
            refresher,
        })
    }

    fn credential(
        provider: &Arc<Provider>,
        surroundings: &Surroundings,
        metrics: &Metrics,
    ) -> Arc<Credential> {
        let Surroundings {
            store,
            clock,
            cache,
        } = surroundings.clone();
        let metrics = metrics.provider(&provider.name);
        let login = match provider.grant_type {
            GrantType::ClientCredentials => None,
            GrantType::AuthorizationCode | GrantType::RefreshToken => {
                Some(Login::new(provider.clone(), store, clock.clone()))
            }
        };
        Arc::new(Credential::new(
            provider.clone(),
            clock,
            cache,
            metrics,
            login,
        ))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Not aborted: an answer in flight is worth having, and the request has a bound.
        if !self.refresher.is_finished() {
            self.credential.stop();
        }
    }
}

#[cfg(test)]
mod tests;
