//! The grants that obtain tokens.

use std::sync::Arc;

/// `grant_type` (RFC 6749 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantType {
    /// RFC 6749 §4.4.
    ClientCredentials,
    /// RFC 6749 §4.1, then §6.
    AuthorizationCode,
    /// RFC 6749 §6 with a refresh token given by configuration.
    RefreshToken,
    /// RFC 6749 §4.3.
    Password,
    /// RFC 7523 §2.1.
    JwtBearer,
    /// RFC 8628, then RFC 6749 §6.
    DeviceCode,
    /// RFC 8693.
    TokenExchange,
    /// No `grant_type` is sent.
    None,
    /// A grant of the vendor's own, which is sent as it is and needs no login.
    Other(Arc<str>),
}

impl GrantType {
    /// Returns the value of the configuration's `grant_type`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::Password => "password",
            Self::JwtBearer => "jwt_bearer",
            Self::DeviceCode => "device_code",
            Self::TokenExchange => "token_exchange",
            Self::None => "none",
            Self::Other(name) => name,
        }
    }

    /// Returns whether a login, a user's or a configured one, has to come before the first token.
    pub const fn needs_login(&self) -> bool {
        matches!(
            self,
            Self::AuthorizationCode | Self::RefreshToken | Self::DeviceCode
        )
    }
}
