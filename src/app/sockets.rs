//! The listening sockets of a configuration: one for each address of its routes, and the admin listener's.

use std::{collections::BTreeMap, sync::Arc};

use super::failure::{Failure, SocketOwner};
use crate::{
    admin::Admin,
    config::Config,
    proxy::route::Route,
    server::{address::ListenAddress, listener::Bound},
};

/// All bound sockets.
#[derive(Debug)]
pub(super) struct Sockets {
    /// The admin listener, unless it is off.
    pub(super) admin: Option<Bound>,
    pub(super) proxy: ProxySockets,
}

impl Sockets {
    /// Binds every address of the configuration.
    ///
    /// # Errors
    /// The first address that cannot be bound. Then none stays bound.
    pub(super) fn bind(config: &Config) -> Result<Self, Failure> {
        let proxy = ProxySockets::default().rebind(config)?;
        let admin = config.admin.as_ref();
        let bind_admin = |listen: &ListenAddress| {
            let is_default = *listen == Admin::default().listen;
            let owner = match is_default {
                true => SocketOwner::DefaultAdmin,
                false => SocketOwner::Admin,
            };
            bind(listen, || owner)
        };
        let admin = admin.map(|admin| bind_admin(&admin.listen)).transpose()?;
        Ok(Self { admin, proxy })
    }

    /// The real address of the admin listener.
    pub(super) fn admin_address(&self) -> Option<&ListenAddress> {
        self.admin.as_ref().map(Bound::address)
    }
}

/// The sockets of all routes, by the configured address. Several routes may share one.
#[derive(Clone, Debug, Default)]
pub(super) struct ProxySockets(BTreeMap<ListenAddress, Arc<Bound>>);

impl ProxySockets {
    /// Returns the sockets of another configuration. Those at the same configured address stay; the others are bound.
    ///
    /// # Errors
    /// The first address that cannot be bound. Then nothing has changed.
    pub(super) fn rebind(&self, config: &Config) -> Result<Self, Failure> {
        let mut sockets = BTreeMap::new();
        for Route { listen, name, .. } in &config.routes {
            if sockets.contains_key(listen) {
                continue;
            }
            let bound = match self.0.get(listen) {
                Some(bound) => bound.clone(),
                None => Arc::new(bind(listen, || SocketOwner::Route(name.clone()))?),
            };
            sockets.insert(listen.clone(), bound);
        }
        Ok(Self(sockets))
    }

    /// All sockets, with their configured addresses.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ListenAddress, &Arc<Bound>)> {
        self.0.iter()
    }

    /// Whether a route listens at this configured address.
    pub(super) fn contains(&self, address: &ListenAddress) -> bool {
        self.0.contains_key(address)
    }

    /// The real address of a route's listener.
    pub(super) fn address_of(&self, route: &Route) -> ListenAddress {
        let bound = self.0.get(&route.listen);
        let address = bound.map_or(&route.listen, |bound| bound.address());
        address.clone()
    }
}

/// The real addresses of all listeners, port 0 resolved.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The admin listener, unless it is off.
    pub admin: Option<ListenAddress>,
    /// By route.
    pub routes: BTreeMap<Arc<str>, ListenAddress>,
}

fn bind(address: &ListenAddress, owner: impl FnOnce() -> SocketOwner) -> Result<Bound, Failure> {
    Bound::bind(address).map_err(|error| Failure::Listen {
        address: address.clone(),
        owner: owner(),
        error,
    })
}
