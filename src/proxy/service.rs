//! A request's way to its upstream, whichever HTTP it came by: admit → route → guard → token.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;

use super::{
    admission::{self, Admitted},
    error::Refusal,
    guard,
    table::{ActiveRoute, Table},
};
use crate::{
    http1::head::{Head, HeadLimits, MOST_FIELDS},
    server::limits::Limits,
    telemetry::{
        access_log::{self, AccessEntry, TokenCost},
        metrics::{Gauge, RouteMetrics},
    },
    token::credential::Token,
};

/// What all connections of one listener share.
#[derive(Debug)]
pub struct Ingress {
    /// The port it listens on; a Unix socket has none.
    pub port: Option<u16>,
    /// The bounds of its connections.
    pub limits: Limits,
    /// Its routes, as they are now.
    pub table: ArcSwap<Table>,
    /// Its connections, counted.
    pub connections: Arc<Gauge>,
    /// Counts what no route answers.
    pub unrouted: Arc<RouteMetrics>,
}

impl Ingress {
    /// The bounds of a head.
    pub fn head_limits(&self) -> HeadLimits {
        HeadLimits {
            bytes: self.limits.head_bytes,
            fields: self.limits.head_fields.min(MOST_FIELDS),
        }
    }
}

/// A request that may go upstream, and the token that goes with it.
#[derive(Debug)]
pub struct Prepared {
    /// What admission found.
    pub admitted: Admitted,
    /// The route it takes.
    pub active: Arc<ActiveRoute>,
    /// The token that the route demands; it is there whenever one is demanded.
    pub token: Option<Token>,
    /// What the token cost.
    pub cost: TokenCost,
}

/// A request that may not.
#[derive(Debug)]
pub struct Rejected {
    /// Why.
    pub refusal: Refusal,
    /// The route, if it came that far.
    pub active: Option<Arc<ActiveRoute>>,
}

/// Takes a request through everything that comes before forwarding. Nothing is sent upstream by it.
///
/// # Errors
/// Any refusal that is not the upstream's fault.
pub async fn prepare(ingress: &Ingress, head: &Head) -> Result<Prepared, Rejected> {
    let unrouted = |refusal| Rejected {
        refusal,
        active: None,
    };
    let admitted = admission::admit(head, &ingress.limits).map_err(unrouted)?;
    let selected = ingress
        .table
        .load()
        .select(head, &admitted)
        .map_err(unrouted)?;
    let active = selected.route;
    if let Err(refusal) = guard::check(
        &active.route,
        head,
        &admitted,
        selected.path.as_deref(),
        ingress.port,
    ) {
        return Err(Rejected {
            refusal,
            active: Some(active),
        });
    }
    match token(&active).await {
        Ok((token, cost)) => Ok(Prepared {
            admitted,
            active,
            token,
            cost,
        }),
        Err(refusal) => Err(Rejected {
            refusal,
            active: Some(active),
        }),
    }
}

/// The token that the route demands, waited for if need be.
async fn token(active: &ActiveRoute) -> Result<(Option<Token>, TokenCost), Refusal> {
    let Some(credential) = &active.credential else {
        return Ok((None, TokenCost::Unneeded));
    };
    if let Some(token) = credential.current() {
        return Ok((Some(token), TokenCost::Cached));
    }
    let asked = Instant::now();
    match credential.obtain().await {
        Ok(token) => Ok((Some(token), TokenCost::Waited(asked.elapsed()))),
        Err(reason) => Err(Refusal::no_token(
            &reason,
            credential.name(),
            &active.way_to_log_in,
        )),
    }
}

/// Counts a request that is over, and writes its line to the log.
pub fn tell(
    ingress: &Ingress,
    head: &Head,
    active: Option<&ActiveRoute>,
    status: u16,
    bytes: u64,
    elapsed: Duration,
    token: TokenCost,
) {
    active
        .map_or(&ingress.unrouted, |active| &active.metrics)
        .record(status, elapsed);
    if !access_log::enabled() {
        return;
    }
    let path = admission::path_alone(head.target());
    access_log::log(&AccessEntry {
        route: active.map(|active| &*active.route.name),
        method: &String::from_utf8_lossy(head.method()),
        path: &String::from_utf8_lossy(path),
        status,
        bytes,
        elapsed,
        token,
    });
}
