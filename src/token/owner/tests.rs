//! The published state: snapshot, cache and metrics always agree.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;
use crate::{
    clock::ManualClock,
    oauth::{
        error::{Fault, TokenRequestError},
        provider::Lifetime,
    },
    secret::Secret,
    telemetry::metrics::Metrics,
    token::{
        access_token::AccessToken,
        cache::TokenCache,
        schedule::{RenewalPolicy, TokenDeadlines},
    },
};

fn new(clock: &ManualClock, metrics: &Metrics) -> (StateOwner, StateHandle) {
    new_state(
        "fake".into(),
        Arc::new(clock.clone()),
        TokenCache::new().new_slot(),
        metrics.provider("fake"),
    )
}

fn token(clock: &ManualClock, number: usize) -> Token {
    let lifetime = Lifetime::For(Duration::from_secs(100));
    let policy = RenewalPolicy {
        can_renew: true,
        ..RenewalPolicy::default()
    };
    let deadlines = TokenDeadlines::new(clock.now(), lifetime, policy, 0.0);
    Arc::new(AccessToken::new(
        Secret::new(format!("t{number}")),
        deadlines,
        clock,
    ))
}

fn failure() -> AttemptFailure {
    let error = TokenRequestError::new(Fault::Connect);
    AttemptFailure::of_request(&error, SystemTime::UNIX_EPOCH)
}

/// Makes the change of that number.
fn change(owner: &mut StateOwner, clock: &ManualClock, number: usize, issued: &mut Vec<Token>) {
    let retry = Retry {
        at: clock.now() + Duration::from_secs(5),
        not_before: None,
    };
    match number {
        0 => {
            owner.begin();
        }
        1 => {
            let token = token(clock, issued.len());
            issued.push(token.clone());
            owner.publish(Publication::Issued {
                refresh_at: token.refresh_at,
                token,
                unsaved: None,
            });
        }
        2 => {
            if let Some(token) = issued.last() {
                owner.publish(Publication::Restored(token.clone()));
            }
        }
        3 => owner.publish(Publication::Unchanged),
        4 => owner.fail(failure(), retry),
        5 => owner.end_login(),
        6 => owner.require_login(Some(failure()), None),
        7 => {
            if let Some(token) = issued.last() {
                let _ = owner.invalidate(token, ReplayPlan::Follows);
            }
        }
        8 => owner.publish_login(None, None),
        _ => clock.advance(Duration::from_secs(35)),
    }
}

proptest! {
    #[test]
    fn the_cache_holds_the_token_of_the_latest_snapshot(
        changes in prop::collection::vec(0usize..10, 0..60)
    ) {
        let (clock, metrics, mut issued) = (ManualClock::new(), Metrics::new(), Vec::new());
        let (mut owner, handle) = new(&clock, &metrics);
        for number in changes {
            change(&mut owner, &clock, number, &mut issued);
            let now = clock.now();
            let snapshot = handle.snapshot();
            prop_assert!(is_same(handle.current(now).as_ref(), snapshot.usable_token(now)));
            prop_assert!(is_same(owner.current().as_ref(), snapshot.usable_token(now)));
        }
    }
}

#[tokio::test]
async fn a_command_is_handled_while_the_owner_waits_for_work() {
    let (clock, metrics) = (ManualClock::new(), Metrics::new());
    let (mut owner, handle) = new(&clock, &metrics);
    let seen = token(&clock, 1);
    owner.publish(Publication::Restored(seen.clone()));
    owner.begin();
    let client = async {
        handle
            .invalidate(&seen, ReplayPlan::Impossible)
            .await
            .unwrap();
        assert!(handle.current(clock.now()).is_none());
    };
    owner.run_while(client).await;
}

#[tokio::test]
async fn an_owner_that_is_dropped_ends_the_credential() {
    let (clock, metrics) = (ManualClock::new(), Metrics::new());
    let (owner, handle) = new(&clock, &metrics);
    drop(owner);
    handle.ended().await;
    assert_eq!(handle.snapshot().phase, Phase::Ended);
    let refused = token(&clock, 1);
    let error = handle.invalidate(&refused, ReplayPlan::Follows).await;
    assert!(matches!(error, Err(TokenError::Unavailable { .. })));
    handle.publish_login(Some(refused), None).await;
    handle.require_login().await;
}

#[tokio::test]
async fn a_stop_is_published_and_does_not_cut_off_the_work() {
    let (clock, metrics) = (ManualClock::new(), Metrics::new());
    let (mut owner, handle) = new(&clock, &metrics);
    handle.stop();
    let work = async {
        while !handle.snapshot().stopping {
            tokio::task::yield_now().await;
        }
        "done"
    };
    assert_eq!(owner.run_while(work).await, "done");
}

#[test]
fn metrics_follow_the_state() {
    let (clock, metrics) = (ManualClock::new(), Metrics::new());
    let (mut owner, _handle) = new(&clock, &metrics);
    let expiry = |metrics: &Metrics| {
        let text = metrics.render();
        let line = text
            .lines()
            .find(|line| line.starts_with("bearward_token_expiry_timestamp_seconds{"));
        let value = line.and_then(|line| line.rsplit(' ').next());
        value.map_or(0.0, |value| value.parse::<f64>().unwrap())
    };
    owner.publish(Publication::Restored(token(&clock, 1)));
    assert!(expiry(&metrics) > 1.0e9);
    owner.end_login();
    assert!(expiry(&metrics).abs() < f64::EPSILON);
}
