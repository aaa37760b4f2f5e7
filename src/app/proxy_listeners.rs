//! The proxy's listeners in service, and the routes that each of them serves.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

use super::{
    descriptors::Descriptors, next_routes::NextRoutes, sockets::ProxySockets,
    workers::ProxyListener,
};
use crate::{
    clock::SystemClock,
    proxy::{
        client_connection::{ListenerState, RefusedKeyLog},
        route::Route,
        table::ActiveRoute,
    },
    server::{
        address::ListenAddress, adjustable_limit::AdjustableLimit,
        connection_limit::ConnectionLimit, limits::Limits, shutdown::Shutdown,
    },
    telemetry::metrics::Metrics,
};

/// The proxy's listeners in service, and all their routes.
#[derive(Debug, Default)]
pub(super) struct ProxyListeners {
    /// By the configured address.
    listeners: BTreeMap<ListenAddress, ProxyListener>,
    pub(super) sockets: ProxySockets,
    /// In the order of the file.
    pub(super) routes: Vec<Arc<ActiveRoute>>,
    pub(super) limits: Limits,
    /// The real addresses of all listeners.
    pub(super) own: Arc<[ListenAddress]>,
}

impl ProxyListeners {
    /// Makes the listeners of sockets that have none yet. Nothing is served before the workers have them.
    pub(super) fn added(
        &self,
        next: &NextRoutes,
        metrics: &Metrics,
        shutdown: &Shutdown,
        descriptors: &Descriptors,
    ) -> BTreeMap<ListenAddress, ProxyListener> {
        let requests = descriptors.requests(&next.limits, next.sockets.iter().count());
        let sockets = next.sockets.iter();
        let new = sockets.filter(|(address, _)| !self.listeners.contains_key(address));
        let new = new.map(|(address, bound)| {
            let table = next.tables.get(address).cloned().unwrap_or_default();
            let state = ListenerState {
                limits: Arc::new(next.limits).into(),
                connection_limit: Arc::new(ConnectionLimit::new(
                    next.limits.connections,
                    descriptors.connections.clone(),
                )),
                requests: Arc::new(AdjustableLimit::new(requests)),
                routes: table.into(),
                connections: metrics.listener(&bound.address().to_string()),
                unrouted: metrics.route(""),
                refused_keys: RefusedKeyLog::new(bound.address(), metrics, Arc::new(SystemClock)),
            };
            let listener = ProxyListener {
                bound: bound.clone(),
                state: Arc::new(state),
                shutdown: shutdown.child(),
            };
            (address.clone(), listener)
        });
        new.collect()
    }

    /// Serves the next routes from now on. `added` are the listeners of new sockets, which the workers serve already.
    ///
    /// What is no longer configured begins to drain, and is returned.
    pub(super) fn replace(
        &mut self,
        added: BTreeMap<ListenAddress, ProxyListener>,
        next: NextRoutes,
        descriptors: &Descriptors,
    ) -> Removed {
        let requests = descriptors.requests(&next.limits, next.sockets.iter().count());
        let is_gone = |address: &ListenAddress| !next.sockets.contains(address);
        let gone = self.listeners.extract_if(.., |address, _| is_gone(address));
        let listeners: Vec<_> = gone.map(|(_, listener)| listener.shutdown).collect();
        listeners.iter().for_each(Shutdown::start_drain);
        for (address, listener) in &self.listeners {
            let table = next.tables.get(address).cloned().unwrap_or_default();
            listener.state.limits.store(Arc::new(next.limits));
            listener.state.requests.set(requests);
            listener.state.connection_limit.set(next.limits.connections);
            listener.state.routes.store(table);
        }
        self.listeners.extend(added);

        let routes = {
            let names = next.routes.iter().map(|active| &active.route.name);
            let names: HashSet<_> = names.collect();
            let before = self.routes.drain(..);
            before
                .filter(|active| !names.contains(&active.route.name))
                .map(|active| active.cut.clone())
                .collect()
        };
        self.sockets = next.sockets;
        self.routes = next.routes;
        self.limits = next.limits;
        self.own = next.own;
        Removed { listeners, routes }
    }

    /// The routes in service, in the order of the file.
    pub(super) fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().map(|active| &active.route)
    }

    /// The real address of each route's listener, by route.
    pub(super) fn addresses(&self) -> BTreeMap<Arc<str>, ListenAddress> {
        let address = |active: &Arc<ActiveRoute>| {
            let route = &active.route;
            (route.name.clone(), self.sockets.address_of(route))
        };
        self.routes.iter().map(address).collect()
    }
}

/// The ends of what a new configuration has removed. It holds no socket and no upstream while they drain.
#[derive(Debug)]
pub(super) struct Removed {
    listeners: Vec<Shutdown>,
    routes: Vec<CancellationToken>,
}

impl Removed {
    /// Returns whether nothing was removed.
    pub(super) fn is_empty(&self) -> bool {
        self.listeners.is_empty() && self.routes.is_empty()
    }

    /// Cuts the connections and tunnels that are left.
    pub(super) fn cut(&self) {
        self.listeners.iter().for_each(Shutdown::cut);
        self.routes.iter().for_each(CancellationToken::cancel);
    }
}
