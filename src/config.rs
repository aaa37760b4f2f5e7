//! The configuration: from a TOML file to the types that the parts of the program own.

use std::{path::PathBuf, sync::Arc};

use crate::{
    admin::Admin,
    oauth::provider::Provider,
    proxy::route::Route,
    server::limits::{Drain, Limits},
    telemetry::LogSettings,
    token::store::StoreLocation,
};

/// A configuration that was checked whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file it came from, for reloads and for messages.
    pub path: Option<PathBuf>,
    /// `[admin]`; `None` is `listen = "off"`.
    pub admin: Option<Admin>,
    /// `[store]`.
    pub store: StoreLocation,
    /// `[log]`.
    pub log: LogSettings,
    /// `[limits]`.
    pub limits: Limits,
    /// `[drain]`.
    pub drain: Drain,
    /// `[runtime] workers`, `auto` resolved: at least 1.
    pub workers: usize,
    /// `[providers.*]` in the order of the file.
    pub providers: Vec<Arc<Provider>>,
    /// `[routes.*]` in the order of the file.
    pub routes: Vec<Route>,
}
