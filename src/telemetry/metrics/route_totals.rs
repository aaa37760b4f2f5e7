//! The totals of one route since the start, and what lies between two readings of them.

use std::time::Duration;

use super::buckets::{BUCKETS, Durations};

/// The requests of a route since the start, or between two readings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTotals {
    /// All requests.
    pub requests: u64,
    /// Those with a status from 400 to 499.
    pub client_errors: u64,
    /// Those with a status from 500 on.
    pub server_errors: u64,
    /// Their durations, by bucket.
    durations: [u64; BUCKETS],
}

impl RouteTotals {
    /// Sums statuses with their counts, and durations.
    pub(super) fn new(codes: impl IntoIterator<Item = (u16, u64)>, durations: &Durations) -> Self {
        let mut totals = Self {
            durations: durations.counts(),
            ..Self::default()
        };
        for (status, count) in codes {
            totals.requests += count;
            match status {
                400..=499 => totals.client_errors += count,
                500.. => totals.server_errors += count,
                _ => {}
            }
        }
        totals
    }

    /// Returns what has come since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut durations = self.durations;
        for (count, before) in durations.iter_mut().zip(earlier.durations) {
            *count = count.saturating_sub(before);
        }
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            client_errors: self.client_errors.saturating_sub(earlier.client_errors),
            server_errors: self.server_errors.saturating_sub(earlier.server_errors),
            durations,
        }
    }

    /// Estimates the duration that the part `quantile` of the requests did not exceed; `None` without requests.
    ///
    /// It lies in the right bucket. In the last one, which has no end, it is the beginning.
    pub fn duration(&self, quantile: f64) -> Option<Duration> {
        let total: u64 = self.durations.iter().sum();
        if total == 0 {
            return None;
        }
        let wanted = quantile.clamp(0.0, 1.0) * total as f64;
        let (mut below, mut start) = (0.0, 0.0);
        for (end, count) in Durations::bounds().zip(self.durations) {
            let count = count as f64;
            if count > 0.0 && below + count >= wanted {
                let part = ((wanted - below) / count).clamp(0.0, 1.0);
                let seconds = match end.is_finite() {
                    true => start + (end - start) * part,
                    false => start,
                };
                return Duration::try_from_secs_f64(seconds).ok();
            }
            below += count;
            start = end;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::*;

    #[test]
    fn requests_are_counted_by_the_side_of_their_fault() {
        let route = Metrics::new().route("r");
        for status in [101, 200, 301, 404, 429, 500, 503, 599] {
            route.record(status, Duration::ZERO);
        }
        let totals = route.totals();
        assert_eq!(
            (totals.requests, totals.client_errors, totals.server_errors),
            (8, 2, 3)
        );
    }

    #[test]
    fn what_came_before_does_not_count() {
        let route = Metrics::new().route("r");
        route.record(500, Duration::from_secs(20));
        let before = route.totals();
        assert_eq!(before.since(&before).duration(0.5), None);
        for _ in 0..100 {
            route.record(200, Duration::from_millis(4));
        }
        let since = route.totals().since(&before);
        assert_eq!((since.requests, since.server_errors), (100, 0));
        let p99 = since.duration(0.99).unwrap();
        assert!(
            (2.5..=5.0).contains(&(p99.as_secs_f64() * 1000.0)),
            "{p99:?}"
        );
    }

    #[test]
    fn a_quantile_lies_in_the_bucket_of_its_request() {
        let route = Metrics::new().route("r");
        for _ in 0..98 {
            route.record(200, Duration::from_millis(20));
        }
        for _ in 0..2 {
            route.record(200, Duration::from_secs(60));
        }
        let totals = route.totals();
        let p50 = totals.duration(0.5).unwrap();
        assert!((10..=25).contains(&p50.as_millis()), "{p50:?}");
        assert_eq!(totals.duration(0.99), Some(Duration::from_secs(10)));
    }
}
