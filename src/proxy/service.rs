//! The request path: admit → route → guard → token → forward → respond.

use std::{pin::Pin, rc::Rc};

use http::{Request, Response, request::Parts};
use hyper::{body::Incoming, service::Service, upgrade::OnUpgrade};
use thiserror::Error;

use super::{
    admission,
    api::RequestUuid,
    body::{Download, RequestBody, ResponseBody},
    client_connection::ClientConnection,
    error::ProxyError,
    exchange::Exchange,
    forward::{self, Outgoing},
    guard, inject, respond, response,
    upgrade::{self, Tunnel},
};
use crate::server::problem::ProblemKind;

/// The proxy, as one client connection uses it.
#[derive(Clone, Debug)]
pub struct Proxy {
    connection: Rc<ClientConnection>,
}

/// The client has disconnected; hyper closes its connection.
#[derive(Clone, Copy, Debug, Error)]
#[error("the client has disconnected")]
pub struct ClientGone;

impl Service<Request<Incoming>> for Proxy {
    type Response = Response<ResponseBody>;
    type Error = ClientGone;
    // Not `Send`: a worker is one thread.
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ClientGone>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Box::pin(self.clone().serve(request))
    }
}

impl Proxy {
    /// Makes the proxy of one client connection.
    pub fn new(connection: ClientConnection) -> Self {
        Self {
            connection: Rc::new(connection),
        }
    }

    async fn serve(self, request: Request<Incoming>) -> Result<Response<ResponseBody>, ClientGone> {
        let (mut parts, body) = request.into_parts();
        // Recorded in the log and the metrics when it is dropped: at the end of the response's body.
        let mut exchange = Exchange::start(&self.connection, &parts);
        match self.handle(&mut parts, body, &mut exchange).await {
            Ok(Outcome::Response(response)) => Ok(respond::upstream(response, exchange)),
            Ok(Outcome::Tunnel(tunnel)) => Ok(tunnel.start(&self.connection, exchange)),
            Err(ProxyError::Refused(refusal)) => {
                if refusal.kind == ProblemKind::ClientKeyRequired {
                    self.connection.listener.refused_keys.record();
                }
                Ok(respond::refusal(&refusal, &parts, exchange))
            }
            Err(ProxyError::ClientGone) => Err(ClientGone),
        }
    }

    async fn handle(
        &self,
        parts: &mut Parts,
        body: Incoming,
        exchange: &mut Exchange,
    ) -> Result<Outcome, ProxyError> {
        let ClientConnection {
            listener,
            limits,
            worker,
            state,
            ..
        } = &*self.connection;
        let on_upgrade = parts.extensions.remove::<OnUpgrade>();
        let parts = &*parts;
        if let Some(refused) = state.gate.next_request() {
            return Err(exchange.refuse_at_gate(refused).into());
        }
        let mut admitted = admission::admit(parts, limits)?;
        admitted.had_raw_path = state.gate.had_raw_path();
        let selected = listener.routes.load().select(&admitted)?;
        let active = &*selected.route;
        exchange.set_route(&selected.route);
        guard::check(active, parts, &admitted, selected.path.as_deref(), &body)?;

        exchange.wait_for_permit(&active.route).await?;
        exchange.trace().start_token_wait();
        let (access, cost) = inject::obtain(active, &worker.tokens).await?;
        exchange.set_token_cost(cost);
        let upgrade = upgrade::requested(parts, on_upgrade, &active.route, &body);
        let _switching = upgrade.as_ref().map(|_| state.switching());
        let mut outgoing = Outgoing {
            worker,
            active,
            parts,
            admitted: &admitted,
            body: RequestBody::new(body, parts, &active.route),
            access,
            uuid: RequestUuid::default(),
            cost,
            upgrade: upgrade.as_ref(),
        };
        let sent = forward::send(&mut outgoing, exchange).await?;
        exchange.set_token_cost(outgoing.cost);
        match upgrade {
            Some(asked) if sent.is_switch() => {
                Ok(Outcome::Tunnel(Tunnel::new(asked, sent, active)))
            }
            _ => Ok(Outcome::Response(response::for_client(sent, &outgoing))),
        }
    }
}

/// The outcome of a request.
enum Outcome {
    Response(Response<Download>),
    Tunnel(Tunnel),
}
