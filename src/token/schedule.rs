//! The refresh schedule: the deadlines of a token, and the wait after a failed attempt. All pure.

use std::time::Duration;

use crate::{
    clock::BootInstant,
    oauth::{
        error::TokenRequestError,
        provider::{Lifetime, Provider},
    },
};

/// The shortest wait, so that full jitter never means an immediate retry.
const MIN_WAIT: Duration = Duration::from_millis(100);
/// The longest wait while the old token is usable.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// The longest wait without a usable token.
const MAX_WAIT_WITHOUT_TOKEN: Duration = Duration::from_secs(15);
/// The longest `Retry-After` that is respected.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);
/// The first wait after a refusal that only an operator can resolve.
const MIN_REFUSAL_WAIT: Duration = Duration::from_secs(60);
/// The longest of those waits.
const MAX_REFUSAL_WAIT: Duration = Duration::from_secs(10 * 60);

/// The longest time between two renewals of a token.
const MAX_RENEWAL_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest time after its request in which no renewal is due.
const MAX_GRACE: Duration = Duration::from_secs(5);
/// The longest time before its expiry in which a token is no longer sent.
const MAX_RESERVE: Duration = Duration::from_secs(10);
/// The longest random lead.
const MAX_JITTER: Duration = Duration::from_secs(60);

/// The settings of a token's renewal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenewalPolicy {
    /// Whether a new token can be had without a person.
    pub can_renew: bool,
    /// The configured time between renewal and expiry.
    pub before: Option<Duration>,
    /// The configured upper bound of the random lead.
    pub jitter: Option<Duration>,
    /// The configured bound of every lifetime.
    pub max_lifetime: Option<Duration>,
    /// The time from the token's request to the end of a refresh token that a renewal extends.
    pub login_left: Option<Duration>,
}

impl RenewalPolicy {
    /// Creates the policy of `provider` for a token that can be renewed if `can_renew`.
    pub fn new(provider: &Provider, can_renew: bool, login_left: Option<Duration>) -> Self {
        Self {
            can_renew,
            before: provider.refresh.before,
            jitter: provider.refresh.jitter,
            max_lifetime: provider.token_response.max_lifetime,
            login_left,
        }
    }

    /// Returns the time from the request to the renewal. `random`, in [0, 1), is the position within the jitter.
    ///
    /// A fleet that started together must not renew together. A configured `before` is exact unless `jitter` is
    /// configured too.
    fn renewal(self, lifetime: Option<Duration>, random: f64) -> Option<Duration> {
        if !self.can_renew {
            return None;
        }
        let expiring = lifetime.map(|lifetime| self.lead_from(lifetime));
        // A refresh token that would expire unused is used in time.
        let idling = self.login_left.map(|left| left - default_lead(left));
        let due = [expiring, idling].into_iter().flatten();
        let due = due.fold(MAX_RENEWAL_INTERVAL, Duration::min);

        let base = lifetime.unwrap_or(MAX_RENEWAL_INTERVAL);
        let is_exact = self.before.is_some() && self.jitter.is_none();
        let jitter = match self.jitter {
            Some(jitter) => jitter.min(MAX_JITTER),
            None if is_exact => Duration::ZERO,
            None => MAX_JITTER,
        };
        let jitter = jitter.min(base / 10).mul_f64(random);
        Some(due.saturating_sub(jitter).max(MAX_GRACE.min(base / 2)))
    }

    fn lead_from(self, lifetime: Duration) -> Duration {
        lifetime.saturating_sub(self.before.unwrap_or_else(|| default_lead(lifetime)))
    }
}

/// Returns the default of `before`: a tenth of the lifetime within 30 s and 5 min, at most half.
fn default_lead(lifetime: Duration) -> Duration {
    (lifetime / 10)
        .clamp(Duration::from_secs(30), Duration::from_secs(5 * 60))
        .min(lifetime / 2)
}

/// The instants that decide a token's use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenDeadlines {
    /// When the token was requested.
    pub requested_at: BootInstant,
    /// When the token is due for refresh, jitter included; `None` if it cannot be renewed.
    pub refresh_at: Option<BootInstant>,
    /// When the token stops being sent; `None` if never.
    pub usable_until: Option<BootInstant>,
    /// When the token expires according to the authorization server; `None` if never.
    pub expires_at: Option<BootInstant>,
}

impl TokenDeadlines {
    /// Computes the deadlines of a token that was requested at `requested_at` and lives for `lifetime`.
    ///
    /// `random`, in [0, 1), is the position within the jitter.
    pub fn new(
        requested_at: BootInstant,
        lifetime: Lifetime,
        policy: RenewalPolicy,
        random: f64,
    ) -> Self {
        let told = match lifetime {
            Lifetime::For(lifetime) => Some(lifetime),
            Lifetime::Never => None,
        };
        let bound = [told, policy.max_lifetime].into_iter().flatten().min();
        let after = |elapsed| requested_at + elapsed;
        Self {
            requested_at,
            refresh_at: policy.renewal(bound, random).map(after),
            usable_until: bound.map(|bound| after(bound - (bound / 10).min(MAX_RESERVE))),
            expires_at: told.map(after),
        }
    }

    /// Moves all deadlines back by the `age` of a token, which may be longer than the time since boot.
    pub fn earlier_by(self, age: Duration) -> Self {
        let earlier = |instant: BootInstant| instant - age;
        Self {
            requested_at: earlier(self.requested_at),
            refresh_at: self.refresh_at.map(earlier),
            usable_until: self.usable_until.map(earlier),
            expires_at: self.expires_at.map(earlier),
        }
    }
}

/// The exponential back-off. Counts the failures since the last success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    refusals: u32,
}

impl Backoff {
    /// Records a failed attempt and returns when the next one is due.
    ///
    /// `usable_until` is the end of the current token, if there is one. `random` is in [0, 1).
    pub fn record_failure(
        &mut self,
        setback: impl Into<Setback>,
        now: BootInstant,
        usable_until: Option<BootInstant>,
        random: f64,
    ) -> Retry {
        let Setback {
            retry_after,
            needs_operator,
        } = setback.into();
        let retry_after = retry_after.map(|wait| wait.min(MAX_RETRY_AFTER));

        if needs_operator {
            let wait = doubled(MIN_REFUSAL_WAIT, self.refusals).min(MAX_REFUSAL_WAIT);
            self.refusals = self.refusals.saturating_add(1);
            self.failures = 0;
            let at = now + wait.max(retry_after.unwrap_or_default());
            return Retry {
                at,
                not_before: Some(at),
            };
        }

        let left = usable_until.map_or(Duration::ZERO, |end| end.since(now));
        // A token that expires during the wait must not lengthen the time without a token.
        let longest = MAX_WAIT.min(left.saturating_add(MAX_WAIT_WITHOUT_TOKEN));
        let ceiling = doubled(Duration::from_secs(1), self.failures).min(longest);
        self.failures = self.failures.saturating_add(1);
        let wait = ceiling
            .mul_f64(random)
            .max(MIN_WAIT)
            .max(retry_after.unwrap_or_default());
        Retry {
            at: now + wait,
            not_before: retry_after.map(|wait| now + wait),
        }
    }

    /// Resets the back-off after a success and returns how many attempts had failed before it.
    pub fn reset(&mut self) -> u32 {
        let Self { failures, refusals } = std::mem::take(self);
        failures.saturating_add(refusals)
    }
}

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(2u32.saturating_pow(times.min(16)))
}

/// The part of a failed attempt that decides when the next one is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setback {
    /// The `Retry-After` of the server (RFC 9110 section 10.2.3).
    pub retry_after: Option<Duration>,
    /// Only an operator can resolve it; frequent attempts could lock the client or account out.
    pub needs_operator: bool,
}

impl From<&TokenRequestError> for Setback {
    fn from(error: &TokenRequestError) -> Self {
        Self {
            retry_after: error.retry_after(),
            needs_operator: error.needs_change(),
        }
    }
}

/// When the next attempt is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The instant.
    pub at: BootInstant,
    /// The earliest instant that the server allows, even without a usable token.
    pub not_before: Option<BootInstant>,
}

impl Retry {
    /// Brings the attempt forward once the current token was invalidated at `now`.
    pub fn without_token(self, now: BootInstant) -> Self {
        let at = self.at.min(now + MAX_WAIT_WITHOUT_TOKEN);
        Self {
            at: self.not_before.map_or(at, |earliest| at.max(earliest)),
            ..self
        }
    }
}

#[cfg(test)]
mod tests;
