//! One attempt at a user's consent (RFC 6749 §4.1): the authorization request and its callback.
//!
//! Only [`exchange`] does input or output.

mod callback;

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use url::Url;
use zeroize::Zeroizing;

pub use self::callback::CallbackError;
pub(super) use self::callback::{code_parameter, parse_code};
use super::{
    api_context::ApiContext,
    capture::{self, Captured},
    endpoint::TokenEndpoint,
    error::{EndpointKey, Fault, TokenRequestError},
    grant::Grant,
    parameters::Parameters,
    provider::Provider,
    redirect_uri::RedirectUri,
    response::Issued,
    template::MissingVariable,
    variables::Variables,
};
use crate::secret::Secret;

/// Random bytes of a `state` and of a code verifier, as RFC 7636 §4.1 recommends.
const RANDOM_BYTES: usize = 32;

/// The secrets of one attempt, from the authorization request to the exchange of the code. Good for one use.
#[derive(Clone, PartialEq, Eq)]
pub struct Attempt {
    state: Secret,
    code_verifier: Option<Secret>,
    redirect_uri: Option<RedirectUri>,
    /// The text that is sent instead.
    redirect_uri_value: Option<String>,
}

/// The content of a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorized {
    /// The authorization code.
    pub code: Secret,
    /// The captured values among the callback's parameters.
    pub captured: Captured,
}

/// Shows neither state nor verifier.
impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("pkce", &self.code_verifier.is_some())
            .finish_non_exhaustive()
    }
}

impl Attempt {
    /// Starts an attempt whose callback goes to `redirect_uri`; `None` sends no such parameter.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new(
        provider: &Provider,
        redirect_uri: Option<&RedirectUri>,
    ) -> Result<Self, getrandom::Error> {
        let state = random_secret(RANDOM_BYTES)?;
        Self::with_state(provider, redirect_uri, state)
    }

    /// Starts an attempt whose `state` has the length that the vendor demands, in characters.
    pub(super) fn with_state_length(
        provider: &Provider,
        redirect_uri: Option<&RedirectUri>,
        characters: usize,
    ) -> Result<Self, getrandom::Error> {
        // Three bytes make four characters.
        let long = random_secret(characters.div_ceil(4) * 3)?;
        Self::with_state(
            provider,
            redirect_uri,
            Secret::new(&long.expose()[..characters]),
        )
    }

    fn with_state(
        provider: &Provider,
        redirect_uri: Option<&RedirectUri>,
        state: Secret,
    ) -> Result<Self, getrandom::Error> {
        let pkce = provider
            .authorization
            .as_ref()
            .is_none_or(|authorization| authorization.pkce);
        let code_verifier = if pkce {
            Some(random_secret(RANDOM_BYTES)?)
        } else {
            None
        };
        Ok(Self {
            state,
            code_verifier,
            redirect_uri: redirect_uri.cloned(),
            redirect_uri_value: provider
                .authorization
                .as_ref()
                .and_then(|settings| settings.redirect_uri_value.clone()),
        })
    }

    /// Returns the `state`, which ties the callback to this attempt.
    pub fn state(&self) -> &Secret {
        &self.state
    }

    /// Returns the address of the callback.
    pub fn redirect_uri(&self) -> Option<&RedirectUri> {
        self.redirect_uri.as_ref()
    }

    /// Builds the URL of the authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3).
    ///
    /// # Errors
    /// The provider has no authorization endpoint, or a variable has no value.
    pub fn url(&self, provider: &Provider) -> Result<Url, TokenRequestError> {
        let url = self.request_url(provider);
        url.map_err(|error| error.for_endpoint(EndpointKey::Authorization, None, provider))
    }

    fn request_url(&self, provider: &Provider) -> Result<Url, TokenRequestError> {
        let settings = provider.authorization.as_ref();
        let endpoint = settings.and_then(|settings| settings.endpoint.as_ref());
        let unknown = || TokenRequestError::new(Fault::Setup("its address is not known"));
        let context = ApiContext::default();
        let variables = self.variables(provider, &context);
        let mut url = variables.complete(endpoint.ok_or_else(unknown)?)?;
        // RFC 6749 §3.1: the endpoint's own query stays.
        url.query_pairs_mut()
            .extend_pairs(self.parameters(provider)?.iter());
        Ok(url)
    }

    /// Lists the parameters of the authorization request. Configured ones replace others of their name.
    ///
    /// # Errors
    /// A variable has no value.
    pub(super) fn parameters(&self, provider: &Provider) -> Result<Parameters, MissingVariable> {
        let mut parameters = Parameters::default();
        parameters.set("response_type", "code");
        parameters.set("client_id", &provider.client_id);
        if let Some(redirect_uri) = self.sent_redirect_uri() {
            parameters.set("redirect_uri", redirect_uri);
        }
        if let Some(scope) = &provider.scope {
            parameters.set("scope", scope);
        }
        parameters.set("state", self.state.expose());
        if let Some(verifier) = &self.code_verifier {
            parameters.set("code_challenge", &challenge(verifier));
            parameters.set("code_challenge_method", "S256");
        }
        if let Some(settings) = &provider.authorization {
            let context = ApiContext::default();
            parameters.set_configured(&settings.params, &self.variables(provider, &context))?;
            parameters.remove(&settings.omit);
            parameters.rename(&settings.rename);
        }
        Ok(parameters)
    }

    fn variables<'a>(&'a self, provider: &'a Provider, context: &'a ApiContext) -> Variables<'a> {
        Variables::new(provider, context).with_redirect_uri(self.sent_redirect_uri())
    }

    /// Returns the value of `redirect_uri` in requests.
    fn sent_redirect_uri(&self) -> Option<&str> {
        let value = self.redirect_uri_value.as_deref();
        value.or_else(|| self.redirect_uri.as_ref().map(RedirectUri::as_str))
    }

    /// Reads the query of the callback, without its `?`, and returns the code and the captured values.
    ///
    /// # Errors
    /// The callback belongs to another attempt, is a refusal, or holds no valid code.
    pub fn read_callback(
        &self,
        provider: &Provider,
        query: &str,
    ) -> Result<Authorized, CallbackError> {
        callback::read_callback(self, provider, query)
    }

    /// Reads copied text: the address of the callback, its query, or the code alone.
    ///
    /// A code alone has no state. The person and the verifier tie it to this attempt.
    ///
    /// # Errors
    /// As [`Attempt::read_callback`].
    pub fn read_pasted(
        &self,
        provider: &Provider,
        text: &str,
    ) -> Result<Authorized, CallbackError> {
        callback::read_pasted(self, provider, text)
    }

    /// Returns the secrets of this attempt.
    pub(super) fn secrets(&self) -> impl Iterator<Item = Zeroizing<String>> {
        let secrets = [Some(&self.state), self.code_verifier.as_ref()];
        let secrets = secrets.into_iter().flatten();
        secrets.map(Secret::exposed_copy)
    }

    /// Returns the grant for the `code` of this attempt.
    pub fn grant<'a>(&'a self, code: &'a Secret) -> Grant<'a> {
        Grant::AuthorizationCode {
            code,
            redirect_uri: self.sent_redirect_uri(),
            code_verifier: self.code_verifier.as_ref(),
        }
    }
}

/// Exchanges the code of `attempt` for tokens, once (RFC 6749 §4.1.3), and captures what the login brings beside them.
///
/// # Errors
/// As [`TokenEndpoint::request`]; or a captured value is missing.
pub async fn exchange(
    endpoint: &TokenEndpoint,
    attempt: &Attempt,
    authorized: &Authorized,
) -> Result<Issued, TokenRequestError> {
    let context = ApiContext {
        captured: authorized.captured.clone(),
        ..ApiContext::default()
    };
    let issued = endpoint
        .request(attempt.grant(&authorized.code), &context)
        .await?;
    capture::complete(endpoint, issued, context.captured).await
}

/// Derives the code challenge by S256 (RFC 7636 §4.2).
pub(super) fn challenge(verifier: &Secret) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose()))
}

/// Returns `bytes` random bytes in base64url.
fn random_secret(bytes: usize) -> Result<Secret, getrandom::Error> {
    let mut random = Zeroizing::new(vec![0; bytes]);
    getrandom::fill(&mut random)?;
    Ok(Secret::new(BASE64_URL_SAFE_NO_PAD.encode(&*random)))
}

#[cfg(test)]
mod tests;
