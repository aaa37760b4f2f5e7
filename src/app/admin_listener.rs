//! The admin listener in service. It outlives the drain of the proxy, so that readiness can be asked for meanwhile.

use std::{io, sync::Arc, time::Duration};

use crate::{
    admin::{AdminServer, AdminState, ReloadReply, RouteView, View},
    oauth::provider::ApiBase,
    proxy::route::{Route, Upstream, UpstreamBase},
    server::{address::ListenAddress, listener::Bound},
};

/// The time for requests in flight. Their responses come from memory.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// The admin listener in service.
#[derive(Debug)]
pub(super) struct AdminListener {
    state: Arc<AdminState>,
    server: AdminServer,
}

impl AdminListener {
    /// Starts to serve at a bound socket.
    ///
    /// # Errors
    /// No descriptor is left.
    pub(super) fn start(bound: Bound, state: AdminState) -> io::Result<Self> {
        let state = Arc::new(state);
        let server = AdminServer::start(bound, state.clone())?;
        tracing::info!(listen = %server.address(), "admin listening");
        Ok(Self { state, server })
    }

    /// Shows another configuration, from the next request on.
    pub(super) fn replace(&self, view: View) {
        self.state.replace(view);
    }

    /// Shows the outcome of a reload.
    pub(super) fn record_reload(&self, reply: ReloadReply) {
        self.state.record_reload(reply);
    }

    /// Turns readiness off.
    pub(super) fn start_draining(&self) {
        self.state.start_draining();
    }

    /// Closes the listener, once requests in flight have finished or 1 s has passed.
    pub(super) async fn drain(self) {
        self.server.drain(DRAIN_TIMEOUT).await;
    }
}

/// A route as the admin listener shows it.
pub(super) fn route_view(route: &Route, address: &ListenAddress) -> RouteView {
    let provider = route.provider.as_ref();
    RouteView {
        name: route.name.clone(),
        listen: address.to_string(),
        upstream: upstream_url(&route.upstream),
        provider: provider.map(|binding| binding.provider.clone()),
    }
}

fn upstream_url(upstream: &Upstream) -> String {
    match &upstream.base {
        UpstreamBase::Fixed(base) => {
            let scheme = if base.tls { "https" } else { "http" };
            format!("{scheme}://{}{}", base.authority, base.path)
        }
        UpstreamBase::Token(ApiBase::Url(url)) => url.as_str().to_owned(),
        UpstreamBase::Token(ApiBase::Response { from, append, .. }) => {
            format!("{{{from}}}{append}")
        }
    }
}
