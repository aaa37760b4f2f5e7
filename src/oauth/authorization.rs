//! One attempt at a user's consent (RFC 6749 §4.1): the URL to send a browser to, and the reading of what comes back.
//!
//! Pure but for the randomness of a new attempt and for [`exchange`].

mod callback;

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use url::Url;
use zeroize::Zeroizing;

pub use self::callback::{CallbackError, Description};
pub(super) use self::callback::{code, code_parameter};
use super::{
    endpoint::TokenEndpoint,
    error::TokenRequestError,
    grant::{Grant, Parameters},
    provider::Provider,
    redirect_uri::RedirectUri,
    response::Issued,
};
use crate::secret::Secret;

/// The random bytes in a `state`, and in a code verifier (RFC 7636 §4.1 recommends as many).
const RANDOM_BYTES: usize = 32;

/// What one attempt has to remember between the consent redirect and the exchange of the code. Good for one use.
#[derive(Clone, PartialEq, Eq)]
pub struct Attempt {
    state: Secret,
    code_verifier: Option<Secret>,
    redirect_uri: Option<RedirectUri>,
}

/// Neither state nor verifier is shown.
impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("pkce", &self.code_verifier.is_some())
            .finish_non_exhaustive()
    }
}

impl Attempt {
    /// A new attempt whose consent comes back to `redirect_uri`; `None` where the vendor knows it without being told.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn new(
        provider: &Provider,
        redirect_uri: Option<&RedirectUri>,
    ) -> Result<Self, getrandom::Error> {
        let state = random(RANDOM_BYTES)?;
        Self::with_state(provider, redirect_uri, state)
    }

    /// The same with a `state` of so many characters, for a vendor that demands a length.
    pub(super) fn with_state_length(
        provider: &Provider,
        redirect_uri: Option<&RedirectUri>,
        characters: usize,
    ) -> Result<Self, getrandom::Error> {
        // Three bytes make four characters.
        let long = random(characters.div_ceil(4) * 3)?;
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
            Some(random(RANDOM_BYTES)?)
        } else {
            None
        };
        Ok(Self {
            state,
            code_verifier,
            redirect_uri: redirect_uri.cloned(),
        })
    }

    /// What ties the callback to this attempt.
    pub fn state(&self) -> &Secret {
        &self.state
    }

    /// Where the consent comes back to.
    pub fn redirect_uri(&self) -> Option<&RedirectUri> {
        self.redirect_uri.as_ref()
    }

    /// Where to send the browser (RFC 6749 §4.1.1, RFC 7636 §4.3); `None` for a provider without an authorization endpoint.
    pub fn url(&self, provider: &Provider) -> Option<Url> {
        let mut url = provider.authorization.as_ref()?.endpoint.clone()?;
        // What the endpoint's query holds already is kept (RFC 6749 §3.1).
        url.query_pairs_mut()
            .extend_pairs(self.parameters(provider).iter());
        Some(url)
    }

    /// The parameters of the consent redirect. The configured ones come last and replace what they name.
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
            parameters.set(name, value);
        }
        parameters
    }

    /// Reads the query of the callback, without its `?`, and returns the code.
    ///
    /// # Errors
    /// It is not the response to this attempt, or the response is no.
    pub fn read_callback(&self, provider: &Provider, query: &str) -> Result<Secret, CallbackError> {
        callback::read(self, provider, query)
    }

    /// Reads what a person copied: the address that the browser was sent back to, its query, or the code alone.
    ///
    /// A code alone comes without a state, and what ties it to this attempt is the person, and the verifier.
    ///
    /// # Errors
    /// As [`Attempt::read_callback`].
    pub fn read_pasted(&self, provider: &Provider, text: &str) -> Result<Secret, CallbackError> {
        callback::read_pasted(self, provider, text)
    }

    /// The grant that `code`, of this attempt, is exchanged under.
    pub fn grant<'a>(&'a self, code: &'a Secret) -> Grant<'a> {
        Grant::AuthorizationCode {
            code,
            redirect_uri: self.redirect_uri.as_ref().map(RedirectUri::as_str),
            code_verifier: self.code_verifier.as_ref(),
        }
    }
}

/// Exchanges the `code` that `attempt` brought for tokens, once (RFC 6749 §4.1.3).
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

/// RFC 7636 §4.2, S256.
pub(super) fn challenge(verifier: &Secret) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose()))
}

/// So many random bytes in base64url.
fn random(bytes: usize) -> Result<Secret, getrandom::Error> {
    let mut random = Zeroizing::new(vec![0; bytes]);
    getrandom::fill(&mut random)?;
    Ok(Secret::new(BASE64_URL_SAFE_NO_PAD.encode(&*random)))
}

#[cfg(test)]
mod tests;
