//! The single owner of a credential's state.
//!
//! The refresher holds the [`StateOwner`]: it alone changes the state, and publishes an immutable [`Snapshot`] after
//! every change. All others hold a [`StateHandle`]: they read snapshots and send commands. So an invalidated token and
//! one that is just being published cannot cross.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    access_token::Token,
    attempt_failure::AttemptFailure,
    cache::TokenSlot,
    error::TokenError,
    handle::{StateCommand, StateHandle},
    schedule::Retry,
    snapshot::{AttemptStart, Availability, Phase, Publication, ReplayPlan, Snapshot},
    store::StoreError,
};
use crate::{
    clock::{BootInstant, Clock},
    telemetry::metrics::ProviderMetrics,
};

/// Creates the state of a credential: its owner, and a handle for readers.
pub(super) fn new_state(
    provider: Arc<str>,
    clock: Arc<dyn Clock>,
    slot: TokenSlot,
    metrics: Arc<ProviderMetrics>,
) -> (StateOwner, StateHandle) {
    let snapshot = Snapshot::new();
    let (publisher, snapshots) = watch::channel(Arc::new(snapshot.clone()));
    let (sender, commands) = mpsc::unbounded_channel();
    let (slot, stop) = (Arc::new(slot), CancellationToken::new());
    let handle = StateHandle {
        slot: slot.clone(),
        snapshots,
        commands: sender,
        stop: stop.clone(),
        #[cfg(test)]
        publisher: publisher.clone(),
    };
    let owner = StateOwner {
        provider,
        clock,
        snapshot,
        publisher,
        slot,
        metrics,
        commands,
        stop,
    };
    (owner, handle)
}

/// The write side of a credential's state. Dropping it ends the credential.
pub(super) struct StateOwner {
    provider: Arc<str>,
    clock: Arc<dyn Clock>,
    snapshot: Snapshot,
    publisher: watch::Sender<Arc<Snapshot>>,
    slot: Arc<TokenSlot>,
    metrics: Arc<ProviderMetrics>,
    commands: mpsc::UnboundedReceiver<StateCommand>,
    stop: CancellationToken,
}

impl StateOwner {
    /// Returns the state.
    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Returns the signal that asks the refresher to end.
    pub(super) fn stop_signal(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Returns the current token, if it may be sent now.
    pub(super) fn current(&self) -> Option<Token> {
        self.snapshot.usable_token(self.clock.now()).cloned()
    }

    /// Runs `work` to its end. Commands are handled meanwhile.
    pub(super) async fn run_while<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                () = self.handle_next() => {}
                output = &mut work => return output,
            }
        }
    }

    /// Waits for the next command or for the stop signal, and handles it. Cancel-safe.
    pub(super) async fn handle_next(&mut self) {
        tokio::select! {
            biased;
            () = self.stop.cancelled(), if !self.snapshot.stopping => {
                self.snapshot.stop();
                self.publish_snapshot();
            }
            Some(command) = self.commands.recv() => self.handle(command),
            else => std::future::pending().await,
        }
    }

    /// Begins an attempt.
    pub(super) fn begin(&mut self) -> AttemptStart {
        let start = self.snapshot.begin(self.clock.now());
        self.publish_snapshot();
        start
    }

    /// Publishes a token.
    pub(super) fn publish(&mut self, publication: Publication) {
        self.snapshot.publish(publication, self.clock.now());
        self.publish_snapshot();
    }

    /// Ends an attempt that failed.
    pub(super) fn fail(&mut self, failure: AttemptFailure, retry: Retry) {
        self.snapshot.fail(failure, retry);
        self.publish_snapshot();
    }

    /// Ends an attempt that found no way to renew the current token.
    pub(super) fn decline(&mut self, failure: AttemptFailure) {
        self.snapshot.decline(failure);
        self.publish_snapshot();
    }

    /// Ends an attempt that cannot be repeated before there is a login, but for a try at `retry_at`.
    pub(super) fn require_login(
        &mut self,
        failure: Option<AttemptFailure>,
        retry_at: Option<BootInstant>,
    ) {
        self.snapshot.require_login(failure, retry_at);
        self.publish_snapshot();
    }

    /// Requires a login after a logout, which ends the current token's use.
    pub(super) fn end_login(&mut self) {
        self.snapshot.drop_token();
        self.require_login(None, None);
    }

    /// Removes the last error.
    pub(super) fn clear_last_error(&mut self) {
        self.snapshot.last_error = None;
        self.publish_snapshot();
    }

    /// Marks the login as lost with the process.
    pub(super) fn mark_login_lost(&mut self) {
        self.snapshot.login_lost = true;
        self.publish_snapshot();
    }

    fn handle(&mut self, command: StateCommand) {
        // A client that went away meanwhile reads no reply.
        match command {
            StateCommand::RequestRefresh { attempts_ended } => {
                let requested = self.snapshot.refresh_requested;
                self.snapshot.request_refresh(attempts_ended);
                if self.snapshot.refresh_requested != requested {
                    self.publish_snapshot();
                }
            }
            StateCommand::Invalidate {
                refused,
                replay,
                reply,
            } => {
                let _ = reply.send(self.invalidate(&refused, replay));
            }
            StateCommand::PublishLogin {
                token,
                unsaved,
                done,
            } => {
                self.publish_login(token, unsaved);
                let _ = done.send(());
            }
            StateCommand::RequireLogin { done } => {
                self.end_login();
                let _ = done.send(());
            }
        }
    }

    fn invalidate(&mut self, refused: &Token, replay: ReplayPlan) -> Result<(), TokenError> {
        let (had_token, reported) = (
            self.snapshot.token.is_some(),
            self.snapshot.refusal_reported,
        );
        let availability = self.snapshot.invalidate(refused, replay, self.clock.now());
        let (provider, token) = (&self.provider, refused.secret.fingerprint());
        if had_token && self.snapshot.token.is_none() {
            tracing::info!(%provider, token, "token.invalidated");
            self.publish_snapshot();
        } else if self.snapshot.refusal_reported && !reported {
            tracing::warn!(%provider, token, "token.refused_by_upstream");
            self.publish_snapshot();
        }
        match availability {
            Availability::Ready(_) | Availability::Pending => Ok(()),
            Availability::Unavailable(error) => Err(error),
        }
    }

    fn publish_login(&mut self, token: Option<Token>, unsaved: Option<AttemptFailure>) {
        match token {
            Some(token) => self.publish(Publication::Issued {
                refresh_at: token.due_at(),
                token,
                unsaved,
            }),
            // Its access token has expired already, so the refresh token is used at once.
            None => {
                self.snapshot.refresh_requested = true;
                if unsaved.is_some() {
                    self.snapshot.last_error = unsaved;
                }
                self.publish_snapshot();
            }
        }
    }

    /// Publishes the state: first the token, so that a waiter that wakes finds it.
    fn publish_snapshot(&self) {
        let token = self.snapshot.token.as_ref();
        if !is_same(self.publisher.borrow().token.as_ref(), token) {
            self.slot.set(token);
        }
        self.publish_metrics();
        self.publisher.send_replace(Arc::new(self.snapshot.clone()));
    }

    /// Shows the state in the metrics. While it ends, its successor of the same name may do so already.
    fn publish_metrics(&self) {
        if self.snapshot.stopping {
            return;
        }
        let token = self.snapshot.token.as_ref();
        self.metrics
            .set_expiry(token.and_then(|token| token.expires_at_wall));
        match self.snapshot.phase {
            Phase::LoginRequired { .. } => self.metrics.set_login_required(true),
            Phase::Idle { .. } | Phase::BackingOff(_) => self.metrics.set_login_required(false),
            Phase::Fetching | Phase::Ended => {}
        }
    }
}

impl Drop for StateOwner {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(provider = %self.provider, "token.refresher_panicked");
        }
        self.snapshot.phase = Phase::Ended;
        self.publish_snapshot();
    }
}

fn is_same(before: Option<&Token>, after: Option<&Token>) -> bool {
    before.map(Arc::as_ptr) == after.map(Arc::as_ptr)
}

/// Logs that a new refresh token is only in memory. Returns the failure for the status.
pub(super) fn report_unsaved(
    provider: &str,
    error: &StoreError,
    clock: &dyn Clock,
) -> AttemptFailure {
    tracing::error!(
        %provider,
        %error,
        "store.unsaved: the new refresh token is only in memory, and is lost if the process ends before it is written"
    );
    AttemptFailure::of_store(error, clock.wall())
}

#[cfg(test)]
mod tests;
