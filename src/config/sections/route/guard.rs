//! `[routes.NAME.guard]` to [`Guard`].

use super::super::{BuildContext, accepted_hosts, guard_key};
use crate::{
    config::{problem_code::ProblemCode, section::Section, spanned::Spanned},
    proxy::route::Guard,
    server::address::ListenAddress,
};

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
    let is_inherited = matches!(listen, Some(ListenAddress::Systemd(_)));
    Guard {
        hosts,
        accepts_bound_hosts: is_inherited && !section.is_set("hosts"),
        client_key: guard_key::read(section, "client_key", context),
        max_body: section.size("max_body"),
    }
}

fn parse_hosts(found: &Spanned<Vec<Spanned<&str>>>, context: &mut BuildContext<'_>) -> Vec<String> {
    if found.value.is_empty() {
        context.push(found.warning(
            ProblemCode::RefusesEverything,
            "`hosts` is empty, so only the route's own `host` is accepted",
            "remove `hosts` to accept localhost, 127.0.0.1, [::1] and the listen host",
        ));
    }
    accepted_hosts::parse(found, context)
}

/// Returns the loopback names, and the listen host unless it is unspecified.
fn default_hosts(listen: Option<&ListenAddress>) -> Vec<String> {
    let mut hosts = ["localhost", "127.0.0.1", "[::1]"]
        .map(str::to_owned)
        .to_vec();
    for host in listen.map(ListenAddress::host_names).unwrap_or_default() {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for listen in ["unix:/run/x", "systemd:web", "localhost:1"] {
            assert_eq!(hosts(listen), ["localhost", "127.0.0.1", "[::1]"]);
        }
    }
}
