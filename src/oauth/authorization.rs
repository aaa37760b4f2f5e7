//! One attempt at a user's consent (RFC 6749 §4.1): the authorization request and its callback.
//!
//! Only [`exchange`] does input or output.

mod callback;

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use url::Url;
use zeroize::Zeroizing;

pub use self::callback::{CallbackError, ErrorDescription};
pub(super) use self::callback::{code_parameter, parse_code};
use super::{
    endpoint::TokenEndpoint,
    error::TokenRequestError,
    grant::{Grant, Parameters},
    provider::Provider,
    redirect_uri::RedirectUri,
    response::Issued,
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
    /// `None` for a provider without an authorization endpoint.
    pub fn url(&self, provider: &Provider) -> Option<Url> {
        let mut url = provider
            .authorization
            .as_ref()?
            .endpoint
            .as_ref()?
            .as_fixed()?
            .clone();
        // RFC 6749 §3.1: the endpoint's own query stays.
        url.query_pairs_mut()
            .extend_pairs(self.parameters(provider).iter());
        Some(url)
    }

    /// Lists the parameters of the authorization request. Configured ones replace others of their name.
    pub(super) fn parameters(&self, provider: &Provider) -> Parameters {
        let mut parameters = Parameters::default();
        parameters.set("response_type", "code");
        parameters.set("client_id", &provider.client_id);
        if let Some(redirect_uri) = &self.redirect_uri {
            parameters.set("redirect_uri", redirect_uri.as_str());
        }
        if let Some(scope) = &provider.scope {
            parameters.set("scope", scope);
        }
        parameters.set("state", self.state.expose());
        if let Some(verifier) = &self.code_verifier {
            parameters.set("code_challenge", &challenge(verifier));
            parameters.set("code_challenge_method", "S256");
        }
        for (name, value) in provider
            .authorization
            .iter()
            .flat_map(|authorization| &authorization.params)
        {
            for value in value.resolve(|_| None).unwrap_or_default() {
                parameters.set(name, &value);
            }
        }
        parameters
    }

    /// Reads the query of the callback, without its `?`, and returns the code.
    ///
    /// # Errors
    /// The callback belongs to another attempt, is a refusal, or holds no valid code.
    pub fn read_callback(&self, provider: &Provider, query: &str) -> Result<Secret, CallbackError> {
        callback::read_callback(self, provider, query)
    }

    /// Reads copied text: the address of the callback, its query, or the code alone.
    ///
    /// A code alone has no state. The person and the verifier tie it to this attempt.
    ///
    /// # Errors
    /// As [`Attempt::read_callback`].
    pub fn read_pasted(&self, provider: &Provider, text: &str) -> Result<Secret, CallbackError> {
        callback::read_pasted(self, provider, text)
    }

    /// Returns the grant for the `code` of this attempt.
    pub fn grant<'a>(&'a self, code: &'a Secret) -> Grant<'a> {
        Grant::AuthorizationCode {
            code,
            redirect_uri: self.redirect_uri.as_ref().map(RedirectUri::as_str),
            code_verifier: self.code_verifier.as_ref(),
        }
    }
}

/// Exchanges the `code` of `attempt` for tokens, once (RFC 6749 §4.1.3).
///
/// # Errors
/// As [`TokenEndpoint::request`].
pub async fn exchange(
    endpoint: &TokenEndpoint,
    attempt: &Attempt,
    code: &Secret,
) -> Result<Issued, TokenRequestError> {
    endpoint.request(attempt.grant(code)).await
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
