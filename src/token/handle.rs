//! The read side of a credential's state, and the commands it sends to the owner.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    access_token::Token,
    attempt_failure::AttemptFailure,
    cache::TokenSlot,
    error::TokenError,
    snapshot::{Phase, ReplayPlan, Snapshot},
};
use crate::clock::BootInstant;

/// The read side of a credential's state, usable from any thread and runtime.
pub(super) struct StateHandle {
    pub(super) slot: Arc<TokenSlot>,
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(super) commands: mpsc::UnboundedSender<StateCommand>,
    pub(super) stop: CancellationToken,
    #[cfg(test)]
    pub(super) publisher: watch::Sender<Arc<Snapshot>>,
}

impl StateHandle {
    /// Returns the current token, if it may be sent at `now`. Takes no lock and allocates nothing.
    pub(super) fn current(&self, now: BootInstant) -> Option<Token> {
        self.slot.get(now)
    }

    /// Returns the latest snapshot.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.borrow().clone()
    }

    /// Subscribes to snapshots.
    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// Returns how many subscribers wait for a snapshot.
    #[cfg(test)]
    pub(super) fn subscriber_count(&self) -> usize {
        self.publisher.receiver_count() - 1
    }

    /// Requests an attempt, unless one is in flight or has ended since `attempts_ended` was read.
    pub(super) fn request_refresh(&self, attempts_ended: u64) {
        // After the owner's end the waiter finds the phase `Ended`.
        let _ = self
            .commands
            .send(StateCommand::RequestRefresh { attempts_ended });
    }

    /// Invalidates `refused`. It is done even when the returned future is dropped.
    pub(super) async fn invalidate(
        &self,
        refused: &Token,
        replay: ReplayPlan,
    ) -> Result<(), TokenError> {
        let (reply, invalidated) = oneshot::channel();
        let command = StateCommand::Invalidate {
            refused: refused.clone(),
            replay,
            reply,
        };
        self.commands
            .send(command)
            .map_err(|_| TokenError::ended())?;
        invalidated
            .await
            .unwrap_or_else(|_| Err(TokenError::ended()))
    }

    /// Publishes the token of a login; without one, requests a refresh.
    pub(super) async fn publish_login(
        &self,
        token: Option<Token>,
        unsaved: Option<AttemptFailure>,
    ) {
        let (done, published) = oneshot::channel();
        self.send_and_wait(
            StateCommand::PublishLogin {
                token,
                unsaved,
                done,
            },
            published,
        )
        .await;
    }

    /// Removes the token after a logout, and requires a login.
    pub(super) async fn require_login(&self) {
        let (done, required) = oneshot::channel();
        self.send_and_wait(StateCommand::RequireLogin { done }, required)
            .await;
    }

    /// Asks the refresher to end, after the token request in flight.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Completes when the refresher has ended.
    pub(super) async fn ended(&self) {
        // An error means that the owner is gone, which is an end as well.
        let _ = self
            .subscribe()
            .wait_for(|snapshot| snapshot.phase == Phase::Ended)
            .await;
    }

    async fn send_and_wait(&self, command: StateCommand, done: oneshot::Receiver<()>) {
        // Without an owner there is no state left to change.
        if self.commands.send(command).is_ok() {
            let _ = done.await;
        }
    }
}

/// A request to change the state.
pub(super) enum StateCommand {
    /// An attempt is needed, unless one has ended since `attempts_ended` was read.
    RequestRefresh { attempts_ended: u64 },
    /// An upstream refused a token.
    Invalidate {
        refused: Token,
        replay: ReplayPlan,
        reply: oneshot::Sender<Result<(), TokenError>>,
    },
    /// A login was recorded.
    PublishLogin {
        token: Option<Token>,
        unsaved: Option<AttemptFailure>,
        done: oneshot::Sender<()>,
    },
    /// The login was ended.
    RequireLogin { done: oneshot::Sender<()> },
}
