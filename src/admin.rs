//! The admin listener: health, metrics, status, and the page for people.
//!
//! A request is guarded (who may ask), matched to an endpoint, and answered. Everything shown is a view of what the parts
//! below know; nothing is kept here.

mod endpoint;
mod guard;
mod health;
pub mod kept;
pub mod login;
mod page;
mod respond;
pub mod segment;
mod serve;
mod service;
mod state;
mod status;

use std::{net::Ipv4Addr, sync::Arc};

use crate::{secret::LiveSecret, server::address::ListenAddress};
pub use serve::{serve, serve_connection};
pub use state::{AdminState, RouteView, View};

/// `[admin]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    /// Where it listens.
    pub listen: ListenAddress,
    /// What opens the listener's private part when others than this machine can reach it.
    pub key: Option<Arc<LiveSecret>>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: ListenAddress::Tcp((Ipv4Addr::LOCALHOST, 9900).into()),
            key: None,
        }
    }
}

#[cfg(test)]
mod tests;
