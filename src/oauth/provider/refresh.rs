//! The settings of refreshes, and the life of refresh tokens.

use std::time::Duration;

/// `[providers.NAME.refresh]`, as far as it concerns the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// The time between the refresh and the expiry.
    pub before: Option<Duration>,
    /// The upper bound of the random lead.
    pub jitter: Option<Duration>,
    /// Whether a refresh whose response was lost is requested once more at once.
    pub retry_lost_answer: bool,
    /// The time that a refresh token lives unused.
    pub idle: Option<Duration>,
    /// The time that a login lives at most.
    pub absolute: Option<Duration>,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self {
            before: None,
            jitter: None,
            retry_lost_answer: true,
            idle: None,
            absolute: None,
        }
    }
}
