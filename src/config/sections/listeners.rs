//! Conflicts between listeners and routes: overlapping addresses, ambiguous routes, and loops.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::{BuildContext, route::BuiltRoute};
use crate::{
    admin::Admin,
    config::{diagnostics::Diagnostic, problem_code::ProblemCode, quote::quote, spanned::Spanned},
    proxy::route::BaseUrl,
    server::address::ListenAddress,
};

const ANY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ANY_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
const LOOPBACK_V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOOPBACK_V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// Parses the listen address of the key `name`.
pub(super) fn parse_address(
    name: &str,
    found: &Spanned<&str>,
) -> Result<ListenAddress, Diagnostic> {
    found.value.parse().map_err(|_| {
        let address = quote(found.value);
        let message = format!("`{name}` = {address} is not an address to listen on");
        let port = found.value.trim_start_matches(':');
        if port.parse::<u16>().is_ok() {
            return found.error(message, format!("write {name} = \"127.0.0.1:{port}\""));
        }
        found.error(
            message,
            "write an address and a port such as \"127.0.0.1:8080\", \"unix:/run/bearward.sock\", or \
             \"systemd:NAME\" for a socket of systemd",
        )
    })
}

/// Reports all conflicts. Takes time in proportion to the number of routes.
pub(super) fn check(
    admin: Option<&Spanned<Admin>>,
    routes: &[BuiltRoute],
    context: &mut BuildContext<'_>,
) {
    check_ambiguous_routes(routes, context);
    let in_use = collect_addresses(admin, routes, context);
    check_loops(routes, &in_use, context);
}

/// Reports routes that match the same requests as an earlier one.
fn check_ambiguous_routes(routes: &[BuiltRoute], context: &mut BuildContext<'_>) {
    let mut first: HashMap<_, &str> = HashMap::new();
    for route in routes {
        let (Some(listen), Some(matches)) = (&route.listen, &route.matches) else {
            continue;
        };
        if let Some(other) = first.insert((&listen.value, matches), &route.name) {
            let name = &route.name;
            context.push(
                Diagnostic::error(
                    &route.location,
                    format!("route `{name}` matches the same requests as route `{other}`"),
                    "give one of them another `listen`, `host` or `path`",
                )
                .with_code(ProblemCode::AmbiguousRoutes),
            );
        }
    }
}

/// Collects the addresses of all listeners, and reports those that overlap. Routes may share one
/// address.
fn collect_addresses(
    admin: Option<&Spanned<Admin>>,
    routes: &[BuiltRoute],
    context: &mut BuildContext<'_>,
) -> AddressesInUse {
    let mut in_use = AddressesInUse::default();
    if let Some(admin) = admin {
        let owner = match admin.value.listen == Admin::default().listen {
            true => "the admin listener (by default: [admin] listen changes it)",
            false => "the admin listener",
        };
        // Nothing is in use yet.
        in_use.insert(&admin.value.listen, owner);
    }

    let mut seen = HashSet::new();
    for route in routes {
        let Some(listen) = &route.listen else {
            continue;
        };
        let is_admins = admin.is_some_and(|admin| admin.value.listen == listen.value);
        if !seen.insert(&listen.value) && !is_admins {
            continue;
        }
        let owner = format!("route `{}`", route.name);
        if let Some(other) = in_use.insert(&listen.value, &owner) {
            let address = &listen.value;
            context.push(listen.error(
                format!("{owner} listens on {address}, which {other} already uses"),
                "use another address; routes may share an address if they write it the same way",
            ).with_code(ProblemCode::AddressConflict));
        }
    }
    in_use
}

/// Reports upstreams that are a listener of this process.
fn check_loops(routes: &[BuiltRoute], in_use: &AddressesInUse, context: &mut BuildContext<'_>) {
    for route in routes {
        let upstream = route
            .built
            .as_ref()
            .and_then(|built| built.upstream.fixed());
        if let Some(owner) = upstream.and_then(|upstream| in_use.owner_of(upstream)) {
            context.push(
                Diagnostic::error(
                    &route.upstream_location,
                    format!("`upstream` is bearward itself: {owner} listens there"),
                    "set `upstream` to the protected API; clients connect to `listen`",
                )
                .with_code(ProblemCode::UpstreamLoop),
            );
        }
    }
}

/// The listen addresses and their owners. Port 0 is never in use.
#[derive(Default)]
struct AddressesInUse {
    ports: HashMap<u16, HashMap<IpAddr, String>>,
    /// Unix sockets and those of systemd.
    sockets: HashMap<ListenAddress, String>,
}

impl AddressesInUse {
    /// Inserts an address, and returns the owner of an overlapping one.
    fn insert(&mut self, address: &ListenAddress, owner: &str) -> Option<String> {
        if let ListenAddress::Unix(_) | ListenAddress::Systemd(_) = address {
            return self.sockets.insert(address.clone(), owner.to_owned());
        }
        let addresses = address.tcp_addresses();
        let addresses = addresses.iter().filter(|address| address.port() != 0);
        addresses.fold(None, |found, address| {
            let overlapping = self.overlapping(address).map(str::to_owned);
            self.ports
                .entry(address.port())
                .or_default()
                .entry(address.ip())
                .or_insert_with(|| owner.to_owned());
            found.or(overlapping)
        })
    }

    fn overlapping(&self, address: &SocketAddr) -> Option<&str> {
        let port = self.ports.get(&address.port())?;
        // By default `[::]` accepts IPv4 connections too.
        let owner = match address.ip() {
            ANY_V6 => port.values().next(),
            ANY_V4 => {
                let v4 = port.iter().find(|(other, _)| other.is_ipv4());
                v4.map(|(_, owner)| owner).or_else(|| port.get(&ANY_V6))
            }
            ip => port
                .get(&ip)
                .or_else(|| port.get(&ANY_V6))
                .or_else(|| port.get(&ANY_V4).filter(|_| ip.is_ipv4())),
        };
        owner.map(String::as_str)
    }

    /// Returns the owner of the listener that `upstream` connects to.
    fn owner_of(&self, upstream: &BaseUrl) -> Option<&str> {
        let port = self.ports.get(&upstream.port)?;
        let host = upstream.host.as_str();
        let targets = match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
            // A connection to an unspecified address reaches this machine.
            Ok(ip) if ip.is_unspecified() => vec![LOOPBACK_V4, LOOPBACK_V6],
            Ok(ip) => vec![ip],
            Err(_) if host == "localhost" || host.ends_with(".localhost") => {
                vec![LOOPBACK_V4, LOOPBACK_V6]
            }
            Err(_) => return None,
        };

        let owner_of_any = |target: &IpAddr| match target {
            target if !target.is_loopback() => None,
            IpAddr::V4(_) => port.get(&ANY_V4).or_else(|| port.get(&ANY_V6)),
            IpAddr::V6(_) => port.get(&ANY_V6),
        };
        let owner = targets
            .iter()
            .find_map(|target| port.get(target).or_else(|| owner_of_any(target)));
        owner.map(String::as_str)
    }
}
