//! An access token and its deadlines.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::SystemTime,
};

use super::schedule::Deadlines;
use crate::{
    clock::{BootInstant, Clock},
    secret::Secret,
};

/// One access token, as it was issued, with the instants that decide its use.
#[derive(Debug)]
pub struct AccessToken {
    /// The token; only bytes that may stand in a header field (RFC 9110 §5.5).
    pub secret: Secret,
    /// When its renewal is due, jitter included.
    pub refresh_at: BootInstant,
    /// From here on it is no longer sent.
    pub usable_until: BootInstant,
    /// When the authorization server says it ends, on the clock of the boot.
    pub expires_at: BootInstant,
    /// The same two instants by the time of day, for people and metrics.
    pub expires_at_wall: SystemTime,
    /// See `expires_at_wall`.
    pub refresh_at_wall: SystemTime,
    accepted: AtomicBool,
    refused_when_fresh: AtomicBool,
}

/// What may be done with a token at some instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Good, and not yet to be renewed.
    Fresh,
    /// Good, and its renewal is due.
    Due,
    /// Never to be sent again.
    Expired,
}

impl AccessToken {
    /// A token with its deadlines; the times of day are read off `clock` now.
    pub fn new(secret: Secret, deadlines: Deadlines, clock: &dyn Clock) -> Self {
        let Deadlines {
            refresh_at,
            usable_until,
            expires_at,
        } = deadlines;
        let (now, wall) = (clock.now(), clock.wall());
        Self {
            secret,
            refresh_at,
            usable_until,
            expires_at,
            expires_at_wall: wall + expires_at.since(now),
            refresh_at_wall: wall + refresh_at.since(now),
            accepted: AtomicBool::new(false),
            refused_when_fresh: AtomicBool::new(false),
        }
    }

    /// Notes that an upstream took it: if it is refused later, it was revoked, and another will do.
    pub fn mark_accepted(&self) {
        // Read first: the line is shared by all workers, and nearly always it says so already.
        if !self.accepted.load(Ordering::Relaxed) {
            self.accepted.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that an upstream refused it in the very replay that it was obtained for: there are requests to which no
    /// token is good enough, whatever others it may be accepted for.
    pub fn mark_refused_when_fresh(&self) {
        self.refused_when_fresh.store(true, Ordering::Relaxed);
    }

    /// Whether a refusal of it means that it was revoked, as far as one can tell.
    pub fn is_revoked_if_refused(&self) -> bool {
        self.accepted.load(Ordering::Relaxed) && !self.refused_when_fresh.load(Ordering::Relaxed)
    }

    /// What may be done with it at `now`.
    pub fn state(&self, now: BootInstant) -> State {
        if now >= self.usable_until {
            State::Expired
        } else if now >= self.refresh_at {
            State::Due
        } else {
            State::Fresh
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn a_token_is_fresh_then_due_then_expired() {
        let clock = ManualClock::new();
        let deadlines = Deadlines::new(clock.now(), Duration::from_secs(100), None, 0.0);
        let token = AccessToken::new(Secret::new("t"), deadlines, &clock);
        assert_eq!(
            token.expires_at_wall,
            clock.wall() + Duration::from_secs(100)
        );
        for (elapsed, state) in [
            (69, State::Fresh),
            (1, State::Due),
            (19, State::Due),
            (1, State::Expired),
        ] {
            clock.advance(Duration::from_secs(elapsed));
            assert_eq!(token.state(clock.now()), state);
        }
    }
}
