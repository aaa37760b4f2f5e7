//! The revocation endpoint (RFC 7009).

use bytes::Bytes;
use http::{Response, StatusCode, request::Parts};
use serde_json::json;

use super::{State, oauth_error::OAuthError, parameters, uncached};
use crate::serve::{self, Body};

/// Revokes a refresh token and the rest of its grant. An unknown token is no error (RFC 7009 §2.2).
pub(super) fn revoke(state: &State, parts: &Parts, body: &Bytes) -> Response<Body> {
    let token = parameters::of_form(&parts.headers, body).and_then(|parameters| {
        state.client.authenticate(&parts.headers, &parameters)?;
        parameters
            .get("token")
            .cloned()
            .ok_or(OAuthError::invalid_request("no token"))
    });
    uncached(match token {
        Ok(token) => {
            if let Some(family) = state.grants.revoke(&token) {
                state.issued.revoke_family(family);
                state.controls.count(|stats| stats.revocations += 1);
            }
            serve::json(StatusCode::OK, &json!({}))
        }
        Err(error) => error.into_response(),
    })
}
