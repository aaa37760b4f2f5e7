//! A sidecar in service, from its start over its reloads to its end.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

use super::{
    App, Failure, OpenStore,
    admin_listener::{AdminListener, route_view},
    bound_addresses,
    descriptors::Descriptors,
    next_routes::{NextRoutes, RouteComponents},
    proxy_listeners::{ProxyListeners, Removed},
    reload::{self, Reload, Reloads},
    secrets::SecretsWatcher,
    sockets::{Addresses, ProxySockets},
    workers::Workers,
};
use crate::{
    admin::{AdminState, ReloadCause, View},
    clock::Clock,
    config::{Config, ProblemCode, Report, Severity},
    login::redirect::with_default_redirect_uri,
    notify::{Notifier, NotifyView},
    proxy::route::Route,
    server::{address::ListenAddress, limits::Drain, listener::Bound, shutdown::Shutdown},
    telemetry::{
        metrics::Metrics,
        tracing::{seconds, set_log},
    },
    token::Tokens,
};

/// A sidecar in service.
#[derive(Debug)]
pub struct Running {
    /// The configuration in force. Its providers and routes are those in service.
    config: Config,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    store: OpenStore,
    tokens: Arc<Tokens>,
    listeners: ProxyListeners,
    workers: Workers,
    tracker: TaskTracker,
    shutdown: Shutdown,
    descriptors: Descriptors,
    admin_address: Option<ListenAddress>,
    admin: Option<AdminListener>,
    notifier: Notifier,
    secrets: SecretsWatcher,
    reloads: Reloads,
    /// The tasks that cut what a reload has removed, once its time to drain is over.
    cuts: JoinSet<()>,
}

impl Running {
    /// Starts a sidecar whose sockets are bound.
    ///
    /// # Errors
    /// The system gives no thread or descriptor.
    pub(super) async fn start(app: App, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let App {
            config,
            store,
            sockets,
        } = app;
        let (metrics, tracker) = (Metrics::new(), TaskTracker::new());
        let tokens = Tokens::start(&[], store.store.clone(), clock.clone(), &metrics);
        let tokens = Arc::new(tokens);
        let nothing = NotifyView {
            settings: None,
            tokens: tokens.clone(),
            admin: None,
        };
        let mut running = Self {
            notifier: Notifier::start(nothing, clock.clone()),
            workers: Workers::start(config.workers, &tracker).map_err(Failure::Worker)?,
            admin_address: sockets.admin_address().cloned(),
            secrets: SecretsWatcher::default(),
            reloads: Reloads::start(&config),
            config: config.clone(),
            store: store.clone(),
            tokens,
            listeners: ProxyListeners::default(),
            shutdown: Shutdown::new(),
            descriptors: Descriptors::raise_limit(),
            admin: None,
            cuts: JoinSet::new(),
            clock,
            metrics,
            tracker,
        };
        running.apply(config, store, sockets.proxy).await?;
        if let Some(bound) = sockets.admin {
            running.start_admin(bound).map_err(Failure::Worker)?;
        }
        Ok(running)
    }

    /// The real addresses of all listeners.
    pub fn addresses(&self) -> Addresses {
        Addresses {
            admin: self.admin_address.clone(),
            routes: self.listeners.addresses(),
        }
    }

    /// The routes in service.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.listeners.routes()
    }

    /// The tokens in service. A reload replaces them.
    pub fn tokens(&self) -> &Arc<Tokens> {
        &self.tokens
    }

    /// Asks for a reload on behalf of a signal, which [`Running::next_reload`] returns.
    pub fn request_reload(&self) {
        self.reloads.handle().notify(ReloadCause::Signal);
    }

    /// Waits for a reload that is asked for: by a signal, the admin listener, or a changed file. Cancel-safe.
    pub async fn next_reload(&mut self) -> Reload {
        self.reloads.next().await
    }

    /// Takes another configuration into force, or leaves everything as it is.
    ///
    /// Logs, counts and reports the outcome.
    pub async fn reload(&mut self, reload: Reload) {
        let Reload { request, loaded } = reload;
        let report = match loaded {
            Ok((config, warnings)) => self.replace(config, warnings).await,
            Err(report) => report,
        };
        reload::log(&report, request.cause);
        self.metrics.record_reload(reload::outcome(&report));
        let reply = reload::reply(&report, self.clock.wall());
        if let Some(admin) = &self.admin {
            admin.record_reload(reply.clone());
        }
        request.reply(reply);
    }

    /// Replaces the configuration in force by a checked one. Returns its warnings, or the problems that prevented it.
    async fn replace(&mut self, mut config: Config, mut report: Report) -> Report {
        for table in config.keep_process_tables(&self.config) {
            report.push(config.problem(
                (Severity::Warning, ProblemCode::RestartNeeded),
                Some(table),
                format!("[{table}] has changed, but takes effect at a restart alone"),
                "restart bearward to use the new values; everything else is in force",
            ));
        }
        match self.try_apply(config.clone()).await {
            Ok(()) => report,
            Err(failure) => Report::new(vec![failure.into_problem(&config)]),
        }
    }

    async fn try_apply(&mut self, config: Config) -> Result<(), Failure> {
        let sockets = self.listeners.sockets.rebind(&config)?;
        bound_addresses::check(&config, self.admin_address.as_ref(), &sockets)?;
        let store = self.store.for_reloaded(&config)?;
        self.apply(config, store, sockets).await
    }

    /// Takes a configuration into force, with its store and sockets. A failure leaves everything as it is.
    async fn apply(
        &mut self,
        config: Config,
        store: OpenStore,
        sockets: ProxySockets,
    ) -> Result<(), Failure> {
        let admin = self.admin_address.as_ref();
        let providers = config.providers.iter();
        let providers: Vec<_> = providers
            .map(|provider| with_default_redirect_uri(provider, admin))
            .collect();
        let tokens = self
            .tokens
            .reconfigured(&providers, &store.store, &self.metrics);
        let components = RouteComponents {
            tokens: &tokens,
            metrics: &self.metrics,
            admin,
        };
        let next = NextRoutes::new(&config, sockets, &components, &self.listeners);
        let added = self
            .listeners
            .added(&next, &self.metrics, &self.shutdown, &self.descriptors);
        for listener in added.values() {
            if let Err(error) = self.workers.serve(listener).await {
                added
                    .values()
                    .for_each(|added| added.shutdown.start_drain());
                return Err(Failure::Worker(error));
            }
        }

        // Nothing fails from here on.
        set_log(&config.log);
        log_routes(&next, &self.listeners);
        self.warn_of_few_descriptors(&next);
        let removed = self.listeners.replace(added, next, &self.descriptors);
        self.cut_later(removed, config.drain.timeout);
        self.tokens = Arc::new(tokens);
        self.store = store;
        self.config = Config {
            // Those that stay the same are the earlier ones, and so are their secrets.
            providers: self.tokens.providers().cloned().collect(),
            routes: self.listeners.routes().cloned().collect(),
            ..config
        };
        self.secrets = SecretsWatcher::start(&self.config);
        self.reloads.watch(&self.config.files);
        self.retain_metrics();
        self.notifier.replace(NotifyView {
            settings: self.config.notify.clone(),
            tokens: self.tokens.clone(),
            admin: self.admin_address.clone(),
        });
        if let Some(admin) = &self.admin {
            admin.replace(self.view());
        }
        Ok(())
    }

    /// Warns where the next limits, or the number of listeners, need more descriptors than there are.
    fn warn_of_few_descriptors(&self, next: &NextRoutes) {
        let (before, listeners) = (&self.listeners, next.sockets.iter().count());
        if before.limits != next.limits || before.sockets.iter().count() != listeners {
            self.descriptors.warn_of_few(&next.limits, listeners);
        }
    }

    fn start_admin(&mut self, bound: Bound) -> std::io::Result<()> {
        let state = AdminState::new(
            bound.address().clone(),
            self.metrics.clone(),
            self.clock.clone(),
            self.view(),
            self.tracker.clone(),
        );
        let limits = self.descriptors.admin(self.config.limits);
        let hosts = self.config.admin.iter();
        let hosts = hosts.flat_map(|admin| admin.hosts.iter().cloned());
        let state = state
            .with_hosts(hosts.collect())
            .with_limits(limits)
            .with_reloads(self.reloads.handle().clone());
        self.admin = Some(AdminListener::start(bound, state)?);
        Ok(())
    }

    /// Cuts what was removed, once it has had `limit` to drain.
    fn cut_later(&mut self, removed: Removed, limit: Duration) {
        while self.cuts.try_join_next().is_some() {}
        if !removed.is_empty() {
            self.cuts.spawn(async move {
                sleep(limit).await;
                removed.cut();
            });
        }
    }

    fn retain_metrics(&self) {
        let routes = self.config.routes.iter();
        let routes: HashSet<&str> = routes.map(|route| &*route.name).collect();
        self.metrics
            .retain_routes(|name| name.is_empty() || routes.contains(name));
        self.metrics
            .retain_providers(|name| self.tokens.credential(name).is_some());
        let listeners = self.listeners.sockets.iter();
        let listeners = listeners.map(|(_, bound)| bound.address());
        let listeners: HashSet<_> = listeners
            .chain(&self.admin_address)
            .map(ToString::to_string)
            .collect();
        self.metrics
            .retain_listeners(|name| listeners.contains(name));
    }

    /// The configuration as the admin listener shows it.
    fn view(&self) -> View {
        let routes = self.listeners.routes();
        let address_of = |route| self.listeners.sockets.address_of(route);
        View {
            tokens: self.tokens.clone(),
            routes: routes
                .map(|route| route_view(route, &address_of(route)))
                .collect(),
            key: self
                .config
                .admin
                .as_ref()
                .and_then(|admin| admin.key.clone()),
            store: self.store.location.clone(),
            files: self.config.files.clone(),
        }
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
        } = self.config.drain;
        tracing::info!(timeout_s = seconds(limit), "draining");
        if let Some(admin) = &self.admin {
            admin.start_draining();
        }
        if !lame_duck.is_zero() {
            sleep(lame_duck).await;
        }

        // With an open socket, clients would wait in the kernel instead of being refused.
        drop(self.listeners);
        self.shutdown.start_drain();
        self.tracker.close();
        if timeout(limit, self.tracker.wait()).await.is_err() {
            tracing::warn!(
                "drain.cut: requests were still in flight when the time to drain was over"
            );
        }

        drop((self.secrets, self.notifier));
        // No request waits for an access token any more, but the response that replaces a used refresh token must not
        // be lost.
        let settled = timeout(self.tokens.settle_timeout(), self.tokens.settle()).await;
        if settled.is_err() {
            tracing::error!(
                "drain.token_request_cut: a token request was still in flight at the end; its login may be lost"
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

/// Logs each route that is new, or has changed.
fn log_routes(next: &NextRoutes, before: &ProxyListeners) {
    let known: HashSet<_> = before.routes.iter().map(Arc::as_ptr).collect();
    let is_new = |active: &&Arc<_>| !known.contains(&Arc::as_ptr(active));
    for active in next.routes.iter().filter(is_new) {
        let view = route_view(&active.route, &next.sockets.address_of(&active.route));
        tracing::info!(
            route = &*view.name,
            listen = view.listen,
            upstream = view.upstream,
            "listening"
        );
    }
}
