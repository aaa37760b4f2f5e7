//! The guard of a route: Host names, browsers, the client key, `allow` and the body's length.

use http::{
    HeaderMap,
    header::{HeaderName, ORIGIN},
    request::Parts,
};
use http_body::Body;

use super::{
    admission::Admitted,
    error::ProxyRefusal,
    hop::CLIENT_KEY,
    route::{Guard, Route},
    table::ActiveRoute,
};
use crate::server::problem::ProblemKind;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Checks a request against everything that its route demands of clients.
///
/// `decoded_path` is there when the route has a `path` or `allow`; `port` is the listener's own.
///
/// # Errors
/// `host-not-allowed`, `cross-site`, `client-key-required`, `not-allowed`, `body-too-large`.
pub fn check(
    active: &ActiveRoute,
    parts: &Parts,
    admitted: &Admitted<'_>,
    decoded_path: Option<&str>,
    body: &impl Body,
    port: Option<u16>,
) -> Result<(), ProxyRefusal> {
    let route = &active.route;
    check_host(&route.guard, admitted)?;
    check_browser(&route.guard, &parts.headers, admitted, port)?;
    check_key(&route.guard, &parts.headers)?;
    check_rules(route, parts.method.as_str(), decoded_path)?;
    match (body.size_hint().exact(), route.guard.max_body) {
        (Some(length), Some(limit)) if length > limit => Err(body_too_large()),
        _ => Ok(()),
    }
}

/// Whether `host` is one of `guard.hosts`, in any case.
pub fn is_allowed_host(guard: &Guard, host: &str) -> bool {
    guard
        .hosts
        .iter()
        .any(|allowed| allowed.eq_ignore_ascii_case(host))
}

fn check_host(guard: &Guard, admitted: &Admitted<'_>) -> Result<(), ProxyRefusal> {
    match admitted.host {
        // Only HTTP/1.0 may name none, and no browser speaks it.
        None => Ok(()),
        Some(host) if is_allowed_host(guard, host) => Ok(()),
        Some(_) => Err(host_not_allowed()),
    }
}

/// Makes the refusal of a Host that is not in `guard.hosts`.
pub fn host_not_allowed() -> ProxyRefusal {
    ProxyRefusal::new(
        ProblemKind::HostNotAllowed,
        "this Host is not one of `guard.hosts`",
    )
}

/// Refuses requests that a page of another site makes a browser send (Fetch Metadata; RFC 6454).
fn check_browser(
    guard: &Guard,
    headers: &HeaderMap,
    admitted: &Admitted<'_>,
    port: Option<u16>,
) -> Result<(), ProxyRefusal> {
    let is_other_site = |site: &[u8]| {
        site.eq_ignore_ascii_case(b"cross-site") || site.eq_ignore_ascii_case(b"same-site")
    };
    let is_cross_site = headers
        .get_all(SEC_FETCH_SITE)
        .iter()
        .any(|site| is_other_site(site.as_bytes()))
        || headers
            .get_all(ORIGIN)
            .iter()
            .any(|origin| !is_own_origin(guard, origin.as_bytes(), admitted.port, port));
    match is_cross_site {
        false => Ok(()),
        true => Err(ProxyRefusal::new(
            ProblemKind::CrossSite,
            "a browser's request from another site",
        )),
    }
}

/// Whether `origin` is this listener: its scheme, one of its names, its port.
fn is_own_origin(guard: &Guard, origin: &[u8], asked_port: Option<u16>, port: Option<u16>) -> bool {
    let Some(authority) = std::str::from_utf8(origin)
        .ok()
        .and_then(|origin| origin.strip_prefix("http://"))
    else {
        return false;
    };
    let end = match authority.starts_with('[') {
        true => authority.find(']').map_or(0, |at| at + 1),
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(end);
    let origin_port = match rest.strip_prefix(':') {
        None if rest.is_empty() => Some(80),
        Some(digits) => digits.parse().ok(),
        None => None,
    };
    let own = [Some(asked_port.unwrap_or(80)), port];
    is_allowed_host(guard, host) && origin_port.is_some() && own.contains(&origin_port)
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

/// Makes the refusal of a body above `guard.max_body`.
pub fn body_too_large() -> ProxyRefusal {
    ProxyRefusal::new(
        ProblemKind::BodyTooLarge,
        "the body is larger than the route's `guard.max_body`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        Guard {
            hosts: vec!["localhost".into(), "[::1]".into()],
            client_key: None,
            max_body: None,
        }
    }

    #[test]
    fn an_origin_is_own_with_the_scheme_a_name_and_the_port_of_the_listener() {
        let own = |origin: &str| is_own_origin(&guard(), origin.as_bytes(), Some(8080), Some(8080));
        assert!(own("http://localhost:8080"));
        assert!(own("http://LOCALHOST:8080"));
        assert!(own("http://[::1]:8080"));
        for origin in [
            "null",
            "",
            "http://localhost",
            "http://localhost:3000",
            "https://localhost:8080",
            "http://evil:8080",
            "http://localhost:8080.evil",
            "http://[::1",
            "http://",
        ] {
            assert!(!own(origin), "{origin}");
        }
    }

    #[test]
    fn behind_a_port_mapping_the_asked_port_counts() {
        assert!(is_own_origin(
            &guard(),
            b"http://localhost",
            None,
            Some(8080)
        ));
        assert!(is_own_origin(
            &guard(),
            b"http://localhost:9000",
            Some(9000),
            Some(8080)
        ));
    }
}
