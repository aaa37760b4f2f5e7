//! Histograms of durations: lock-free recording, and snapshots for exposition.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The upper bounds, in nanoseconds: from the cost of a cached token to the longest wait of a client.
const BOUNDS: [u64; 14] = [
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// The buckets: one for each bound, and one for longer durations.
pub(super) const BUCKETS: usize = BOUNDS.len() + 1;

/// A histogram that any thread can record into.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    counts: [AtomicU64; BUCKETS],
    nanoseconds: AtomicU64,
}

impl Buckets {
    pub(super) fn record(&self, elapsed: Duration) {
        let nanoseconds = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS
            .iter()
            .position(|bound| nanoseconds <= *bound)
            .unwrap_or(BOUNDS.len());
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(super) fn add_to(&self, sum: &mut Durations) {
        for (sum, count) in sum.counts.iter_mut().zip(&self.counts) {
            *sum += count.load(Ordering::Relaxed);
        }
        sum.nanoseconds = sum
            .nanoseconds
            .wrapping_add(self.nanoseconds.load(Ordering::Relaxed));
    }
}

/// A snapshot of a histogram.
#[derive(Debug, Default)]
pub(super) struct Durations {
    counts: [u64; BUCKETS],
    nanoseconds: u64,
}

impl Durations {
    /// Yields the upper bound of each bucket in seconds, and its own count. The last bound is infinite.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        Self::bounds().zip(self.counts)
    }

    /// Yields the upper bound of each bucket in seconds. The last one is infinite.
    pub(super) fn bounds() -> impl Iterator<Item = f64> {
        let bounds = BOUNDS.iter().map(|bound| seconds(*bound));
        bounds.chain([f64::INFINITY])
    }

    pub(super) fn counts(&self) -> [u64; BUCKETS] {
        self.counts
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(super) fn sum_seconds(&self) -> f64 {
        seconds(self.nanoseconds)
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    Duration::from_nanos(nanoseconds).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        let buckets = Buckets::default();
        buckets.record(Duration::from_millis(1));
        buckets.record(Duration::from_nanos(1_000_001));
        buckets.record(Duration::MAX);
        let mut seen = Durations::default();
        buckets.add_to(&mut seen);
        let buckets: Vec<_> = seen.buckets().collect();
        assert_eq!(buckets[..3], [(0.0005, 0), (0.001, 1), (0.0025, 1)]);
        assert_eq!(buckets[13..], [(10.0, 0), (f64::INFINITY, 1)]);
        assert_eq!(seen.count(), 3);
    }
}
