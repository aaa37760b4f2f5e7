//! The transitions of a credential's state, on a clock that stands.

use std::time::SystemTime;

use super::*;
use crate::{
    clock::{Clock, ManualClock},
    oauth::{
        error::{Fault, TokenRefusal, TokenRequestError},
        provider::Lifetime,
    },
    secret::Secret,
    token::{
        access_token::AccessToken,
        schedule::{RenewalPolicy, TokenDeadlines},
        store::StoreError,
    },
};

const NOW: BootInstant = BootInstant::from_boot(Duration::from_secs(1000));

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn token(secret: &str) -> Token {
    let clock = ManualClock::new();
    assert_eq!(clock.now(), NOW);
    let policy = RenewalPolicy {
        can_renew: true,
        ..RenewalPolicy::default()
    };
    let deadlines = TokenDeadlines::new(NOW, Lifetime::For(seconds(3600)), policy, 0.0);
    Arc::new(AccessToken::new(Secret::new(secret), deadlines, &clock))
}

fn issued(token: &Token) -> Publication {
    Publication::Issued {
        token: token.clone(),
        refresh_at: token.refresh_at,
        unsaved: None,
    }
}

fn idle(token: &Token) -> Snapshot {
    let mut snapshot = Snapshot::new();
    snapshot.begin(NOW);
    snapshot.publish(issued(token), NOW);
    snapshot
}

fn failure(fault: Fault) -> AttemptFailure {
    AttemptFailure::of_request(&TokenRequestError::new(fault), SystemTime::UNIX_EPOCH)
}

fn failed(fault: Fault, wait: u64) -> Snapshot {
    let mut snapshot = Snapshot::new();
    snapshot.begin(NOW);
    let retry = Retry {
        at: NOW + seconds(wait),
        not_before: None,
    };
    snapshot.fail(failure(fault), retry);
    snapshot
}

/// Demands a token as a client does, and requests an attempt if it has to wait for one.
fn demand(snapshot: &mut Snapshot, now: BootInstant, demand: Demand) -> Result<(), TokenError> {
    match snapshot.availability(now, demand) {
        Availability::Ready(token) => panic!("{token:?}"),
        Availability::Pending => {
            snapshot.request_refresh(snapshot.attempts_ended);
            Ok(())
        }
        Availability::Unavailable(error) => Err(error),
    }
}

#[track_caller]
fn assert_discarded(availability: Availability) {
    assert!(matches!(availability, Availability::Pending));
}

#[track_caller]
fn assert_kept_for(availability: &Availability, left: u64) {
    let Availability::Unavailable(TokenError::Unavailable { retry_after, .. }) = availability
    else {
        panic!("{availability:?}")
    };
    assert_eq!(*retry_after, seconds(left));
}

#[test]
fn a_client_that_comes_during_an_attempt_waits_for_it_and_starts_no_other() {
    let mut snapshot = Snapshot::new();
    assert_eq!(demand(&mut snapshot, NOW, Demand::AnyToken), Ok(()));
    assert_eq!(demand(&mut snapshot, NOW, Demand::NewToken), Ok(()));
    assert!(!snapshot.refresh_requested && !snapshot.needs_request());
}

#[test]
fn a_client_that_comes_between_attempts_is_refused_at_once_and_an_operator_is_not() {
    let mut snapshot = failed(Fault::Connect, 7);
    let Err(TokenError::Unavailable { retry_after, .. }) =
        demand(&mut snapshot, NOW, Demand::AnyToken)
    else {
        panic!()
    };
    assert_eq!(retry_after, seconds(7));
    assert_eq!(demand(&mut snapshot, NOW, Demand::NewToken), Ok(()));
    assert_eq!(
        demand(&mut snapshot, NOW, Demand::AnyToken),
        Ok(()),
        "the attempt that an operator requested is for all"
    );
}

#[test]
fn an_overdue_attempt_is_requested_and_waited_for() {
    let mut snapshot = failed(Fault::Connect, 7);
    assert_eq!(
        demand(&mut snapshot, NOW + seconds(7), Demand::AnyToken),
        Ok(())
    );
    assert!(snapshot.refresh_requested);
}

#[test]
fn a_request_that_an_attempt_has_overtaken_causes_no_other() {
    let mut snapshot = failed(Fault::Connect, 7);
    let seen = snapshot.attempts_ended;
    snapshot.begin(NOW);
    snapshot.publish(issued(&token("a")), NOW);
    snapshot.request_refresh(seen);
    assert!(!snapshot.refresh_requested);
}

#[test]
fn a_refusal_is_reported_to_clients_by_its_code() {
    let mut snapshot = failed(Fault::Refused(TokenRefusal::InvalidScope), 60);
    assert!(matches!(
        demand(&mut snapshot, NOW, Demand::AnyToken),
        Err(TokenError::Refused { error, .. }) if &*error == "invalid_scope"
    ));
    assert_eq!(snapshot.credential_state(NOW), CredentialState::Refused);
    snapshot.token = Some(token("a"));
    assert_eq!(snapshot.credential_state(NOW), CredentialState::Ready);
}

#[test]
fn an_upstream_gets_one_refresh_a_minute() {
    let first = token("first");
    let mut snapshot = idle(&first);
    assert_discarded(snapshot.invalidate(&first, ReplayPlan::Follows, NOW));
    let second = token("second");
    snapshot.publish(issued(&second), NOW);
    let later = NOW + seconds(59);
    assert!(!snapshot.refusal_reported);
    assert_kept_for(&snapshot.invalidate(&second, ReplayPlan::Follows, later), 1);
    assert!(snapshot.refusal_reported && snapshot.token.is_some());
    assert_kept_for(&snapshot.invalidate(&second, ReplayPlan::Follows, later), 1);
    assert_discarded(snapshot.invalidate(&second, ReplayPlan::Follows, NOW + seconds(60)));
}

#[test]
fn a_revoked_token_is_replaced_within_the_minute_too() {
    let first = token("first");
    let mut snapshot = idle(&first);
    assert_discarded(snapshot.invalidate(&first, ReplayPlan::Follows, NOW));
    let second = token("second");
    second.mark_accepted();
    snapshot.publish(issued(&second), NOW);
    let later = NOW + seconds(1);
    assert_kept_for(
        &snapshot.invalidate(&second, ReplayPlan::Impossible, later),
        59,
    );
    assert_discarded(snapshot.invalidate(&second, ReplayPlan::Follows, later));
}

#[test]
fn a_token_refused_when_it_was_fresh_does_not_count_as_revoked() {
    let first = token("first");
    let mut snapshot = idle(&first);
    assert_discarded(snapshot.invalidate(&first, ReplayPlan::Follows, NOW));
    let second = token("second");
    second.mark_accepted();
    second.mark_refused_when_fresh();
    snapshot.publish(issued(&second), NOW);
    assert_kept_for(&snapshot.invalidate(&second, ReplayPlan::Follows, NOW), 60);
}

#[test]
fn a_refusal_requests_a_refresh_unless_one_is_in_flight() {
    let refused = token("a");
    let mut snapshot = idle(&refused);
    snapshot.invalidate(&refused, ReplayPlan::Follows, NOW);
    assert!(snapshot.refresh_requested);
    let mut snapshot = idle(&refused);
    snapshot.begin(NOW);
    snapshot.invalidate(&refused, ReplayPlan::Follows, NOW);
    assert!(!snapshot.refresh_requested, "two requests for one refusal");
}

#[test]
fn a_refusal_of_an_older_token_leaves_the_newer_one() {
    let (older, newer) = (token("older"), token("newer"));
    let mut snapshot = idle(&newer);
    let available = snapshot.invalidate(&older, ReplayPlan::Follows, NOW);
    assert!(matches!(&available, Availability::Ready(token) if Arc::ptr_eq(token, &newer)));
    assert!(snapshot.token.is_some() && snapshot.invalidated.is_none());
}

#[test]
fn a_token_invalidated_during_an_attempt_is_neither_kept_nor_restored_by_it() {
    let refused = token("a");
    let mut snapshot = idle(&refused);
    snapshot.begin(NOW);
    snapshot.invalidate(&refused, ReplayPlan::Impossible, NOW);
    snapshot.publish(Publication::Unchanged, NOW);
    assert!(snapshot.token.is_none() && snapshot.refresh_requested);

    snapshot.refresh_requested = false;
    snapshot.publish(Publication::Restored(token("a")), NOW);
    assert!(snapshot.token.is_none() && snapshot.refresh_requested);
    snapshot.publish(Publication::Restored(token("b")), NOW);
    assert!(snapshot.token.is_some());
}

#[test]
fn a_token_that_is_issued_again_is_published_and_may_stay_in_the_store() {
    let refused = token("a");
    let mut snapshot = idle(&refused);
    snapshot.invalidate(&refused, ReplayPlan::Impossible, NOW);
    snapshot.begin(NOW);
    snapshot.publish(issued(&token("a")), NOW);
    assert!(snapshot.token.is_some() && snapshot.invalidated.is_none());
}

#[test]
fn a_token_whose_refresh_token_is_unsaved_is_no_failed_attempt() {
    let mut snapshot = Snapshot::new();
    snapshot.begin(NOW);
    let token = token("a");
    let unsaved = AttemptFailure::of_store(&StoreError::Interrupted, SystemTime::UNIX_EPOCH);
    snapshot.publish(
        Publication::Issued {
            refresh_at: token.refresh_at,
            token,
            unsaved: Some(unsaved),
        },
        NOW,
    );
    assert!(!snapshot.attempt_failed && snapshot.last_error.is_some());
}

#[test]
fn no_client_waits_for_a_refresher_that_ended() {
    let mut snapshot = failed(Fault::Connect, 0);
    snapshot.phase = Phase::Ended;
    assert!(matches!(
        demand(&mut snapshot, NOW, Demand::NewToken),
        Err(TokenError::Unavailable { .. })
    ));
}

#[test]
fn no_client_waits_for_an_attempt_that_a_stop_prevents() {
    let mut snapshot = failed(Fault::Connect, 7);
    snapshot.stop();
    assert!(demand(&mut snapshot, NOW, Demand::NewToken).is_err());
}
