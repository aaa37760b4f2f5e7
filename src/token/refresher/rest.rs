//! Between two attempts: the wait for the next one, and an eye on the store.

use std::time::Duration;

use super::Refresher;
use crate::token::{
    login::Look,
    progress::{Failure, Phase},
};

/// How often the store is looked at: what another process did there is in use within 5 s.
const LOOK: Duration = Duration::from_secs(2);

impl Refresher {
    /// Sleeps until the next attempt is due or wanted, or something has changed that makes it worth while.
    pub(super) async fn rest(&mut self) {
        loop {
            let clock = self.credential.clock().clone();
            let (due, refused) = {
                let progress = self.progress.borrow_and_update();
                if self.refused != progress.discarded {
                    self.refused.clone_from(&progress.discarded);
                    // At once: whoever starts before it is off the record takes it up.
                    self.look_at = clock.now();
                }
                if progress.stopping || progress.wanted {
                    return;
                }
                let due = match progress.phase {
                    Phase::Resting { until } => Some(until),
                    Phase::BackingOff(retry) => Some(retry.at),
                    Phase::LoginRequired => None,
                    Phase::Fetching | Phase::Ended => return,
                };
                (
                    due,
                    progress
                        .failure
                        .as_ref()
                        .is_some_and(Failure::wants_a_change),
                )
            };
            let look = self.credential.login().map(|_| self.look_at);
            tokio::select! {
                biased;
                // An error would mean that the credential is gone, which we hold.
                _ = self.progress.changed() => {}
                () = self.secrets.changed(refused) => return,
                () = until(&*clock, due) => return,
                () = until(&*clock, look) => {
                    // Counted from its beginning: what changes while it goes on is seen by the next one in time.
                    self.look_at = clock.now() + LOOK;
                    if self.look().await {
                        return;
                    }
                }
            }
        }
    }

    /// Looks at the store, and tells whether what is there is worth an attempt. A token that was refused is not left there.
    async fn look(&mut self) -> bool {
        let credential = self.credential.clone();
        let Some(login) = credential.login() else {
            return false;
        };
        if let Some(refused) = self.refused.clone()
            && let Err(error) = login.give_up(&refused).await
        {
            self.stays_on_record(&refused, &error);
        }
        let of_store = |progress: &super::Progress| {
            progress.failure.as_ref().is_some_and(Failure::is_of_store)
        };
        match login.look().await {
            Ok(Look::Same) => false,
            Ok(Look::Changed) => true,
            Ok(Look::Saved) => {
                tracing::info!(provider = %self.credential.name(), "store.saved: what was in memory alone is written");
                let (resting, of_store) = {
                    let progress = self.progress.borrow();
                    (
                        matches!(progress.phase, Phase::Resting { .. }),
                        of_store(&progress),
                    )
                };
                if resting && of_store {
                    self.credential.note(None);
                }
                // Whatever else failed because of it is worth another attempt.
                !resting && of_store
            }
            Err(error) => {
                let phase = self.progress.borrow().phase;
                tracing::debug!(provider = %self.credential.name(), %error, "store.unreadable");
                // An attempt that fails by it says so. While a token is good there is time for that.
                phase == Phase::LoginRequired
            }
        }
    }
}

/// Waits for an instant; for ever where there is none.
async fn until(clock: &dyn crate::clock::Clock, moment: Option<crate::clock::BootInstant>) {
    match moment {
        Some(moment) => clock.sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
