//! The task of one credential: acquire → persist → publish → sleep, for as long as the credential is in use.
//!
//! It alone asks the token endpoint, so that there is never more than one request in flight, and it belongs to nobody
//! who waits, so that callers who go away neither abort a request nor repeat it.

mod renewal;
mod rest;
mod secrets;

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use self::secrets::Secrets;
use super::{
    access_token::AccessToken,
    credential::Credential,
    progress::{Failure, Progress},
    schedule::{Backoff, Deadlines, Setback},
    store::StoreError,
};
use crate::{
    clock::Moment,
    oauth::{
        endpoint::TokenEndpoint,
        error::{Fault, TokenRequestError},
        grant::Grant,
        response::Issued,
    },
    secret::Secret,
};

/// The least rest between two tokens, where they live shorter than they take to come.
const SHORTEST_REST: Duration = Duration::from_millis(100);

/// Keeps `credential` fresh until it is told to stop. A request in flight is then finished first.
pub(super) async fn run(credential: Arc<Credential>) {
    let _end = End(credential.clone());
    let provider = credential.provider().clone();
    let mut refresher = Refresher {
        progress: credential.watch(),
        secrets: Secrets::of(&provider),
        endpoint: TokenEndpoint::new(provider, credential.clock().clone()),
        backoff: Backoff::default(),
        complained: None,
        started: false,
        look_at: credential.clock().now(),
        refused: None,
        stale: None,
        credential,
    };
    if refresher.resume().await {
        refresher.rest().await;
    }
    while !refresher.progress.borrow().stopping {
        refresher.attempt().await;
        refresher.rest().await;
    }
    refresher.save_at_last().await;
}

struct Refresher {
    credential: Arc<Credential>,
    endpoint: TokenEndpoint,
    progress: watch::Receiver<Progress>,
    secrets: Secrets,
    backoff: Backoff,
    /// What was last complained of, and whether there was a usable token then: the same is not said as loudly again.
    complained: Option<(&'static str, bool)>,
    /// There was a token once, or the need of a login: what somebody ends from then on stays so until the next start.
    started: bool,
    /// When the store is looked at again.
    look_at: Moment,
    /// The token that an upstream refused last: it is not to stay on record.
    refused: Option<Secret>,
    /// The one of which it was said that it does.
    stale: Option<Secret>,
}

/// What came of an attempt.
enum Outcome {
    /// A token was asked for, and came.
    Issued {
        token: AccessToken,
        asked_at: Moment,
        /// What it was had with is in force in memory alone.
        unsaved: Option<StoreError>,
    },
    /// The store holds a good one: of an earlier run, or of another process.
    Adopted(AccessToken),
    /// The one in hand is good.
    Kept,
    /// The refresh token on record is another client's.
    OtherClient,
    /// Somebody has to log in.
    LoginRequired {
        /// Why, where there was a login.
        refused: Option<TokenRequestError>,
        /// One that is still good, though there will be no other.
        last: Option<AccessToken>,
        /// The one in hand is not to be used either.
        forget: bool,
    },
}

/// Why an attempt failed.
enum Cause {
    Request(TokenRequestError),
    SignIn(TokenRequestError),
    Store(StoreError),
}

impl From<StoreError> for Cause {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Refresher {
    /// Takes up the token that the store still holds; tells whether there is one.
    async fn resume(&mut self) -> bool {
        let Some(login) = self.credential.login() else {
            return false;
        };
        // An error is reported by the attempt that follows.
        let Ok(Some(token)) = login.peek().await else {
            return false;
        };
        self.adopt(token, "token.resumed");
        true
    }

    async fn attempt(&mut self) {
        self.secrets.mark_unchanged();
        let begun = self.credential.begin();
        let begun_at = self.credential.clock().now();
        let credential = self.credential.clone();
        let outcome = match credential.login() {
            None => self.ask_for_the_client().await,
            Some(login) => self.renew(login, &begun).await,
        };
        match outcome {
            Ok(Outcome::Issued {
                token,
                asked_at,
                unsaved,
            }) => self.succeeded(token, asked_at, unsaved),
            Ok(Outcome::Adopted(token)) => self.adopt(token, "token.adopted"),
            Ok(Outcome::Kept) => self.credential.keep(),
            Ok(Outcome::LoginRequired {
                refused,
                last,
                forget,
            }) => self.login_required(refused, last, forget),
            // It was told to end before it had asked for anything.
            Err(Cause::Store(StoreError::Interrupted)) if self.progress.borrow().stopping => {}
            Ok(Outcome::OtherClient) => self.other_client(),
            Err(cause) => self.failed(&cause, begun_at),
        }
    }

    async fn ask_for_the_client(&mut self) -> Result<Outcome, Cause> {
        let (answer, asked_at) = self.ask(Grant::ClientCredentials).await;
        let token = self.token(answer.map_err(Cause::Request)?, asked_at)?;
        Ok(Outcome::Issued {
            token,
            asked_at,
            unsaved: None,
        })
    }

    /// Asks once, and tells when.
    async fn ask(&self, grant: Grant<'_>) -> (Result<Issued, TokenRequestError>, Moment) {
        self.counted(grant.name(), self.endpoint.request(grant))
            .await
    }

    /// Makes a request, counts it, and tells when it began.
    async fn counted(
        &self,
        grant: &'static str,
        request: impl Future<Output = Result<Issued, TokenRequestError>>,
    ) -> (Result<Issued, TokenRequestError>, Moment) {
        let clock = self.credential.clock();
        self.credential.count_request();
        let asked_at = clock.now();
        let answer = request.await;
        let word = answer.as_ref().map_or_else(|error| error.kind(), |_| "ok");
        self.credential
            .metrics()
            .record_request(grant, word, clock.now().since(asked_at));
        (answer, asked_at)
    }

    /// Gives an issued token its deadlines, counted from before it was asked for.
    fn token(&self, issued: Issued, asked_at: Moment) -> Result<AccessToken, Cause> {
        let clock = self.credential.clock();
        let before = self.credential.provider().refresh_before;
        let deadlines = Deadlines::new(asked_at, issued.lifetime, before, random());
        if clock.now() >= deadlines.usable_until {
            let over = Fault::NotAToken("its lifetime was over when it came");
            return Err(Cause::Request(TokenRequestError::new(over)));
        }
        Ok(AccessToken::new(issued.access_token, deadlines, &**clock))
    }

    fn succeeded(&mut self, token: AccessToken, asked_at: Moment, unsaved: Option<StoreError>) {
        let now = self.credential.clock().now();
        let until = token.refresh_at.max(now + SHORTEST_REST);
        let failures = self.backoff.succeeded();
        tracing::info!(
            provider = %self.credential.name(),
            token = %token.secret.fingerprint(),
            lifetime_s = token.expires_at.since(now).as_secs_f64().round(),
            renewal_in_s = until.since(now).as_secs_f64().round(),
            ms = now.since(asked_at).as_millis(),
            failures,
            "token.renewed"
        );
        self.complained = None;
        self.started = true;
        self.credential.publish(Arc::new(token), until);
        if let Some(error) = unsaved {
            self.credential.unsaved(&error);
        }
    }

    /// Takes up a token that was not asked for now. Where its renewal is due already, that is next.
    fn adopt(&mut self, token: AccessToken, event: &'static str) {
        let now = self.credential.clock().now();
        tracing::info!(
            provider = %self.credential.name(),
            token = %token.secret.fingerprint(),
            renewal_in_s = token.refresh_at.since(now).as_secs_f64().round(),
            "{event}"
        );
        self.backoff.succeeded();
        self.complained = None;
        self.started = true;
        self.credential.take_up(Arc::new(token));
    }

    fn login_required(
        &mut self,
        refused: Option<TokenRequestError>,
        last: Option<AccessToken>,
        forget: bool,
    ) {
        if let Some(token) = last {
            self.adopt(token, "token.adopted");
        }
        if forget {
            self.credential.forget();
        }
        let provider = self.credential.name();
        match &refused {
            Some(error) => {
                tracing::error!(%provider, kind = error.kind(), %error, "login.required")
            }
            None => tracing::warn!(%provider, "login.required"),
        }
        self.backoff.succeeded();
        self.complained = None;
        self.started = true;
        let at = self.credential.clock().wall();
        self.credential
            .require_login(refused.map(|error| Failure::new(&error, at)));
    }

    fn other_client(&mut self) {
        let failure = Failure::other_client(self.credential.clock().wall());
        tracing::error!(provider = %self.credential.name(), kind = failure.kind(), "login.required");
        self.backoff.succeeded();
        self.complained = None;
        self.started = true;
        self.credential.require_login(Some(failure));
    }

    fn failed(&mut self, cause: &Cause, begun_at: Moment) {
        let clock = self.credential.clock();
        let (now, wall) = (clock.now(), clock.wall());
        let in_hand = self.credential.current();
        let (setback, failure, error): (_, _, &dyn std::fmt::Display) = match cause {
            Cause::Request(error) => (error.into(), Failure::new(error, wall), error),
            // Whatever of it was refused, an account is locked sooner than a client is.
            Cause::SignIn(error) => {
                let setback = Setback {
                    wants_a_change: !error.is_transient(),
                    ..error.into()
                };
                (setback, Failure::new(error, wall), error)
            }
            Cause::Store(error) => (Setback::default(), Failure::of_store(error, wall), error),
        };
        let retry = self.backoff.failed(
            setback,
            now,
            in_hand.as_ref().map(|token| token.usable_until),
            random(),
        );
        let complaint = Some((failure.kind(), in_hand.is_some()));
        let (provider, kind, usable) = (self.credential.name(), failure.kind(), in_hand.is_some());
        let (ms, next_s) = (
            now.since(begun_at).as_millis(),
            retry.at.since(now).as_secs_f64(),
        );
        if self.complained == complaint {
            tracing::info!(%provider, kind, usable, ms, next_s, %error, "token.failed");
        } else {
            tracing::warn!(%provider, kind, usable, ms, next_s, %error, "token.failed");
        }
        self.complained = complaint;
        self.credential.fail(failure, retry);
    }

    /// The record could not be rid of `refused`: nothing is lost by that, and it is tried again. It is said loudly once.
    fn stays_on_record(&mut self, refused: &Secret, error: &StoreError) {
        const STALE: &str = "store.stale: the token that an upstream refused is still on record, and a start would use it";
        let (provider, token) = (self.credential.name(), refused.fingerprint());
        // Somebody who has the lock most likely replaces it.
        if matches!(error, StoreError::Locked) || self.stale.as_ref() == Some(refused) {
            tracing::debug!(%provider, token, %error, "{STALE}");
            return;
        }
        tracing::warn!(%provider, token, %error, "{STALE}");
        self.stale = Some(refused.clone());
    }

    /// What could not be written yet has to be now, and without a token that was refused.
    async fn save_at_last(&mut self) {
        let credential = self.credential.clone();
        let Some(login) = credential.login() else {
            return;
        };
        let refused = self.progress.borrow().discarded.clone();
        if let Some(refused) = refused
            && let Err(error) = login.give_up(&refused).await
        {
            self.stays_on_record(&refused, &error);
        }
        if let Err(error) = login.save_at_last().await {
            tracing::error!(
                provider = %self.credential.name(),
                %error,
                "login.lost: the refresh token in memory could not be written before the end; log in again"
            );
            self.credential.lose();
        }
    }
}

/// In [0, 1).
pub(super) fn random() -> f64 {
    // Jitter guards no secret: where the system has no randomness to give, the middle will do.
    let bits = getrandom::u64().unwrap_or(1 << 63);
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Tells those who wait that nothing will come any more, however the task ends.
struct End(Arc<Credential>);

impl Drop for End {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(provider = %self.0.name(), "token.refresher_panicked");
        }
        self.0.end();
    }
}
