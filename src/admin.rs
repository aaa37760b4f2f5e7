//! The admin listener: health, metrics, status, events, logins, and the page for people.
//!
//! A request is admitted by the guard and routed; its response comes from the state of the layers below. Only logins
//! under way have their state here.

mod admission;
mod drained_body;
mod events;
mod guard;
mod health;
mod login;
mod page;
mod reload;
mod respond;
mod router;
mod serve;
mod state;
mod status;
mod traffic;

use std::{net::Ipv4Addr, sync::Arc};

use crate::{secret::LiveSecret, server::address::ListenAddress};
pub use reload::{ReloadCause, ReloadHandle, ReloadReply, ReloadRequest};
pub use router::router;
pub use serve::AdminServer;
pub use state::{AdminState, RouteView, View};

/// `[admin]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    /// The address of the listener.
    pub listen: ListenAddress,
    /// Further accepted Host names, in lower case: those of an ingress in front of the listener.
    pub hosts: Vec<String>,
    /// The key to everything but health and metrics. A listener beyond loopback serves those alone without one.
    pub key: Option<Arc<LiveSecret>>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: ListenAddress::Tcp((Ipv4Addr::LOCALHOST, 9900).into()),
            hosts: Vec::new(),
            key: None,
        }
    }
}

#[cfg(test)]
mod tests;
