//! The handle through which the rest of the program uses one provider's token.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::watch;

use super::{
    access_token::Token,
    attempt_failure::AttemptFailure,
    error::TokenError,
    grant::{PreparedLogin, RecordedLogin, StoredGrant},
    handle::StateHandle,
    owner::report_unsaved,
    request_counter::RequestCounter,
    snapshot::{Availability, Demand, Phase, ReplayPlan, Snapshot},
    status::{CredentialStatus, LoginCondition},
    store::StoreError,
};
use crate::{
    clock::{BootInstant, Clock},
    oauth::{error::TokenRequestError, provider::Provider, response::Issued},
    secret::Secret,
};

/// The longest wait for a token.
const OBTAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A read handle on one provider's token, usable from any thread and runtime. Its refresher owns the state.
pub struct Credential {
    provider: Arc<Provider>,
    clock: Arc<dyn Clock>,
    state: StateHandle,
    /// The stored grant, for grant types that live on refresh tokens.
    grant: Option<Arc<StoredGrant>>,
    counter: RequestCounter,
}

impl Credential {
    pub(super) fn new(
        provider: Arc<Provider>,
        clock: Arc<dyn Clock>,
        state: StateHandle,
        grant: Option<Arc<StoredGrant>>,
        counter: RequestCounter,
    ) -> Self {
        Self {
            provider,
            clock,
            state,
            grant,
            counter,
        }
    }

    /// Returns the provider's name.
    pub fn name(&self) -> &Arc<str> {
        &self.provider.name
    }

    /// Returns the provider. Its secrets are the ones in use, and the ones to reload.
    pub fn provider(&self) -> &Arc<Provider> {
        &self.provider
    }

    /// Returns the token, if one may be used now. Never waits, takes no lock and allocates nothing.
    pub fn current(&self) -> Option<Token> {
        self.state.current(self.clock.now())
    }

    /// Returns whether `token`, which was obtained earlier, may still be sent.
    pub fn is_usable(&self, token: &Token) -> bool {
        token.is_usable(self.clock.now())
    }

    /// Returns the current token, or waits up to 10 s for one.
    ///
    /// It waits for the token request in flight, or for one that it causes because the token expired unnoticed.
    /// Dropping the future aborts nothing. It needs a runtime with a timer.
    ///
    /// # Errors
    /// There is no token. Between failed attempts the error comes at once.
    pub async fn obtain(&self) -> Result<Token, TokenError> {
        match self.current() {
            Some(token) => Ok(token),
            None => self.wait_for_token(Demand::AnyToken).await,
        }
    }

    /// Requests a new token now, even beside a usable one and whatever the back-off says. Waits up to 10 s.
    ///
    /// # Errors
    /// As [`Credential::obtain`]. The current token then stays.
    pub async fn refresh_now(&self) -> Result<Token, TokenError> {
        self.wait_for_token(Demand::NewToken).await
    }

    /// Invalidates `refused`, which an upstream refused for a request that cannot be replayed.
    ///
    /// That very token is invalidated, a newer one stays. Another one is requested, but not waited for. Without a
    /// replay, nothing shows whether the token was revoked or the upstream refuses any token for this request. After a
    /// refresh in the last 60 s the latter is assumed. Dropping the future aborts nothing.
    ///
    /// # Errors
    /// Another token would not help; the current one stays.
    pub async fn invalidate(&self, refused: &Token) -> Result<(), TokenError> {
        self.state.invalidate(refused, ReplayPlan::Impossible).await
    }

    /// Invalidates `refused`, which an upstream refused, and obtains another token for the replay.
    ///
    /// That very token is invalidated, a newer one stays. However many responses say so at once, one token request is
    /// made, and at most one in 60 s, unless the refused token was accepted before.
    ///
    /// # Errors
    /// As [`Credential::obtain`]; and where another token would not help, because the last refresh is less than 60 s
    /// ago or the authorization server issued the refused token again. The current token then stays.
    pub async fn replace(&self, refused: &Token) -> Result<Token, TokenError> {
        self.state.invalidate(refused, ReplayPlan::Follows).await?;
        let token = self.obtain().await?;
        if token.secret == refused.secret {
            return Err(TokenError::unavailable(
                Duration::ZERO,
                "the authorization server issued the same token again, which the upstream refuses",
            ));
        }
        Ok(token)
    }

    /// Makes a token request that a login needs, and counts it among this provider's.
    ///
    /// # Errors
    /// Those of the request.
    pub async fn count_request<T>(
        &self,
        grant_type: &str,
        request: impl Future<Output = Result<T, TokenRequestError>>,
    ) -> Result<T, TokenRequestError> {
        self.counter.count(grant_type, request).await
    }

    /// Makes sure that a login can be recorded, before its code is spent.
    ///
    /// # Errors
    /// The store cannot be used, or the provider's grant needs no login: then the code must not be spent.
    pub async fn prepare_login(&self) -> Result<PreparedLogin<'_>, StoreError> {
        self.stored_grant()?.prepare_login().await
    }

    /// Records a login and puts it in use. It ends `login_required`.
    ///
    /// The login is in the store before its access token is sent anywhere. One that cannot be written after all is used
    /// from memory, and written as soon as possible. Dropping the future aborts no write that has begun.
    pub async fn complete_login(
        &self,
        mut prepared: PreparedLogin<'_>,
        issued: Issued,
    ) -> RecordedLogin {
        let mut login = prepared.record(issued).await;
        let provider = self.name();
        if !login.has_refresh_token {
            let ends = login
                .token
                .as_ref()
                .is_some_and(|token| token.usable_until.is_some());
            tracing::warn!(%provider, ends, "login.without_refresh_token: it lasts as long as its access token");
        }
        let token = login.token.take().map(Arc::new);
        let token = token.filter(|token| self.is_usable(token));
        if let Some(token) = &token {
            tracing::info!(%provider, token = %token.secret.fingerprint(), "login.recorded");
        }
        let unsaved = login
            .unsaved
            .as_ref()
            .map(|error| report_unsaved(provider, error, &*self.clock));
        self.state.publish_login(token, unsaved).await;
        login
    }

    /// Ends the login, here and in the store.
    ///
    /// Returns its refresh token, so that it can be revoked (RFC 7009).
    ///
    /// # Errors
    /// The store cannot be used, or the provider's grant needs no login; then nothing has changed.
    pub async fn log_out(&self) -> Result<Option<Secret>, StoreError> {
        let refresh_token = self.stored_grant()?.log_out().await?;
        tracing::info!(provider = %self.name(), "login.ended");
        self.state.require_login().await;
        Ok(refresh_token)
    }

    /// Returns the status for people and machines.
    pub fn status(&self) -> CredentialStatus {
        let snapshot = self.state.snapshot();
        let now = self.clock.now();
        let token = snapshot.usable_token(now);
        let refresh_at = match snapshot.phase {
            Phase::BackingOff(retry) => Some(self.wall_at(retry.at, now)),
            Phase::Fetching | Phase::Idle { .. } => token.and_then(|token| token.refresh_at_wall),
            Phase::LoginRequired { retry_at } => retry_at.map(|at| self.wall_at(at, now)),
            Phase::Ended => None,
        };
        let has_refresh_token = self
            .grant
            .as_ref()
            .is_some_and(|grant| grant.has_refresh_token());
        let has_ended = matches!(
            snapshot.phase,
            Phase::LoginRequired { retry_at: None } | Phase::Ended
        );
        CredentialStatus {
            state: snapshot.credential_state(now),
            grant_type: self.provider.grant_type.as_str().to_owned(),
            renewed_at: token.and_then(|token| token.requested_at_wall),
            expires_at: token.and_then(|token| token.expires_at_wall),
            refresh_at,
            is_refreshing: snapshot.phase == Phase::Fetching,
            can_refresh: !has_ended && (has_refresh_token || self.provider.can_renew_alone()),
            has_refresh_token,
            login_expires_at: self
                .grant
                .as_ref()
                .and_then(|grant| grant.login_expires_at()),
            login_required: matches!(snapshot.phase, Phase::LoginRequired { .. }),
            token_requests: self.counter.requests(),
            last_error: snapshot
                .last_error
                .as_ref()
                .map(AttemptFailure::to_last_error),
        }
    }

    /// Returns the condition of the login; `None` while an attempt is in flight or has failed for another reason.
    pub fn login_condition(&self) -> Option<LoginCondition> {
        match self.state.snapshot().phase {
            Phase::LoginRequired { .. } => Some(LoginCondition::Required),
            Phase::Idle { .. } => {
                let due_at = self.grant.as_ref().and_then(|grant| grant.login_due_at());
                let is_due = due_at.is_some_and(|due_at| due_at <= self.clock.wall());
                Some(if is_due {
                    LoginCondition::Due
                } else {
                    LoginCondition::Good
                })
            }
            Phase::Fetching | Phase::BackingOff(_) | Phase::Ended => None,
        }
    }

    /// Returns whether the provider's grant type lives on refresh tokens.
    pub(super) fn has_grant(&self) -> bool {
        self.grant.is_some()
    }

    /// Returns whether the login was lost at the end.
    pub(super) fn is_login_lost(&self) -> bool {
        self.state.snapshot().login_lost
    }

    /// Returns whether the refresher has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.state.snapshot().phase == Phase::Ended
    }

    /// Asks the refresher to end, after the token request in flight.
    pub(super) fn stop(&self) {
        self.state.stop();
    }

    /// Completes when the refresher has ended.
    pub(super) async fn ended(&self) {
        self.state.ended().await;
    }

    /// Subscribes to the states.
    #[cfg(test)]
    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.state.subscribe()
    }

    /// Reads the clock.
    #[cfg(test)]
    pub(super) fn now(&self) -> BootInstant {
        self.clock.now()
    }

    /// Returns how many clients wait for a token.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.state.subscriber_count()
    }

    fn stored_grant(&self) -> Result<&StoredGrant, StoreError> {
        self.grant.as_deref().ok_or(StoreError::NoLogin)
    }

    /// Waits for the outcome of an attempt, which all waiting clients share.
    async fn wait_for_token(&self, mut demand: Demand) -> Result<Token, TokenError> {
        let mut snapshots = self.state.subscribe();
        let deadline = self.clock.now() + OBTAIN_TIMEOUT;
        // Made when there is something to wait for: during an outage most clients are refused at once.
        let mut timeout = None;
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            match snapshot.availability(self.clock.now(), demand) {
                Availability::Ready(token) => return Ok(token),
                Availability::Unavailable(error) => return Err(error),
                Availability::Pending => {}
            }
            if snapshot.needs_request() {
                self.state.request_refresh(snapshot.attempts_ended);
            }
            // An attempt that began before the demand may bring the token that the store holds.
            let joins = demand == Demand::NewToken && snapshot.phase == Phase::Fetching;
            let timeout = timeout.get_or_insert_with(|| self.clock.sleep_until(deadline));
            tokio::select! {
                biased;
                outcome = self.attempt_after(&mut snapshots, snapshot.attempts_ended) => outcome?,
                () = &mut *timeout => {
                    let detail = "the token endpoint has not responded yet";
                    return Err(TokenError::unavailable(Duration::ZERO, detail));
                }
            }
            // The attempt's token may have expired before this task ran: then any other is waited for.
            if !joins || snapshots.borrow().attempt_issued {
                demand = Demand::AnyToken;
            }
        }
    }

    /// Waits until more than `attempts_ended` attempts have ended.
    async fn attempt_after(
        &self,
        snapshots: &mut watch::Receiver<Arc<Snapshot>>,
        attempts_ended: u64,
    ) -> Result<(), TokenError> {
        let is_over = |snapshot: &Arc<Snapshot>| {
            snapshot.attempts_ended > attempts_ended || snapshot.phase == Phase::Ended
        };
        let snapshot = snapshots
            .wait_for(is_over)
            .await
            .map_err(|_| TokenError::ended())?
            .clone();
        if snapshot.attempts_ended > attempts_ended && !snapshot.attempt_failed {
            Ok(())
        } else {
            Err(snapshot.error(self.clock.now()))
        }
    }

    fn wall_at(&self, instant: BootInstant, now: BootInstant) -> SystemTime {
        self.clock.wall() + instant.since(now)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("name", self.name())
            .finish_non_exhaustive()
    }
}
