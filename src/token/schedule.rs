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
            refresh_at: policy.renewal(bound, random).map(after),
            usable_until: bound.map(|bound| after(bound - (bound / 10).min(MAX_RESERVE))),
            expires_at: told.map(after),
        }
    }

    /// Moves all deadlines back by the `age` of a token, which may be longer than the time since boot.
    pub fn earlier_by(self, age: Duration) -> Self {
        let earlier = |instant: BootInstant| instant - age;
        Self {
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oauth::error::{Fault, TokenRefusal};

    const START: BootInstant = BootInstant::from_boot(Duration::from_secs(1000));

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn renewable(before: Option<f64>) -> RenewalPolicy {
        RenewalPolicy {
            can_renew: true,
            before: before.map(seconds),
            ..RenewalPolicy::default()
        }
    }

    /// The seconds until renewal and last use.
    fn deadlines(lifetime: f64, policy: RenewalPolicy, random: f64) -> (f64, f64) {
        let told = Lifetime::For(seconds(lifetime));
        let deadlines = TokenDeadlines::new(START, told, policy, random);
        let after = |moment: Option<BootInstant>| moment.unwrap().since(START).as_secs_f64();
        assert_eq!(deadlines.expires_at, Some(START + seconds(lifetime)));
        (after(deadlines.refresh_at), after(deadlines.usable_until))
    }

    fn error(fault: Fault, pause: Option<u64>) -> TokenRequestError {
        TokenRequestError::new(fault).with_retry_after(pause.map(Duration::from_secs))
    }

    fn wait(
        backoff: &mut Backoff,
        error: &TokenRequestError,
        left: Option<f64>,
        random: f64,
    ) -> f64 {
        let usable_until = left.map(|left| START + seconds(left));
        backoff
            .record_failure(error, START, usable_until, random)
            .at
            .since(START)
            .as_secs_f64()
    }

    #[test]
    fn a_refresh_is_due_a_tenth_before_expiry_within_bounds() {
        let due = |lifetime| deadlines(lifetime, renewable(None), 0.0);
        assert_eq!(due(3600.0), (3300.0, 3590.0));
        assert_eq!(due(1000.0), (900.0, 990.0));
        assert_eq!(due(100.0), (70.0, 90.0));
        assert_eq!(due(40.0), (20.0, 36.0));
        assert_eq!(due(2.0), (1.0, 1.8));
        assert_eq!(due(86400.0), (86100.0, 86390.0));
    }

    #[test]
    fn a_configured_distance_is_exact_up_to_the_lifetime() {
        for (lifetime, before, due) in [
            (3600.0, 60.0, 3540.0),
            (600.0, 25.0, 575.0),
            (3600.0, 3000.0, 600.0),
            (3600.0, 1.0, 3599.0),
            (3600.0, 3600.0, 5.0),
            (3600.0, 9999.0, 5.0),
            (4.0, 4.0, 2.0),
        ] {
            for random in [0.0, 0.999] {
                let (refresh, _) = deadlines(lifetime, renewable(Some(before)), random);
                assert_eq!(refresh, due, "{lifetime} {before}");
            }
        }
    }

    #[test]
    fn jitter_moves_the_refresh_earlier() {
        assert_eq!(deadlines(3600.0, renewable(None), 0.5).0, 3270.0);
        assert_eq!(deadlines(100.0, renewable(None), 0.5).0, 65.0);
    }

    #[test]
    fn jitter_is_bounded_by_its_key_and_turned_off_by_zero() {
        let policy = |before, jitter| RenewalPolicy {
            jitter: Some(seconds(jitter)),
            ..renewable(before)
        };
        assert_eq!(deadlines(600.0, policy(Some(25.0), 4.0), 0.5).0, 573.0);
        assert_eq!(deadlines(600.0, policy(Some(25.0), 500.0), 0.5).0, 545.0);
        assert_eq!(deadlines(3600.0, policy(None, 0.0), 0.9).0, 3300.0);
    }

    #[test]
    fn no_renewal_is_due_in_the_first_seconds() {
        for (lifetime, earliest) in [(3600.0, 5.0), (10.0, 5.0), (6.0, 3.0)] {
            let policy = RenewalPolicy {
                jitter: Some(seconds(60.0)),
                ..renewable(Some(lifetime))
            };
            assert_eq!(deadlines(lifetime, policy, 0.9).0, earliest);
        }
    }

    #[test]
    fn a_long_or_endless_token_is_renewed_every_day_if_it_can_be() {
        assert_eq!(deadlines(7_776_000.0, renewable(None), 0.0).0, 86400.0);
        let endless = |policy| TokenDeadlines::new(START, Lifetime::Never, policy, 0.0);
        let renewed = endless(renewable(None));
        assert_eq!(renewed.refresh_at, Some(START + seconds(86400.0)));
        assert_eq!((renewed.usable_until, renewed.expires_at), (None, None));
        assert_eq!(endless(RenewalPolicy::default()).refresh_at, None);
    }

    #[test]
    fn the_maximum_bounds_use_and_renewal_and_not_the_expiry() {
        let policy = RenewalPolicy {
            max_lifetime: Some(seconds(1000.0)),
            ..renewable(None)
        };
        assert_eq!(deadlines(7200.0, policy, 0.0), (900.0, 990.0));
        let endless = TokenDeadlines::new(START, Lifetime::Never, policy, 0.0);
        assert_eq!(endless.usable_until, Some(START + seconds(990.0)));
        assert_eq!(endless.expires_at, None);
    }

    #[test]
    fn a_refresh_token_that_would_expire_unused_is_used_before() {
        let policy = |left| RenewalPolicy {
            login_left: Some(seconds(left)),
            ..renewable(None)
        };
        assert_eq!(deadlines(28800.0, policy(3600.0), 0.0).0, 3300.0);
        assert_eq!(deadlines(3600.0, policy(28800.0), 0.0).0, 3300.0);
    }

    #[test]
    fn failures_wait_longer_each_time_up_to_half_a_minute() {
        let mut backoff = Backoff::default();
        let down = error(Fault::Connect, None);
        let waits: Vec<_> = (0..7)
            .map(|_| wait(&mut backoff, &down, Some(3600.0), 0.5))
            .collect();
        assert_eq!(waits, [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]);
        assert_eq!(backoff.reset(), 7);
        assert_eq!(wait(&mut backoff, &down, Some(3600.0), 0.0), 0.1);
    }

    #[test]
    fn a_retry_after_is_respected_up_to_five_minutes() {
        let mut backoff = Backoff::default();
        assert_eq!(
            wait(&mut backoff, &error(Fault::Limited, Some(120)), None, 0.5),
            120.0
        );
        assert_eq!(
            wait(&mut backoff, &error(Fault::Limited, Some(86400)), None, 0.5),
            300.0
        );
        assert_eq!(
            wait(&mut backoff, &error(Fault::Limited, Some(0)), None, 0.5),
            2.0
        );
    }

    #[test]
    fn refusals_that_need_an_operator_are_spaced_and_no_others() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = [
            TokenRefusal::InvalidClient,
            TokenRefusal::InvalidScope,
            TokenRefusal::UnauthorizedClient,
        ]
        .into_iter()
        .cycle()
        .take(6)
        .map(|refusal| {
            wait(
                &mut backoff,
                &error(Fault::Refused(refusal), None),
                Some(3600.0),
                0.0,
            )
        })
        .collect();
        assert_eq!(waits, [60.0, 120.0, 240.0, 480.0, 600.0, 600.0]);
        for refusal in [
            TokenRefusal::InvalidRequest,
            TokenRefusal::InvalidGrant,
            TokenRefusal::UnsupportedGrantType,
        ] {
            assert!(
                wait(
                    &mut Backoff::default(),
                    &error(Fault::Refused(refusal), None),
                    None,
                    0.9
                ) <= 1.0
            );
        }
    }

    #[test]
    fn an_invalidated_token_brings_the_next_attempt_forward_but_not_before_retry_after() {
        let free = Retry {
            at: START + seconds(29.0),
            not_before: None,
        };
        assert_eq!(free.without_token(START).at, START + seconds(15.0));
        let paused = Retry {
            at: START + seconds(200.0),
            not_before: Some(START + seconds(100.0)),
        };
        assert_eq!(paused.without_token(START).at, START + seconds(100.0));
    }

    proptest! {
        #[test]
        fn a_renewal_keeps_within_its_bounds(
            lifetime in 1.0..1e7f64, before in prop::option::of(0.0..1e6f64), jitter in prop::option::of(0.0..100.0f64),
            random in 0.0..1.0f64
        ) {
            let policy = RenewalPolicy { jitter: jitter.map(seconds), ..renewable(before) };
            let (refresh, usable) = deadlines(lifetime, policy, random);
            let longest = (lifetime / 10.0).min(60.0).min(jitter.unwrap_or(60.0));
            prop_assert!((usable - (lifetime - (lifetime / 10.0).min(10.0))).abs() < 1e-6);
            prop_assert!(refresh + 1e-6 >= (lifetime / 2.0).min(5.0) && refresh <= lifetime + 1e-6);
            prop_assert!(refresh <= 86400.0 + 1e-6);
            prop_assert!(before.is_some() || refresh < usable);
            let latest = deadlines(lifetime, policy, 0.0).0;
            prop_assert!(refresh <= latest + 1e-6 && latest - refresh <= longest + 1e-6);
        }

        #[test]
        fn no_wait_leaves_the_bounds(
            failures in 0u32..40, left in prop::option::of(0.0..1e5f64), random in 0.0..1.0f64,
            pause in prop::option::of(0u64..1_000_000)
        ) {
            let mut backoff = Backoff { failures, refusals: 0 };
            let waited = wait(&mut backoff, &error(Fault::Server(503), pause), left, random);
            let asked = pause.map_or(0.0, |pause| pause.min(300) as f64);
            prop_assert!(waited >= 0.1 && waited >= asked);
            prop_assert!(waited <= 30f64.max(asked));
            prop_assert!(waited <= (left.unwrap_or(0.0) + 15.0).max(asked) + 1e-6);
        }
    }
}
