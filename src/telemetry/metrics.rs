//! Every metric, named here and nowhere else.
//!
//! Handles are injected: the code that counts holds one and never looks it up by name while a request waits. Labels come
//! from the configuration alone, never from a request, so the number of series is known beforehand.

mod buckets;
mod exposition;
mod provider;
mod refused_keys;
mod route;
mod route_totals;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicI64},
};

use prometheus_client::{
    encoding::prometheus_text, metrics::gauge::Gauge as AtomicGauge, registry::Registry,
};
pub use provider::ProviderMetrics;
pub use refused_keys::RefusedKeys;
pub use route::RouteMetrics;
pub use route_totals::RouteTotals;

/// The media type of [`Metrics::render`]: the Prometheus text format, version 0.0.4.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// A number that goes up and down.
pub type Gauge = AtomicGauge<i64, AtomicI64>;

/// The process's metrics registry.
#[derive(Debug)]
pub struct Metrics {
    series: Arc<Series>,
    registry: Registry,
}

impl Metrics {
    /// Creates a registry with the series of the process, without routes, providers and listeners.
    pub fn new() -> Arc<Self> {
        let series = Arc::<Series>::default();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(series.clone()));
        Arc::new(Self { series, registry })
    }

    /// Returns the handle of the route `name`; the same one each time.
    pub fn route(&self, name: &str) -> Arc<RouteMetrics> {
        self.series.routes.handle(name)
    }

    /// Returns the totals of the route `name`, if there is one.
    pub fn route_totals(&self, name: &str) -> Option<RouteTotals> {
        let route = lock(&self.series.routes.0).get(name).cloned();
        route.map(|route| route.totals())
    }

    /// Returns the handle of the provider `name`; the same one each time.
    pub fn provider(&self, name: &str) -> Arc<ProviderMetrics> {
        self.series.providers.handle(name)
    }

    /// Returns the gauge of open connections for the listener `name`, its address as configured; the same one each time.
    pub fn listener(&self, name: &str) -> Arc<Gauge> {
        self.series.listeners.handle(name)
    }

    /// Returns the refused keys of the listener `name`, its address; the same handle each time.
    pub fn refused_keys(&self, name: &str) -> Arc<RefusedKeys> {
        self.series.refused_keys.handle(name)
    }

    /// Counts one reload of the configuration.
    pub fn record_reload(&self, outcome: ReloadOutcome) {
        let mut reloads = lock(&self.series.reloads);
        match outcome {
            ReloadOutcome::Success => reloads.success += 1,
            ReloadOutcome::Failure => reloads.failure += 1,
        }
    }

    /// Removes the routes that `keep` rejects. A handle that is still held counts on, unseen.
    pub fn retain_routes(&self, keep: impl Fn(&str) -> bool) {
        self.series.routes.retain(keep);
    }

    /// Removes the providers that `keep` rejects; see [`Metrics::retain_routes`].
    pub fn retain_providers(&self, keep: impl Fn(&str) -> bool) {
        self.series.providers.retain(keep);
    }

    /// Removes the listeners that `keep` rejects; see [`Metrics::retain_routes`].
    pub fn retain_listeners(&self, keep: impl Fn(&str) -> bool) {
        self.series.listeners.retain(&keep);
        self.series.refused_keys.retain(keep);
    }

    /// Writes every series in the Prometheus text format, in a stable order. Slow with thousands of routes.
    pub fn render(&self) -> String {
        let mut out = String::new();
        prometheus_text::encode(&mut out, &self.registry)
            .unwrap_or_else(|_| unreachable!("writing to a String does not fail"));
        out
    }
}

/// The outcome of a reload of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// The new configuration is in use.
    Success,
    /// The old configuration stays in use.
    Failure,
}

/// All series, read by the registry at each scrape.
#[derive(Debug, Default)]
struct Series {
    routes: Handles<RouteMetrics>,
    providers: Handles<ProviderMetrics>,
    listeners: Handles<Gauge>,
    refused_keys: Handles<RefusedKeys>,
    reloads: Mutex<Reloads>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Reloads {
    success: u64,
    failure: u64,
}

/// Handles of one kind, by name.
#[derive(Debug)]
struct Handles<T>(Mutex<BTreeMap<Arc<str>, Arc<T>>>);

impl<T: Default> Handles<T> {
    fn handle(&self, name: &str) -> Arc<T> {
        let mut handles = lock(&self.0);
        if let Some(handle) = handles.get(name) {
            return handle.clone();
        }
        handles.entry(name.into()).or_default().clone()
    }

    fn retain(&self, keep: impl Fn(&str) -> bool) {
        lock(&self.0).retain(|name, _| keep(name));
    }

    /// Copies the handles, so that a slow rendering blocks no other thread.
    fn all(&self) -> Vec<(Arc<str>, Arc<T>)> {
        lock(&self.0)
            .iter()
            .map(|(name, handle)| (name.clone(), handle.clone()))
            .collect()
    }
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// Locks a map; a poisoned one is still consistent, since no statement leaves it half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn the_same_name_gives_the_same_handle() {
        let metrics = Metrics::new();
        assert!(Arc::ptr_eq(&metrics.route("a"), &metrics.route("a")));
        assert!(Arc::ptr_eq(&metrics.provider("a"), &metrics.provider("a")));
        assert!(Arc::ptr_eq(&metrics.listener("a"), &metrics.listener("a")));
        assert!(!Arc::ptr_eq(&metrics.route("a"), &metrics.route("b")));
    }

    #[test]
    fn every_metric_has_its_help_and_its_type_exactly_once() {
        let text = Metrics::new().render();
        for (name, kind) in [
            ("bearward_build_info", "gauge"),
            ("bearward_requests_total", "counter"),
            ("bearward_request_duration_seconds", "histogram"),
            ("bearward_token_replays_total", "counter"),
            ("bearward_connections", "gauge"),
            ("bearward_keys_refused_total", "counter"),
            ("bearward_token_requests_total", "counter"),
            ("bearward_token_request_duration_seconds", "histogram"),
            ("bearward_token_expiry_timestamp_seconds", "gauge"),
            ("bearward_login_expiry_timestamp_seconds", "gauge"),
            ("bearward_login_required", "gauge"),
            ("bearward_config_reloads_total", "counter"),
            ("bearward_log_lines_lost_total", "counter"),
        ] {
            let (help, kind) = (format!("# HELP {name} "), format!("# TYPE {name} {kind}\n"));
            assert_eq!(text.matches(&help).count(), 1, "{name}");
            assert_eq!(text.matches(&kind).count(), 1, "{name}");
        }
    }

    #[test]
    fn every_sample_follows_the_type_of_its_family() {
        let metrics = Metrics::new();
        metrics.route("a").record(200, Duration::ZERO);
        metrics.route("b").record(404, Duration::ZERO);
        metrics
            .provider("p")
            .record_request("refresh_token", "ok", Duration::ZERO);
        metrics.listener("l").inc();
        let text = metrics.render();
        assert!(text.ends_with('\n'));

        let (mut family, mut kind) = ("", "");
        let mut seen = std::collections::HashSet::new();
        for line in text.lines() {
            if let Some(declared) = line.strip_prefix("# TYPE ") {
                (family, kind) = declared.split_once(' ').unwrap();
                assert!(seen.insert(family), "{family} is declared twice");
                assert_eq!(kind == "counter", family.ends_with("_total"), "{line}");
            } else if !line.starts_with("# HELP ") {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let name = sample.split('{').next().unwrap();
                let suffix = name.strip_prefix(family).unwrap_or("another family");
                match kind {
                    "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix)),
                    "counter" | "gauge" => assert_eq!(suffix, "", "{line}"),
                    _ => panic!("{kind} is not a type of version 0.0.4"),
                }
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
    }

    #[test]
    fn reloads_and_lost_lines_are_shown_from_the_start() {
        let text = Metrics::new().render();
        for line in [
            "bearward_config_reloads_total{outcome=\"success\"} 0\n",
            "bearward_config_reloads_total{outcome=\"failure\"} 0\n",
            "bearward_log_lines_lost_total ",
            concat!(
                "bearward_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1\n"
            ),
        ] {
            assert!(text.contains(line), "{line} is missing from\n{text}");
        }
    }

    #[test]
    fn recorded_values_are_shown() {
        let metrics = Metrics::new();
        let route = metrics.route("devices");
        route.record(200, Duration::from_millis(3));
        route.record(200, Duration::from_millis(70));
        route.record(503, Duration::from_secs(20));
        route.record_replay();
        let provider = metrics.provider("hapn");
        provider.record_request("client_credentials", "ok", Duration::from_millis(90));
        provider.set_expiry(Some(
            SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_250),
        ));
        provider.set_login_expiry(Some(
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000),
        ));
        provider.set_login_required(true);
        let listener = metrics.listener("127.0.0.1:8080");
        listener.inc_by(3);
        listener.dec();
        metrics.record_reload(ReloadOutcome::Success);
        let refused = metrics.refused_keys("127.0.0.1:9900");
        refused.record(
            "127.0.0.1:9900",
            crate::clock::BootInstant::from_boot(Duration::ZERO),
        );

        let text = metrics.render();
        for line in [
            "bearward_requests_total{route=\"devices\",code=\"200\"} 2",
            "bearward_requests_total{route=\"devices\",code=\"503\"} 1",
            "bearward_request_duration_seconds_bucket{route=\"devices\",le=\"0.0025\"} 0",
            "bearward_request_duration_seconds_bucket{route=\"devices\",le=\"0.005\"} 1",
            "bearward_request_duration_seconds_bucket{route=\"devices\",le=\"0.1\"} 2",
            "bearward_request_duration_seconds_bucket{route=\"devices\",le=\"10\"} 2",
            "bearward_request_duration_seconds_bucket{route=\"devices\",le=\"+Inf\"} 3",
            "bearward_request_duration_seconds_sum{route=\"devices\"} 20.073",
            "bearward_request_duration_seconds_count{route=\"devices\"} 3",
            "bearward_token_replays_total{route=\"devices\"} 1",
            "bearward_connections{listener=\"127.0.0.1:8080\"} 2",
            "bearward_token_requests_total{provider=\"hapn\",grant_type=\"client_credentials\",outcome=\"ok\"} 1",
            "bearward_keys_refused_total{listener=\"127.0.0.1:9900\"} 1",
            "bearward_token_request_duration_seconds_count{provider=\"hapn\"} 1",
            "bearward_token_expiry_timestamp_seconds{provider=\"hapn\"} 1800000000.25",
            "bearward_login_expiry_timestamp_seconds{provider=\"hapn\"} 1900000000.0",
            "bearward_login_required{provider=\"hapn\"} 1",
            "bearward_config_reloads_total{outcome=\"success\"} 1",
        ] {
            assert!(
                text.lines().any(|shown| shown == line),
                "{line} is missing from\n{text}"
            );
        }
    }

    #[test]
    fn a_route_without_traffic_shows_zeroes_but_no_status() {
        let metrics = Metrics::new();
        metrics.route("quiet");
        metrics.provider("quiet");
        let text = metrics.render();
        assert!(!text.contains("bearward_requests_total{"));
        assert!(!text.contains("bearward_token_requests_total{"));
        assert!(text.contains("bearward_request_duration_seconds_count{route=\"quiet\"} 0\n"));
        assert!(text.contains("bearward_request_duration_seconds_sum{route=\"quiet\"} 0.0\n"));
        assert!(text.contains("bearward_token_replays_total{route=\"quiet\"} 0\n"));
        assert!(text.contains("bearward_token_expiry_timestamp_seconds{provider=\"quiet\"} 0.0\n"));
        assert!(text.contains("bearward_login_required{provider=\"quiet\"} 0\n"));
    }

    #[test]
    fn labels_cannot_break_out_of_their_quotes() {
        let metrics = Metrics::new();
        metrics.route("a\"} 1\nforged{x=\"\\");
        let text = metrics.render();
        assert!(
            text.contains(r#"{route="a\"} 1\nforged{x=\"\\"} 0"#),
            "{text}"
        );
        assert!(!text.lines().any(|line| line.starts_with("forged")));
    }

    #[test]
    fn the_order_is_that_of_the_names() {
        let metrics = Metrics::new();
        for name in ["b", "c", "a"] {
            metrics.route(name);
        }
        let text = metrics.render();
        let at = |name| {
            text.find(&format!("bearward_token_replays_total{{route=\"{name}\"}}"))
                .unwrap()
        };
        assert!(at("a") < at("b") && at("b") < at("c"));
        assert_eq!(text, metrics.render());
    }

    #[test]
    fn removed_series_are_not_shown() {
        let metrics = Metrics::new();
        let old = metrics.route("old");
        metrics.route("new");
        metrics.provider("old");
        metrics.listener("old");
        metrics.refused_keys("old");
        metrics.retain_routes(|name| name == "new");
        metrics.retain_providers(|_| false);
        metrics.retain_listeners(|_| false);
        old.record(200, Duration::ZERO);
        let text = metrics.render();
        assert!(!text.contains("\"old\""), "{text}");
        assert!(text.contains("route=\"new\""));
    }
}
