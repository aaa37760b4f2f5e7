//! The settings of an authorization server.

use std::{net::SocketAddr, time::Duration};

use super::{ConsentPage, Dialect};
use crate::{clock::Clock, serve};

/// The settings of an authorization server. The default has one confidential client, `demo`.
#[derive(Clone)]
pub struct Options {
    /// The address to listen on; port 0 is any free port.
    pub address: SocketAddr,
    /// The id of the registered client.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
    /// Whether the client is public (RFC 6749 §2.1); a secret is then refused.
    pub public: bool,
    /// The vendor whose endpoints and parameters the server has.
    pub dialect: Dialect,
    /// The registered redirect URIs; the first is the default.
    ///
    /// When empty, any loopback address and any private-use scheme is accepted.
    pub redirect_uris: Vec<String>,
    /// Whether consent needs a click.
    pub consent_page: ConsentPage,
    /// The email of the account that can sign in without a browser.
    pub email: String,
    /// The account's password.
    pub password: String,
    /// The scopes that the client may request.
    pub scopes: Vec<String>,
    /// The lifetime of access tokens.
    pub lifetime: Duration,
    /// The clock by which codes and tokens expire.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: serve::ANY_LOOPBACK_PORT,
            client_id: "demo".into(),
            client_secret: "demo-client-secret".into(),
            public: false,
            dialect: Dialect::Rfc,
            redirect_uris: Vec::new(),
            consent_page: ConsentPage::Skipped,
            email: "demo@example.com".into(),
            password: "demo-password".into(),
            scopes: vec!["devices.read".into(), "devices.write".into()],
            lifetime: Duration::from_secs(300),
            clock: Clock::default(),
        }
    }
}
