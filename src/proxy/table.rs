//! Which route a request takes: a look-up whose cost does not grow with the number of routes.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    admission::{ASTERISK, Admitted},
    error::{Kind, Refusal},
    guard, path,
    route::{Injection, Route},
    upstream::Target,
};
use crate::{http1::head::Head, telemetry::metrics::RouteMetrics, token::credential::Credential};

/// A route in service.
#[derive(Debug)]
pub struct ActiveRoute {
    /// As it was configured.
    pub route: Route,
    /// Whose token it demands.
    pub credential: Option<Arc<Credential>>,
    /// What a person does to log in at its provider, in words; empty without a provider.
    pub way_to_log_in: Arc<str>,
    /// Where it leads.
    pub target: Arc<Target>,
    /// What is counted of it.
    pub metrics: Arc<RouteMetrics>,
}

impl ActiveRoute {
    /// The name of the field that carries the token, if a field does.
    pub fn injected_name(&self) -> Option<&[u8]> {
        match &self.route.provider.as_ref()?.inject {
            Injection::Header { name, .. } => Some(name.as_str().as_bytes()),
            Injection::Query { .. } => None,
        }
    }
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
    /// Whether the path decides anything among them: which one, or what it allows.
    reads_path: bool,
    longest: usize,
    rest: Option<Arc<ActiveRoute>>,
}

/// A route, and the path as it was read to find it.
#[derive(Debug)]
pub struct Selected<'a> {
    /// The route.
    pub route: Arc<ActiveRoute>,
    /// The decoded path; absent where nothing depends on it.
    pub path: Option<Cow<'a, str>>,
}

impl Table {
    /// How long nothing of a body may move on the most patient of the routes.
    pub fn longest_idle(&self) -> Duration {
        self.longest_idle
    }

    /// The table of these routes; the first of two that match the same requests is kept.
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

    /// Finds the most specific route: an exact host before any host, then the longest path.
    ///
    /// # Errors
    /// `bad-request` for an ambiguous path where paths matter, `host-not-allowed`, `no-route`.
    pub fn select<'a>(&self, head: &'a Head, admitted: &Admitted) -> Result<Selected<'a>, Refusal> {
        let host = admitted.host.map(|host| head.bytes(host));
        let of_host = host.and_then(|host| self.of_host(host));
        let falls_through = of_host.is_none_or(|prefixes| prefixes.rest.is_none());
        let reads_path = of_host.is_some_and(|prefixes| prefixes.reads_path)
            || (falls_through && self.any.reads_path);
        // No prefix has it below itself.
        let is_asterisk = head.bytes(admitted.path) == ASTERISK;
        let read = match reads_path && !is_asterisk {
            true => Some(
                path::read(head.bytes(admitted.path))
                    .map_err(|fault| self.ambiguous(host, fault))?,
            ),
            false => None,
        };
        let route = of_host
            .and_then(|prefixes| prefixes.longest_match(read.as_deref()))
            .or_else(|| self.any.longest_match(read.as_deref()));
        if is_asterisk && !route.map_or(!reads_path, |active| active.route.is_whole()) {
            return Err(self.ambiguous(
                host,
                "the server as a whole, where routes lead to parts of it",
            ));
        }
        match route {
            Some(route) => Ok(Selected {
                route: route.clone(),
                path: read,
            }),
            None if host.is_some_and(|host| !self.knows(host)) => Err(guard::host_not_allowed()),
            None => Err(Refusal::new(
                Kind::NoRoute,
                "no route of this listener matches the host and path",
            )),
        }
    }

    fn ambiguous(&self, host: Option<&[u8]>, fault: &'static str) -> Refusal {
        match host {
            Some(host) if !self.knows(host) => guard::host_not_allowed(),
            _ => Refusal::bad_request(fault),
        }
    }

    fn of_host(&self, host: &[u8]) -> Option<&Prefixes> {
        if self.hosts.is_empty() {
            return None;
        }
        let host = std::str::from_utf8(host).ok()?;
        self.hosts
            .get(host)
            .or_else(|| self.hosts.get(host.to_ascii_lowercase().as_str()))
    }

    fn knows(&self, host: &[u8]) -> bool {
        std::str::from_utf8(host).is_ok_and(|host| {
            self.known_hosts
                .contains(host.to_ascii_lowercase().as_str())
        })
    }
}

impl Prefixes {
    fn longest_match(&self, path: Option<&str>) -> Option<&Arc<ActiveRoute>> {
        if let Some(path) = path
            && !self.paths.is_empty()
        {
            // Nothing longer than the longest prefix can match; whole segments end at a slash or at the end.
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
