//! The secrets whose change makes a new attempt worthwhile.

use std::{
    future::{pending, poll_fn},
    sync::Arc,
    task::Poll,
};

use tokio::sync::watch;

use crate::{
    oauth::provider::Provider,
    secret::{LiveSecret, Secret},
};

/// The secrets of one provider that may change.
pub(super) struct WatchedSecrets {
    /// All but the refresh token: of the client, its account, its requests, its certificate and its proxy.
    others: Vec<watch::Receiver<Arc<Secret>>>,
    refresh_token: Option<watch::Receiver<Arc<Secret>>>,
}

impl WatchedSecrets {
    /// Subscribes to the secrets of `provider`.
    pub(super) fn new(provider: &Provider) -> Self {
        let refresh_token = provider.refresh_token.as_ref();
        let is_other = |secret: &&Arc<LiveSecret>| {
            secret.path().is_some() && !refresh_token.is_some_and(|one| Arc::ptr_eq(one, secret))
        };
        let others = provider.live_secrets().into_iter().filter(is_other);
        Self {
            others: others.map(|secret| secret.subscribe()).collect(),
            refresh_token: refresh_token.map(|secret| secret.subscribe()),
        }
    }

    /// Marks the current values as seen: the request that follows is made with them.
    pub(super) fn mark_unchanged(&mut self) {
        for secret in self.others.iter_mut().chain(&mut self.refresh_token) {
            secret.mark_unchanged();
        }
    }

    /// Waits for a change that matters.
    ///
    /// The configured refresh token always matters. The others matter after a failure that needs an operator.
    pub(super) async fn changed(&mut self, needs_operator: bool) {
        tokio::select! {
            () = any_changed(&mut self.others), if needs_operator => {}
            () = any_changed(self.refresh_token.as_mut_slice()) => {}
        }
    }
}

/// Waits for one of the secrets to change, forever without one that could.
async fn any_changed(secrets: &mut [watch::Receiver<Arc<Secret>>]) {
    let changes = secrets.iter_mut().map(|secret| Box::pin(changed(secret)));
    let mut changes: Vec<_> = changes.collect();
    poll_fn(|context| {
        let is_changed = changes
            .iter_mut()
            .any(|change| change.as_mut().poll(context).is_ready());
        match is_changed {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

async fn changed(secret: &mut watch::Receiver<Arc<Secret>>) {
    if secret.changed().await.is_err() {
        pending::<()>().await;
    }
}
