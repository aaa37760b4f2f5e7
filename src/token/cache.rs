//! The cache of current tokens, which every forwarded request reads.
//!
//! Our clock judges at every read whether a token may be used. moka expires nothing: its clock cannot be injected, and
//! stands still while the machine sleeps.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use moka::sync::Cache;
use rustc_hash::FxBuildHasher;

use super::access_token::Token;
use crate::clock::BootInstant;

/// The key of one credential, unique in the process.
///
/// A provider's name would not do: after a change of its settings the old credential and the new one live side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct CredentialKey(u64);

/// The current tokens of all credentials. Clones share them.
///
/// It has no capacity: its keys come from the configuration, and an eviction would hit tokens in use.
#[derive(Clone)]
pub(super) struct TokenCache {
    tokens: Cache<CredentialKey, Token, FxBuildHasher>,
    next_key: Arc<AtomicU64>,
}

impl TokenCache {
    pub(super) fn new() -> Self {
        Self {
            tokens: Cache::builder().build_with_hasher(FxBuildHasher),
            next_key: Arc::default(),
        }
    }

    /// Creates an empty slot under a key of its own.
    pub(super) fn new_slot(&self) -> TokenSlot {
        TokenSlot {
            tokens: self.tokens.clone(),
            key: CredentialKey(self.next_key.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

/// The cache entry of one credential. Dropping the slot removes the entry.
pub(super) struct TokenSlot {
    tokens: Cache<CredentialKey, Token, FxBuildHasher>,
    key: CredentialKey,
}

impl TokenSlot {
    /// Returns the token, if it may be sent at `now`. Allocates nothing and takes no lock.
    pub(super) fn get(&self, now: BootInstant) -> Option<Token> {
        self.tokens
            .get(&self.key)
            .filter(|token| token.is_usable(now))
    }

    /// Replaces the token.
    pub(super) fn set(&self, token: Option<&Token>) {
        match token {
            Some(token) => self.tokens.insert(self.key, token.clone()),
            None => self.tokens.invalidate(&self.key),
        }
    }
}

impl Drop for TokenSlot {
    fn drop(&mut self) {
        self.tokens.invalidate(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        clock::{Clock, ManualClock},
        oauth::provider::Lifetime,
        secret::Secret,
        token::{
            access_token::AccessToken,
            schedule::{RenewalPolicy, TokenDeadlines},
        },
    };

    fn token(clock: &ManualClock, lifetime: u64) -> Token {
        let lifetime = Lifetime::For(Duration::from_secs(lifetime));
        let policy = RenewalPolicy::default();
        let deadlines = TokenDeadlines::new(clock.now(), lifetime, policy, 0.0);
        Arc::new(AccessToken::new(Secret::new("t"), deadlines, clock))
    }

    #[test]
    fn a_token_is_returned_until_our_clock_says_that_it_is_over() {
        let clock = ManualClock::new();
        let slot = TokenCache::new().new_slot();
        assert!(slot.get(clock.now()).is_none());
        slot.set(Some(&token(&clock, 100)));
        clock.advance(Duration::from_millis(89_999));
        assert!(slot.get(clock.now()).is_some());
        clock.advance(Duration::from_millis(1));
        assert!(slot.get(clock.now()).is_none());
    }

    #[test]
    fn a_replaced_token_is_gone_at_once() {
        let clock = ManualClock::new();
        let slot = TokenCache::new().new_slot();
        let (first, second) = (token(&clock, 10), token(&clock, 1000));
        slot.set(Some(&first));
        slot.set(Some(&second));
        assert!(Arc::ptr_eq(&slot.get(clock.now()).unwrap(), &second));
        slot.set(None);
        assert!(slot.get(clock.now()).is_none());
    }

    #[test]
    fn slots_share_no_token_and_a_dropped_slot_leaves_none_behind() {
        let clock = ManualClock::new();
        let cache = TokenCache::new();
        let (first, second) = (cache.new_slot(), cache.clone().new_slot());
        first.set(Some(&token(&clock, 100)));
        assert!(second.get(clock.now()).is_none());
        drop(first);
        cache.tokens.run_pending_tasks();
        assert_eq!(cache.tokens.entry_count(), 0);
    }
}
