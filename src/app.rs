//! The wiring of a configuration to a running sidecar: open the store, bind, start, drain.
//!
//! The thread that calls [`App::start`] is the control thread: token refreshers, the admin listener and signals live on
//! its runtime. Requests are served by worker threads, each with a runtime of its own; they share the listening sockets
//! and nothing that has a lock.

mod admin_listener;
pub mod core_dumps;
mod failure;
mod proxy_listeners;
mod secrets;
pub mod shutdown_signals;
mod sockets;
mod workers;

use std::sync::Arc;

use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    admin_listener::{AdminListener, route_view},
    proxy_listeners::RouteBuilder,
    secrets::SecretsWatcher,
    sockets::Sockets,
    workers::Workers,
};
pub use self::{failure::Failure, sockets::Addresses};
use crate::{
    admin::{AdminState, View},
    clock::Clock,
    config::Config,
    login::redirect::with_default_redirect_uri,
    server::{limits::Drain, listener::Bound},
    telemetry::metrics::Metrics,
    token::{
        Tokens,
        store::{self, Store, StoreLocation},
    },
};

/// A sidecar whose sockets are bound, and which serves nothing yet.
#[derive(Debug)]
pub struct App {
    config: Config,
    store: Arc<dyn Store>,
    sockets: Sockets,
}

impl App {
    /// Opens the store and binds every address of the configuration.
    ///
    /// # Errors
    /// The store cannot be used, or an address cannot be bound. Then no address stays bound.
    pub fn bind(config: Config) -> Result<Self, Failure> {
        let store = store::open(store_location(&config)).map_err(Failure::Store)?;
        let sockets = Sockets::bind(&config)?;
        Ok(Self {
            config,
            store,
            sockets,
        })
    }

    /// Starts tokens, workers, the admin listener and the secrets' watcher on the control thread's runtime.
    ///
    /// # Errors
    /// The system gives no thread or descriptor.
    pub fn start(self, clock: Arc<dyn Clock>) -> Result<Running, Failure> {
        let Self {
            config,
            store,
            sockets,
        } = self;
        let addresses = sockets.addresses(&config);
        let cancel = CancellationToken::new();
        let tracker = TaskTracker::new();
        let metrics = Metrics::new();

        let admin = addresses.admin.as_ref();
        let providers = config.providers.iter();
        let providers: Vec<_> = providers
            .map(|provider| with_default_redirect_uri(provider, admin))
            .collect();
        let tokens = Tokens::start(&providers, store, clock.clone(), &metrics);
        let tokens = Arc::new(tokens);

        let routes = RouteBuilder {
            tokens: &tokens,
            metrics: &metrics,
            limits: config.limits,
            own: addresses.all().cloned().collect(),
            admin: addresses.admin.as_ref(),
        };
        let listeners = routes.listeners(&config, &sockets);
        let workers = Workers::start(config.workers, listeners, &cancel, &tracker)
            .map_err(Failure::Worker)?;

        let view = view(&config, &sockets, &tokens);
        for route in &view.routes {
            tracing::info!(
                route = &*route.name,
                listen = route.listen,
                upstream = route.upstream,
                "listening"
            );
        }
        let start_admin = |bound: Bound| {
            let address = bound.address().clone();
            let state = AdminState::new(address, metrics, clock, view, tracker.clone());
            let hosts = config.admin.as_ref().map(|admin| admin.hosts.clone());
            let state = state.with_hosts(hosts.unwrap_or_default());
            AdminListener::start(bound, state.with_limits(config.limits))
        };
        let admin = sockets.admin.map(start_admin).transpose();

        Ok(Running {
            addresses,
            drain: config.drain,
            secrets: SecretsWatcher::start(&config),
            admin: admin.map_err(Failure::Worker)?,
            sockets: sockets.proxy.into_values().collect(),
            tokens,
            cancel,
            tracker,
            workers,
        })
    }
}

/// A sidecar in service.
#[derive(Debug)]
pub struct Running {
    addresses: Addresses,
    drain: Drain,
    sockets: Vec<Arc<Bound>>,
    tokens: Arc<Tokens>,
    cancel: CancellationToken,
    tracker: TaskTracker,
    workers: Workers,
    admin: Option<AdminListener>,
    secrets: SecretsWatcher,
}

impl Running {
    /// The real addresses of all listeners.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Ends the sidecar: readiness off, no new connections, requests in flight and returned logins finish.
    ///
    /// That takes `[drain] timeout` at most; the rest is cut.
    ///
    /// # Errors
    /// A login is lost, since it could not be stored.
    pub async fn drain(self) -> Result<(), Failure> {
        let Drain {
            timeout: limit,
            lame_duck,
        } = self.drain;
        tracing::info!(timeout_s = limit.as_secs_f64(), "draining");
        if let Some(admin) = &self.admin {
            admin.start_draining();
        }
        if !lame_duck.is_zero() {
            sleep(lame_duck).await;
        }

        // With an open socket, clients would wait in the kernel instead of being refused.
        drop(self.sockets);
        self.cancel.cancel();
        self.tracker.close();
        if timeout(limit, self.tracker.wait()).await.is_err() {
            tracing::warn!("requests were still in flight when the time to drain was over");
        }

        drop(self.secrets);
        // No request waits for an access token any more, but the response that replaces a used refresh token must not
        // be lost.
        let settled = timeout(self.tokens.settle_timeout(), self.tokens.settle()).await;
        if settled.is_err() {
            tracing::error!(
                "a token request was still in flight at the end: the login it belongs to may be lost"
            );
        }

        self.workers.stop();
        if let Some(admin) = self.admin {
            admin.drain().await;
        }
        tracing::info!("ended");
        match settled.unwrap_or_default() {
            lost if lost.is_empty() => Ok(()),
            lost => Err(Failure::Lost(lost)),
        }
    }
}

/// The location of the store. Without logins, and unless the file names one, that is the memory: it needs no disk.
fn store_location(config: &Config) -> &StoreLocation {
    let has_logins = config
        .providers
        .iter()
        .any(|provider| provider.grant_type.needs_login());
    if has_logins || config.store_is_given {
        &config.store
    } else {
        &StoreLocation::Memory
    }
}

/// The configuration as the admin listener shows it.
fn view(config: &Config, sockets: &Sockets, tokens: &Arc<Tokens>) -> View {
    let routes = config.routes.iter();
    let routes = routes.map(|route| route_view(route, &sockets.address_of(route)));
    View {
        tokens: tokens.clone(),
        routes: routes.collect(),
        key: config.admin.as_ref().and_then(|admin| admin.key.clone()),
        store: store_location(config).clone(),
    }
}
