//! What the refresher does with its credential.

use std::sync::{Arc, atomic::Ordering};

use tokio::sync::watch;

use super::{Credential, Token};
use crate::{
    clock::{Clock, Moment},
    secret::Secret,
    telemetry::metrics::ProviderMetrics,
    token::{
        login::Login,
        progress::{Failure, Phase, Progress},
        schedule::Retry,
        store::StoreError,
    },
};

/// What there was when an attempt began.
pub(in crate::token) struct Begun {
    /// The token in hand.
    pub(in crate::token) in_hand: Option<Token>,
    /// The token that an upstream refused last.
    pub(in crate::token) discarded: Option<Secret>,
    /// Whether somebody wants another token than the one in hand.
    pub(in crate::token) wanted: bool,
}

impl Credential {
    pub(in crate::token) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// How many wait for an outcome: all that watch, but for the refresher.
    #[cfg(test)]
    pub(in crate::token) fn waiting(&self) -> usize {
        self.progress.receiver_count().saturating_sub(1)
    }

    pub(in crate::token) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(in crate::token) fn metrics(&self) -> &ProviderMetrics {
        &self.metrics
    }

    /// The login that tokens are had with; absent where the client's own credentials are enough.
    pub(in crate::token) fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    pub(in crate::token) fn begin(&self) -> Begun {
        let mut begun = Begun {
            in_hand: None,
            discarded: None,
            wanted: false,
        };
        self.progress.send_modify(|progress| {
            begun.wanted = progress.begin();
            begun.discarded.clone_from(&progress.discarded);
            begun.in_hand = self.current();
        });
        begun
    }

    /// A request is about to be made.
    pub(in crate::token) fn count_request(&self) {
        self.progress.send_modify(|progress| progress.requests += 1);
    }

    /// Puts `token`, which was issued now, in the place of the one in hand; its renewal is due at `until`.
    pub(in crate::token) fn publish(&self, token: Token, until: Moment) {
        self.put(token, until, true);
    }

    /// The same with one that was issued earlier, unless it was discarded meanwhile: then another is wanted.
    pub(in crate::token) fn take_up(&self, token: Token) {
        let until = token.refresh_at;
        self.put(token, until, false);
    }

    fn put(&self, token: Token, until: Moment, is_new: bool) {
        self.metrics.set_login_required(false);
        self.progress.send_modify(|progress| {
            if progress.discarded.as_ref() == Some(&token.secret) {
                if !is_new {
                    progress.wanted = true;
                    return;
                }
                // The authorization server stands by it: it is as good on record as it is in hand.
                progress.discarded = None;
            }
            self.metrics.set_expiry(Some(token.expires_at_wall));
            self.cache.insert(self.key, token);
            progress.succeed(until);
        });
    }

    /// The token in hand is good enough. Where it was discarded meanwhile, another is wanted.
    pub(in crate::token) fn keep(&self) {
        self.metrics.set_login_required(false);
        self.progress.send_modify(|progress| match self.current() {
            Some(token) => progress.succeed(token.refresh_at),
            None => progress.wanted = true,
        });
    }

    pub(in crate::token) fn fail(&self, failure: Failure, retry: Retry) {
        self.metrics.set_login_required(false);
        self.progress
            .send_modify(|progress| progress.fail(failure, retry));
    }

    /// Nothing can be asked for before there is a login. The token in hand stays until it ends.
    pub(in crate::token) fn require_login(&self, failure: Option<Failure>) {
        self.metrics.set_login_required(true);
        self.progress
            .send_modify(|progress| progress.require_login(failure));
    }

    /// Gives up the token in hand.
    pub(in crate::token) fn forget(&self) {
        self.metrics.set_expiry(None);
        self.progress.send_modify(|_| self.cache.remove(self.key));
    }

    /// Somebody needs an attempt now.
    pub(in crate::token) fn want(&self) {
        self.progress.send_modify(|progress| progress.wanted = true);
    }

    /// Says what is wrong although there is a token, or that it is right again.
    pub(in crate::token) fn note(&self, failure: Option<Failure>) {
        self.progress
            .send_modify(|progress| progress.failure = failure);
    }

    /// What is in force is not in the store: were the process to end now, the login would be lost.
    pub(in crate::token) fn unsaved(&self, error: &StoreError) {
        tracing::error!(
            provider = %self.name(),
            %error,
            "store.unsaved: the new refresh token is in memory alone, and is lost if the process ends before it can be written"
        );
        self.note(Some(Failure::of_store(error, self.clock.wall())));
    }

    /// The login ends with the process, since it could not be written.
    pub(in crate::token) fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    /// Whether the login was lost at the end.
    pub(in crate::token) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Asks the refresher to end, after the request in flight if there is one.
    pub(in crate::token) fn stop(&self) {
        self.progress
            .send_modify(|progress| progress.stopping = true);
    }

    /// The refresher is gone: nobody is to wait for it.
    pub(in crate::token) fn end(&self) {
        self.progress
            .send_modify(|progress| progress.phase = Phase::Ended);
    }

    pub(in crate::token) async fn ended(&self) {
        // The sender is ours, so this cannot fail.
        let _ = self
            .progress
            .subscribe()
            .wait_for(|progress| progress.phase == Phase::Ended)
            .await;
    }
}
