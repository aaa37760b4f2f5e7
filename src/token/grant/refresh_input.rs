//! The input for the next token request of a grant.

use crate::secret::Secret;

/// The input for the next token request.
pub(in crate::token) enum RefreshInput {
    /// A refresh token (RFC 6749 section 6).
    RefreshToken(Secret),
    /// Nothing: the authorization server refused the refresh token for good.
    Refused,
    /// Nothing: the refresh token belongs to another client or server.
    OtherClient,
    /// Nothing: the login was ended by a logout.
    LoggedOut,
    /// Nothing: there was no login, or it brought no refresh token.
    Missing,
}
