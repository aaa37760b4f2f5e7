//! Token revocation (RFC 7009).

use super::{
    endpoint::TokenEndpoint,
    error::{EndpointKey, TokenRequestError},
    request, response,
};
use crate::secret::Secret;

/// A token to be revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// A refresh token, with the tokens that it issued (RFC 7009 §2.1).
    RefreshToken(Secret),
    /// An access token without a refresh token. Servers need not support this (§2.2.1).
    AccessToken(Secret),
}

/// Revokes a token at the authorization server, once.
///
/// Returns true when the server confirms it, also for a token unknown to the server. Returns false for a provider
/// without a revocation endpoint, without a request.
///
/// # Errors
/// The request failed, or the server refused it.
pub async fn revoke(
    endpoint: &TokenEndpoint,
    revoked: &Revoked,
) -> Result<bool, TokenRequestError> {
    let (token, hint) = match revoked {
        Revoked::RefreshToken(token) => (token, "refresh_token"),
        Revoked::AccessToken(token) => (token, "access_token"),
    };
    let Some(address) = &endpoint.provider().revocation_endpoint else {
        return Ok(false);
    };
    let url = endpoint.resolve(Some(address))?;
    let request = request::revocation_request(endpoint.provider(), url.clone(), token, hint);
    let sent = endpoint.send(request).await;
    sent.and_then(|response| {
        response::check_success(
            response.status,
            &response.headers,
            &response.body,
            endpoint.wall_time(),
        )
    })
    .map(|()| true)
    .map_err(|error| error.for_endpoint(EndpointKey::Revocation, Some(&url)))
}

#[cfg(test)]
mod tests;
