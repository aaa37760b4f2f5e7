//! The proxy's listeners: each socket with the routes that it serves.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{sockets::Sockets, workers::ProxyListener};
use crate::{
    clock::SystemClock,
    config::Config,
    login::login_hint,
    proxy::{
        client_connection::{ListenerState, RefusedKeyLog},
        route::Route,
        table::{ActiveRoute, Table},
        upstream::RouteUpstream,
    },
    server::{address::ListenAddress, limits::Limits, listener::Bound, origin_guard::OriginGuard},
    telemetry::metrics::Metrics,
    token::Tokens,
};

/// The components that routes are built from.
pub(super) struct RouteBuilder<'a> {
    pub(super) tokens: &'a Tokens,
    pub(super) metrics: &'a Arc<Metrics>,
    pub(super) limits: Limits,
    /// The real addresses of all listeners.
    pub(super) own: Arc<[ListenAddress]>,
    /// The address for logins.
    pub(super) admin: Option<&'a ListenAddress>,
}

impl RouteBuilder<'_> {
    /// Builds the listeners of all routes.
    pub(super) fn listeners(&self, config: &Config, sockets: &Sockets) -> Vec<ProxyListener> {
        let listeners = sockets.proxy.iter().map(|(address, bound)| {
            let routes = config.routes.iter();
            self.listener(bound, routes.filter(|route| route.listen == *address))
        });
        listeners.collect()
    }

    fn listener<'r>(
        &self,
        bound: &Arc<Bound>,
        routes: impl Iterator<Item = &'r Route>,
    ) -> ProxyListener {
        let port = bound.address().port();
        let routes = routes.map(|route| Arc::new(self.route(route, port)));
        let state = ListenerState {
            limits: self.limits,
            routes: Arc::new(Table::new(routes)).into(),
            connections: self.metrics.listener(&bound.address().to_string()),
            unrouted: self.metrics.route(""),
            refused_keys: RefusedKeyLog::new(bound.address(), self.metrics, Arc::new(SystemClock)),
        };
        ProxyListener {
            bound: bound.clone(),
            state: Arc::new(state),
            permits: Arc::new(Semaphore::new(self.limits.connections)),
        }
    }

    fn route(&self, route: &Route, port: Option<u16>) -> ActiveRoute {
        let provider = route.provider.as_ref().map(|binding| &binding.provider);
        let credential = provider.and_then(|provider| self.tokens.credential(provider));
        let login_hint = credential.map(|credential| login_hint(credential.provider(), self.admin));
        let is_tunnelled = !route.upgrade.is_empty();
        let upstream = RouteUpstream::new(
            route.upstream.clone(),
            is_tunnelled,
            self.limits,
            self.own.clone(),
        );
        ActiveRoute {
            credential: credential.cloned(),
            login_hint: login_hint.unwrap_or_default().into(),
            upstream,
            metrics: self.metrics.route(&route.name),
            origin_guard: OriginGuard::with_names(route.guard.hosts.clone(), port),
            route: route.clone(),
        }
    }
}
