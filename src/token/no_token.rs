//! Why there is no token to be had.

use std::{sync::Arc, time::Duration};

/// Why there is no token to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoToken {
    /// The authorization server refuses this client; `error` is its RFC 6749 code (502 `token-refused`).
    Refused {
        /// The code of RFC 6749 §5.2.
        error: Arc<str>,
    },
    /// The token endpoint is down, slow, limited or answers nonsense (503 `token-unavailable`).
    Unavailable {
        /// When it is worth asking again; at least a second.
        retry_after: Duration,
        /// What happened, without a byte of what the authorization server sent but its `error` code.
        detail: Arc<str>,
    },
    /// No refresh token yet, or the one there was is refused (503 `login-required`).
    LoginRequired,
}

impl NoToken {
    /// Unavailable for at least `retry_after`, and at least a second.
    pub(super) fn unavailable(retry_after: Duration, detail: impl Into<Arc<str>>) -> Self {
        Self::Unavailable {
            retry_after: retry_after.max(Duration::from_secs(1)),
            detail: detail.into(),
        }
    }

    /// The value for `Retry-After` (RFC 9110 §10.2.3): whole seconds, rounded up so that nobody comes too early.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::Unavailable { retry_after, .. } => Some(
                retry_after
                    .as_secs()
                    .saturating_add(u64::from(retry_after.subsec_nanos() > 0)),
            ),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_rounded_up_from_a_second() {
        for (milliseconds, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (15_000, 15)] {
            let none = NoToken::unavailable(Duration::from_millis(milliseconds), "x");
            assert_eq!(none.retry_after_seconds(), Some(seconds));
        }
    }
}
