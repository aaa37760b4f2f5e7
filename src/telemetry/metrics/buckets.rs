//! How durations are sorted into a histogram, and what a histogram looks like when it is read.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The upper bounds, in nanoseconds: from what a cached token costs to what a caller still waits for.
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

/// A histogram that may be counted into from any thread.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    /// One for each bound, and one for what is above them all.
    counts: [AtomicU64; BOUNDS.len() + 1],
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

/// A histogram as it was at one instant.
#[derive(Debug, Default)]
pub(super) struct Durations {
    counts: [u64; BOUNDS.len() + 1],
    nanoseconds: u64,
}

impl Durations {
    /// The upper bound of each bucket in seconds, and how many were no longer than that; without the last, `+Inf`.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        BOUNDS
            .iter()
            .zip(&self.counts)
            .scan(0, |total, (bound, count)| {
                *total += count;
                Some((seconds(*bound), *total))
            })
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
        let cumulative: Vec<_> = seen.cumulative().collect();
        assert_eq!(cumulative[..3], [(0.0005, 0), (0.001, 1), (0.0025, 2)]);
        assert_eq!(cumulative.last(), Some(&(10.0, 2)));
        assert_eq!(seen.count(), 3);
    }
}
