//! The name of an endpoint in messages: its configuration key and its origin.

use std::{fmt, sync::Arc};

use url::Url;

/// An endpoint of an authorization server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointKey {
    /// RFC 6749 §3.2.
    Token,
    /// The token endpoint of its own for refreshes.
    Refresh,
    /// RFC 6749 §3.1.
    Authorization,
    /// RFC 8628 §3.1.
    DeviceAuthorization,
    /// The API, which a value is captured from.
    Capture,
    /// The API itself.
    ApiBase,
    /// RFC 7009.
    Revocation,
    /// Headless consent.
    SignIn,
    /// The discovery document (RFC 8414).
    Issuer,
}

impl EndpointKey {
    /// Returns the configuration key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token_endpoint",
            Self::Refresh => "refresh_endpoint",
            Self::Authorization => "authorization_endpoint",
            Self::DeviceAuthorization => "device_authorization_endpoint",
            Self::Capture => "capture",
            Self::ApiBase => "api_base",
            Self::Revocation => "revocation_endpoint",
            Self::SignIn => "sign_in.endpoint",
            Self::Issuer => "issuer",
        }
    }
}

/// A key and the origin of the endpoint. User name, path and query are left out: they may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EndpointName {
    key: EndpointKey,
    origin: Option<Arc<str>>,
}

impl EndpointName {
    pub(super) const fn new(key: EndpointKey) -> Self {
        Self { key, origin: None }
    }

    pub(super) fn with_address(self, url: Option<&Url>) -> Self {
        Self {
            origin: url.map(|url| url.origin().ascii_serialization().into()),
            ..self
        }
    }
}

impl fmt::Display for EndpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.key.as_str())?;
        match &self.origin {
            Some(origin) => write!(f, " ({origin})"),
            None => Ok(()),
        }
    }
}
