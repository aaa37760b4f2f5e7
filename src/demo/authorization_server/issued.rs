//! The tokens that were given out, and whether they are still good.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

use super::oauth_error::OAuthError;
use crate::{
    clock::{BootInstant, Clock},
    secret::Secret,
};

/// Live tokens at a time.
const CAPACITY: usize = 100_000;

/// Every token that was issued and has not expired.
pub struct IssuedTokens {
    clock: Arc<dyn Clock>,
    tokens: Mutex<HashMap<String, Issued>>,
}

#[derive(Clone)]
struct Issued {
    client_id: String,
    /// The consent it goes back to, if there was one.
    family: Option<u64>,
    scope: String,
    expires_at: BootInstant,
    expires_at_wall: SystemTime,
}

impl IssuedTokens {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            tokens: Mutex::default(),
        }
    }

    /// Whether `token` was issued, has not expired and was not revoked.
    pub fn is_live(&self, token: &str) -> bool {
        self.find(token).is_some()
    }

    /// Takes back every token: what a resource server sees when an authorization server changes its mind.
    pub fn revoke_all(&self) {
        self.lock().clear();
    }

    /// Takes back what one consent brought.
    pub(super) fn revoke_family(&self, family: u64) {
        self.lock()
            .retain(|_, issued| issued.family != Some(family));
    }

    /// A new opaque token of 256 random bits.
    pub(super) fn issue(
        &self,
        client_id: &str,
        family: Option<u64>,
        scope: &str,
        lifetime: Duration,
    ) -> Result<Secret, OAuthError> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits)
            .map_err(|_| OAuthError::temporarily_unavailable("no randomness"))?;
        let token = BASE64_URL_SAFE_NO_PAD.encode(bits);
        let now = self.clock.now();
        let mut tokens = self.lock();
        // Looking through all of them at each doubling costs nothing on average.
        if tokens.len() >= 1024 && tokens.len().is_power_of_two() || tokens.len() >= CAPACITY {
            tokens.retain(|_, issued| issued.expires_at > now);
        }
        if tokens.len() >= CAPACITY {
            return Err(OAuthError::temporarily_unavailable("too many live tokens"));
        }
        tokens.insert(
            token.clone(),
            Issued {
                client_id: client_id.to_owned(),
                family,
                scope: scope.to_owned(),
                expires_at: now + lifetime,
                expires_at_wall: self.clock.wall() + lifetime,
            },
        );
        Ok(Secret::new(token))
    }

    /// The answer of RFC 7662 §2.2.
    pub(super) fn introspect(&self, token: &str) -> serde_json::Value {
        let Some(issued) = self.find(token) else {
            return json!({ "active": false });
        };
        let since_1970 = issued
            .expires_at_wall
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        json!({
            "active": true,
            "client_id": issued.client_id,
            "scope": issued.scope,
            "token_type": "Bearer",
            "exp": since_1970.as_secs(),
        })
    }

    fn find(&self, token: &str) -> Option<Issued> {
        let now = self.clock.now();
        self.lock()
            .get(token)
            .filter(|issued| issued.expires_at > now)
            .cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Issued>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for IssuedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedTokens")
            .field("tokens", &self.lock().len())
            .finish_non_exhaustive()
    }
}
