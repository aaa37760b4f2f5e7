//! An access token and its deadlines.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use super::schedule::TokenDeadlines;
use crate::{
    clock::{BootInstant, Clock},
    oauth::api_context::ApiContext,
    secret::Secret,
};

/// A shared access token. Its address names it, so that an invalidation never hits a newer one.
pub type Token = Arc<AccessToken>;

/// One access token as it was issued, with the instants that decide its use.
#[derive(Debug)]
pub struct AccessToken {
    /// The token; only bytes that may stand in a header field value (RFC 9110 section 5.5).
    pub secret: Secret,
    /// When the token is due for refresh, jitter included; `None` if it cannot be renewed.
    pub refresh_at: Option<BootInstant>,
    /// When the token stops being sent; `None` if never.
    pub usable_until: Option<BootInstant>,
    /// When the token expires according to the authorization server; `None` if never.
    pub expires_at: Option<BootInstant>,
    /// `expires_at` as time of day, for people and metrics.
    pub expires_at_wall: Option<SystemTime>,
    /// `refresh_at` as time of day, for people and metrics.
    pub refresh_at_wall: Option<SystemTime>,
    /// When the token was requested, as time of day, for people.
    pub requested_at_wall: Option<SystemTime>,
    /// The parts of a request that come with the token.
    pub context: Arc<ApiContext>,
    accepted: AtomicBool,
    refused_when_fresh: AtomicBool,
}

impl AccessToken {
    /// Creates a token with its deadlines. The times of day are computed from `clock` now.
    pub fn new(secret: Secret, deadlines: TokenDeadlines, clock: &dyn Clock) -> Self {
        let TokenDeadlines {
            requested_at,
            refresh_at,
            usable_until,
            expires_at,
        } = deadlines;
        let (now, wall) = (clock.now(), clock.wall());
        let wall_at = |instant: BootInstant| wall.checked_add(instant.since(now));
        Self {
            secret,
            refresh_at,
            usable_until,
            expires_at,
            expires_at_wall: expires_at.and_then(wall_at).map(to_seconds),
            refresh_at_wall: refresh_at.and_then(wall_at),
            requested_at_wall: wall.checked_sub(now.since(requested_at)).map(to_seconds),
            context: Arc::default(),
            accepted: AtomicBool::new(false),
            refused_when_fresh: AtomicBool::new(false),
        }
    }

    /// Adds the parts of a request that come with the token.
    pub fn with_context(self, context: ApiContext) -> Self {
        Self {
            context: Arc::new(context),
            ..self
        }
    }

    /// Returns when something is to be done about the token: its refresh, or else its end.
    pub fn due_at(&self) -> Option<BootInstant> {
        self.refresh_at.or(self.usable_until)
    }

    /// Records that an upstream accepted the token. A later refusal then means that it was revoked.
    pub fn mark_accepted(&self) {
        // Read first: all workers share the cache line, and it nearly always says so already.
        if !self.accepted.load(Ordering::Relaxed) {
            self.accepted.store(true, Ordering::Relaxed);
        }
    }

    /// Records that an upstream refused the token in the very replay it was obtained for.
    ///
    /// Some requests are refused with any token, whatever other requests the token is accepted for. Returns whether this
    /// is the first such refusal.
    pub fn mark_refused_when_fresh(&self) -> bool {
        !self.refused_when_fresh.swap(true, Ordering::Relaxed)
    }

    /// Returns whether upstreams accepted the token and none refused it when it was fresh.
    pub fn was_accepted_before(&self) -> bool {
        self.accepted.load(Ordering::Relaxed) && !self.refused_when_fresh.load(Ordering::Relaxed)
    }

    /// Returns what may be done with the token at `now`.
    pub fn state(&self, now: BootInstant) -> TokenState {
        let is_past = |instant: Option<BootInstant>| instant.is_some_and(|instant| now >= instant);
        if is_past(self.usable_until) {
            TokenState::Expired
        } else if is_past(self.refresh_at) {
            TokenState::Due
        } else {
            TokenState::Fresh
        }
    }

    /// Returns whether the token may be sent at `now`.
    pub fn is_usable(&self, now: BootInstant) -> bool {
        self.state(now) != TokenState::Expired
    }
}

/// The use that a token may be put to at some instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// Usable, and not due for refresh.
    Fresh,
    /// Usable, and due for refresh.
    Due,
    /// Never to be sent again.
    Expired,
}

/// Rounds to the nearest second.
///
/// The two clocks are not read at the same instant, and an expiry that was told as a time of day has
/// no fraction.
fn to_seconds(time: SystemTime) -> SystemTime {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH);
    let rounded = since_1970.ok().and_then(|since_1970| {
        let seconds = (since_1970 + Duration::from_millis(500)).as_secs();
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    });
    rounded.unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, oauth::provider::Lifetime, token::schedule::RenewalPolicy};

    #[test]
    fn an_expiry_that_was_told_as_a_second_is_shown_as_that_second() {
        let clock = ManualClock::new();
        for away in [99_999_999, 100_000_000, 100_000_001] {
            let lifetime = Lifetime::For(Duration::from_micros(away));
            let policy = RenewalPolicy::default();
            let deadlines = TokenDeadlines::new(clock.now(), lifetime, policy, 0.0);
            let token = AccessToken::new(Secret::new("t"), deadlines, &clock);
            let told = clock.wall() + Duration::from_secs(100);
            assert_eq!(token.expires_at_wall, Some(told), "{away}");
        }
    }

    #[test]
    fn a_token_is_fresh_then_due_then_expired() {
        let clock = ManualClock::new();
        let policy = RenewalPolicy {
            can_renew: true,
            ..RenewalPolicy::default()
        };
        let lifetime = Lifetime::For(Duration::from_secs(100));
        let deadlines = TokenDeadlines::new(clock.now(), lifetime, policy, 0.0);
        let token = AccessToken::new(Secret::new("t"), deadlines, &clock);
        assert_eq!(
            token.expires_at_wall,
            Some(clock.wall() + Duration::from_secs(100))
        );
        for (elapsed, state) in [
            (69, TokenState::Fresh),
            (1, TokenState::Due),
            (19, TokenState::Due),
            (1, TokenState::Expired),
        ] {
            clock.advance(Duration::from_secs(elapsed));
            assert_eq!(token.state(clock.now()), state);
            assert_eq!(token.is_usable(clock.now()), state != TokenState::Expired);
        }
    }
}
