//! A sign-in endpoint: an account's email and password for a code, without a browser.

use bytes::Bytes;
use http::{Response, StatusCode, request::Parts};
use serde_json::{Value, json};

use super::{
    super::serve::{self, Body},
    State, authorize,
    grants::CODE_LIFETIME,
    oauth_error::OAuthError,
    parameters, uncached,
};

/// Answers one sign-in.
pub(super) fn sign_in(state: &State, parts: &Parts, body: &Bytes) -> Response<Body> {
    uncached(match code(state, parts, body) {
        Ok(answer) => serve::json(StatusCode::OK, &answer),
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
        return Err(OAuthError::invalid_client("no such client"));
    }
    let (email, password) = &state.account;
    let known = parameters.get("email") == Some(email)
        && parameters
            .get("password")
            .is_some_and(|given| password.matches(given.as_bytes()));
    if !known {
        let error = OAuthError::new(
            "invalid_credentials",
            "no such account, or not its password",
        );
        return Err(OAuthError {
            status: StatusCode::UNAUTHORIZED,
            ..error
        });
    }
    let consent = authorize::agreed(state, &parameters)?;
    let code = state.grants.code(consent)?;
    state.knobs.count(|stats| {
        stats.consents += 1;
        stats.sign_ins += 1;
    });
    let mut answer =
        json!({ "expires_in": CODE_LIFETIME.as_secs(), "state": parameters.get("state") });
    answer[state.dialect.code_parameter()] = code.expose().into();
    Ok(answer)
}
