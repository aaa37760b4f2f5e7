//! The secrets whose change makes a new attempt worthwhile.

use std::{future, sync::Arc};

use tokio::sync::watch;

use crate::{oauth::provider::Provider, secret::Secret};

/// The secrets of one provider that may change.
pub(super) struct WatchedSecrets {
    client: Option<watch::Receiver<Arc<Secret>>>,
    account: Option<watch::Receiver<Arc<Secret>>>,
    password: Option<watch::Receiver<Arc<Secret>>>,
    refresh_token: Option<watch::Receiver<Arc<Secret>>>,
}

impl WatchedSecrets {
    /// Subscribes to the secrets of `provider`.
    pub(super) fn new(provider: &Provider) -> Self {
        Self {
            client: provider
                .client_secret
                .as_ref()
                .map(|secret| secret.subscribe()),
            account: provider.password.as_ref().map(|secret| secret.subscribe()),
            password: provider
                .sign_in
                .as_ref()
                .map(|sign_in| &sign_in.password)
                .or(provider.password.as_ref())
                .map(|secret| secret.subscribe()),
            refresh_token: provider
                .refresh_token
                .as_ref()
                .map(|secret| secret.subscribe()),
        }
    }

    /// Marks the current values as seen: the request that follows is made with them.
    pub(super) fn mark_unchanged(&mut self) {
        for secret in [
            &mut self.client,
            &mut self.account,
            &mut self.password,
            &mut self.refresh_token,
        ]
        .into_iter()
        .flatten()
        {
            secret.mark_unchanged();
        }
    }

    /// Waits for a change that matters.
    ///
    /// The configured refresh token always matters. The client secret and the password matter after a failure that
    /// needs an operator.
    pub(super) async fn changed(&mut self, needs_operator: bool) {
        tokio::select! {
            () = changed(&mut self.client), if needs_operator => {}
            () = changed(&mut self.account), if needs_operator => {}
            () = changed(&mut self.password), if needs_operator => {}
            () = changed(&mut self.refresh_token) => {}
        }
    }
}

/// Waits for a secret to change, forever without one that could.
async fn changed(secret: &mut Option<watch::Receiver<Arc<Secret>>>) {
    if let Some(secret) = secret
        && secret.changed().await.is_ok()
    {
        return;
    }
    future::pending::<()>().await;
}
