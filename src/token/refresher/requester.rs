//! Counted requests to one provider's token endpoint.

use std::sync::Arc;

use crate::{
    clock::Clock,
    oauth::{
        api_context::ApiContext,
        endpoint::TokenEndpoint,
        error::{Fault, TokenRequestError},
        grant::Grant,
        provider::{ApiBase, GrantType, Provider},
        response::Issued,
        sign_in,
    },
    token::{
        access_token::AccessToken,
        jitter::random,
        request_counter::RequestCounter,
        schedule::{RenewalPolicy, TokenDeadlines},
    },
};

/// The client of one provider's token endpoint. It counts every request in status and metrics.
pub(super) struct TokenRequester {
    provider: Arc<Provider>,
    clock: Arc<dyn Clock>,
    endpoint: TokenEndpoint,
    counter: RequestCounter,
}

impl TokenRequester {
    pub(super) fn new(
        provider: Arc<Provider>,
        clock: Arc<dyn Clock>,
        counter: RequestCounter,
    ) -> Self {
        Self {
            endpoint: TokenEndpoint::new(provider.clone(), clock.clone()),
            provider,
            clock,
            counter,
        }
    }

    /// Makes one token request. `context` holds the captured values of the login.
    pub(super) async fn request(
        &self,
        grant: Grant<'_>,
        context: &ApiContext,
    ) -> Result<Issued, TokenRequestError> {
        let request = self.endpoint.request(grant, context);
        self.counter.count(grant.name(), request).await
    }

    /// Signs in with the configured account and exchanges the code.
    pub(super) async fn sign_in(&self) -> Result<Issued, TokenRequestError> {
        let grant_type = GrantType::AuthorizationCode.as_str();
        let request = sign_in::sign_in(&self.endpoint);
        self.counter.count(grant_type, request).await
    }

    /// Gives an issued token its deadlines, counted from before the request, and its context.
    ///
    /// # Errors
    /// Its lifetime is over already, or the API's base is not known.
    pub(super) fn to_token(
        &self,
        issued: Issued,
        policy: RenewalPolicy,
        context: ApiContext,
    ) -> Result<AccessToken, TokenRequestError> {
        let needs_base = matches!(self.provider.api_base, Some(ApiBase::Response { .. }));
        if needs_base && context.base.is_none() {
            let unknown = "no response since the login has `api_base.from`";
            return Err(TokenRequestError::new(Fault::ApiBase(unknown)));
        }
        let deadlines = TokenDeadlines::new(issued.requested_at, issued.lifetime, policy, random());
        let token = AccessToken::new(issued.access_token, deadlines, &*self.clock);
        if !token.is_usable(self.clock.now()) {
            let expired = Fault::NotAToken("its lifetime was over when it came");
            return Err(TokenRequestError::new(expired));
        }
        Ok(token.with_context(context))
    }
}
