//! An HTTP proxy that outgoing connections go through.

use std::{fmt, sync::Arc};

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

impl ForwardProxy {
    /// Returns host and port.
    pub fn address(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or(80);
        format!("{host}:{port}")
    }
}

/// An environment variable that names a proxy. It is never used: the configuration names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyVariable(&'static str);

impl ProxyVariable {
    const ALL: [&'static str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

    /// Returns the first variable for HTTPS that is set and not empty.
    pub fn find(environment: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        Self::values(environment)
            .next()
            .map(|(variable, _)| variable)
    }

    /// Returns the variables for HTTPS that are set and not empty, with their values.
    pub fn values(
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> impl Iterator<Item = (Self, String)> {
        let value = |name| Some((Self(name), environment(name)?));
        let values = Self::ALL.into_iter().filter_map(value);
        values.filter(|(_, value)| !value.is_empty())
    }
}

impl fmt::Display for ProxyVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The credentials for a proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct ProxyCredentials {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Arc<LiveSecret>,
}
