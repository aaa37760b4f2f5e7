//! The state that the admin listener responds from.

use std::{fmt, path::PathBuf, sync::Arc, time::SystemTime};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    events::EventFeed,
    guard::Guard,
    login::Logins,
    reload::{ReloadHandle, ReloadReply},
    traffic::Traffic,
};

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
    /// The files of the configuration.
    pub files: Vec<PathBuf>,
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

/// A view, and the time since when it is in force.
struct LoadedView {
    view: Arc<View>,
    loaded_at: SystemTime,
}

/// The state behind every endpoint of the admin listener.
pub struct AdminState {
    address: ListenAddress,
    guard: Guard,
    nonces: Nonces,
    refused_keys: Arc<RefusedKeys>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    started_at: SystemTime,
    view: ArcSwap<LoadedView>,
    traffic: Traffic,
    events: EventFeed,
    draining: CancellationToken,
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
            started_at: clock.wall(),
            view: ArcSwap::from_pointee(LoadedView {
                view: Arc::new(view),
                loaded_at: clock.wall(),
            }),
            clock,
            traffic: Traffic::default(),
            events: EventFeed::new(Limits::default().connections),
            draining: CancellationToken::new(),
            limits: Limits::default(),
            logins: Logins::default(),
            reloads: None,
            last_reload: ArcSwapOption::empty(),
            tracker,
        }
    }

    /// Replaces the default limits.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self {
            events: EventFeed::new(limits.connections),
            limits,
            ..self
        }
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
        self.view.store(Arc::new(LoadedView {
            view: Arc::new(view),
            loaded_at: self.clock.wall(),
        }));
    }

    /// Turns readiness off for good and ends all events, since the process is about to end.
    pub fn start_draining(&self) {
        self.draining.cancel();
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
        let view = self.view();
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
        self.view.load().view.clone()
    }

    /// When the process started.
    pub(super) fn started_at(&self) -> SystemTime {
        self.started_at
    }

    /// Since when the configuration is in force.
    pub(super) fn loaded_at(&self) -> SystemTime {
        self.view.load().loaded_at
    }

    pub(super) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub(super) fn events(&self) -> &EventFeed {
        &self.events
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Completes when the process is about to end.
    pub(super) async fn draining(&self) {
        self.draining.cancelled().await;
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
