//! From a configuration to a running sidecar: bind everything, then start everything, then wait for the end.
//!
//! The thread that calls [`App::start`] is the control thread: token refreshers, the admin listener and signals live on
//! its runtime. Requests are served by worker threads, each with a runtime of its own; they share the listening sockets
//! and nothing that has a lock.

pub mod privacy;
mod secrets;
pub mod signal;
mod workers;

use std::{collections::BTreeMap, fmt, io, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::workers::{ProxyListener, Workers};
use crate::{
    admin::{self, AdminState, RouteView, View},
    clock::Clock,
    config::Config,
    login::login_hint,
    oauth::provider::GrantType,
    proxy::{
        route::{Route, Upstream},
        service::ListenerState,
        table::{ActiveRoute, Table},
        upstream::ActiveUpstream,
    },
    server::{
        address::ListenAddress,
        listener::{Bound, Listener},
    },
    telemetry::metrics::Metrics,
    token::{
        Tokens,
        store::{self, Store, StoreError, StoreLocation},
    },
};

/// A sidecar whose sockets are bound, and which does nothing yet.
#[derive(Debug)]
pub struct App {
    config: Config,
    store: Arc<dyn Store>,
    admin: Option<Bound>,
    listeners: BTreeMap<ListenAddress, Arc<Bound>>,
}

impl App {
    /// Opens the store and binds every address of the configuration.
    ///
    /// # Errors
    /// The store cannot be used, or the first address that cannot be had; then none is kept.
    pub fn bind(config: Config) -> Result<Self, Failure> {
        let store = open_store(&config).map_err(Failure::Store)?;
        let bind = |address: &ListenAddress| {
            Bound::bind(address).map_err(|error| Failure::Listen {
                address: address.clone(),
                error,
            })
        };
        let mut listeners = BTreeMap::new();
        for route in &config.routes {
            if !listeners.contains_key(&route.listen) {
                listeners.insert(route.listen.clone(), Arc::new(bind(&route.listen)?));
            }
        }
        let admin = config
            .admin
            .as_ref()
            .map(|admin| bind(&admin.listen))
            .transpose()?;
        Ok(Self {
            config,
            store,
            admin,
            listeners,
        })
    }

    /// Starts everything. Has to be called on the control thread's runtime.
    ///
    /// # Errors
    /// A worker thread cannot be started.
    pub fn start(self, clock: Arc<dyn Clock>) -> Result<Running, Failure> {
        let Self {
            config,
            store,
            admin,
            listeners,
        } = self;
        let metrics = Metrics::new();
        let tokens = Arc::new(Tokens::start(
            &config.providers,
            store,
            clock.clone(),
            &metrics,
        ));
        let (cancel, tracker) = (CancellationToken::new(), TaskTracker::new());
        let at = admin.as_ref().map(Bound::address);
        let services = listeners
            .values()
            .map(|bound| proxy_listener(&config, bound, &listeners, at, &tokens, &metrics));
        let services = services.collect::<Vec<_>>();
        let workers =
            Workers::start(config.workers, services, &cancel, &tracker).map_err(Failure::Worker)?;

        let routes: Vec<_> = config
            .routes
            .iter()
            .map(|route| view(route, &listeners))
            .collect();
        for route in &routes {
            tracing::info!(
                route = &*route.name,
                listen = route.listen,
                upstream = route.upstream,
                "listening"
            );
        }
        let addresses = Addresses {
            admin: admin.as_ref().map(|bound| bound.address().clone()),
            routes: config
                .routes
                .iter()
                .map(|route| (route.name.clone(), real(route, &listeners)))
                .collect(),
        };
        let admin_task = match &admin {
            Some(bound) => {
                let key = config.admin.as_ref().and_then(|admin| admin.key.clone());
                let view = View {
                    tokens: tokens.clone(),
                    routes,
                    key,
                    store: store_location(&config).clone(),
                };
                let state = AdminState::new(
                    bound.address().clone(),
                    metrics,
                    clock,
                    view,
                    tracker.clone(),
                );
                let state = Arc::new(state.with_limits(config.limits));
                let listener = bound.listener().map_err(Failure::Worker)?;
                tracing::info!(listen = %bound.address(), "admin listening");
                Some(AdminTask::spawn(listener, state))
            }
            None => None,
        };
        let secrets = secrets::follow(&config);
        Ok(Running {
            addresses,
            config,
            tokens,
            cancel,
            tracker,
            workers,
            admin: admin_task,
            secrets,
            listeners,
            _admin: admin,
        })
    }
}

/// Where everything really listens, port 0 resolved.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The admin listener, unless it is off.
    pub admin: Option<ListenAddress>,
    /// By route.
    pub routes: BTreeMap<Arc<str>, ListenAddress>,
}

/// A sidecar at work.
#[derive(Debug)]
pub struct Running {
    addresses: Addresses,
    config: Config,
    tokens: Arc<Tokens>,
    cancel: CancellationToken,
    tracker: TaskTracker,
    workers: Workers,
    admin: Option<AdminTask>,
    secrets: JoinHandle<()>,
    listeners: BTreeMap<ListenAddress, Arc<Bound>>,
    /// Takes a Unix socket's file with it when it goes.
    _admin: Option<Bound>,
}

impl Running {
    /// Where everything really listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Ends in good order: readiness off, no new connections, requests in flight and logins that came back finish,
    /// for no longer than `[drain] timeout`. What is then still under way is cut off.
    ///
    /// # Errors
    /// A login is lost, since it could not be written.
    pub async fn drain(self) -> Result<(), Failure> {
        let settings = self.config.drain;
        tracing::info!(timeout_s = settings.timeout.as_secs_f64(), "draining");
        if let Some(admin) = &self.admin {
            admin.state.start_draining();
        }
        if !settings.lame_duck.is_zero() {
            tokio::time::sleep(settings.lame_duck).await;
        }
        // Callers are turned away from here on; were a socket still open, they would wait in the kernel instead.
        drop(self.listeners);
        self.cancel.cancel();
        self.tracker.close();
        if timeout(settings.timeout, self.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!("requests were still in flight when the time to drain was over");
        }
        self.secrets.abort();
        // Nobody is left to wait for an access token, but an answer that replaces a spent refresh token must not be lost.
        let settled = timeout(self.tokens.settle_timeout(), self.tokens.settle()).await;
        if settled.is_err() {
            tracing::error!(
                "a token request was still in flight at the end: the login it belongs to may be lost"
            );
        }
        self.workers.stop();
        if let Some(admin) = self.admin {
            admin.stop().await;
        }
        tracing::info!("ended");
        match settled.unwrap_or_default() {
            lost if lost.is_empty() => Ok(()),
            lost => Err(Failure::Lost(lost)),
        }
    }
}

/// Why a sidecar cannot run.
#[derive(Debug)]
pub enum Failure {
    /// An address cannot be listened on.
    Listen {
        /// Which.
        address: ListenAddress,
        /// Why.
        error: io::Error,
    },
    /// Nothing can be kept.
    Store(StoreError),
    /// Logins of these providers could not be written before the end.
    Lost(Vec<Arc<str>>),
    /// The system gives no thread, runtime or descriptor.
    Worker(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { address, error } => write!(f, "cannot listen on {address}: {error}"),
            Self::Store(error) => write!(f, "{error}"),
            Self::Lost(providers) => {
                write!(
                    f,
                    "the login could not be stored before the end, and is lost: {}",
                    providers.join(", ")
                )
            }
            Self::Worker(error) => write!(f, "cannot start a worker: {error}"),
        }
    }
}

impl std::error::Error for Failure {}

/// The store, if anything is kept in it or the file says where it is: a sidecar that has no logins needs no disk.
fn open_store(config: &Config) -> Result<Arc<dyn Store>, StoreError> {
    store::open(store_location(config))
}

fn store_location(config: &Config) -> &StoreLocation {
    let needed = config
        .providers
        .iter()
        .any(|provider| provider.grant_type != GrantType::ClientCredentials);
    if needed || config.store_is_given {
        &config.store
    } else {
        &StoreLocation::Memory
    }
}

/// Builds what one listener serves.
fn proxy_listener(
    config: &Config,
    bound: &Arc<Bound>,
    listeners: &BTreeMap<ListenAddress, Arc<Bound>>,
    admin: Option<&ListenAddress>,
    tokens: &Tokens,
    metrics: &Metrics,
) -> ProxyListener {
    let own = config.routes.iter().filter(|route| {
        listeners
            .get(&route.listen)
            .is_some_and(|at| Arc::ptr_eq(at, bound))
    });
    let active = own.map(|route| {
        let binding = route.provider.as_ref();
        let credential = binding
            .and_then(|binding| tokens.credential(&binding.provider))
            .cloned();
        let login_hint = credential
            .as_ref()
            .map(|credential| login_hint(credential.provider(), admin))
            .unwrap_or_default();
        let tunnels = !route.upgrade.is_empty();
        let upstream = ActiveUpstream::new(route.upstream.clone(), tunnels, config.limits);
        Arc::new(ActiveRoute {
            credential,
            login_hint: login_hint.into(),
            upstream: Arc::new(upstream),
            metrics: metrics.route(&route.name),
            route: route.clone(),
        })
    });
    let state = ListenerState {
        port: match bound.address() {
            ListenAddress::Tcp(address) => Some(address.port()),
            ListenAddress::Unix(_) => None,
        },
        limits: config.limits,
        routes: Arc::new(Table::new(active)).into(),
        connections: metrics.listener(&bound.address().to_string()),
        unrouted: metrics.route(""),
    };
    ProxyListener {
        bound: bound.clone(),
        state: Arc::new(state),
        permits: Arc::new(Semaphore::new(config.limits.connections)),
    }
}

fn real(route: &Route, listeners: &BTreeMap<ListenAddress, Arc<Bound>>) -> ListenAddress {
    listeners
        .get(&route.listen)
        .map_or_else(|| route.listen.clone(), |bound| bound.address().clone())
}

fn view(route: &Route, listeners: &BTreeMap<ListenAddress, Arc<Bound>>) -> RouteView {
    RouteView {
        name: route.name.clone(),
        listen: real(route, listeners).to_string(),
        upstream: url(&route.upstream),
        provider: route
            .provider
            .as_ref()
            .map(|binding| binding.provider.clone()),
    }
}

fn url(upstream: &Upstream) -> String {
    let scheme = if upstream.tls { "https" } else { "http" };
    format!("{scheme}://{}{}", upstream.authority, upstream.base_path)
}

/// The admin listener's task, which outlives the draining of all others, so that readiness can be asked for.
#[derive(Debug)]
struct AdminTask {
    state: Arc<AdminState>,
    stop: tokio::sync::oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl AdminTask {
    fn spawn(listener: Listener, state: Arc<AdminState>) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let shown = state.clone();
        let task = tokio::spawn(async move {
            let stopped = async {
                // A dropped sender means the same as a message.
                let _ = stopped.await;
            };
            admin::serve(listener, shown, stopped).await;
        });
        Self { state, stop, task }
    }

    async fn stop(self) {
        drop(self.stop);
        // Its requests are answered from memory; a connection that hangs is not waited for.
        let _ = timeout(Duration::from_secs(1), self.task).await;
    }
}
