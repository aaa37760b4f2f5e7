//! The state that the admin listener responds from.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::{
    guard::Guard,
    login::Logins,
    reload::{ReloadHandle, ReloadReply},
};
use tokio_util::task::TaskTracker;

use crate::{
    clock::Clock,
    login::redirect,
    secret::LiveSecret,
    server::{address::ListenAddress, key_proof::Nonces, limits::Limits},
    telemetry::metrics::{Metrics, RefusedKeys},
    token::{Tokens, store::StoreLocation},
};

/// The running configuration as the admin listener shows it; a reload replaces it whole.
#[derive(Clone)]
pub struct View {
    /// Every provider's credential.
    pub tokens: Arc<Tokens>,
    /// The routes, in the order of the file.
    pub routes: Vec<RouteView>,
    /// `[admin] key`.
    pub key: Option<Arc<LiveSecret>>,
    /// The location of stored logins.
    pub store: StoreLocation,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteView {
    /// The key of its table.
    pub name: Arc<str>,
    /// Its real address, port 0 resolved.
    pub listen: String,
    /// The URL of its upstream.
    pub upstream: String,
    /// The provider whose token it injects.
    pub provider: Option<Arc<str>>,
}

/// The state behind every endpoint of the admin listener.
pub struct AdminState {
    address: ListenAddress,
    guard: Guard,
    nonces: Nonces,
    refused_keys: Arc<RefusedKeys>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    view: ArcSwap<View>,
    draining: AtomicBool,
    limits: Limits,
    logins: Logins,
    reloads: Option<ReloadHandle>,
    last_reload: ArcSwapOption<ReloadReply>,
    tracker: TaskTracker,
}

impl AdminState {
    /// The state of the listener at `address`, the real one, port 0 resolved. `tracker` tracks logins, so that shutdown waits
    /// for them.
    pub fn new(
        address: ListenAddress,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        view: View,
        tracker: TaskTracker,
    ) -> Self {
        Self {
            guard: Guard::new(&address, Vec::new()),
            nonces: Nonces::default(),
            refused_keys: metrics.refused_keys(&address.to_string()),
            address,
            metrics,
            clock,
            view: ArcSwap::from_pointee(view),
            draining: AtomicBool::new(false),
            limits: Limits::default(),
            logins: Logins::default(),
            reloads: None,
            last_reload: ArcSwapOption::empty(),
            tracker,
        }
    }

    /// Replaces the default limits.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Serves `POST /api/reload` with this handle.
    pub fn with_reloads(self, reloads: ReloadHandle) -> Self {
        Self {
            reloads: Some(reloads),
            ..self
        }
    }

    /// Accepts further Host names, under which an ingress publishes the listener.
    pub fn with_hosts(self, hosts: Vec<String>) -> Self {
        Self {
            guard: Guard::new(&self.address, hosts),
            ..self
        }
    }

    /// Shows the outcome of a reload.
    pub fn record_reload(&self, reply: ReloadReply) {
        self.last_reload.store(Some(Arc::new(reply)));
    }

    pub(super) fn reloads(&self) -> Option<&ReloadHandle> {
        self.reloads.as_ref()
    }

    pub(super) fn last_reload(&self) -> Option<Arc<ReloadReply>> {
        self.last_reload.load_full()
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Replaces the view, from the next request on.
    pub fn replace(&self, view: View) {
        self.view.store(Arc::new(view));
    }

    /// Turns readiness off for good, since the process is about to end.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn address(&self) -> &ListenAddress {
        &self.address
    }

    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }

    pub(super) fn nonces(&self) -> &Nonces {
        &self.nonces
    }

    /// Counts a request whose key was missing or wrong.
    pub(super) fn record_refused_key(&self) {
        let listener = self.address.to_string();
        self.refused_keys.record(&listener, self.clock.now());
    }

    /// Whether the `redirect_uri` of some provider leads to `host`, a name without a port.
    pub(super) fn is_redirect_host(&self, host: &str) -> bool {
        let view = self.view.load();
        view.tokens
            .iter()
            .any(|credential| redirect::leads_to_host(credential.provider(), host))
    }

    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(super) fn shared_clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    pub(super) fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    pub(super) fn logins(&self) -> &Logins {
        &self.logins
    }

    pub(super) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminState")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("routes", &self.routes)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
