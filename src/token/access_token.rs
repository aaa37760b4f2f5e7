//! An access token and its deadlines.

use std::time::SystemTime;

use crate::{clock::Moment, secret::Secret};

/// One access token, as it was issued, with the instants that decide its use.
#[derive(Debug)]
pub struct AccessToken {
    /// The token; only bytes that may stand in a header field (RFC 9110 §5.5).
    pub secret: Secret,
    /// When its renewal is due, jitter included.
    pub refresh_at: Moment,
    /// From here on it is no longer sent.
    pub usable_until: Moment,
    /// When the authorization server says it ends, on the clock of the boot.
    pub expires_at: Moment,
    /// The same two instants by the time of day, for people and metrics.
    pub expires_at_wall: SystemTime,
    /// See `expires_at_wall`.
    pub refresh_at_wall: SystemTime,
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
    /// What may be done with it at `now`.
    pub fn state(&self, now: Moment) -> State {
        if now >= self.usable_until {
            State::Expired
        } else if now >= self.refresh_at {
            State::Due
        } else {
            State::Fresh
        }
    }
}
