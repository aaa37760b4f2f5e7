//! One attempt to acquire a token, from the store or from the token endpoint.
//!
//! With a refresh token, an attempt locks the grant from reading the record to writing the next one. No other process
//! can then spend the refresh token that is spent here.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{
    outcome::{AttemptError, AttemptOutcome, LoginReason},
    refused_refreshes::{RETRY_INTERVAL, RefusedRefreshes},
    requester::TokenRequester,
};
use crate::{
    clock::{BootInstant, Clock},
    oauth::{
        api_context::ApiContext,
        error::{Fault, TokenRefusal, TokenRequestError},
        grant::Grant,
        provider::Provider,
        response::Issued,
    },
    secret::Secret,
    token::{
        access_token::{AccessToken, Token, TokenState},
        grant::{LockedGrant, RefreshInput, StoreCheck, StoredGrant},
        schedule::RenewalPolicy,
        snapshot::AttemptStart,
        store::StoreError,
    },
};

/// The maker of attempts for one provider. It changes the stored grant, and nothing of the credential's state.
pub(super) struct Acquirer {
    provider: Arc<Provider>,
    clock: Arc<dyn Clock>,
    requester: TokenRequester,
    /// The stored grant, for grant types that live on refresh tokens.
    grant: Option<Arc<StoredGrant>>,
    /// The signal that asks the refresher to end.
    stop: CancellationToken,
    refused_refreshes: RefusedRefreshes,
    /// The invalidated token whose stay in the record was reported last.
    reported_stale: Option<Token>,
}

/// The use of a usable token in the store.
#[derive(Debug, PartialEq, Eq)]
enum StoredTokenAction {
    /// It replaces the current token, if there is one.
    Adopt,
    /// It is the current token, which is fresh and good enough.
    Keep,
    /// Another token is requested.
    Replace,
}

impl Acquirer {
    pub(super) fn new(
        provider: Arc<Provider>,
        clock: Arc<dyn Clock>,
        requester: TokenRequester,
        grant: Option<Arc<StoredGrant>>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            provider,
            clock,
            requester,
            grant,
            stop,
            refused_refreshes: RefusedRefreshes::default(),
            reported_stale: None,
        }
    }

    /// Returns whether there is a stored grant.
    pub(super) fn has_grant(&self) -> bool {
        self.grant.is_some()
    }

    /// Loads the access token that the store still holds, without a lock or a request.
    pub(super) async fn load_stored_token(&self) -> Option<AccessToken> {
        // The attempt that follows reports an error.
        self.grant.as_ref()?.load_access_token().await.ok()?
    }

    /// Makes one attempt. `has_started` says that a token or the need of a login was found before.
    pub(super) async fn acquire(
        &mut self,
        start: &AttemptStart,
        has_started: bool,
    ) -> Result<AttemptOutcome, AttemptError> {
        match self.grant.clone() {
            None => self.request_for_client().await,
            Some(grant) => self.acquire_by_grant(&grant, start, has_started).await,
        }
    }

    /// Checks the store for changes, and removes an invalidated access token from the record.
    pub(super) async fn check_store(
        &mut self,
        invalidated: Option<&Token>,
    ) -> Result<StoreCheck, StoreError> {
        let Some(grant) = self.grant.clone() else {
            return Ok(StoreCheck::Unchanged);
        };
        self.withdraw(&grant, invalidated).await;
        grant.check_store().await
    }

    /// Writes an unsaved refresh token, and removes an invalidated access token from the record.
    pub(super) async fn save_before_exit(
        &mut self,
        invalidated: Option<&Token>,
    ) -> Result<(), StoreError> {
        let Some(grant) = self.grant.clone() else {
            return Ok(());
        };
        self.withdraw(&grant, invalidated).await;
        grant.save_before_exit().await
    }

    async fn withdraw(&mut self, grant: &StoredGrant, invalidated: Option<&Token>) {
        if let Some(invalidated) = invalidated
            && let Err(error) = grant.withdraw_access_token(&invalidated.secret).await
        {
            self.report_stale(invalidated, &error);
        }
    }

    /// Requests a token without a login, such as one for the client itself (RFC 6749 section 4.4).
    async fn request_for_client(&self) -> Result<AttemptOutcome, AttemptError> {
        let grant = Grant::without_login(&self.provider)
            .unwrap_or_else(|| unreachable!("a provider that needs a login has a stored grant"));
        let response = self.requester.request(grant, &ApiContext::default()).await;
        let policy = RenewalPolicy::new(&self.provider, true, None);
        let token = response
            .and_then(|mut issued| {
                let context = std::mem::take(&mut issued.context);
                self.requester.to_token(issued, policy, context)
            })
            .map_err(AttemptError::Request)?;
        Ok(AttemptOutcome::Issued {
            token,
            unsaved: None,
        })
    }

    /// Acquires a token by the stored grant. The store is read first: another process may have changed it.
    async fn acquire_by_grant(
        &mut self,
        grant: &StoredGrant,
        start: &AttemptStart,
        has_started: bool,
    ) -> Result<AttemptOutcome, AttemptError> {
        let mut locked = tokio::select! {
            biased;
            locked = grant.lock() => locked?,
            // No request is in flight yet, so the end need not wait for another process.
            () = self.stop.cancelled() => return Err(AttemptError::Stopped),
        };
        locked.reload().await?;
        if let Some(invalidated) = &start.invalidated
            && let Err(error) = locked.withdraw_access_token(&invalidated.secret).await
        {
            // That is no reason to go without another token.
            self.report_stale(invalidated, &error);
        }

        let stored = locked.access_token();
        let input = locked.refresh_input();
        // The last token of a login that is over is not adopted here.
        if matches!(input, RefreshInput::RefreshToken(_) | RefreshInput::Missing) {
            let now = self.clock.now();
            match stored_token_action(stored.as_ref(), locked.is_same_login(), start, now) {
                StoredTokenAction::Keep => return Ok(AttemptOutcome::Unchanged),
                StoredTokenAction::Adopt => {
                    if let Some(token) = stored {
                        return Ok(AttemptOutcome::Stored(token));
                    }
                }
                StoredTokenAction::Replace => {}
            }
        }

        let signs_in = self.provider.sign_in.is_some();
        let (reason, last) = match input {
            RefreshInput::RefreshToken(refresh_token) => {
                return self.refresh(&mut locked, &refresh_token).await;
            }
            RefreshInput::Missing | RefreshInput::Refused | RefreshInput::OtherClient
                if signs_in =>
            {
                return self.sign_in(&mut locked).await;
            }
            // After a logout only the next start signs in again.
            RefreshInput::LoggedOut if signs_in && !has_started => {
                return self.sign_in(&mut locked).await;
            }
            RefreshInput::LoggedOut => (LoginReason::LoggedOut, None),
            RefreshInput::OtherClient => (LoginReason::OtherClient, None),
            // The login is its access token, which is good.
            RefreshInput::Missing if start.current.is_some() => {
                return Ok(AttemptOutcome::NotRenewable);
            }
            RefreshInput::Missing => (LoginReason::Missing, None),
            RefreshInput::Refused => {
                let refusal = Fault::Refused(TokenRefusal::InvalidGrant);
                let last = locked
                    .access_token()
                    .filter(|_| start.current.is_none() && start.invalidated.is_none());
                (LoginReason::Refused(TokenRequestError::new(refusal)), last)
            }
        };
        Ok(AttemptOutcome::LoginRequired {
            reason,
            last,
            retry_at: None,
        })
    }

    /// Refreshes the token (RFC 6749 section 6).
    async fn refresh(
        &mut self,
        locked: &mut LockedGrant<'_>,
        refresh_token: &Secret,
    ) -> Result<AttemptOutcome, AttemptError> {
        locked.reserve().await?;
        let grant = Grant::RefreshToken { refresh_token };
        // Refreshes may be at an address of the login's own.
        let context = locked.api_context();
        let mut response = self.requester.request(grant, &context).await;
        let is_lost = response
            .as_ref()
            .is_err_and(TokenRequestError::may_have_been_received);
        if is_lost && self.provider.refresh.retry_lost_answer {
            // The refresh token may be spent and its successor lost. Many servers repeat their response at once.
            tracing::warn!(provider = %self.provider.name, "token.response_lost: requesting once more");
            response = self.requester.request(grant, &context).await;
        }
        match response {
            Ok(issued) => {
                self.refused_refreshes.clear();
                self.record_issued(locked, issued, true).await
            }
            Err(error) if error.refusal() == Some(TokenRefusal::InvalidGrant) => {
                self.record_refusal(locked, error).await
            }
            Err(error) => {
                if let Some(refresh_token) = error.refresh_token() {
                    // The access token beside it is unusable, but the refresh token that was sent is spent.
                    locked.record_rotation(refresh_token).await?;
                }
                self.judge_refusal(locked, refresh_token, error).await
            }
        }
    }

    /// Decides whether a failed refresh counts as the end of the login. The refresh token is kept all the same.
    async fn judge_refusal(
        &mut self,
        locked: &mut LockedGrant<'_>,
        refresh_token: &Secret,
        error: TokenRequestError,
    ) -> Result<AttemptOutcome, AttemptError> {
        let now = self.clock.now();
        if !self.refused_refreshes.record(refresh_token, &error, now) {
            return Err(AttemptError::Request(error));
        }
        if self.provider.sign_in.is_some() {
            tracing::warn!(provider = %self.provider.name, error = %error.for_operators(), "login.refused: signing in again");
            return self.sign_in(locked).await;
        }
        Ok(AttemptOutcome::LoginRequired {
            reason: LoginReason::Refused(error),
            last: None,
            retry_at: Some(now + RETRY_INTERVAL),
        })
    }

    /// Records that the refresh token was refused for good. That outlives the process.
    async fn record_refusal(
        &self,
        locked: &mut LockedGrant<'_>,
        error: TokenRequestError,
    ) -> Result<AttemptOutcome, AttemptError> {
        let provider = &self.provider.name;
        if let Err(error) = locked.record_refusal().await {
            // A restart would spend one request to find out again, no more.
            tracing::error!(%provider, %error, "store.unsaved: a refresh token was refused for good");
        }
        if self.provider.sign_in.is_some() {
            tracing::warn!(%provider, error = %error.for_operators(), "login.refused: signing in again");
            return self.sign_in(locked).await;
        }
        Ok(AttemptOutcome::LoginRequired {
            reason: LoginReason::Refused(error),
            last: None,
            retry_at: None,
        })
    }

    /// Signs in with the configured account, without a browser.
    async fn sign_in(&self, locked: &mut LockedGrant<'_>) -> Result<AttemptOutcome, AttemptError> {
        locked.reserve().await?;
        let response = self.requester.sign_in().await;
        let issued = response.map_err(AttemptError::SignIn)?;
        self.record_issued(locked, issued, false).await
    }

    /// Writes what a response brought before any of it is used. No wait stands between its arrival and the write.
    async fn record_issued(
        &self,
        locked: &mut LockedGrant<'_>,
        issued: Issued,
        refreshed: bool,
    ) -> Result<AttemptOutcome, AttemptError> {
        let unsaved = locked.record_issued(&issued, refreshed).await.err();
        let (policy, context) = (locked.renewal_policy(), locked.api_context());
        match (self.requester.to_token(issued, policy, context), unsaved) {
            (Ok(token), unsaved) => Ok(AttemptOutcome::Issued { token, unsaved }),
            (Err(_), Some(error)) => Err(AttemptError::Store(error)),
            (Err(error), None) => Err(AttemptError::Request(error)),
        }
    }

    /// Reports that the record still holds `invalidated`: once as a warning. It is removed later.
    fn report_stale(&mut self, invalidated: &Token, error: &StoreError) {
        const STALE: &str = "store.stale: the token that an upstream refused is still stored, and a start would use it";
        let (provider, token) = (&self.provider.name, invalidated.secret.fingerprint());
        let is_reported = self
            .reported_stale
            .as_ref()
            .is_some_and(|reported| reported.secret == invalidated.secret);
        // Another process that holds the lock most likely replaces it.
        if matches!(error, StoreError::Locked) || is_reported {
            tracing::debug!(%provider, token, %error, "{STALE}");
            return;
        }
        tracing::warn!(%provider, token, %error, "{STALE}");
        self.reported_stale = Some(invalidated.clone());
    }
}

/// Decides what is done with the usable token in the store at `now`. Pure.
///
/// `is_same_login` is whether the record belongs to the login that was in use before it was read.
fn stored_token_action(
    stored: Option<&AccessToken>,
    is_same_login: bool,
    start: &AttemptStart,
    now: BootInstant,
) -> StoredTokenAction {
    let current = start.current.as_ref();
    let is_enough =
        |current: &AccessToken| !start.refresh_requested && current.state(now) == TokenState::Fresh;
    let is_invalidated = |stored: &AccessToken| {
        start
            .invalidated
            .as_ref()
            .is_some_and(|invalidated| invalidated.secret == stored.secret)
    };
    match (stored, current) {
        (Some(stored), _) if is_invalidated(stored) => StoredTokenAction::Replace,
        (Some(stored), Some(current)) if current.secret == stored.secret => {
            if is_enough(current) {
                StoredTokenAction::Keep
            } else {
                StoredTokenAction::Replace
            }
        }
        (Some(_), _) => StoredTokenAction::Adopt,
        // Another process stored one that is useless here, under other settings or on another machine. If it were
        // replaced, that process would replace ours, and so on.
        (None, Some(current)) if is_same_login && is_enough(current) => StoredTokenAction::Keep,
        (None, _) => StoredTokenAction::Replace,
    }
}
