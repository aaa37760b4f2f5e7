//! A client's connection and its listener, as requests see them.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use arc_swap::ArcSwap;

use super::{table::Table, worker::Worker};
use crate::{
    server::{connection::ConnectionState, limits::Limits, share::ConnectionPermit, timer::Timer},
    telemetry::metrics::{Gauge, RouteMetrics},
};

/// The state that all connections of one listener share.
#[derive(Debug)]
pub struct ListenerState {
    /// The bounds of further connections.
    pub limits: ArcSwap<Limits>,
    /// Its routes at present.
    pub routes: ArcSwap<Table>,
    /// The number of its connections.
    pub connections: Arc<Gauge>,
    /// Counts the requests that no route takes.
    pub unrouted: Arc<RouteMetrics>,
}

impl ListenerState {
    /// Counts a connection until the guard is dropped.
    pub fn count_connection(&self) -> ConnectionCount {
        self.connections.inc();
        ConnectionCount(self.connections.clone())
    }
}

/// A counted connection.
#[derive(Debug)]
pub struct ConnectionCount(Arc<Gauge>);

impl Drop for ConnectionCount {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A client's connection, as its requests see it.
#[derive(Debug)]
pub struct ClientConnection {
    /// Its listener.
    pub listener: Arc<ListenerState>,
    /// Its bounds, as they were when it was accepted.
    pub limits: Limits,
    /// The worker that serves it.
    pub worker: Rc<Worker>,
    /// The state that its stream and its requests share.
    pub state: Arc<ConnectionState>,
    /// The timer that its requests use one after another.
    pub timer: RefCell<Option<Timer>>,
    /// Its permit, and its part of the count; a tunnel holds both to its end.
    pub admission: (ConnectionPermit, ConnectionCount),
}
