//! The route table of a listener. The cost of a look-up does not grow with the number of routes.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{
    admission::{ASTERISK, Admitted},
    error::ProxyRefusal,
    path,
    route::Route,
    upstream::RouteUpstream,
};
use crate::{
    server::{origin_guard::OriginGuard, problem::ProblemKind},
    telemetry::metrics::RouteMetrics,
    token::credential::Credential,
};

/// A route in service.
#[derive(Debug)]
pub struct ActiveRoute {
    /// The route as configured.
    pub route: Route,
    /// The credential whose token it demands.
    pub credential: Option<Arc<Credential>>,
    /// The words that say how to log in at its provider; empty without a provider.
    pub login_hint: Arc<str>,
    /// The upstream it leads to.
    pub upstream: RouteUpstream,
    /// Its counters.
    pub metrics: Arc<RouteMetrics>,
    /// The guard of `guard.hosts` at the listener's port.
    pub origin_guard: OriginGuard,
    /// Lives as long as this route: what workers have prepared for it goes with it.
    pub in_service: Arc<()>,
    /// Cuts its tunnels, some time after it was removed from the configuration.
    pub cut: CancellationToken,
}

/// All routes of one listener.
#[derive(Debug, Default)]
pub struct Table {
    hosts: HashMap<Box<str>, Prefixes>,
    any: Prefixes,
    known_hosts: HashSet<Box<str>>,
    longest_idle: Duration,
}

/// The routes of one host, by path prefix.
#[derive(Debug, Default)]
struct Prefixes {
    paths: HashMap<Box<str>, Arc<ActiveRoute>>,
    /// Whether any of them has a `path` or `allow`.
    reads_path: bool,
    longest: usize,
    rest: Option<Arc<ActiveRoute>>,
}

/// A selected route, and the decoded path.
#[derive(Debug)]
pub struct Selected<'a> {
    /// The route.
    pub route: Arc<ActiveRoute>,
    /// The decoded path; absent when no route has a `path` or `allow`.
    pub path: Option<Cow<'a, str>>,
}

impl Table {
    /// The longest `timeouts.idle` of the routes.
    pub fn longest_idle(&self) -> Duration {
        self.longest_idle
    }

    /// Builds the table. Of two routes that match the same requests, the first is kept.
    pub fn new(routes: impl IntoIterator<Item = Arc<ActiveRoute>>) -> Self {
        let mut table = Self::default();
        for active in routes {
            table.longest_idle = table.longest_idle.max(active.route.timeouts.idle);
            table.known_hosts.extend(
                active
                    .route
                    .guard
                    .hosts
                    .iter()
                    .map(|host| host.as_str().into()),
            );
            let prefixes = match &active.route.host {
                Some(host) => table.hosts.entry(host.as_str().into()).or_default(),
                None => &mut table.any,
            };
            prefixes.reads_path |= active.route.path.is_some() || active.route.allow.is_some();
            match &active.route.path {
                Some(path) => {
                    prefixes.longest = prefixes.longest.max(path.len());
                    prefixes.paths.entry(path.as_str().into()).or_insert(active);
                }
                None => {
                    prefixes.rest.get_or_insert(active);
                }
            }
        }
        table
    }

    /// Selects the most specific route: an exact host before any host, then the longest path.
    ///
    /// # Errors
    /// `bad-request` for an ambiguous path where paths matter, `host-not-allowed`, `no-route`.
    pub fn select<'a>(&self, admitted: &Admitted<'a>) -> Result<Selected<'a>, ProxyRefusal> {
        let host = admitted.host;
        let of_host = host.and_then(|host| self.of_host(host));
        let falls_through = of_host.is_none_or(|prefixes| prefixes.rest.is_none());
        let reads_path = of_host.is_some_and(|prefixes| prefixes.reads_path)
            || (falls_through && self.any.reads_path);
        // No prefix matches `*`.
        let is_asterisk = admitted.path == ASTERISK;
        if reads_path && admitted.had_raw_path {
            return Err(self.ambiguous(host, "a byte outside ASCII in the path"));
        }
        let decoded = match reads_path && !is_asterisk {
            true => Some(
                path::decode(admitted.path.as_bytes())
                    .map_err(|fault| self.ambiguous(host, fault))?,
            ),
            false => None,
        };
        let route = of_host
            .and_then(|prefixes| prefixes.longest_match(decoded.as_deref()))
            .or_else(|| self.any.longest_match(decoded.as_deref()));
        if is_asterisk && !route.map_or(!reads_path, |active| active.route.is_whole()) {
            return Err(self.ambiguous(
                host,
                "a request for the server as a whole, where routes lead to parts of it",
            ));
        }
        match route {
            Some(route) => Ok(Selected {
                route: route.clone(),
                path: decoded,
            }),
            None if let Some(host) = host
                && !self.is_known_host(host) =>
            {
                Err(self.unknown_host(host))
            }
            None => Err(ProxyRefusal::new(
                ProblemKind::NoRoute,
                "no route of this listener matches the host and path",
            )),
        }
    }

    fn ambiguous(&self, host: Option<&str>, fault: &'static str) -> ProxyRefusal {
        match host {
            Some(host) if !self.is_known_host(host) => self.unknown_host(host),
            _ => ProxyRefusal::bad_request(fault),
        }
    }

    fn unknown_host(&self, host: &str) -> ProxyRefusal {
        ProxyRefusal::host_not_allowed(host, self.known_hosts.iter().map(|known| &**known))
    }

    fn of_host(&self, host: &str) -> Option<&Prefixes> {
        if self.hosts.is_empty() {
            return None;
        }
        self.hosts
            .get(host)
            .or_else(|| self.hosts.get(host.to_ascii_lowercase().as_str()))
    }

    fn is_known_host(&self, host: &str) -> bool {
        self.known_hosts
            .contains(host.to_ascii_lowercase().as_str())
    }
}

impl Prefixes {
    fn longest_match(&self, path: Option<&str>) -> Option<&Arc<ActiveRoute>> {
        if let Some(path) = path
            && !self.paths.is_empty()
        {
            // Only whole segments count, and nothing longer than the longest prefix matches.
            let mut end = path.len();
            loop {
                if end <= self.longest
                    && let Some(route) = self.paths.get(&path[..end])
                {
                    return Some(route);
                }
                match path[..end].rfind('/') {
                    Some(0) | None => break,
                    Some(at) => end = at,
                }
            }
        }
        self.rest.as_ref()
    }
}
