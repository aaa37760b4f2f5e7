//! The refresher: one task per credential, which acquires, stores and publishes its tokens.
//!
//! It alone calls the token endpoint, so that at most one request is in flight. No client owns it, so that clients that
//! go away neither abort a request nor repeat it. It owns the credential's state.

mod acquirer;
mod outcome;
mod refused_refreshes;
mod requester;
mod secrets;

use std::{future::pending, sync::Arc, time::Duration};

use self::{
    acquirer::Acquirer,
    outcome::{AttemptError, AttemptOutcome, LoginReason},
    requester::TokenRequester,
    secrets::WatchedSecrets,
};
use super::{
    access_token::{AccessToken, Token},
    attempt_failure::AttemptFailure,
    grant::{StoreCheck, StoredGrant},
    jitter::random,
    owner::{StateOwner, report_unsaved},
    request_counter::RequestCounter,
    schedule::{Backoff, Setback},
    snapshot::{Phase, Publication},
    store::StoreError,
};
use crate::{
    clock::{BootInstant, Clock},
    help,
    oauth::provider::Provider,
    telemetry::tracing::{milliseconds, seconds},
};

/// The shortest time between two tokens, for tokens that live shorter than a request takes.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_millis(100);

/// The time between two checks of the store: what another process stores is in use within 5 s.
const STORE_CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// The owner of one credential's state. [`Refresher::run`] keeps its token fresh.
pub(super) struct Refresher {
    clock: Arc<dyn Clock>,
    provider: Arc<str>,
    owner: StateOwner,
    acquirer: Acquirer,
    secrets: WatchedSecrets,
    backoff: Backoff,
    /// The kind of the last reported failure, and whether a token was usable then.
    reported: Option<(&'static str, bool)>,
    /// A token, or the need of a login, was found since the start. A logout then lasts until the next start.
    has_started: bool,
    next_store_check: BootInstant,
    /// The invalidated token as of the last check of the store.
    invalidated: Option<Token>,
}

impl Refresher {
    pub(super) fn new(
        provider: Arc<Provider>,
        clock: Arc<dyn Clock>,
        owner: StateOwner,
        grant: Option<Arc<StoredGrant>>,
        counter: RequestCounter,
    ) -> Self {
        let requester = TokenRequester::new(provider.clone(), clock.clone(), counter);
        let acquirer = Acquirer::new(
            provider.clone(),
            clock.clone(),
            requester,
            grant,
            owner.stop_signal(),
        );
        Self {
            provider: provider.name.clone(),
            owner,
            acquirer,
            secrets: WatchedSecrets::new(&provider),
            backoff: Backoff::default(),
            reported: None,
            has_started: false,
            next_store_check: clock.now(),
            invalidated: None,
            clock,
        }
    }

    /// Keeps the token fresh until the refresher is asked to end. A request in flight is finished first.
    pub(super) async fn run(mut self) {
        if self.restore_token().await {
            self.rest().await;
        }
        while !self.owner.snapshot().stopping {
            self.attempt().await;
            self.rest().await;
        }
        self.save_before_exit().await;
    }

    /// Publishes the token that the store still holds and returns whether there is one.
    async fn restore_token(&mut self) -> bool {
        let loaded = self
            .owner
            .run_while(self.acquirer.load_stored_token())
            .await;
        match loaded {
            Some(token) => {
                // A login that came meanwhile is newer.
                if self.owner.snapshot().attempts_ended == 0 {
                    self.publish_stored(token, "token.restored");
                }
                true
            }
            None => false,
        }
    }

    /// Makes one attempt and publishes its outcome.
    async fn attempt(&mut self) {
        self.secrets.mark_unchanged();
        let start = self.owner.begin();
        let began_at = self.clock.now();
        // Boxed: the futures of an attempt are large, and this task rests most of the time.
        let attempt = Box::pin(self.acquirer.acquire(&start, self.has_started));
        match self.owner.run_while(attempt).await {
            Ok(AttemptOutcome::Issued { token, unsaved }) => {
                self.publish_issued(token, began_at, unsaved);
            }
            Ok(AttemptOutcome::Stored(token)) => self.publish_stored(token, "token.adopted"),
            Ok(AttemptOutcome::Unchanged) => self.owner.publish(Publication::Unchanged),
            Ok(AttemptOutcome::NotRenewable) => {
                let at = self.clock.wall();
                let failure = AttemptFailure::no_refresh_token(&self.provider, at);
                self.owner.decline(failure);
            }
            Ok(AttemptOutcome::LoginRequired {
                reason,
                last,
                retry_at,
            }) => self.require_login(&reason, last, retry_at),
            Err(AttemptError::Stopped) => {}
            Err(error) => self.fail(&error, began_at),
        }
    }

    /// Waits until the next attempt is due or requested, or a change makes it worthwhile.
    async fn rest(&mut self) {
        loop {
            let snapshot = self.owner.snapshot();
            if !has_same_secret(self.invalidated.as_ref(), snapshot.invalidated.as_ref()) {
                self.invalidated.clone_from(&snapshot.invalidated);
                // It leaves the record at once: a process that starts before that would restore it.
                self.next_store_check = self.clock.now();
            }
            if snapshot.stopping || snapshot.refresh_requested {
                return;
            }
            let due = match snapshot.phase {
                Phase::Idle { refresh_at } => refresh_at,
                Phase::BackingOff(retry) => Some(retry.at),
                Phase::LoginRequired { retry_at } => retry_at,
                Phase::Fetching | Phase::Ended => return,
            };
            // A login that counts as ended may be good, and the client what was refused.
            let may_be_client =
                matches!(snapshot.phase, Phase::LoginRequired { retry_at: Some(_) });
            let last_error = snapshot.last_error.as_ref();
            let needs_operator =
                may_be_client || last_error.is_some_and(AttemptFailure::needs_operator);
            let check_at = self.acquirer.has_grant().then_some(self.next_store_check);

            tokio::select! {
                biased;
                () = self.owner.handle_next() => {}
                () = self.secrets.changed(needs_operator) => return,
                () = sleep_until(&*self.clock, due) => return,
                () = sleep_until(&*self.clock, check_at) => {
                    // Counted from the beginning of the check: a change during it is found by the next one in time.
                    self.next_store_check = self.clock.now() + STORE_CHECK_INTERVAL;
                    if self.check_store().await {
                        return;
                    }
                }
            }
        }
    }

    /// Checks the store and returns whether it makes an attempt worthwhile.
    async fn check_store(&mut self) -> bool {
        let check = self.acquirer.check_store(self.invalidated.as_ref());
        let checked = self.owner.run_while(check).await;
        let snapshot = self.owner.snapshot();
        match checked {
            Ok(StoreCheck::Unchanged) => false,
            Ok(StoreCheck::Changed) => true,
            Ok(StoreCheck::Saved) => {
                tracing::info!(
                    provider = %self.provider,
                    "store.saved: what was only in memory is written"
                );
                let is_idle = matches!(snapshot.phase, Phase::Idle { .. });
                let store_failed = snapshot
                    .last_error
                    .as_ref()
                    .is_some_and(AttemptFailure::is_of_store);
                if is_idle && store_failed {
                    self.owner.clear_last_error();
                }
                // An attempt that failed because of the store is worth repeating.
                !is_idle && store_failed
            }
            Err(error) => {
                tracing::debug!(provider = %self.provider, %error, "store.unreadable");
                // The attempt reports the error. While a token is usable there is time for that.
                matches!(snapshot.phase, Phase::LoginRequired { .. })
            }
        }
    }

    /// Publishes a token that the token endpoint issued.
    fn publish_issued(
        &mut self,
        token: AccessToken,
        began_at: BootInstant,
        unsaved: Option<StoreError>,
    ) {
        let now = self.clock.now();
        let due_at = token.due_at();
        let refresh_at = due_at.map(|due_at| due_at.max(now + MIN_REFRESH_INTERVAL));
        let failures = self.reset_failures();
        tracing::info!(
            provider = %self.provider,
            token = %token.secret.fingerprint(),
            lifetime_s = seconds_until(token.expires_at, now),
            refresh_in_s = seconds_until(token.refresh_at, now),
            ms = milliseconds(now.since(began_at)),
            failures,
            "token.issued"
        );
        let unsaved = unsaved.map(|error| report_unsaved(&self.provider, &error, &*self.clock));
        self.owner.publish(Publication::Issued {
            token: Arc::new(token),
            refresh_at,
            unsaved,
        });
    }

    /// Publishes a token from the store. If it is due for refresh already, that is next.
    fn publish_stored(&mut self, token: AccessToken, event: &'static str) {
        let now = self.clock.now();
        tracing::info!(
            provider = %self.provider,
            token = %token.secret.fingerprint(),
            refresh_in_s = seconds_until(token.refresh_at, now),
            "{event}"
        );
        self.reset_failures();
        self.owner.publish(Publication::Restored(Arc::new(token)));
    }

    fn require_login(
        &mut self,
        reason: &LoginReason,
        last: Option<AccessToken>,
        retry_at: Option<BootInstant>,
    ) {
        if let Some(token) = last {
            self.publish_stored(token, "token.adopted");
        }
        let (provider, at) = (&self.provider, self.clock.wall());
        let failure = match reason {
            LoginReason::Missing | LoginReason::LoggedOut => {
                tracing::warn!(%provider, "login.required");
                None
            }
            LoginReason::Refused(error) => {
                let description = error.description_text();
                let kind = error.kind();
                let (error_text, help) = (error.for_operators(), help::place(kind));
                tracing::error!(%provider, kind, description, error = %error_text, help, "login.required");
                Some(AttemptFailure::of_request(error, at))
            }
            LoginReason::OtherClient => {
                let failure = AttemptFailure::other_client(provider, at);
                let (kind, help) = (failure.kind(), help::place(failure.kind()));
                tracing::error!(%provider, kind, help, "login.required");
                Some(failure)
            }
        };
        self.reset_failures();
        match reason {
            LoginReason::LoggedOut => self.owner.end_login(),
            _ => self.owner.require_login(failure, retry_at),
        }
    }

    fn fail(&mut self, error: &AttemptError, began_at: BootInstant) {
        let (now, wall) = (self.clock.now(), self.clock.wall());
        let (setback, failure) = match error {
            AttemptError::Request(error) => (error.into(), AttemptFailure::of_request(error, wall)),
            AttemptError::SignIn(error) => {
                // Whatever was refused, an account is locked sooner than a client.
                let setback = Setback {
                    needs_operator: !error.is_transient() || error.needs_change(),
                    ..error.into()
                };
                (setback, AttemptFailure::of_request(error, wall))
            }
            AttemptError::Store(error) => {
                (Setback::default(), AttemptFailure::of_store(error, wall))
            }
            AttemptError::Stopped => return,
        };
        let current = self.owner.current();
        let usable_until = current.map(|token| token.usable_until.unwrap_or(now + Duration::MAX));
        let retry = self
            .backoff
            .record_failure(setback, now, usable_until, random());

        let (provider, kind, usable) = (&self.provider, failure.kind(), usable_until.is_some());
        let ms = milliseconds(now.since(began_at));
        let next_s = seconds(retry.at.since(now));
        // A failure that goes on is a warning once.
        if self.reported == Some((kind, usable)) {
            tracing::info!(%provider, kind, usable, ms, next_s, %error, "token.failed");
        } else {
            let description = error.description();
            let help = help::place(kind);
            tracing::warn!(%provider, kind, usable, ms, next_s, description, %error, help, "token.failed");
        }
        self.reported = Some((kind, usable));
        self.owner.fail(failure, retry);
    }

    /// Resets the back-off and the reporting, and returns how many attempts had failed.
    fn reset_failures(&mut self) -> u32 {
        self.reported = None;
        self.has_started = true;
        self.backoff.reset()
    }

    /// Writes an unsaved refresh token, and removes an invalidated access token from the record.
    async fn save_before_exit(&mut self) {
        let invalidated = self.owner.snapshot().invalidated.clone();
        let save = self.acquirer.save_before_exit(invalidated.as_ref());
        if let Err(error) = self.owner.run_while(save).await {
            tracing::error!(
                provider = %self.provider,
                %error,
                "login.lost: the refresh token in memory could not be written before the end; log in again"
            );
            self.owner.mark_login_lost();
        }
    }
}

/// Returns the whole seconds until an instant, if it comes.
fn seconds_until(instant: Option<BootInstant>, now: BootInstant) -> Option<f64> {
    instant.map(|instant| instant.since(now).as_secs_f64().round())
}

/// Waits for an instant, forever without one.
async fn sleep_until(clock: &dyn Clock, instant: Option<BootInstant>) {
    match instant {
        Some(instant) => clock.sleep_until(instant).await,
        None => pending().await,
    }
}

fn has_same_secret(one: Option<&Token>, other: Option<&Token>) -> bool {
    one.map(|token| &token.secret) == other.map(|token| &token.secret)
}
