//! What the admin listener looks at.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;

use super::login::Logins;
use tokio_util::task::TaskTracker;

use crate::{
    clock::Clock,
    secret::LiveSecret,
    server::{address::ListenAddress, limits::Limits},
    telemetry::metrics::Metrics,
    token::{Tokens, store::StoreLocation},
};

/// The running configuration as the admin listener shows it; a reload replaces it whole.
#[derive(Clone)]
pub struct View {
    /// Every provider's credential.
    pub tokens: Arc<Tokens>,
    /// In the order of the file.
    pub routes: Vec<RouteView>,
    /// `[admin] key`.
    pub key: Option<Arc<LiveSecret>>,
    /// Where logins are kept.
    pub store: StoreLocation,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteView {
    /// The key of its table.
    pub name: Arc<str>,
    /// Where it really listens, port 0 resolved.
    pub listen: String,
    /// Where it leads.
    pub upstream: String,
    /// Whose token it injects.
    pub provider: Option<Arc<str>>,
}

/// What every request of the admin listener is answered from.
pub struct AdminState {
    address: ListenAddress,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    view: ArcSwap<View>,
    draining: AtomicBool,
    limits: Limits,
    logins: Logins,
    tracker: TaskTracker,
}

impl AdminState {
    /// A state for the listener at `address`, which is the real one, port 0 resolved. What must not be cut off at the end
    /// goes through `gate`.
    pub fn new(
        address: ListenAddress,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        view: View,
        tracker: TaskTracker,
    ) -> Self {
        let (view, draining) = (ArcSwap::from_pointee(view), AtomicBool::new(false));
        Self {
            address,
            metrics,
            clock,
            view,
            draining,
            limits: Limits::default(),
            logins: Logins::new(),
            tracker,
        }
    }

    /// The same with other bounds than the default ones.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Shows `view` from now on.
    pub fn replace(&self, view: View) {
        self.view.store(Arc::new(view));
    }

    /// Turns readiness off for good: the process is about to end.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn address(&self) -> &ListenAddress {
        &self.address
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
