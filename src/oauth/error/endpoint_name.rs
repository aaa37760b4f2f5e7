//! The name of an endpoint in messages: its configuration key and its origin.

use std::{fmt, sync::Arc};

use url::Url;

/// An endpoint of an authorization server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointKey {
    /// RFC 6749 §3.2.
    Token,
    /// RFC 7009.
    Revocation,
    /// Headless consent.
    SignIn,
}

impl EndpointKey {
    /// Returns the configuration key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token_endpoint",
            Self::Revocation => "revocation_endpoint",
            Self::SignIn => "sign_in.endpoint",
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
