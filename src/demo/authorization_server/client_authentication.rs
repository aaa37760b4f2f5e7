//! Who asks (RFC 6749 §2.3.1): by HTTP Basic or in the parameters, and not by both.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, header};
use url::form_urlencoded;

use super::token_endpoint::OAuthError;
use crate::secret::Secret;

/// Checks that the request is one of the client `(id, secret)`.
pub(super) fn authenticate(
    (id, secret): (&str, &Secret),
    headers: &HeaderMap,
    parameters: &BTreeMap<String, String>,
) -> Result<(), OAuthError> {
    let (given_id, given_secret) = match (headers.get(header::AUTHORIZATION), parameters.get("client_secret")) {
        (Some(_), Some(_)) => return Err(OAuthError::invalid_request("two ways of client authentication at once")),
        (Some(field), None) => field
            .to_str()
            .ok()
            .and_then(basic)
            .ok_or(OAuthError::invalid_client("not a Basic authorization with form-encoded halves"))?,
        (None, Some(secret)) => {
            let id = parameters.get("client_id").ok_or(OAuthError::invalid_client("no client_id"))?;
            (id.clone(), secret.clone())
        }
        (None, None) => return Err(OAuthError::invalid_client("no client authentication")),
    };
    if given_id == id && secret.matches(given_secret.as_bytes()) {
        Ok(())
    } else {
        Err(OAuthError::invalid_client("no such client, or not its secret"))
    }
}

/// Both halves are form-encoded before they are put together.
fn basic(field: &str) -> Option<(String, String)> {
    let (scheme, encoded) = field.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((form_decoded(id)?, form_decoded(secret)?))
}

fn form_decoded(text: &str) -> Option<String> {
    if text.contains(['&', '=']) {
        return None;
    }
    Some(form_urlencoded::parse(text.as_bytes()).next().map(|(text, _)| text.into_owned()).unwrap_or_default())
}
