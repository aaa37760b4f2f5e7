//! The admin listener in service: HTTP/1.1, on the control thread.

use std::{io, sync::Arc};

use hyper_util::{rt::TokioExecutor, service::TowerToHyperService};

use super::{router, state::AdminState};
use crate::server::{listener::Bound, listening::Listening, serve::Server};

/// Serves the admin endpoints at a bound socket, until the handle is drained or dropped.
///
/// # Errors
/// No descriptor is left.
pub fn serve(bound: Bound, state: Arc<AdminState>) -> io::Result<Listening> {
    let server = Server::new(TokioExecutor::new(), *state.limits());
    let service = TowerToHyperService::new(router(state));
    Listening::start(bound, server.http1_only().with_date(), service)
}
