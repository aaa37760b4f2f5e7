//! The wiring of a configuration to a running sidecar: open the store, bind, start, reload, drain.
//!
//! The thread that calls [`App::start`] is the control thread: token refreshers, the admin listener and signals live on
//! its runtime. Requests are served by worker threads, each with a runtime of its own; they share the listening sockets
//! and nothing that has a lock.

mod admin_listener;
mod bound_addresses;
pub mod core_dumps;
mod descriptors;
mod failure;
mod file_watch;
mod next_routes;
mod proxy_listeners;
mod reload;
mod running;
mod secrets;
pub mod service_manager;
pub mod signals;
mod sockets;
pub mod traces;
mod workers;

use std::sync::Arc;

use self::sockets::Sockets;
pub use self::{
    failure::{Failure, SocketOwner},
    reload::{Reload, log_problems},
    running::Running,
    sockets::Addresses,
};
use crate::{
    clock::Clock,
    config::Config,
    token::store::{self, Store, StoreLocation},
};

/// A sidecar whose sockets are bound, and which serves nothing yet.
#[derive(Debug)]
pub struct App {
    config: Config,
    store: OpenStore,
    sockets: Sockets,
}

impl App {
    /// Opens the store and binds every address of the configuration.
    ///
    /// # Errors
    /// The store cannot be used, or an address cannot be bound. Then no address stays bound.
    pub fn bind(config: Config) -> Result<Self, Failure> {
        let store = OpenStore::of(&config)?;
        let sockets = Sockets::bind(&config)?;
        bound_addresses::check(&config, sockets.admin_address(), &sockets.proxy)?;
        Ok(Self {
            config,
            store,
            sockets,
        })
    }

    /// Starts tokens, workers, the admin listener and the watchers of files on the control thread's runtime.
    ///
    /// # Errors
    /// The system gives no thread or descriptor.
    pub async fn start(self, clock: Arc<dyn Clock>) -> Result<Running, Failure> {
        Running::start(self, clock).await
    }
}

/// The store of refresh tokens, and where it is.
#[derive(Clone, Debug)]
struct OpenStore {
    location: StoreLocation,
    store: Arc<dyn Store>,
}

impl OpenStore {
    /// Opens the store of a configuration. Without logins, and unless the file names one, that is the memory: it needs no
    /// disk.
    fn of(config: &Config) -> Result<Self, Failure> {
        Self::at(Self::location_for(config))
    }

    fn location_for(config: &Config) -> StoreLocation {
        match config.uses_store() {
            true => config.store.clone(),
            false => StoreLocation::Memory,
        }
    }

    fn at(location: StoreLocation) -> Result<Self, Failure> {
        let store = store::open(&location).map_err(Failure::Store)?;
        Ok(Self { location, store })
    }

    /// Returns the store for a reloaded configuration: this one, or the first one on disk, once there are logins.
    fn for_reloaded(&self, config: &Config) -> Result<Self, Failure> {
        let location = Self::location_for(config);
        match location == self.location || location == StoreLocation::Memory {
            true => Ok(self.clone()),
            false => Self::at(location),
        }
    }
}
