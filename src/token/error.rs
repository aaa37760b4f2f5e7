//! The reasons why no token is available.

use std::{sync::Arc, time::Duration};

/// Why no token is available. Holds nothing secret and no path: clients see it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The authorization server refuses this client (502 `token-refused`).
    #[error("{detail}")]
    Refused {
        /// The error code of RFC 6749 section 5.2.
        error: Arc<str>,
        /// The reason, without a byte of what the authorization server sent except its `error` code.
        detail: Arc<str>,
    },
    /// The token endpoint is down, or responds with something else (503 `token-unavailable`).
    #[error("{detail}")]
    Unavailable {
        /// When it is worth trying again; at least one second.
        retry_after: Duration,
        /// The reason, without a byte of what the authorization server sent except its `error` code.
        detail: Arc<str>,
    },
    /// There is no refresh token yet, or the authorization server refused it (503 `login-required`).
    #[error("a login is required")]
    LoginRequired,
}

impl TokenError {
    /// Creates an `Unavailable` error; `retry_after` is raised to one second.
    pub(super) fn unavailable(retry_after: Duration, detail: impl Into<Arc<str>>) -> Self {
        Self::Unavailable {
            retry_after: retry_after.max(Duration::from_secs(1)),
            detail: detail.into(),
        }
    }

    /// The error of a credential whose refresher has ended.
    pub(super) fn ended() -> Self {
        Self::unavailable(Duration::ZERO, "this provider is being shut down")
    }

    /// Returns the value for `Retry-After` (RFC 9110 section 10.2.3), in whole seconds, rounded up.
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
            let error = TokenError::unavailable(Duration::from_millis(milliseconds), "x");
            assert_eq!(error.retry_after_seconds(), Some(seconds));
        }
    }
}
