//! How an authorization server is set up.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{super::serve, ConsentPage, Dialect};
use crate::{
    clock::{Clock, SystemClock},
    secret::Secret,
};

/// How to start one.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 is any free one.
    pub address: SocketAddr,
    /// The one registered client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// Whether it is a public client: the secret is then not asked for, and refused.
    pub public: bool,
    /// Whose ways the server has.
    pub dialect: Dialect,
    /// The client's addresses; the first is meant where a consent redirect names none. Where there are none, any address on
    /// this machine and any app's own scheme will do.
    pub redirect_uris: Vec<String>,
    /// How consent is given.
    pub consent_page: ConsentPage,
    /// The one account that can sign in without a browser.
    pub email: String,
    /// Its password.
    pub password: Secret,
    /// The scopes it may ask for.
    pub scopes: Vec<String>,
    /// How long a token lives.
    pub lifetime: Duration,
    /// What the lifetimes are measured by.
    pub clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: serve::ANY_PORT,
            client_id: "demo".into(),
            client_secret: Secret::new("demo-client-secret"),
            public: false,
            dialect: Dialect::Rfc,
            redirect_uris: Vec::new(),
            consent_page: ConsentPage::Skipped,
            email: "demo@example.com".into(),
            password: Secret::new("demo-password"),
            scopes: vec!["devices.read".into(), "devices.write".into()],
            lifetime: Duration::from_secs(300),
            clock: Arc::new(SystemClock),
        }
    }
}
