//! Bounded waiting.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// The bound on every wait for something that has to come.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Polls `probe` until it gives something; fails the test, naming `what`, after [`PATIENCE`].
#[track_caller]
pub fn until<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, probe)
}

/// As [`until`], with another bound.
#[track_caller]
pub fn until_within<T>(bound: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + bound;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "waited {bound:?} in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// What a script waits at until the test opens it.
#[derive(Default)]
pub struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    /// Lets everyone through, now and later.
    pub fn open(&self) {
        *lock(&self.open) = true;
        self.changed.notify_all();
    }

    /// Waits until the gate is open, for at most three times [`PATIENCE`], so that a failed test ends its scripts.
    pub fn pass(&self) {
        let open = lock(&self.open);
        let _ = self
            .changed
            .wait_timeout_while(open, PATIENCE * 3, |open| !*open);
    }
}

/// Locks `mutex`; a poisoned one belongs to a test that has failed already.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Held by the tests that load both processors or measure memory: one at a time.
pub fn heavy() -> MutexGuard<'static, ()> {
    static HEAVY: Mutex<()> = Mutex::new(());
    lock(&HEAVY)
}
