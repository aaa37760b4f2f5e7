//! Client authentication at the token and revocation endpoints (RFC 6749 §2.3).

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, header};
use url::form_urlencoded;

use super::oauth_error::OAuthError;

/// The registered client.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: String,
    /// Whether it was registered without a secret.
    pub(super) public: bool,
}

impl Client {
    /// Checks that the request is from this client.
    pub(super) fn authenticate(
        &self,
        headers: &HeaderMap,
        parameters: &BTreeMap<String, String>,
    ) -> Result<(), OAuthError> {
        if self.public {
            return self.identify(headers, parameters);
        }
        let (id, secret) = match (
            headers.get(header::AUTHORIZATION),
            parameters.get("client_secret"),
        ) {
            (Some(_), Some(_)) => {
                return Err(OAuthError::invalid_request(
                    "two methods of client authentication at once",
                ));
            }
            (Some(field), None) => {
                field
                    .to_str()
                    .ok()
                    .and_then(basic)
                    .ok_or(OAuthError::invalid_client(
                        "not a Basic authorization with form-encoded halves",
                    ))?
            }
            (None, Some(secret)) => {
                let id = parameters
                    .get("client_id")
                    .ok_or(OAuthError::invalid_client("no client_id"))?;
                (id.clone(), secret.clone())
            }
            (None, None) => return Err(OAuthError::invalid_client("no client authentication")),
        };
        if id == self.id && secret == self.secret {
            Ok(())
        } else {
            Err(OAuthError::invalid_client(
                "unknown client, or wrong secret",
            ))
        }
    }

    /// Identifies a public client, which never sends a secret (RFC 6749 §3.2.1).
    fn identify(
        &self,
        headers: &HeaderMap,
        parameters: &BTreeMap<String, String>,
    ) -> Result<(), OAuthError> {
        if headers.contains_key(header::AUTHORIZATION) || parameters.contains_key("client_secret") {
            return Err(OAuthError::invalid_client("a public client has no secret"));
        }
        match parameters.get("client_id") {
            Some(id) if *id != self.id => Err(OAuthError::invalid_client("unknown client")),
            // A refresh token identifies the client.
            None if !parameters.contains_key("refresh_token") => {
                Err(OAuthError::invalid_client("no client_id"))
            }
            _ => Ok(()),
        }
    }
}

/// Id and secret of a Basic authorization, both form-encoded (RFC 6749 §2.3.1).
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
    Some(
        form_urlencoded::parse(text.as_bytes())
            .next()
            .map(|(text, _)| text.into_owned())
            .unwrap_or_default(),
    )
}
