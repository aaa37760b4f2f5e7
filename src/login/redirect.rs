//! The redirect target of a login: whether it is this listener, and under which of its names the login has to start.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use http::uri::Authority;
use url::{Host, Url};

use super::{CALLBACK_PATH, path::is_callback_path, supports_browser_login};
use crate::{
    oauth::{
        provider::{Authorization, Provider},
        redirect_uri::RedirectUri,
    },
    server::address::ListenAddress,
};

/// The callback of an admin listener with its default address.
const DEFAULT_REDIRECT_URI: &str = "http://127.0.0.1:9900/callback";

/// The `redirect_uri` of a login at `provider`: the configured one, or the admin listener's.
///
/// `admin` is the real address, port 0 resolved.
pub fn redirect_uri_for(provider: &Provider, admin: Option<&ListenAddress>) -> Option<RedirectUri> {
    let configured = provider
        .authorization
        .as_ref()
        .and_then(|authorization| authorization.redirect_uri.clone());
    configured.or_else(|| default_redirect_uri(admin?))
}

/// The `redirect_uri` of a provider that sets none, with the admin listener at `admin`.
///
/// `None` for a listener that no browser reaches. A request without a `redirect_uri` then leads to the registered one
/// (RFC 6749 §3.1.2.3).
pub fn default_redirect_uri(admin: &ListenAddress) -> Option<RedirectUri> {
    format!("{}{CALLBACK_PATH}", admin_origin(admin)?)
        .parse()
        .ok()
}

/// The provider with its default `redirect_uri`, which a sign-in sends although nothing listens there.
///
/// Without an admin listener that a browser reaches it is that of the listener's default address.
pub fn with_default_redirect_uri(
    provider: &Arc<Provider>,
    admin: Option<&ListenAddress>,
) -> Arc<Provider> {
    let is_configured = |settings: &Authorization| settings.redirect_uri.is_some();
    if provider.authorization.as_ref().is_none_or(is_configured) {
        return provider.clone();
    }
    let default = admin.and_then(default_redirect_uri);
    // Port 0 leads nowhere before the system has chosen one.
    let default = default.filter(|uri| uri.url().port() != Some(0));
    let default = default.or_else(|| DEFAULT_REDIRECT_URI.parse().ok());
    let mut provider = Provider::clone(provider);
    if let Some(settings) = &mut provider.authorization {
        settings.default_redirect_uri = default;
    }
    Arc::new(provider)
}

/// The origin at which a browser on this machine reaches the admin listener, such as `http://127.0.0.1:9900`.
pub fn admin_origin(admin: &ListenAddress) -> Option<String> {
    // The first address of `localhost`: it stays the registered one, and is always there.
    let mut address = *admin.tcp_addresses().first()?;
    if address.ip().is_unspecified() {
        address.set_ip(match address.is_ipv4() {
            true => Ipv4Addr::LOCALHOST.into(),
            false => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Some(format!("http://{address}"))
}

/// Whether the configured `redirect_uri` of `provider` leads to `host`, a name without a port.
pub fn leads_to_host(provider: &Provider, host: &str) -> bool {
    let settings = provider.authorization.as_ref();
    let uri = settings.and_then(|settings| settings.redirect_uri.as_ref());
    uri.map(RedirectUri::url).is_some_and(|uri| {
        let name = uri.host_str();
        matches!(uri.scheme(), "http" | "https")
            && name.is_some_and(|name| name.eq_ignore_ascii_case(host))
    })
}

/// Whether a login at `provider` can start at the admin listener at `admin`, and returns to it.
pub fn can_log_in_at(provider: &Provider, admin: &ListenAddress) -> bool {
    let Some(uri) = redirect_uri_for(provider, Some(admin)) else {
        return false;
    };
    supports_browser_login(provider)
        && own_authority(uri.url())
            .is_some_and(|host| redirects_to_this_listener(uri.url(), &provider.name, &host, admin))
}

fn own_authority(uri: &Url) -> Option<Authority> {
    let (name, port) = (uri.host_str()?, uri.port_or_known_default()?);
    format!("{name}:{port}").parse().ok()
}

/// Whether `uri` leads to loopback over plain HTTP, to a listener on the browser's own machine (RFC 8252 §7.3).
pub fn is_loopback(uri: &Url) -> bool {
    uri.scheme() == "http" && uri.host().is_some_and(is_loopback_host)
}

fn is_loopback_host<S: AsRef<str>>(host: Host<S>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref().eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// Whether `uri` brings a browser that requested `host` back to the listener at `admin`, after a login at `provider`.
///
/// A URI that is not loopback may be forwarded to the listener, and counts. Loopback has to have the listener's port, or
/// the requested one, which may be forwarded; and it is another machine's where the browser did not request loopback.
pub fn redirects_to_this_listener(
    uri: &Url,
    provider: &str,
    host: &Authority,
    admin: &ListenAddress,
) -> bool {
    if !matches!(uri.scheme(), "http" | "https") || !is_callback_path(uri.path(), provider) {
        return false;
    }
    if !is_loopback(uri) {
        return true;
    }
    if !Host::parse(host.host()).is_ok_and(is_loopback_host) {
        return false;
    }
    let port = uri.port_or_known_default();
    let has_own_port = match admin {
        ListenAddress::Unix(_) => false,
        tcp => port == tcp.port(),
    };
    has_own_port || port == Some(host.port_u16().unwrap_or(80))
}

/// The authority at which the login has to start instead of `host`: the listener's name in `uri`.
///
/// A browser keeps the cookies of `localhost` and `127.0.0.1` apart: one set for the first is not sent to the second.
pub fn canonical_start_host(uri: &Url, host: &Authority) -> Option<String> {
    let (name, port) = (uri.host_str()?, uri.port_or_known_default()?);
    let same_port = port == host.port_u16().unwrap_or(80);
    (is_loopback(uri) && same_port && !name.eq_ignore_ascii_case(host.host()))
        .then(|| format!("{name}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::fake;

    fn address(text: &str) -> ListenAddress {
        text.parse().unwrap()
    }

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn the_default_is_what_a_browser_on_this_machine_can_open() {
        let default =
            |admin| default_redirect_uri(&address(admin)).map(|uri| uri.as_str().to_owned());
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
    fn the_default_is_sent_where_no_redirect_uri_is_configured() {
        let sent = |provider: Provider, admin: Option<&str>| {
            let admin = admin.map(address);
            let provider = with_default_redirect_uri(&Arc::new(provider), admin.as_ref());
            let settings = provider.authorization.clone().unwrap();
            settings.callback().unwrap().as_str().to_owned()
        };
        let mut provider = fake::with_consent("https://as.example/token");
        let configured = sent(provider.clone(), Some("127.0.0.1:1"));
        assert_eq!(configured, "http://127.0.0.1:9900/callback");
        provider.authorization.as_mut().unwrap().redirect_uri = None;
        for (admin, expected) in [
            (Some("127.0.0.1:7"), "http://127.0.0.1:7/callback"),
            (Some("unix:/run/x"), DEFAULT_REDIRECT_URI),
            (Some("127.0.0.1:0"), DEFAULT_REDIRECT_URI),
            (None, DEFAULT_REDIRECT_URI),
        ] {
            assert_eq!(sent(provider.clone(), admin), expected, "{admin:?}");
        }
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
    fn a_callback_returns_here_by_its_port_or_through_an_unknown_forwarder() {
        let here = |uri, host: &'static str, admin| {
            let host = Authority::from_static(host);
            redirects_to_this_listener(&url(uri), "hapn", &host, &address(admin))
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
        let own = "http://127.0.0.1:9900/callback/hapn";
        assert!(here(own, "127.0.0.1:9900", "127.0.0.1:9900"));
        for uri in [
            "http://127.0.0.1:9900/callback/other",
            "http://127.0.0.1:9900/callback/hapn/",
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
        let start = |uri, host: &'static str| {
            canonical_start_host(&url(uri), &Authority::from_static(host))
        };
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
