//! The layout of token responses.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

/// The token response: JSON Pointers (RFC 6901) to its members, and their meaning.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenResponse {
    /// Default `/access_token`.
    pub access_token: String,
    /// Default `/refresh_token`.
    pub refresh_token: String,
    /// Default `/expires_in`.
    pub expires_in: String,
    /// The unit of `expires_in`.
    pub expires_in_unit: ExpiresInUnit,
    /// The pointer to an absolute expiry: RFC 3339, or seconds or milliseconds since 1970.
    pub expires_at: Option<String>,
    /// The pointer to the refresh token's lifetime in seconds.
    pub refresh_expires_in: Option<String>,
    /// The lifetime when the response gives none.
    pub default_lifetime: Option<Lifetime>,
    /// The time after which a token is no longer used, whatever the response says.
    pub max_lifetime: Option<Duration>,
    /// The values of `token_type` that are accepted.
    pub token_types: TokenTypes,
    /// The condition that a success satisfies.
    pub success: Option<SuccessCondition>,
    /// The pointer to the error code. Default `/error`.
    pub error: String,
    /// The meaning of the vendor's error codes.
    pub error_map: BTreeMap<String, MappedError>,
}

impl Default for TokenResponse {
    fn default() -> Self {
        Self {
            access_token: "/access_token".to_owned(),
            refresh_token: "/refresh_token".to_owned(),
            expires_in: "/expires_in".to_owned(),
            expires_in_unit: ExpiresInUnit::default(),
            expires_at: None,
            refresh_expires_in: None,
            default_lifetime: None,
            max_lifetime: None,
            token_types: TokenTypes::default(),
            success: None,
            error: "/error".to_owned(),
            error_map: BTreeMap::new(),
        }
    }
}

/// The time for which a token is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// It expires after this time.
    For(Duration),
    /// It never expires.
    Never,
}

/// The unit of `expires_in`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpiresInUnit {
    /// RFC 6749 §5.1.
    #[default]
    Seconds,
    /// The vendor's own.
    Milliseconds,
}

/// The accepted values of `token_type` (RFC 6749 §7.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TokenTypes {
    /// Every type but those that need a proof of possession: `dpop`, `mac`, `pop`.
    #[default]
    AnyBearer,
    /// These, without regard to case.
    Only(Vec<String>),
}

/// `success`: the member that tells a success from an error.
#[derive(Clone, Debug, PartialEq)]
pub struct SuccessCondition {
    /// The JSON Pointer of the member.
    pub pointer: String,
    /// Its value in a success.
    pub equals: Value,
}

/// The meaning of a vendor's error code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MappedError {
    /// A code of RFC 6749 §5.2.
    Code(String),
    /// It passes by itself.
    Temporary,
}
