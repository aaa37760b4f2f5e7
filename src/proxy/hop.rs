//! Header fields that end at this hop (RFC 9110 §7.6.1), and those that a client may not bring.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, TE, UPGRADE},
};

use super::route::Route;

/// The header that carries a route's client key.
pub const CLIENT_KEY: HeaderName = HeaderName::from_static("x-bearward-key");

/// Whether a field of this name ends at each hop, whatever `Connection` says.
///
/// Framing (`Content-Length`, `Transfer-Encoding`) is not among them.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    match name.as_str() {
        "connection"
        | "keep-alive"
        | "proxy-authenticate"
        | "proxy-authentication-info"
        | "proxy-connection"
        | "te"
        | "upgrade" => true,
        other => {
            is_same_name(other, "proxy-authorization") || is_same_name(other, CLIENT_KEY.as_str())
        }
    }
}

/// Whether two names are the same to a server that reads `_` as `-`, as CGI does.
pub fn is_same_name(left: &str, right: &str) -> bool {
    let fold = |byte: u8| match byte {
        b'_' => b'-',
        byte => byte.to_ascii_lowercase(),
    };
    left.len() == right.len()
        && left
            .bytes()
            .zip(right.bytes())
            .all(|(left, right)| fold(left) == fold(right))
}

/// The members of a comma-separated list in all fields of `name`, empty ones left out.
pub fn list_members<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> {
    let fields = headers.get_all(name).iter();
    fields
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// Whether `Connection` has this option, in any case.
pub fn has_connection_option(headers: &HeaderMap, option: &str) -> bool {
    list_members(headers, &CONNECTION).any(|named| named.eq_ignore_ascii_case(option.as_bytes()))
}

/// Whether the sender of these headers takes trailers (RFC 9110 §10.1.4).
pub fn takes_trailers(headers: &HeaderMap) -> bool {
    list_members(headers, &TE).any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}

/// The protocols in `Upgrade`, when `Connection` marks them as meant for this hop.
pub fn upgrade_protocols(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let is_meant = headers.contains_key(UPGRADE) && has_connection_option(headers, "upgrade");
    list_members(headers, &UPGRADE).filter(move |_| is_meant)
}

/// The names that `Connection` nominates to end at this hop.
#[derive(Clone, Debug, Default)]
pub struct NominatedNames(Vec<HeaderName>);

impl NominatedNames {
    /// Reads them from `Connection`. Allocates nothing when there are none, as is usual.
    pub fn new(headers: &HeaderMap) -> Self {
        let names = list_members(headers, &CONNECTION)
            .filter(|option| {
                !option.eq_ignore_ascii_case(b"close")
                    && !option.eq_ignore_ascii_case(b"keep-alive")
            })
            .filter_map(|option| HeaderName::from_bytes(option).ok());
        Self(names.collect())
    }

    /// Whether `name` is nominated.
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.0.contains(name)
    }
}

/// The names that carry a route's credentials, or a field of `[api]`: a client's fields of these names never pass.
///
/// `Authorization` is always among them where a token is demanded: an API may prefer it to the place of the token.
#[derive(Clone, Copy, Debug)]
pub struct CredentialNames<'a> {
    injected: Option<&'a str>,
    is_demanded: bool,
    route: &'a Route,
}

impl<'a> CredentialNames<'a> {
    /// The names of `route`.
    pub fn new(route: &'a Route) -> Self {
        Self {
            injected: route.injected_header().map(HeaderName::as_str),
            is_demanded: route.provider.is_some(),
            route,
        }
    }

    /// Whether `name` is one of them, in any spelling.
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.is_demanded
            && (is_same_name(name.as_str(), "authorization")
                || self
                    .injected
                    .is_some_and(|injected| is_same_name(name.as_str(), injected))
                || self
                    .route
                    .api_headers()
                    .any(|replaced| is_same_name(name.as_str(), replaced.as_str())))
    }
}

/// Whether a field may stand in a trailer section (RFC 9110 §6.5.1): it neither frames, routes nor authenticates.
pub fn may_trail(name: &HeaderName) -> bool {
    const NEVER: [&str; 16] = [
        "alt-svc",
        "authorization",
        "content-encoding",
        "content-length",
        "content-location",
        "content-range",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "location",
        "origin",
        "set-cookie",
        "trailer",
        "transfer-encoding",
        "www-authenticate",
    ];
    const ROUTING: &str = "x-forwarded-";
    !is_hop_by_hop(name)
        && !NEVER.iter().any(|never| is_same_name(name.as_str(), never))
        && !name
            .as_str()
            .get(..ROUTING.len())
            .is_some_and(|start| is_same_name(start, ROUTING))
}

/// Keeps the fields that `keep` accepts, in their order.
///
/// `HeaderMap::remove` moves the last field into the gap, so the map is rebuilt unless that field is the only one to go,
/// as `Connection` often is.
pub fn retain(headers: &mut HeaderMap, keep: impl Fn(&HeaderName, &HeaderValue) -> bool) {
    let mut dropped = headers
        .iter()
        .enumerate()
        .filter(|(_, (name, value))| !keep(name, value));
    match (dropped.next(), dropped.next()) {
        (None, _) => {}
        (Some((index, (name, _))), None) if index + 1 == headers.len() => {
            let name = name.clone();
            // Only when none of its other values stays.
            if headers.get_all(&name).iter().count() == 1 {
                headers.remove(name);
            } else {
                rebuild(headers, keep);
            }
        }
        _ => rebuild(headers, keep),
    }
}

fn rebuild(headers: &mut HeaderMap, keep: impl Fn(&HeaderName, &HeaderValue) -> bool) {
    let mut kept = HeaderMap::with_capacity(headers.capacity());
    let mut current = None;
    for (name, value) in headers.drain() {
        // A repeated field comes with its name once.
        current = name.or(current);
        if let Some(name) = &current
            && keep(name, &value)
        {
            kept.append(name.clone(), value);
        }
    }
    *headers = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        map
    }

    #[test]
    fn underscores_do_not_hide_a_name() {
        assert!(is_same_name("X_API_KEY", "x-api-key"));
        assert!(!is_same_name("x-api-key2", "x-api-key"));
        assert!(is_hop_by_hop(&HeaderName::from_static(
            "proxy_authorization"
        )));
        assert!(is_hop_by_hop(&HeaderName::from_static("x_bearward-key")));
        assert!(!is_hop_by_hop(&HeaderName::from_static("x-request-id")));
    }

    #[test]
    fn connection_nominates_fields_in_lists_and_lines() {
        let headers = headers(&[("connection", "close, X-A"), ("connection", ", x-b ,")]);
        let nominated = NominatedNames::new(&headers);
        assert!(nominated.contains(&HeaderName::from_static("x-a")));
        assert!(nominated.contains(&HeaderName::from_static("x-b")));
        assert!(!nominated.contains(&HeaderName::from_static("close")));
    }

    #[test]
    fn the_order_of_what_stays_is_kept() {
        let mut map = headers(&[("a", "1"), ("b", "2"), ("c", "3"), ("a", "4"), ("d", "5")]);
        retain(&mut map, |name, _| name != "b");
        let left: Vec<_> = map
            .iter()
            .map(|(name, value)| format!("{name}{}", value.to_str().unwrap()))
            .collect();
        assert_eq!(left, ["a1", "a4", "c3", "d5"]);
    }

    #[test]
    fn the_last_field_goes_alone_and_with_its_like() {
        let mut map = headers(&[("a", "1"), ("b", "2"), ("c", "3")]);
        retain(&mut map, |name, _| name != "c");
        assert_eq!(map.keys().collect::<Vec<_>>(), ["a", "b"]);
        let mut map = headers(&[("a", "1"), ("b", "2"), ("b", "3")]);
        retain(&mut map, |_, value| value != "3");
        assert_eq!(map.get_all("b").iter().collect::<Vec<_>>(), ["2"]);
        retain(&mut map, |name, _| name != "b");
        assert_eq!(map.len(), 1);
    }

    #[test]
    fn trailers_neither_frame_route_nor_authenticate() {
        for name in [
            "content-length",
            "x_forwarded_for",
            "authorization",
            "te",
            "host",
        ] {
            assert!(!may_trail(&HeaderName::from_static(name)), "{name}");
        }
        assert!(may_trail(&HeaderName::from_static("grpc-status")));
    }
}
