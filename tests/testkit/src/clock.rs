//! The time by which codes and tokens expire.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The monotonic clock of the system, which a test can move forward. Clones share the offset.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset: Arc<Mutex<Duration>>,
}

impl Clock {
    /// The time of the system plus all that was added by [`Clock::advance`].
    pub fn now(&self) -> Instant {
        Instant::now() + *self.offset.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the clock forward.
    pub fn advance(&self, duration: Duration) {
        *self.offset.lock().unwrap_or_else(PoisonError::into_inner) += duration;
    }
}
