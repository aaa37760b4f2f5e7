//! Takes a token back (RFC 7009).

use super::{
    endpoint::{EndpointResponse, TokenEndpoint},
    error::{Target, TokenRequestError},
    request, response,
};
use crate::secret::Secret;

/// What is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// A refresh token, and with it what was issued by it (RFC 7009 §2.1).
    RefreshToken(Secret),
    /// An access token that no refresh token came with. Servers need not be able to take it back (§2.2.1).
    AccessToken(Secret),
}

/// Asks the authorization server to forget `revoked`. True when it did, also when it never knew it; false for a provider
/// without a revocation endpoint, which is told nothing.
///
/// # Errors
/// Whatever kept the server from doing so; nothing is tried again.
pub async fn revoke(
    endpoint: &TokenEndpoint,
    revoked: &Revoked,
) -> Result<bool, TokenRequestError> {
    let (token, hint) = match revoked {
        Revoked::RefreshToken(token) => (token, "refresh_token"),
        Revoked::AccessToken(token) => (token, "access_token"),
    };
    let Some(request) = request::revocation(endpoint.provider(), token, hint) else {
        return Ok(false);
    };
    let acknowledged = endpoint.send(request).await.and_then(
        |EndpointResponse {
             status,
             headers,
             body,
         }| response::acknowledged(status, &headers, &body, endpoint.wall()),
    );
    acknowledged
        .map(|()| true)
        .map_err(|error| error.for_endpoint(Target::Revocation))
}

#[cfg(test)]
mod tests;
