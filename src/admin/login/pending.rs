//! Logins that set out and have not come back: few, short, each good for one use and for the browser that it began in.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{clock::BootInstant, secret::Secret};

/// How long a login may take.
pub const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// Logins under way at a time; one more makes the oldest be forgotten.
pub(super) const MOST: usize = 64;

/// Why a callback belongs to no login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unclaimed {
    /// No login has this state: forged, used, too old, or of an earlier run.
    Unknown,
    /// There is such a login, and it stays: this is not the browser in which it began.
    OtherBrowser,
}

/// The logins under way, each with whatever `T` it needs to go on.
pub(super) struct Pending<T>(Mutex<VecDeque<Waiting<T>>>);

struct Waiting<T> {
    state: Secret,
    browser: Secret,
    until: BootInstant,
    login: T,
}

impl<T> Pending<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }

    /// Keeps `login` for ten minutes: it is claimed by `state` in the browser that holds `browser`.
    pub(super) fn keep(&self, now: BootInstant, state: Secret, browser: Secret, login: T) {
        let mut waiting = self.lock(now);
        if waiting.len() == MOST {
            waiting.pop_front();
        }
        waiting.push_back(Waiting {
            state,
            browser,
            until: now + LIFETIME,
            login,
        });
    }

    /// Hands out the login of `state`, once, to the browser that it began in; `holds` tells whether this one holds that
    /// secret.
    pub(super) fn claim(
        &self,
        now: BootInstant,
        state: &str,
        holds: impl Fn(&Secret) -> bool,
    ) -> Result<T, Unclaimed> {
        let mut waiting = self.lock(now);
        // All of them are compared, so that the time it takes says nothing.
        let mut found = None;
        for (at, one) in waiting.iter().enumerate() {
            if one.state.matches(state.as_bytes()) {
                found = Some(at);
            }
        }
        let at = found.ok_or(Unclaimed::Unknown)?;
        if !holds(&waiting[at].browser) {
            return Err(Unclaimed::OtherBrowser);
        }
        waiting
            .remove(at)
            .map(|one| one.login)
            .ok_or(Unclaimed::Unknown)
    }

    /// Whether there is one of `state`, which stays.
    pub(super) fn knows(&self, now: BootInstant, state: &str) -> bool {
        let waiting = self.lock(now);
        waiting.iter().fold(false, |known, one| {
            one.state.matches(state.as_bytes()) | known
        })
    }

    /// What is still good.
    fn lock(&self, now: BootInstant) -> MutexGuard<'_, VecDeque<Waiting<T>>> {
        // Nothing in here is left half done by a panic.
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|one| one.until > now);
        waiting
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: BootInstant = BootInstant::from_boot(Duration::from_secs(1000));

    fn pending(logins: impl IntoIterator<Item = usize>) -> Pending<usize> {
        let pending = Pending::new();
        for login in logins {
            pending.keep(
                START,
                Secret::new(format!("s{login}")),
                Secret::new(format!("b{login}")),
                login,
            );
        }
        pending
    }

    fn browser(name: &str) -> impl Fn(&Secret) -> bool {
        move |secret| secret.matches(name.as_bytes())
    }

    #[test]
    fn a_login_is_claimed_once() {
        let pending = pending([1, 2]);
        assert_eq!(pending.claim(START, "s1", browser("b1")), Ok(1));
        assert_eq!(
            pending.claim(START, "s1", browser("b1")),
            Err(Unclaimed::Unknown)
        );
        assert!(
            pending.knows(START, "s2") && pending.knows(START, "s2") && !pending.knows(START, "s1")
        );
        assert!(!pending.knows(START + LIFETIME, "s2"));
        let pending = self::pending([1, 2]);
        assert_eq!(pending.claim(START, "s2", browser("b2")), Ok(2));
    }

    #[test]
    fn another_browser_neither_gets_a_login_nor_ends_it() {
        let pending = pending([1, 2]);
        assert_eq!(
            pending.claim(START, "s1", browser("b2")),
            Err(Unclaimed::OtherBrowser)
        );
        assert_eq!(
            pending.claim(START, "", browser("b1")),
            Err(Unclaimed::Unknown)
        );
        assert_eq!(pending.claim(START, "s1", browser("b1")), Ok(1));
    }

    #[test]
    fn ten_minutes_are_the_most() {
        let just_before = START + LIFETIME - Duration::from_nanos(1);
        assert_eq!(pending([1]).claim(just_before, "s1", browser("b1")), Ok(1));
        assert_eq!(
            pending([1]).claim(START + LIFETIME, "s1", browser("b1")),
            Err(Unclaimed::Unknown)
        );
    }

    #[test]
    fn the_oldest_makes_room() {
        let pending = pending(0..=MOST);
        assert_eq!(
            pending.claim(START, "s0", browser("b0")),
            Err(Unclaimed::Unknown)
        );
        for login in 1..=MOST {
            assert_eq!(
                pending.claim(START, &format!("s{login}"), browser(&format!("b{login}"))),
                Ok(login)
            );
        }
    }
}
