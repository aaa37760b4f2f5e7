//! Sends an admitted request: one attempt, the one safe retry, and the replay with a renewed token.

use std::{
    future::poll_fn,
    pin::pin,
    rc::Rc,
    task::{Poll, ready},
};

use http::{Request, Response, StatusCode, Version, request::Parts};
use hyper::body::Incoming;
use tokio::{task::yield_now, time::Instant};

use super::{
    admission::Admitted,
    api::RequestUuid,
    body::{Peeked, RequestBody, UploadFault},
    error::{ProxyError, ProxyRefusal},
    exchange::Exchange,
    inject::{self, Access},
    reauthorize, request, response,
    route::Timeouts,
    table::ActiveRoute,
    upgrade::{self, UpgradeRequest},
    upstream::{Checkout, SendError},
    worker::Worker,
};
use crate::{
    server::{problem::ProblemKind, timer::Timer},
    telemetry::access_log::TokenCost,
};

/// A request that may go upstream.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// The worker whose connections it uses.
    pub worker: &'a Rc<Worker>,
    /// The route it takes.
    pub active: &'a ActiveRoute,
    /// The client's head.
    pub parts: &'a Parts,
    /// The result of admission.
    pub admitted: &'a Admitted<'a>,
    /// The client's body.
    pub body: RequestBody,
    /// The upstream, and the token that the route demands.
    pub access: Access,
    /// The `{uuid}` of the request.
    pub uuid: RequestUuid,
    /// The cost of the token.
    pub cost: TokenCost,
    /// The client's wish to switch protocols.
    pub upgrade: Option<&'a UpgradeRequest>,
}

/// The head of the upstream's response, and the connection that its body comes by.
#[derive(Debug)]
pub struct Sent {
    /// The response.
    pub response: Response<Incoming>,
    /// The beginning of its body, if it was read.
    pub peeked: Peeked,
    /// The connection.
    pub checkout: Checkout,
}

impl Sent {
    /// Whether the upstream switches protocols.
    pub fn is_switch(&self) -> bool {
        self.response.status() == StatusCode::SWITCHING_PROTOCOLS
    }
}

/// Sends a request, and waits for the head of the response.
///
/// # Errors
/// `upstream-…`, `request-timeout`, `body-too-large`, `bad-request`, the token's refusals; the client disconnected.
pub async fn send(
    outgoing: &mut Outgoing<'_>,
    exchange: &mut Exchange,
) -> Result<Sent, ProxyError> {
    exchange.trace().start_send();
    let mut checkout = match outgoing.worker.pool.checkout(outgoing.access.upstream()) {
        Some(checkout) => checkout,
        None => connect(outgoing).await?,
    };
    let mut is_retry = false;
    loop {
        let mut request = upstream_request(outgoing, &checkout)?;
        let upstream = outgoing.access.upstream();
        let (scheme, authority) = (upstream.scheme(), upstream.authority());
        let trace = exchange.trace();
        trace.write_context(&mut request, scheme, authority);
        match attempt(outgoing, &mut checkout, request, exchange.timer()).await {
            Ok(mut response) => {
                exchange.trace().end_send(response.status().as_u16());
                response::check(&response, outgoing.access.upstream().limits())?;
                upgrade::check(&response, outgoing.upgrade)?;
                let peeked = reauthorize::peek(outgoing, &mut response, &mut checkout).await;
                exchange.trace().start_token_wait();
                let replay = reauthorize::access_for_replay(outgoing, &response, &peeked).await;
                exchange.trace().end_token_wait(replay.is_some());
                if let Some(fault) = outgoing.body.fault() {
                    return Err(upload_failed(fault));
                }
                match replay {
                    None => {
                        return Ok(Sent {
                            response,
                            peeked,
                            checkout,
                        });
                    }
                    Some(access) => {
                        outgoing.access = access;
                        outgoing.cost = TokenCost::Replayed;
                    }
                }
            }
            Err(AttemptError::Send(failed))
                if !is_retry && may_retry(outgoing, &checkout, &failed) =>
            {
                tracing::debug!(
                    route = &*outgoing.active.route.name,
                    "the connection was dead; retrying once"
                );
                exchange.trace().fail_send("connection_terminated");
                is_retry = true;
            }
            Err(failed) => return Err(failed.into_proxy_error(&outgoing.body)),
        }
        // The broken or refused attempt ends with its connection.
        drop(checkout);
        exchange.trace().start_send();
        checkout = connect(outgoing).await?;
    }
}

/// Opens a connection. A token that expires meanwhile is replaced, and with it its upstream.
async fn connect(outgoing: &mut Outgoing<'_>) -> Result<Checkout, ProxyRefusal> {
    let Outgoing { active, worker, .. } = *outgoing;
    let bound = active.route.timeouts.connect;
    // A reset that came with the request ends it here: a flood of such requests must not become one of connections.
    yield_now().await;
    loop {
        let upstream = outgoing.access.upstream().clone();
        // Boxed: a request's future would hold the room for a TLS handshake as long as it lives.
        let checkout = Box::pin(upstream.connect(&worker.pool, bound)).await?;
        if let (Some(credential), Some(sent)) = (&active.credential, outgoing.access.token())
            && !credential.is_usable(&sent.token)
        {
            (outgoing.access, _) = inject::obtain(active, &worker.tokens).await?;
        }
        if outgoing.access.upstream().id() == upstream.id() {
            return Ok(checkout);
        }
    }
}

fn upstream_request(
    outgoing: &Outgoing<'_>,
    checkout: &Checkout,
) -> Result<Request<RequestBody>, ProxyRefusal> {
    let parts = request::for_upstream(outgoing, checkout.version())?;
    Ok(Request::from_parts(parts, outgoing.body.clone()))
}

/// Sends the request once, within the route's timeouts.
async fn attempt(
    outgoing: &Outgoing<'_>,
    checkout: &mut Checkout,
    request: Request<RequestBody>,
    timer: &mut Option<Timer>,
) -> Result<Response<Incoming>, AttemptError> {
    let (body, timeouts) = (&outgoing.body, &outgoing.active.route.timeouts);
    let started = Instant::now();
    let has_own_task = checkout.version() == Version::HTTP_2;
    let mut sending = pin!(checkout.send(request));
    poll_fn(|cx| {
        if let Poll::Ready(sent) = sending.as_mut().poll(cx) {
            return Poll::Ready(sent.map_err(AttemptError::Send));
        }
        if has_own_task {
            body.watch_end(cx);
        }
        loop {
            let deadline = deadline(body, timeouts, started);
            let timer = timer.get_or_insert_with(|| Timer::new(deadline));
            timer.set(deadline);
            ready!(timer.poll_elapsed(cx));
            if Instant::now() >= self::deadline(body, timeouts, started) {
                return Poll::Ready(Err(AttemptError::Timeout));
            }
        }
    })
    .await
}

/// When the attempt has taken too long: `timeouts.idle` after the body last moved, `timeouts.response` after its end.
fn deadline(body: &RequestBody, timeouts: &Timeouts, started: Instant) -> Instant {
    let moved_at = body.moved_at().map_or(started, |at| at.max(started));
    match body.is_received() {
        true => moved_at + timeouts.response,
        false => moved_at + timeouts.idle,
    }
}

/// Whether the request may be sent again: nothing can happen twice (RFC 9110 §9.2.2).
fn may_retry(outgoing: &Outgoing<'_>, checkout: &Checkout, failed: &SendError) -> bool {
    let body = &outgoing.body;
    if body.fault().is_some() || !body.can_be_replayed() {
        return false;
    }
    failed.is_unsent
        || (checkout.is_reused() && !failed.has_received && outgoing.parts.method.is_idempotent())
}

/// Why an attempt got no response.
enum AttemptError {
    Send(SendError),
    Timeout,
}

impl AttemptError {
    fn into_proxy_error(self, body: &RequestBody) -> ProxyError {
        match (body.fault(), self) {
            (Some(fault), _) => upload_failed(fault),
            (None, Self::Timeout) if body.is_waiting_for_client() => {
                upload_failed(UploadFault::Stalled)
            }
            (None, Self::Timeout) => ProxyRefusal::new(
                ProblemKind::UpstreamTimeout,
                "the upstream did not respond within `timeouts.response`",
            )
            .into(),
            (None, Self::Send(failed)) => upstream_failed(&failed).into(),
        }
    }
}

fn upload_failed(fault: UploadFault) -> ProxyError {
    match fault {
        UploadFault::Disconnected => ProxyError::ClientGone,
        UploadFault::Malformed => ProxyRefusal::bad_request("a malformed body").into(),
        UploadFault::TooLarge => ProxyRefusal::body_too_large().into(),
        UploadFault::Stalled => ProxyRefusal::new(
            ProblemKind::RequestTimeout,
            "no byte of the body came for `timeouts.idle`",
        )
        .into(),
    }
}

fn upstream_failed(failed: &SendError) -> ProxyRefusal {
    tracing::debug!(error = %failed.error, "the upstream did not respond");
    if failed.error.is_parse_too_large() {
        return response::head_too_large();
    }
    let (detail, word) = if failed.error.is_parse() {
        ("the upstream sent a malformed head", "http_protocol_error")
    } else if failed.has_received {
        ("the upstream broke the request off", "http_protocol_error")
    } else {
        (
            "the upstream closed the connection without a response",
            "connection_terminated",
        )
    };
    ProxyRefusal::new(ProblemKind::UpstreamProtocol, detail).with_proxy_error(word)
}
