//! The handle by which the rest of the program gets at one provider's token.

mod control;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, SystemTime},
};

use tokio::sync::watch;

pub(super) use self::control::Begun;
use super::{
    access_token::{AccessToken, State},
    cache::{Key, TokenCache},
    login::{LoggedIn, Login, Prepared},
    progress::{Failure, Phase, Progress, Told, Verdict},
    store::StoreError,
};
pub use super::{
    no_token::NoToken,
    status::{CredentialState, CredentialStatus, LastError},
};
use crate::{
    clock::{Clock, Moment},
    oauth::{provider::Provider, response::Issued},
    secret::Secret,
    telemetry::metrics::ProviderMetrics,
};

/// The token just given out, named so that a renewal discards that very one.
pub type Token = Arc<AccessToken>;

/// Nobody waits longer for a token.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// One provider's token, whoever asks for it and from whichever thread's runtime.
///
/// Everything that changes the token or its progress does so under the lock of `progress`, so that a discarded token
/// and one that is just being published cannot cross.
pub struct Credential {
    provider: Arc<Provider>,
    clock: Arc<dyn Clock>,
    cache: TokenCache,
    key: Key,
    progress: watch::Sender<Progress>,
    metrics: Arc<ProviderMetrics>,
    /// There for grants that live on refresh tokens.
    login: Option<Login>,
    lost: AtomicBool,
}

impl Credential {
    pub(super) fn new(
        provider: Arc<Provider>,
        clock: Arc<dyn Clock>,
        cache: TokenCache,
        metrics: Arc<ProviderMetrics>,
        login: Option<Login>,
    ) -> Self {
        let key = cache.key();
        let progress = watch::Sender::new(Progress::new(Phase::Fetching));
        Self {
            provider,
            clock,
            cache,
            key,
            progress,
            metrics,
            login,
            lost: AtomicBool::new(false),
        }
    }

    /// The provider's name.
    pub fn name(&self) -> &Arc<str> {
        &self.provider.name
    }

    /// The provider whose token this is; its secrets are the ones in use, and so the ones to read again.
    pub fn provider(&self) -> &Arc<Provider> {
        &self.provider
    }

    /// The token, if there is one that may be used now. Never waits.
    pub fn current(&self) -> Option<Token> {
        self.cache.get(self.key)
    }

    /// The token; waits up to 10 s for the request in flight, or for one that it causes where the token went out of
    /// use unnoticed. Whoever stops waiting aborts nothing. The caller's runtime needs its timer, no more.
    ///
    /// # Errors
    /// Why there is none; between attempts that fail, at once.
    pub async fn obtain(&self) -> Result<Token, NoToken> {
        match self.current() {
            Some(token) => Ok(token),
            None => self.outcome(false).await,
        }
    }

    /// Another token than `seen`, which an upstream refused. Discards that very one, a newer one stays.
    ///
    /// However many upstreams' answers say so at once, one request is made, and at most one in 60 s.
    ///
    /// # Errors
    /// As [`Credential::obtain`]; and where another token would not help: the last renewal is less than 60 s ago, or
    /// the authorization server issued the refused token again. The token in hand then stays.
    pub async fn renew(&self, seen: &Token) -> Result<Token, NoToken> {
        // Where the next token is refused as well, the replay with it tells.
        self.give_up(seen, seen.is_revoked_if_refused())?;
        let token = self.obtain().await?;
        if token.secret == seen.secret {
            return Err(NoToken::unavailable(
                Duration::ZERO,
                "the authorization server issued the same token again, which the upstream refuses",
            ));
        }
        Ok(token)
    }

    /// Asks for a token now, even though the one in hand is good and whatever the back-off says.
    ///
    /// # Errors
    /// As [`Credential::obtain`]. The token in hand then stays.
    pub async fn refresh_now(&self) -> Result<Token, NoToken> {
        self.outcome(true).await
    }

    /// Whether `token`, which was given out earlier, may still be sent.
    pub fn is_usable(&self, token: &Token) -> bool {
        token.state(self.clock.now()) != State::Expired
    }

    /// Makes sure that a login can be kept, before the code for it is spent.
    ///
    /// # Errors
    /// The store cannot be used, or the provider's grant needs no login: the code is better not spent.
    pub async fn prepare_login(&self) -> Result<Prepared<'_>, StoreError> {
        self.login
            .as_ref()
            .ok_or(StoreError::NoLogin)?
            .prepare()
            .await
    }

    /// [`Credential::prepare_login`] and [`Credential::take_login`] in one.
    ///
    /// # Errors
    /// As the former; then nothing has changed.
    pub async fn log_in(&self, issued: Issued) -> Result<LoggedIn, StoreError> {
        Ok(self.take_login(self.prepare_login().await?, issued).await)
    }

    /// Takes a login into use: it is in the store before its access token is sent anywhere, and ends `login_required`.
    /// One that cannot be written after all is used from memory, and written as soon as it can be. Whoever stops waiting
    /// aborts nothing that was begun.
    pub async fn take_login(&self, mut prepared: Prepared<'_>, issued: Issued) -> LoggedIn {
        let mut made = prepared.log_in(issued).await;
        if !made.lasts {
            tracing::warn!(provider = %self.name(), "login.without_refresh_token: it ends with its access token");
        }
        match made
            .token
            .take()
            .filter(|token| token.state(self.clock.now()) != State::Expired)
        {
            Some(token) => {
                tracing::info!(provider = %self.name(), token = %token.secret.fingerprint(), "login.made");
                let until = token.refresh_at;
                self.publish(Arc::new(token), until);
            }
            // It lived so short that it is over: the refresh token is what matters.
            None => self.want(),
        }
        if let Some(error) = &made.unsaved {
            self.unsaved(error);
        }
        made
    }

    /// Forgets the login, in the store and here, and gives back the refresh token, so that it can be revoked (RFC 7009).
    ///
    /// # Errors
    /// The store cannot be used, or the provider's grant needs no login; then nothing has changed.
    pub async fn log_out(&self) -> Result<Option<Secret>, StoreError> {
        let refresh_token = self
            .login
            .as_ref()
            .ok_or(StoreError::NoLogin)?
            .log_out()
            .await?;
        tracing::info!(provider = %self.name(), "login.ended");
        self.forget();
        self.require_login(None);
        Ok(refresh_token)
    }

    /// What people and machines are shown.
    pub fn status(&self) -> CredentialStatus {
        let token = self.current();
        let progress = self.progress.borrow();
        let refresh_at = match progress.phase {
            Phase::BackingOff(retry) => Some(self.wall_at(retry.at)),
            Phase::Fetching | Phase::Resting { .. } => {
                token.as_ref().map(|token| token.refresh_at_wall)
            }
            Phase::LoginRequired | Phase::Ended => None,
        };
        CredentialStatus {
            state: progress.state(token.is_some()),
            grant_type: self.provider.grant_type.as_str(),
            expires_at: token.as_ref().map(|token| token.expires_at_wall),
            refresh_at,
            has_refresh_token: self.login.as_ref().is_some_and(Login::has_refresh_token),
            token_requests: progress.requests,
            last_error: progress.failure.as_ref().map(Failure::shown),
        }
    }

    /// Waits for the outcome of an attempt, and shares it with all who wait.
    async fn outcome(&self, mut insist: bool) -> Result<Token, NoToken> {
        let mut progress = self.progress.subscribe();
        let mut bound = self.clock.sleep_until(self.clock.now() + LONGEST_WAIT);
        loop {
            let ended = match self.ask(insist)? {
                Asked::Token(token) => return Ok(token),
                Asked::Wait(ended) => ended,
            };
            tokio::select! {
                biased;
                outcome = self.after(&mut progress, ended) => outcome?,
                () = &mut bound => return Err(NoToken::unavailable(Duration::ZERO, "the token endpoint is slow to answer")),
            }
            match self.current() {
                Some(token) => return Ok(token),
                // It lived so short, or this task slept so long, that it is over already: once more, within the bound.
                None => insist = false,
            }
        }
    }

    fn ask(&self, insist: bool) -> Result<Asked, NoToken> {
        let mut asked = Ok(Asked::Wait(0));
        self.progress.send_if_modified(|progress| {
            if let Some(token) = self.current().filter(|_| !insist) {
                asked = Ok(Asked::Token(token));
                return false;
            }
            let wanted = progress.wanted;
            asked = match progress.ask(self.clock.now(), insist) {
                Told::Wait(ended) => Ok(Asked::Wait(ended)),
                Told::No(none) => Err(none),
            };
            progress.wanted != wanted
        });
        asked
    }

    /// Waits until more than `ended` attempts have ended.
    async fn after(
        &self,
        progress: &mut watch::Receiver<Progress>,
        ended: u64,
    ) -> Result<(), NoToken> {
        let over = |progress: &Progress| progress.ended > ended || progress.phase == Phase::Ended;
        match progress.wait_for(over).await {
            Ok(progress) if progress.failure.is_none() && progress.ended > ended => Ok(()),
            Ok(progress) => Err(progress.no_token(self.clock.now())),
            Err(_) => unreachable!("the sender is ours"),
        }
    }

    /// Gives up `seen`, which an upstream refused: that very one, a newer one stays. Another is asked for, but not waited
    /// for: the request cannot be sent again. So nothing will tell whether the token was revoked or no token is good
    /// enough for the request, and where one was renewed in the last 60 s it counts as the latter.
    ///
    /// # Errors
    /// Another token would not help, see [`Credential::renew`]; the one in hand stays.
    pub fn discard(&self, seen: &Token) -> Result<(), NoToken> {
        self.give_up(seen, false)
    }

    fn give_up(&self, seen: &Token, revoked: bool) -> Result<(), NoToken> {
        let mut verdict = None;
        self.progress.send_if_modified(|progress| {
            if !self
                .current()
                .is_some_and(|current| Arc::ptr_eq(&current, seen))
            {
                return false;
            }
            if *verdict.insert(progress.refused_by_upstream(self.clock.now(), revoked))
                != Verdict::Discard
            {
                return false;
            }
            progress.discarded = Some(seen.secret.clone());
            self.cache.remove(self.key);
            self.metrics.set_expiry(None);
            true
        });
        match verdict {
            None => Ok(()),
            Some(Verdict::Discard) => {
                tracing::info!(provider = %self.name(), token = %seen.secret.fingerprint(), "token.discarded");
                Ok(())
            }
            Some(Verdict::Keep { left, first }) => {
                if first {
                    tracing::warn!(provider = %self.name(), token = %seen.secret.fingerprint(), "token.refused_by_upstream");
                }
                Err(NoToken::unavailable(
                    left,
                    "the upstream refuses fresh tokens too",
                ))
            }
        }
    }

    fn wall_at(&self, moment: Moment) -> SystemTime {
        self.clock.wall() + moment.since(self.clock.now())
    }
}

enum Asked {
    Token(Token),
    Wait(u64),
}

impl Drop for Credential {
    fn drop(&mut self) {
        self.cache.remove(self.key);
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("name", self.name())
            .finish_non_exhaustive()
    }
}
