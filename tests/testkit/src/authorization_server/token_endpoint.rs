//! The token endpoint (RFC 6749 §3.2): checks a request and issues the tokens.

use bytes::Bytes;
use http::{Method, Response, StatusCode, request::Parts};
use serde_json::{Value, json};

use super::{
    State,
    controls::Health,
    dialect::{Dialect, UNSUPPORTED_GRANT_TYPE},
    grants::{Denied, Granted},
    oauth_error::OAuthError,
    parameters::{self, Parameters},
    unavailable, uncached,
};
use crate::serve::{self, Body, CloseConnection};

/// Handles a token request, with the faults that the controls ask for.
pub(super) async fn token(
    state: &State,
    health: Health,
    parts: &Parts,
    body: &Bytes,
) -> Result<Response<Body>, CloseConnection> {
    state.controls.count(|stats| stats.token_requests += 1);
    tokio::time::sleep(state.controls.delay()).await;
    if let Some(raw) = state.controls.raw_response() {
        return Ok(raw.into_response());
    }
    if health == Health::Unavailable {
        return Ok(unavailable());
    }
    let method = state.dialect.token_method();
    if parts.method != method {
        return Ok(serve::method_not_allowed(if method == Method::GET {
            "GET"
        } else {
            "POST"
        }));
    }
    let issued = grant(state, parts, body).and_then(|granted| issue(state, granted));
    state.controls.count(|stats| match issued {
        Ok(_) => stats.issued += 1,
        Err(_) => stats.refused += 1,
    });
    tokio::time::sleep(state.controls.delay_after_issue()).await;
    if issued.is_ok() && state.controls.should_drop_response() {
        return Err(CloseConnection);
    }
    Ok(uncached(match issued {
        Ok(issued) => serve::json(StatusCode::OK, &issued),
        Err(error) => error.into_response(),
    }))
}

/// Checks the request and spends its code or refresh token.
fn grant(state: &State, parts: &Parts, body: &Bytes) -> Result<Granted, OAuthError> {
    let parameters = read_parameters(state.dialect, parts, body)?;
    state
        .dialect
        .check_token_request(&parameters, state.client.public)?;
    state.client.authenticate(&parts.headers, &parameters)?;
    let required = |name: &'static str, error| {
        parameters
            .get(name)
            .map(String::as_str)
            .ok_or(OAuthError::invalid_request(error))
    };
    match required("grant_type", "no grant_type")? {
        "client_credentials" if state.client.public => Err(OAuthError::new(
            "unauthorized_client",
            "client credentials are for confidential clients",
        )),
        "client_credentials" => {
            let scope = granted_scope(parameters.get("scope"), &state.scopes)?;
            Ok(Granted {
                family: None,
                scope,
                refresh_token: None,
                repeated: false,
            })
        }
        "authorization_code" => {
            let redirect_uri = parameters.get("redirect_uri").map(String::as_str);
            let redirect_uri = state
                .dialect
                .exchange_has_redirect_uri()
                .then_some(redirect_uri);
            let verifier = parameters.get("code_verifier").map(String::as_str);
            let granted =
                state
                    .grants
                    .exchange(required("code", "no code")?, redirect_uri, verifier);
            let granted = granted.map_err(|denied| denial(state, denied))?;
            state.controls.count(|stats| stats.exchanges += 1);
            Ok(granted)
        }
        "refresh_token" => {
            let token = required("refresh_token", "no refresh_token")?;
            let granted = state.grants.refresh(token, state.controls.rotation());
            let mut granted = granted.map_err(|denied| denial(state, denied))?;
            state.controls.count(|stats| {
                stats.refreshes += 1;
                stats.repeats += u64::from(granted.repeated);
            });
            if let Some(asked) = parameters.get("scope") {
                // RFC 6749 §6: the scope of the consent is the limit.
                let agreed: Vec<String> = granted.scope.split(' ').map(str::to_owned).collect();
                granted.scope = granted_scope(Some(asked), &agreed)?;
            }
            Ok(granted)
        }
        _ => Err(UNSUPPORTED_GRANT_TYPE),
    }
}

/// Reads the parameters from the place that the dialect prescribes.
fn read_parameters(
    dialect: Dialect,
    parts: &Parts,
    body: &Bytes,
) -> Result<Parameters, OAuthError> {
    match dialect {
        Dialect::Rfc => parameters::of_form(&parts.headers, body),
        Dialect::Feeling if !body.is_empty() => {
            Err(OAuthError::invalid_request("a GET with a body"))
        }
        Dialect::Feeling => parameters::of_query(parts),
        _ if parts.uri.query().is_some() => {
            Err(OAuthError::invalid_request("parameters in the query"))
        }
        _ => parameters::of_form(&parts.headers, body),
    }
}

/// The error of a denied request. Reuse also revokes the grant's access tokens.
fn denial(state: &State, denied: Denied) -> OAuthError {
    match denied {
        Denied::Refused(error) => error,
        Denied::Reused { family } => {
            state.issued.revoke_family(family);
            state.controls.count(|stats| stats.reuses += 1);
            OAuthError::invalid_grant("used before: the whole grant is revoked")
        }
    }
}

/// The granted scope: the requested one, or every scope without a request (RFC 6749 §3.3).
pub(super) fn granted_scope(
    asked: Option<&String>,
    scopes: &[String],
) -> Result<String, OAuthError> {
    let Some(asked) = asked else {
        return Ok(scopes.join(" "));
    };
    if asked
        .split(' ')
        .all(|scope| scopes.iter().any(|ours| ours == scope))
    {
        Ok(asked.clone())
    } else {
        Err(OAuthError::new(
            "invalid_scope",
            "the scope is unknown or not allowed",
        ))
    }
}

/// Issues the tokens as the JSON of RFC 6749 §5.1.
fn issue(state: &State, granted: Granted) -> Result<Value, OAuthError> {
    let lifetime = state.controls.lifetime();
    let token = state.issued.issue(granted.family, lifetime)?;
    let mut body = json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": lifetime.as_secs(),
    });
    if let Some(refresh_token) = granted.refresh_token {
        body["refresh_token"] = refresh_token.into();
    }
    if state.dialect.returns_scope() {
        body["scope"] = granted.scope.into();
    }
    Ok(body)
}
