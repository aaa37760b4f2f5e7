//! Where a consent page leads back to: whether that is this listener, and which of its names a login has to start at.

use http::uri::Authority;
use url::{Host, Url};

use crate::{
    oauth::{provider::Provider, redirect_uri::RedirectUri},
    server::address::ListenAddress,
};

/// The path at which the admin listener takes callbacks.
pub const CALLBACK: &str = "/callback";

/// The `redirect_uri` of a provider that sets none, with the admin listener at `admin`, which is the real address.
///
/// `None` where no browser gets to such a listener; a request without a `redirect_uri` then leads to the one that is
/// registered (RFC 6749 §3.1.2.3).
pub fn default_uri(admin: &ListenAddress) -> Option<RedirectUri> {
    format!("{}{CALLBACK}", origin(admin)?).parse().ok()
}

/// `http://127.0.0.1:9900`, where a browser on this machine finds the admin listener at `admin`.
pub fn origin(admin: &ListenAddress) -> Option<String> {
    let ListenAddress::Tcp(address) = admin else {
        return None;
    };
    let mut address = *address;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    Some(format!("http://{address}"))
}

/// The `redirect_uri` of a login at `provider`.
pub fn uri_for(provider: &Provider, admin: Option<&ListenAddress>) -> Option<RedirectUri> {
    let configured = provider
        .authorization
        .as_ref()
        .and_then(|authorization| authorization.redirect_uri.clone());
    configured.or_else(|| default_uri(admin?))
}

/// Whether `uri` leads to loopback over plain HTTP: to a listener on the machine of whoever logs in (RFC 8252 §7.3).
pub fn is_loopback(uri: &Url) -> bool {
    uri.scheme() == "http" && uri.host().is_some_and(is_local)
}

fn is_local<S: AsRef<str>>(host: Host<S>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref().eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// Whether a browser that asked for `host` comes back to the listener at `admin` by way of `uri`.
///
/// What is not loopback may be anything that is passed on to the listener. Loopback has to be its own port, or the one
/// that the browser came by, which may be forwarded; and it is another machine's where the browser did not come by it.
pub(super) fn leads_here(uri: &Url, host: &Authority, admin: &ListenAddress) -> bool {
    if !matches!(uri.scheme(), "http" | "https") || uri.path() != CALLBACK {
        return false;
    }
    if !is_loopback(uri) {
        return true;
    }
    if !Host::parse(host.host()).is_ok_and(is_local) {
        return false;
    }
    let port = uri.port_or_known_default();
    let own = match admin {
        ListenAddress::Tcp(address) => port == Some(address.port()),
        ListenAddress::Unix(_) => false,
    };
    own || port == Some(host.port_u16().unwrap_or(80))
}

/// The authority to start the login at instead of `host`: the same listener by the name that `uri` has for it.
///
/// A browser keeps cookies by host, `localhost` and `127.0.0.1` apart: what is set at one does not come back by way of
/// the other.
pub(super) fn start_elsewhere(uri: &Url, host: &Authority) -> Option<String> {
    let (name, port) = (uri.host_str()?, uri.port_or_known_default()?);
    let same_port = port == host.port_u16().unwrap_or(80);
    (is_loopback(uri) && same_port && !name.eq_ignore_ascii_case(host.host()))
        .then(|| format!("{name}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ListenAddress {
        text.parse().unwrap()
    }

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn the_default_is_what_a_browser_on_this_machine_can_open() {
        let default = |admin| default_uri(&address(admin)).map(|uri| uri.as_str().to_owned());
        assert_eq!(
            default("127.0.0.1:9900").as_deref(),
            Some("http://127.0.0.1:9900/callback")
        );
        assert_eq!(
            default("0.0.0.0:9900").as_deref(),
            Some("http://127.0.0.1:9900/callback")
        );
        assert_eq!(
            default("[::]:9900").as_deref(),
            Some("http://[::1]:9900/callback")
        );
        assert_eq!(
            default("10.0.0.5:1").as_deref(),
            Some("http://10.0.0.5:1/callback")
        );
        assert_eq!(default("unix:/run/x"), None);
    }

    #[test]
    fn loopback_is_a_literal_address_or_localhost() {
        for uri in [
            "http://127.0.0.1:1/callback",
            "http://[::1]/x",
            "http://localhost:1/",
            "http://127.9.9.9/",
        ] {
            assert!(is_loopback(&url(uri)), "{uri}");
        }
        for uri in [
            "https://127.0.0.1:1/callback",
            "http://localhost.example/",
            "http://10.0.0.1/",
            "myapp://callback",
        ] {
            assert!(!is_loopback(&url(uri)), "{uri}");
        }
    }

    #[test]
    fn a_callback_leads_here_by_its_port_or_by_a_way_that_is_not_ours_to_know() {
        let here = |uri, host: &'static str, admin| {
            leads_here(&url(uri), &Authority::from_static(host), &address(admin))
        };
        assert!(here(
            "http://127.0.0.1:9900/callback",
            "127.0.0.1:9900",
            "127.0.0.1:9900"
        ));
        assert!(here(
            "http://localhost:9900/callback",
            "127.0.0.1:9900",
            "127.0.0.1:9900"
        ));
        assert!(
            here(
                "http://127.0.0.1:19900/callback",
                "127.0.0.1:19900",
                "0.0.0.0:9900"
            ),
            "a port that is forwarded"
        );
        assert!(
            !here(
                "http://127.0.0.1:9900/callback",
                "10.0.0.5:9900",
                "0.0.0.0:9900"
            ),
            "another machine's loopback"
        );
        assert!(here(
            "http://10.0.0.5:9900/callback",
            "10.0.0.5:9900",
            "0.0.0.0:9900"
        ));
        assert!(here(
            "http://[::1]:9900/callback",
            "[::1]:9900",
            "[::1]:9900"
        ));
        assert!(here(
            "https://sidecar.example/callback",
            "localhost",
            "127.0.0.1:9900"
        ));
        for uri in [
            "http://127.0.0.1:9901/callback",
            "http://127.0.0.1:9900/other",
            "http://127.0.0.1:9900/callback/",
            "myapp://callback",
        ] {
            assert!(!here(uri, "127.0.0.1:9900", "127.0.0.1:9900"), "{uri}");
        }
    }

    #[test]
    fn a_login_starts_at_the_name_it_comes_back_to() {
        let start =
            |uri, host: &'static str| start_elsewhere(&url(uri), &Authority::from_static(host));
        assert_eq!(
            start("http://127.0.0.1:9900/callback", "localhost:9900").as_deref(),
            Some("127.0.0.1:9900")
        );
        assert_eq!(
            start("http://[::1]:9900/callback", "localhost:9900").as_deref(),
            Some("[::1]:9900")
        );
        assert_eq!(
            start("http://127.0.0.1:9900/callback", "127.0.0.1:9900"),
            None
        );
        assert_eq!(
            start("http://localhost:9900/callback", "LOCALHOST:9900"),
            None
        );
        assert_eq!(
            start("https://sidecar.example/callback", "localhost:9900"),
            None
        );
        assert_eq!(
            start("http://127.0.0.1:9900/callback", "localhost:9901"),
            None
        );
    }
}
