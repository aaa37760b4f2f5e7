//! Names that are not found, are found later, change, or are asked for at a name server that says nothing.
//!
//! The sidecar gets an `/etc/hosts` of its own, which a test rewrites while it runs.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    isolation::{Mounts, not_run},
    world::{FaultyServer, assert_survived},
};
use crate::support::{
    client::Client,
    home::Home,
    patience::until,
    ports,
    problem::assert_problem,
    protected_api::ProtectedApi,
    server::Server,
    sidecar::Sidecar,
    token_endpoint::TokenEndpoint,
    wire::{Wire, ok},
};

/// A name of the authorization server or the upstream.
const NAME: &str = "service.test";
/// A name that is always known.
const HEALTHY: &str = "healthy.test";
/// Where the name server of [`silent_name_server`] is.
const NAME_SERVER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 53, 53, 53)), 53);

/// The names that a sidecar knows.
struct Names {
    mounts: Mounts,
    hosts: PathBuf,
    _folder: TempDir,
}

impl Names {
    /// Knows [`HEALTHY`] alone. Other names are looked up by `source` of `nsswitch.conf`, if there is one.
    fn with_source(source: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, content: &str| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        let hosts = at("hosts", "");
        let switch = at("nsswitch.conf", &format!("hosts: files {source}\n"));
        let resolver = format!(
            "nameserver {}\noptions timeout:5 attempts:2\n",
            NAME_SERVER.ip()
        );
        let resolver = at("resolv.conf", &resolver);
        let script = "mount --bind \"$1\" /etc/hosts\nmount --bind \"$2\" /etc/nsswitch.conf\n\
                      mount --bind \"$3\" /etc/resolv.conf";
        let names = Self {
            mounts: Mounts::after(script, &[&hosts, &switch, &resolver])?,
            hosts,
            _folder: folder,
        };
        names.forget();
        Some(names)
    }

    /// Knows [`HEALTHY`] alone, and is sure of it.
    fn new() -> Option<Self> {
        Self::with_source("")
    }

    /// Gives [`NAME`] an address.
    fn set(&self, address: Ipv4Addr) {
        self.write(&format!(
            "127.0.0.1 localhost {HEALTHY}\n{address} {NAME}\n"
        ));
    }

    /// Forgets [`NAME`].
    fn forget(&self) {
        self.write(&format!("127.0.0.1 localhost {HEALTHY}\n"));
    }

    fn write(&self, content: &str) {
        // In place: the mount is of this file, not of its name.
        fs::write(&self.hosts, content).unwrap();
    }

    #[track_caller]
    fn run(&self, home: &Home) -> Sidecar {
        let wrapper = self.mounts.wrapper();
        home.run_through(&wrapper.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// A sidecar whose upstream is known by name, and whose tokens come from an address.
fn home(tokens: &TokenEndpoint, port: u16, route: &str) -> Home {
    let provider = format!(
        "grant_type = \"client_credentials\"\ntoken_endpoint = \"{}\"\nclient_id = \"c\"\n\
         client_secret = {{ env = \"CLIENT_SECRET\" }}\n",
        tokens.url()
    );
    let mut home = Home::new();
    for (name, host) in [("api", NAME), ("healthy", HEALTHY)] {
        home = home.provider(name, &provider).route_with(
            name,
            &format!("http://{host}:{port}"),
            &format!("allow_plaintext = true\n{route}"),
        );
    }
    home
}

/// An upstream at `address` that says so.
fn upstream_at(address: Ipv4Addr, port: u16) -> Server {
    Server::start_at((address, port).into(), move |stream, _| {
        let mut wire = Wire::new(stream);
        while let Ok(Some(_)) = wire.request() {
            if wire.send(ok(address.to_string())).is_err() {
                return;
            }
        }
    })
}

const FIRST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[test]
fn an_authorization_server_whose_name_is_lost_and_found() {
    let Some(names) = Names::new() else { return };
    names.set(FIRST);
    let server = FaultyServer::start(4);
    let api = ProtectedApi::start(server.issuer());
    let lines = format!(
        "token_endpoint = \"{}\"\nallow_plaintext = true\nclient_id = \"legacy-service\"\n\
         client_secret = {{ env = \"CLIENT_SECRET\" }}\n",
        server.url_at(&format!("http://{NAME}"))
    );
    let home = server.home_with(&lines, &api.origin());
    let begin = || {
        names.forget();
        server.cut();
    };
    let end = || names.set(FIRST);
    assert_survived(&server, &api, "dns", || names.run(&home), begin, end);
}

#[test]
fn an_upstream_whose_name_is_found_later() {
    let Some(names) = Names::new() else { return };
    let tokens = TokenEndpoint::issuing("token-1");
    let port = ports::unused().port();
    let _upstream = upstream_at(FIRST, port);
    let sidecar = names.run(&home(&tokens, port, ""));
    sidecar.wait_for_ok("healthy");
    let problem = assert_problem(&sidecar.get("/"), 502, "upstream-unreachable");
    assert_eq!(problem["route"], "api");
    assert_eq!(sidecar.admin("/readyz").status, 200);
    names.set(FIRST);
    assert_eq!(sidecar.get("/").status, 200, "a failed look-up was kept");
}

#[test]
fn an_upstream_whose_name_changes_is_followed_without_a_failed_request() {
    let Some(names) = Names::new() else { return };
    names.set(FIRST);
    let tokens = TokenEndpoint::issuing("token-1");
    let port = ports::unused().port();
    let (first, second) = (upstream_at(FIRST, port), upstream_at(SECOND, port));
    let home = home(&tokens, port, "");
    let sidecar = names.run(&home);
    sidecar.wait_for_ok("api");
    let mut client = Client::connect(sidecar.address());
    assert_eq!(client.get("/").text(), FIRST.to_string());

    names.set(SECOND);
    // A connection that is open and works may be used on: what it leads to is still there.
    for _ in 0..20 {
        assert_eq!(client.get("/").status, 200);
    }
    let used = first.connections();
    // The old address goes away, as servers do behind a name that moved.
    first.down();
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), SECOND.to_string());
    }
    assert_eq!(first.connections(), used);
    assert!(second.connections() > 0);
    assert_eq!(tokens.count(), 2);
}

#[test]
fn a_name_server_that_says_nothing_costs_its_route_the_time_to_connect_and_no_other() {
    // Only root may listen where resolvers ask.
    let Ok(_silent) = UdpSocket::bind(NAME_SERVER) else {
        return not_run(format!("no name server at {NAME_SERVER}"));
    };
    let Some(names) = Names::with_source("dns") else {
        return;
    };
    let tokens = TokenEndpoint::issuing("token-1");
    let port = ports::unused().port();
    let _upstream = upstream_at(FIRST, port);
    let home = home(&tokens, port, "timeouts.connect = \"1s\"\n");
    let sidecar = names.run(&home);
    sidecar.wait_for_ok("healthy");
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| assert_problem(&sidecar.get("/"), 504, "upstream-timeout"));
        }
        for _ in 0..50 {
            // A connection of its own each time, and so a look-up.
            let mut client = Client::connect(sidecar.route("healthy"));
            assert_eq!(client.get("/").status, 200);
        }
    });
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    // Known again, it is used again, whatever look-ups still hang.
    names.set(FIRST);
    until("an answer", || {
        (sidecar.get("/").status == 200).then_some(())
    });
}
