//! A client's connection and its listener, as requests see them.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use arc_swap::ArcSwap;

use super::{table::Table, worker::Worker};
use crate::{
    clock::Clock,
    server::{
        address::ListenAddress, adjustable_limit::AdjustableLimit, connection::ConnectionState,
        connection_limit::ConnectionLimit, limits::Limits, share::ConnectionPermit, timer::Timer,
    },
    telemetry::metrics::{Gauge, Metrics, RefusedKeys, RouteMetrics},
};

/// The state that all connections of one listener share.
#[derive(Debug)]
pub struct ListenerState {
    /// The bounds of further connections.
    pub limits: ArcSwap<Limits>,
    /// The bound of its connections.
    pub connection_limit: Arc<ConnectionLimit>,
    /// The bound of its requests in flight.
    pub requests: Arc<AdjustableLimit>,
    /// Its routes at present.
    pub routes: ArcSwap<Table>,
    /// The number of its connections.
    pub connections: Arc<Gauge>,
    /// Counts the requests that no route takes.
    pub unrouted: Arc<RouteMetrics>,
    /// Counts and logs the refused client keys.
    pub refused_keys: RefusedKeyLog,
}

impl ListenerState {
    /// Counts a connection until the guard is dropped.
    pub fn count_connection(&self) -> ConnectionCount {
        self.connections.inc();
        ConnectionCount(self.connections.clone())
    }
}

/// The refused client keys of one listener.
#[derive(Debug)]
pub struct RefusedKeyLog {
    listener: Box<str>,
    refused: Arc<RefusedKeys>,
    clock: Arc<dyn Clock>,
}

impl RefusedKeyLog {
    /// Makes the log of the listener with this address.
    pub fn new(listener: &ListenAddress, metrics: &Metrics, clock: Arc<dyn Clock>) -> Self {
        let listener = listener.to_string();
        Self {
            refused: metrics.refused_keys(&listener),
            listener: listener.into(),
            clock,
        }
    }

    /// Counts a refused key, and logs one line a second at most.
    pub fn record(&self) {
        self.refused.record(&self.listener, self.clock.now());
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
