//! The refresh schedule: the deadlines of a token, and the wait after a failed attempt. All pure.

use std::time::Duration;

use crate::{clock::BootInstant, oauth::error::TokenRequestError};

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

/// The instants that decide a token's use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenDeadlines {
    /// When the token is due for refresh, jitter included.
    pub refresh_at: BootInstant,
    /// When the token stops being sent.
    pub usable_until: BootInstant,
    /// When the token expires according to the authorization server.
    pub expires_at: BootInstant,
}

impl TokenDeadlines {
    /// Computes the deadlines of a token that was requested at `requested_at` and lives for `lifetime`.
    ///
    /// `before` is the configured time between refresh and expiry. It is capped at half the lifetime, and raised so
    /// that the successor can arrive before the token stops being sent. `random`, in [0, 1), is the position within
    /// the jitter: a fleet that started together must not refresh together.
    pub fn new(
        requested_at: BootInstant,
        lifetime: Duration,
        before: Option<Duration>,
        random: f64,
    ) -> Self {
        let reserve = (lifetime / 10).min(Duration::from_secs(10));
        let before = match before {
            Some(before) => before.max(reserve + reserve / 2),
            None => (lifetime / 10).clamp(Duration::from_secs(30), Duration::from_secs(5 * 60)),
        };
        let before = before.min(lifetime / 2);
        let jitter = (lifetime / 10)
            .min(Duration::from_secs(60))
            .min(lifetime / 4)
            .mul_f64(random);

        Self {
            refresh_at: requested_at + (lifetime - before).saturating_sub(jitter),
            usable_until: requested_at + (lifetime - reserve),
            expires_at: requested_at + lifetime,
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

    fn deadlines(lifetime: f64, before: Option<f64>, random: f64) -> (f64, f64) {
        let deadlines = TokenDeadlines::new(START, seconds(lifetime), before.map(seconds), random);
        let after = |moment: BootInstant| moment.since(START).as_secs_f64();
        assert_eq!(deadlines.expires_at, START + seconds(lifetime));
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
        assert_eq!(deadlines(3600.0, None, 0.0), (3300.0, 3590.0));
        assert_eq!(deadlines(1000.0, None, 0.0), (900.0, 990.0));
        assert_eq!(deadlines(100.0, None, 0.0), (70.0, 90.0));
        assert_eq!(deadlines(40.0, None, 0.0), (20.0, 36.0));
        assert_eq!(deadlines(2.0, None, 0.0), (1.0, 1.8));
        assert_eq!(deadlines(86400.0, None, 0.0), (86100.0, 86390.0));
    }

    #[test]
    fn a_configured_distance_is_kept_but_never_above_half() {
        assert_eq!(deadlines(3600.0, Some(60.0), 0.0).0, 3540.0);
        assert_eq!(deadlines(3600.0, Some(3600.0), 0.0).0, 1800.0);
    }

    #[test]
    fn a_configured_distance_leaves_time_to_refresh() {
        assert_eq!(deadlines(3600.0, Some(0.0), 0.0), (3585.0, 3590.0));
    }

    #[test]
    fn jitter_moves_the_refresh_earlier() {
        assert_eq!(deadlines(3600.0, None, 0.5).0, 3270.0);
        assert_eq!(deadlines(100.0, None, 0.5).0, 65.0);
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
        fn a_token_is_refreshed_before_it_stops_being_sent(
            lifetime in 1.0..86400.0f64, before in prop::option::of(0.0..1e6f64), random in 0.0..1.0f64
        ) {
            let (refresh, usable) = deadlines(lifetime, before, random);
            let jitter = (lifetime / 10.0).min(60.0);
            prop_assert!(refresh > 0.0 && refresh < usable && usable < lifetime);
            prop_assert!(refresh >= lifetime / 2.0 - jitter - 1e-6);
            prop_assert!((usable - (lifetime - (lifetime / 10.0).min(10.0))).abs() < 1e-6);
            let latest = deadlines(lifetime, before, 0.0).0;
            prop_assert!(refresh <= latest && latest - refresh <= jitter + 1e-6);
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
