//! Encodes every series for the registry. The encoder appends `_total`, `_info`, `_bucket` and the like to the names.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::MetricType::{self, Counter, Gauge, Histogram, Info},
};

use super::{Series, buckets::Durations, lock};
use crate::telemetry::tracing::lost_lines;

impl Collector for Series {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let out = &mut encoder;
        family(out, &BUILD)?.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        self.encode_routes(out)?;
        self.encode_listeners(out)?;
        self.encode_providers(out)?;
        self.encode_reloads(out)?;
        count(&mut family(out, &LOG_LINES_LOST)?, lost_lines())
    }
}

impl Series {
    fn encode_routes(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let routes = self.routes.all();
        let mut requests = family(out, &REQUESTS)?;
        for (name, route) in &routes {
            for (code, total) in route.codes() {
                let labels = [("route", &**name), ("code", &code.to_string())];
                count(&mut requests.encode_family(&labels)?, total)?;
            }
        }
        let mut durations = family(out, &REQUEST_DURATION)?;
        for (name, route) in &routes {
            histogram(
                &mut durations.encode_family(&[("route", &**name)])?,
                &route.durations(),
            )?;
        }
        let mut replays = family(out, &TOKEN_REPLAYS)?;
        for (name, route) in &routes {
            count(
                &mut replays.encode_family(&[("route", &**name)])?,
                route.replays(),
            )?;
        }
        Ok(())
    }

    fn encode_listeners(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut connections = family(out, &CONNECTIONS)?;
        for (name, listener) in self.listeners.all() {
            listener.encode(connections.encode_family(&[("listener", &*name)])?)?;
        }
        let mut refused = family(out, &KEYS_REFUSED)?;
        for (name, keys) in self.refused_keys.all() {
            count(
                &mut refused.encode_family(&[("listener", &*name)])?,
                keys.total(),
            )?;
        }
        Ok(())
    }

    fn encode_providers(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let providers = self.providers.all();
        let mut requests = family(out, &TOKEN_REQUESTS)?;
        for (name, provider) in &providers {
            for ((grant_type, outcome), total) in provider.requests() {
                let labels = [
                    ("provider", &**name),
                    ("grant_type", &*grant_type),
                    ("outcome", outcome),
                ];
                count(&mut requests.encode_family(&labels)?, total)?;
            }
        }
        let mut durations = family(out, &TOKEN_REQUEST_DURATION)?;
        for (name, provider) in &providers {
            histogram(
                &mut durations.encode_family(&[("provider", &**name)])?,
                &provider.durations(),
            )?;
        }
        let mut expiry = family(out, &TOKEN_EXPIRY)?;
        for (name, provider) in &providers {
            expiry
                .encode_family(&[("provider", &**name)])?
                .encode_gauge(&provider.expiry_seconds())?;
        }
        let mut login_expiry = family(out, &LOGIN_EXPIRY)?;
        for (name, provider) in &providers {
            login_expiry
                .encode_family(&[("provider", &**name)])?
                .encode_gauge(&provider.login_expiry_seconds())?;
        }
        let mut login_required = family(out, &LOGIN_REQUIRED)?;
        for (name, provider) in &providers {
            login_required
                .encode_family(&[("provider", &**name)])?
                .encode_gauge(&i64::from(provider.needs_login()))?;
        }
        Ok(())
    }

    fn encode_reloads(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let totals = *lock(&self.reloads);
        let mut reloads = family(out, &RELOADS)?;
        for (outcome, total) in [("success", totals.success), ("failure", totals.failure)] {
            count(&mut reloads.encode_family(&[("outcome", outcome)])?, total)?;
        }
        Ok(())
    }
}

/// The name without the kind's suffix, the kind, and the help text.
type Family = (&'static str, MetricType, &'static str);

#[rustfmt::skip]
mod families {
    use super::{Counter, Family, Gauge, Histogram, Info};

    pub(super) const BUILD: Family = ("bearward_build", Info, "The running version; always 1.");
    pub(super) const REQUESTS: Family = ("bearward_requests", Counter, "Requests by route and response status.");
    pub(super) const REQUEST_DURATION: Family = ("bearward_request_duration_seconds", Histogram, "Time from the request head to the end of the response.");
    pub(super) const TOKEN_REPLAYS: Family = ("bearward_token_replays", Counter, "Requests repeated with a new token after the upstream rejected the old one.");
    pub(super) const CONNECTIONS: Family = ("bearward_connections", Gauge, "Open client connections.");
    pub(super) const KEYS_REFUSED: Family = ("bearward_keys_refused", Counter, "Requests whose client key or admin key was missing or wrong.");
    pub(super) const TOKEN_REQUESTS: Family = ("bearward_token_requests", Counter, "Requests to the token endpoint by grant and outcome.");
    pub(super) const TOKEN_REQUEST_DURATION: Family = ("bearward_token_request_duration_seconds", Histogram, "Time that a request to the token endpoint took.");
    pub(super) const TOKEN_EXPIRY: Family = ("bearward_token_expiry_timestamp_seconds", Gauge, "Expiry of the last token in seconds since 1970; 0 without one, or if it never expires.");
    pub(super) const LOGIN_EXPIRY: Family = ("bearward_login_expiry_timestamp_seconds", Gauge, "Earliest known end of the login in seconds since 1970; 0 if none is known.");
    pub(super) const LOGIN_REQUIRED: Family = ("bearward_login_required", Gauge, "1 while a person has to log in.");
    pub(super) const RELOADS: Family = ("bearward_config_reloads", Counter, "Reloads of the configuration by outcome.");
    pub(super) const LOG_LINES_LOST: Family = ("bearward_log_lines_lost", Counter, "Log lines dropped because standard error was read too slowly.");
}
use families::*;

fn family<'a>(
    out: &'a mut DescriptorEncoder<'_>,
    (name, kind, help): &Family,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    out.encode_descriptor(name, help, None, *kind)
}

fn count(out: &mut MetricEncoder<'_>, total: u64) -> fmt::Result {
    out.encode_counter::<NoLabelSet, _, f64>(&total, None)
}

fn histogram(out: &mut MetricEncoder<'_>, durations: &Durations) -> fmt::Result {
    let buckets: Vec<_> = durations.buckets().collect();
    out.encode_histogram::<NoLabelSet>(durations.sum_seconds(), durations.count(), &buckets, None)
}
