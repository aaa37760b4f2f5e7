//! Every metric, named here and nowhere else.
//!
//! Handles are injected: whoever counts holds one and never looks it up by name while a request waits. Labels come from
//! the configuration alone, never from a request, so the number of series is known beforehand.

mod buckets;
mod exposition;
mod provider;
mod route;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use exposition::{Exposition, Kind};
pub use provider::ProviderMetrics;
pub use route::RouteMetrics;

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The name, the kind and the meaning of each metric, in the order they are shown.
#[rustfmt::skip]
mod names {
    use super::{exposition::Family, Kind};

    pub(super) const BUILD_INFO: Family =
        Family::new("bearward_build_info", Kind::Gauge, "The version that runs; always 1.");
    pub(super) const REQUESTS: Family =
        Family::new("bearward_requests_total", Kind::Counter, "Requests answered, by route and by status.");
    pub(super) const REQUEST_DURATION: Family =
        Family::new("bearward_request_duration_seconds", Kind::Histogram, "From the request's head to the end of its answer.");
    pub(super) const TOKEN_REPLAYS: Family =
        Family::new("bearward_token_replays_total", Kind::Counter, "Requests repeated with a new token after the upstream refused the old one.");
    pub(super) const CONNECTIONS: Family =
        Family::new("bearward_connections", Kind::Gauge, "Connections of callers that are open.");
    pub(super) const TOKEN_REQUESTS: Family =
        Family::new("bearward_token_requests_total", Kind::Counter, "Requests made to the token endpoint, by grant and by outcome.");
    pub(super) const TOKEN_REQUEST_DURATION: Family =
        Family::new("bearward_token_request_duration_seconds", Kind::Histogram, "How long the token endpoint took.");
    pub(super) const TOKEN_EXPIRY: Family =
        Family::new("bearward_token_expiry_timestamp_seconds", Kind::Gauge, "When the last token ends or ended, in seconds since 1970; 0 if there was none or it was discarded.");
    pub(super) const LOGIN_REQUIRED: Family =
        Family::new("bearward_login_required", Kind::Gauge, "1 while a person has to log in.");
    pub(super) const RELOADS: Family =
        Family::new("bearward_config_reloads_total", Kind::Counter, "Reloads of the configuration, by outcome.");
}

/// The registry: one for a process.
#[derive(Debug, Default)]
pub struct Metrics {
    routes: Registry<RouteMetrics>,
    providers: Registry<ProviderMetrics>,
    listeners: Registry<Gauge>,
    reloads: Mutex<BTreeMap<&'static str, u64>>,
}

impl Metrics {
    /// A registry without any series but the build's.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The handle of the route `name`; the same one each time.
    pub fn route(&self, name: &str) -> Arc<RouteMetrics> {
        self.routes.handle(name)
    }

    /// The handle of the provider `name`; the same one each time.
    pub fn provider(&self, name: &str) -> Arc<ProviderMetrics> {
        self.providers.handle(name)
    }

    /// The connections of the listener `name`, which is its address as configured; the same handle each time.
    pub fn listener(&self, name: &str) -> Arc<Gauge> {
        self.listeners.handle(name)
    }

    /// Counts one reload of the configuration.
    pub fn reload(&self, outcome: &'static str) {
        *lock(&self.reloads).entry(outcome).or_default() += 1;
    }

    /// Forgets the routes that `keep` refuses. Who still holds a handle may go on counting; nobody sees it.
    pub fn retain_routes(&self, keep: impl Fn(&str) -> bool) {
        self.routes.retain(keep);
    }

    /// Forgets the providers that `keep` refuses; see [`Metrics::retain_routes`].
    pub fn retain_providers(&self, keep: impl Fn(&str) -> bool) {
        self.providers.retain(keep);
    }

    /// Forgets the listeners that `keep` refuses; see [`Metrics::retain_routes`].
    pub fn retain_listeners(&self, keep: impl Fn(&str) -> bool) {
        self.listeners.retain(keep);
    }

    /// All of it in the Prometheus text format, in a stable order. Takes long where there are thousands of routes.
    pub fn render(&self) -> String {
        let (routes, providers) = (self.routes.all(), self.providers.all());
        let mut out = Exposition::default();

        out.family(&names::BUILD_INFO)
            .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);

        let mut family = out.family(&names::REQUESTS);
        for (name, route) in &routes {
            for (code, count) in route.codes() {
                family.sample(&[("route", name), ("code", &code.to_string())], count);
            }
        }
        let mut family = out.family(&names::REQUEST_DURATION);
        for (name, route) in &routes {
            family.histogram(&[("route", name)], &route.durations());
        }
        let mut family = out.family(&names::TOKEN_REPLAYS);
        for (name, route) in &routes {
            family.sample(&[("route", name)], route.replays());
        }

        let mut family = out.family(&names::CONNECTIONS);
        for (name, listener) in self.listeners.all() {
            family.sample(&[("listener", &name)], listener.value());
        }

        let mut family = out.family(&names::TOKEN_REQUESTS);
        for (name, provider) in &providers {
            for ((grant_type, outcome), count) in provider.requests() {
                family.sample(
                    &[
                        ("provider", name),
                        ("grant_type", grant_type),
                        ("outcome", outcome),
                    ],
                    count,
                );
            }
        }
        let mut family = out.family(&names::TOKEN_REQUEST_DURATION);
        for (name, provider) in &providers {
            family.histogram(&[("provider", name)], &provider.durations());
        }
        let mut family = out.family(&names::TOKEN_EXPIRY);
        for (name, provider) in &providers {
            family.sample(&[("provider", name)], provider.expiry_seconds());
        }
        let mut family = out.family(&names::LOGIN_REQUIRED);
        for (name, provider) in &providers {
            family.sample(&[("provider", name)], u8::from(provider.needs_login()));
        }

        let mut family = out.family(&names::RELOADS);
        for (outcome, count) in lock(&self.reloads).iter() {
            family.sample(&[("outcome", outcome)], count);
        }
        out.finish()
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Moves it by `difference`.
    pub fn add(&self, difference: i64) {
        self.0.fetch_add(difference, Ordering::Relaxed);
    }

    /// Where it stands.
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The handles of one kind, by name.
#[derive(Debug)]
struct Registry<T>(Mutex<BTreeMap<Arc<str>, Arc<T>>>);

impl<T: Default> Registry<T> {
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

    /// A copy, so that a slow rendering holds up nobody.
    fn all(&self) -> Vec<(Arc<str>, Arc<T>)> {
        lock(&self.0)
            .iter()
            .map(|(name, handle)| (name.clone(), handle.clone()))
            .collect()
    }
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// The maps are whole between any two statements, so a panic elsewhere is no reason to stop counting.
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
            ("bearward_token_requests_total", "counter"),
            ("bearward_token_request_duration_seconds", "histogram"),
            ("bearward_token_expiry_timestamp_seconds", "gauge"),
            ("bearward_login_required", "gauge"),
            ("bearward_config_reloads_total", "counter"),
        ] {
            assert_eq!(
                text.matches(&format!("# HELP {name} ")).count(),
                1,
                "{name}"
            );
            assert_eq!(
                text.matches(&format!("# TYPE {name} {kind}\n")).count(),
                1,
                "{name}"
            );
        }
    }

    #[test]
    fn what_was_counted_is_shown() {
        let metrics = Metrics::new();
        let route = metrics.route("devices");
        route.answered(200, Duration::from_millis(3));
        route.answered(200, Duration::from_millis(70));
        route.answered(503, Duration::from_secs(20));
        route.replayed();
        let provider = metrics.provider("hapn");
        provider.request("client_credentials", "ok", Duration::from_millis(90));
        provider.expiry(Some(
            SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_250),
        ));
        provider.login_required(true);
        let listener = metrics.listener("127.0.0.1:8080");
        listener.add(3);
        listener.add(-1);
        metrics.reload("ok");

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
            "bearward_token_request_duration_seconds_count{provider=\"hapn\"} 1",
            "bearward_token_expiry_timestamp_seconds{provider=\"hapn\"} 1800000000.25",
            "bearward_login_required{provider=\"hapn\"} 1",
            "bearward_config_reloads_total{outcome=\"ok\"} 1",
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
        assert!(text.contains("bearward_request_duration_seconds_sum{route=\"quiet\"} 0\n"));
        assert!(text.contains("bearward_token_replays_total{route=\"quiet\"} 0\n"));
        assert!(text.contains("bearward_token_expiry_timestamp_seconds{provider=\"quiet\"} 0\n"));
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
    fn what_a_reload_removed_is_gone() {
        let metrics = Metrics::new();
        let old = metrics.route("old");
        metrics.route("new");
        metrics.provider("old");
        metrics.listener("old");
        metrics.retain_routes(|name| name == "new");
        metrics.retain_providers(|_| false);
        metrics.retain_listeners(|_| false);
        old.answered(200, Duration::ZERO);
        let text = metrics.render();
        assert!(!text.contains("\"old\""), "{text}");
        assert!(text.contains("route=\"new\""));
    }
}
