//! The sign-in endpoint: issues a code for an email and a password, without a browser.

use bytes::Bytes;
use http::{Response, StatusCode, request::Parts};
use serde_json::{Value, json};

use super::{
    State, authorize, grants::CODE_LIFETIME, oauth_error::OAuthError, parameters, uncached,
};
use crate::serve::{self, Body};

/// Handles a sign-in.
pub(super) fn sign_in(state: &State, parts: &Parts, body: &Bytes) -> Response<Body> {
    uncached(match code(state, parts, body) {
        Ok(body) => serve::json(StatusCode::OK, &body),
        Err(error) => error.into_response(),
    })
}

fn code(state: &State, parts: &Parts, body: &Bytes) -> Result<Value, OAuthError> {
    if parts.uri.query().is_some() {
        return Err(OAuthError::invalid_request("parameters in the query"));
    }
    let parameters = parameters::of_json(&parts.headers, body)?;
    state.dialect.check_sign_in(&parameters)?;
    if parameters.get("client_id") != Some(&state.client.id) {
        return Err(OAuthError::invalid_client("unknown client"));
    }
    let is_account = parameters.get("email") == Some(&state.email)
        && parameters.get("password") == Some(&state.password);
    if !is_account {
        let error = OAuthError::new("invalid_credentials", "unknown account, or wrong password");
        return Err(OAuthError {
            status: StatusCode::UNAUTHORIZED,
            ..error
        });
    }
    let consent = authorize::requested_consent(state, &parameters)?;
    let code = state.grants.issue_code(consent)?;
    state.controls.count(|stats| {
        stats.consents += 1;
        stats.sign_ins += 1;
    });
    let mut body =
        json!({ "expires_in": CODE_LIFETIME.as_secs(), "state": parameters.get("state") });
    body[state.dialect.code_parameter()] = code.into();
    Ok(body)
}
