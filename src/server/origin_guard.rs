//! The Host and same-origin checks of every listener: which names it accepts, and which pages may call it. Pure.
//!
//! Any page in a browser on this machine can send requests to loopback. The accepted Host names defeat DNS rebinding;
//! Fetch Metadata and `Origin` tell a request of another site's page.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};

use super::{address::ListenAddress, referer, requested_host::RequestedHost};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// The names by which every listener may be asked, in the form of a `Host`.
const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The port of `http`, which an origin and a `Host` leave out.
const HTTP_PORT: u16 = 80;

/// The port of `https`, which an origin and a `Host` leave out.
const HTTPS_PORT: u16 = 443;

/// A listener as its clients address it: over plain HTTP, by its accepted names, at its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginGuard {
    hosts: AcceptedHosts,
    /// Names of a proxy in front of the listener, which may speak TLS.
    published: Vec<String>,
    port: Option<u16>,
    rule: CrossSiteRule,
}

/// The Host names that a listener accepts, without ports, IPv6 addresses in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
enum AcceptedHosts {
    /// These names; case is ignored.
    Names(Vec<String>),
    /// The loopback names and the literal addresses of this listener, which DNS cannot rebind.
    Addresses(ListenAddress),
}

/// The requests that count as another site's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrossSiteRule {
    /// `Sec-Fetch-Site` is `cross-site` or `same-site`, or `Origin` is not the listener's. For listeners whose
    /// clients are programs: an unknown `Sec-Fetch-Site` passes.
    RefuseForeign,
    /// `Sec-Fetch-Site` is anything but `same-origin` or `none`, or `Origin` differs from the requested Host. For
    /// listeners that serve pages of their own.
    RequireSameOrigin,
}

impl OriginGuard {
    /// The guard of a listener at `port` that accepts exactly these Host names.
    pub fn with_names(names: Vec<String>, port: Option<u16>) -> Self {
        Self {
            hosts: AcceptedHosts::Names(names),
            published: Vec::new(),
            port,
            rule: CrossSiteRule::RefuseForeign,
        }
    }

    /// The guard of the listener at `address`, which accepts the loopback names and its own literal addresses.
    pub fn for_address(address: &ListenAddress) -> Self {
        Self {
            hosts: AcceptedHosts::Addresses(address.clone()),
            published: Vec::new(),
            port: address.port(),
            rule: CrossSiteRule::RefuseForeign,
        }
    }

    /// Replaces the rule, which is [`CrossSiteRule::RefuseForeign`] at first.
    pub fn with_rule(self, rule: CrossSiteRule) -> Self {
        Self { rule, ..self }
    }

    /// Accepts the names under which a proxy, an ingress for instance, publishes the listener.
    pub fn with_published_names(self, published: Vec<String>) -> Self {
        Self { published, ..self }
    }

    /// Whether `name`, without a port, is a Host that the listener accepts.
    pub fn accepts_host(&self, name: &str) -> bool {
        if contains_name(&self.published, name) {
            return true;
        }
        match &self.hosts {
            AcceptedHosts::Names(names) => contains_name(names, name),
            AcceptedHosts::Addresses(address) => {
                LOOPBACK_NAMES
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(name))
                    || is_own_address(name, address)
            }
        }
    }

    /// The names that the listener accepts, for messages. Its literal addresses come beside them.
    pub fn accepted_names(&self) -> impl Iterator<Item = &str> {
        let published = self.published.iter().map(String::as_str);
        let (names, loopback) = match &self.hosts {
            AcceptedHosts::Names(names) => (names.as_slice(), [].as_slice()),
            AcceptedHosts::Addresses(_) => ([].as_slice(), LOOPBACK_NAMES.as_slice()),
        };
        let names = names.iter().map(String::as_str);
        names.chain(loopback.iter().copied()).chain(published)
    }

    /// Whether a page of another site makes the request (Fetch Metadata; RFC 6454 §7).
    ///
    /// A request with none of `Sec-Fetch-Site`, `Origin` and a foreign `Referer` passes: a program sent it, or an old
    /// browser a navigation.
    pub fn is_cross_site(&self, headers: &HeaderMap, requested: Option<RequestedHost<'_>>) -> bool {
        match self.rule {
            // In one pass, since every request of the proxy comes here.
            CrossSiteRule::RefuseForeign => headers.iter().any(|(name, value)| {
                let value = value.as_bytes();
                (*name == SEC_FETCH_SITE && is_foreign_site(value))
                    || (*name == header::ORIGIN && !self.is_own_origin(value, requested))
                    || (*name == header::REFERER
                        && referer::is_telling(headers, requested)
                        && referer::origin_of(value)
                            .is_some_and(|origin| !self.is_own_origin(origin, requested)))
            }),
            CrossSiteRule::RequireSameOrigin => {
                let referers = headers.get_all(header::REFERER).iter();
                let mut referers =
                    referers.filter_map(|referer| referer::origin_of(referer.as_bytes()));
                if referer::is_telling(headers, requested)
                    && referers.any(|origin| !self.is_origin_of(origin, requested))
                {
                    return true;
                }
                let mut origins = headers.get_all(header::ORIGIN).iter();
                let sites = headers.get_all(SEC_FETCH_SITE).iter();
                let mut sites = sites.map(|site| site.as_bytes());
                let is_same_origin = match (sites.next(), sites.next()) {
                    (None, _) | (Some(b"none"), None) => false,
                    (Some(b"same-origin"), None) => true,
                    _ => return true,
                };
                origins.any(|origin| match origin.as_bytes() {
                    // The origin of a form on a page without referrers; the browser vouches for it.
                    b"null" => !is_same_origin,
                    origin => !self.is_origin_of(origin, requested),
                })
            }
        }
    }

    /// Whether `origin` is that of the requested host, over TLS only where a proxy may speak it.
    fn is_origin_of(&self, origin: &[u8], requested: Option<RequestedHost<'_>>) -> bool {
        let Some(requested) = requested else {
            return false;
        };
        let is_same = |origin: RequestedHost<'_>, port| {
            origin.name.eq_ignore_ascii_case(requested.name)
                && origin.port_or(port) == requested.port_or(port)
        };
        match parse_origin(origin, "http://") {
            Some(origin) => is_same(origin, HTTP_PORT),
            None => parse_origin(origin, "https://").is_some_and(|origin| {
                contains_name(&self.published, origin.name) && is_same(origin, HTTPS_PORT)
            }),
        }
    }

    /// Whether `origin` is this listener: `http`, an accepted name, and the port that was asked or is listened on.
    fn is_own_origin(&self, origin: &[u8], requested: Option<RequestedHost<'_>>) -> bool {
        let Some(origin) = parse_origin(origin, "http://") else {
            return false;
        };
        // Behind a port mapping the requested port is another than the listener's.
        let requested_port = requested.map_or(HTTP_PORT, |host| host.port_or(HTTP_PORT));
        let ports = [Some(requested_port), self.port];
        self.accepts_host(origin.name) && ports.contains(&Some(origin.port_or(HTTP_PORT)))
    }
}

/// Whether a request asks for a whole page, not for an image, a frame or a script's data.
///
/// Browsers that send `Sec-Fetch-Site` send `Sec-Fetch-Mode` too. For others the absence of `Origin` decides, which no
/// navigation by GET carries.
pub fn is_navigation(headers: &HeaderMap) -> bool {
    let mut modes = headers.get_all(SEC_FETCH_MODE).iter();
    let mut destinations = headers.get_all(SEC_FETCH_DEST).iter();
    match (modes.next(), modes.next()) {
        (None, _) => !headers.contains_key(header::ORIGIN),
        (Some(mode), None) if mode == "navigate" => {
            let is_document = destinations
                .next()
                .is_none_or(|destination| destination == "document");
            is_document && destinations.next().is_none()
        }
        _ => false,
    }
}

fn is_own_address(name: &str, address: &ListenAddress) -> bool {
    let literal = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    let Ok(literal) = literal.parse::<IpAddr>() else {
        return false;
    };
    let own = address.tcp_addresses();
    let mut own = own.iter().map(SocketAddr::ip);
    own.any(|own| own.is_unspecified() || own == literal)
}

fn is_foreign_site(site: &[u8]) -> bool {
    site.eq_ignore_ascii_case(b"cross-site") || site.eq_ignore_ascii_case(b"same-site")
}

fn contains_name(names: &[String], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Parses the serialization of an origin with this scheme (RFC 6454 §6.2); `None` for anything else.
fn parse_origin<'a>(origin: &'a [u8], scheme: &str) -> Option<RequestedHost<'a>> {
    let authority = std::str::from_utf8(origin).ok()?.strip_prefix(scheme)?;
    RequestedHost::parse(authority).filter(|_| !authority.ends_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    fn names() -> OriginGuard {
        OriginGuard::with_names(vec!["localhost".into(), "[::1]".into()], Some(8080))
    }

    fn asked(port: Option<u16>) -> Option<RequestedHost<'static>> {
        let name = "localhost";
        Some(RequestedHost { name, port })
    }

    #[test]
    fn an_origin_is_own_with_the_scheme_a_name_and_the_port_of_the_listener() {
        let own = |origin: &str| names().is_own_origin(origin.as_bytes(), asked(Some(8080)));
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
    fn behind_a_port_mapping_the_requested_port_counts() {
        assert!(names().is_own_origin(b"http://localhost", asked(None)));
        assert!(names().is_own_origin(b"http://localhost", None));
        assert!(names().is_own_origin(b"http://localhost:9000", asked(Some(9000))));
        assert!(!names().is_own_origin(b"http://localhost:9000", asked(None)));
    }

    #[test]
    fn a_program_may_send_any_fetch_site_but_those_of_another_site() {
        let is_cross_site = |fields: &[(&'static str, &str)]| {
            names().is_cross_site(&headers(fields), asked(Some(8080)))
        };
        for site in ["cross-site", "same-site", "Cross-Site"] {
            assert!(is_cross_site(&[("sec-fetch-site", site)]), "{site}");
        }
        for site in ["same-origin", "none", "new-word", ""] {
            assert!(!is_cross_site(&[("sec-fetch-site", site)]), "{site}");
        }
        assert!(is_cross_site(&[
            ("sec-fetch-site", "none"),
            ("sec-fetch-site", "cross-site")
        ]));
        assert!(is_cross_site(&[("origin", "http://evil.example")]));
        assert!(is_cross_site(&[
            ("origin", "null"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(!is_cross_site(&[("origin", "http://[::1]:8080")]));
        assert!(!is_cross_site(&[]));
    }

    #[test]
    fn a_listener_with_pages_demands_the_very_origin_that_was_asked() {
        let guard = OriginGuard::for_address(&"127.0.0.1:9900".parse().unwrap())
            .with_rule(CrossSiteRule::RequireSameOrigin);
        let is_cross_site = |fields: &[(&'static str, &str)], host: &'static str| {
            guard.is_cross_site(&headers(fields), RequestedHost::parse(host))
        };
        assert!(!is_cross_site(
            &[("origin", "http://localhost:9900")],
            "localhost:9900"
        ));
        assert!(!is_cross_site(
            &[("origin", "http://localhost")],
            "localhost:80"
        ));
        assert!(is_cross_site(
            &[("origin", "http://127.0.0.1:9900")],
            "localhost:9900"
        ));
        assert!(is_cross_site(
            &[("sec-fetch-site", "new-word")],
            "localhost:9900"
        ));
        assert!(is_cross_site(&[("origin", "null")], "localhost:9900"));
        let form = [("origin", "null"), ("sec-fetch-site", "same-origin")];
        assert!(!is_cross_site(&form, "localhost:9900"));
    }

    #[test]
    fn a_published_name_is_accepted_and_may_be_reached_over_tls() {
        let guard = OriginGuard::for_address(&"127.0.0.1:9900".parse().unwrap())
            .with_rule(CrossSiteRule::RequireSameOrigin)
            .with_published_names(vec!["bearward.example.com".into()]);
        assert!(guard.accepts_host("Bearward.Example.com") && guard.accepts_host("localhost"));
        assert!(!guard.accepts_host("example.com"));
        let is_own = |origin: &str, host: &str| {
            let site = [("origin", origin), ("sec-fetch-site", "same-origin")];
            !guard.is_cross_site(&headers(&site), RequestedHost::parse(host))
        };
        let host = "bearward.example.com";
        assert!(is_own("https://bearward.example.com", host));
        assert!(is_own("http://bearward.example.com", host));
        assert!(is_own(
            "https://bearward.example.com:8443",
            "bearward.example.com:8443"
        ));
        for origin in [
            "https://bearward.example.com:8443",
            "https://evil.example",
            "https://example.com",
            "ftp://bearward.example.com",
        ] {
            assert!(!is_own(origin, host), "{origin}");
        }
        assert!(!is_own("https://localhost:9900", "localhost:9900"));
    }

    #[test]
    fn literal_addresses_are_accepted_where_the_listener_has_them() {
        let accepts = |listen: &str, name: &str| {
            OriginGuard::for_address(&listen.parse().unwrap()).accepts_host(name)
        };
        for listen in ["127.0.0.1:1", "10.0.0.5:1", "unix:/run/x"] {
            for name in ["localhost", "LOCALHOST", "127.0.0.1", "[::1]"] {
                assert!(accepts(listen, name), "{listen} {name}");
            }
        }
        assert!(accepts("10.0.0.5:1", "10.0.0.5"));
        assert!(accepts("0.0.0.0:1", "10.0.0.5"));
        assert!(accepts("[::]:1", "[fe80::1]"));
        assert!(!accepts("10.0.0.5:1", "10.0.0.6"));
        assert!(!accepts("0.0.0.0:1", "evil.example"));
        assert!(!accepts("unix:/run/x", "10.0.0.5"));
    }
}
