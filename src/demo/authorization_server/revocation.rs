//! The revocation endpoint (RFC 7009).

use bytes::Bytes;
use http::{Response, StatusCode, request::Parts};
use serde_json::json;

use super::{
    super::serve::{self, Body},
    State,
    oauth_error::OAuthError,
    parameters, uncached,
};

/// Takes a refresh token back, and all that came of the same consent. One that is not known is as good as taken back.
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
                state.knobs.count(|stats| stats.revocations += 1);
            }
            serve::json(StatusCode::OK, &json!({}))
        }
        Err(error) => error.into_response(),
    })
}
