//! The routes of a configuration that is about to be served.
//!
//! A route that stays the same is the one in service, with its connections to the upstream.

use std::{collections::HashMap, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{proxy_listeners::ProxyListeners, sockets::ProxySockets};
use crate::{
    config::Config,
    login::login_hint,
    proxy::{
        route::{Route, UpstreamBase},
        table::{ActiveRoute, Table},
        upstream::RouteUpstream,
    },
    server::{address::ListenAddress, limits::Limits, origin_guard::OriginGuard},
    telemetry::metrics::Metrics,
    token::{Tokens, credential::Credential},
};

/// The routes of a configuration that is about to be served.
#[derive(Debug)]
pub(super) struct NextRoutes {
    pub(super) sockets: ProxySockets,
    pub(super) routes: Vec<Arc<ActiveRoute>>,
    /// The route table of each listener, by its configured address.
    pub(super) tables: HashMap<ListenAddress, Arc<Table>>,
    pub(super) limits: Limits,
    /// The real addresses of all listeners.
    pub(super) own: Arc<[ListenAddress]>,
}

/// The components that routes are built from.
pub(super) struct RouteComponents<'a> {
    pub(super) tokens: &'a Tokens,
    pub(super) metrics: &'a Metrics,
    /// The address for logins.
    pub(super) admin: Option<&'a ListenAddress>,
}

impl NextRoutes {
    /// Builds the routes of a configuration.
    ///
    /// A route that is in service already and stays as it is keeps its connections to the upstream.
    pub(super) fn new(
        config: &Config,
        sockets: ProxySockets,
        components: &RouteComponents<'_>,
        before: &ProxyListeners,
    ) -> Self {
        let listening = sockets.iter().map(|(_, bound)| bound.address());
        let mut next = Self {
            own: listening.chain(components.admin).cloned().collect(),
            limits: config.limits,
            routes: Vec::with_capacity(config.routes.len()),
            tables: HashMap::new(),
            sockets,
        };
        let known = before.routes.iter();
        let known: HashMap<_, _> = known.map(|active| (&active.route.name, active)).collect();
        for route in &config.routes {
            let stays = |active: &&&Arc<ActiveRoute>| {
                before.limits == next.limits
                    && active.route == *route
                    && active.credential.as_ref().map(Arc::as_ptr)
                        == components.credential(route).map(Arc::as_ptr)
                    && (before.own == next.own || is_fixed(route))
            };
            let active = match known.get(&route.name).filter(stays) {
                Some(active) => Arc::clone(active),
                None => Arc::new(next.activate(route, components)),
            };
            next.routes.push(active);
        }
        next.tables = tables(&next.routes);
        next
    }

    fn activate(&self, route: &Route, components: &RouteComponents<'_>) -> ActiveRoute {
        let credential = components.credential(route);
        let hint =
            |credential: &Arc<Credential>| login_hint(credential.provider(), components.admin);
        let is_tunnelled = !route.upgrade.is_empty();
        let upstream = route.upstream.clone();
        let bound = self.sockets.address_of(route);
        let mut hosts = route.guard.hosts.clone();
        if route.guard.accepts_bound_hosts {
            hosts.extend(bound.host_names());
        }
        ActiveRoute {
            login_hint: credential.map(hint).unwrap_or_default().into(),
            credential: credential.cloned(),
            upstream: RouteUpstream::new(upstream, is_tunnelled, self.limits, self.own.clone()),
            metrics: components.metrics.route(&route.name),
            origin_guard: OriginGuard::with_names(hosts, bound.port()),
            in_service: Arc::new(()),
            cut: CancellationToken::new(),
            route: route.clone(),
        }
    }
}

fn tables(routes: &[Arc<ActiveRoute>]) -> HashMap<ListenAddress, Arc<Table>> {
    let mut by_listener: HashMap<_, Vec<_>> = HashMap::new();
    for active in routes {
        let listen = active.route.listen.clone();
        by_listener.entry(listen).or_default().push(active.clone());
    }
    let tables = by_listener.into_iter();
    tables
        .map(|(listen, routes)| (listen, Arc::new(Table::new(routes))))
        .collect()
}

impl RouteComponents<'_> {
    /// The credential whose token a route demands.
    fn credential(&self, route: &Route) -> Option<&Arc<Credential>> {
        self.tokens.credential(&route.provider.as_ref()?.provider)
    }
}

/// Whether the upstream is configured, and does not come with the token.
fn is_fixed(route: &Route) -> bool {
    matches!(route.upstream.base, UpstreamBase::Fixed(_))
}
