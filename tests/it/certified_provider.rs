//! Tokens of a real, certified authorization server, and an API that asks that server about each of them.
//!
//! Identifiers and secrets of its clients hold characters that client authentication has to encode (RFC 6749 §2.3.1).

use crate::support::{
    certified::Certified,
    client::{exchange, get},
    problem::assert_problem,
    setup::Setup,
    token_endpoint::TokenEndpoint,
};

struct World(Certified);

fn world(lifetime: &str) -> World {
    World(Certified::start(&[("TOKEN_LIFETIME", lifetime)]))
}

impl World {
    /// A sidecar that is the server's client `name`, with `secret`.
    fn setup(&self, name: &str, secret: &str) -> Setup {
        let client = &self.0.server.told["clients"][name];
        // The scripted endpoint only fills a place that the real one takes.
        let placeholder = TokenEndpoint::issuing("never");
        let setup = Setup::new(&placeholder, self.0.api.text("/origin"))
            .token_endpoint(self.0.server.text("/token_endpoint"));
        setup
            .client(&format!(
                "client_id = {}\nclient_secret = {{ env = \"PEER_SECRET\" }}",
                client["client_id"]
            ))
            .provider(&format!(
                "token_endpoint_auth_method = {}",
                client["token_endpoint_auth_method"]
            ))
            .provider("scope = \"devices.read devices.write\"")
            .environment("PEER_SECRET", secret)
    }

    fn secret(&self, name: &str) -> &str {
        self.0
            .server
            .text(&format!("/clients/{name}/client_secret"))
    }

    fn assert_passes(&self, name: &str) {
        let sidecar = self.setup(name, self.secret(name)).start_ready();
        for _ in 0..3 {
            self.0.assert_accepted(&sidecar, name);
        }
        assert_eq!(sidecar.status()["providers"]["api"]["token_requests"], 1);
    }
}

#[test]
fn client_secret_basic_is_let_in() {
    world("60").assert_passes("basic");
}

#[test]
fn client_secret_post_is_let_in() {
    world("60").assert_passes("post");
}

#[test]
fn direct_requests_are_refused() {
    let world = world("60");
    let api = world
        .0
        .api
        .text("/origin")
        .trim_start_matches("http://")
        .parse()
        .expect("an address");
    assert_eq!(get(api, "/v1/devices").status, 401);
    let forged =
        "GET /v1/devices HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer forged\r\n\r\n";
    assert_eq!(exchange(api, forged).status, 401);
}

#[test]
fn a_wrong_secret_is_reported_as_refused() {
    let world = world("60");
    for name in ["basic", "post"] {
        let sidecar = world.setup(name, "wrong").start();
        let body = assert_problem(&sidecar.get("/v1/devices"), 502, "token-refused");
        assert_eq!(body["error"], "invalid_client");
    }
}

#[test]
fn short_lived_tokens_are_renewed_before_the_server_forgets_them() {
    let world = world("3");
    let sidecar = world.setup("basic", world.secret("basic")).start_ready();
    // Until the third token is in use: none of the API's answers may be a refusal.
    crate::support::patience::until("the third token", || {
        assert_eq!(sidecar.get("/v1/devices").status, 200);
        (sidecar.status()["providers"]["api"]["token_requests"].as_u64() >= Some(3)).then_some(())
    });
    assert_eq!(sidecar.get("/v1/devices").status, 200);
}
