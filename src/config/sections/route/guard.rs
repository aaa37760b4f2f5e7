//! `[routes.NAME.guard]` to [`Guard`].

use std::net::{Ipv6Addr, SocketAddr};

use super::super::{BuildContext, guard_key};
use crate::{
    config::{diagnostics::Diagnostic, quote::quote, section::Section, spanned::Spanned},
    proxy::route::Guard,
    server::address::ListenAddress,
};

/// The longest host name, in bytes (RFC 1035 §2.3.4).
const MAX_HOST_NAME: usize = 253;

pub(super) fn build(
    section: &Section<'_>,
    listen: Option<&ListenAddress>,
    host: Option<&str>,
    context: &mut BuildContext<'_>,
) -> Guard {
    let mut hosts = match section.strings("hosts") {
        Some(found) => parse_hosts(&found, context),
        None => default_hosts(listen),
    };
    // A route with a `host` would otherwise refuse all of its requests.
    if let Some(host) = host
        && !hosts.iter().any(|known| known == host)
    {
        hosts.push(host.to_owned());
    }
    Guard {
        hosts,
        client_key: guard_key::read(section, "client_key", context),
        max_body: section.size("max_body"),
    }
}

fn parse_hosts(found: &Spanned<Vec<Spanned<&str>>>, context: &mut BuildContext<'_>) -> Vec<String> {
    if found.value.is_empty() {
        context.push(found.warning(
            "`hosts` is empty, so only the route's own `host` is accepted",
            "remove `hosts` to accept localhost, 127.0.0.1, [::1] and the listen host",
        ));
    }
    let mut hosts = Vec::with_capacity(found.value.len());
    for host in &found.value {
        match context.ok_or_push(parse_accepted_host(host)) {
            Some(host) if !hosts.contains(&host) => hosts.push(host),
            _ => {}
        }
    }
    hosts
}

fn parse_accepted_host(host: &Spanned<&str>) -> Result<String, Diagnostic> {
    parse_host(host.value).ok_or_else(|| {
        host.error(
            format!("{} in `hosts` is not a host name", quote(host.value)),
            "write names without scheme, port and path, such as [\"localhost\", \"127.0.0.1\", \
             \"[::1]\"]",
        )
    })
}

/// Returns the loopback names, and the listen host unless it is unspecified.
fn default_hosts(listen: Option<&ListenAddress>) -> Vec<String> {
    let mut hosts = ["localhost", "127.0.0.1", "[::1]"]
        .map(str::to_owned)
        .to_vec();
    if let Some(ListenAddress::Tcp(address)) = listen {
        let host = match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        if !address.ip().is_unspecified() && !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// Parses a host name without a port. Returns it in lower case, an IPv6 address in brackets.
pub(super) fn parse_host(text: &str) -> Option<String> {
    let address = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    if let Ok(address) = address.parse::<Ipv6Addr>() {
        return Some(format!("[{address}]"));
    }

    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let is_valid = (1..=MAX_HOST_NAME).contains(&text.len())
        && !text.starts_with('.')
        && text.chars().all(is_allowed);
    is_valid.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_one_name_without_a_port() {
        assert_eq!(
            parse_host("Hapn.LocalHost").as_deref(),
            Some("hapn.localhost")
        );
        assert_eq!(parse_host("::1").as_deref(), Some("[::1]"));
        assert_eq!(parse_host("[0:0::1]").as_deref(), Some("[::1]"));
        for text in [
            "",
            "localhost:80",
            "http://x",
            "a/b",
            "a b",
            "[x]",
            "*.example.com",
            "münchen.de",
        ] {
            assert_eq!(parse_host(text), None, "{text}");
        }
    }

    #[test]
    fn the_listen_host_is_accepted_unless_it_is_unspecified() {
        let hosts = |text: &str| default_hosts(Some(&text.parse().unwrap()));
        assert_eq!(hosts("127.0.0.1:1"), ["localhost", "127.0.0.1", "[::1]"]);
        assert_eq!(hosts("0.0.0.0:1"), ["localhost", "127.0.0.1", "[::1]"]);
        assert_eq!(hosts("[::]:1"), ["localhost", "127.0.0.1", "[::1]"]);
        assert_eq!(
            hosts("10.1.2.3:1"),
            ["localhost", "127.0.0.1", "[::1]", "10.1.2.3"]
        );
        assert_eq!(hosts("unix:/run/x"), ["localhost", "127.0.0.1", "[::1]"]);
    }
}
