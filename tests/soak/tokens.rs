//! The tokens of all authorization servers: which are valid, and which refresh tokens are spent.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::places::Provider;

/// The time in which a request may be on its way with a token that was valid when it left.
const FLIGHT: Duration = Duration::from_secs(3);

/// The time in which a refused token may still be sent: requests that had left, and those that wait for a replay.
const DISCARD: Duration = Duration::from_secs(5);

/// Arrivals with a token after which it counts as one that is in use.
const IN_USE: u64 = 5;

/// A response that was sent so long before a kill is not in flight any more.
pub(crate) const RESPONSE_FLIGHT: Duration = Duration::from_secs(2);

/// A response later than this came when bearward had given the request up.
const MAX_RESPONSE_TIME: Duration = Duration::from_secs(2);

/// The access tokens and the spent refresh tokens.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    access: HashMap<String, Access>,
    newest: HashMap<Provider, String>,
    spent: HashMap<String, Spent>,
}

#[derive(Debug)]
struct Access {
    provider: Provider,
    expires: Instant,
    uses: u64,
    revoked: bool,
    /// When the upstream refused it first.
    refused: Option<Instant>,
}

/// A refresh token that was exchanged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    /// When the request came.
    pub(crate) asked: Instant,
    /// When the response with its successor was sent, if it was.
    pub(crate) responded: Option<Instant>,
}

impl Spent {
    /// Whether the successor reached the process in time, and so must be known to it and to its successors.
    ///
    /// `killed` are the instants of kills.
    pub(crate) fn is_successor_known(&self, was_killed: impl Fn(Instant, Instant) -> bool) -> bool {
        let Some(responded) = self.responded else {
            return false;
        };
        responded.duration_since(self.asked) < MAX_RESPONSE_TIME
            && !was_killed(self.asked, responded + RESPONSE_FLIGHT)
    }
}

/// What the upstream does with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Accept,
    Refuse,
    /// It must never have been sent.
    Violation(String),
}

impl Tokens {
    /// Enters a token that was issued now.
    pub(crate) fn issue(&self, token: &str, provider: Provider, lifetime: Duration) {
        let mut inner = self.lock();
        inner.newest.insert(provider, token.to_owned());
        inner.access.insert(
            token.to_owned(),
            Access {
                provider,
                expires: Instant::now() + lifetime,
                uses: 0,
                revoked: false,
                refused: None,
            },
        );
    }

    /// Judges a token that arrives at the upstream with a request that its client sent at `sent`.
    pub(crate) fn judge(&self, token: &str, provider: Provider, sent: Instant) -> Judgement {
        let now = Instant::now();
        let mut inner = self.lock();
        let Some(access) = inner.access.get_mut(token) else {
            return Judgement::Violation("a token that no server issued".into());
        };
        if access.provider != provider {
            return Judgement::Violation(format!(
                "a token of {} in place of {}",
                access.provider.name(),
                provider.name()
            ));
        }
        access.uses += 1;
        if access.expires < sent {
            let ago = sent - access.expires;
            return Judgement::Violation(format!(
                "a token that had expired {ago:?} before its request was sent"
            ));
        }
        let late = now.saturating_duration_since(access.expires);
        if late > FLIGHT {
            return Judgement::Violation(format!("a token that had expired {late:?} before"));
        }
        if !access.revoked {
            return Judgement::Accept;
        }
        let refused = *access.refused.get_or_insert(now);
        if sent > refused + DISCARD {
            return Judgement::Violation(format!(
                "a token that was refused {:?} before its request was sent",
                sent - refused
            ));
        }
        Judgement::Refuse
    }

    /// Makes the upstream refuse the newest token of a provider, if it is in use.
    pub(crate) fn revoke(&self, provider: Provider) -> bool {
        let mut inner = self.lock();
        let Some(newest) = inner.newest.get(&provider).cloned() else {
            return false;
        };
        let access = inner.access.get_mut(&newest);
        match access.filter(|access| access.uses >= IN_USE && access.expires > Instant::now()) {
            Some(access) => {
                access.revoked = true;
                true
            }
            None => false,
        }
    }

    /// Enters a refresh token that was exchanged, and the time of its request.
    pub(crate) fn spend(&self, refresh_token: &str, asked: Instant) {
        let spent = Spent {
            asked,
            responded: None,
        };
        self.lock().spent.insert(refresh_token.to_owned(), spent);
    }

    /// Enters that the response with the successor of a refresh token is sent.
    pub(crate) fn respond(&self, refresh_token: &str) {
        if let Some(spent) = self.lock().spent.get_mut(refresh_token) {
            spent.responded = Some(Instant::now());
        }
    }

    /// The exchange of a refresh token, if it was exchanged before.
    pub(crate) fn spent(&self, refresh_token: &str) -> Option<Spent> {
        self.lock().spent.get(refresh_token).copied()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
