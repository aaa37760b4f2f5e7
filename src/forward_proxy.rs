//! An HTTP proxy that outgoing connections go through.

use std::sync::Arc;

use url::Url;

use crate::secret::LiveSecret;

/// `proxy`: an HTTP proxy (RFC 9110 §9.3.6), with its credentials.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardProxy {
    /// Its address, without a path, a query and user information.
    pub url: Url,
    /// User name and password for HTTP Basic (RFC 7617).
    pub credentials: Option<ProxyCredentials>,
}

/// The credentials for a proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct ProxyCredentials {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Arc<LiveSecret>,
}
