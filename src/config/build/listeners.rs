//! What listeners and routes must not do to each other: listen twice, answer the same requests, lead back into themselves.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::{
    super::{
        raw::{At, Found},
        value::quote,
    },
    Context,
    route::BuiltRoute,
};
use crate::{admin::Admin, proxy::route::Upstream, server::address::ListenAddress};

/// Reads an address to listen on.
pub(super) fn address(text: &str, at: &At, context: &mut Context<'_>) -> Option<ListenAddress> {
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) => {
            let hint =
                "an address and a port as in \"127.0.0.1:8080\", or \"unix:/run/bearward.sock\"";
            context.error(
                at,
                format!("{} is not an address to listen on", quote(text)),
                hint,
            );
            None
        }
    }
}

/// Reports what collides; takes time in proportion to the number of routes.
pub(super) fn check(
    admin: Option<&Found<Admin>>,
    routes: &[BuiltRoute],
    context: &mut Context<'_>,
) {
    let mut taken = Taken::default();
    if let Some(Found {
        value: Admin { listen, .. },
        at,
    }) = admin
    {
        taken.add(listen, "the admin listener", at, context);
    }
    ambiguous(routes, context);
    let mut seen = HashSet::new();
    for route in routes {
        let Some(Found { value, at }) = &route.listen else {
            continue;
        };
        if seen.insert(value) || admin.is_some_and(|admin| admin.value.listen == *value) {
            taken.add(value, &format!("route `{}`", route.name), at, context);
        }
    }
    for route in routes {
        let Some(upstream) = route.built.as_ref().map(|built| &built.upstream) else {
            continue;
        };
        if let Some(owner) = taken.leads_to(upstream) {
            let message = format!("the upstream is bearward itself: {owner} listens there");
            context.error(
                &route.upstream_at,
                message,
                "`upstream` is the protected API, `listen` where callers connect",
            );
        }
    }
}

/// Routes that would match the same requests equally.
fn ambiguous(routes: &[BuiltRoute], context: &mut Context<'_>) {
    let mut first: HashMap<_, &str> = HashMap::new();
    for route in routes {
        let Some(listen) = &route.listen else {
            continue;
        };
        let Some(matches) = &route.matches else {
            continue;
        };
        if let Some(other) = first.insert((&listen.value, matches), &route.name) {
            let message = format!(
                "route `{}` matches the same requests as route `{other}`",
                route.name
            );
            context.error(
                &route.at,
                message,
                "give them different `listen`, `host` or `path`",
            );
        }
    }
}

/// The addresses that are listened on; port 0 is never taken.
#[derive(Default)]
struct Taken {
    ports: HashMap<u16, HashMap<IpAddr, String>>,
    sockets: HashMap<std::path::PathBuf, String>,
}

impl Taken {
    /// Adds an address, and reports what listens there already.
    fn add(&mut self, address: &ListenAddress, owner: &str, at: &At, context: &mut Context<'_>) {
        let before = match address {
            ListenAddress::Tcp(address) if address.port() == 0 => return,
            ListenAddress::Tcp(address) => {
                let before = self.overlapping(address).map(str::to_owned);
                self.ports
                    .entry(address.port())
                    .or_default()
                    .entry(address.ip())
                    .or_insert_with(|| owner.to_owned());
                before
            }
            ListenAddress::Unix(path) => self.sockets.insert(path.clone(), owner.to_owned()),
        };
        if let Some(other) = before {
            let hint = "give them different ports, or the very same address where both are routes";
            context.error(
                at,
                format!("{owner} listens on {address}, which {other} takes already"),
                hint,
            );
        }
    }

    fn overlapping(&self, address: &SocketAddr) -> Option<&str> {
        let port = self.ports.get(&address.port())?;
        // `[::]` takes the IPv4 addresses as well, unless the system is told otherwise.
        let found = match address.ip() {
            IpAddr::V6(ip) if ip.is_unspecified() => port.values().next(),
            IpAddr::V4(ip) if ip.is_unspecified() => {
                let v4 = port
                    .iter()
                    .find(|(other, _)| other.is_ipv4())
                    .map(|(_, owner)| owner);
                v4.or_else(|| port.get(&IpAddr::V6(Ipv6Addr::UNSPECIFIED)))
            }
            ip => port
                .get(&ip)
                .or_else(|| port.get(&IpAddr::V6(Ipv6Addr::UNSPECIFIED)))
                .or_else(|| {
                    port.get(&IpAddr::V4(Ipv4Addr::UNSPECIFIED))
                        .filter(|_| ip.is_ipv4())
                }),
        };
        found.map(String::as_str)
    }

    /// Who listens where `upstream` leads.
    fn leads_to(&self, upstream: &Upstream) -> Option<&str> {
        let port = self.ports.get(&upstream.port)?;
        let host = upstream.host.as_str();
        let (v4, v6) = (
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        );
        let targets = match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
            // Connecting to "any address" reaches this machine.
            Ok(ip) if ip.is_unspecified() => vec![v4, v6],
            Ok(ip) => vec![ip],
            Err(_) if host == "localhost" || host.ends_with(".localhost") => vec![v4, v6],
            Err(_) => return None,
        };
        // Who listens on any address is reached by each of its family, and [::] by those of IPv4 too.
        let any = [
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        ];
        let takes = |any: &&IpAddr, target: &IpAddr| {
            target.is_loopback() && (any.is_ipv6() || target.is_ipv4())
        };
        targets.iter().find_map(|target| {
            let exact = port.get(target);
            exact
                .or_else(|| {
                    any.iter()
                        .filter(|any| takes(any, target))
                        .find_map(|any| port.get(any))
                })
                .map(String::as_str)
        })
    }
}
