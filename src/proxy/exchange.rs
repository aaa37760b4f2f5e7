//! One request and its response, from the head to the last byte: what the access log and the metrics tell of it.

use std::{rc::Rc, sync::Arc};

use http::{Method, StatusCode, Version, request::Parts, uri::PathAndQuery};
use tokio::time::{Instant, timeout};

use super::{
    client_connection::ClientConnection, error::ProxyRefusal, route::Route, table::ActiveRoute,
};
use crate::{
    server::{
        adjustable_limit::LimitPermit, framing_gate::GateRefusal, stream_watch::StreamWatch,
        timer::Timer,
    },
    telemetry::{
        access_log::{self, AccessEntry, TokenCost},
        traces::RequestTrace,
    },
};

/// The status of a request whose client disconnected before the response, as nginx counts it.
const CLIENT_GONE: u16 = 499;

/// A request being served. It is recorded when this is dropped.
#[derive(Debug)]
pub struct Exchange {
    connection: Rc<ClientConnection>,
    trace: RequestTrace,
    started: Instant,
    /// The method and target, when the access log is on.
    logged: Option<(Method, Option<PathAndQuery>)>,
    /// Whether the head was refused before it was parsed, so that its method and path are unknown.
    is_head_refused: bool,
    /// Whether the client may take the end of the connection for the end of the body.
    reads_to_end: bool,
    route: Option<Arc<ActiveRoute>>,
    token_cost: TokenCost,
    status: u16,
    bytes: u64,
    timer: Option<Timer>,
    /// Its place among the listener's requests in flight.
    permit: Option<LimitPermit>,
    /// The watch of the request's HTTP/2 stream.
    watch: Option<StreamWatch>,
}

impl Exchange {
    /// Starts an exchange with a request's head.
    pub fn start(connection: &Rc<ClientConnection>, parts: &Parts) -> Self {
        connection.state.request_began();
        let logged = || (parts.method.clone(), parts.uri.path_and_query().cloned());
        Self {
            connection: connection.clone(),
            trace: RequestTrace::start(parts),
            started: Instant::now(),
            logged: access_log::enabled().then(logged),
            is_head_refused: false,
            reads_to_end: parts.version == Version::HTTP_10,
            route: None,
            token_cost: TokenCost::Unneeded,
            status: CLIENT_GONE,
            bytes: 0,
            timer: connection.timer.take(),
            permit: None,
            watch: StreamWatch::current(),
        }
    }

    /// Refuses a request that stands for one that the framing gate refused: its line is not the client's.
    pub fn refuse_at_gate(&mut self, refused: GateRefusal) -> ProxyRefusal {
        self.is_head_refused = true;
        self.trace.forget_head();
        refused.into()
    }

    /// Sets the route that the request takes.
    pub fn set_route(&mut self, route: &Arc<ActiveRoute>) {
        self.connection
            .state
            .set_write_timeout(route.route.timeouts.idle);
        let provider = route.route.provider.as_ref();
        self.trace.set_route(
            &route.route.name,
            provider.map(|binding| &*binding.provider),
        );
        self.route = Some(route.clone());
    }

    /// The spans of the request.
    pub fn trace(&mut self) -> &mut RequestTrace {
        &mut self.trace
    }

    /// The route that the request takes, once it is known.
    pub fn route(&self) -> Option<&ActiveRoute> {
        self.route.as_deref()
    }

    /// Waits for a place among the listener's requests in flight, which the request keeps to the end of its response.
    ///
    /// # Errors
    /// `upstream-timeout`: there was none within `timeouts.response` of the route.
    pub async fn wait_for_permit(&mut self, route: &Route) -> Result<(), ProxyRefusal> {
        let requests = &self.connection.listener.requests;
        let permit = match requests.try_acquire() {
            Some(permit) => permit,
            None => timeout(route.timeouts.response, requests.acquire())
                .await
                .map_err(|_| ProxyRefusal::too_many_requests())?,
        };
        self.permit = Some(permit);
        Ok(())
    }

    /// Gives the place up, for a tunnel.
    pub fn release_permit(&mut self) {
        self.permit = None;
    }

    /// Sets what the token cost.
    pub fn set_token_cost(&mut self, cost: TokenCost) {
        self.trace
            .end_token_wait(matches!(cost, TokenCost::Waited(_)));
        self.token_cost = cost;
    }

    /// The timer of the request's deadlines, which the requests of a connection share one after another.
    pub fn timer(&mut self) -> &mut Option<Timer> {
        &mut self.timer
    }

    /// Sets the status of the response.
    pub fn set_status(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    /// Whether the response goes out on an HTTP/2 stream.
    pub fn is_watched(&self) -> bool {
        self.watch.is_some()
    }

    /// Tells that a part of the response waits for the client now.
    pub fn wait_for_client(&self) {
        if let Some(watch) = &self.watch {
            let keep_alive = self.connection.limits.keep_alive;
            let idle = |active: &ActiveRoute| active.route.timeouts.idle;
            watch.wait_for_client(self.route().map_or(keep_alive, idle));
        }
    }

    /// Tells that the next part of the response is waited for now.
    pub fn wait_for_upstream(&self) {
        if let Some(watch) = &self.watch {
            watch.proceed();
        }
    }

    /// Counts bytes of the response's body.
    pub fn count_bytes(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Marks the response as cut. A client that reads to the end of the connection gets a reset.
    pub fn break_off(&mut self) {
        if self.reads_to_end {
            self.connection.state.reset_on_close();
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.connection.timer.replace(self.timer.take());
        let now = Instant::now();
        self.connection.state.request_ended(now);
        let elapsed = now - self.started;
        let route = self.route.as_deref();
        let metrics = match route {
            Some(route) => &route.metrics,
            None => &self.connection.listener.unrouted,
        };
        metrics.record(self.status, elapsed);
        let status = (self.status != CLIENT_GONE).then_some(self.status);
        self.trace.end(status);
        if let Some((method, target)) = &self.logged {
            let path = target.as_ref().map_or("", PathAndQuery::path);
            let (method, path) = match self.is_head_refused {
                true => ("-", "-"),
                false => (method.as_str(), path),
            };
            access_log::log(&AccessEntry {
                route: route.map(|active| &*active.route.name),
                method,
                path,
                status: self.status,
                bytes: self.bytes,
                elapsed,
                token: self.token_cost,
            });
        }
    }
}
