//! The tokens in hand, by credential.
//!
//! Whether a token may be used is judged by our clock at every read. What moka expires on its own is housekeeping: its
//! clock cannot be injected and does not count while the machine sleeps.

use std::{
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::{Expiry, sync::Cache};

use super::{access_token::State, credential::Token};
use crate::clock::Clock;

/// Names one credential for as long as the process lives, so that a provider whose settings changed and the one it
/// replaces never see each other's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(u64);

/// Spreads keys that are counted up: nobody can choose them so that they collide, which is what the usual hash is for.
#[derive(Clone, Copy, Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 divided by the golden ratio.
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A handle on the tokens of all credentials; clones share them.
///
/// It has no capacity: its keys come from the configuration, and moka would evict tokens that are in use.
#[derive(Clone)]
pub(super) struct TokenCache {
    tokens: Cache<Key, Token, BuildHasherDefault<Spread>>,
    clock: Arc<dyn Clock>,
    keys: Arc<AtomicU64>,
}

impl TokenCache {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let housekeeping = Housekeeping {
            clock: clock.clone(),
        };
        Self {
            tokens: Cache::builder()
                .expire_after(housekeeping)
                .build_with_hasher(Default::default()),
            clock,
            keys: Arc::default(),
        }
    }

    /// A key that nobody else has.
    pub(super) fn key(&self) -> Key {
        Key(self.keys.fetch_add(1, Ordering::Relaxed))
    }

    /// The token under `key`, if it may be used now.
    pub(super) fn get(&self, key: Key) -> Option<Token> {
        self.tokens
            .get(&key)
            .filter(|token| token.state(self.clock.now()) != State::Expired)
    }

    pub(super) fn insert(&self, key: Key, token: Token) {
        self.tokens.insert(key, token);
    }

    pub(super) fn remove(&self, key: Key) {
        self.tokens.invalidate(&key);
    }
}

/// Lets moka drop what our clock has long given up. Both methods are needed: with the first alone, a renewed token
/// would vanish at the deadline of the one it replaced.
struct Housekeeping {
    clock: Arc<dyn Clock>,
}

impl Housekeeping {
    fn keep(&self, token: &Token) -> Duration {
        const GRACE: Duration = Duration::from_secs(60);
        token.expires_at.since(self.clock.now()) + GRACE
    }
}

impl Expiry<Key, Token> for Housekeeping {
    fn expire_after_create(&self, _: &Key, token: &Token, _: Instant) -> Option<Duration> {
        Some(self.keep(token))
    }

    fn expire_after_update(
        &self,
        _: &Key,
        token: &Token,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(self.keep(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::ManualClock,
        secret::Secret,
        token::{access_token::AccessToken, schedule::Deadlines},
    };

    fn token(clock: &ManualClock, lifetime: u64) -> Token {
        let deadlines = Deadlines::new(clock.now(), Duration::from_secs(lifetime), None, 0.0);
        Arc::new(AccessToken::new(Secret::new("t"), deadlines, clock))
    }

    #[test]
    fn a_token_is_given_out_until_our_clock_says_no() {
        let clock = ManualClock::new();
        let cache = TokenCache::new(Arc::new(clock.clone()));
        let key = cache.key();
        assert!(cache.get(key).is_none());
        cache.insert(key, token(&clock, 100));
        clock.advance(Duration::from_millis(89_999));
        assert!(cache.get(key).is_some());
        clock.advance(Duration::from_millis(1));
        assert!(cache.get(key).is_none());
    }

    #[test]
    fn housekeeping_follows_the_token_that_is_there() {
        let clock = ManualClock::new();
        let housekeeping = Housekeeping {
            clock: Arc::new(clock.clone()),
        };
        let (first, second) = (token(&clock, 10), token(&clock, 1000));
        let now = Instant::now();
        let created = housekeeping.expire_after_create(&Key(0), &first, now);
        assert_eq!(created, Some(Duration::from_secs(70)));
        assert_eq!(
            housekeeping.expire_after_update(&Key(0), &second, now, created),
            Some(Duration::from_secs(1060))
        );
    }

    #[test]
    fn keys_are_never_shared() {
        let cache = TokenCache::new(Arc::new(ManualClock::new()));
        let other = cache.clone();
        let (first, second) = (cache.key(), other.key());
        assert_ne!(first, second);
    }
}
