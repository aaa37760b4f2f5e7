//! The secrets whose change makes a new attempt worth while.

use std::{future, sync::Arc};

use tokio::sync::watch;

use crate::{oauth::provider::Provider, secret::Secret};

/// The secrets of one provider, those that may change among them.
pub(super) struct Secrets {
    client: Option<watch::Receiver<Arc<Secret>>>,
    password: Option<watch::Receiver<Arc<Secret>>>,
    refresh_token: Option<watch::Receiver<Arc<Secret>>>,
}

impl Secrets {
    pub(super) fn of(provider: &Provider) -> Self {
        Self {
            client: provider
                .client_secret
                .as_ref()
                .map(|secret| secret.subscribe()),
            password: provider
                .sign_in
                .as_ref()
                .map(|sign_in| sign_in.password.subscribe()),
            refresh_token: provider
                .refresh_token
                .as_ref()
                .map(|secret| secret.subscribe()),
        }
    }

    /// A change from here on is news; these very values are what the request will be made with.
    pub(super) fn mark_unchanged(&mut self) {
        for secret in [
            &mut self.client,
            &mut self.password,
            &mut self.refresh_token,
        ]
        .into_iter()
        .flatten()
        {
            secret.mark_unchanged();
        }
    }

    /// Waits for a change that matters: of the configured refresh token always, of what the client or its account is
    /// known by where that was `refused`.
    pub(super) async fn changed(&mut self, refused: bool) {
        tokio::select! {
            () = changed(&mut self.client), if refused => {}
            () = changed(&mut self.password), if refused => {}
            () = changed(&mut self.refresh_token) => {}
        }
    }
}

/// Waits for a secret to change; for ever where there is none that could.
async fn changed(secret: &mut Option<watch::Receiver<Arc<Secret>>>) {
    if let Some(secret) = secret
        && secret.changed().await.is_ok()
    {
        return;
    }
    future::pending::<()>().await;
}
