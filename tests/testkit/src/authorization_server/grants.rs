//! Authorization codes and refresh tokens, and the grants they belong to.
//!
//! A code (RFC 6749 §4.1.2) or a refresh token (RFC 9700 §4.14.2) that is used again revokes its whole grant, called a
//! family here.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::oauth_error::OAuthError;
use crate::clock::Clock;

/// The lifetime of a code.
pub(super) const CODE_LIFETIME: Duration = Duration::from_secs(300);

/// Codes kept at a time, and refresh tokens kept at a time.
const MAX_ENTRIES: usize = 100_000;

/// The consent of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Consent {
    pub(super) scope: String,
    /// The `redirect_uri` parameter of the consent redirect.
    pub(super) redirect_uri: Option<String>,
    /// RFC 7636 §4.4, S256.
    pub(super) challenge: Option<String>,
}

/// A successful token request.
#[derive(Debug)]
pub(super) struct Granted {
    /// The grant; client credentials have none.
    pub(super) family: Option<u64>,
    pub(super) scope: String,
    /// The new refresh token, if the grant has one.
    pub(super) refresh_token: Option<String>,
    /// Whether the refresh token was used before, within the grace period.
    pub(super) repeated: bool,
}

/// A denied token request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// An error of RFC 6749 §5.2.
    Refused(OAuthError),
    /// A code or refresh token was used again; its family is revoked.
    Reused { family: u64 },
}

/// The rotation of refresh tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Whether a refresh replaces the refresh token.
    pub rotate: bool,
    /// The time in which a replaced refresh token is still accepted.
    pub grace: Duration,
}

pub(super) struct Grants {
    clock: Clock,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    families: u64,
    codes: HashMap<String, Code>,
    tokens: HashMap<String, RefreshToken>,
    /// The scope of each family that is not revoked.
    live_families: HashMap<u64, String>,
}

struct Code {
    family: u64,
    consent: Consent,
    expires_at: Instant,
    spent: bool,
}

struct RefreshToken {
    family: u64,
    spent_at: Option<Instant>,
}

impl Grants {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            inner: Mutex::default(),
        }
    }

    /// Issues a code for a consent.
    pub(super) fn issue_code(&self, consent: Consent) -> Result<String, OAuthError> {
        let code = random_token()?;
        let now = self.clock.now();
        let mut inner = self.lock();
        if inner.codes.len() >= MAX_ENTRIES {
            inner.codes.retain(|_, code| code.expires_at > now);
        }
        if inner.codes.len() >= MAX_ENTRIES {
            return Err(OAuthError::temporarily_unavailable("too many codes"));
        }
        inner.families += 1;
        let family = inner.families;
        let expires_at = now + CODE_LIFETIME;
        inner.codes.insert(
            code.clone(),
            Code {
                family,
                consent,
                expires_at,
                spent: false,
            },
        );
        Ok(code)
    }

    /// Exchanges a code (RFC 6749 §4.1.3, RFC 7636 §4.6).
    ///
    /// The outer `None` of `redirect_uri` skips the comparison with the consent redirect.
    pub(super) fn exchange(
        &self,
        code: &str,
        redirect_uri: Option<Option<&str>>,
        verifier: Option<&str>,
    ) -> Result<Granted, Denied> {
        let refused = |error| Err(Denied::Refused(OAuthError::invalid_grant(error)));
        let refresh_token = random_token().map_err(Denied::Refused)?;
        let now = self.clock.now();
        let mut inner = self.lock();
        inner.make_room()?;
        let Some(found) = inner.codes.get_mut(code) else {
            return refused("unknown code");
        };
        let family = found.family;
        if found.spent {
            inner.live_families.remove(&family);
            return Err(Denied::Reused { family });
        }
        // A code is good for one attempt, successful or not.
        found.spent = true;
        if found.expires_at <= now {
            return refused("the code has expired");
        }
        if redirect_uri
            .is_some_and(|redirect_uri| redirect_uri != found.consent.redirect_uri.as_deref())
        {
            return refused("the redirect_uri differs from that of the consent");
        }
        let given =
            verifier.map(|verifier| BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)));
        if given != found.consent.challenge {
            return refused("the code_verifier does not match the challenge");
        }
        let scope = found.consent.scope.clone();
        inner.live_families.insert(family, scope.clone());
        inner.tokens.insert(
            refresh_token.clone(),
            RefreshToken {
                family,
                spent_at: None,
            },
        );
        Ok(Granted {
            family: Some(family),
            scope,
            refresh_token: Some(refresh_token),
            repeated: false,
        })
    }

    /// Refreshes a grant (RFC 6749 §6); `rotation` decides whether `token` is replaced.
    pub(super) fn refresh(&self, token: &str, rotation: Rotation) -> Result<Granted, Denied> {
        let successor = random_token().map_err(Denied::Refused)?;
        let now = self.clock.now();
        let mut inner = self.lock();
        inner.make_room()?;
        let Inner {
            tokens,
            live_families,
            ..
        } = &mut *inner;
        let Some(found) = tokens.get_mut(token) else {
            return Err(Denied::Refused(OAuthError::invalid_grant(
                "unknown refresh token",
            )));
        };
        let family = found.family;
        let repeated = match found.spent_at {
            None => false,
            Some(spent_at) if now < spent_at + rotation.grace => true,
            Some(_) => {
                live_families.remove(&family);
                return Err(Denied::Reused { family });
            }
        };
        let Some(scope) = live_families.get(&family).cloned() else {
            return Err(Denied::Refused(OAuthError::invalid_grant(
                "the refresh token was revoked",
            )));
        };
        if !rotation.rotate {
            return Ok(Granted {
                family: Some(family),
                scope,
                refresh_token: None,
                repeated,
            });
        }
        found.spent_at.get_or_insert(now);
        tokens.insert(
            successor.clone(),
            RefreshToken {
                family,
                spent_at: None,
            },
        );
        Ok(Granted {
            family: Some(family),
            scope,
            refresh_token: Some(successor),
            repeated,
        })
    }

    /// Revokes the family of `token` (RFC 7009 §2.1) and returns it.
    pub(super) fn revoke(&self, token: &str) -> Option<u64> {
        let mut inner = self.lock();
        let family = inner.tokens.get(token)?.family;
        inner.live_families.remove(&family).map(|_| family)
    }

    /// Revokes every family.
    pub(super) fn revoke_all(&self) {
        self.lock().live_families.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Drops the tokens of revoked families. Others stay: a used token is how reuse is detected.
    fn make_room(&mut self) -> Result<(), Denied> {
        if self.tokens.len() >= MAX_ENTRIES {
            let Self {
                tokens,
                live_families,
                ..
            } = self;
            tokens.retain(|_, token| live_families.contains_key(&token.family));
        }
        if self.tokens.len() >= MAX_ENTRIES {
            return Err(Denied::Refused(OAuthError::temporarily_unavailable(
                "too many refresh tokens",
            )));
        }
        Ok(())
    }
}

/// A token of 256 random bits.
pub(super) fn random_token() -> Result<String, OAuthError> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits).map_err(|_| OAuthError::temporarily_unavailable("no randomness"))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bits))
}
