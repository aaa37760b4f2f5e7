//! The admin listener in service: HTTP/1.1 and the tasks behind the status, on the control thread.

use std::{io, sync::Arc, time::Duration};

use hyper_util::{rt::TokioExecutor, service::TowerToHyperService};
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::{MissedTickBehavior, interval},
};

use super::{events::EventFeed, router, state::AdminState, traffic::SAMPLE_INTERVAL};
use crate::server::{address::ListenAddress, listener::Bound, listening::Listening, serve::Server};

/// An admin listener in service. Dropping it closes the listener and every connection, and ends its tasks.
#[derive(Debug)]
pub struct AdminServer {
    listening: Listening,
    _tasks: JoinSet<()>,
}

impl AdminServer {
    /// Serves the admin endpoints at a bound socket, until it is drained or dropped.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn start(bound: Bound, state: Arc<AdminState>) -> io::Result<Self> {
        let server = Server::new(TokioExecutor::new(), *state.limits());
        let service = TowerToHyperService::new(router(state.clone()));
        let listening = Listening::start(bound, server.http1_only().with_date(), service)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(sample_traffic(state.clone()));
        tasks.spawn(EventFeed::run(state));
        Ok(Self {
            listening,
            _tasks: tasks,
        })
    }

    /// The real address, port 0 resolved.
    pub fn address(&self) -> &ListenAddress {
        self.listening.address()
    }

    /// Closes the listener, once requests in flight have finished or `limit` has passed.
    pub async fn drain(self, limit: Duration) {
        self.listening.drain(limit).await;
    }
}

/// Reads the totals of every route, again and again.
async fn sample_traffic(state: Arc<AdminState>) {
    let mut ticks = interval(SAMPLE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let state = state.clone();
        let sampling = spawn_blocking(move || {
            let (view, metrics) = (state.view(), state.metrics());
            let names = view.routes.iter().map(|route| &route.name);
            state
                .traffic()
                .sample(names, |name| metrics.route_totals(name));
        });
        // The panic hook has printed a panic.
        let _ = sampling.await;
    }
}
