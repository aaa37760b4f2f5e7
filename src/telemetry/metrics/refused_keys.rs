//! The refused keys of one listener: each is counted, and one line a second at most is logged.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::clock::BootInstant;

/// The time between two log lines of one listener.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// The requests to one listener whose key was missing or wrong.
#[derive(Debug, Default)]
pub struct RefusedKeys(Mutex<Refused>);

#[derive(Clone, Copy, Debug, Default)]
struct Refused {
    total: u64,
    /// Those since the last line.
    unlogged: u64,
    next_line_at: Option<BootInstant>,
}

impl RefusedKeys {
    /// Counts a refused key, and logs those since the last line if that is a second ago.
    ///
    /// `listener` is the address as the metric's label has it.
    pub fn record(&self, listener: &str, now: BootInstant) {
        if let Some(refused) = self.count(now) {
            tracing::warn!(listener, refused, "key.refused");
        }
    }

    /// Returns the number of refused keys that a line has to name now.
    fn count(&self, now: BootInstant) -> Option<u64> {
        // No statement leaves the numbers half changed.
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused.total += 1;
        refused.unlogged += 1;
        if refused.next_line_at.is_some_and(|at| now < at) {
            return None;
        }
        refused.next_line_at = Some(now + LINE_INTERVAL);
        Some(std::mem::take(&mut refused.unlogged))
    }

    pub(super) fn total(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_keys_are_all_counted_and_logged_once_a_second() {
        let keys = RefusedKeys::default();
        let at = |millis| BootInstant::from_boot(Duration::from_millis(millis));
        let lines: Vec<_> = [0, 1, 500, 999, 1000, 1001, 5000]
            .into_iter()
            .filter_map(|millis| keys.count(at(millis)))
            .collect();
        assert_eq!(lines, [1, 4, 2]);
        assert_eq!(keys.total(), 7);
    }
}
