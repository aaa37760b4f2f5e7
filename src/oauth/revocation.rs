//! Takes a refresh token back (RFC 7009).

use super::{
    endpoint::{Answer, TokenEndpoint},
    error::{Target, TokenRequestError},
    request, response,
};
use crate::secret::Secret;

/// Asks the authorization server to forget `refresh_token`, and with it what was issued by it (RFC 7009 §2.1). True when it
/// did, also when it never knew it; false for a provider without a revocation endpoint, which is told nothing.
///
/// # Errors
/// Whatever kept the server from doing so; nothing is tried again.
pub async fn revoke(endpoint: &TokenEndpoint, refresh_token: &Secret) -> Result<bool, TokenRequestError> {
    let Some(request) = request::revocation(endpoint.provider(), refresh_token) else { return Ok(false) };
    let acknowledged = endpoint
        .send(request)
        .await
        .and_then(|Answer { status, headers, body }| response::acknowledged(status, &headers, &body, endpoint.wall()));
    acknowledged.map(|()| true).map_err(|error| error.at(Target::Revocation))
}

#[cfg(test)]
mod tests;
