//! Who may pass: the Host that is asked for, browsers, the client key, and what `allow` says.

use super::{
    admission::Admitted,
    error::{Kind, Refusal},
    route::{Guard, Route},
};
use crate::http1::{field::Known, head::Head};

/// Checks a request against everything that its route demands of callers.
///
/// # Errors
/// `host-not-allowed`, `cross-site`, `client-key-required`, `not-allowed`, `body-too-large`.
pub fn check(
    route: &Route,
    head: &Head,
    admitted: &Admitted,
    decoded_path: Option<&str>,
    port: Option<u16>,
) -> Result<(), Refusal> {
    check_host(&route.guard, head, admitted)?;
    check_browser(&route.guard, head, admitted, port)?;
    check_key(&route.guard, head)?;
    check_rules(route, head, decoded_path)?;
    check_length(&route.guard, admitted)
}

/// Whether `host` is one of the names that the guard accepts.
pub fn knows(guard: &Guard, host: &[u8]) -> bool {
    guard
        .hosts
        .iter()
        .any(|known| known.as_bytes().eq_ignore_ascii_case(host))
}

fn check_host(guard: &Guard, head: &Head, admitted: &Admitted) -> Result<(), Refusal> {
    match admitted.host {
        // Only HTTP/1.0 may name none, which no browser speaks.
        None => Ok(()),
        Some(host) if knows(guard, head.bytes(host)) => Ok(()),
        Some(_) => Err(host_not_allowed()),
    }
}

/// The refusal of a Host that nobody here knows.
pub fn host_not_allowed() -> Refusal {
    Refusal::new(
        Kind::HostNotAllowed,
        "this Host is not one of `guard.hosts`",
    )
}

/// A page of another site makes a browser call us, and the browser says so (Fetch Metadata; RFC 6454).
fn check_browser(
    guard: &Guard,
    head: &Head,
    admitted: &Admitted,
    port: Option<u16>,
) -> Result<(), Refusal> {
    for field in head.fields() {
        let foreign = match field.known {
            Known::SecFetchSite => {
                let site = head.bytes(field.value);
                site.eq_ignore_ascii_case(b"cross-site") || site.eq_ignore_ascii_case(b"same-site")
            }
            Known::Origin => !is_own_origin(guard, head.bytes(field.value), admitted.port, port),
            _ => false,
        };
        if foreign {
            return Err(Refusal::new(
                Kind::CrossSite,
                "a browser's request from another site",
            ));
        }
    }
    Ok(())
}

/// Whether `origin` is a page that this very listener served: its scheme, one of its names, its port.
fn is_own_origin(guard: &Guard, origin: &[u8], asked_port: Option<u16>, port: Option<u16>) -> bool {
    let Some(authority) = origin.strip_prefix(b"http://") else {
        return false;
    };
    let end = if authority.starts_with(b"[") {
        authority
            .iter()
            .position(|byte| *byte == b']')
            .map_or(0, |at| at + 1)
    } else {
        authority
            .iter()
            .position(|byte| *byte == b':')
            .unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at(end);
    let origin_port = match rest {
        [] => Some(80),
        [b':', digits @ ..] => std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok()),
        _ => None,
    };
    let ours = [Some(asked_port.unwrap_or(80)), port];
    knows(guard, host) && origin_port.is_some() && ours.contains(&origin_port)
}

fn check_key(guard: &Guard, head: &Head) -> Result<(), Refusal> {
    let Some(key) = &guard.client_key else {
        return Ok(());
    };
    let mut given = head.values(Known::BearwardKey);
    match (given.next(), given.next()) {
        (Some(given), None) if key.current().matches(given) => Ok(()),
        _ => Err(Refusal::new(
            Kind::ClientKeyRequired,
            "this route wants its client key in x-bearward-key",
        )),
    }
}

fn check_rules(route: &Route, head: &Head, decoded_path: Option<&str>) -> Result<(), Refusal> {
    let Some(rules) = &route.allow else {
        return Ok(());
    };
    let method = std::str::from_utf8(head.method()).unwrap_or_default();
    let path = decoded_path.unwrap_or_default();
    if rules.iter().any(|rule| rule.permits(method, path)) {
        Ok(())
    } else {
        Err(Refusal::new(
            Kind::NotAllowed,
            "this method and path are not in the route's `allow`",
        ))
    }
}

fn check_length(guard: &Guard, admitted: &Admitted) -> Result<(), Refusal> {
    use crate::http1::framing::Framing;
    match (admitted.framing, guard.max_body) {
        (Framing::Length(length), Some(limit)) if length > limit => Err(body_too_large()),
        _ => Ok(()),
    }
}

/// The refusal of a body that is longer than `guard.max_body`.
pub fn body_too_large() -> Refusal {
    Refusal::new(
        Kind::BodyTooLarge,
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
