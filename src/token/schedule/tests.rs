//! Deadlines of tokens, and waits after failures.

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

fn wait(backoff: &mut Backoff, error: &TokenRequestError, left: Option<f64>, random: f64) -> f64 {
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
