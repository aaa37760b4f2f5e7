//! The guard of a route: Host and origin, the client key, `allow` and the body's length.

use http::{HeaderMap, request::Parts};
use http_body::Body;

use super::{
    admission::Admitted,
    error::ProxyRefusal,
    hop::CLIENT_KEY,
    route::{Guard, Route},
    table::ActiveRoute,
};
use crate::server::{
    origin_guard::OriginGuard, problem::ProblemKind, requested_host::RequestedHost,
};

/// Checks a request against everything that its route demands of clients.
///
/// `decoded_path` is there when the route has a `path` or `allow`.
///
/// # Errors
/// `host-not-allowed`, `cross-site`, `client-key-required`, `not-allowed`, `body-too-large`.
pub fn check(
    active: &ActiveRoute,
    parts: &Parts,
    admitted: &Admitted<'_>,
    decoded_path: Option<&str>,
    body: &impl Body,
) -> Result<(), ProxyRefusal> {
    let route = &active.route;
    check_origin(&active.origin_guard, &parts.headers, admitted)?;
    check_key(&route.guard, &parts.headers)?;
    check_rules(route, parts.method.as_str(), decoded_path)?;
    match (body.size_hint().exact(), route.guard.max_body) {
        (Some(length), Some(limit)) if length > limit => Err(ProxyRefusal::body_too_large()),
        _ => Ok(()),
    }
}

fn check_origin(
    guard: &OriginGuard,
    headers: &HeaderMap,
    admitted: &Admitted<'_>,
) -> Result<(), ProxyRefusal> {
    // Only HTTP/1.0 may name no host, and no browser speaks it.
    let requested = admitted.host.map(|name| RequestedHost {
        name,
        port: admitted.port,
    });
    if let Some(host) = requested
        && !guard.accepts_host(host.name)
    {
        return Err(ProxyRefusal::host_not_allowed(
            host.name,
            guard.accepted_names(),
        ));
    }
    if guard.is_cross_site(headers, requested) {
        return Err(ProxyRefusal::new(
            ProblemKind::CrossSite,
            "a browser's request from another site",
        ));
    }
    Ok(())
}

fn check_key(guard: &Guard, headers: &HeaderMap) -> Result<(), ProxyRefusal> {
    let Some(key) = &guard.client_key else {
        return Ok(());
    };
    let mut given = headers.get_all(CLIENT_KEY).iter();
    match (given.next(), given.next()) {
        (Some(given), None) if key.current().matches(given.as_bytes()) => Ok(()),
        _ => Err(ProxyRefusal::new(
            ProblemKind::ClientKeyRequired,
            "this route needs its client key in x-bearward-key",
        )),
    }
}

fn check_rules(
    route: &Route,
    method: &str,
    decoded_path: Option<&str>,
) -> Result<(), ProxyRefusal> {
    let Some(rules) = &route.allow else {
        return Ok(());
    };
    let path = decoded_path.unwrap_or_default();
    match rules.iter().any(|rule| rule.permits(method, path)) {
        true => Ok(()),
        false => Err(ProxyRefusal::new(
            ProblemKind::NotAllowed,
            "this method and path are not in the route's `allow`",
        )),
    }
}
