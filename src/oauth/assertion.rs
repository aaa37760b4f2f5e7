//! JWT assertions (RFC 7523): for client authentication, and as a grant.

mod claims;
mod error;
mod jwk;
mod key;
mod material;
mod signer;

use std::time::SystemTime;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Header, encode};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

pub use self::error::AssertionError;
use self::key::SigningKey;
use super::{
    error::{Fault, TokenRequestError},
    provider::{Assertion, AssertionSource, Provider, SigningAlgorithm},
    variables::Variables,
};
use crate::{
    clock::Clock,
    secret::{LiveSecret, Secret},
};

/// Reads a ready assertion again, if the provider has one: before each request that may hold it.
///
/// # Errors
/// Its file cannot be read within the provider's timeout.
pub async fn reload(provider: &Provider) -> Result<(), TokenRequestError> {
    if let Some(assertion) = &provider.assertion
        && let AssertionSource::File(file) = &assertion.source
    {
        let read = file.reload_within(provider.token_request.timeout).await;
        read.map_err(|error| AssertionError::file(file, &error))?;
    }
    Ok(())
}

/// Makes the assertion of `provider` for one request, or returns the ready one as [`reload`] has read it.
///
/// # Errors
/// The provider has none, its key cannot be used, or a variable has no value.
pub fn make(
    provider: &Provider,
    variables: &Variables<'_>,
    clock: &dyn Clock,
) -> Result<Secret, TokenRequestError> {
    let default = Assertion::of_client_secret();
    let assertion = match (&provider.assertion, &provider.client_secret) {
        (Some(assertion), _) => assertion,
        (None, Some(_)) => &default,
        (None, None) => return Err(AssertionError::NotConfigured.into()),
    };
    if let AssertionSource::File(file) = &assertion.source {
        return Ok(Secret::clone(&file.current()));
    }
    let key = signing_key(assertion, provider.client_secret.as_deref())?;
    let claims = claims::build(assertion, provider, variables, unix_seconds(clock.wall()))?;
    sign(assertion, &key, &claims).map_err(TokenRequestError::from)
}

/// Checks that the key of an assertion can be used, and that it fits the algorithm.
///
/// # Errors
/// The key cannot be used. A ready assertion is not read.
pub fn check(
    assertion: &Assertion,
    client_secret: Option<&LiveSecret>,
) -> Result<(), AssertionError> {
    match assertion.source {
        AssertionSource::File(_) => Ok(()),
        _ => signing_key(assertion, client_secret).map(drop),
    }
}

fn signing_key(
    assertion: &Assertion,
    client_secret: Option<&LiveSecret>,
) -> Result<SigningKey, AssertionError> {
    let algorithm = assertion.algorithm;
    match &assertion.source {
        AssertionSource::Key(key) => SigningKey::parse(&key.current(), algorithm),
        AssertionSource::ClientSecret | AssertionSource::File(_) => {
            let secret = client_secret.ok_or(AssertionError::NoClientSecret)?;
            SigningKey::of_client_secret(&secret.current(), algorithm)
        }
    }
}

/// Signs the claims, in the compact serialization (RFC 7515 §3.1).
fn sign(
    assertion: &Assertion,
    key: &SigningKey,
    claims: &claims::Claims,
) -> Result<Secret, AssertionError> {
    signer::install();
    let mut header = Header::new(key.algorithm);
    let configured = assertion.kid.as_ref().map(|kid| kid.current());
    header.kid = match &configured {
        Some(kid) => Some(kid.expose().to_owned()),
        None => key.id.clone(),
    };
    if let Some(certificate) = &assertion.certificate {
        let thumbprint = |algorithm| BASE64_URL_SAFE_NO_PAD.encode(digest(algorithm, certificate));
        header.x5t = Some(thumbprint(&SHA1_FOR_LEGACY_USE_ONLY));
        header.x5t_s256 = Some(thumbprint(&SHA256));
    }
    let signed = encode(&header, claims, &key.encoding);
    signed
        .map(Secret::new)
        .map_err(|_| AssertionError::NotSigned)
}

fn unix_seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

impl From<AssertionError> for TokenRequestError {
    fn from(error: AssertionError) -> Self {
        Self::new(Fault::Unusable(error.to_string()))
    }
}

#[cfg(test)]
mod tests;
