//! The token endpoint (RFC 6749 §3.2): what a request asks for, whether it is granted, and the tokens.

use bytes::Bytes;
use http::{Method, Response, StatusCode, request::Parts};
use serde_json::{Value, json};

use super::{
    super::serve::{self, Body, HangUp},
    State,
    dialect::{Dialect, UNSUPPORTED_GRANT_TYPE},
    down,
    grants::{Denied, Granted},
    knobs::Health,
    oauth_error::OAuthError,
    parameters::{self, Parameters},
    uncached,
};

/// Answers one token request, bent by the knobs.
pub(super) async fn token(
    state: &State,
    health: Health,
    parts: &Parts,
    body: &Bytes,
) -> Result<Response<Body>, HangUp> {
    state.knobs.count(|stats| stats.token_requests += 1);
    tokio::time::sleep(state.knobs.delay()).await;
    if let Some(raw) = state.knobs.raw_answer() {
        return Ok(raw.into_response());
    }
    if health == Health::Unavailable {
        return Ok(down());
    }
    let method = state.dialect.token_method();
    if parts.method != method {
        return Ok(serve::method_not_allowed(if method == Method::GET {
            "GET"
        } else {
            "POST"
        }));
    }
    let issued = granted(state, parts, body).and_then(|granted| issue(state, granted));
    state.knobs.count(|stats| {
        *if issued.is_ok() {
            &mut stats.issued
        } else {
            &mut stats.refused
        } += 1
    });
    tokio::time::sleep(state.knobs.delay_after()).await;
    if issued.is_ok() && state.knobs.take_drop() {
        return Err(HangUp);
    }
    Ok(uncached(match issued {
        Ok(issued) => serve::json(StatusCode::OK, &issued),
        Err(error) => error.into_response(),
    }))
}

/// What the request is granted.
fn granted(state: &State, parts: &Parts, body: &Bytes) -> Result<Granted, OAuthError> {
    let parameters = read(state.dialect, parts, body)?;
    state
        .dialect
        .check_token_request(&parameters, state.client.public)?;
    state.client.authenticate(&parts.headers, &parameters)?;
    let required = |name: &'static str, why| {
        parameters
            .get(name)
            .map(String::as_str)
            .ok_or(OAuthError::invalid_request(why))
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
            state.knobs.count(|stats| stats.exchanges += 1);
            Ok(granted)
        }
        "refresh_token" => {
            let token = required("refresh_token", "no refresh_token")?;
            let granted = state.grants.refresh(token, state.knobs.rotation());
            let mut granted = granted.map_err(|denied| denial(state, denied))?;
            state.knobs.count(|stats| {
                stats.refreshes += 1;
                stats.repeats += u64::from(granted.repeated);
            });
            if let Some(asked) = parameters.get("scope") {
                // RFC 6749 §6: no more than what was agreed to.
                let agreed: Vec<String> = granted.scope.split(' ').map(str::to_owned).collect();
                granted.scope = granted_scope(Some(asked), &agreed)?;
            }
            Ok(granted)
        }
        _ => Err(UNSUPPORTED_GRANT_TYPE),
    }
}

/// From the one place that the dialect has for them.
fn read(dialect: Dialect, parts: &Parts, body: &Bytes) -> Result<Parameters, OAuthError> {
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

/// What comes once too often ends all that its consent brought.
fn denial(state: &State, denied: Denied) -> OAuthError {
    match denied {
        Denied::Refused(error) => error,
        Denied::Reused { family } => {
            state.issued.revoke_family(family);
            state.knobs.count(|stats| stats.reuses += 1);
            OAuthError::invalid_grant("spent already: everything of this consent is revoked")
        }
    }
}

/// RFC 6749 §3.3: all that the client may have when it does not say.
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
            "not for this client, or unknown",
        ))
    }
}

/// The answer of RFC 6749 §5.1.
fn issue(state: &State, granted: Granted) -> Result<Value, OAuthError> {
    let lifetime = state.knobs.lifetime();
    let token = state
        .issued
        .issue(&state.client.id, granted.family, &granted.scope, lifetime)?;
    let mut answer = json!({
        "access_token": token.expose(),
        "token_type": "Bearer",
        "expires_in": lifetime.as_secs(),
    });
    if let Some(refresh_token) = granted.refresh_token {
        answer["refresh_token"] = refresh_token.expose().into();
    }
    if state.dialect.answers_scope() {
        answer["scope"] = granted.scope.into();
    }
    Ok(answer)
}
