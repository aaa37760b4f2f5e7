//! Checks of addresses that are known only once they are bound, as those of systemd's sockets are.

use super::{Failure, sockets::ProxySockets};
use crate::{
    config::Config,
    server::{address::ListenAddress, inherited},
};

/// Checks the real addresses as `check` does those of the configuration.
///
/// # Errors
/// An upstream is one of the own listeners.
pub(super) fn check(
    config: &Config,
    admin: Option<&ListenAddress>,
    sockets: &ProxySockets,
) -> Result<(), Failure> {
    for route in &config.routes {
        let Some(upstream) = route.upstream.fixed() else {
            continue;
        };
        let leads_to = |own: &ListenAddress| own.is_reached_by(&upstream.host, upstream.port);
        let listening = sockets.iter().map(|(_, bound)| bound.address());
        if listening.chain(admin).any(leads_to) {
            return Err(Failure::Loop(route.name.clone()));
        }
    }
    warn_of_open_routes(config, sockets);
    warn_of_unused_sockets(config);
    Ok(())
}

/// Warns of routes that every machine can use. `check` has warned of the others.
fn warn_of_open_routes(config: &Config, sockets: &ProxySockets) {
    for route in &config.routes {
        let is_inherited = matches!(route.listen, ListenAddress::Systemd(_));
        let bound = sockets.address_of(route);
        let is_open = !bound.is_local();
        if is_inherited && is_open && route.guard.client_key.is_none() {
            tracing::warn!(
                route = &*route.name,
                listen = %bound,
                "listener.open: every machine that reaches this address can use the route: it has no `client_key`"
            );
        }
    }
}

/// Warns of sockets whose clients would wait for ever.
fn warn_of_unused_sockets(config: &Config) {
    let routes = config.routes.iter().map(|route| &route.listen);
    let admin = config.admin.iter().map(|admin| &admin.listen);
    let used: Vec<_> = routes.chain(admin).cloned().collect();
    for name in inherited::unused_names(&used) {
        tracing::warn!(
            name,
            "listener.unused: systemd passes a socket that no `listen` names: its clients wait for ever"
        );
    }
}
