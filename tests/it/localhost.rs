//! A listener on `localhost`: it is one name with two addresses, and clients try either of them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::support::{
    client::{exchange, get},
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::ok,
};

/// Both addresses of what `/api/status` shows as `localhost:PORT`.
#[track_caller]
fn addresses(sidecar: &Sidecar) -> [SocketAddr; 2] {
    let status = sidecar.status();
    let listen = status["routes"]["api"]["listen"].as_str().unwrap();
    let port = listen.strip_prefix("localhost:").expect(listen);
    let port: u16 = port.parse().unwrap();
    assert_ne!(port, 0, "{listen}");
    [
        (Ipv4Addr::LOCALHOST, port).into(),
        (Ipv6Addr::LOCALHOST, port).into(),
    ]
}

#[test]
fn a_listener_on_localhost_serves_both_address_families_at_one_port() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let tokens = TokenEndpoint::issuing("token-1");
    let sidecar = Setup::new(&tokens, upstream.origin())
        .listen("localhost:0")
        .start_ready();
    for address in addresses(&sidecar) {
        assert_eq!(get(address, "/a").text(), "fine", "{address}");
    }
    sidecar.stop();
}

#[test]
fn the_admin_listener_on_localhost_serves_both_address_families() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let tokens = TokenEndpoint::issuing("token-1");
    let mut setup = Setup::new(&tokens, upstream.origin());
    setup.admin_on_localhost();
    let sidecar = setup.start_ready();
    let port = sidecar.admin_address().port();
    let second = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    assert_eq!(get(second, "/api/status").status, 200);
}

#[test]
fn a_host_may_have_an_empty_port() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let tokens = TokenEndpoint::issuing("token-1");
    let sidecar = Setup::new(&tokens, upstream.origin()).start_ready();
    let ask = |address| exchange(address, "GET /livez HTTP/1.1\r\nHost: localhost:\r\n\r\n");
    assert_eq!(ask(sidecar.address()).text(), "fine");
    assert_eq!(ask(sidecar.admin_address()).status, 200);
}
