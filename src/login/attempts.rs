//! Logins that have started and not yet returned: bounded, short-lived, and each valid once, in one browser.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::LOGIN_TIMEOUT;
use crate::{clock::BootInstant, secret::Secret};

/// The number of attempts kept at a time; one more displaces the oldest.
pub const MAX_ATTEMPTS: usize = 64;

/// Why a callback belongs to no attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The state was forged, was used, is too old, or belongs to an earlier process.
    #[error("no login with this state is under way")]
    UnknownState,
    /// The attempt exists and stays: it started in another browser.
    #[error("the login started in another browser")]
    OtherBrowser,
    /// The attempt exists and stays: its `redirect_uri` is another one (RFC 9700 §4.4).
    #[error("the login returns to another redirect_uri")]
    OtherRedirectUri,
}

/// The attempts under way, each with a value that its return needs.
pub struct AttemptStore<T>(Mutex<VecDeque<PendingAttempt<T>>>);

struct PendingAttempt<T> {
    state: Secret,
    browser: Secret,
    expires_at: BootInstant,
    value: T,
}

impl<T> AttemptStore<T> {
    /// An empty store.
    pub fn new() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }

    /// Adds an attempt for [`LOGIN_TIMEOUT`]: `state` claims it, in the browser that holds `browser`.
    pub fn insert(&self, now: BootInstant, state: Secret, browser: Secret, value: T) {
        let mut pending = self.lock(now);
        if pending.len() == MAX_ATTEMPTS {
            pending.pop_front();
        }
        pending.push_back(PendingAttempt {
            state,
            browser,
            expires_at: now + LOGIN_TIMEOUT,
            value,
        });
    }

    /// Removes the attempt with `state` and returns its value, if the callback is its own.
    ///
    /// `check` gets the secret that the browser has to hold, and the value.
    ///
    /// # Errors
    /// There is no such attempt, or `check` refuses it; then it stays.
    pub fn claim(
        &self,
        now: BootInstant,
        state: &str,
        check: impl Fn(&Secret, &T) -> Result<(), ClaimError>,
    ) -> Result<T, ClaimError> {
        let mut pending = self.lock(now);
        // All are compared, so that the duration reveals nothing.
        let mut found = None;
        for (index, attempt) in pending.iter().enumerate() {
            if attempt.state.matches(state.as_bytes()) {
                found = Some(index);
            }
        }
        let index = found.ok_or(ClaimError::UnknownState)?;
        let attempt = &pending[index];
        check(&attempt.browser, &attempt.value)?;
        let attempt = pending.remove(index).ok_or(ClaimError::UnknownState)?;
        Ok(attempt.value)
    }

    /// Whether there is an attempt with `state`, which stays.
    pub fn contains(&self, now: BootInstant, state: &str) -> bool {
        let pending = self.lock(now);
        pending.iter().fold(false, |found, attempt| {
            attempt.state.matches(state.as_bytes()) | found
        })
    }

    /// Locks the attempts that have not expired.
    fn lock(&self, now: BootInstant) -> MutexGuard<'_, VecDeque<PendingAttempt<T>>> {
        // A panic leaves nothing in here half done.
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pending.retain(|attempt| attempt.expires_at > now);
        pending
    }
}

impl<T> Default for AttemptStore<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for AttemptStore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptStore").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: BootInstant = BootInstant::from_boot(Duration::from_secs(1000));

    fn pending(logins: impl IntoIterator<Item = usize>) -> AttemptStore<usize> {
        let pending = AttemptStore::new();
        for login in logins {
            pending.insert(
                START,
                Secret::new(format!("s{login}")),
                Secret::new(format!("b{login}")),
                login,
            );
        }
        pending
    }

    fn browser(name: &str) -> impl Fn(&Secret, &usize) -> Result<(), ClaimError> {
        move |secret, _| match secret.matches(name.as_bytes()) {
            true => Ok(()),
            false => Err(ClaimError::OtherBrowser),
        }
    }

    #[test]
    fn a_login_is_claimed_once() {
        let pending = pending([1, 2]);
        assert_eq!(pending.claim(START, "s1", browser("b1")), Ok(1));
        assert_eq!(
            pending.claim(START, "s1", browser("b1")),
            Err(ClaimError::UnknownState)
        );
        assert!(
            pending.contains(START, "s2")
                && pending.contains(START, "s2")
                && !pending.contains(START, "s1")
        );
        assert!(!pending.contains(START + LOGIN_TIMEOUT, "s2"));
        let pending = self::pending([1, 2]);
        assert_eq!(pending.claim(START, "s2", browser("b2")), Ok(2));
    }

    #[test]
    fn another_browser_neither_gets_a_login_nor_ends_it() {
        let pending = pending([1, 2]);
        assert_eq!(
            pending.claim(START, "s1", browser("b2")),
            Err(ClaimError::OtherBrowser)
        );
        assert_eq!(
            pending.claim(START, "", browser("b1")),
            Err(ClaimError::UnknownState)
        );
        assert_eq!(pending.claim(START, "s1", browser("b1")), Ok(1));
    }

    #[test]
    fn an_attempt_expires_after_ten_minutes() {
        let just_before = START + LOGIN_TIMEOUT - Duration::from_nanos(1);
        assert_eq!(pending([1]).claim(just_before, "s1", browser("b1")), Ok(1));
        assert_eq!(
            pending([1]).claim(START + LOGIN_TIMEOUT, "s1", browser("b1")),
            Err(ClaimError::UnknownState)
        );
    }

    #[test]
    fn one_attempt_too_many_displaces_the_oldest() {
        let pending = pending(0..=MAX_ATTEMPTS);
        assert_eq!(
            pending.claim(START, "s0", browser("b0")),
            Err(ClaimError::UnknownState)
        );
        for login in 1..=MAX_ATTEMPTS {
            assert_eq!(
                pending.claim(START, &format!("s{login}"), browser(&format!("b{login}"))),
                Ok(login)
            );
        }
    }
}
