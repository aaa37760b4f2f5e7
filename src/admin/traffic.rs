//! The traffic of the last minutes, by route: totals that a background task reads, and what they tell.
//!
//! Nothing is added to the request path. A route without traffic has no history, so ten thousand idle ones cost a reading.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;

use crate::telemetry::metrics::RouteTotals;

/// The time between two readings.
pub(super) const SAMPLE_INTERVAL: Duration = Duration::from_secs(5);

/// The readings that a window spans.
const MAX_SAMPLES: usize = 60;

/// The readings that the rate is the mean of: those of the last minute.
const RATE_SAMPLES: usize = 12;

/// The readings between two totals that are kept for the latencies.
const TOTALS_EVERY: usize = 12;

/// The traffic of a route in the last five minutes, as far as the process has run so long.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct RouteTraffic {
    /// Requests since the start.
    pub(super) requests_total: u64,
    /// Requests in a second, the mean of the last minute.
    pub(super) rate: f64,
    /// Requests of the last five minutes.
    pub(super) requests: u64,
    /// Those with a status from 400 to 499.
    pub(super) client_errors: u64,
    /// Those with a status from 500 on.
    pub(super) server_errors: u64,
    /// The median duration in milliseconds; `None` without requests.
    pub(super) p50_ms: Option<f64>,
    /// The duration in milliseconds that one of a hundred requests exceeds.
    pub(super) p99_ms: Option<f64>,
    /// The seconds that each number of `series` covers.
    pub(super) interval_s: u64,
    /// Requests in each interval, the oldest first.
    pub(super) series: Vec<u32>,
}

/// The histories of all routes.
#[derive(Debug, Default)]
pub(super) struct Traffic(Mutex<Histories>);

#[derive(Debug, Default)]
struct Histories {
    routes: HashMap<Arc<str>, History>,
    /// The readings so far, as far as they count.
    samples: usize,
}

/// The history of a route that had traffic.
#[derive(Debug)]
struct History {
    latest: RouteTotals,
    /// Totals before the window's intervals, [`TOTALS_EVERY`] readings apart, the oldest first.
    earlier: VecDeque<RouteTotals>,
    readings: usize,
    series: VecDeque<u32>,
}

impl Traffic {
    /// Reads the totals of `routes` and forgets all other routes.
    pub(super) fn sample<'n>(
        &self,
        routes: impl Iterator<Item = &'n Arc<str>>,
        totals: impl Fn(&str) -> Option<RouteTotals>,
    ) {
        let mut histories = self.lock();
        histories.samples = (histories.samples + 1).min(MAX_SAMPLES);
        let mut before = std::mem::take(&mut histories.routes);
        for name in routes {
            // A reload may have removed it meanwhile.
            let next = totals(name).unwrap_or_default();
            match before.remove(name) {
                Some(mut history) => {
                    history.record(next);
                    histories.routes.insert(name.clone(), history);
                }
                None if next.requests > 0 => {
                    histories.routes.insert(name.clone(), History::new(next));
                }
                None => {}
            }
        }
    }

    /// The traffic of the route `name`.
    pub(super) fn of(&self, name: &str) -> RouteTraffic {
        let histories = self.lock();
        let history = histories.routes.get(name);
        let mut traffic = history.map(History::traffic).unwrap_or_default();
        traffic.interval_s = SAMPLE_INTERVAL.as_secs();
        // A line of zeroes, where nothing came.
        let missing = histories.samples.saturating_sub(traffic.series.len());
        traffic.series.splice(0..0, std::iter::repeat_n(0, missing));
        let rated = &traffic.series[traffic.series.len().saturating_sub(RATE_SAMPLES)..];
        let seconds = SAMPLE_INTERVAL.as_secs_f64() * rated.len().max(1) as f64;
        let requests: u64 = rated.iter().copied().map(u64::from).sum();
        traffic.rate = (requests as f64 / seconds * 100.0).round() / 100.0;
        traffic
    }

    /// Locks the histories; no statement leaves them half changed.
    fn lock(&self) -> MutexGuard<'_, Histories> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History {
    /// Begins with a route's first requests.
    fn new(totals: RouteTotals) -> Self {
        let mut history = Self {
            latest: RouteTotals::default(),
            earlier: VecDeque::new(),
            readings: 0,
            series: VecDeque::new(),
        };
        history.record(totals);
        history
    }

    fn record(&mut self, next: RouteTotals) {
        if self.readings.is_multiple_of(TOTALS_EVERY) {
            self.earlier.push_back(self.latest.clone());
            if self.earlier.len() > MAX_SAMPLES / TOTALS_EVERY {
                self.earlier.pop_front();
            }
        }
        self.readings += 1;
        let requests = next.since(&self.latest).requests;
        self.series
            .push_back(u32::try_from(requests).unwrap_or(u32::MAX));
        if self.series.len() > MAX_SAMPLES {
            self.series.pop_front();
        }
        self.latest = next;
    }

    fn traffic(&self) -> RouteTraffic {
        let window = match self.earlier.front() {
            Some(earliest) => self.latest.since(earliest),
            None => self.latest.clone(),
        };
        let milliseconds = |quantile| {
            let duration = window.duration(quantile)?;
            Some((duration.as_secs_f64() * 10_000.0).round() / 10.0)
        };
        RouteTraffic {
            requests_total: self.latest.requests,
            requests: window.requests,
            client_errors: window.client_errors,
            server_errors: window.server_errors,
            p50_ms: milliseconds(0.5),
            p99_ms: milliseconds(0.99),
            series: self.series.iter().copied().collect(),
            ..RouteTraffic::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    /// Reads the totals of `names` `times` times.
    fn sample(traffic: &Traffic, metrics: &Metrics, names: &[&str], times: usize) {
        let names: Vec<Arc<str>> = names.iter().map(|name| (*name).into()).collect();
        for _ in 0..times {
            traffic.sample(names.iter(), |name| metrics.route_totals(name));
        }
    }

    #[test]
    fn a_route_tells_its_last_minutes() {
        let (traffic, metrics) = (Traffic::default(), Metrics::new());
        sample(&traffic, &metrics, &["r"], 1);
        for status in [200, 200, 200, 404, 503] {
            metrics.route("r").record(status, Duration::from_millis(20));
        }
        sample(&traffic, &metrics, &["r"], 1);
        let seen = traffic.of("r");
        assert_eq!((seen.requests, seen.requests_total), (5, 5));
        assert_eq!((seen.client_errors, seen.server_errors), (1, 1));
        assert_eq!(seen.series, [0, 5]);
        assert!((seen.rate - 0.5).abs() < 0.01, "5 in 10 s: {}", seen.rate);
        assert!(seen.p50_ms.is_some_and(|p50| (10.0..=25.0).contains(&p50)));
    }

    #[test]
    fn what_is_long_past_is_forgotten_but_for_its_total() {
        let (traffic, metrics) = (Traffic::default(), Metrics::new());
        metrics.route("r").record(500, Duration::ZERO);
        sample(&traffic, &metrics, &["r"], 1);
        assert_eq!(traffic.of("r").requests, 1);
        sample(&traffic, &metrics, &["r"], MAX_SAMPLES + TOTALS_EVERY);
        let seen = traffic.of("r");
        assert_eq!((seen.requests, seen.server_errors), (0, 0));
        assert_eq!((seen.requests_total, seen.p50_ms), (1, None));
        assert_eq!(seen.series, [0; MAX_SAMPLES]);
    }

    #[test]
    fn an_idle_route_has_no_history_and_a_removed_one_none_any_more() {
        let (traffic, metrics) = (Traffic::default(), Metrics::new());
        metrics.route("busy").record(200, Duration::ZERO);
        sample(&traffic, &metrics, &["busy", "idle"], 3);
        assert_eq!(traffic.lock().routes.len(), 1);
        assert_eq!(traffic.of("idle").series, [0, 0, 0]);
        sample(&traffic, &metrics, &["idle"], 1);
        assert!(traffic.lock().routes.is_empty());
    }
}
