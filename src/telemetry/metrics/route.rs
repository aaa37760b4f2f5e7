//! Metrics of one route, recorded once a request by every worker thread.
//!
//! Each thread counts in a shard of its own, so that no cache line travels between processors; reading adds them up. A
//! shard is made when its thread first records a request of the route: ten thousand idle routes cost next to nothing.

use std::{
    collections::BTreeMap,
    sync::{
        OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    buckets::{Buckets, Durations},
    route_totals::RouteTotals,
};

/// Shards per route. With more threads than this, some share a shard, which costs time but no count.
const SHARDS: usize = 8;

/// The statuses that a shard counts without an allocation. Few routes see more.
const SLOTS: usize = 12;

/// The number of valid values of [`http::StatusCode`]: 100 to 999.
const CODES: usize = 900;

/// The counters of one route.
#[derive(Debug, Default)]
pub struct RouteMetrics {
    shards: [OnceLock<Box<Shard>>; SHARDS],
    replays: AtomicU64,
}

impl RouteMetrics {
    /// Counts one request with the `status` of its response; allocates nothing after the first in a thread.
    pub fn record(&self, status: u16, elapsed: Duration) {
        let shard = self.shards[shard_of_this_thread()].get_or_init(Box::default);
        shard.durations.record(elapsed);
        shard.codes.record(status);
    }

    /// Counts one request that was repeated with a new token.
    pub fn record_replay(&self) {
        self.replays.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the totals since the start.
    pub fn totals(&self) -> RouteTotals {
        RouteTotals::new(self.codes(), &self.durations())
    }

    /// Sums the responses by status, without unseen statuses.
    pub(super) fn codes(&self) -> BTreeMap<u16, u64> {
        let mut sum = BTreeMap::new();
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            shard.codes.add_to(&mut sum);
        }
        sum
    }

    pub(super) fn durations(&self) -> Durations {
        let mut sum = Durations::default();
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            shard.durations.add_to(&mut sum);
        }
        sum
    }

    pub(super) fn replays(&self) -> u64 {
        self.replays.load(Ordering::Relaxed)
    }
}

/// Aligned to two cache lines, since processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    durations: Buckets,
    codes: Codes,
}

/// Counts by status: a small table, and a full one for a route with more statuses than slots.
#[derive(Debug, Default)]
struct Codes {
    /// The status in the upper 16 bits, its count in the others; 0 is a free slot. Slots fill from the front.
    slots: [AtomicU64; SLOTS],
    overflow: OnceLock<Box<[AtomicU64]>>,
}

const COUNT_BITS: u32 = 48;

impl Codes {
    fn record(&self, status: u16) {
        let first = (u64::from(status) << COUNT_BITS) | 1;
        for slot in &self.slots {
            let mut seen = slot.load(Ordering::Relaxed);
            if seen == 0 {
                match slot.compare_exchange(0, first, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return,
                    // A thread of the same shard took it, perhaps for the same status.
                    Err(taken) => seen = taken,
                }
            }
            if seen >> COUNT_BITS == u64::from(status) {
                slot.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        let overflow = self
            .overflow
            .get_or_init(|| (0..CODES).map(|_| AtomicU64::new(0)).collect());
        let place = usize::from(status).saturating_sub(100).min(CODES - 1);
        overflow[place].fetch_add(1, Ordering::Relaxed);
    }

    fn add_to(&self, sum: &mut BTreeMap<u16, u64>) {
        for slot in &self.slots {
            let seen = slot.load(Ordering::Relaxed);
            if let (status @ 1.., count) =
                ((seen >> COUNT_BITS) as u16, seen & ((1 << COUNT_BITS) - 1))
            {
                *sum.entry(status).or_default() += count;
            }
        }
        for (status, count) in (100..).zip(self.overflow.get().into_iter().flatten()) {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                *sum.entry(status).or_default() += count;
            }
        }
    }
}

/// Assigns shards to threads in turn, so that up to [`SHARDS`] workers share none.
fn shard_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    SHARD.with(|shard| *shard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_count_is_lost_between_threads() {
        let route = RouteMetrics::default();
        std::thread::scope(|scope| {
            for thread in 0..16_u16 {
                let route = &route;
                scope.spawn(move || {
                    for round in 0..1000_u16 {
                        route.record(200 + (thread + round) % 40, Duration::from_millis(1));
                    }
                });
            }
        });
        assert_eq!(route.codes().values().sum::<u64>(), 16_000);
        assert_eq!(route.codes().len(), 40);
        assert_eq!(route.durations().count(), 16_000);
    }

    #[test]
    fn more_statuses_than_slots_are_told_apart() {
        let route = RouteMetrics::default();
        for status in 100..=999 {
            for _ in 0..status % 3 + 1 {
                route.record(status, Duration::ZERO);
            }
        }
        let codes = route.codes();
        assert_eq!(codes.len(), 900);
        assert!(
            codes
                .iter()
                .all(|(status, count)| *count == u64::from(status % 3 + 1))
        );
    }

    #[test]
    fn an_idle_route_is_small() {
        assert!(
            size_of::<RouteMetrics>() <= 160,
            "{}",
            size_of::<RouteMetrics>()
        );
        assert!(size_of::<Shard>() <= 256, "{}", size_of::<Shard>());
    }
}
