//! `[routes.NAME.guard]`: who may pass.

use std::net::{Ipv6Addr, SocketAddr};

use super::super::{
    super::{
        raw::{Found, Section},
        value::quote,
    },
    Context, secret,
};
use crate::{proxy::route::Guard, server::address::ListenAddress};

pub(super) fn build(
    route: &Section<'_>,
    listen: Option<&ListenAddress>,
    host: Option<&str>,
    context: &mut Context<'_>,
) -> Guard {
    let section = route.section("guard");
    let mut hosts = match section.texts("hosts") {
        Some(found) => given(found, context),
        None => defaults(listen),
    };
    // A route that asks for a Host would answer nothing if it were not accepted.
    if let Some(host) = host.filter(|host| !hosts.iter().any(|known| known == host)) {
        hosts.push(host.to_owned());
    }
    Guard {
        hosts,
        client_key: secret::read(&section, "client_key", context),
        max_body: section.size("max_body"),
    }
}

fn given(hosts: Found<Vec<Found<&str>>>, context: &mut Context<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for Found { value, at } in &hosts.value {
        match host_name(value) {
            Some(name) if names.contains(&name) => {}
            Some(name) => names.push(name),
            None => {
                let hint = "names without scheme, port and path, as in [\"localhost\", \"127.0.0.1\", \"[::1]\"]";
                context.error(
                    at,
                    format!("{} is not the name of a host", quote(value)),
                    hint,
                );
            }
        }
    }
    if hosts.value.is_empty() {
        let hint = "leave it out for localhost, 127.0.0.1, [::1] and the listen host";
        context.drafts.warning(
            &hosts.at,
            "an empty `hosts` accepts no Host but the route's own `host`",
            hint,
        );
    }
    names
}

/// The loopback names, and the address listened on unless it stands for all.
fn defaults(listen: Option<&ListenAddress>) -> Vec<String> {
    let mut hosts = vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "[::1]".to_owned(),
    ];
    if let Some(ListenAddress::Tcp(address)) = listen {
        let name = match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        if !address.ip().is_unspecified() && !hosts.contains(&name) {
            hosts.push(name);
        }
    }
    hosts
}

/// A Host as it is compared: lower case, without a port, IPv6 in brackets.
pub(super) fn host_name(text: &str) -> Option<String> {
    let address = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    if let Ok(address) = address.parse::<Ipv6Addr>() {
        return Some(format!("[{address}]"));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let named = !text.is_empty()
        && text.len() <= 253
        && text.chars().all(fits)
        && text.starts_with(|c: char| c != '.');
    named.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_one_name_without_a_port() {
        assert_eq!(
            host_name("Hapn.LocalHost").as_deref(),
            Some("hapn.localhost")
        );
        assert_eq!(host_name("::1").as_deref(), Some("[::1]"));
        assert_eq!(host_name("[0:0::1]").as_deref(), Some("[::1]"));
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
            assert_eq!(host_name(text), None, "{text}");
        }
    }

    #[test]
    fn the_listen_host_is_accepted_unless_it_stands_for_all() {
        let hosts = |text: &str| defaults(Some(&text.parse().unwrap()));
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
