//! When to ask for a token: the deadlines of one that came, and the wait after an attempt that failed. All pure.

use std::time::Duration;

use crate::{clock::BootInstant, oauth::error::TokenRequestError};

/// The instants that decide a token's use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// When its renewal is due, jitter included.
    pub refresh_at: BootInstant,
    /// From here on it is no longer sent.
    pub usable_until: BootInstant,
    /// When the authorization server says it ends.
    pub expires_at: BootInstant,
}

impl Deadlines {
    /// The deadlines of a token that was asked for at `asked_at` and lives for `lifetime` from then on.
    ///
    /// `before` is the configured distance of the renewal from the expiry. It is never more than half of the lifetime,
    /// and never so little that the token would go out of use before its successor can have come. `random`, in [0, 1),
    /// is where within the jitter this one falls: a fleet that started together must not renew together.
    pub fn new(
        asked_at: BootInstant,
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
            refresh_at: asked_at + (lifetime - before).saturating_sub(jitter),
            usable_until: asked_at + (lifetime - reserve),
            expires_at: asked_at + lifetime,
        }
    }
}

/// Counts the failures since the last success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    refusals: u32,
}

/// What an attempt that failed says about the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setback {
    /// How long the server asked to be left alone.
    pub pause: Option<Duration>,
    /// Only a change to the client or its account can help: asking often may at best lock it out.
    pub wants_a_change: bool,
}

impl From<&TokenRequestError> for Setback {
    fn from(error: &TokenRequestError) -> Self {
        Self {
            pause: error.asked_to_wait(),
            wants_a_change: error.wants_a_change(),
        }
    }
}

/// When the next attempt is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The instant.
    pub at: BootInstant,
    /// Where the server asked for a pause or refuses the client: not before this, whoever is without a token.
    pub not_before: Option<BootInstant>,
}

/// The shortest wait, so that full jitter never means at once.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait while the old token is good.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The longest wait for those who have no token.
const LONGEST_WAIT_WITHOUT: Duration = Duration::from_secs(15);
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// The first wait where only a change to the client can help.
const FIRST_SPACING: Duration = Duration::from_secs(60);
/// The longest of those.
const LONGEST_SPACING: Duration = Duration::from_secs(10 * 60);

impl Backoff {
    /// An attempt failed at `now`; `usable_until` is the end of the token in hand, if there is one. `random` is in [0, 1).
    pub fn failed(
        &mut self,
        setback: impl Into<Setback>,
        now: BootInstant,
        usable_until: Option<BootInstant>,
        random: f64,
    ) -> Retry {
        let Setback {
            pause,
            wants_a_change,
        } = setback.into();
        let pause = pause.map(|pause| pause.min(LONGEST_PAUSE));
        if wants_a_change {
            let wait = doubled(FIRST_SPACING, self.refusals).min(LONGEST_SPACING);
            self.refusals = self.refusals.saturating_add(1);
            self.failures = 0;
            let at = now + wait.max(pause.unwrap_or_default());
            return Retry {
                at,
                not_before: Some(at),
            };
        }
        let left = usable_until.map_or(Duration::ZERO, |end| end.since(now));
        // A token that ends while we wait leaves nobody without one for longer than those who had none.
        let longest = LONGEST_WAIT.min(left.saturating_add(LONGEST_WAIT_WITHOUT));
        let ceiling = doubled(Duration::from_secs(1), self.failures).min(longest);
        self.failures = self.failures.saturating_add(1);
        let wait = ceiling
            .mul_f64(random)
            .max(SHORTEST_WAIT)
            .max(pause.unwrap_or_default());
        Retry {
            at: now + wait,
            not_before: pause.map(|pause| now + pause),
        }
    }

    /// An attempt succeeded; tells how many had failed before it.
    pub fn succeeded(&mut self) -> u32 {
        let Self { failures, refusals } = std::mem::take(self);
        failures.saturating_add(refusals)
    }
}

impl Retry {
    /// The same once the token in hand was discarded at `now`: no later than for those who have none.
    pub fn without_token(self, now: BootInstant) -> Self {
        let at = self.at.min(now + LONGEST_WAIT_WITHOUT);
        Self {
            at: self.not_before.map_or(at, |earliest| at.max(earliest)),
            ..self
        }
    }
}

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(2u32.saturating_pow(times.min(16)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oauth::error::{Fault, Refusal};

    const START: BootInstant = BootInstant::from_boot(Duration::from_secs(1000));

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn deadlines(lifetime: f64, before: Option<f64>, random: f64) -> (f64, f64) {
        let deadlines = Deadlines::new(START, seconds(lifetime), before.map(seconds), random);
        let after = |moment: BootInstant| moment.since(START).as_secs_f64();
        assert_eq!(deadlines.expires_at, START + seconds(lifetime));
        (after(deadlines.refresh_at), after(deadlines.usable_until))
    }

    fn error(fault: Fault, pause: Option<u64>) -> TokenRequestError {
        TokenRequestError::new(fault).retry_after(pause.map(Duration::from_secs))
    }

    fn wait(
        backoff: &mut Backoff,
        error: &TokenRequestError,
        left: Option<f64>,
        random: f64,
    ) -> f64 {
        let usable_until = left.map(|left| START + seconds(left));
        backoff
            .failed(error, START, usable_until, random)
            .at
            .since(START)
            .as_secs_f64()
    }

    #[test]
    fn renewal_is_due_a_tenth_before_the_end_within_bounds() {
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
    fn a_configured_distance_leaves_time_to_renew() {
        assert_eq!(deadlines(3600.0, Some(0.0), 0.0), (3585.0, 3590.0));
    }

    #[test]
    fn jitter_moves_the_renewal_earlier() {
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
        assert_eq!(backoff.succeeded(), 7);
        assert_eq!(wait(&mut backoff, &down, Some(3600.0), 0.0), 0.1);
    }

    #[test]
    fn a_server_that_asks_for_a_pause_gets_it_up_to_five_minutes() {
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
    fn refusals_that_want_a_change_are_spaced_and_no_others() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = [
            Refusal::InvalidClient,
            Refusal::InvalidScope,
            Refusal::UnauthorizedClient,
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
            Refusal::InvalidRequest,
            Refusal::InvalidGrant,
            Refusal::UnsupportedGrantType,
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
    fn a_discarded_token_brings_the_next_attempt_forward_but_not_into_a_pause() {
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
        fn a_token_is_renewed_before_it_goes_out_of_use(
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
