//! A token that ran out while its request waited is not sent; the request goes with a newer one.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use crate::support::{
    certificates::private_authority,
    client::{Client, get},
    h2_upstream::H2Upstream,
    patience::lock,
    setup::Setup,
    token_endpoint::{Issuer, TokenEndpoint},
    upstream::{Connection, Upstream},
    wire::ok,
};

/// Tokens that live for two seconds, and whether each that arrived was good at that instant.
struct World {
    tokens: TokenEndpoint,
    issuer: Arc<Issuer>,
    arrived: Arc<Mutex<Vec<(String, bool)>>>,
}

impl World {
    fn new() -> Self {
        let issuer = Arc::new(Issuer::default());
        let tokens = TokenEndpoint::start({
            let issuer = issuer.clone();
            move |_, _| issuer.issue(2)
        });
        Self {
            tokens,
            issuer,
            arrived: Arc::default(),
        }
    }

    /// Reads a request and notes its token.
    fn reader(&self) -> impl Fn(&mut Connection) -> bool + Send + Sync + 'static {
        let (issuer, arrived) = (self.issuer.clone(), self.arrived.clone());
        move |connection| {
            let Ok(Some(request)) = connection.request() else {
                return false;
            };
            let token = request
                .head
                .values("authorization")
                .join(", ")
                .replace("Bearer ", "");
            let good = issuer.is_valid(&token);
            lock(&arrived).push((token, good));
            true
        }
    }

    #[track_caller]
    fn assert_good(&self, count: usize) {
        let arrived = lock(&self.arrived).clone();
        assert_eq!(arrived.len(), count, "{arrived:?}");
        assert!(
            arrived.iter().all(|(_, good)| *good),
            "an expired token was sent: {arrived:?}"
        );
    }
}

#[test]
fn a_handshake_that_outlasts_the_token_costs_a_newer_one() {
    let world = World::new();
    let certificates = private_authority(&["localhost"]);
    let read = world.reader();
    let upstream = Upstream::scripted_over_tls(certificates.server, move |mut connection| {
        thread::sleep(Duration::from_millis(3500));
        if read(&mut connection) {
            let _ = connection.wire.send(ok("fine"));
        }
    });
    let setup = Setup::new(&world.tokens, upstream.origin());
    let ca = setup.file("ca.pem", &certificates.ca_pem);
    let route = format!("ca_file = \"{}\"\ntimeouts.connect = \"10s\"", ca.display());
    let sidecar = setup.route(&route).start_ready();
    assert_eq!(sidecar.get("/").status, 200);
    world.assert_good(1);
}

#[test]
fn a_repeat_that_comes_after_the_tokens_end_has_a_newer_one() {
    let world = World::new();
    let read = world.reader();
    let upstream = Upstream::scripted(move |mut connection| {
        if !read(&mut connection)
            || connection
                .wire
                .send(ok(connection.number.to_string()))
                .is_err()
        {
            return;
        }
        // The second request gets silence, and then the end of the connection.
        if read(&mut connection) {
            thread::sleep(Duration::from_secs(4));
        }
    });
    let sidecar = Setup::new(&world.tokens, upstream.origin())
        .tables("[runtime]\nworkers = 1")
        .start_ready();
    let mut client = Client::connect(sidecar.address());
    for connection in ["0", "1"] {
        let got = client.get("/");
        assert_eq!((got.status, got.text().as_str()), (200, connection));
    }
    world.assert_good(3);
}

#[test]
fn requests_that_are_too_many_for_an_http2_upstream_go_with_a_good_token() {
    let world = World::new();
    let (issuer, arrived) = (world.issuer.clone(), world.arrived.clone());
    // One at a time, and each takes half of a token's life.
    let mut settings = h2::server::Builder::new();
    settings.max_concurrent_streams(1);
    let upstream = H2Upstream::with(settings, move |mut call| {
        let field = &call.head.headers["authorization"];
        let token = field.to_str().unwrap().replace("Bearer ", "");
        let good = issuer.is_valid(&token);
        lock(&arrived).push((token, good));
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            call.answer(200, &[], "fine")
        }
    });
    let sidecar = Setup::new(&world.tokens, upstream.origin())
        .route("http2 = \"prior-knowledge\"")
        .tables("[runtime]\nworkers = 1")
        .start_ready();
    let address = sidecar.address();
    let clients: Vec<_> = (0..8)
        .map(|_| thread::spawn(move || get(address, "/").status))
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap(), 200);
    }
    world.assert_good(8);
}
