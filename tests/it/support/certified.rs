//! The certified authorization server of `tests/peers`, with the API that asks it about every token.

use serde_json::Value;

use super::{
    browser::Browser, client::exchange, home::Home, peers::Peer, sidecar::Sidecar, wire::Answer,
};

/// The script of the server.
pub const SERVER: &str = "authorization_server.mjs";

/// The server and the API.
pub struct Certified {
    pub server: Peer,
    pub api: Peer,
}

impl Certified {
    /// Starts both; `environment` is the server's.
    #[track_caller]
    pub fn start(environment: &[(&str, &str)]) -> Self {
        let server = Peer::start(SERVER, environment);
        let certificate = environment.iter().find(|(name, _)| *name == "TLS_CERT");
        let mut own = vec![
            (
                "INTROSPECTION_ENDPOINT",
                server.text("/introspection_endpoint"),
            ),
            ("CLIENT_ID", server.text("/clients/api/client_id")),
            ("CLIENT_SECRET", server.text("/clients/api/client_secret")),
        ];
        own.extend(certificate.map(|(_, path)| ("NODE_EXTRA_CA_CERTS", *path)));
        let api = Peer::start("protected_api.mjs", &own);
        Self { server, api }
    }

    /// Adds the route and the provider `api`, which is the server's client `name`.
    ///
    /// It knows the server by its issuer alone, so that everything goes through discovery.
    #[track_caller]
    pub fn configure(&self, home: Home, name: &str, lines: &str) -> Home {
        let client = &self.server.told["clients"][name];
        let method = &client["token_endpoint_auth_method"];
        let mut text = format!(
            "issuer = {:?}\nclient_id = {}\ntoken_endpoint_auth_method = {method}\n{lines}\n",
            self.server.text("/issuer"),
            client["client_id"],
        );
        let Some(secret) = client["client_secret"].as_str() else {
            return home
                .provider("api", &text)
                .route("api", self.api.text("/origin"));
        };
        text.push_str("client_secret = { env = \"PEER_SECRET\" }\n");
        home.provider("api", &text)
            .route("api", self.api.text("/origin"))
            .environment("PEER_SECRET", secret)
    }

    /// Asserts that the API accepts a request through the route `api` as one of the client `name`; gives its body.
    #[track_caller]
    pub fn assert_accepted(&self, sidecar: &Sidecar, name: &str) -> Value {
        let answer = sidecar.get("/v1/devices");
        assert_eq!(answer.status, 200, "{answer:?} {}", answer.text());
        let body = answer.json();
        let client = &self.server.told["clients"][name];
        assert_eq!(body["client_id"], client["client_id"], "{body}");
        assert!(body["devices"].is_array(), "{body}");
        body
    }

    /// The API's answer to a request with `token` past every sidecar.
    #[track_caller]
    pub fn ask_api(&self, token: &str) -> Answer {
        let origin = self.api.text("/origin").trim_start_matches("http://");
        let request = format!(
            "GET /v1/devices HTTP/1.1\r\nHost: {origin}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        exchange(origin.parse().expect("an address"), request)
    }
}

/// Logs in and consents, on the pages that oidc-provider has for developers.
#[track_caller]
pub fn consent(browser: &Browser) {
    browser.enter("//input[@name='login']", "a person");
    browser.enter("//input[@name='password']", "any password");
    browser.click("//button[@type='submit']");
    // Of the two pages the second has nothing to fill in.
    browser.click("//form[not(.//input[@name='password'])]//button[@type='submit']");
}
