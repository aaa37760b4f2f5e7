//! The listening sockets of a configuration: one for each address of its routes, and the admin listener's.

use std::{collections::BTreeMap, sync::Arc};

use super::failure::Failure;
use crate::{
    config::Config,
    proxy::route::Route,
    server::{address::ListenAddress, listener::Bound},
};

/// All bound sockets.
#[derive(Debug)]
pub(super) struct Sockets {
    /// The admin listener, unless it is off.
    pub(super) admin: Option<Bound>,
    /// By the configured address; several routes may share one.
    pub(super) proxy: BTreeMap<ListenAddress, Arc<Bound>>,
}

/// The real addresses of all listeners, port 0 resolved.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The admin listener, unless it is off.
    pub admin: Option<ListenAddress>,
    /// By route.
    pub routes: BTreeMap<Arc<str>, ListenAddress>,
}

impl Addresses {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &ListenAddress> {
        self.admin.iter().chain(self.routes.values())
    }
}

impl Sockets {
    /// Binds every address of the configuration.
    ///
    /// # Errors
    /// The first address that cannot be bound. Then none stays bound.
    pub(super) fn bind(config: &Config) -> Result<Self, Failure> {
        let mut proxy = BTreeMap::new();
        for route in &config.routes {
            if !proxy.contains_key(&route.listen) {
                proxy.insert(route.listen.clone(), Arc::new(bind(&route.listen)?));
            }
        }
        let admin = config.admin.as_ref();
        let admin = admin.map(|admin| bind(&admin.listen)).transpose()?;
        Ok(Self { admin, proxy })
    }

    /// The real address of a route's listener.
    pub(super) fn address_of(&self, route: &Route) -> ListenAddress {
        let bound = self.proxy.get(&route.listen);
        let address = bound.map_or(&route.listen, |bound| bound.address());
        address.clone()
    }

    /// The real address of the admin listener.
    pub(super) fn admin_address(&self) -> Option<&ListenAddress> {
        self.admin.as_ref().map(Bound::address)
    }

    /// The real addresses of all listeners.
    pub(super) fn addresses(&self, config: &Config) -> Addresses {
        let routes = config.routes.iter();
        let routes = routes.map(|route| (route.name.clone(), self.address_of(route)));
        Addresses {
            admin: self.admin_address().cloned(),
            routes: routes.collect(),
        }
    }
}

fn bind(address: &ListenAddress) -> Result<Bound, Failure> {
    Bound::bind(address).map_err(|error| Failure::Listen {
        address: address.clone(),
        error,
    })
}
