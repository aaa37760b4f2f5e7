//! The access tokens that the demo's authorization server has issued.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{
    clock::{BootInstant, Clock},
    secret::Secret,
};

/// Valid tokens at a time.
const MAX_TOKENS: usize = 100_000;

/// The issued access tokens with the time at which each expires.
pub(super) struct IssuedTokens {
    clock: Arc<dyn Clock>,
    expiries: Mutex<HashMap<String, BootInstant>>,
}

impl IssuedTokens {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            expiries: Mutex::default(),
        }
    }

    /// Issues an opaque token of 256 random bits; `None` without randomness, or with too many valid tokens.
    pub(super) fn issue(&self, lifetime: Duration) -> Option<Secret> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits).ok()?;
        let token = BASE64_URL_SAFE_NO_PAD.encode(bits);

        let now = self.clock.now();
        let mut expiries = self.lock();
        if expiries.len() >= MAX_TOKENS {
            expiries.retain(|_, expires_at| *expires_at > now);
        }
        if expiries.len() >= MAX_TOKENS {
            return None;
        }
        expiries.insert(token.clone(), now + lifetime);
        Some(Secret::new(token))
    }

    /// Whether `token` was issued and has not expired.
    pub(super) fn is_valid(&self, token: &str) -> bool {
        let now = self.clock.now();
        self.lock()
            .get(token)
            .is_some_and(|expires_at| *expires_at > now)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, BootInstant>> {
        self.expiries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows the number of tokens only.
impl fmt::Debug for IssuedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedTokens")
            .field("tokens", &self.lock().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn a_token_is_valid_until_it_expires() {
        let clock = ManualClock::new();
        let tokens = IssuedTokens::new(Arc::new(clock.clone()));
        let token = tokens.issue(Duration::from_secs(300)).unwrap();
        clock.advance(Duration::from_secs(299));
        assert!(tokens.is_valid(token.expose()));
        clock.advance(Duration::from_secs(1));
        assert!(!tokens.is_valid(token.expose()));
        assert!(!tokens.is_valid("made-up"));
    }

    #[test]
    fn tokens_are_not_shown() {
        let tokens = IssuedTokens::new(Arc::new(ManualClock::new()));
        let token = tokens.issue(Duration::from_secs(300)).unwrap();
        assert!(!format!("{tokens:?}").contains(token.expose()));
    }
}
