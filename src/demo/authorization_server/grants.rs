//! Codes and refresh tokens: what each was given for, and whether it was spent.
//!
//! A refresh token that comes twice is a sign of theft, and ends everything that the same consent brought
//! (RFC 9700 §4.14.2); so does a code (RFC 6749 §4.1.2).

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::oauth_error::OAuthError;
use crate::{
    clock::{BootInstant, Clock},
    secret::Secret,
};

/// How long a code is good.
pub(super) const CODE_LIFETIME: Duration = Duration::from_secs(300);

/// Codes, and refresh tokens, that are remembered.
const CAPACITY: usize = 100_000;

/// What a user agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Consent {
    pub(super) scope: String,
    /// As in the consent redirect, if it had one.
    pub(super) redirect_uri: Option<String>,
    /// RFC 7636 §4.4, S256.
    pub(super) challenge: Option<String>,
}

/// What a token may be issued for.
#[derive(Debug)]
pub(super) struct Granted {
    /// Names everything that one consent brought; without one there is none.
    pub(super) family: Option<u64>,
    pub(super) scope: String,
    /// A new one, if there is one.
    pub(super) refresh_token: Option<Secret>,
    /// The refresh token was spent already, but a moment ago.
    pub(super) repeated: bool,
}

/// Why not.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// As the client learns it.
    Refused(OAuthError),
    /// A code or a refresh token that was spent already; all that its family brought has to go.
    Reused { family: u64 },
}

/// How refresh tokens are spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Whether a refresh brings a new refresh token and spends the old one; else the old one stays good.
    pub rotate: bool,
    /// How long after it was spent a refresh token may come again without harm.
    pub grace: Duration,
}

pub(super) struct Grants {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    families: u64,
    codes: HashMap<String, Code>,
    tokens: HashMap<String, RefreshToken>,
    /// The scopes of the families that are alive.
    alive: HashMap<u64, String>,
}

struct Code {
    family: u64,
    consent: Consent,
    expires_at: BootInstant,
    spent: bool,
}

struct RefreshToken {
    family: u64,
    spent_at: Option<BootInstant>,
}

impl Grants {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            inner: Mutex::default(),
        }
    }

    /// A code for what was agreed to.
    pub(super) fn code(&self, consent: Consent) -> Result<Secret, OAuthError> {
        let code = random()?;
        let now = self.clock.now();
        let mut inner = self.lock();
        if inner.codes.len() >= CAPACITY {
            inner.codes.retain(|_, code| code.expires_at > now);
        }
        if inner.codes.len() >= CAPACITY {
            return Err(OAuthError::temporarily_unavailable("too many codes"));
        }
        inner.families += 1;
        let family = inner.families;
        let expires_at = now + CODE_LIFETIME;
        inner.codes.insert(
            code.expose().to_owned(),
            Code {
                family,
                consent,
                expires_at,
                spent: false,
            },
        );
        Ok(code)
    }

    /// Spends `code` (RFC 6749 §4.1.3, RFC 7636 §4.6). `redirect_uri` is compared unless it is `None` itself.
    pub(super) fn exchange(
        &self,
        code: &str,
        redirect_uri: Option<Option<&str>>,
        verifier: Option<&str>,
    ) -> Result<Granted, Denied> {
        let refused = |why| Err(Denied::Refused(OAuthError::invalid_grant(why)));
        let refresh_token = random().map_err(Denied::Refused)?;
        let now = self.clock.now();
        let mut inner = self.lock();
        inner.make_room()?;
        let Some(found) = inner.codes.get_mut(code) else {
            return refused("no such code");
        };
        let family = found.family;
        if found.spent {
            inner.alive.remove(&family);
            return Err(Denied::Reused { family });
        }
        // Whatever comes of it, a code is for one attempt.
        found.spent = true;
        if found.expires_at <= now {
            return refused("the code is too old");
        }
        if redirect_uri
            .is_some_and(|redirect_uri| redirect_uri != found.consent.redirect_uri.as_deref())
        {
            return refused("another redirect_uri than that of the consent");
        }
        let given =
            verifier.map(|verifier| BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)));
        if given != found.consent.challenge {
            return refused("the code_verifier does not fit the challenge");
        }
        let scope = found.consent.scope.clone();
        inner.alive.insert(family, scope.clone());
        inner.tokens.insert(
            refresh_token.expose().to_owned(),
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

    /// Spends `token`, or not, as `rotation` has it (RFC 6749 §6).
    pub(super) fn refresh(&self, token: &str, rotation: Rotation) -> Result<Granted, Denied> {
        let successor = random().map_err(Denied::Refused)?;
        let now = self.clock.now();
        let mut inner = self.lock();
        inner.make_room()?;
        let Inner { tokens, alive, .. } = &mut *inner;
        let Some(found) = tokens.get_mut(token) else {
            return Err(Denied::Refused(OAuthError::invalid_grant(
                "no such refresh token",
            )));
        };
        let family = found.family;
        let repeated = match found.spent_at {
            None => false,
            Some(spent_at) if now < spent_at + rotation.grace => true,
            Some(_) => {
                alive.remove(&family);
                return Err(Denied::Reused { family });
            }
        };
        let Some(scope) = alive.get(&family).cloned() else {
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
            successor.expose().to_owned(),
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

    /// Ends the family that `token` belongs to (RFC 7009 §2.1), and tells which.
    pub(super) fn revoke(&self, token: &str) -> Option<u64> {
        let mut inner = self.lock();
        let family = inner.tokens.get(token)?.family;
        inner.alive.remove(&family).map(|_| family)
    }

    /// Ends every family.
    pub(super) fn revoke_all(&self) {
        self.lock().alive.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Spent tokens are what reuse is seen by, so that only those of families that are over can be forgotten.
    fn make_room(&mut self) -> Result<(), Denied> {
        if self.tokens.len() >= CAPACITY {
            let Self { tokens, alive, .. } = self;
            tokens.retain(|_, token| alive.contains_key(&token.family));
        }
        if self.tokens.len() >= CAPACITY {
            return Err(Denied::Refused(OAuthError::temporarily_unavailable(
                "too many refresh tokens",
            )));
        }
        Ok(())
    }
}

/// Counts alone: codes and refresh tokens are credentials.
impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.lock();
        f.debug_struct("Grants")
            .field("codes", &inner.codes.len())
            .field("refresh_tokens", &inner.tokens.len())
            .finish_non_exhaustive()
    }
}

/// 256 random bits.
fn random() -> Result<Secret, OAuthError> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits).map_err(|_| OAuthError::temporarily_unavailable("no randomness"))?;
    Ok(Secret::new(BASE64_URL_SAFE_NO_PAD.encode(bits)))
}
