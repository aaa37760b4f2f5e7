//! The place of a login: the store of the configuration, which the sidecar of that configuration shares.

use std::sync::Arc;

use rustix::process::geteuid;

use super::{error::LoginError, guidance, sidecar::RunningSidecar};
use crate::{
    cli::{admin_client::AdminKey, configured, print_error, sidecar_address},
    clock::{Clock, SystemClock},
    oauth::provider::Provider,
    server::address::ListenAddress,
    token::{
        grant::StoredGrant,
        store::{Store, StoreLocation},
    },
};

/// The store for one provider's login, and the sidecar that has to find the login there.
pub(super) struct LoginPlace<'a> {
    pub(super) provider: &'a Arc<Provider>,
    pub(super) location: &'a StoreLocation,
    /// The admin listener of the configuration.
    pub(super) admin: Option<&'a ListenAddress>,
    /// The key for a sidecar that has to be asked.
    pub(super) admin_key: AdminKey,
}

impl LoginPlace<'_> {
    /// The login in `store`, and the clock that it is kept by.
    pub(super) fn grant_in(&self, store: &Arc<dyn Store>) -> (StoredGrant, Arc<dyn Clock>) {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let login = StoredGrant::new(self.provider.clone(), store.clone(), clock.clone());
        (login, clock)
    }

    /// Opens the store for a login that no sidecar can take instead.
    pub(super) async fn open_kept(&self) -> Result<Arc<dyn Store>, LoginError> {
        match self.location {
            StoreLocation::Memory => Err(LoginError::NotKept),
            _ => self.open_own(None).await,
        }
    }

    /// Opens the store for a login that this command stores itself, where a running sidecar has to find it.
    ///
    /// `own_port` is the one at which this command listens: no sidecar does.
    pub(super) async fn open_own(
        &self,
        own_port: Option<u16>,
    ) -> Result<Arc<dyn Store>, LoginError> {
        let store = self.open().await?;
        let name = &self.provider.name;
        let admin = self
            .admin
            .filter(|admin| own_port.is_none() || admin.port() != own_port);
        let is_shared = match admin.and_then(sidecar_address::address_of) {
            None => false,
            Some(address) => {
                let sidecar = RunningSidecar::new(address, self.admin_key.clone(), name.clone());
                sidecar.check_store_if_live(self.location).await?
            }
        };
        if !is_shared && geteuid().is_root() {
            print_error(&format!("{name}: {}", guidance::AS_ROOT));
        }
        Ok(store)
    }

    /// Opens the store, which is known to be usable before the person is sent anywhere.
    pub(super) async fn open(&self) -> Result<Arc<dyn Store>, LoginError> {
        if *self.location == StoreLocation::Memory {
            return Err(LoginError::StoreInMemory);
        }
        let store = configured::open_store(self.location)
            .await
            .map_err(LoginError::Store)?;
        configured::load_record(&store, &self.provider.name)
            .await
            .map_err(LoginError::Store)?;
        Ok(store)
    }
}
