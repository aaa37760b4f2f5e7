//! The task of one credential: acquire → publish → sleep, for as long as the credential is in use.
//!
//! It alone asks the token endpoint, so that there is never more than one request in flight, and it belongs to nobody
//! who waits, so that callers who go away neither abort a request nor repeat it.

use std::{future, sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{
    access_token::AccessToken,
    credential::Credential,
    progress::{Failure, Phase, Progress},
    schedule::{Backoff, Deadlines},
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
    let progress = credential.watch();
    let provider = credential.provider().clone();
    let secret = provider.client_secret.as_ref().map(|secret| secret.subscribe());
    let endpoint = TokenEndpoint::new(provider, credential.clock().clone());
    let mut refresher =
        Refresher { credential, endpoint, progress, secret, backoff: Backoff::default(), complained: None };
    while !refresher.progress.borrow().stopping {
        refresher.attempt().await;
        refresher.rest().await;
    }
}

struct Refresher {
    credential: Arc<Credential>,
    endpoint: TokenEndpoint,
    progress: watch::Receiver<Progress>,
    /// The client's secret, where it may change.
    secret: Option<watch::Receiver<Arc<Secret>>>,
    backoff: Backoff,
    /// What was last complained of, and whether there was a usable token then: the same is not said as loudly again.
    complained: Option<(&'static str, bool)>,
}

impl Refresher {
    async fn attempt(&mut self) {
        const GRANT: Grant = Grant::ClientCredentials;
        if let Some(secret) = &mut self.secret {
            // A change from here on is news; this very value is what the request will be made with.
            secret.mark_unchanged();
        }
        self.credential.begin();
        let clock = self.credential.clock().clone();
        let asked_at = clock.now();
        let answer = self.endpoint.request(GRANT).await;
        let elapsed = clock.now().since(asked_at);
        let outcome = answer.and_then(|issued| self.token(issued, asked_at));
        let word = outcome.as_ref().map_or_else(|error| error.kind(), |_| "ok");
        self.credential.metrics().request(GRANT.name(), word, elapsed);
        match outcome {
            Ok(token) => self.succeeded(token, elapsed),
            Err(error) => self.failed(&error, elapsed),
        }
    }

    /// Gives an issued token its deadlines, counted from before it was asked for.
    fn token(&self, issued: Issued, asked_at: Moment) -> Result<AccessToken, TokenRequestError> {
        let clock = self.credential.clock();
        let before = self.credential.provider().refresh_before;
        let deadlines = Deadlines::new(asked_at, issued.lifetime, before, random());
        if clock.now() >= deadlines.usable_until {
            return Err(TokenRequestError::new(Fault::NotAToken("its lifetime was over when it came")));
        }
        Ok(AccessToken::new(issued.access_token, deadlines, &**clock))
    }

    fn succeeded(&mut self, token: AccessToken, elapsed: Duration) {
        let now = self.credential.clock().now();
        let until = token.refresh_at.max(now + SHORTEST_REST);
        let failures = self.backoff.succeeded();
        tracing::info!(
            provider = %self.credential.name(),
            token = %token.secret.fingerprint(),
            lifetime_s = token.expires_at.since(now).as_secs_f64().round(),
            renewal_in_s = until.since(now).as_secs_f64().round(),
            ms = elapsed.as_millis(),
            failures,
            "token.renewed"
        );
        self.complained = None;
        self.credential.publish(Arc::new(token), until);
    }

    fn failed(&mut self, error: &TokenRequestError, elapsed: Duration) {
        let clock = self.credential.clock();
        let now = clock.now();
        let in_hand = self.credential.current();
        let retry = self.backoff.failed(error, now, in_hand.as_ref().map(|token| token.usable_until), random());
        let complaint = Some((error.kind(), in_hand.is_some()));
        let (provider, kind, usable) = (self.credential.name(), error.kind(), in_hand.is_some());
        let (ms, next_s) = (elapsed.as_millis(), retry.at.since(now).as_secs_f64());
        if self.complained == complaint {
            tracing::info!(%provider, kind, usable, ms, next_s, %error, "token.failed");
        } else {
            tracing::warn!(%provider, kind, usable, ms, next_s, %error, "token.failed");
        }
        self.complained = complaint;
        self.credential.fail(Failure::new(error, clock.wall()), retry);
    }

    /// Sleeps until the next attempt is due or wanted, or a changed secret makes it worth while.
    async fn rest(&mut self) {
        loop {
            let (due, refused) = {
                let progress = self.progress.borrow_and_update();
                if progress.stopping || progress.wanted {
                    return;
                }
                let due = match progress.phase {
                    Phase::Resting { until } => until,
                    Phase::BackingOff(retry) => retry.at,
                    Phase::Fetching | Phase::LoginRequired | Phase::Ended => return,
                };
                (due, progress.failure.as_ref().is_some_and(Failure::refused))
            };
            tokio::select! {
                () = self.credential.clock().sleep_until(due) => return,
                // An error would mean that the credential is gone, which we hold.
                _ = self.progress.changed() => {}
                () = changed(&mut self.secret), if refused => return,
            }
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

/// In [0, 1).
fn random() -> f64 {
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
