//! The endpoints of an authorization server, by their configuration keys.

use http::Method;

use crate::oauth::provider::{Provider, RevocationMethod, TokenMethod};

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

    /// Returns the method of requests to the endpoint.
    pub(super) fn method(self, provider: &Provider) -> Method {
        match self {
            Self::Token | Self::Refresh => match provider.token_request.method {
                TokenMethod::Post => Method::POST,
                TokenMethod::Get => Method::GET,
            },
            Self::Revocation => match provider.revocation.method {
                RevocationMethod::Post => Method::POST,
                RevocationMethod::Delete => Method::DELETE,
            },
            Self::Capture | Self::ApiBase | Self::Issuer | Self::Authorization => Method::GET,
            Self::DeviceAuthorization | Self::SignIn => Method::POST,
        }
    }
}
