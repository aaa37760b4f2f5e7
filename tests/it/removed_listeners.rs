//! A listener that a reload removes.

use std::{fs, net::SocketAddr, path::Path};

use crate::support::{
    client::{Client, exchange, get},
    patience::until,
    ports,
    setup::Setup,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::ok,
};

fn reload(sidecar: &Sidecar, file: &Path, text: &str) -> u16 {
    fs::write(file, text).expect("a file in the temporary folder");
    let request = "POST /api/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    exchange(sidecar.admin_address(), request).status
}

fn refuses(address: SocketAddr) -> Option<()> {
    Client::try_connect(address).is_err().then_some(())
}

#[test]
fn a_removed_listener_refuses_connections_at_once_and_can_be_added_again() {
    let upstream = Upstream::answering(|_| ok("fine"));
    let tokens = TokenEndpoint::issuing("token-1");
    let setup = Setup::new(&tokens, upstream.origin());
    let ((file, _), without) = (setup.write(), setup.text());
    let further = ports::unused();
    let with = format!(
        "{without}\n[routes.further]\nlisten = \"{further}\"\nupstream = \"{}\"\n",
        upstream.origin()
    );
    let sidecar = setup.start_ready();
    for _ in 0..3 {
        assert_eq!(reload(&sidecar, &file, &with), 200);
        assert_eq!(get(further, "/").text(), "fine");
        assert_eq!(reload(&sidecar, &file, &without), 200);
        // Long before the time to drain, of 30 s, is over.
        until("the removed listener to refuse connections", || {
            refuses(further)
        });
    }
}
