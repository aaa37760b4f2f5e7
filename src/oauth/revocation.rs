//! Token revocation (RFC 7009).

use std::sync::Arc;

use super::{
    api_context::ApiContext,
    client_auth,
    endpoint::TokenEndpoint,
    error::{EndpointKey, Fault, TokenRequestError},
    provider::{EndpointUrl, Provider, RevocationAuth, RevokedToken},
    request, response,
    variables::Variables,
};
use crate::secret::Secret;

/// The tokens of a login that has ended, and the captured values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndedLogin {
    /// The refresh token. Its revocation ends the tokens that it issued (RFC 7009 §2.1).
    pub refresh_token: Option<Secret>,
    /// The last access token. Servers need not support its revocation (§2.2.1).
    pub access_token: Option<Secret>,
    /// The captured values, for variables.
    pub context: ApiContext,
}

impl EndedLogin {
    /// Returns whether there is no token to revoke.
    pub const fn is_empty(&self) -> bool {
        self.refresh_token.is_none() && self.access_token.is_none()
    }

    /// Returns the token that `provider` revokes: the one that `[revocation]` names, else the one there is.
    fn token(&self, provider: &Provider) -> Option<(RevokedToken, &Secret)> {
        let refresh = self.refresh_token.as_ref();
        let refresh = refresh.map(|token| (RevokedToken::RefreshToken, token));
        let access = self.access_token.as_ref();
        let access = access.map(|token| (RevokedToken::AccessToken, token));
        match provider.revocation.token {
            Some(RevokedToken::AccessToken) => access.or(refresh),
            Some(RevokedToken::RefreshToken) | None => refresh.or(access),
        }
    }
}

/// Revokes the token of a login at the authorization server, once, and returns which it was.
///
/// The server confirms it also for a token that it does not know. Without a revocation endpoint, or a token, nothing is
/// sent.
///
/// # Errors
/// The request failed, or the server refused it.
pub async fn revoke(
    endpoint: &TokenEndpoint,
    login: &EndedLogin,
) -> Result<Option<RevokedToken>, TokenRequestError> {
    let provider = &*provider(endpoint).await?;
    let address = provider.revocation_endpoint.as_ref();
    let (Some(address), Some((kind, token))) = (address, login.token(provider)) else {
        return Ok(None);
    };
    let sent = send(endpoint, provider, login, address, kind, token).await;
    sent.map(|()| Some(kind))
        .map_err(|error| error.for_endpoint(EndpointKey::Revocation, address.as_fixed(), provider))
}

/// Returns the provider, with the revocation endpoint of its discovery document if none is configured.
async fn provider(endpoint: &TokenEndpoint) -> Result<Arc<Provider>, TokenRequestError> {
    let configured = endpoint.provider();
    match endpoint.provider_with(EndpointKey::Revocation).await {
        // A server without a document, whose other endpoints are configured, has no revocation endpoint.
        Err(error)
            if matches!(error.fault(), Fault::Discovery(_))
                && configured.token_endpoint.is_some() =>
        {
            Ok(Arc::new(configured.clone()))
        }
        provider => provider,
    }
}

async fn send(
    endpoint: &TokenEndpoint,
    provider: &Provider,
    login: &EndedLogin,
    address: &EndpointUrl,
    kind: RevokedToken,
    token: &Secret,
) -> Result<(), TokenRequestError> {
    let bearer = match provider.revocation.auth {
        RevocationAuth::Bearer => Some(login.access_token.as_ref().ok_or_else(without_bearer)?),
        RevocationAuth::Client | RevocationAuth::None => None,
    };
    let hint = match kind {
        RevokedToken::RefreshToken => "refresh_token",
        RevokedToken::AccessToken => "access_token",
    };
    let variables = Variables::new(provider, &login.context);
    let url = endpoint.resolve(Some(address), &variables)?;
    let source = endpoint.source(provider, &variables);
    let request = request::revocation_request(source, url, token, hint, bearer)?;
    let response = endpoint.send(request).await?;
    let (headers, body) = (&response.headers, &response.body);
    let mut secrets = client_auth::secrets(provider);
    secrets.extend(
        [Some(token), bearer]
            .into_iter()
            .flatten()
            .map(Secret::exposed_copy),
    );
    response::check_success(
        response.status,
        headers,
        body,
        &secrets,
        endpoint.wall_time(),
    )
}

fn without_bearer() -> TokenRequestError {
    TokenRequestError::new(Fault::Setup(
        "it needs an access token, and the store has none",
    ))
}

#[cfg(test)]
mod tests;
