//! The settings of revocations.

use std::collections::BTreeMap;

use super::{Encoding, ParameterValue};

/// `[providers.NAME.revocation]`: deviations from RFC 7009.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Revocation {
    /// The HTTP method.
    pub method: RevocationMethod,
    /// The encoding of the parameters.
    pub encoding: Encoding,
    /// The token that is revoked; by default the refresh token, else the access token.
    pub token: Option<RevokedToken>,
    /// The authentication.
    pub auth: RevocationAuth,
    /// Additional parameters.
    pub params: BTreeMap<String, ParameterValue>,
}

/// The HTTP method of a revocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RevocationMethod {
    /// RFC 7009 §2.1.
    #[default]
    Post,
    /// The vendor's own.
    Delete,
}

/// The token that a revocation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokedToken {
    /// RFC 6749 §1.5.
    RefreshToken,
    /// RFC 6749 §1.4.
    AccessToken,
}

/// The authentication of a revocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RevocationAuth {
    /// That of token requests (RFC 7009 §2.1).
    #[default]
    Client,
    /// The access token as Bearer token.
    Bearer,
    /// None.
    None,
}
