//! The access tokens that were issued and are still valid.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::oauth_error::OAuthError;
use crate::{authorization_server::grants::random_token, clock::Clock};

/// Live tokens at a time.
const MAX_TOKENS: usize = 100_000;

/// The issued access tokens that have not expired.
pub struct IssuedTokens {
    clock: Clock,
    tokens: Mutex<HashMap<String, Issued>>,
}

struct Issued {
    /// The grant it was issued for; client credentials have none.
    family: Option<u64>,
    expires_at: Instant,
}

impl IssuedTokens {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            tokens: Mutex::default(),
        }
    }

    /// Whether `token` was issued, has not expired and was not revoked.
    pub fn is_live(&self, token: &str) -> bool {
        let now = self.clock.now();
        self.lock()
            .get(token)
            .is_some_and(|issued| issued.expires_at > now)
    }

    /// Revokes every token, as a resource server that stops accepting them does.
    pub fn revoke_all(&self) {
        self.lock().clear();
    }

    /// Revokes the tokens of one grant.
    pub(super) fn revoke_family(&self, family: u64) {
        self.lock()
            .retain(|_, issued| issued.family != Some(family));
    }

    /// Issues an opaque token of 256 random bits.
    pub(super) fn issue(
        &self,
        family: Option<u64>,
        lifetime: Duration,
    ) -> Result<String, OAuthError> {
        let token = random_token()?;
        let now = self.clock.now();
        let mut tokens = self.lock();
        // A scan at each doubling is cheap on average.
        if tokens.len() >= 1024 && tokens.len().is_power_of_two() || tokens.len() >= MAX_TOKENS {
            tokens.retain(|_, issued| issued.expires_at > now);
        }
        if tokens.len() >= MAX_TOKENS {
            return Err(OAuthError::temporarily_unavailable("too many live tokens"));
        }
        tokens.insert(
            token.clone(),
            Issued {
                family,
                expires_at: now + lifetime,
            },
        );
        Ok(token)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Issued>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
